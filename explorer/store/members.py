"""Members, their predictions and the labels, as rows.

Predictions belong to weights. When a member is trained again under the same name, predictions of the old
weights stop being current, even on splits that were not predicted again. Predictions that were written
before their member belong to the first weights recorded for it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, RowMapping, Select, func, or_, select

from explorer.errors import InputDataError, UsageError, unknown_name
from explorer.record import MemberRecord, PredictionsRecord, TrainingRecord
from explorer.spec import Member, parse_member
from explorer.store.rows import NewRow, append, content_of, current, look_up, plain
from explorer.store.schema import labels, members, models, predictions

SPLITS = ("select", "report")
SUM_TOLERANCE = 1e-2
"""How far the probabilities of one example may be from adding up to 1: float16 over 1,000 classes."""
_RANGE_TOLERANCE = 1e-6
"""A float32 softmax may exceed 1 by a rounding error."""


def put_member(connection: Connection, record: MemberRecord) -> None:
    """Write a member; the caller has stored its weights."""
    append(connection, member_row(connection, record))


def member_row(connection: Connection, record: MemberRecord, *, weights_kept: bool = True) -> NewRow:
    """Return the row of a member; its model is written.

    The same member with and without its weights says two things: that they came supersedes.
    """
    require_recipe(record.member)
    said: object = record if weights_kept else {"record": record, "weights_kept": False}
    return NewRow(
        table=members,
        key={"dataset": record.dataset, "member": str(record.member)},
        values={
            "model_id": model_id(connection, record.member, record.channels, record.classes),
            "recipe_id": record.member.recipe,
            "seed": record.member.seed,
            "split_digest": record.split_digest,
            "weights_digest": record.weights_digest,
            "training": plain(record.training, f"training of {record.member}"),
            "weights_kept": weights_kept,
        },
        content=content_of(said, str(record.member)),
    )


def model_id(connection: Connection, member: Member, channels: int, classes: int) -> int:
    """Return the id of a member's network."""
    key = {"name": member.name, "resolution": member.resolution, "channels": channels, "classes": classes}
    return look_up(connection, models, key)


def read_members(
    connection: Connection, dataset: str | None = None, recipe_id: str | None = None
) -> tuple[MemberRecord, ...]:
    """Return the current members, sorted by data set, model, recipe and seed."""
    query = select(members, models.c.channels, models.c.classes).join(models).where(current(members))
    if dataset is not None:
        query = query.where(members.c.dataset == dataset)
    if recipe_id is not None:
        query = query.where(members.c.recipe_id == recipe_id)
    found = [member_record(row) for row in connection.execute(query).mappings()]
    return tuple(sorted(found, key=lambda record: (record.dataset, record.member)))


def recipe_id(wanted: str | None, known: Iterable[str]) -> str | None:
    """Return the id among ``known`` that a recipe's name stands for; ``wanted`` where none or several do."""
    named = {recipe for recipe in known if wanted == recipe.rpartition("-")[0]}
    return named.pop() if len(named) == 1 else wanted


def find_member(connection: Connection, dataset: str, member: Member) -> MemberRecord | None:
    """Return the current record of ``member``, or None; see `Store.find_member`.

    Of one that names no recipe and is held under several, the plain one is meant, not those that derive from
    it; of several plain ones that of the recipe with most members, which a front takes too.
    """
    query = select(members, models.c.channels, models.c.classes).join(models)
    query = query.where(current(members), members.c.dataset == dataset)
    if member.recipe:
        query = query.where(members.c.member == str(member))
    else:
        query = query.where(
            models.c.name == member.name,
            models.c.resolution == member.resolution,
            members.c.seed == member.seed,
        )
    found = [member_record(row) for row in connection.execute(query).mappings()]
    if len(found) > 1:
        # Without a recipe, the plain one is meant: not those that derive from another.
        plain = [record for record in found if not record.training.recipe.get("base")]
        if len(plain) > 1:
            usual = _usual_recipe(connection, dataset)
            plain = [record for record in plain if record.member.recipe == usual]
        if plain:
            return plain[0]
        choices = ", ".join(sorted(str(record.member) for record in found))
        raise UsageError(f"{member} of {dataset} was trained with several recipes; say which: {choices}")
    return found[0] if found else None


def _usual_recipe(connection: Connection, dataset: str) -> str | None:
    """Return the recipe that most members have or derive from, as a front takes; None: two have as many."""
    bases = Counter(
        str(record.training.recipe.get("base") or record.member.recipe)
        for record in read_members(connection, dataset)
    )
    (first, most), *others = bases.most_common(2)
    return first if all(count < most for _, count in others) else None


def put_predictions(
    connection: Connection, record: PredictionsRecord, *, weights_digest: str | None = None
) -> None:
    """Write where a member's probabilities are; the caller has stored the array.

    Raises:
        InputDataError: other examples or classes than the split's labels have.
    """
    require_same_size(connection, record)
    if weights_digest is None:
        owner = (members.c.dataset == record.dataset, members.c.member == str(record.member))
        weights_digest = connection.execute(
            select(members.c.weights_digest).where(current(members), *owner)
        ).scalar()
    append(connection, predictions_row(record, weights_digest))


def predictions_row(record: PredictionsRecord, weights_digest: str | None) -> NewRow:
    """Return the row of a member's predictions, made by the weights of that digest."""
    return NewRow(
        table=predictions,
        key={
            "dataset": record.dataset,
            "split": record.split,
            "split_digest": record.split_digest,
            "member": str(record.member),
        },
        values={
            "weights_digest": weights_digest,
            "digest": record.digest,
            "examples": record.examples,
            "classes": record.classes,
        },
        content=content_of({"record": record, "weights": weights_digest}, f"predictions of {record.member}"),
    )


def read_predictions(
    connection: Connection, dataset: str, split: str, member: Member | None = None
) -> tuple[PredictionsRecord, ...]:
    """Return the current predictions made by the members' current weights, sorted by member."""
    query = current_predictions().where(predictions.c.dataset == dataset, predictions.c.split == split)
    if member is not None:
        query = query.where(predictions.c.member == str(member))
    found = [predictions_record(row) for row in connection.execute(query).mappings()]
    return tuple(sorted(found, key=lambda record: (record.member, record.split_digest)))


def current_predictions() -> Select[Any]:
    """Return the query for the current predictions made by the members' current weights."""
    owner = members.alias("owner")
    first = members.alias("first")
    first_weights = (
        select(first.c.weights_digest)
        .where(first.c.dataset == predictions.c.dataset, first.c.member == predictions.c.member)
        .order_by(first.c.id)
        .limit(1)
        .scalar_subquery()
    )
    return (
        select(predictions)
        .outerjoin(
            owner,
            (owner.c.dataset == predictions.c.dataset)
            & (owner.c.member == predictions.c.member)
            & current(owner),  # type: ignore[arg-type]  # an alias has the same columns
        )
        .where(
            current(predictions),
            or_(
                owner.c.id.is_(None),
                owner.c.weights_digest == func.coalesce(predictions.c.weights_digest, first_weights),
            ),
        )
    )


def put_labels(
    connection: Connection, key: Mapping[str, str], digest: str, examples: int, class_names: Sequence[str]
) -> None:
    """Write where a split's labels are; ``key`` holds dataset, split and split_digest."""
    append(connection, labels_row(key, digest, examples, class_names))


def labels_row(key: Mapping[str, str], digest: str, examples: int, class_names: Sequence[str]) -> NewRow:
    """Return the row of a split's labels."""
    values = {"digest": digest, "examples": examples, "class_names": list(class_names)}
    return NewRow(table=labels, key=key, values=values, content=content_of({**key, **values}, "labels"))


def read_labels(
    connection: Connection, dataset: str, split: str | None = None, split_digest: str | None = None
) -> tuple[RowMapping, ...]:
    """Return the current label rows of a data set, oldest first."""
    query = select(labels).where(current(labels), labels.c.dataset == dataset).order_by(labels.c.id)
    if split is not None:
        query = query.where(labels.c.split == split)
    if split_digest is not None:
        query = query.where(labels.c.split_digest == split_digest)
    return tuple(connection.execute(query).mappings())


def checked_probabilities(probabilities: np.ndarray, member: Member, dataset: str, split: str) -> np.ndarray:
    """Return probabilities ``[example, class]`` as float16 in [0, 1].

    Raises:
        UsageError: no such split.
        InputDataError: not two axes, empty, not finite, outside [0, 1], or rows that do not add up to 1.
    """
    require_split(split)
    array = np.asarray(probabilities)
    what = f"predictions of {member} on {dataset} {split}"
    if not np.issubdtype(array.dtype, np.floating):
        raise InputDataError(f"{what} are of dtype {array.dtype}; wanted floating-point probabilities")
    if array.ndim != 2 or 0 in array.shape:
        raise InputDataError(
            f"{what} have shape {list(array.shape)}; wanted [example, class], none of them 0"
        )
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise InputDataError(
            f"{what} hold NaN or infinity in {int((~finite).sum())} of {len(array)} examples, first in {row}"
        )
    low, high = float(array.min()), float(array.max())
    if low < -_RANGE_TOLERANCE or high > 1.0 + _RANGE_TOLERANCE:
        raise InputDataError(
            f"{what} lie in [{low:.6g}, {high:.6g}]; wanted probabilities in [0, 1], not logits"
        )
    error = np.abs(array.sum(axis=1, dtype=np.float64) - 1.0)
    if float(error.max()) > SUM_TOLERANCE:
        row = int(np.argmax(error))
        total = float(array[row].sum(dtype=np.float64))
        raise InputDataError(
            f"{what}: the probabilities of example {row} add up to {total:.6g}; "
            f"wanted 1 within {SUM_TOLERANCE}"
        )
    return np.clip(array, 0.0, 1.0).astype(np.float16)


def checked_labels(labels_: np.ndarray, class_names: Sequence[str], dataset: str, split: str) -> np.ndarray:
    """Return labels ``[example]`` as int64, each the index of a class.

    Raises:
        UsageError: no such split.
        InputDataError: not one axis, empty, not integers, a label without a class, or a repeated name.
    """
    require_split(split)
    array = np.asarray(labels_)
    what = f"labels of {dataset} {split}"
    if array.ndim != 1 or array.size == 0:
        raise InputDataError(f"{what} have shape {list(array.shape)}; wanted [example], not empty")
    if not np.issubdtype(array.dtype, np.integer):
        raise InputDataError(f"{what} are of dtype {array.dtype}; wanted integers")
    if len(set(class_names)) != len(class_names) or not all(isinstance(name, str) for name in class_names):
        raise InputDataError(f"{what}: class names must be different texts, got {list(class_names)}")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= len(class_names):
        raise InputDataError(f"{what} lie in [{low}, {high}]; wanted 0 to {len(class_names) - 1}")
    return array.astype(np.int64)


def require_split(split: str) -> None:
    """Refuse a split that is neither the one designs are chosen on nor the one they are reported on.

    Raises:
        UsageError: any other name.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)


def require_recipe(member: Member) -> None:
    """Refuse a member that leaves its recipe to the context: a store holds many recipes.

    Raises:
        UsageError: the recipe is empty.
    """
    if not member.recipe:
        raise UsageError(
            f"{member} names no recipe; the store needs one, e.g. {member.model}~RECIPE#{member.seed}"
        )


def require_same_size(connection: Connection, record: PredictionsRecord) -> None:
    """Refuse predictions that do not fit the labels that are there.

    Raises:
        InputDataError: other examples or classes than the split's labels have.
    """
    for row in read_labels(connection, record.dataset, record.split, record.split_digest):
        wanted = (row["examples"], len(row["class_names"]))
        if (record.examples, record.classes) != wanted:
            raise InputDataError(
                f"predictions of {record.member} on {record.dataset} {record.split} have shape "
                f"[{record.examples}, {record.classes}]; the labels want [{wanted[0]}, {wanted[1]}]"
            )


def member_record(row: Mapping[Any, Any]) -> MemberRecord:
    """Return the record of a row of members, joined with its model."""
    training = dict(row["training"])
    training["curve"] = tuple(training["curve"])
    return MemberRecord(
        member=parse_member(row["member"]),
        dataset=row["dataset"],
        split_digest=row["split_digest"],
        channels=row["channels"],
        classes=row["classes"],
        training=TrainingRecord(**training),
        weights_digest=row["weights_digest"],
    )


def predictions_record(row: Mapping[Any, Any]) -> PredictionsRecord:
    """Return the record of a row of predictions."""
    return PredictionsRecord(
        member=parse_member(row["member"]),
        dataset=row["dataset"],
        split=row["split"],
        split_digest=row["split_digest"],
        digest=row["digest"],
        examples=row["examples"],
        classes=row["classes"],
    )

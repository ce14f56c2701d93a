"""Rows as a bundle's manifest has them: read from one ledger, checked, and made records again.

Carried are members, predictions, labels, costs and evaluations. Left out are exports and verifications,
which name folders of one machine, prices, which are the user's own terms with a seller, and published
tables, which are imported from their own files.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, select

from explorer.convention import CostAxis
from explorer.errors import ExplorerError, InputDataError
from explorer.record import Conditions, CostRecord, MemberRecord, PredictionsRecord
from explorer.spec import parse_design
from explorer.store import costs as cost_rows
from explorer.store import members as member_rows
from explorer.store.rows import current, plain
from explorer.store.schema import designs, evaluations, labels, members, models
from explorer.store.values import EvaluationRecord

Record = TypeVar("Record", covariant=True)
Row = Mapping[Any, Any]
_TEXT, _COUNT, _NUMBER, _MAYBE_TEXT = "text", "a count", "a number", "text or null"
_DIGEST, _MAYBE_DIGEST, _TIME = "a SHA-256", "a SHA-256 or null", "a time in UTC"
_FLAG, _MAPPING, _TEXTS, _MAYBE_MAPPING = "true or false", "a mapping", "a list of texts", "a mapping or null"
_HEX = re.compile(r"[0-9a-f]{64}")
_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
_LARGEST = 2**63 - 1
"""SQLite's largest integer."""

TABLES: dict[str, dict[str, str]] = {
    "members": {
        "dataset": _TEXT,
        "member": _TEXT,
        "split_digest": _TEXT,
        "channels": _COUNT,
        "classes": _COUNT,
        "weights_digest": _DIGEST,
        "weights": _FLAG,
        "training": _MAPPING,
        "created_at": _TIME,
    },
    "predictions": {
        "dataset": _TEXT,
        "split": _TEXT,
        "split_digest": _TEXT,
        "member": _TEXT,
        "weights_digest": _MAYBE_DIGEST,
        "digest": _DIGEST,
        "examples": _COUNT,
        "classes": _COUNT,
        "created_at": _TIME,
    },
    "labels": {
        "dataset": _TEXT,
        "split": _TEXT,
        "split_digest": _TEXT,
        "digest": _DIGEST,
        "examples": _COUNT,
        "class_names": _TEXTS,
        "created_at": _TIME,
    },
    "costs": {
        "name": _TEXT,
        "resolution": _COUNT,
        "channels": _COUNT,
        "classes": _COUNT,
        "kind": _TEXT,
        "device": _TEXT,
        "basis": _TEXT,
        "convention": _TEXT,
        "value": _NUMBER,
        "low": _NUMBER,
        "high": _NUMBER,
        "source": _TEXT,
        "conditions": _MAYBE_MAPPING,
        "samples_digest": _MAYBE_DIGEST,
        "created_at": _TIME,
    },
    "evaluations": {
        "design": _TEXT,
        "dataset": _TEXT,
        "split_digest": _TEXT,
        "axis": _TEXT,
        "document": _MAPPING,
        "created_at": _TIME,
    },
}
"""Table -> what each row holds."""
_TRAINING = {
    "recipe_id": _TEXT,
    "recipe": _MAPPING,
    "epochs": _COUNT,
    "examples_seen": _COUNT,
    "wall_s": _NUMBER,
    "device": _TEXT,
    "macs": _COUNT,
    "versions": _MAPPING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated(Generic[Record]):
    """A record, and when it was written first."""

    record: Record
    created_at: str
    weights: bool = True
    """Of a member: whether the bundle has its weights."""
    weights_digest: str | None = None
    """Of predictions: the weights that made them; None for those of no member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Where a split's labels are."""

    dataset: str
    split: str
    split_digest: str
    digest: str
    examples: int
    class_names: tuple[str, ...]

    @property
    def key(self) -> dict[str, str]:
        """What the row is about."""
        return {"dataset": self.dataset, "split": self.split, "split_digest": self.split_digest}


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRows:
    """All rows of a bundle, as records."""

    members: tuple[Dated[MemberRecord], ...]
    predictions: tuple[Dated[PredictionsRecord], ...]
    labels: tuple[Dated[Labels], ...]
    costs: tuple[Dated[CostRecord], ...]
    evaluations: tuple[Dated[EvaluationRecord], ...]

    def files(self) -> set[tuple[str, str]]:
        """Return digest and suffix of every file that the rows want beside them."""
        return {
            *((row.record.weights_digest, "safetensors") for row in self.members if row.weights),
            *((row.record.digest, "npy") for row in self.predictions),
            *((row.record.digest, "npy") for row in self.labels),
            *((row.record.samples_digest, "parquet") for row in self.costs if row.record.samples_digest),
        }


# ---- from a ledger ----------------------------------------------------------------------------


def read_rows(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """Return every current row, encoded; of predictions those made by the members' current weights."""
    query = select(members, models.c.channels, models.c.classes).join(models).where(current(members))
    found = [_member(row) for row in connection.execute(query).mappings()]
    weights = {(row["dataset"], row["member"]): row["weights_digest"] for row in found}
    predicted = connection.execute(member_rows.current_predictions()).mappings()
    labelled = connection.execute(select(labels).where(current(labels))).mappings()
    query = select(evaluations, designs.c.text).join(designs, evaluations.c.design_id == designs.c.id)
    evaluated = connection.execute(query.where(current(evaluations))).mappings()
    return {
        "members": found,
        "predictions": [
            # A row that was written before its member names no weights; by now it is known whose it is.
            {**_picked("predictions", row), "weights_digest": weights.get((row["dataset"], row["member"]))}
            for row in predicted
        ],
        "labels": [_picked("labels", row) for row in labelled],
        "costs": [_cost(row) for row in connection.execute(cost_rows.current_costs()).mappings()],
        "evaluations": [_picked("evaluations", {**row, "design": row["text"]}) for row in evaluated],
    }


def _picked(table: str, row: Row) -> dict[str, Any]:
    return {name: row[name] for name in TABLES[table]}


def _member(row: Row) -> dict[str, Any]:
    # Through the record: fields that are younger than the row get their defaults.
    training = plain(member_rows.member_record(row).training, row["member"])
    return _picked("members", {**row, "training": training, "weights": row["weights_kept"]})


def _cost(row: Row) -> dict[str, Any]:
    found = cost_rows.cost_record(row).conditions
    return _picked("costs", {**row, "conditions": None if found is None else plain(found, "conditions")})


# ---- from a manifest --------------------------------------------------------------------------


def decode_rows(tables: object, where: str) -> BundleRows:
    """Make records of a manifest's rows; ``where`` names the bundle in errors.

    Raises:
        InputDataError: a row is not what it should be, occurs twice, or contradicts another.
    """
    if not isinstance(tables, dict) or set(tables) != set(TABLES):
        raise InputDataError(f"{where}: wanted rows of {', '.join(TABLES)}")
    for table, columns in TABLES.items():
        if not isinstance(tables[table], list):
            raise InputDataError(f"{where}: the rows of {table} must be a list")
        for number, row in enumerate(tables[table]):
            _require(row, columns, f"{where}: row {number + 1} of {table}")
    for number, row in enumerate(tables["members"]):
        _require_training(row["training"], f"{where}: training of row {number + 1} of members")
    rows = BundleRows(
        members=_records(tables, "members", _decode_member, where),
        predictions=_records(tables, "predictions", _decode_predictions, where),
        labels=_records(tables, "labels", _decode_labels, where),
        costs=_records(tables, "costs", _decode_cost, where),
        evaluations=_records(tables, "evaluations", _decode_evaluation, where),
    )
    _require_together(rows, where)
    return rows


def _records(tables: Row, table: str, decode: Any, where: str) -> tuple[Any, ...]:
    found = []
    for number, row in enumerate(tables[table]):
        try:
            found.append(decode(row))
        except (ExplorerError, ValueError, TypeError, KeyError, AttributeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputDataError(f"{where}: row {number + 1} of {table}: {reason}") from None
    return tuple(found)


def _decode_member(row: Row) -> Dated[MemberRecord]:
    record = member_rows.member_record(row)
    member_rows.require_recipe(record.member)
    return Dated(record=record, created_at=row["created_at"], weights=row["weights"])


def _decode_predictions(row: Row) -> Dated[PredictionsRecord]:
    record = member_rows.predictions_record(row)
    member_rows.require_recipe(record.member)
    member_rows.require_split(record.split)
    return Dated(record=record, created_at=row["created_at"], weights_digest=row["weights_digest"])


def _decode_labels(row: Row) -> Dated[Labels]:
    member_rows.require_split(row["split"])
    values = {f.name: row[f.name] for f in fields(Labels)}
    record = Labels(**{**values, "class_names": tuple(row["class_names"])})
    return Dated(record=record, created_at=row["created_at"])


def _decode_cost(row: Row) -> Dated[CostRecord]:
    said: dict[str, Any] = {"conditions_id": None}
    if row["conditions"] is not None:
        found = Conditions(**row["conditions"])
        said = {f.name: getattr(found, f.name) for f in fields(Conditions) if f.name != "device"}
        said |= {"conditions_id": 1, "conditions_device": found.device}
    record = cost_rows.cost_record({**row, **said})
    cost_rows.require_cost(record)
    return Dated(record=record, created_at=row["created_at"])


def _decode_evaluation(row: Row) -> Dated[EvaluationRecord]:
    values = {f.name: row[f.name] for f in fields(EvaluationRecord)}
    parse_design(row["design"])
    CostAxis.parse(row["axis"])
    return Dated(record=EvaluationRecord(**values), created_at=row["created_at"])


def _require_together(rows: BundleRows, where: str) -> None:
    """Refuse rows of which two speak of one thing, and predictions of other weights or another size."""
    _require_once([(row.record.dataset, str(row.record.member)) for row in rows.members], "members", where)
    _require_once([tuple(row.record.key.values()) for row in rows.labels], "labels", where)
    weights = {(row.record.dataset, row.record.member): row.record.weights_digest for row in rows.members}
    sizes = {
        tuple(row.record.key.values()): (row.record.examples, len(row.record.class_names))
        for row in rows.labels
    }
    keys: list[tuple[str, ...]] = []
    for row in rows.predictions:
        found = row.record
        split = (found.dataset, found.split, found.split_digest)
        keys.append((*split, str(found.member)))
        if row.weights_digest != weights.get((found.dataset, found.member)):
            raise InputDataError(
                f"{where}: predictions of {found.member} on {found.split} are of other weights than it"
            )
        size = (found.examples, found.classes)
        if sizes.get(split, size) != size:
            raise InputDataError(
                f"{where}: predictions of {found.member} on {found.split} are {list(size)}, "
                f"the labels want {list(sizes[split])}"
            )
    _require_once(keys, "predictions", where)


def _require_once(keys: Sequence[tuple[str, ...]], table: str, where: str) -> None:
    seen: set[tuple[str, ...]] = set()
    for key in keys:
        if key in seen:
            raise InputDataError(f"{where}: two rows of {table} for {' '.join(key)}")
        seen.add(key)


def _require_training(training: Row, where: str) -> None:
    _require({name: training.get(name) for name in _TRAINING}, _TRAINING, where)
    curve = training.get("curve")
    if not isinstance(curve, list) or not all(isinstance(entry, dict) for entry in curve):
        raise InputDataError(f"{where}: curve must be a list of mappings")


def _require(row: object, columns: Mapping[str, str], where: str) -> None:
    if not isinstance(row, dict) or set(row) != set(columns):
        shown = sorted(row) if isinstance(row, dict) else row
        raise InputDataError(f"{where} holds {str(shown)[:100]}; wanted {sorted(columns)}")
    for name, wanted in columns.items():
        if not _is(row[name], wanted):
            raise InputDataError(f"{where}: {name} must be {wanted}, got {str(row[name])[:60]!r}")


def _is(value: object, wanted: str) -> bool:
    if wanted.endswith(" or null"):
        return value is None or _is(value, wanted.removesuffix(" or null"))
    if wanted == _TEXTS:
        return isinstance(value, list) and all(isinstance(part, str) for part in value)
    if wanted == _MAPPING:
        return isinstance(value, dict)
    if wanted == _FLAG:
        return isinstance(value, bool)
    if wanted == _COUNT:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST
    if wanted == _NUMBER:
        return isinstance(value, int | float) and not isinstance(value, bool)
    pattern = {_DIGEST: _HEX, _TIME: _UTC}.get(wanted)
    return isinstance(value, str) and (pattern is None or pattern.fullmatch(value) is not None)

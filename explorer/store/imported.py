"""Predictions that were made elsewhere, as rows: they have no weights, no training and no member row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import select

from explorer.record import CostRecord, PredictionsRecord
from explorer.spec import Member
from explorer.store import costs, files, members
from explorer.store.database import reading, writing
from explorer.store.rows import current
from explorer.store.schema import predictions as predictions_table

if TYPE_CHECKING:
    from explorer.store.ledger import Store

RECIPE = "imported"
"""Recipe id of every member whose answers came from elsewhere: those of several files share a front.

What was imported under it is told by the predictions' own digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSplit:
    """The labels that the store holds of one split."""

    split: str
    """``select`` or ``report``."""
    split_digest: str
    labels: np.ndarray
    """int64 ``[example]``"""
    class_names: tuple[str, ...]


def commit_imported(
    store: "Store",
    dataset: str,
    split_digest: str,
    *,
    predictions: Mapping[Member, Mapping[str, np.ndarray]],
    labels: Mapping[str, np.ndarray],
    class_names: Sequence[str],
    cost_records: Sequence[CostRecord] = (),
) -> tuple[PredictionsRecord, ...]:
    """Write imported predictions, the labels they go with, and their costs: all of it or nothing.

    Args:
        store: where to.
        dataset: name of the data set.
        split_digest: of the split the arrays follow.
        predictions: member -> split -> probabilities ``[example, class]``.
        labels: split -> true classes ``[example]``; the same as those that are there supersede nothing.
        class_names: by label.
        cost_records: of the members' models.

    Raises:
        UsageError: a member without recipe, an unknown split, a cost that cannot be stored.
        InputDataError: arrays that are not what they should be.
        StoreError: the store is locked, damaged or full.
    """
    checked_labels = {
        split: members.checked_labels(array, class_names, dataset, split) for split, array in labels.items()
    }
    checked = {}
    for member, arrays in predictions.items():
        members.require_recipe(member)
        for split, array in arrays.items():
            checked[member, split] = members.checked_probabilities(array, member, dataset, split)
    for record in cost_records:
        costs.require_cost(record)
    # First every file, then every row: a kill in between leaves files that no row names.
    digests = {split: files.put_array(store._files, array) for split, array in checked_labels.items()}
    stored = tuple(
        PredictionsRecord(
            member=member,
            dataset=dataset,
            split=split,
            split_digest=split_digest,
            digest=files.put_array(store._files, array),
            examples=array.shape[0],
            classes=array.shape[1],
        )
        for (member, split), array in checked.items()
    )
    with writing(store._engine) as connection:
        for split, array in checked_labels.items():
            key = {"dataset": dataset, "split": split, "split_digest": split_digest}
            members.put_labels(connection, key, digests[split], len(array), class_names)
        for found in stored:
            members.put_predictions(connection, found)
        for record in cost_records:
            costs.put_cost(connection, record)
    return stored


def labelled_splits(store: "Store", dataset: str) -> tuple[LabelledSplit, ...]:
    """Return the labels that the store holds of a data set, oldest first.

    Raises:
        StoreError: the store is locked or damaged.
    """
    with reading(store._engine) as connection:
        rows = members.read_labels(connection, dataset)
    return tuple(
        LabelledSplit(
            split=row["split"],
            split_digest=row["split_digest"],
            labels=files.get_array(store._files, row["digest"]),
            class_names=tuple(row["class_names"]),
        )
        for row in rows
    )


def predicted_datasets(store: "Store") -> tuple[str, ...]:
    """Return the names of the data sets that have predictions, sorted; `Store.datasets` are those trained on.

    Raises:
        StoreError: the store is locked or damaged.
    """
    query = select(predictions_table.c.dataset).where(current(predictions_table)).distinct()
    with reading(store._engine) as connection:
        return tuple(sorted(connection.execute(query).scalars()))

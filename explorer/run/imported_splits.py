"""Which examples of an imported file choose, and which are reported on.

A data set that nobody here has the images of is known by its labels. Which half an example goes to follows
from the SHA-256 of the data set's name and the example's number; the split's digest is one over the labels
(and ids) in order. So a second file over the same examples joins the first, and any other is refused.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from explorer.data import DATASETS
from explorer.data.class_numbers import are_numbers
from explorer.data.predictions import Predictions
from explorer.data.splits import Assignment, split_by_counts, split_digest
from explorer.errors import InputDataError, UsageError
from explorer.store import Store
from explorer.store.imported import RECIPE, LabelledSplit, labelled_splits

HALVES = "halves"
SPLITS = (HALVES, "select", "report")
"""Both halves of a data set that is known by its labels, or one split of a data set that is known here."""
_FORMAT = "explorer-imported-labels-1"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChosenSplit:
    """Where the rows of a file go: split -> positions in the file."""

    split_digest: str
    rows: Mapping[str, np.ndarray]
    class_names: tuple[str, ...]
    """As the store has them; empty where the split is new."""


def halves(dataset: str, labels: np.ndarray, ids: Sequence[str] = ()) -> tuple[Assignment, str]:
    """Return which rows choose and which are reported on, and the digest of that split.

    Args:
        dataset: its name decides where each row goes.
        labels: int64 ``[example]``, in the file's order.
        ids: of the examples, if they have some: their order is then part of the digest.
    """
    half = len(labels) // 2
    assignment = split_by_counts(dataset, train=0, select=half, report=len(labels) - half)
    digest = hashlib.sha256(f"{_FORMAT}\n{dataset}\n{len(labels)}\n".encode())
    digest.update(np.ascontiguousarray(labels, dtype="<i8").data)
    digest.update("\n".join(ids).encode())
    return assignment, split_digest(digest.hexdigest(), assignment)


def choose_split(store: Store | None, dataset: str, split: str, found: Predictions) -> ChosenSplit:
    """Return where the rows of a file belong.

    Args:
        store: with the labels of what was imported or trained on before; None: there is none yet.
        dataset: name of the data set.
        split: of `SPLITS`.
        found: the file.

    Raises:
        UsageError: no such split, or one that cannot be taken for this data set.
        InputDataError: other labels, or another order, than the store has.
    """
    known = labelled_splits(store, dataset) if store is not None else ()
    if split not in SPLITS:
        raise UsageError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    if split != HALVES:
        return _known_split(known, dataset, split, found)
    if len(found.labels) < 2:
        raise InputDataError(f"{found.path.name} has {len(found.labels)} example; two halves need at least 2")
    if dataset in DATASETS or dataset.startswith("folder:"):
        raise UsageError(
            f"{dataset} has splits of its own: say --split select or --split report, or call these "
            f"examples otherwise, e.g. --dataset {dataset.removeprefix('folder:') or 'mine'}-imported"
        )
    assignment, digest = halves(dataset, found.labels, found.ids)
    rows = {"select": assignment.select, "report": assignment.report}
    same = [held for held in known if held.split_digest == digest]
    if store is not None and known and not same:
        raise _other_examples(store, dataset, found, known, digest)
    return ChosenSplit(split_digest=digest, rows=rows, class_names=same[0].class_names if same else ())


def known_class_names(store: Store | None, dataset: str, split: str) -> tuple[str, ...]:
    """Return the names that the store has for the classes of a data set, by number; empty where it has none.

    Args:
        store: None: there is none yet.
        dataset: name of the data set.
        split: of `SPLITS`.

    Raises:
        StoreError: the store is locked or damaged.
    """
    known = labelled_splits(store, dataset) if store is not None else ()
    named = [held.class_names for held in known if split in (HALVES, held.split)]
    named = [names for names in named if not are_numbers(names)]
    return named[-1] if named else ()


def _known_split(known: Sequence[LabelledSplit], dataset: str, split: str, found: Predictions) -> ChosenSplit:
    """Return the split of the store that has exactly these labels in this order."""
    held = [entry for entry in known if entry.split == split]
    if not held:
        raise UsageError(
            f"the store holds no {split} labels of {dataset} to compare with; train a member on it "
            "first, or import under another --dataset name with --split halves"
        )
    for entry in reversed(held):
        if np.array_equal(entry.labels, found.labels):
            rows = np.arange(len(found.labels), dtype=np.int64)
            return ChosenSplit(
                split_digest=entry.split_digest, rows={split: rows}, class_names=entry.class_names
            )
    latest = held[-1]
    raise InputDataError(
        f"{found.path.name} is not of the {split} examples of {dataset}: "
        f"{_other_names(found, latest.class_names) or _difference(found.labels, np.asarray(latest.labels))}"
    )


def _other_examples(
    store: Store, dataset: str, found: Predictions, known: Sequence[LabelledSplit], digest: str
) -> InputDataError:
    """Say in what the labels differ from those that the store has under the same name."""
    latest = known[-1].split_digest
    parts = {held.split: np.asarray(held.labels) for held in known if held.split_digest == latest}
    hashes = f"split hash {digest[:12]} against {latest[:12]}"
    examples = sum(map(len, parts.values()))
    assignment, _ = halves(dataset, np.zeros(examples, dtype=np.int64))
    rows = {"select": assignment.select, "report": assignment.report}
    recipes = {r.member.recipe for r in store.predictions(dataset, "report")}
    if RECIPE not in recipes or {s: len(p) for s, p in parts.items()} != {s: len(r) for s, r in rows.items()}:
        reason = "that data set was split elsewhere; say --split select or --split report"
    else:
        labels = np.empty(examples, dtype=np.int64)
        for part, positions in rows.items():
            labels[positions] = parts[part]
        reason = _other_names(found, known[-1].class_names) or _difference(found.labels, labels)
    return InputDataError(
        f"{found.path.name} has other examples, or another order, than {dataset} in this store "
        f"({hashes}): {reason}; or import it under another --dataset name"
    )


def _difference(mine: np.ndarray, theirs: np.ndarray) -> str:
    if len(mine) != len(theirs):
        return f"{len(mine):,} labels against {len(theirs):,}"
    differ = np.flatnonzero(mine != theirs)
    if not len(differ):
        return "the labels agree, the ids of the examples do not (or only one file has ids)"
    row = int(differ[0])
    return (
        f"{len(differ):,} of {len(mine):,} labels differ, first in row {row}: {int(mine[row])} here, "
        f"{int(theirs[row])} there"
    )


def _other_names(found: Predictions, held: Sequence[str]) -> str:
    """Say in what the names of the classes differ; empty where they do not, or one side has but numbers.

    Labels that are texts get their numbers from these names, so names are compared before labels.
    """
    own = found.class_names
    if not own or are_numbers(own) or are_numbers(held) or own == tuple(held):
        return ""
    place = next((i for i, (mine, theirs) in enumerate(zip(own, held, strict=False)) if mine != theirs), None)
    if place is None:
        return f"{len(own)} classes here, {len(held)} in the store"
    return f"class {place} is {own[place]!r} here and {held[place]!r} in the store; another order of classes?"


def merged_class_names(found: Predictions, held: tuple[str, ...], classes: int) -> tuple[str, ...]:
    """Return the classes' names: the store's go before the file's, and names before bare numbers.

    Raises:
        InputDataError: the file and the store name a class differently.
    """
    own = found.class_names or tuple(map(str, range(classes)))
    if not held or are_numbers(held):
        return own
    if other := _other_names(found, held):
        raise InputDataError(f"{found.path.name}: {other}")
    return held

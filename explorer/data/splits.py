"""Decide which example trains, which one chooses and which one is only ever reported on.

The three parts of every data set:

- ``train``: networks learn from it;
- ``select``: members, weights and thresholds are chosen on it;
- ``report``: every quoted accuracy comes from it, and nothing is ever chosen on it.

A publisher's test set is always ``report``, whole and in the publisher's order, so that published
figures and predictions made elsewhere line up. Where an example goes otherwise depends on nothing but
the SHA-256 of its key: no random generator, whose stream could change between versions, and no
dependence on the machine. Within a part examples keep the order of their source.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.errors import InputDataError

SPLIT_NAMES = ("train", "select", "report")

SELECT_SHARE = 0.2
"""Share of a data set without published splits that goes to ``select``."""
REPORT_SHARE = 0.2
"""Share of a data set without published splits that goes to ``report``."""

# Format history: 1 = fingerprint, then the three index lists as little-endian int64.
_DIGEST_FORMAT = "explorer-split-1"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assignment:
    """Which examples of a source belong to which part: three disjoint index lists that cover it."""

    train: np.ndarray
    """int64 [example], ascending positions in the source."""
    select: np.ndarray
    """int64 [example], ascending positions in the source."""
    report: np.ndarray
    """int64 [example], ascending positions in the source."""

    def __post_init__(self) -> None:
        together = np.concatenate([self.train, self.select, self.report])
        assert np.array_equal(np.sort(together), np.arange(len(together))), "parts overlap or leave gaps"


def hashed_order(keys: Sequence[str]) -> list[int]:
    """Return the positions of ``keys``, ordered by the SHA-256 of each key."""
    digests = [hashlib.sha256(key.encode()).digest() for key in keys]
    return sorted(range(len(keys)), key=digests.__getitem__)


def index_keys(dataset: str, examples: int) -> list[str]:
    """Return the keys ``DATASET/INDEX`` of a data set whose order is fixed by its publisher."""
    return [f"{dataset}/{index}" for index in range(examples)]


def split_by_counts(dataset: str, *, train: int, select: int, report: int) -> Assignment:
    """Split a source of ``train + select + report`` examples that has no published test set."""
    order = np.array(hashed_order(index_keys(dataset, train + select + report)), dtype=np.int64)
    return Assignment(
        train=np.sort(order[:train]),
        select=np.sort(order[train : train + select]),
        report=np.sort(order[train + select :]),
    )


def split_published(dataset: str, *, published_train: int, published_test: int, select: int) -> Assignment:
    """Take ``select`` out of the published training set; the published test set is ``report``.

    Positions count the published training examples first, then the published test examples.
    """
    order = np.array(hashed_order(index_keys(dataset, published_train)), dtype=np.int64)
    return Assignment(
        train=np.sort(order[select:]),
        select=np.sort(order[:select]),
        report=np.arange(published_train, published_train + published_test, dtype=np.int64),
    )


def split_by_class(keys: Sequence[str], labels: np.ndarray, *, test: np.ndarray | None = None) -> Assignment:
    """Split examples class by class, so that a rare class occurs in every part.

    Args:
        keys: what each example is known by; its hash decides where the example goes.
        labels: int64 [example].
        test: bool [example], the examples of a test set that came with the data; they are ``report``,
            and `SELECT_SHARE` of the rest is ``select``. None: `SELECT_SHARE` and `REPORT_SHARE` of
            all. Shares are rounded within each class, to at least one example.

    Raises:
        InputDataError: a class has too few examples to be in every part.
    """
    wanted = 3 if test is None else 2
    parts: dict[str, list[int]] = {name: [] for name in SPLIT_NAMES}
    for label in np.unique(labels):
        pool = np.flatnonzero(labels == label) if test is None else np.flatnonzero((labels == label) & ~test)
        if len(pool) < wanted:
            first = keys[int(np.flatnonzero(labels == label)[0])]
            raise InputDataError(
                f"the class of {first!r} has {len(pool)} training examples; at least {wanted} are needed, "
                f"one for each of {'train, select and report' if test is None else 'train and select'}"
            )
        ordered = [int(pool[i]) for i in hashed_order([keys[int(p)] for p in pool])]
        report = max(1, round(REPORT_SHARE * len(pool))) if test is None else 0
        select = max(1, round(SELECT_SHARE * len(pool)))
        parts["report"] += ordered[:report]
        parts["select"] += ordered[report : report + select]
        parts["train"] += ordered[report + select :]
    if test is not None:
        parts["report"] = [int(i) for i in np.flatnonzero(test)]
    return Assignment(**{name: np.array(sorted(part), dtype=np.int64) for name, part in parts.items()})


def content_fingerprint(images: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> str:
    """Return the SHA-256 of what a data set is: class names, shapes, pixels and labels, in order.

    Args:
        images: uint8 [example, height, width, channel].
        labels: int64 [example].
        classes: class names; the label is the index.
    """
    digest = hashlib.sha256(repr((tuple(classes), images.shape)).encode())
    digest.update(np.ascontiguousarray(images).data)
    digest.update(np.ascontiguousarray(labels, dtype="<i8").data)
    return digest.hexdigest()


def split_digest(fingerprint: str, assignment: Assignment) -> str:
    """Return the SHA-256 that names a split: the content and which example went where.

    Two predictions are of the same examples in the same order exactly when their digests are equal.
    """
    digest = hashlib.sha256(f"{_DIGEST_FORMAT}\n{fingerprint}\n".encode())
    for name in SPLIT_NAMES:
        positions = np.ascontiguousarray(getattr(assignment, name), dtype="<i8")
        digest.update(f"{name} {len(positions)}\n".encode())
        digest.update(positions.data)
    return digest.hexdigest()

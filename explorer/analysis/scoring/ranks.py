"""Is the true class among the k largest? For many averages at once, from the few classes that matter.

Accuracy, top-k accuracy, worst-class accuracy. Exact for every averaging rule and every non-negative
weighting; see `rank_kernels.contenders`. Examples whose true class is not kept are wrong for all of them,
examples that keep no more than k classes, the true one among them, are right for all: neither is held.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from explorer.analysis.blocks import Members, blocks
from explorer.analysis.scoring.rank_kernels import among_largest, contenders
from explorer.analysis.scoring.weightings import (
    Scores,
    Weightings,
    check_block,
    unit_of,
    values_of,
    votes_or_codes,
)
from explorer.spec import Averaging

_BLOCK_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """The classes that matter in some consecutive examples."""

    offsets: np.ndarray
    """Where each held example's entries are, int64 ``[example + 1]``."""
    truth: np.ndarray
    """Entry of the true class, int64 ``[example]``; -1 where it is not among the entries."""
    labels: np.ndarray
    """True classes of the examples held, int64 ``[example]``."""
    settled: np.ndarray
    """True classes of the examples that are always right and not held, int64 ``[example]``."""
    values: np.ndarray
    """What members add, float32 or float64 ``[member, entry]``."""

    @property
    def nbytes(self) -> int:
        """Return the memory it takes."""
        return sum(a.nbytes for a in (self.offsets, self.truth, self.labels, self.settled, self.values))

    def sums(self, weightings: Weightings) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield rows a few at a time with their sums, float64 ``[row, entry]``."""
        if len(self.labels) == 0:
            return
        wide = self.values.astype(np.float64)
        for rows, matrix in weightings.chunks(wide.shape[1]):
            yield rows, np.ascontiguousarray(matrix @ wide)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """All parts of a split: in memory, or worked out again from the members at each reading."""

    members: Members
    labels: np.ndarray
    averaging: Averaging
    places: int
    hold_settled: bool
    """Keep also the examples that are right, or wrong, under every weighting."""
    held: tuple[Part, ...] | None
    """None where they would take more memory than allowed."""

    def parts(self) -> Iterator[Part]:
        """Yield the parts in order."""
        if self.held is not None:
            yield from self.held
            return
        for part, block in blocks(self.members, block_bytes=_BLOCK_BYTES):
            yield _part(block, self.labels[part], self.averaging, self.places, self.hold_settled)


def build_table(
    members: Members,
    labels: np.ndarray,
    averaging: Averaging,
    *,
    places: int,
    table_bytes: int,
    hold_settled: bool = False,
) -> Table:
    """Work out which classes matter, block by block.

    Args:
        members: of one split.
        labels: checked, int64 ``[example]``.
        averaging: the rule.
        places: how many classes an answer names.
        table_bytes: most memory the parts may take; beyond it they are worked out at each reading.
        hold_settled: keep also the examples that are right, or wrong, under every weighting.

    Raises:
        InputDataError: members that do not fit together, or with impossible probabilities.
    """
    table = Table(
        members=members,
        labels=labels,
        averaging=averaging,
        places=places,
        hold_settled=hold_settled,
        held=None,
    )
    held, taken = [], 0
    for part in table.parts():
        held.append(part)
        taken += part.nbytes
        if taken > table_bytes:
            return table
    return Table(
        members=members,
        labels=labels,
        averaging=averaging,
        places=places,
        hold_settled=hold_settled,
        held=tuple(held),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RankScorer:
    """Accuracy, or top-k accuracy; or the lowest over the classes that occur."""

    table: Table
    worst_class: bool

    def __call__(self, weightings: Weightings) -> Scores:
        """Return the metric of every row."""
        labels = self.table.labels
        classes = int(labels.max()) + 1 if self.worst_class else 1
        right = np.zeros((weightings.rows, classes), np.int64)
        near = np.zeros(weightings.rows, np.int64)
        tolerance = weightings.tolerance(self.table.averaging, unit_of(self.table.averaging))
        for part in self.table.parts():
            group = part.labels if self.worst_class else np.zeros_like(part.labels)
            settled = part.settled if self.worst_class else np.zeros_like(part.settled)
            right += np.bincount(settled, minlength=classes)
            for rows, sums in part.sums(weightings):
                hits, unsure = among_largest(
                    sums, part.offsets, part.truth, self.table.places, tolerance[rows]
                )
                near[rows] += np.count_nonzero(unsure, axis=1)
                right[rows] += _by_group(hits, group, classes)
        if not self.worst_class:
            return Scores(values=right[:, 0] / len(labels), near_ties=near)
        counts = np.bincount(labels)
        occurs = counts > 0
        return Scores(values=(right[:, occurs] / counts[occurs]).min(axis=1), near_ties=near)


def _by_group(hits: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Return how often each row hits in each group, int64 ``[row, group]``."""
    if groups == 1:
        return hits.sum(axis=1, dtype=np.int64)[:, None]
    row, example = np.nonzero(hits)
    counts: np.ndarray = np.bincount(row * groups + group[example], minlength=len(hits) * groups)
    return counts.reshape(-1, groups)


def _part(
    block: np.ndarray, labels: np.ndarray, averaging: Averaging, places: int, hold_settled: bool
) -> Part:
    codes = votes_or_codes(check_block(block), averaging)
    offsets, kept = contenders(codes, places)
    sizes = np.diff(offsets)
    owner = np.repeat(np.arange(len(labels)), sizes)
    true_entries = np.flatnonzero(kept == labels[owner])
    truth = np.full(len(labels), -1, np.int64)
    truth[owner[true_entries]] = true_entries
    always = np.zeros(len(labels), dtype=bool)
    if not hold_settled:
        always = (truth >= 0) & (sizes <= places)
        open_ = (truth >= 0) & ~always
        chosen = open_[owner]
        # how far an entry moves to the front
        shift = np.cumsum(~chosen)
        truth = truth[open_] - shift[truth[open_]]
        kept, owner, sizes = kept[chosen], owner[chosen], sizes[open_]
        settled, labels = labels[always], labels[open_]
    else:
        settled = labels[always]
    return Part(
        offsets=np.append(0, np.cumsum(sizes)).astype(np.int64),
        truth=truth,
        labels=labels,
        settled=settled,
        values=values_of(codes[:, owner, kept], averaging),
    )

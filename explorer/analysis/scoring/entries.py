"""The classes that can still win, example by example: what sums of logarithms are decided from.

`explorer.analysis.scoring.margins` is faster, and for whole numbers only: a difference of logarithms would
round differently than the sums that the plain definition compares.
"""

from dataclasses import dataclass

import numpy as np

from explorer.analysis.blocks import Members, blocks, check_labels, check_members
from explorer.analysis.scoring.combine import member_values
from explorer.analysis.scoring.kernels import right_answers, undominated
from explorer.spec import Averaging

_BLOCK_BYTES = 2**23
"""Of float16: the values of a block take four times as much."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entries:
    """The classes that can still win; see `kernels.undominated`."""

    examples: int
    """Of the split, the settled ones included."""
    always_right: np.ndarray
    """Examples of which only the true class is left, int64 ``[settled]``."""
    undecided: np.ndarray
    """Examples with the true class and another one left, int64 ``[undecided]``."""
    offsets: np.ndarray
    """Where each undecided example's entries are, int64 ``[undecided + 1]``."""
    hits: np.ndarray
    """Whether an entry's class is the true one, bool ``[entry]``."""
    table: np.ndarray
    """Values ``[member, entry]``."""

    def right(self, sets: np.ndarray) -> np.ndarray:
        """Return which undecided examples each set of members answers right, uint8 ``[set, undecided]``."""
        return right_answers(sets, self.offsets, self.hits, self.table)


def entries(members: Members, labels: np.ndarray, averaging: Averaging) -> Entries:
    """Prepare the members' probabilities for scoring many sets of them, a block of examples at a time.

    Raises:
        InputDataError: probabilities or labels of the wrong shape.
    """
    check_labels(labels, check_members(members)[0])
    settled, undecided, widths, hits, tables = [], [], [], [], []
    for part, probabilities in blocks(members, block_bytes=_BLOCK_BYTES):
        ends, kept, table = undominated(member_values(probabilities, averaging))
        wide = np.diff(ends)
        of_entry = np.repeat(np.arange(len(wide)), wide)
        hit = kept == labels[part][of_entry]
        has_truth = np.zeros(len(wide), bool)
        has_truth[of_entry[hit]] = True
        open_ = has_truth & (wide > 1)
        settled.append(np.flatnonzero(has_truth & (wide == 1)) + part.start)
        undecided.append(np.flatnonzero(open_) + part.start)
        widths.append(wide[open_])
        hits.append(hit[open_[of_entry]])
        tables.append(table[:, open_[of_entry]])
    return Entries(
        examples=len(labels),
        always_right=np.concatenate(settled),
        undecided=np.concatenate(undecided),
        offsets=np.concatenate([[0], np.cumsum(np.concatenate(widths))]),
        hits=np.concatenate(hits),
        table=np.ascontiguousarray(np.concatenate(tables, axis=1)),
    )

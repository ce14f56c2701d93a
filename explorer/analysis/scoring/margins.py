"""What decides whether an average is right: the true class against every rival that can still win.

Scoring needs no decision, only whether it is the true class. Per example the classes that can win for some
non-negative weighting are kept (`explorer.analysis.scoring.kernels.undominated`); where the true class is
the only one left, every average is right, and where it is not among them, none is. Of the other examples
one number a member and rival is kept, true class minus rival, in the integers of
`explorer.analysis.scoring.combine`: an average is right where every sum of these is above zero, or zero
against a rival of higher index.
"""

from dataclasses import dataclass

import numpy as np

from explorer.analysis.scoring.blocks import Members, blocks, check_labels, check_members
from explorer.analysis.scoring.combine import EXACT, member_values
from explorer.analysis.scoring.kernels import undominated
from explorer.analysis.scoring.margin_kernels import right_of_sets
from explorer.errors import UsageError
from explorer.spec import Averaging

_BLOCK_BYTES = 2**23
"""Of float16: the integers of a block take twice as much, and so do its classes that can win."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Margins:
    """Members' margins of the true class over its rivals, example by example.

    Examples with the same number of rivals stand together, rival by rival, so that adding a member and
    counting right answers are runs over neighbouring integers.
    """

    examples: int
    """Of the split, the settled ones included."""
    always_right: np.ndarray
    """Examples that every average answers right, int64 ``[settled]``."""
    undecided: np.ndarray
    """The examples of the groups, one after the other, int64 ``[undecided]``; those neither here nor always
    right are never right."""
    table: np.ndarray
    """int32 ``[member, pair]``: true class minus rival."""
    bias: np.ndarray
    """int32 ``[pair]``: 1 where a tie goes to the true class, else 0."""
    groups: np.ndarray
    """(first pair, rivals, examples) of each group, int64 ``[group, 3]``; its pairs are
    ``[rival, example]``."""

    @property
    def members(self) -> int:
        """How many members there are."""
        return len(self.table)

    def right(self, sets: np.ndarray) -> np.ndarray:
        """Return which undecided examples each set of members answers right, uint8 ``[set, undecided]``.

        Args:
            sets: member indices int32 ``[set, slot]``, padded with -1; a member may stand in it twice.
        """
        right = np.empty((len(sets), len(self.undecided)), np.uint8)
        right_of_sets(sets, (self.table, self.bias, self.groups), right)
        return right


def margins(members: Members, labels: np.ndarray, averaging: Averaging = Averaging.MEAN) -> Margins:
    """Work out the margins of a split, a block of examples at a time.

    Args:
        members: float16 probabilities of each member.
        labels: int ``[example]``.
        averaging: ``mean`` or ``vote``: margins of the other rules would round differently than their sums.

    Raises:
        UsageError: another averaging rule.
        InputDataError: probabilities or labels of the wrong shape.
    """
    if averaging not in EXACT:
        raise UsageError(f"margins are exact for {' and '.join(EXACT)} only, got {averaging}")
    examples, _ = check_members(members)
    check_labels(labels, examples)
    settled, found = [], []
    for part, probabilities in blocks(members, block_bytes=_BLOCK_BYTES):
        kept = undominated(member_values(probabilities, averaging))
        always, pairs = _pairs(kept, labels[part])
        settled.append(always + part.start)
        found.append((pairs[0] + part.start, *pairs[1:]))
    example = np.concatenate([pairs[0] for pairs in found])
    rival = np.concatenate([pairs[1] for pairs in found])
    bias = np.concatenate([pairs[2] for pairs in found])
    undecided, groups, place = _grouped(example, rival)
    table = np.empty((len(members), len(place)), np.int32)
    start = 0
    for pairs in found:
        # one block's columns at a time: the blocks and the whole table need not be held together
        stop = start + len(pairs[0])
        table[:, place[start:stop]] = pairs[3]
        start = stop
    grouped_bias = np.empty(len(place), np.int32)
    grouped_bias[place] = bias
    return Margins(
        examples=examples,
        always_right=np.concatenate(settled),
        undecided=undecided,
        table=table,
        bias=grouped_bias,
        groups=groups,
    )


def _pairs(kept: tuple, labels: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Return the examples that are always right, and of each pair: example, rival's number, bias, margins."""
    offsets, classes, table = kept
    widths = np.diff(offsets)
    of_entry = np.repeat(np.arange(len(labels)), widths)
    hits = np.flatnonzero(classes == labels[of_entry])
    has_truth = of_entry[hits]
    always = has_truth[widths[has_truth] == 1]
    truth = np.full(len(labels), -1)
    truth[has_truth] = hits
    rivals = np.flatnonzero((truth[of_entry] >= 0) & (truth[of_entry] != np.arange(len(classes))))
    example = of_entry[rivals]
    number = rivals - offsets[example]
    number -= rivals > truth[example]
    bias = (rivals > truth[example]).astype(np.int32)
    return always, (example, number, bias, table[:, truth[example]] - table[:, rivals])


def _grouped(example: np.ndarray, rival: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the examples group by group, the groups, and the place of every pair."""
    distinct, of_pair, widths = np.unique(example, return_inverse=True, return_counts=True)
    by_width = np.lexsort((distinct, widths))
    group_widths, sizes = np.unique(widths, return_counts=True)
    starts = np.concatenate([[0], np.cumsum(group_widths * sizes)])[:-1]
    firsts = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    rank = np.empty(len(distinct), np.int64)
    rank[by_width] = np.arange(len(distinct))
    group = np.searchsorted(group_widths, widths[of_pair])
    place = starts[group] + rival * sizes[group] + rank[of_pair] - firsts[group]
    groups = np.stack([starts, group_widths, sizes], axis=1).astype(np.int64)
    return distinct[by_width], groups, place

"""What decides whether an average is right: the true class against every rival that can still win.

Scoring needs no decision, only whether it is the true class. Per example the classes that can win for some
non-negative weighting are kept (`explorer.analysis.scoring.kernels.undominated`); where the true class is
the only one left, every average is right, and where it is not among them, none is. Of the other examples
one number a member and rival is kept, true class minus rival, in the integers of
`explorer.analysis.scoring.combine`: an average is right where every sum of these is above zero, or zero
against a rival of higher index.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.analysis.blocks import Members, blocks, check_labels, check_members
from explorer.analysis.scoring.combine import EXACT, member_values
from explorer.analysis.scoring.kernels import undominated
from explorer.analysis.scoring.margin_kernels import right_of_sets
from explorer.errors import UsageError
from explorer.spec import Averaging

_BLOCK_BYTES = 2**23
"""Of float16: the integers of a block take twice as much, and so do its classes that can win."""
_WIDTHS = np.unique(np.concatenate([np.arange(9), np.ceil(8 * 1.2 ** np.arange(1, 60))])).astype(np.int64)
"""Rivals that groups have: each number up to eight, then in steps of a fifth; the last is above 2^16."""
_PART_BYTES = 2**28
"""Of margins that are grouped in one go. Only tables of several hundred MiB have more than one part."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Margins:
    """Members' margins of the true class over its rivals, example by example.

    Examples with about the same number of rivals stand together, rival by rival, so that adding a member
    and counting right answers are runs over neighbouring integers.
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
    ``[rival, example]``. Large tables are grouped part by part: then widths occur again."""

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """Some of a split's examples: the fields of `Margins`, pairs counted from here."""

    undecided: np.ndarray
    bias: np.ndarray
    groups: np.ndarray
    table: np.ndarray


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
    settled: list[np.ndarray] = []
    found: list[tuple[np.ndarray, ...]] = []
    parts: deque[_Part] = deque()
    for part, probabilities in blocks(members, block_bytes=_BLOCK_BYTES):
        kept = undominated(member_values(probabilities, averaging))
        always, pairs = _pairs(kept, labels[part])
        settled.append(always + part.start)
        found.append((pairs[0] + part.start, *pairs[1:]))
        if sum(pairs[3].nbytes for pairs in found) >= _PART_BYTES:
            parts.append(_grouped(found))
            found = []
    if found:
        parts.append(_grouped(found))
    firsts = np.cumsum([0, *(part.table.shape[1] for part in parts)])
    return Margins(
        examples=examples,
        always_right=np.concatenate(settled),
        undecided=np.concatenate([part.undecided for part in parts]),
        bias=np.concatenate([part.bias for part in parts]),
        groups=np.concatenate(
            [_moved(part.groups, first) for part, first in zip(parts, firsts, strict=False)]
        ),
        table=_side_by_side(parts, len(members)),
    )


def _moved(groups: np.ndarray, pairs: int) -> np.ndarray:
    """Return groups of a part that begins after so many pairs."""
    return groups + np.array([pairs, 0, 0])


def _side_by_side(parts: deque[_Part], members: int) -> np.ndarray:
    """Join the parts' columns, and let go of each: the parts and the whole are never held together."""
    if len(parts) == 1:
        return parts.popleft().table
    table = np.empty((members, sum(part.table.shape[1] for part in parts)), np.int32)
    start = 0
    while parts:
        part = parts.popleft().table
        table[:, start : start + part.shape[1]] = part
        start += part.shape[1]
    return table


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


def _grouped(found: Sequence[tuple[np.ndarray, ...]]) -> _Part:
    """Put examples with as many rivals side by side: what `_pairs` returned for one block or several.

    Above eight rivals about as many is enough: a thousand classes leave examples of every width, and
    groups of a few examples each would be counted one by one.
    """
    example, rival, bias = (np.concatenate([pairs[of] for pairs in found]) for of in range(3))
    distinct, of_pair, rivals = np.unique(example, return_inverse=True, return_counts=True)
    widths = _WIDTHS[np.searchsorted(_WIDTHS, rivals)]
    by_width = np.lexsort((distinct, widths))
    group_widths, sizes = np.unique(widths, return_counts=True)
    starts = np.concatenate([[0], np.cumsum(group_widths * sizes)])[:-1]
    firsts = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    rank = np.empty(len(distinct), np.int64)
    rank[by_width] = np.arange(len(distinct))
    group = np.searchsorted(group_widths, widths)
    # where each example's first pair stands, and how far the next one is
    origin, stride = starts[group] + rank - firsts[group], sizes[group]
    place = origin[of_pair] + rival * stride[of_pair]
    table = np.empty((len(found[0][3]), int((group_widths * sizes).sum())), np.int32)
    ordered = np.empty(table.shape[1], np.int32)
    ends = np.cumsum([0, *(pairs[3].shape[1] for pairs in found)])
    for pairs, start, stop in zip(found, ends[:-1], ends[1:], strict=True):
        table[:, place[start:stop]] = pairs[3]
    ordered[place] = bias
    # what is missing to the group's width is filled with the first rival again: it decides nothing new
    missing = widths - rivals
    of_gap = np.repeat(np.arange(len(distinct)), missing)
    number = np.arange(len(of_gap)) - np.repeat(np.cumsum(missing) - missing, missing) + rivals[of_gap]
    gaps = origin[of_gap] + number * stride[of_gap]
    table[:, gaps], ordered[gaps] = table[:, origin[of_gap]], ordered[origin[of_gap]]
    groups = np.stack([starts, group_widths, sizes], axis=1).astype(np.int64)
    return _Part(undecided=distinct[by_width], bias=ordered, groups=groups, table=table)

"""What a greedy round looks up: tables of an objective, built block by block.

Every table scores "the members so far, and one more" for all candidates in one call, as an error: less is
better. The sums over the members so far are held between rounds, so that a candidate costs one pass over its
own row (accuracy, log loss) or one addition (Brier score).
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from explorer.analysis.blocks import Members, blocks, check_members
from explorer.analysis.search.greedy_kernels import (
    add_gram,
    class_totals,
    count_right,
    fixed_point,
    log_losses,
    rival_margins,
    scatter,
)
from explorer.errors import InputDataError

_ONE, _MINUS_ZERO = 0x3C00, 0x8000
"""1.0 and -0.0 as bits of float16."""
_Made = TypeVar("_Made")
_Pairs = tuple[int, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AccuracyTable:
    """Margins of the true class over each rival that can still win, in integers.

    Examples whose answer no weighting changes are gone. The others come with most rivals first; the first
    rivals of all of them are the first pairs, then the second rivals of those that have two, and so on.
    """

    examples: int
    settled: int
    """Examples that every weighting answers right."""
    margins: np.ndarray
    """True class minus rival, int32 ``[member, pair]``."""
    bias: np.ndarray
    """1 where a tie goes to the true class, else 0: int32 ``[pair]``."""
    starts: np.ndarray
    """First pair of the first rivals, the second rivals, ...: int64 ``[rival + 1]``."""

    def start(self) -> np.ndarray:
        """Return the sums over no members."""
        return self.bias.copy()

    def add(self, running: np.ndarray, member: int, times: int = 1) -> None:
        """Add one member to the sums."""
        # times stays a Python number: the sum is int32 as its parts are
        running += self.margins[member] if times == 1 else times * self.margins[member]

    def errors(self, running: np.ndarray, picked: int, candidates: np.ndarray) -> np.ndarray:
        """Return the error rate with each candidate added, float64 ``[candidate]``."""
        right = np.empty(len(candidates), np.int64)
        count_right(running, self.margins, self.starts, candidates, right)
        return 1.0 - (self.settled + right) / self.examples


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogLossTable:
    """The true class's probability: all that a log loss depends on."""

    true: np.ndarray
    """Probability of the true class x 2^24, int32 ``[member, example]``."""
    total: np.ndarray
    """What the average is divided by: the sum over classes x 2^24, or 2^24; float64 ``[member, example]``."""
    floor: float
    """Averages are clipped to ``[floor, 1 - 2^-52]``."""

    def start(self) -> np.ndarray:
        """Return the sums over no members."""
        return np.zeros((2, self.true.shape[1]))

    def add(self, running: np.ndarray, member: int, times: int = 1) -> None:
        """Add one member to the sums."""
        running[0] += times * self.true[member]
        running[1] += times * self.total[member]

    def errors(self, running: np.ndarray, picked: int, candidates: np.ndarray) -> np.ndarray:
        """Return the log loss with each candidate added, in nats, float64 ``[candidate]``."""
        losses = np.empty(len(candidates))
        log_losses(running, self.true, self.total, self.floor, candidates, losses)
        return losses


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BrierTable:
    """Inner products of the members' deviations from the truth: a Brier score is a quadratic form of them."""

    gram: np.ndarray
    """Mean over examples of (p_m - truth) . (p_n - truth), float64 ``[member, member]``."""

    def start(self) -> np.ndarray:
        """Return the inner products of no members with every member, and with themselves as the last."""
        return np.zeros(len(self.gram) + 1)

    def add(self, running: np.ndarray, member: int, times: int = 1) -> None:
        """Add one member to the sums."""
        running[-1] += 2 * times * running[member] + times**2 * self.gram[member, member]
        running[:-1] += times * self.gram[member]

    def errors(self, running: np.ndarray, picked: int, candidates: np.ndarray) -> np.ndarray:
        """Return the Brier score with each candidate added, float64 ``[candidate]``."""
        squares = running[-1] + 2 * running[candidates] + self.gram[candidates, candidates]
        return np.asarray(squares / (picked + 1) ** 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which tables to build in one pass over the probabilities."""

    accuracy: bool = False
    true: bool = False
    totals: bool = False
    brier: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tables:
    """What `read_tables` found; None where it was not wanted."""

    examples: int
    accuracy: AccuracyTable | None
    true: np.ndarray | None
    """int32 ``[member, example]``, x 2^24."""
    totals: np.ndarray | None
    """Sum over classes, float64 ``[member, example]``, x 2^24."""
    gram: np.ndarray | None
    """float64 ``[member, member]``"""


def read_tables(
    members: Members, labels: np.ndarray, wanted: Wanted, should_stop: Callable[[], bool] | None = None
) -> Tables | None:
    """Read every probability once, a few blocks at a time; None when told to stop.

    Args:
        members: of one split.
        labels: true classes int ``[example]``.
        wanted: which tables.
        should_stop: asked before every block.

    Raises:
        InputDataError: members, probabilities or labels that are not what they should be.
    """
    examples, classes = check_members(members)
    _check_labels(labels, examples, classes)
    count = len(members)
    true = np.empty((count, examples), np.int32) if wanted.true else None
    totals = np.empty((count, examples)) if wanted.totals else None
    gram = np.zeros((count, count)) if wanted.brier else None
    found: list[tuple[np.ndarray, ...]] = []
    settled = 0

    def work(part: slice, block: np.ndarray) -> tuple[_Pairs | None, np.ndarray | None]:
        bits, truth = _bits(block), np.ascontiguousarray(labels[part], dtype=np.int64)
        if true is not None:
            true[:, part] = fixed_point(bits[:, np.arange(len(truth)), truth])
        if totals is not None:
            class_totals(bits, totals[:, part])
        pairs = rival_margins(bits, truth) if wanted.accuracy else None
        products = np.zeros((count, count)) if wanted.brier else None
        if products is not None:
            add_gram(bits, truth, products)
        return pairs, products

    for result in _piped(members, work, should_stop):
        if result is None:
            return None
        pairs, products = result
        if pairs is not None:
            settled += pairs[0]
            found.append(pairs[1:])
        if gram is not None and products is not None:
            gram += products
    return Tables(
        examples=examples,
        accuracy=_accuracy_table(examples, settled, found, count) if wanted.accuracy else None,
        true=true,
        totals=totals,
        gram=None if gram is None else (np.tril(gram) + np.tril(gram, -1).T) / examples,
    )


def threads() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _piped(
    members: Members,
    work: Callable[[slice, np.ndarray], _Made],
    should_stop: Callable[[], bool] | None,
) -> Iterator[_Made | None]:
    """Yield ``work`` of each block in order, None last if stopped; threads work while the next is read."""
    examples, classes = check_members(members)
    # small inputs in parts too, so that every thread has some; large ones in long runs of the files
    block_bytes = min(max(2 * len(members) * examples * classes // 16, 2**19), 2**25)
    many = threads()
    waiting: deque[Future[_Made]] = deque()
    with ThreadPoolExecutor(many) as pool:
        for part, block in blocks(members, block_bytes=block_bytes):
            if should_stop is not None and should_stop():
                for future in waiting:
                    future.cancel()
                yield None
                return
            waiting.append(pool.submit(work, part, block))
            if len(waiting) > many:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _bits(block: np.ndarray) -> np.ndarray:
    bits = block.view(np.uint16)
    if bits.size and bits.max() > _ONE:
        # blocks are copies: minus zero may be made zero here
        bits[bits == _MINUS_ZERO] = 0
        if bits.max() > _ONE:
            wrong = float(block[bits > _ONE][0])
            raise InputDataError(f"probabilities must lie in [0, 1], got {wrong}")
    return bits


def _check_labels(labels: np.ndarray, examples: int, classes: int) -> None:
    if labels.shape != (examples,) or labels.dtype.kind not in "iu":
        raise InputDataError(
            f"labels must be {examples} integers, one an example, got {labels.dtype} {list(labels.shape)}"
        )
    if examples == 0 or labels.min() < 0 or labels.max() >= classes:
        have = f"{labels.min()} to {labels.max()}" if examples else "none"
        raise InputDataError(
            f"labels must be 0 to {classes - 1}, the classes of the probabilities, got {have}"
        )


def _accuracy_table(
    examples: int, settled: int, found: list[tuple[np.ndarray, ...]], members: int
) -> AccuracyTable:
    """Lay out the pairs of all blocks rival by rival; each block's pairs are freed once they are copied."""
    widths = np.concatenate([part[0] for part in found])
    order = np.argsort(-widths, kind="stable")
    rank = np.empty(len(widths), np.int64)
    rank[order] = np.arange(len(widths))
    rivals = int(widths.max()) if len(widths) else 0
    having = np.bincount(widths, minlength=rivals + 1)[::-1].cumsum()[::-1][1:]
    starts = np.concatenate([[0], np.cumsum(having)]).astype(np.int64)
    margins = np.empty((members, int(starts[-1])), np.int32)
    bias = np.empty(int(starts[-1]), np.int32)
    done = 0
    found.reverse()
    while found:
        width, late, values = found.pop()
        scatter(width, late, values, rank[done : done + len(width)], starts, bias, margins)
        done += len(width)
    return AccuracyTable(examples=examples, settled=settled, margins=margins, bias=bias, starts=starts)

"""How often a design is on the front, or the best under a budget, when the examples are drawn again.

What such a probability means: of test sets as large as this one, drawn again with replacement from its
examples (and, where designs stand for a model and its seeds, of other seeds), in which share does this list
of designs have this design on its front. It says how firmly the finding stands on these examples.

What it does not mean: the probability that the design is on the true front, or that it will win in use.
Draws are made around the accuracies seen here, not the true ones: a design that was lucky on these examples
is lucky in every draw, so a design that was *chosen* on them looks too firm (`optimism` measures that). It
depends on the
list: two near-equal designs share what one of them would have alone. And it knows nothing of other data, of a
shift, or of the error of a measured cost.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from explorer.analysis.statistics.seeds import Resampling, SeedValues
from explorer.errors import InputDataError, UsageError

DRAWS = 1_000
_SEED = 20005
_Sums = tuple[np.ndarray, np.ndarray, np.ndarray]
_NUMBERS_A_BLOCK = 16_000_000
"""Numbers of one kind worked on at once: counts of examples, answers of designs, accuracies."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrontShares:
    """Where each design stands over the draws."""

    on_front: np.ndarray
    """Share of draws in which no other design beats it, float64 ``[design]``; equal designs count alike."""
    best: np.ndarray
    """Share of draws in which it is the most accurate within the budget, float64 ``[budget, design]``.

    The m designs that tie for it get 1 / m of that draw each: the shares of a budget add up to the share of
    draws in which any design is within it.
    """
    affordable: np.ndarray
    """Share of draws in which its cost is within the budget, float64 ``[budget, design]``."""
    regret: np.ndarray
    """Accuracy that having chosen it gives away, float64 ``[budget, design]``; NaN if it is never affordable.

    The best affordable design's accuracy minus its own, mean over the draws in which it is affordable. The
    best is another one in each draw, so that of many equal designs each has some regret.
    """
    budgets: tuple[float, ...]
    draws: int
    n: int
    """Examples; 0 where only draws were given."""


def on_front_probability(
    right: np.ndarray,
    costs: np.ndarray,
    *,
    budgets: Sequence[float] = (),
    draws: int = DRAWS,
    seed: int = _SEED,
) -> FrontShares:
    """Draw the examples again and again; return how often each design is on the front.

    The same draw for all designs, so that comparisons are paired. A right answer counts as often as its
    example was drawn: one matrix product ``[design, example] x [example, draw]``, in blocks of both; sums
    of right answers are exact.

    Args:
        right: which examples each design answers right, bool or uint8 ``[design, example]``.
        costs: float64 ``[design]``; or ``[design, example]`` for cascades, then a draw's cost is its mean.
        budgets: most a design may cost, for `FrontShares.best` and the two beside it.
        draws: of the examples, with replacement.
        seed: of the draws; the default makes those of `Resampling`.

    Raises:
        InputDataError: shapes that do not fit, an answer that is neither 0 nor 1, a cost that is not finite.
        UsageError: no draws.
    """
    right, costs = checked(right, costs)
    if draws < 1:
        raise UsageError(f"a probability needs draws, got {draws}")
    designs, examples = right.shape
    tally = _Tally(designs, budgets)
    prices = Prices(costs)
    for counts in _counts(examples, draws, seed):
        tally.add(products(right, counts).astype(np.float64), prices.means(counts))
    return tally.shares(examples, unit=examples)


def on_front_over_seeds(
    designs: Sequence[tuple[SeedValues, int]],
    costs: ArrayLike,
    resampling: Resampling,
    *,
    budgets: Sequence[float] = (),
) -> FrontShares:
    """Return how often each ensemble of a model's seeds is on the front, over examples and seeds drawn again.

    A design here is "k seeds of this model", not one trained network: what one would get by training again.

    Args:
        designs: the model's answers (1 for a right one) and the size of the ensemble.
        costs: of such an ensemble, float64 ``[design]``.
        resampling: the draws; see `explorer.analysis.statistics.seeds`.
        budgets: as of `on_front_probability`.

    Raises:
        UsageError: a model has too few seeds for the size.
        InputDataError: not one finite cost for each design.
    """
    estimates = [resampling.estimate(found, size) for found, size in designs]
    if not estimates:
        raise InputDataError("a front needs designs, got none")
    drawn = np.stack([estimate.draws for estimate in estimates], axis=1)
    return shares_of_draws(drawn, costs, budgets=budgets, examples=resampling.examples)


def shares_of_draws(
    accuracies: np.ndarray, costs: ArrayLike, *, budgets: Sequence[float] = (), examples: int = 0
) -> FrontShares:
    """Return how often each design is on the front of draws that were made elsewhere.

    Args:
        accuracies: float64 ``[draw, design]``, drawn together.
        costs: float64 ``[design]``, or ``[draw, design]``.
        budgets: as of `on_front_probability`.
        examples: behind the draws.

    Raises:
        InputDataError: shapes that do not fit, or a number that is not finite.
    """
    drawn, price = np.asarray(accuracies, dtype=np.float64), np.asarray(costs, dtype=np.float64)
    if drawn.ndim != 2 or not drawn.size or price.shape not in (drawn.shape, drawn.shape[1:]):
        raise InputDataError(f"draws are [draw, design] with their costs, got {drawn.shape}, {price.shape}")
    if not (np.isfinite(drawn).all() and np.isfinite(price).all()):
        raise InputDataError("drawn accuracies and costs have to be finite numbers")
    tally = _Tally(drawn.shape[1], budgets)
    tally.add(np.ascontiguousarray(drawn), np.atleast_2d(price))
    return tally.shares(examples, unit=1)


def checked(right: np.ndarray, costs: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return right answers as uint8 and costs as float64, or say what is wrong with them.

    Raises:
        InputDataError: shapes that do not fit, an answer that is neither 0 nor 1, a cost that is not finite.
    """
    answers, price = np.asarray(right), np.asarray(costs, dtype=np.float64)
    if answers.ndim != 2 or not answers.size or answers.dtype not in (np.bool_, np.uint8):
        raise InputDataError(
            f"right answers are bool or uint8 [design, example], got {answers.dtype} {answers.shape}"
        )
    if answers.max() > 1:
        raise InputDataError(f"a right answer is 0 or 1, got {answers.max()}")
    if price.shape not in (answers.shape, answers.shape[:1]):
        raise InputDataError(
            f"costs are [design] or [design, example] of {answers.shape}, got an array of shape {price.shape}"
        )
    if not np.isfinite(price).all():
        raise InputDataError(f"{int((~np.isfinite(price)).sum())} costs are not finite numbers")
    return answers.astype(np.uint8, copy=False), price


def products(right: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the weighted right answers of each design, float32 ``[column, design]``.

    Exact while a column's counts are whole numbers and add up to less than 2^24.

    Args:
        right: uint8 ``[design, example]``.
        counts: float32 ``[example, column]``.
    """
    designs, examples = right.shape
    found = np.empty((counts.shape[1], designs), np.float32)
    step = max(1, _NUMBERS_A_BLOCK // examples)
    for start in range(0, designs, step):
        part = slice(start, start + step)
        found[:, part] = (right[part].astype(np.float32) @ counts).T
    return found


class Prices:
    """Costs of designs, and their means over weighted examples."""

    def __init__(self, costs: np.ndarray) -> None:
        """Take float64 ``[design]`` or ``[design, example]``, see `checked`."""
        self.varying = costs.ndim == 2
        """Whether a cost depends on the examples."""
        if not self.varying:
            self._rows = costs
            return
        # sums of equal rows may differ in the last bit by their place in a matrix product; summed once they
        # tie
        place: dict[bytes, int] = {}
        kept: list[int] = []
        same = np.empty(len(costs), np.int64)
        for design, row in enumerate(costs):
            digest = blake2b(np.ascontiguousarray(row).data, digest_size=16).digest()
            if digest not in place:
                place[digest] = len(kept)
                kept.append(design)
            same[design] = place[digest]
        self._rows, self._same = costs[kept], same
        self._constant = (self._rows == self._rows[:, :1]).all(axis=1)

    def means(self, weights: np.ndarray) -> np.ndarray:
        """Return mean costs, float64 ``[column or 1, design]``, over ``weights`` ``[example, column]``.

        One row where no cost depends on the examples.
        """
        if not self.varying:
            return self._rows[None]
        wide = weights.astype(np.float64)
        found = (self._rows @ wide).T / np.maximum(wide.sum(axis=0), 1)[:, None]
        # a constant is its own mean, to the last bit: budgets are compared with it
        found[:, self._constant] = self._rows[self._constant, 0]
        return np.ascontiguousarray(found[:, self._same])


class _Tally:
    """Counts over draws, block by block."""

    def __init__(self, designs: int, budgets: Sequence[float]) -> None:
        self._budgets = np.asarray(budgets, dtype=np.float64).reshape(-1)
        self._draws = 0
        self._on_front = np.zeros(designs, np.int64)
        self._best, self._regret = np.zeros((2, len(self._budgets), designs))
        self._affordable = np.zeros((len(self._budgets), designs), np.int64)

    def add(self, accuracy: np.ndarray, cost: np.ndarray) -> None:
        """Count a block of draws: accuracy ``[draw, design]``, cost ``[draw or 1, design]``."""
        cost = np.ascontiguousarray(cost)
        count_on_front(accuracy, cost, np.argsort(cost, axis=1), self._on_front)
        count_best(accuracy, cost, self._budgets, (self._best, self._affordable, self._regret))
        self._draws += len(accuracy)

    def shares(self, n: int, *, unit: float) -> FrontShares:
        """Return the shares; accuracies were counted in 1 / ``unit``."""
        with np.errstate(invalid="ignore"):
            regret = self._regret / self._affordable / unit
        return FrontShares(
            on_front=self._on_front / self._draws,
            best=self._best / self._draws,
            affordable=self._affordable / self._draws,
            regret=regret,
            budgets=tuple(map(float, self._budgets)),
            draws=self._draws,
            n=n,
        )


@njit(nogil=True, cache=True)
def count_on_front(accuracy: np.ndarray, cost: np.ndarray, order: np.ndarray, hits: np.ndarray) -> None:
    """Add to ``hits`` ``[design]`` the draws in which no other design beats it.

    Args:
        accuracy: float64 ``[draw, design]``.
        cost: float64 ``[draw or 1, design]``.
        order: of the designs by cost, int64, shaped as ``cost``.
        hits: int64 ``[design]``, changed.
    """
    draws, designs = accuracy.shape
    for draw in range(draws):
        row = draw if len(cost) > 1 else 0
        price, by_cost, values = cost[row], order[row], accuracy[draw]
        before = -np.inf
        start = 0
        while start < designs:
            stop = start
            top = -np.inf
            while stop < designs and price[by_cost[stop]] == price[by_cost[start]]:
                top = max(top, values[by_cost[stop]])
                stop += 1
            if top > before:
                for place in range(start, stop):
                    if values[by_cost[place]] == top:
                        hits[by_cost[place]] += 1
                before = top
            start = stop


@njit(nogil=True, cache=True)
def count_best(
    accuracy: np.ndarray,
    cost: np.ndarray,
    budgets: np.ndarray,
    sums: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Add to ``sums`` (best, affordable, regret), each ``[budget, design]``, what a block of draws shows.

    Args:
        accuracy: float64 ``[draw, design]``.
        cost: float64 ``[draw or 1, design]``.
        budgets: float64 ``[budget]``.
        sums: being best, draws within the budget (int64), distance from the best; changed.
    """
    best, affordable, regret = sums
    draws, designs = accuracy.shape
    for draw in range(draws):
        price, values = cost[draw if len(cost) > 1 else 0], accuracy[draw]
        for b in range(len(budgets)):
            top, ties = -np.inf, 0
            for design in range(designs):
                if price[design] <= budgets[b]:
                    if values[design] > top:
                        top, ties = values[design], 0
                    ties += values[design] == top
            for design in range(designs):
                if price[design] <= budgets[b]:
                    affordable[b, design] += 1
                    regret[b, design] += top - values[design]
                    if values[design] == top:
                        best[b, design] += 1 / ties


def _counts(examples: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each example is drawn, float32 ``[example, draw]``, in blocks of draws."""
    random = np.random.default_rng(seed)
    step = max(1, min(256, _NUMBERS_A_BLOCK // examples))
    for start in range(0, draws, step):
        block = np.empty((min(step, draws - start), examples), np.float32)
        for row in block:
            row[:] = np.bincount(random.integers(0, examples, examples), minlength=examples)
        yield block.T

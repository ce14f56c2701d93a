"""How much better a chosen design looks on the examples it was chosen on, and what to say instead.

The best of many designs is best partly by luck. `cross_fitted` repeats the choice on parts of the examples
and looks at each choice on the part it has not seen; that is the accuracy of *choosing this way*, and
unbiased for a choice on (folds - 1) / folds of the examples (slightly too low, therefore, for one on all of
them).

Its interval is not that of a share of n examples. Which design wins depends on the same examples, so the
folds are not independent and the plain interval is too narrow (Bates, Hastie and Tibshirani 2021, arXiv
2104.00673). Here the whole procedure is repeated on examples drawn again (copies of one example stay in one
fold, or a choice would have seen what it is judged on) and the standard deviation of what it then says is
the standard error. As Tsamardinos, Greasidou and Borboudakis 2018 (arXiv 1708.07180) note, nothing is
trained again: stored answers are enough.

``benchmarks/fronts.py`` measures what the 95 % intervals hold, in simulations where the truth is known: the
accuracy of the chosen design in 0.96 to 1.00 of cases (wide where designs are equal), where the plain
interval holds it in 0.72 to 0.99. The interval of optimism is one of its mean over draws of examples (held
in 0.97 to 1.00), which is the luck of the search. Not of this draw's own gap: that has the noise of any
share of n examples too, and where one design clearly wins, the interval of optimism may hold it in fewer
than half of the cases. For that gap take ``chosen_on`` minus the ends of ``held_out``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from explorer.analysis.binomial import normal_quantile
from explorer.analysis.bootstrap import LEVEL, wilson
from explorer.analysis.result import Interval
from explorer.analysis.statistics.on_front import Prices, checked, products
from explorer.errors import UsageError

_SEED = 20005
_NUMBERS_A_BLOCK = 16_000_000
_Z = normal_quantile((1 + LEVEL) / 2)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CrossFitted:
    """What choosing the most accurate design within one budget is worth."""

    budget: float
    chosen: int
    """Chosen on all examples: the most accurate affordable design, of equals the cheapest, then the first."""
    chosen_on: float
    """Its accuracy on the examples it was chosen on: optimistic."""
    held_out: Interval
    """Accuracy on examples the choice has not seen: the figure to quote where there is no other split."""
    optimism: Interval
    """``chosen_on`` minus ``held_out``; the interval is that of its mean over draws of examples."""
    held_out_cost: float
    """Mean cost on examples that the choice has not seen; may break the budget where costs depend on them."""
    shares: np.ndarray
    """How often each design was chosen over folds and repeats, float64 ``[design]``: how firm it is."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OptimismCurve:
    """How optimism grows with the number of designs that were searched, float64 ``[size]`` each."""

    sizes: tuple[int, ...]
    chosen_on: np.ndarray
    held_out: np.ndarray
    optimism: np.ndarray
    """Mean over random sets of designs."""
    deviation: np.ndarray
    """Standard deviation over those sets, on these examples; another draw of examples is not in it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Runs:
    """The procedure, run on several weightings of the examples; for each budget of each run."""

    full: np.ndarray
    """Design chosen on all examples, int64 ``[run, budget]``"""
    chosen_on: np.ndarray
    """float64 ``[run, budget]``"""
    held_out: np.ndarray
    """float64 ``[run, budget]``"""
    held_out_cost: np.ndarray
    """float64 ``[run, budget]``"""
    choices: np.ndarray
    """int64 ``[run, fold, budget]``"""


def cross_fitted(
    right: np.ndarray,
    costs: ArrayLike,
    budgets: Sequence[float],
    *,
    folds: int = 10,
    repeats: int = 20,
    draws: int = 200,
    seed: int = _SEED,
) -> tuple[CrossFitted, ...]:
    """Choose on all folds but one, look at the held-out one; return that for each budget.

    Args:
        right: which examples each design answers right, bool or uint8 ``[design, example]``.
        costs: float64 ``[design]``; or ``[design, example]`` for cascades, then a choice knows their mean
            on the examples it is made on.
        budgets: most a design may cost; infinity for no budget.
        folds: parts of the examples, cut at random.
        repeats: random cuts that are averaged.
        draws: of the examples, for the intervals.
        seed: of cuts and draws.

    Raises:
        InputDataError: see `explorer.analysis.statistics.on_front.checked`.
        UsageError: fewer than two folds, more than examples; no repeats, fewer than two draws; no design
            within a budget.
    """
    right, price = checked(right, costs)
    examples = right.shape[1]
    _check_folds(folds, examples)
    if repeats < 1 or draws < 2 or not len(budgets):
        raise UsageError(f"needs repeats, 2 draws and a budget, got {repeats}, {draws} and {len(budgets)}")
    random = np.random.default_rng(seed)
    prices, limits = Prices(price), np.asarray(budgets, dtype=np.float64)
    said = _procedure(right, prices, limits, np.ones((repeats, examples), np.float32), (folds, random))
    drawn = np.stack([_drawn(random, examples) for _ in range(draws)])
    again = _procedure(right, prices, limits, drawn, (folds, random))
    found = []
    for b, budget in enumerate(limits):
        held_out, chosen_on = float(said.held_out[:, b].mean()), float(said.chosen_on[0, b])
        gaps = again.chosen_on[:, b] - again.held_out[:, b]
        picked = np.bincount(said.choices[:, :, b].ravel(), minlength=len(right))
        found.append(
            CrossFitted(
                budget=float(budget),
                chosen=int(said.full[0, b]),
                chosen_on=chosen_on,
                held_out=_share(held_out, float(again.held_out[:, b].std(ddof=1)), examples),
                optimism=_gap(chosen_on - held_out, float(gaps.std(ddof=1)), examples),
                held_out_cost=float(said.held_out_cost[:, b].mean()),
                shares=picked / picked.sum(),
            )
        )
    return tuple(found)


def expected_optimism(
    right: np.ndarray,
    sizes: Sequence[int],
    *,
    folds: int = 10,
    subsets: int = 200,
    seed: int = _SEED,
) -> OptimismCurve:
    """Return how optimism grows with search: choose among random sets of more and more designs.

    Each set is cut into folds of its own. For a budget, pass the designs within it.

    Args:
        right: bool or uint8 ``[design, example]``.
        sizes: numbers of designs to choose among.
        folds: parts of the examples, cut at random.
        subsets: random sets of each size.
        seed: of sets and cuts.

    Raises:
        InputDataError: see `explorer.analysis.statistics.on_front.checked`.
        UsageError: a size that is not between 1 and the number of designs; folds or subsets that cannot be.
    """
    right, _ = checked(right, np.zeros(len(right)))
    designs, examples = right.shape
    _check_folds(folds, examples)
    if not sizes or min(sizes) < 1 or max(sizes) > designs:
        raise UsageError(f"sizes have to be between 1 and the {designs} designs, got {list(sizes)}")
    if subsets < 2:
        raise UsageError(f"a mean over sets of designs needs 2 of them, got {subsets}")
    # two streams, so that the size of a block changes nothing
    cuts, sets = np.random.default_rng(seed).spawn(2)
    said = np.empty((2, len(sizes), subsets))
    step = max(1, _NUMBERS_A_BLOCK // (folds * max(examples, designs)))
    for start in range(0, subsets, step):
        block = range(start, min(start + step, subsets))
        # sets of all sizes share a cut: what differs between sizes is then the size
        ones = np.ones((len(block), examples), np.float32)
        held = products(right, _columns(ones, folds, cuts)).reshape(len(block), folds, designs)
        for run, subset in enumerate(block):
            for s, size in enumerate(sizes):
                of = held[run][:, sets.permutation(designs)[:size]]
                total = of.sum(axis=0)
                choice = (total - of).argmax(axis=1)
                said[:, s, subset] = total.max(), of[np.arange(folds), choice].sum()
    chosen_on, held_out = said / examples
    gaps = chosen_on - held_out
    return OptimismCurve(
        sizes=tuple(sizes),
        chosen_on=chosen_on.mean(axis=1),
        held_out=held_out.mean(axis=1),
        optimism=gaps.mean(axis=1),
        deviation=gaps.std(axis=1, ddof=1),
    )


def _check_folds(folds: int, examples: int) -> None:
    if not 2 <= folds <= examples:
        raise UsageError(f"{examples} examples make between 2 and {examples} folds, got {folds}")


def _drawn(random: np.random.Generator, examples: int) -> np.ndarray:
    return np.bincount(random.integers(0, examples, examples), minlength=examples).astype(np.float32)


def _columns(weights: np.ndarray, folds: int, random: np.random.Generator) -> np.ndarray:
    """Cut the examples of each run; return their weight in each fold, float32 ``[example, run x fold]``."""
    runs, examples = weights.shape
    cut = np.zeros((examples, runs, folds), np.float32)
    even = np.arange(examples) % folds
    for run in range(runs):
        cut[np.arange(examples), run, random.permutation(even)] = weights[run]
    return cut.reshape(examples, runs * folds)


def _procedure(
    right: np.ndarray,
    prices: Prices,
    budgets: np.ndarray,
    weights: np.ndarray,
    cut: tuple[int, np.random.Generator],
) -> _Runs:
    """Run the procedure on each row of ``weights`` ``[run, example]``, which add up to the examples."""
    designs, examples = right.shape
    folds, random = cut
    step = max(1, _NUMBERS_A_BLOCK // (folds * max(examples, designs)))
    parts = []
    for start in range(0, len(weights), step):
        block = weights[start : start + step]
        columns = _columns(block, folds, random)
        parts.append(_one_block(right, prices, budgets, (block, columns)))
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("full", "chosen_on", "held_out", "held_out_cost", "choices")
    }
    return _Runs(**joined)


def _one_block(
    right: np.ndarray, prices: Prices, budgets: np.ndarray, of: tuple[np.ndarray, np.ndarray]
) -> _Runs:
    """Run it on weights ``[run, example]`` and their folds ``[example, run x fold]``."""
    weights, columns = of
    runs, examples = weights.shape
    folds = columns.shape[1] // runs
    held = products(right, columns).astype(np.float64).reshape(runs, folds, -1)
    total = held.sum(axis=1, keepdims=True)
    rest = (total - held).reshape(runs * folds, -1)
    others = np.repeat(weights.T, folds, axis=1) - columns
    cost_all, cost_rest = prices.means(weights.T), prices.means(others)
    sizes = columns.sum(axis=0).reshape(runs, folds)
    shape = (runs, len(budgets))
    full, choices = np.empty(shape, np.int64), np.empty((runs, folds, len(budgets)), np.int64)
    chosen_on, held_out, held_out_cost = np.empty((3, *shape))
    run, fold = np.indices((runs, folds))
    for b, budget in enumerate(budgets):
        full[:, b] = _chosen(total[:, 0], cost_all, budget)
        pick = _chosen(rest, cost_rest, budget).reshape(runs, folds)
        choices[:, :, b] = pick
        chosen_on[:, b] = total[np.arange(runs), 0, full[:, b]] / examples
        held_out[:, b] = held[run, fold, pick].sum(axis=1) / examples
        if prices.varying:
            seen = cost_rest[run * folds + fold, pick] * (examples - sizes)
            unseen = cost_all[run, pick] * examples - seen
        else:
            unseen = cost_all[0, pick] * sizes
        held_out_cost[:, b] = unseen.sum(axis=1) / examples
    return _Runs(
        full=full, chosen_on=chosen_on, held_out=held_out, held_out_cost=held_out_cost, choices=choices
    )


def _chosen(right: np.ndarray, cost: np.ndarray, budget: float) -> np.ndarray:
    """Return the most accurate affordable design of each row, of equals the cheapest, then the first.

    Args:
        right: right answers, ``[row, design]``.
        cost: ``[row or 1, design]``.
        budget: most it may cost.

    Raises:
        UsageError: a row has none.
    """
    affordable = cost <= budget
    if not affordable.any(axis=1).all():
        least = float(cost.min(axis=1).max())
        raise UsageError(f"no design costs at most {budget:g}; the cheapest one costs up to {least:g}")
    within = np.where(affordable, right, -1)
    best = within == within.max(axis=1, keepdims=True)
    found: np.ndarray = np.where(best, cost, np.inf).argmin(axis=1)
    return found


def _share(value: float, error: float, n: int) -> Interval:
    """Return a share with its interval; where no draw differs, what n examples all alike allow."""
    if error > 0:
        low, high = max(0.0, value - _Z * error), min(1.0, value + _Z * error)
        return Interval(value=value, low=low, high=high, n=n, method="bootstrap")
    low, high = wilson(round(value * n), n)
    return Interval(value=value, low=low, high=high, n=n, method="wilson")


def _gap(value: float, error: float, n: int) -> Interval:
    if error > 0:
        low, high = value - _Z * error, value + _Z * error
        return Interval(value=value, low=low, high=high, n=n, method="bootstrap")
    edge = wilson(0, n)[1]
    return Interval(value=value, low=value - edge, high=value + edge, n=n, method="wilson")

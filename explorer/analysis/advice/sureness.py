"""How firmly a front stands: on whose redrawn front its designs are, and how much of it is luck of choosing.

Two questions that are easily mixed up. On `report`, which took no part in choosing, the test set is drawn
again: which of the front's designs are on the front of *these* designs then? And on `select`: how much better
does a chosen design look there than on examples the choice has not seen (optimism)? The second is answered by
searching everything again on parts of `select` and looking at each choice on the part left out. (To choose
again among the front's designs alone would show too little: they were chosen on all of `select` already.)
How optimism grows with the number of designs, and how uncertain it is, is shown on a sample of what was
searched, for which the choice can be repeated hundreds of times (`optimism`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from explorer.accounting.compose import ensemble_cost
from explorer.analysis.blocks import MemberArrays
from explorer.analysis.bootstrap import share_interval
from explorer.analysis.costs import most_cost, stage_costs
from explorer.analysis.pool import Pool
from explorer.analysis.result import Front, Interval, Point
from explorer.analysis.scoring.score import Memo, candidate_decisions
from explorer.analysis.search.exact import EVERYTHING, search
from explorer.analysis.search.plan import Space
from explorer.analysis.statistics.on_front import DRAWS, on_front_over_seeds, on_front_probability
from explorer.analysis.statistics.optimism import cross_fitted, expected_optimism
from explorer.analysis.statistics.seeds import Resampling, right_answers, scales
from explorer.convention import Composition
from explorer.errors import UsageError
from explorer.spec import Averaging, Candidate, ModelSpec, Single, parse_design

FEWEST_DRAWS = 100
"""Below these a share says little: its own error is up to 5 points at 100 draws."""
_PLACES = (0.25, 0.5, 0.75)
"""Along the front: the budgets that optimism is looked at within, besides no budget."""
FOLDS = 5
_SIZES = (10, 100, 1_000)
_REPEATS, _REDRAWN, _SUBSETS = 5, 60, 100
_NUMBERS = 4_000_000
"""Most answers, designs x examples, that choosing is repeated on."""
_SEED = 20005
Update = Callable[[float, str], None]


def _ignore(_share: float, _activity: str) -> None:
    """Show nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedShare:
    """An ensemble of one model's seeds, as one would get it by training again."""

    model: ModelSpec
    size: int
    """Seeds that answer together."""
    cost: float
    accuracy: float
    """Mean over all sets of that many seeds, on ``report``."""
    on_front: float
    """Share of draws of examples and seeds on whose front it is, among all of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenAgain:
    """What choosing within a budget shows on examples that the choice has not seen."""

    budget: float
    """Most the design may cost; infinite for no budget."""
    point: Point
    """Of the front: the best within the budget; its ``regret`` is what ``report`` shows."""
    chosen_on: float
    """Accuracy of the best of the whole search on the examples it was chosen on, mean over the folds."""
    held_out: Interval
    """Its accuracy on the fold left out. The interval is that of a share of ``select``'s examples: somewhat
    too narrow, since the folds are not independent."""
    sampled: Interval
    """Optimism of choosing among the sampled designs only, with the interval of its mean over draws."""

    @property
    def optimism(self) -> float:
        """``chosen_on`` minus ``held_out``, of the whole search."""
        return self.chosen_on - self.held_out.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Sureness:
    """How sure a front is."""

    resamples: int
    """Draws of the examples, with replacement."""
    examples: int
    """Of ``report``, as many as each draw has."""
    on_front: tuple[float, ...]
    """Of each point of the front: share of redrawn test sets on whose front, among these, it is."""
    seeds: tuple[SeedShare, ...]
    """Cheapest first; none where no model has several seeds, or ensembles do not average as ``mean``."""
    folds: int
    """Parts of ``select``: the search was repeated without each of them."""
    sampled: int
    """Designs of the sample: all singles, and ensembles and cascades spread evenly over those searched."""
    chosen_again: tuple[ChosenAgain, ...]
    """By rising budget; the last without one."""
    growth: tuple[tuple[int, float], ...]
    """Mean optimism of choosing, without a budget, among so many of the sampled designs."""
    easier: float
    """Accuracy on ``select`` minus that on ``report``, mean over all members: not luck of choosing, but
    other examples."""


def how_sure(
    pool: Pool, front: Front, space: Space = EVERYTHING, *, resamples: int = DRAWS, update: Update = _ignore
) -> Sureness:
    """Say how firmly each design of a front is on it, and how optimistic choosing was.

    Args:
        pool: the front's members.
        front: what `explorer.analysis.search.exact.search` found in it.
        space: what that looked at.
        resamples: draws of the examples.
        update: called with the share of the work done and what is going on.

    Raises:
        ConventionError: the pool holds costs of another axis.
        UsageError: too few draws, or too few examples to search on parts of them.
    """
    pool.check_axis(front.axis)
    if resamples < FEWEST_DRAWS:
        raise UsageError(f"shares of redrawn test sets need {FEWEST_DRAWS} draws or more, got {resamples}")
    if len(pool.select_labels) < FOLDS:
        raise UsageError(
            f"how sure a front is needs {FOLDS} select examples or more, got {len(pool.select_labels)}"
        )
    memo: Memo = {}
    update(0.0, "drawing test sets again")
    right, costs = answers_and_costs(pool, [point.design for point in front.points], "report", memo)
    shares = on_front_probability(right, costs, draws=resamples)
    update(0.1, "drawing seeds again")
    seeds = _seed_shares(pool, space, resamples)
    update(0.35, "choosing again among a sample")
    points = front.points
    budgets = (*sorted({points[round(place * (len(points) - 1))].select_cost for place in _PLACES}), np.inf)
    sampled, optimism, growth = _sample(pool, front, budgets, memo)
    singles: list[Candidate] = [Single(member) for member in pool.members]
    alone = [answers_and_costs(pool, singles, split, memo)[0].mean() for split in ("select", "report")]
    again = []
    for budget, of_sample, (chosen_on, held_out) in zip(
        budgets, optimism, _searched_again(pool, space, budgets, update), strict=True
    ):
        # the front rises with cost
        point = [point for point in points if point.select_cost <= budget][-1]
        again.append(
            ChosenAgain(budget=budget, point=point, chosen_on=chosen_on, held_out=held_out, sampled=of_sample)
        )
    return Sureness(
        resamples=resamples,
        examples=right.shape[1],
        on_front=tuple(shares.on_front.tolist()),
        seeds=seeds,
        folds=FOLDS,
        sampled=sampled,
        chosen_again=tuple(again),
        growth=growth,
        easier=float(alone[0] - alone[1]),
    )


def answers_and_costs(
    pool: Pool, designs: Sequence[Candidate], split: str, memo: Memo
) -> tuple[np.ndarray, np.ndarray]:
    """Return what each design is right on and what each example costs it.

    Args:
        pool: members, labels and costs.
        designs: of the pool's members.
        split: ``select`` or ``report``.
        memo: see `explorer.analysis.scoring.score.candidate_decisions`.

    Returns:
        right uint8 ``[design, example]`` and cost float64 ``[design, example]``.

    Raises:
        UsageError: a member is not in the pool, or no such split.
    """
    labels = pool.arrays(split)[1]
    right = np.empty((len(designs), len(labels)), np.uint8)
    costs = np.empty((len(designs), len(labels)))
    for row, design in enumerate(designs):
        decisions, left_at = candidate_decisions(pool, design, split, memo=memo)
        right[row] = decisions == labels
        if pool.axis.kind.composition is Composition.EXPECTED:
            costs[row] = np.cumsum(stage_costs(pool, design))[left_at]
        else:
            costs[row] = most_cost(pool, design)
    return right, costs


def _searched_again(
    pool: Pool, space: Space, budgets: Sequence[float], update: Update
) -> list[tuple[float, Interval]]:
    """Search without each fold of ``select``; return each budget's accuracy where chosen and on the folds."""
    examples = len(pool.select_labels)
    fold_of = np.random.default_rng(_SEED).permutation(np.arange(examples) % FOLDS)
    chosen_on, held_right = np.zeros(len(budgets)), np.zeros(len(budgets), np.int64)
    for fold in range(FOLDS):
        update(0.5 + fold / (2 * FOLDS), f"searching again, {fold + 1} of {FOLDS}")
        rest, held = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        # what is left out takes the place of `report`: the search scores its front there too
        part = replace(
            pool,
            select=MemberArrays([row[rest] for row in pool.select]),
            select_labels=pool.select_labels[rest],
            report=MemberArrays([row[held] for row in pool.select]),
            report_labels=pool.select_labels[held],
        )
        points = search(part, pool.axis, space).points
        for number, budget in enumerate(budgets):
            best = [point for point in points if point.select_cost <= budget][-1]
            chosen_on[number] += best.select_accuracy / FOLDS
            held_right[number] += round(best.accuracy.value * len(held))
    return [
        (float(on), share_interval(int(right), examples))
        for on, right in zip(chosen_on, held_right, strict=True)
    ]


def _sample(
    pool: Pool, front: Front, budgets: Sequence[float], memo: Memo
) -> tuple[int, list[Interval], tuple[tuple[int, float], ...]]:
    """Choose again and again among singles and designs that the search met on its way.

    Returns:
        how many designs, the optimism within each budget, and its mean by number of designs.
    """
    designs: list[Candidate] = [Single(member) for member in pool.members]
    alone = set(designs)
    met = [design for design in (parse_design(d.design) for d in front.cloud) if design not in alone]
    most = min(len(met), max(0, _NUMBERS // len(pool.select_labels) - len(designs)))
    places = np.linspace(0, len(met), most, endpoint=False).astype(np.int64)
    designs += [met[place] for place in places.tolist()]
    right, costs = answers_and_costs(pool, designs, "select", memo)
    found = cross_fitted(right, costs, budgets, folds=FOLDS, repeats=_REPEATS, draws=_REDRAWN)
    sizes = sorted({1, *(size for size in _SIZES if size < len(designs)), len(designs)})
    curve = expected_optimism(right, sizes, folds=FOLDS, subsets=_SUBSETS)
    growth = tuple(zip(curve.sizes, curve.optimism.tolist(), strict=True))
    return len(designs), [each.optimism for each in found], growth


def _seed_shares(pool: Pool, space: Space, resamples: int) -> tuple[SeedShare, ...]:
    """Return the share of each number of seeds of each model that has several; their average is a mean."""
    if space.averaging is not Averaging.MEAN:
        return ()
    found = [(scale, right_answers(pool, scale, "report")) for scale in scales(pool) if len(scale.rows) > 1]
    designs = [(scale, values, size) for scale, values in found for size in values.sizes]
    if not designs:
        return ()
    costs = [ensemble_cost(pool.axis.kind, np.full(size, scale.cost)) for scale, _, size in designs]
    drawn = Resampling(len(pool.report_labels), draws=resamples)
    shares = on_front_over_seeds([(values, size) for _, values, size in designs], costs, drawn)
    rows = [
        SeedShare(model=scale.model, size=size, cost=cost, accuracy=values.mean(size), on_front=float(share))
        for (scale, values, size), cost, share in zip(designs, costs, shares.on_front, strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: (row.cost, row.size, str(row.model))))

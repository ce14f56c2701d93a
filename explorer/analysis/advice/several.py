"""What to ship under budgets on several cost axes at once, and maybe a target for the accuracy.

The search is exact and one pass answers it and what larger budgets would buy: see `several_search`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from explorer.analysis.advice.parts import first_by_parts
from explorer.analysis.advice.several_search import ANY, Questions, search_under
from explorer.analysis.pool import Pool
from explorer.analysis.result import Comparison, Point, Verdict
from explorer.analysis.scoring.score import Memo, evaluate
from explorer.analysis.search.exact import EVERYTHING
from explorer.analysis.search.plan import Space
from explorer.analysis.search.space import design_order
from explorer.analysis.statistics.compare import compare
from explorer.convention import CostAxis
from explorer.errors import ConventionError, UsageError
from explorer.question import Budget, Target
from explorer.spec import Candidate, CandidateKind

RELAXED = (1.1, 1.25, 2.0)
"""By what each budget is multiplied in turn, to see what that would buy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a design must keep to, all at once."""

    budgets: tuple[Budget, ...]
    """At most one an axis."""
    target: Target | None = None
    """With one, the cheapest design that fits is wanted, without one the most accurate."""
    cheapest_on: CostAxis | None = None
    """The axis that decides between designs as good as each other, and that a target is met cheaply on;
    None: that of the first budget."""

    def __post_init__(self) -> None:
        axes = [budget.axis for budget in self.budgets]
        if not axes:
            raise UsageError("no budgets; give at least one, e.g. macs<=4M")
        for axis in axes:
            if axes.count(axis) > 1:
                raise UsageError(f"two budgets on {axis}; give one an axis")

    @property
    def primary(self) -> CostAxis:
        """The axis that decides first between designs that fit."""
        return self.cheapest_on or self.budgets[0].axis


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One design with its figures on every axis: accuracy is the same in all points."""

    design: Candidate
    points: Mapping[CostAxis, Point]

    @property
    def select_accuracy(self) -> float:
        """On the examples it was chosen on."""
        return next(iter(self.points.values())).select_accuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class Slack:
    """What an answer leaves of one budget."""

    budget: Budget
    used: float
    """Share of the limit on ``select``, at most 1."""
    used_on_report: float
    """Share of the limit by the figure to quote; may pass 1."""
    binds: bool
    """Whether a better design would fit if this budget alone were not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxed:
    """What a larger budget on one axis would buy, all else kept."""

    budget: Budget
    """The larger one."""
    factor: float
    offer: Offer | None
    """None where still nothing fits."""
    comparison: Comparison | None
    """Its accuracy against the answer's on ``report``; None where it is the answer, or there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeveralAnswer:
    """The answer to several budgets at once, and how sure it is."""

    needs: Needs
    answer: Offer | None
    """Chosen on ``select``; None when nothing fits."""
    best_of_kind: Mapping[CandidateKind, Offer]
    runner_up: Offer | None
    """Best of any other kind."""
    comparisons: tuple[Comparison, ...]
    """The answer against the best of every other kind, paired on ``report``, best first."""
    cannot_tell: bool
    slacks: tuple[Slack, ...]
    """One a budget; none without an answer."""
    relaxed: tuple[Relaxed, ...]
    notes: tuple[str, ...]


def best_under(
    pools: Sequence[Pool], needs: Needs, space: Space = EVERYTHING, *, notes: Sequence[str] = ()
) -> SeveralAnswer:
    """Find the best design within all budgets at once, of all that `search.exact.search` looks at.

    Without a target: most right answers on ``select``; equal: the lower cost on the primary axis, then on
    the others in the order of ``pools``, then `design_order`. With one: the lowest cost on the primary axis
    among those that reach it, then right answers, then the other costs. As in `advice.advise`, without a
    target a part of the best design (a stage, a member) that is the best of its kind, costs no more on any
    axis and cannot be told from it on ``select`` goes first. Verdicts are paired on ``report``.

    Args:
        pools: one for each axis asked for (see `on_axis`), with equal members and predictions.
        needs: budgets and maybe a target.
        space: the designs to look at; what its limit leaves out is in the notes.
        notes: what the caller already left out (see `explorer.analysis.pool.load_pools`).

    Raises:
        UsageError: pools that are not of the same members.
        ConventionError: an axis that was asked for has no pool, or two.
    """
    pools = _ordered(pools, needs)
    questions = _questions(pools, needs)
    chosen, left_out = search_under(pools, questions, space)
    memo: Memo = {}
    offers: dict[Candidate, Offer] = {}
    best: list[dict[CandidateKind, Offer]] = []
    for of_kinds in chosen:
        for design, right in of_kinds.values():
            if design not in offers:
                offers[design] = _offer(pools, design, right, memo)
        best.append({kind: offers[design] for kind, (design, _) in of_kinds.items()})
    return _answer(pools, needs, best, (*notes, *left_out), memo)


def on_axis(pool: Pool, other: Pool) -> Pool:
    """Return ``pool`` with the costs and axis of ``other``: their predictions are then held once.

    Raises:
        UsageError: the two are not of the same members and examples.
    """
    if pool.summary != other.summary:
        raise UsageError(f"pools over {pool.axis} and {other.axis} have different members or examples")
    return replace(pool, axis=other.axis, cost_figures=other.cost_figures)


def _ordered(pools: Sequence[Pool], needs: Needs) -> tuple[Pool, ...]:
    """Return the pools, that of the primary axis first."""
    axes = [pool.axis for pool in pools]
    for axis in (needs.primary, *(budget.axis for budget in needs.budgets)):
        if axes.count(axis) != 1:
            raise ConventionError(
                f"{axes.count(axis)} pools hold costs of {axis}, wanted 1; there are: "
                f"{', '.join(map(str, axes)) or 'none'}"
            )
    for pool in pools[1:]:
        on_axis(pools[0], pool)
    return tuple(sorted(pools, key=lambda pool: pool.axis != needs.primary))


def _questions(pools: Sequence[Pool], needs: Needs) -> Questions:
    axes = [pool.axis for pool in pools]
    asked = np.full(len(axes), np.inf)
    for budget in needs.budgets:
        asked[axes.index(budget.axis)] = budget.limit
    rows = [asked]
    for budget in needs.budgets:
        for factor in (*RELAXED, np.inf):
            row = asked.copy()
            row[axes.index(budget.axis)] *= factor
            rows.append(row)
    need = ANY
    if needs.target is not None:
        examples = len(pools[0].select_labels)
        need = int(np.searchsorted(np.arange(examples + 1) / examples, needs.target.accuracy))
    return Questions(limits=np.array(rows), need=need)


def _offer(pools: Sequence[Pool], design: Candidate, right: int, memo: Memo) -> Offer:
    """Score a design the plain way on every axis, and insist that the fast way found the same."""
    points = {pool.axis: evaluate(pool, design, pool.axis, memo=memo) for pool in pools}
    plain = {round(point.select_accuracy * len(pools[0].select_labels)) for point in points.values()}
    assert plain == {right}, f"fast and plain scoring of {design} differ: {right} and {plain} right"
    return Offer(design=design, points=points)


def _preference(needs: Needs, offer: Offer) -> tuple:
    """Return the key that is smallest for the offer to prefer."""
    costs = [point.select_cost for point in offer.points.values()]
    first = [-offer.select_accuracy, costs[0]]
    return (*(first if needs.target is None else first[::-1]), *costs[1:], *design_order(offer.design))


def _ranked(
    pools: Sequence[Pool], needs: Needs, best: Mapping[CandidateKind, Offer], memo: Memo
) -> tuple[list[Offer], tuple[str, ...]]:
    """Return the best of each kind, best first; a part that does as well goes first."""
    ranked = sorted(best.values(), key=lambda offer: _preference(needs, offer))
    if needs.target is not None or not ranked:
        return ranked, ()
    axes, whole = ranked[0].points, ranked[0]
    dearer = [
        any(offer.points[axis].select_cost > whole.points[axis].select_cost for axis in axes)
        for offer in ranked
    ]
    place, notes = first_by_parts(pools[0], [offer.design for offer in ranked], dearer, memo)
    return [ranked[place], *ranked[:place], *ranked[place + 1 :]], notes


def _answer(
    pools: Sequence[Pool],
    needs: Needs,
    best: Sequence[Mapping[CandidateKind, Offer]],
    notes: tuple[str, ...],
    memo: Memo,
) -> SeveralAnswer:
    rankings = [_ranked(pools, needs, offers, memo) for offers in best]
    leaders = [ranked[0] if ranked else None for ranked, _ in rankings]
    ranked, simpler = rankings[0]
    comparisons = tuple(compare(pools[0], ranked[0].design, other.design, memo=memo) for other in ranked[1:])
    each = len(RELAXED) + 1
    slacks, relaxed = [], []
    for number, budget in enumerate(needs.budgets):
        *larger, without = leaders[1 + number * each : 1 + (number + 1) * each]
        if leaders[0] is not None:
            slacks.append(_slack(budget, leaders[0], without))
        for factor, offer in zip(RELAXED, larger, strict=True):
            relaxed.append(_relaxed(pools[0], budget, factor, leaders[0], offer, memo))
    return SeveralAnswer(
        needs=needs,
        answer=leaders[0],
        best_of_kind=best[0],
        runner_up=ranked[1] if len(ranked) > 1 else None,
        comparisons=comparisons,
        cannot_tell=bool(comparisons) and comparisons[0].verdict is Verdict.CANNOT_TELL,
        slacks=tuple(slacks),
        relaxed=tuple(relaxed),
        notes=(*notes, *simpler, *_notes(needs, leaders, each)),
    )


def _slack(budget: Budget, answer: Offer, without: Offer | None) -> Slack:
    point = answer.points[budget.axis]
    return Slack(
        budget=budget,
        used=point.select_cost / budget.limit,
        used_on_report=point.cost.value / budget.limit,
        binds=without is not None and without.design != answer.design,
    )


def _relaxed(
    pool: Pool, budget: Budget, factor: float, answer: Offer | None, offer: Offer | None, memo: Memo
) -> Relaxed:
    comparison = None
    if answer is not None and offer is not None and offer.design != answer.design:
        comparison = compare(pool, offer.design, answer.design, memo=memo)
    return Relaxed(
        budget=Budget(budget.axis, budget.limit * factor), factor=factor, offer=offer, comparison=comparison
    )


def _notes(needs: Needs, leaders: Sequence[Offer | None], each: int) -> tuple[str, ...]:
    """Say which budget is in the way of any answer, or where ``report`` does not bear out the choice."""
    answer = leaders[0]
    if answer is None:
        alone = [
            str(budget)
            for number, budget in enumerate(needs.budgets)
            if leaders[(number + 1) * each] is not None
        ]
        why = f"; something would without {' or without '.join(alone)}" if alone else ""
        return (f"nothing that was searched fits all of it{why}",)
    notes = []
    for budget in needs.budgets:
        point = answer.points[budget.axis]
        if point.cost.value > budget.limit:
            notes.append(f"on report the answer's mean cost is above {budget}")
        elif point.cost.high > budget.limit:
            notes.append(f"the interval of the answer's cost on report reaches beyond {budget}")
        if point.worst_cost > budget.limit:
            notes.append(f"an input that runs every stage of the answer costs more than {budget}")
    accuracy = next(iter(answer.points.values())).accuracy
    if needs.target is not None and accuracy.value < needs.target.accuracy:
        notes.append("on report the answer misses the target")
    elif needs.target is not None and accuracy.low < needs.target.accuracy:
        notes.append("the interval of the answer's accuracy on report reaches below the target")
    return tuple(notes)

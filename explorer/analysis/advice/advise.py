"""The answer to a budget or a target, and how sure it is."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from explorer.analysis.advice.parts import first_by_parts
from explorer.analysis.pool import Pool
from explorer.analysis.result import Advice, Comparison, Crossover, Front, Point, Verdict
from explorer.analysis.scoring.score import Memo
from explorer.analysis.search.space import design_order
from explorer.analysis.statistics.compare import compare
from explorer.convention import CostAxis
from explorer.errors import ConventionError, UsageError
from explorer.prediction.decision import Verdict as CostVerdict
from explorer.prediction.decision import decide
from explorer.question import Budget, Target
from explorer.spec import CandidateKind


def advise(pool: Pool, front: Front, question: Budget | Target) -> Advice:
    """Answer what to ship under a budget, or what reaches a target most cheaply.

    Chosen on ``select`` among all searched designs: for a budget the most accurate design whose cost is
    within it (equal: the cheaper one), for a target the cheapest design that reaches it (equal: the
    more accurate one); equal in both: `space.design_order`. Under a budget every part must earn its
    place: where the best of another kind is a stage or member of that design, costs no more, and
    ``select`` cannot tell the two apart, it goes first, for of thousands of cascades around one network
    some are ahead of it by luck. Whether the answer is better than the best of every other kind is judged
    on ``report``, paired on the same examples.

    Args:
        pool: what ``front`` was searched in.
        front: the result of `explorer.analysis.search.exact.search`.
        question: a budget on the front's axis, or a target.

    Raises:
        UsageError: ``front`` is of another pool, or has no fronts of its kinds.
        ConventionError: the budget is on another cost axis.
    """
    if front.pool != pool.summary:
        raise UsageError("this front was not searched in this pool; search again")
    if not front.fronts_by_kind:
        raise UsageError("this front holds no fronts by kind; make it with explorer.analysis.search.exact")
    _check_axis(front.axis, question)
    best = best_of_kinds(front.fronts_by_kind, question)
    memo: Memo = {}
    ranked = sorted(best.values(), key=lambda point: _preference(point, question))
    leader = ranked[0] if ranked else None
    ranked, simpler_notes = _parts_first(pool, ranked, question, memo)
    answer = ranked[0] if ranked else None
    comparisons = tuple(compare(pool, ranked[0].design, other.design, memo=memo) for other in ranked[1:])
    cheaper = _cheaper(ranked, comparisons)
    return Advice(
        question=question,
        axis=front.axis,
        pool=front.pool,
        answer=answer,
        runner_up=ranked[1] if len(ranked) > 1 else None,
        best_of_kind=best,
        comparisons=comparisons,
        cannot_tell=bool(comparisons) and comparisons[0].verdict is Verdict.CANNOT_TELL,
        cheaper=cheaper,
        cost_verdict=_cost_verdict(ranked, cheaper),
        crossovers=crossovers(front.points),
        next_up=_next_up(front.points, leader, question),
        notes=(*front.notes, *simpler_notes, *_notes(answer, question)),
    )


def best_of_kinds(
    fronts: Mapping[CandidateKind, Sequence[Point]], question: Budget | Target
) -> dict[CandidateKind, Point]:
    """Return the best design of each kind that fits the question, chosen on ``select``.

    Exact over all searched designs, since what fits best is always on its kind's front.
    """
    best = {}
    for kind, points in fronts.items():
        fitting = [point for point in points if fits(point, question)]
        if fitting:
            best[kind] = min(fitting, key=lambda point: _preference(point, question))
    return best


def fits(point: Point, question: Budget | Target) -> bool:
    """Say whether a design meets the question by its figures on ``select``."""
    if isinstance(question, Budget):
        return point.select_cost <= question.limit
    return point.select_accuracy >= question.accuracy


def crossovers(points: Sequence[Point]) -> tuple[Crossover, ...]:
    """Return the budgets at which the kind of the best design changes, along a front."""
    return tuple(
        Crossover(cost=after.select_cost, before=before.kind, after=after.kind)
        for before, after in pairwise(points)
        if before.kind is not after.kind
    )


def _check_axis(axis: CostAxis, question: Budget | Target) -> None:
    if isinstance(question, Budget) and question.axis != axis:
        raise ConventionError(f"the budget is on {question.axis} but the front is over {axis}")


def _preference(point: Point, question: Budget | Target) -> tuple:
    """Return the key that is smallest for the point to prefer."""
    accuracy, cost = -point.select_accuracy, point.select_cost
    first = (accuracy, cost) if isinstance(question, Budget) else (cost, accuracy)
    return (*first, design_order(point.design))


def _parts_first(
    pool: Pool, ranked: list[Point], question: Budget | Target, memo: Memo
) -> tuple[list[Point], tuple[str, ...]]:
    """Put a part of the best design in front that is no dearer, nor told from the whole on ``select``."""
    if not isinstance(question, Budget) or not ranked:
        return ranked, ()
    dearer = [point.select_cost > ranked[0].select_cost for point in ranked]
    place, notes = first_by_parts(pool, [point.design for point in ranked], dearer, memo)
    return [ranked[place], *ranked[:place], *ranked[place + 1 :]], notes


def _cheaper(ranked: Sequence[Point], comparisons: Sequence[Comparison]) -> Point | None:
    """Return the cheapest of the answer and those it cannot be told from."""
    if not ranked:
        return None
    alike = [
        other
        for other, comparison in zip(ranked[1:], comparisons, strict=True)
        if comparison.verdict is Verdict.CANNOT_TELL
    ]
    # the answer comes first: at equal cost it stays
    return min((ranked[0], *alike), key=lambda point: point.select_cost)


def _cost_verdict(ranked: Sequence[Point], cheaper: Point | None) -> CostVerdict | None:
    """Return what may be said of the answer's cost against the cheapest like it, or else the runner-up's.

    Predicted costs of the same members are off by the same factor: it cancels. Others are taken to err
    apart, which is the careful side.
    """
    if not ranked or cheaper is None:
        return None
    answer = ranked[0]
    rival = cheaper if cheaper.design != answer.design else next(iter(ranked[1:]), None)
    if rival is None:
        return None
    if not (answer.cost.value > 0 and rival.cost.value > 0):
        return None
    models = [{member.model for member in point.design.members} for point in (answer, rival)]
    shared = 1.0 if models[0] == models[1] and len(models[0]) == 1 else 0.0
    return decide(answer.cost, rival.cost, correlation=shared)


def _next_up(points: Sequence[Point], leader: Point | None, question: Budget | Target) -> Point | None:
    """Return the next dearer point of the front; without one that fits, what the smallest budget buys."""
    if leader is None:
        return points[0] if isinstance(question, Budget) else None
    return next((point for point in points if point.select_cost > leader.select_cost), None)


def _notes(answer: Point | None, question: Budget | Target) -> tuple[str, ...]:
    """Say where the figures on ``report`` do not bear out the choice made on ``select``."""
    if answer is None:
        return ("nothing that was searched fits the question",)
    notes = []
    if isinstance(question, Budget):
        if answer.cost.value > question.limit:
            notes.append("on report the answer's mean cost is above the budget")
        elif answer.cost.high > question.limit:
            notes.append("the interval of the answer's cost on report reaches beyond the budget")
        if answer.worst_cost > question.limit:
            notes.append("an input that runs every stage of the answer costs more than the budget")
    else:
        if answer.accuracy.value < question.accuracy:
            notes.append("on report the answer misses the target")
        elif answer.accuracy.low < question.accuracy:
            notes.append("the interval of the answer's accuracy on report reaches below the target")
    return tuple(notes)

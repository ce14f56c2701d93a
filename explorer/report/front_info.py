"""Work out what the front figure shows, before anything is drawn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from explorer.analysis.result import Advice, Crossover, Front, Point, SearchedDesign
from explorer.convention import CostAxis
from explorer.question import Budget, Target
from explorer.report.answer import CROSSOVERS_TOLD, crossover_sentences
from explorer.report.text import (
    exit_condition,
    format_accuracy,
    format_accuracy_value,
    format_amount,
    format_axis,
    format_cost,
    format_count,
    format_share,
    kind_name,
    share_decimals,
    short_design,
    with_article,
)
from explorer.spec import CandidateKind, Cascade, design_id

BARS_PER_KIND = 12
"""Interval bars drawn for one kind: more overlap and hide each other; the others stay in the table."""
BUDGET_STEPS = 60
"""Positions of a budget slider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontMark:
    """One candidate of the figure: on the front, or best of its kind at its cost."""

    id: str
    """Twelve hexadecimal digits, `explorer.spec.design_id`."""
    design: str
    """Canonical text."""
    label: str
    """Short text for people, seeds left out."""
    kind: CandidateKind
    cost: float
    """In the axis's unit."""
    cost_low: float
    cost_high: float
    accuracy: float
    """Share of report examples answered right."""
    low: float
    high: float
    on_front: bool
    bar: bool
    """Whether the figure draws its interval."""
    role: str
    """``answer``, ``runner-up`` or empty."""
    accuracy_text: str
    cost_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontInfo:
    """Everything the front figure shows."""

    dataset: str
    axis: CostAxis
    axis_label: str
    accuracy_label: str
    marks: tuple[FrontMark, ...]
    """Sorted by kind, then by cost."""
    cloud: tuple[SearchedDesign, ...]
    """Dominated designs, with figures on the selection examples."""
    crossovers: tuple[Crossover, ...]
    budget: float | None
    target: float | None
    alt: str
    """The figure in words."""

    def of_kind(self, kind: CandidateKind) -> tuple[FrontMark, ...]:
        """Return the marks of one kind, cheapest first."""
        return tuple(mark for mark in self.marks if mark.kind is kind)

    @property
    def kinds(self) -> tuple[CandidateKind, ...]:
        """Kinds that occur, in the vocabulary's order."""
        return tuple(kind for kind in CandidateKind if self.of_kind(kind))


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """One stage of a design, as text."""

    name: str
    members: str
    reached: str
    leaves: str
    condition: str


def stage_rows(point: Point) -> tuple[StageRow, ...]:
    """Return a design's stages: who answers, how many inputs reach it, how many leave there and when."""
    design = point.design
    stages = design.stages if isinstance(design, Cascade) else (design,)
    exits, joined = (design.exits, design.joined) if isinstance(design, Cascade) else ((), ())
    ends = (*point.reached[1:], 0.0)
    return tuple(
        StageRow(
            name=str(index + 1),
            members=f"+ {stage}" if index and joined[index - 1] else str(stage),
            reached=format_share(here),
            leaves=format_share(here - after),
            condition=exit_condition(exits[index]) if index < len(exits) else "always",
        )
        for index, (stage, here, after) in enumerate(zip(stages, point.reached, ends, strict=True))
    )


def shown_points(front: Front, advice: Advice | None = None) -> tuple[Point, ...]:
    """Return every point that figure and table show, each design once, by kind and cost.

    Those are the front, each kind's own front, and what the advice names.
    """
    found = {str(point.design): point for points in front.fronts_by_kind.values() for point in points}
    found.update({str(point.design): point for point in front.points})
    if advice is not None:
        named = (
            advice.answer,
            advice.runner_up,
            advice.cheaper,
            advice.next_up,
            *advice.best_of_kind.values(),
        )
        found.update({str(point.design): point for point in named if point is not None})
    order = list(CandidateKind)
    return tuple(sorted(found.values(), key=lambda p: (order.index(p.kind), p.cost.value, p.accuracy.value)))


def front_info(front: Front, advice: Advice | None = None) -> FrontInfo:
    """Work out the front figure: marks with intervals, cloud, crossovers, and its text alternative."""
    points = shown_points(front, advice)
    roles = _roles(advice)
    on_front = {str(point.design) for point in front.points}
    barred = _barred(points, set(roles))
    marks = tuple(
        FrontMark(
            id=design_id(point.design),
            design=str(point.design),
            label=short_design(point.design),
            kind=point.kind,
            cost=point.cost.value,
            cost_low=point.cost.low,
            cost_high=point.cost.high,
            accuracy=point.accuracy.value,
            low=point.accuracy.low,
            high=point.accuracy.high,
            on_front=str(point.design) in on_front,
            bar=str(point.design) in barred,
            role=roles.get(str(point.design), ""),
            accuracy_text=format_accuracy(point.accuracy),
            cost_text=format_cost(point.cost, front.axis.kind),
        )
        for point in points
    )
    question = advice.question if advice is not None else None
    budget = question.limit if isinstance(question, Budget) and question.axis == front.axis else None
    return FrontInfo(
        dataset=front.pool.dataset,
        axis=front.axis,
        axis_label=f"Cost: {format_axis(front.axis)} (log scale)",
        accuracy_label=f"Accuracy on {format_count(front.pool.report_examples)} report examples",
        marks=marks,
        cloud=front.cloud,
        crossovers=told_crossovers(advice),
        budget=budget,
        target=question.accuracy if isinstance(question, Target) else None,
        alt=front_alt(front, advice),
    )


def told_crossovers(advice: Advice | None) -> tuple[Crossover, ...]:
    """Return the crossovers that figures mark: all, or of many the first and the last."""
    if advice is None:
        return ()
    found = advice.crossovers
    return found if len(found) <= CROSSOVERS_TOLD else (found[0], found[-1])


def _roles(advice: Advice | None) -> dict[str, str]:
    if advice is None:
        return {}
    named = {"runner-up": advice.runner_up, "answer": advice.answer}
    return {str(point.design): role for role, point in named.items() if point is not None}


def _barred(points: Sequence[Point], always: set[str]) -> set[str]:
    """Pick the designs whose interval is drawn: evenly spaced in log cost within each kind."""
    chosen = set(always)
    for kind in CandidateKind:
        mine = [point for point in points if point.kind is kind and point.cost.value > 0]
        if len(mine) <= BARS_PER_KIND:
            chosen.update(str(point.design) for point in mine)
            continue
        logs = [math.log(point.cost.value) for point in mine]
        for step in range(BARS_PER_KIND):
            aim = logs[0] + (logs[-1] - logs[0]) * step / (BARS_PER_KIND - 1)
            nearest = min(range(len(mine)), key=lambda i: abs(logs[i] - aim))
            chosen.add(str(mine[nearest].design))
    return chosen


def front_alt(front: Front, advice: Advice | None) -> str:
    """Say the front figure in words, from the front itself."""
    if not front.points:
        return f"Empty chart: no design of {front.pool.dataset} could be scored."
    first, last = front.points[0], front.points[-1]
    kind = front.axis.kind
    counts = {k: sum(point.kind is k for point in front.points) for k in CandidateKind}
    parts = [f"{n} {kind_name(k)}{'' if n == 1 else 's'}" for k, n in counts.items() if n]
    decimals = share_decimals(front.pool.report_examples)
    said = [
        f"Scatter chart of accuracy on {front.pool.dataset} against {format_axis(front.axis)}, log scale.",
        f"The Pareto front holds {', '.join(parts)}, from {format_share(first.accuracy.value, decimals)} at "
        f"{format_amount(first.cost.value, kind)} to {format_share(last.accuracy.value, decimals)} at "
        f"{format_amount(last.cost.value, kind)}.",
    ]
    if advice is not None:
        said.extend(crossover_sentences(advice))
        if advice.answer is not None:
            said.append(
                f"The answer, {with_article(kind_name(advice.answer.kind))}, is marked at "
                f"{format_amount(advice.answer.cost.value, kind)} and "
                f"{format_accuracy_value(advice.answer.accuracy)}."
            )
    return " ".join(said)


def budget_steps(front: Front) -> tuple[float, ...]:
    """Return budgets for a slider: evenly spaced in log cost, from the cheapest point to the dearest.

    Two significant digits, rounded up, so that a step at a point's cost lets the point in.
    """
    costs = [point.select_cost for point in shown_points(front) if point.select_cost > 0]
    if not costs:
        return ()
    low, high = math.log10(min(costs)), math.log10(max(costs))
    raw = [10 ** (low + (high - low) * i / (BUDGET_STEPS - 1)) for i in range(BUDGET_STEPS)]
    return tuple(sorted({_round_up(value) for value in raw}))


def _round_up(value: float) -> float:
    """Round up to two significant digits."""
    exponent = math.floor(math.log10(value)) - 1
    mantissa = math.ceil(value / 10.0**exponent - 1e-9)
    return float(f"{mantissa}e{exponent}")


def default_budget(front: Front) -> float | None:
    """Return the step that lets the dearest single model in: the budget of somebody who scales up."""
    singles = front.fronts_by_kind.get(CandidateKind.SINGLE, ())
    steps = budget_steps(front)
    if not steps:
        return None
    dearest = max((point.select_cost for point in singles), default=steps[-1])
    return nearest_step(steps, dearest)


def nearest_step(steps: Sequence[float], value: float) -> float:
    """Return the smallest step that is not below ``value``, or the last one."""
    return next((step for step in steps if step >= value), steps[-1])

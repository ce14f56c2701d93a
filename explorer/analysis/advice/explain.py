"""Why a design is worth what it is: what dominates it, what each member adds, which single edit helps.

Everything is chosen on ``select`` and reported on ``report``, paired on the same examples. Many edits are
tried: that the best of them looks better on ``select`` is partly luck, which the figures on ``report`` show.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import numpy as np

from explorer.analysis.bootstrap import paired_interval, tells
from explorer.analysis.costs import mean_cost, stage_costs, stages_of
from explorer.analysis.pool import Pool
from explorer.analysis.result import Comparison, Front, Point
from explorer.analysis.scoring.cascade import cuts
from explorer.analysis.scoring.score import Memo, candidate_decisions, evaluate, reached_counts
from explorer.analysis.scoring.signals import leaves, signal_values
from explorer.analysis.search.pareto import pareto_front
from explorer.analysis.search.space import design_order
from explorer.analysis.statistics.compare import compare
from explorer.convention import Composition
from explorer.errors import UsageError
from explorer.spec import (
    Averaging,
    Candidate,
    Cascade,
    Ensemble,
    Exit,
    Member,
    Signal,
    Stage,
    averaging_of,
    ensemble,
)


class Step(StrEnum):
    """How a design is edited."""

    DROP = "drop"
    """One occurrence of a member less."""
    SWAP = "swap"
    """One occurrence of a member is replaced by a member that is not in its stage."""
    ADD = "add"
    """One member more in a stage that does not have it."""
    THRESHOLD = "threshold"
    """Another exit threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A design of the front that dominates the one explained on ``select``."""

    point: Point
    cost_saved: float
    """On ``select``, in the unit of the axis."""
    cost_saved_on_report: float
    comparison: Comparison
    """Its accuracy against the explained design's on ``report``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberValue:
    """What one member, all its occurrences together, adds to a design."""

    member: Member
    without: Candidate
    """The design without it; a stage that it was alone in is gone, with its exit."""
    cost: float
    """What it costs: the mean cost saved without it on ``select``; below zero where others then run more."""
    cost_on_report: float
    select_gain: float
    """Share of ``select`` examples answered right with it, minus without it."""
    comparison: Comparison
    """The design against itself without the member, on ``report``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One edit of a design, and what comes of it."""

    step: Step
    point: Point
    cost_change: float
    """On ``select``, in the unit of the axis."""
    accuracy_change: float
    """On ``select``, share of examples."""
    dominates: bool
    """Whether it is no dearer and no less accurate on ``select``; else dearer, and told to be better."""
    comparison: Comparison
    """The edited design against the one explained, on ``report``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A design among all others."""

    point: Point
    on_front: bool
    """Whether it is itself a point of the front."""
    cheaper: Rival | None
    """The cheapest design at least as accurate; None where nothing dominates it."""
    more_accurate: Rival | None
    """The most accurate design at most as dear; None where nothing dominates it."""
    members: tuple[MemberValue, ...]
    """In order of execution; none for a single one."""
    edits: Mapping[Step, Edit]
    """Of each step the cheapest edit that helps; none where none of the step does."""
    cheapest_edit: Edit | None
    tried: Mapping[Step, int]
    """Edits scored; of thresholds, every one that tells examples apart."""


def explain(pool: Pool, front: Front, design: Candidate) -> Explanation:
    """Explain a design: who dominates it, what its members are worth, the cheapest edit that helps.

    An edit helps when on ``select`` it is no dearer and no less accurate and better in one of the two, or
    when it is dearer, but ``select`` can tell that it is more accurate (paired). Of those that help the one
    that costs least is returned, of equals the more accurate one, then `design_order`. All edits of one
    step are scored exactly; edits that no design can have (an agreement of one member) are left out.

    Args:
        pool: what ``front`` was searched in.
        front: the result of `explorer.analysis.search.exact.search`.
        design: any candidate of the pool's members, with any number of stages.

    Raises:
        UsageError: a member is not in the pool, or ``front`` is of another one.
    """
    if front.pool != pool.summary or front.axis != pool.axis:
        raise UsageError("this front was not searched in this pool; search again")
    memo: Memo = {}
    point = evaluate(pool, design, pool.axis, memo=memo)
    tried: Counter[Step] = Counter()
    edits = _best_edits(pool, point, tried, memo)
    better = [
        other
        for other in front.points
        if _dominates((other.select_cost, other.select_accuracy), (point.select_cost, point.select_accuracy))
    ]
    cheaper = min(better, key=lambda p: (p.select_cost, -p.select_accuracy), default=None)
    stronger = min(better, key=lambda p: (-p.select_accuracy, p.select_cost), default=None)
    return Explanation(
        point=point,
        on_front=any(other.design == design for other in front.points),
        cheaper=None if cheaper is None else _rival(pool, cheaper, point, memo),
        more_accurate=None if stronger is None else _rival(pool, stronger, point, memo),
        members=_member_values(pool, point, memo),
        edits=edits,
        cheapest_edit=min(edits.values(), key=lambda edit: _edit_order(edit.point), default=None),
        tried=dict(tried),
    )


def without_member(design: Candidate, member: Member) -> Candidate | None:
    """Return the design without any occurrence of a member, or None where nothing would be left.

    A stage that is left empty goes with its own exit; where that was the last stage, the one before it
    becomes the last and loses its exit. All other thresholds stay as they are.

    Raises:
        UsageError: no design can be like that (an agreement of one member).
    """
    stages = [tuple(m for m in stage.members if m != member) for stage in stages_of(design)]
    return _rebuilt(design, stages)


def _rival(pool: Pool, other: Point, point: Point, memo: Memo) -> Rival:
    return Rival(
        point=other,
        cost_saved=point.select_cost - other.select_cost,
        cost_saved_on_report=point.cost.value - other.cost.value,
        comparison=compare(pool, other.design, point.design, memo=memo),
    )


def _member_values(pool: Pool, point: Point, memo: Memo) -> tuple[MemberValue, ...]:
    values = []
    for member in dict.fromkeys(point.design.members):
        without = _possible(partial(without_member, point.design, member))
        if without is None:
            continue
        rest = evaluate(pool, without, pool.axis, memo=memo)
        values.append(
            MemberValue(
                member=member,
                without=without,
                cost=point.select_cost - rest.select_cost,
                cost_on_report=point.cost.value - rest.cost.value,
                select_gain=point.select_accuracy - rest.select_accuracy,
                comparison=compare(pool, point.design, without, memo=memo),
            )
        )
    return tuple(values)


# ---- edits --------------------------------------------------------------------------------------


def _best_edits(pool: Pool, point: Point, tried: Counter[Step], memo: Memo) -> dict[Step, Edit]:
    """Return of each step the cheapest edit that helps."""
    before = _on_select(pool, point.design, memo)
    best: dict[Step, tuple[tuple, Candidate]] = {}
    for step, design in _edited(pool, point.design, tried, memo):
        right, cost = _on_select(pool, design, memo)
        if _helps((right, cost), before):
            order = (cost, -int(right.sum()), *design_order(design))
            if step not in best or order < best[step][0]:
                best[step] = order, design
    return {step: _edit(pool, step, best[step][1], point, memo) for step in Step if step in best}


def _edit(pool: Pool, step: Step, design: Candidate, point: Point, memo: Memo) -> Edit:
    edited = evaluate(pool, design, pool.axis, memo=memo)
    return Edit(
        step=step,
        point=edited,
        cost_change=edited.select_cost - point.select_cost,
        accuracy_change=edited.select_accuracy - point.select_accuracy,
        dominates=edited.select_cost <= point.select_cost,
        comparison=compare(pool, design, point.design, memo=memo),
    )


def _edit_order(point: Point) -> tuple:
    return point.select_cost, -point.select_accuracy, *design_order(point.design)


def _on_select(pool: Pool, design: Candidate, memo: Memo) -> tuple[np.ndarray, float]:
    """Return which ``select`` examples a design answers right, and its mean cost there."""
    decisions, left_at = candidate_decisions(pool, design, "select", memo=memo)
    reached = reached_counts(left_at, len(stages_of(design)))
    return decisions == pool.select_labels, mean_cost(pool, design, reached)


def _helps(edited: tuple[np.ndarray, float], before: tuple[np.ndarray, float]) -> bool:
    (right, cost), (right_before, cost_before) = edited, before
    gain = int(right.sum()) - int(right_before.sum())
    if cost <= cost_before:
        return _dominates((cost, gain), (cost_before, 0))
    won, lost = int((right & ~right_before).sum()), int((right_before & ~right).sum())
    return gain > 0 and tells(paired_interval(won, lost, len(right)))


def _dominates(first: tuple[float, float], second: tuple[float, float]) -> bool:
    """Say whether (cost, accuracy) is no worse in both and better in one."""
    return first[0] <= second[0] and first[1] >= second[1] and first != second


def _edited(
    pool: Pool, design: Candidate, tried: Counter[Step], memo: Memo
) -> Iterator[tuple[Step, Candidate]]:
    """Yield each design that is one edit away; of thresholds those that no other threshold beats."""
    seen = {design}
    stages = [stage.members for stage in stages_of(design)]
    for step, edited_stages in _member_edits(pool, stages):
        edited = _possible(partial(_rebuilt, design, edited_stages))
        if edited is not None and edited not in seen:
            seen.add(edited)
            tried[step] += 1
            yield step, edited
    if isinstance(design, Cascade):
        for number in range(len(design.exits)):
            for edited in _threshold_edits(pool, design, number, tried, memo):
                if edited not in seen:
                    yield Step.THRESHOLD, edited


_Stages = Sequence[tuple[Member, ...]]


def _member_edits(pool: Pool, stages: _Stages) -> Iterator[tuple[Step, _Stages]]:
    """Yield each change of one member in one stage."""
    for number, members in enumerate(stages):

        def changed(to: Sequence[Member], number: int = number) -> _Stages:
            return [*stages[:number], tuple(to), *stages[number + 1 :]]

        others = [member for member in pool.members if member not in members]
        for place in dict.fromkeys(members.index(member) for member in members):
            rest = [*members[:place], *members[place + 1 :]]
            yield Step.DROP, changed(rest)
            for other in others:
                yield Step.SWAP, changed([*rest, other])
        for other in others:
            yield Step.ADD, changed([*members, other])


def _rebuilt(design: Candidate, stages: _Stages) -> Candidate | None:
    """Return the design with other members in its stages; those left empty go."""
    before = stages_of(design)
    rules = [averaging_of(stage) for stage in before if isinstance(stage, Ensemble)]
    usual = rules[0] if rules else Averaging.MEAN
    made: list[Stage | None] = [
        ensemble(members, stage.averaging if isinstance(stage, Ensemble) else usual) if members else None
        for stage, members in zip(before, stages, strict=True)
    ]
    kept = [number for number, stage in enumerate(made) if stage is not None]
    left = [stage for stage in made if stage is not None]
    if len(left) <= 1:
        return left[0] if left else None
    assert isinstance(design, Cascade)
    # a stage leaves by its own exit; the last one has none
    exits = tuple(design.exits[number] for number in kept[:-1])
    joined = tuple(design.joined[number - 1] for number in kept[1:])
    return Cascade(tuple(left), exits, joined)


def _possible(make: Callable[[], Candidate | None]) -> Candidate | None:
    """Return what ``make`` returns, or None where there can be no such design."""
    try:
        return make()
    except UsageError:
        return None


def _threshold_edits(
    pool: Pool, design: Cascade, number: int, tried: Counter[Step], memo: Memo
) -> Iterator[Cascade]:
    """Yield the cascade with every threshold of one exit that no other one beats on ``select``.

    One sort: those who reach the stage leave by falling sureness, with its answer; the others get what the
    later stages would say. A threshold at which nobody or everybody leaves would be another design.
    """
    combined, signal = design.combined, design.exits[number].signal
    labels = pool.select_labels
    right = [candidate_decisions(pool, stage, "select", memo=memo)[0] == labels for stage in combined]
    values = [
        signal_values(leave.signal, np.asarray(pool.select[pool.rows(stage.members)]), averaging_of(stage))
        for leave, stage in zip(design.exits, combined, strict=False)
    ]
    go = [leaves(value, leave) for value, leave in zip(values, design.exits, strict=True)]
    reach = ~np.any(go[:number], axis=0) if number else np.ones(len(right[0]), bool)
    later, left_at = right[-1], np.full(len(right[-1]), len(combined) - 1)
    for stage in range(len(combined) - 2, number, -1):
        later, left_at = np.where(go[stage], right[stage], later), np.where(go[stage], stage, left_at)
    here = np.flatnonzero(reach)
    # only the entropy falls as sureness grows
    sign = -1.0 if signal is Signal.ENTROPY else 1.0
    found = cuts(sign * values[number][here])
    tried[Step.THRESHOLD] += len(found.leavers)
    order = here[found.order]
    gained = np.cumsum(right[number][order].astype(np.int64) - later[order])[found.leavers - 1]
    paid = np.cumsum(stage_costs(pool, design))
    saved = np.cumsum(paid[left_at[order]] - paid[number])[found.leavers - 1]
    if pool.axis.kind.composition is not Composition.EXPECTED:
        saved = np.zeros(len(saved))
    for cut in pareto_front(-saved, gained).tolist():
        leave = Exit(sign * found.threshold(cut), signal)
        exits = (*design.exits[:number], leave, *design.exits[number + 1 :])
        yield Cascade(design.stages, exits, design.joined)

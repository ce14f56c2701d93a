"""Explaining a design: brute force over single edits, and cases worked out by hand."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import make_pool, pools, simulated_pool

from explorer.analysis.advice.explain import Step, explain, without_member
from explorer.analysis.pool import Pool
from explorer.analysis.result import Verdict
from explorer.analysis.scoring.score import evaluate
from explorer.analysis.search.exact import search
from explorer.analysis.search.plan import Space
from explorer.analysis.statistics.compare import compare
from explorer.convention import CostAxis
from explorer.errors import UsageError
from explorer.spec import Averaging, Candidate, Cascade, Exit, Single, ensemble, parse_design

LIFELIKE = simulated_pool(models=4, seeds=3, select=360, report=539, seed=1)
FRONT = search(LIFELIKE, LIFELIKE.axis, Space(max_members=3))
CASCADE = parse_design("net1@8#0 -> [p>=0.7] mean(net0@8#0, net3@8#1)")


def rank(pool: Pool, design: Candidate) -> tuple[float, float]:
    point = evaluate(pool, design, pool.axis)
    return round(point.select_cost, 9), -point.select_accuracy


def helps(pool: Pool, edited: Candidate, design: Candidate) -> bool:
    (cost, loss), (cost_before, loss_before) = rank(pool, edited), rank(pool, design)
    if cost <= cost_before:
        return loss <= loss_before and (cost, loss) != (cost_before, loss_before)
    return compare(pool, edited, design, split="select").verdict is Verdict.BETTER


def thresholds(pool: Pool, design: Cascade, number: int) -> list[Cascade]:
    """Every threshold between two confidences of any example: many are alike."""
    combined = design.combined[number]
    chance = np.mean([pool.select[row].astype(float) for row in pool.rows(combined.members)], axis=0)
    sure = sorted(set(chance.max(axis=1).tolist()))
    exits = [
        (*design.exits[:number], Exit((a + b) / 2), *design.exits[number + 1 :]) for a, b in pairwise(sure)
    ]
    return [replace(design, exits=changed) for changed in exits]


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(pools(max_members=3, max_examples=6), st.data())
def test_best_threshold_is_that_of_all_thresholds(pool: Pool, data: st.DataObject) -> None:
    """Three stages, some joined: the edited exit is the first or the second."""
    if len(pool.members) < 3:
        return
    stages = tuple(map(Single, data.draw(st.permutations(pool.members))))
    exits = tuple(Exit(data.draw(st.sampled_from([0.2, 0.38, 0.6, 0.9]))) for _ in range(2))
    joined = data.draw(st.tuples(st.booleans(), st.booleans()))
    design = Cascade(stages, exits, joined)
    front = search(pool, pool.axis, Space(max_members=1, cascades=False))
    found = explain(pool, front, design).edits.get(Step.THRESHOLD)
    edited = [other for number in range(2) for other in thresholds(pool, design, number)]
    helping = [
        other
        for other in edited
        if helps(pool, other, design) and reached_shares(pool, other) != reached_shares(pool, design)
    ]
    if found is None:
        free = [o for o in helping if 0 < first_leavers(pool, o, design) < 1]
        assert not free
        return
    assert helps(pool, found.point.design, design)
    mine = rank(pool, found.point.design)
    free = [rank(pool, o) for o in helping if 0 < first_leavers(pool, o, design) < 1]
    assert mine <= min(free)


def reached_shares(pool: Pool, design: Cascade) -> tuple[int, ...]:
    from explorer.analysis.scoring.score import candidate_decisions

    return tuple(candidate_decisions(pool, design, "select")[1].tolist())


def first_leavers(pool: Pool, edited: Cascade, design: Cascade) -> float:
    """Return the share of those who reach the edited stage that leave there."""
    left = np.array(reached_shares(pool, edited))
    number = next(k for k in range(2) if edited.exits[k] != design.exits[k])
    here = left >= number
    return float((left[here] == number).mean()) if here.any() else 0.0


def test_best_edit_of_members_is_that_of_all_edits() -> None:
    design = parse_design("mean(net0@8#0, net1@8#1, net2@8#0)")
    found = explain(LIFELIKE, FRONT, design)
    members, others = list(design.members), [m for m in LIFELIKE.members if m not in design.members]
    edits = {
        Step.DROP: [ensemble([m for m in members if m != out]) for out in members],
        Step.SWAP: [ensemble([*(m for m in members if m != out), new]) for out in members for new in others],
        Step.ADD: [ensemble([*members, new]) for new in others],
    }
    assert found.tried == {step: len(of) for step, of in edits.items()}
    for step, of in edits.items():
        helping = [rank(LIFELIKE, edited) for edited in of if helps(LIFELIKE, edited, design)]
        assert (step in found.edits) == bool(helping), step
        if helping:
            edit = found.edits[step]
            assert rank(LIFELIKE, edit.point.design) == min(helping)
            assert edit.comparison == compare(LIFELIKE, edit.point.design, design)
            assert edit.cost_change == edit.point.select_cost - found.point.select_cost
            assert edit.dominates == (edit.cost_change <= 0)
    assert found.edits, "this design was chosen to be improvable"
    assert found.cheapest_edit in found.edits.values()
    assert found.cheapest_edit.point.select_cost == min(e.point.select_cost for e in found.edits.values())


def test_dominators_are_on_the_front_and_paired() -> None:
    design = parse_design("mean(net0@8#0, net1@8#1, net3@8#0)")
    found = explain(LIFELIKE, FRONT, design)
    assert not found.on_front
    cost, accuracy = found.point.select_cost, found.point.select_accuracy
    good = [p for p in FRONT.points if p.select_accuracy >= accuracy and p.select_cost <= cost]
    assert found.cheaper.point.select_cost == min(p.select_cost for p in good)
    assert found.more_accurate.point.select_accuracy == max(p.select_accuracy for p in good)
    for rival in (found.cheaper, found.more_accurate):
        assert rival.cost_saved == cost - rival.point.select_cost >= 0
        assert rival.comparison == compare(LIFELIKE, rival.point.design, design)


def test_points_of_the_front_have_no_dominator() -> None:
    for point in FRONT.points[:: max(1, len(FRONT.points) // 5)]:
        found = explain(LIFELIKE, FRONT, point.design)
        assert found.on_front
        assert (found.cheaper, found.more_accurate) == (None, None)


def chance(right: np.ndarray) -> np.ndarray:
    return np.stack([0.1 + 0.8 * right, 0.9 - 0.8 * right], axis=2)


def test_member_that_adds_nothing_is_seen_and_dropping_it_is_the_cheapest_edit() -> None:
    """Three equal members at 1, 2 and 4: each is worth nothing, and dropping the dearest saves most."""
    right = np.tile(np.arange(100) >= 20, (3, 1))
    pool = make_pool(chance(right), np.zeros(100), chance(right), np.zeros(100), [1.0, 2.0, 4.0])
    front = search(pool, pool.axis)
    found = explain(pool, front, ensemble(pool.members))
    assert [value.cost for value in found.members] == [1.0, 2.0, 4.0]
    for value in found.members:
        assert (value.select_gain, value.comparison.verdict) == (0.0, Verdict.CANNOT_TELL)
    assert found.cheapest_edit.step is Step.DROP
    assert str(found.cheapest_edit.point.design) == "mean(net00@8#0, net01@8#0)"
    assert (found.cheapest_edit.cost_change, found.cheapest_edit.accuracy_change) == (-4.0, 0.0)
    assert str(found.cheaper.point.design) == "net00@8#0"


def test_dearer_edit_helps_only_where_select_can_tell() -> None:
    for gain, told in ((3, False), (40, True)):
        right = np.arange(100)[None, :] >= np.array([50, 50 - gain])[:, None]
        pool = make_pool(chance(right), np.zeros(100), chance(right), np.zeros(100), [1.0, 2.0])
        found = explain(pool, search(pool, pool.axis), Single(pool.members[0]))
        assert (Step.SWAP in found.edits) == told
        if told:
            edit = found.edits[Step.SWAP]
            assert (edit.dominates, edit.cost_change) == (False, 1.0)
            assert edit.accuracy_change == pytest.approx(0.4)
            assert edit.comparison.verdict is Verdict.BETTER
        assert found.members == ()


def test_without_a_member_its_stage_and_exit_go() -> None:
    a, b, c = LIFELIKE.members[:3]
    three = Cascade((Single(a), Single(b), Single(c)), (Exit(0.9), Exit(0.7)), (True, False))
    assert without_member(three, a) == Cascade((Single(b), Single(c)), (Exit(0.7),), (False,))
    assert without_member(three, b) == Cascade((Single(a), Single(c)), (Exit(0.9),), (False,))
    assert without_member(three, c) == Cascade((Single(a), Single(b)), (Exit(0.9),), (True,))
    assert without_member(Single(a), a) is None
    assert without_member(ensemble([a, a, b], Averaging.VOTE), a) == Single(b)
    both = Cascade((Single(a), ensemble([a, b])), (Exit(0.9),))
    assert without_member(both, a) == Single(b)


def test_members_of_a_cascade_are_explained_in_order() -> None:
    found = explain(LIFELIKE, FRONT, CASCADE)
    assert [str(value.member) for value in found.members] == ["net1@8#0", "net0@8#0", "net3@8#1"]
    first = found.members[0]
    assert str(first.without) == "mean(net0@8#0, net3@8#1)"
    assert first.cost < 0, "without the first stage everybody pays for the second"
    assert first.comparison == compare(LIFELIKE, CASCADE, first.without)
    assert set(found.tried) == set(Step)


def test_edits_that_cannot_be_are_left_out() -> None:
    """Agreement needs two members: dropping one is no edit of it."""
    a, b, c = LIFELIKE.members[:3]
    design = parse_design(f"mean({a}, {b}) -> [agreement>=0.9] {c}")
    found = explain(LIFELIKE, FRONT, design)
    assert found.tried[Step.DROP] == 1, "that of the second stage"
    assert [value.member for value in found.members] == [c]


def test_held_costs_do_not_change_with_the_threshold() -> None:
    pool = replace(LIFELIKE, axis=CostAxis.parse("parameters"))
    found = explain(pool, search(pool, pool.axis, Space(max_members=2)), CASCADE)
    edit = found.edits.get(Step.THRESHOLD)
    assert edit is not None
    assert edit.cost_change == 0
    best = max(evaluate(pool, other, pool.axis).select_accuracy for other in thresholds(pool, CASCADE, 0))
    assert edit.point.select_accuracy == best


def test_refusals() -> None:
    other = simulated_pool(models=2, seeds=1, select=30, report=40)
    with pytest.raises(UsageError, match="search again"):
        explain(other, FRONT, CASCADE)
    with pytest.raises(UsageError, match="unknown member"):
        explain(LIFELIKE, FRONT, parse_design("net9@8#0"))

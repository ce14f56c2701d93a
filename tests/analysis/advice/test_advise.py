from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import every_design, make_pool, pools, simulated_pool

from explorer.analysis.advice.advise import advise, crossovers, fits
from explorer.analysis.bootstrap import paired_interval, tells
from explorer.analysis.pool import Pool
from explorer.analysis.result import Advice, Point, Verdict
from explorer.analysis.scoring.score import candidate_decisions, evaluate
from explorer.analysis.search.exact import search
from explorer.analysis.search.plan import Space
from explorer.analysis.search.space import design_order
from explorer.analysis.statistics.compare import compare
from explorer.convention import CostAxis
from explorer.errors import ConventionError, UsageError
from explorer.question import Budget, Target
from explorer.spec import CandidateKind, Cascade, Single

LIFELIKE = simulated_pool(models=4, seeds=3, select=360, report=539, seed=1)
FRONT = search(LIFELIKE, LIFELIKE.axis)


def budget(limit: float, axis: str = "macs") -> Budget:
    return Budget(CostAxis.parse(axis), limit)


def ask(limit: float) -> Advice:
    return advise(LIFELIKE, FRONT, budget(limit))


def all_points(pool: Pool) -> list[Point]:
    return [evaluate(pool, design, pool.axis) for design in every_design(pool, 2)]


def part_that_does(pool: Pool, leader: Point, advice: Advice) -> Point:
    """Return the smallest part of ``leader`` that is best of its kind, no dearer, and not told from it."""
    stages = leader.design.stages if isinstance(leader.design, Cascade) else (leader.design,)
    parts = {str(part) for part in (*stages, *(Single(member) for member in leader.design.members))}
    labels = pool.select_labels
    right = candidate_decisions(pool, leader.design, "select")[0] == labels
    fewest = sorted(advice.best_of_kind.values(), key=lambda point: len(point.design.members))
    for point in fewest:
        if str(point.design) in parts - {str(leader.design)} and point.select_cost <= leader.select_cost:
            other = candidate_decisions(pool, point.design, "select")[0] == labels
            only = int((right & ~other).sum()), int((other & ~right).sum())
            if not tells(paired_interval(*only, len(labels))):
                return point
    return leader


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(pools(max_members=3, max_examples=6), st.sampled_from([1.0, 2.5, 4.0, 6.0, 40.0]), st.floats(0, 1))
def test_choice_is_the_best_of_everything_searched(pool: Pool, limit: float, share: float) -> None:
    front = search(pool, pool.axis, Space(max_members=2))
    points = all_points(pool)
    for question in (budget(limit), Target(share)):
        advice = advise(pool, front, question)
        by_budget = isinstance(question, Budget)

        def rank(p: Point, by_budget: bool = by_budget) -> tuple[float, float]:
            cost = round(p.select_cost, 9)
            return (-p.select_accuracy, cost) if by_budget else (cost, -p.select_accuracy)

        fitting = [p for p in points if fits(p, question)]
        assert (advice.answer is None) == (not fitting)
        for kind in CandidateKind:
            of_kind = [p for p in fitting if p.kind is kind]
            assert (kind in advice.best_of_kind) == bool(of_kind)
            if of_kind:
                best = min(of_kind, key=lambda p: (*rank(p), design_order(p.design)[:2]))
                got = advice.best_of_kind[kind]
                assert rank(got) == rank(best)
                assert design_order(got.design)[:2] == design_order(best.design)[:2]
        if advice.answer is not None:
            leader = min(advice.best_of_kind.values(), key=lambda p: (*rank(p), design_order(p.design)))
            assert rank(leader) == min(map(rank, fitting))
            wanted = part_that_does(pool, leader, advice) if by_budget else leader
            assert advice.answer is wanted
            assert any("its own part" in note for note in advice.notes) == (wanted is not leader)
            others = [p for p in fitting if p.kind is not advice.answer.kind]
            assert (advice.runner_up is None) == (not others)
            if advice.runner_up is not None:
                assert rank(advice.runner_up) == min(map(rank, others))


@pytest.mark.parametrize("limit", [1007.0, 3000.0, 12_000.0, 50_000.0, 1e9])
def test_answer_fits_and_evidence_is_paired_on_report(limit: float) -> None:
    advice = ask(limit)
    assert advice.answer is not None
    assert advice.answer.select_cost <= limit
    assert advice.best_of_kind[advice.answer.kind] is advice.answer
    others = [p for k, p in advice.best_of_kind.items() if k is not advice.answer.kind]
    assert {str(c.second) for c in advice.comparisons} == {str(p.design) for p in others}
    for comparison in advice.comparisons:
        assert comparison == compare(LIFELIKE, advice.answer.design, comparison.second)
    if advice.runner_up is not None:
        assert advice.comparisons[0].second == advice.runner_up.design
        told = compare(LIFELIKE, advice.answer.design, advice.runner_up.design).verdict
        assert advice.cannot_tell == (told is Verdict.CANNOT_TELL)
        assert all(p.select_accuracy <= advice.runner_up.select_accuracy for p in others)


def test_only_the_smallest_budget_leaves_one_kind_and_no_runner_up() -> None:
    advice = ask(1007.0)
    assert set(advice.best_of_kind) == {CandidateKind.SINGLE}
    assert (advice.runner_up, advice.comparisons, advice.cannot_tell) == (None, (), False)
    assert advice.cheaper is advice.answer


def test_nothing_fits() -> None:
    advice = ask(10.0)
    assert advice.answer is advice.runner_up is advice.cheaper is None
    assert (advice.best_of_kind, advice.comparisons, advice.cannot_tell) == ({}, (), False)
    assert advice.next_up == FRONT.points[0], "what the smallest budget that buys anything would buy"
    assert "nothing that was searched fits the question" in advice.notes
    unreachable = advise(LIFELIKE, FRONT, Target(1.0))
    assert (unreachable.answer, unreachable.next_up) == (None, None)


def test_target_is_met_as_cheaply_as_possible() -> None:
    for accuracy in (0.4, 0.6, 0.8):
        advice = advise(LIFELIKE, FRONT, Target(accuracy))
        assert advice.answer is not None
        assert advice.answer.select_accuracy >= accuracy
        assert all(
            p.select_cost >= advice.answer.select_cost
            for points in FRONT.fronts_by_kind.values()
            for p in points
            if p.select_accuracy >= accuracy
        )
        assert advice.answer in FRONT.points


def same_answers(copies: int, wrong: int, n: int = 300) -> Pool:
    """Members of rising cost: the last one is right ``wrong`` times more often than the others."""
    right = np.ones((copies, n), bool)
    right[:-1, :wrong] = False
    chance = np.stack([right * 0.8 + 0.1, 0.9 - right * 0.8], axis=2)
    return make_pool(chance, np.zeros(n), chance, np.zeros(n), [float(10**k) for k in range(copies)])


def test_cannot_tell_when_the_difference_is_within_noise() -> None:
    """Three examples of 300 decide between a single and what is cheaper: nobody can tell."""
    pool = same_answers(3, wrong=3)
    front = search(pool, pool.axis, Space(cascades=False))
    advice = advise(pool, front, budget(100))
    assert str(advice.answer.design) == "net02@8#0"
    assert advice.runner_up.kind is CandidateKind.ENSEMBLE
    assert advice.cannot_tell
    assert advice.cheaper is advice.runner_up, "the cheaper ensemble cannot be told from the answer"
    assert str(advice.cheaper.design) == "mean(net00@8#0, net01@8#0)"


def test_can_tell_when_it_is_not() -> None:
    pool = same_answers(3, wrong=60)
    advice = advise(pool, search(pool, pool.axis, Space(cascades=False)), budget(100))
    assert not advice.cannot_tell
    assert advice.comparisons[0].verdict is Verdict.BETTER
    assert advice.cheaper is advice.answer


def test_chosen_on_select_although_report_says_otherwise() -> None:
    """The answer loses on report, and the advice says so instead of changing its mind."""
    pool = same_answers(3, wrong=60)
    flipped = make_pool(
        pool.select, pool.select_labels, pool.report[[2, 1, 0]], pool.report_labels, pool.costs.tolist()
    )
    advice = advise(flipped, search(flipped, flipped.axis, Space(cascades=False)), budget(100))
    assert str(advice.answer.design) == "net02@8#0"
    assert advice.answer.regret == pytest.approx(0.2)
    target = advise(flipped, search(flipped, flipped.axis, Space(cascades=False)), Target(0.95))
    assert "on report the answer misses the target" in target.notes


def test_notes_on_cascades_beyond_the_budget() -> None:
    asked = (ask(point.select_cost) for point in FRONT.fronts_by_kind[CandidateKind.CASCADE])
    advice = next(answer for answer in asked if answer.answer.kind is CandidateKind.CASCADE)
    assert "an input that runs every stage of the answer costs more than the budget" in advice.notes


def test_a_part_goes_before_a_whole_that_luck_put_ahead() -> None:
    """One more example right of 360 is no evidence for the second stage; the whole comes in second."""
    first, *_ = FRONT.fronts_by_kind[CandidateKind.SINGLE]
    cascades = FRONT.fronts_by_kind[CandidateKind.CASCADE]
    near = next(p for p in cascades if p.select_accuracy > first.select_accuracy)
    assert str(near.design).startswith(str(first.design))
    advice = ask(near.select_cost)
    assert advice.answer.design == first.design
    assert advice.runner_up is not None
    assert advice.runner_up.select_accuracy > first.select_accuracy
    assert any(f"its own part {first.design}, which costs no more" in note for note in advice.notes)
    # with more budget the cascade's lead can be told, and it is the answer
    assert ask(4 * near.select_cost).answer.kind is not CandidateKind.SINGLE


def test_next_up_is_the_next_point_of_the_front() -> None:
    for here, after in zip(FRONT.points, FRONT.points[1:], strict=False):
        assert ask(here.select_cost).next_up is after
    assert ask(1e12).next_up is None


def test_crossovers_are_where_the_kind_changes() -> None:
    found = crossovers(FRONT.points)
    assert found == ask(1e9).crossovers
    kinds = [FRONT.points[0].kind]
    for crossing in found:
        assert crossing.before is kinds[-1]
        below = [p for p in FRONT.points if p.select_cost < crossing.cost]
        at = next(p for p in FRONT.points if p.select_cost == crossing.cost)
        assert (below[-1].kind, at.kind) == (crossing.before, crossing.after)
        kinds.append(crossing.after)
    assert kinds[-1] is FRONT.points[-1].kind


def test_wrong_questions_are_refused() -> None:
    with pytest.raises(ConventionError, match="budget is on param_bytes but the front is over macs"):
        advise(LIFELIKE, FRONT, budget(10, "param_bytes"))
    other = simulated_pool(models=2, seeds=2, select=7, report=7)
    with pytest.raises(UsageError, match="not searched in this pool"):
        advise(other, FRONT, budget(10))
    with pytest.raises(UsageError, match="holds no fronts by kind"):
        advise(LIFELIKE, replace(FRONT, fronts_by_kind={}), budget(10))

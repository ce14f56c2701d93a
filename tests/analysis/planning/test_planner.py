"""Planning runs: constructed cases whose best action and whose probabilities are known."""

import math
from dataclasses import replace

import pytest
from scipy import stats
from strategies import make_pool, simulated_pool

from explorer.analysis.planning.planner import Action, Goal, Known, Option, Unknown, plan_runs
from explorer.analysis.planning.planner_inputs import known_of, minutes_of
from explorer.analysis.scoring.score import evaluate
from explorer.analysis.statistics.seeds import seed_deviation
from explorer.convention import Basis, CostAxis
from explorer.errors import UsageError
from explorer.question import Budget, Target
from explorer.record import CostFigure
from explorer.spec import Member, Single, parse_design

MACS = CostAxis.parse("macs")


def option(name: str, accuracy: float, cost: float, **on: dict[str, float]) -> Option:
    """An option whose accuracy hangs on the unknown of its own name, unless said otherwise."""
    return Option(
        name=name,
        accuracy=accuracy,
        cost=cost,
        accuracy_on=on.get("accuracy_on", {name: 1.0}),
        cost_on=on.get("cost_on", {}),
    )


def unknowns(**errors: float) -> tuple[Unknown, ...]:
    return tuple(Unknown(name=name, error=error) for name, error in errors.items())


def train(name: str, minutes: float = 1.0, noise: float = 0.02) -> Action:
    return Action(name=f"train {name}", minutes=minutes, shows={name: 1.0}, noise=noise)


def close_pair(*actions: Action, question: Budget | Target | None = None) -> Known:
    """Two, a and b, are close, c is far behind: only what tells a from b is worth anything."""
    return Known(
        options=(option("a", 0.90, 1.0), option("b", 0.91, 1.0), option("c", 0.50, 1.0)),
        unknowns=unknowns(a=0.02, b=0.02, c=0.02),
        actions=actions or (train("c"), train("a"), train("b", minutes=2.0)),
        question=question or Budget(MACS, 2.0),
    )


def test_chance_of_a_wrong_choice_is_the_normal_law_s() -> None:
    known = replace(close_pair(train("a")), options=close_pair().options[:2])
    plan = plan_runs(known, 0.5, draws=40_000)
    # b is ahead by 0.01; the truth's difference has a deviation of 0.02 x sqrt(2)
    assert plan.now == pytest.approx(stats.norm.cdf(-0.01 / (0.02 * math.sqrt(2))), abs=0.01)
    assert (plan.runs, plan.then, plan.stopped, plan.spent) == ((), plan.now, "minutes", 0.0)


def test_value_of_a_run_is_that_of_the_bivariate_normal() -> None:
    """With one run on a: what is known of the difference correlates with the truth as worked out."""
    known = replace(close_pair(train("a", noise=0.02)), options=close_pair().options[:2])
    plan = plan_runs(known, 1.0, draws=40_000)
    (run,) = plan.runs
    gap, truth = 0.01 / 0.02, math.sqrt(2)
    learned = math.sqrt(1 / 2)  # prior 1, noise 1: the posterior mean has variance 1/2, covariance 1/2
    rho = 0.5 / (truth * learned)
    law = stats.multivariate_normal(cov=[[1, rho], [rho, 1]])
    # wrong: the signs of (gap + learned) and (gap + truth) differ
    high, wide = gap / learned, gap / truth
    both = law.cdf([high, wide]) + law.cdf([-high, -wide])
    assert run.after == pytest.approx(1 - both, abs=0.01)
    assert plan.then == run.after
    assert run.before == plan.now


def test_close_rival_is_run_before_one_far_behind_and_before_what_takes_longer() -> None:
    plan = plan_runs(close_pair(), 1.0)
    assert [(run.action.name, run.times) for run in plan.runs] == [("train a", 1)]
    assert plan.then < plan.now
    long = plan_runs(close_pair(), 30.0)
    assert {run.action.name for run in long.runs} == {"train a", "train b"}
    assert long.then < plan.then
    assert long.spent == sum(run.minutes for run in long.runs) <= 30.0


def test_design_beyond_the_budget_is_worth_no_run_but_its_cost_at_the_edge_is() -> None:
    known = Known(
        options=(option("a", 0.90, 1.0), option("b", 0.95, 2.05, cost_on={"b's cost": 1.0})),
        unknowns=unknowns(a=0.001, b=0.001, **{"b's cost": 0.1}),
        actions=(
            train("a"),
            train("b"),
            Action(name="measure b", minutes=1, shows={"b's cost": 1}, noise=0.01),
        ),
        question=Budget(MACS, 2.0),
    )
    plan = plan_runs(known, 3.0)
    assert [run.action.name for run in plan.runs][:1] == ["measure b"]
    assert all(run.action.name == "measure b" for run in plan.runs)
    assert plan.now == pytest.approx(stats.norm.cdf(-0.5), abs=0.02)
    assert plan.then < 0.05
    far = replace(known, options=(known.options[0], replace(known.options[1], cost=9.0)))
    sure = plan_runs(far, 3.0)
    assert (sure.now, sure.runs, sure.stopped) == (0.0, (), "sure")


def test_nearly_equal_designs_are_likely_chosen_wrongly_but_nothing_is_lost_by_it() -> None:
    """Between a and b it is a toss-up worth nothing; d is seldom best, but costly."""
    known = Known(
        options=(option("a", 0.900, 1.0), option("b", 0.9001, 1.0), option("d", 0.88, 1.0)),
        unknowns=unknowns(a=0.0002, b=0.0002, d=0.03),
        actions=(train("b", noise=0.0001), train("d", noise=0.001)),
        question=Budget(MACS, 2.0),
    )
    wrong, regret = plan_runs(known, 1.0), plan_runs(known, 1.0, goal=Goal.REGRET)
    assert [run.action.name for run in regret.runs] == ["train d"]
    # E max(0, N(-0.02, 0.03)): the closed form of the expected loss, a and b taken as one
    z = -0.0201 / 0.03
    loss = 0.03 * stats.norm.pdf(z) + -0.0201 * stats.norm.cdf(z)
    assert regret.now == pytest.approx(loss, abs=0.0008)
    assert regret.then < 0.1 * regret.now
    assert wrong.now > 0.3


def test_target_is_about_the_accuracy_near_it() -> None:
    known = Known(
        options=(option("small", 0.80, 1.0), option("large", 0.90, 5.0)),
        unknowns=unknowns(small=0.01, large=0.01),
        actions=(train("small", noise=0.005), train("large", noise=0.005)),
        question=Target(0.805),
    )
    for goal in Goal:
        plan = plan_runs(known, 1.0, goal=goal)
        assert [run.action.name for run in plan.runs] == ["train small"]
    regret = plan_runs(known, 1.0, goal=Goal.REGRET)
    # large is chosen; where small would have done, with chance 0.31, 4 are lost
    assert regret.now == pytest.approx(4 * stats.norm.cdf(-0.5), rel=0.05)


def test_front_s_members_are_made_sure() -> None:
    known = replace(
        close_pair(),
        options=(option("a", 0.90, 1.0), option("b", 0.905, 2.0), option("c", 0.50, 3.0)),
        question=None,
    )
    plan = plan_runs(known, 1.0)
    assert [run.action.name for run in plan.runs] == ["train a"]
    # b alone is in doubt: on the front where it is better than a
    assert plan.now == pytest.approx(stats.norm.cdf(-0.005 / (0.02 * math.sqrt(2))) / 3, abs=0.01)
    with pytest.raises(UsageError, match="no regret"):
        plan_runs(known, 1.0, goal=Goal.REGRET)


def test_what_two_designs_share_is_not_in_doubt_between_them() -> None:
    shared = {"model": 1.0}
    known = Known(
        options=(option("one", 0.90, 1.0, accuracy_on=shared), option("five", 0.91, 2.0, accuracy_on=shared)),
        unknowns=unknowns(model=0.05),
        actions=(train("model"),),
        question=Budget(MACS, 3.0),
    )
    assert plan_runs(known, 5.0).stopped == "sure"


def test_useless_runs_are_not_made_although_there_is_time() -> None:
    plan = plan_runs(close_pair(train("c")), 100.0)
    assert (plan.runs, plan.stopped, plan.spent) == ((), "no gain", 0.0)
    assert plan.at_best == pytest.approx(plan.now, abs=0.005)


def test_measuring_a_design_tells_of_its_parts_together() -> None:
    """One exact look at x + y leaves x - y as unknown as before."""
    known = Known(
        options=(
            option("x", 0.9, 1.0, accuracy_on={}, cost_on={"x": 1.0}),
            option("xy", 0.95, 2.0, accuracy_on={}, cost_on={"x": 1.0, "y": 1.0}),
        ),
        unknowns=unknowns(x=0.1, y=0.1),
        actions=(Action(name="measure xy", minutes=1, shows={"x": 1.0, "y": 1.0}, noise=0.0),),
        question=Budget(MACS, 2.05),
    )
    plan = plan_runs(known, 1.0)
    assert [run.action.name for run in plan.runs] == ["measure xy"]
    assert (plan.then, plan.at_best) == (0.0, 0.0)


def test_same_seed_same_plan_and_more_minutes_never_worse() -> None:
    first, second = plan_runs(close_pair(), 9.0), plan_runs(close_pair(), 9.0)
    assert first == second
    spent = [plan_runs(close_pair(), minutes).then for minutes in (1.0, 4.0, 16.0, 64.0)]
    assert spent == sorted(spent, reverse=True)
    assert spent[-1] >= first.at_best


def test_refusals() -> None:
    for minutes in (0.0, -1.0):
        with pytest.raises(UsageError, match="minutes"):
            plan_runs(close_pair(), minutes)
    with pytest.raises(UsageError, match="more than 0 minutes"):
        train("a", minutes=0.0)
    with pytest.raises(UsageError, match="unknown figure"):
        close_pair(train("z"))
    with pytest.raises(UsageError, match="names of their own"):
        replace(close_pair(), unknowns=(*unknowns(a=1.0, b=1.0, c=1.0), *unknowns(a=2.0)))
    with pytest.raises(UsageError, match="no designs"):
        replace(close_pair(), options=())


# ---- inputs from a pool -------------------------------------------------------------------------

POOL = simulated_pool(models=2, seeds=3, select=200, report=400, seed=2)


def test_deviation_over_seeds_is_pooled_over_models() -> None:
    accuracy = (POOL.report.argmax(axis=2) == POOL.report_labels).mean(axis=1).reshape(2, 3)
    assert seed_deviation(POOL) == pytest.approx(math.sqrt(accuracy.var(axis=1, ddof=1).mean()))
    one = make_pool(POOL.select[:1], POOL.select_labels, POOL.report[:1], POOL.report_labels)
    with pytest.raises(UsageError, match="no model of this pool has two seeds"):
        seed_deviation(one)


def test_known_follows_the_shares_in_which_models_answer_and_run() -> None:
    figures = [
        CostFigure(value=v, low=v - 1.96 * d, high=v + 1.96 * d, basis=Basis.MEASURED)
        for v, d in [(1.0, 0.1)] * 3 + [(4.0, 0.0)] * 3
    ]
    pool = make_pool(
        POOL.select,
        POOL.select_labels,
        POOL.report,
        POOL.report_labels,
        members=POOL.members,
        axis="latency@cpu",
        figures=figures,
    )
    cascade = parse_design("mean(net0@8#0, net0@8#1) -> [p>=0.7] net1@8#2")
    points = [evaluate(pool, design, pool.axis) for design in (Single(pool.members[0]), cascade)]
    known = known_of(
        pool,
        points,
        None,
        train_minutes={"net0@8": 3.0},
        measure_minutes=0.5,
        noise_share=0.1,
        composition_share=0.2,
    )
    deviation = seed_deviation(pool)
    stay = points[1].reached[1]
    errors = {unknown.name: unknown.error for unknown in known.unknowns}
    beyond = f"latency@cpu of {cascade} beyond its members"
    assert errors == {
        "accuracy of net0@8": pytest.approx(deviation / math.sqrt(3)),
        "accuracy of net1@8": pytest.approx(deviation / math.sqrt(3)),
        "latency@cpu of net0@8": pytest.approx(0.1, rel=1e-3),
        beyond: pytest.approx(0.2 * points[1].cost.value),
    }
    assert known.options[1].accuracy_on == pytest.approx(
        {"accuracy of net0@8": 1 - stay, "accuracy of net1@8": stay}
    )
    assert known.options[1].cost_on == {"latency@cpu of net0@8": 2.0, beyond: 1.0}
    assert [(a.name, a.minutes) for a in known.actions] == [
        ("train another seed of net0@8", 3.0),
        ("measure latency@cpu of net0@8#0", 0.5),
        (f"measure latency@cpu of {cascade}", 0.5),
    ]
    assert known.actions[2].noise == pytest.approx(0.1 * points[1].cost.value)
    edge = replace(known, question=Budget(pool.axis, points[1].cost.value))
    assert plan_runs(edge, 5.0, draws=500).now == pytest.approx(0.5, abs=0.1), "at its budget's edge"


def test_counted_costs_are_certain_and_nothing_is_measured() -> None:
    points = [evaluate(POOL, Single(member), POOL.axis) for member in POOL.members[::3]]
    known = known_of(POOL, points, Budget(MACS, 1e6), train_minutes={}, measure_minutes=1.0)
    assert known.actions == ()
    assert all(not option.cost_on for option in known.options)
    assert plan_runs(known, 1.0, draws=100).stopped in ("minutes", "sure")
    with pytest.raises(UsageError, match="the pool holds costs of macs"):
        known_of(POOL, points, Budget(CostAxis.parse("parameters"), 1.0), train_minutes={})


def test_minutes_are_the_median_of_a_model_s_trainings() -> None:
    wall = dict(zip(POOL.members[:4], [60.0, 600.0, 120.0, 300.0], strict=True))
    assert minutes_of(wall, POOL) == {"net0@8": 2.0, "net1@8": 5.0}
    assert minutes_of({Member("other", 8, 0): 1.0}, POOL) == {}

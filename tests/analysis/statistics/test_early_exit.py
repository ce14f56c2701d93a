"""Exit shares against their variational problem, plans against brute force over quantile grids."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from explorer.analysis.statistics.early_exit import (
    ExitPlan,
    ExitStages,
    exit_shares,
    fit_exits,
    run_plan,
    thresholds_for,
)
from explorer.errors import InputDataError, UsageError


def stages(n: int, seed: int) -> ExitStages:
    """Three networks' top probabilities on ten classes, each better and dearer than the one before."""
    random = np.random.default_rng(seed)
    labels, hard = random.integers(0, 10, n), random.normal(0, 1, (n, 10))
    scores, right = [], []
    for skill in (2.5, 3.2, 4.0):
        logits = hard + random.normal(0, 1.2, (n, 10))
        logits[np.arange(n), labels] += skill
        chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        scores.append(chance.max(axis=1))
        right.append(chance.argmax(axis=1) == labels)
    return ExitStages(scores=np.array(scores), right=np.array(right), costs=np.array([1.0, 3.0, 9.0]))


def brute_force(drawn: ExitStages, budget: float, grid: int = 21) -> ExitPlan:
    """The best plan whose thresholds are quantiles of each stage's scores over all examples."""
    quantiles = np.quantile(drawn.scores[:-1], np.linspace(0, 1, grid), axis=1).T
    quantiles[:, 0], quantiles[:, -1] = -np.inf, np.inf
    plans = [run_plan(drawn, tuple(map(float, each))) for each in itertools.product(*quantiles)]
    return max((plan for plan in plans if plan.cost <= budget), key=lambda plan: plan.accuracy)


@pytest.mark.parametrize("budget", [1.5, 2.5, 4.0, 7.0, 12.0])
def test_a_plan_is_about_as_good_as_brute_force(budget: float) -> None:
    select, report = stages(2_000, 1), stages(10_000, 2)
    found, best = fit_exits(select, budget), brute_force(select, budget)
    assert found.cost <= budget
    assert found.accuracy >= best.accuracy - 0.005
    held_out = run_plan(report, found.thresholds)
    assert held_out.accuracy >= run_plan(report, best.thresholds).accuracy - 0.01
    assert held_out.cost <= budget * 1.05
    assert found.accuracy >= fit_exits(select, budget, rounds=0).accuracy


@pytest.mark.parametrize("budget", [1.2, 3.0, 6.0, 20.0])
def test_shares_solve_the_problem_they_are_said_to_solve(budget: float) -> None:
    risks, totals, temperature = np.array([0.3, 0.2, 0.15]), np.array([1.0, 4.0, 13.0]), 0.07

    def objective(shares: np.ndarray) -> float:
        inside = np.maximum(shares, 1e-12)
        return float(shares @ risks + temperature * (inside * np.log(3 * inside)).sum())

    found = exit_shares(-risks / temperature, totals, budget)
    assert found.sum() == pytest.approx(1.0)
    assert found @ totals <= budget + 1e-6
    wanted = optimize.minimize(
        objective,
        np.array([1.0, 0.0, 0.0]) * 0.98 + 0.01 * (budget > 1.2),
        bounds=[(1e-9, 1)] * 3,
        constraints=[
            {"type": "eq", "fun": lambda shares: shares.sum() - 1},
            {"type": "ineq", "fun": lambda shares: budget - shares @ totals},
        ],
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert objective(found) == pytest.approx(wanted.fun, abs=1e-5)


def test_the_least_budget_sends_everybody_out_at_the_first_stage() -> None:
    drawn = stages(300, 3)
    found = fit_exits(drawn, 1.0)
    assert (found.cost, found.shares[0], found.thresholds[0]) == (1.0, 1.0, -np.inf)
    assert found.accuracy == drawn.right[0].mean()
    with pytest.raises(UsageError, match="first stage's 1"):
        fit_exits(drawn, 0.9)


def test_a_free_budget_is_no_worse_than_the_last_stage_alone() -> None:
    drawn = stages(1_000, 4)
    assert fit_exits(drawn, 13.0).accuracy >= drawn.right[-1].mean()


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_ties_and_rounding_never_break_the_budget(data: st.DataObject) -> None:
    count, n = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 15))
    levels = st.lists(st.sampled_from([0.2, 0.5, 0.5, 0.9]), min_size=n, max_size=n)
    flags = st.lists(st.booleans(), min_size=n, max_size=n)
    drawn = ExitStages(
        scores=np.array([data.draw(levels) for _ in range(count)]),
        right=np.array([data.draw(flags) for _ in range(count)]),
        costs=np.array(data.draw(st.lists(st.sampled_from([1.0, 2.0, 7.0]), min_size=count, max_size=count))),
    )
    budget = data.draw(st.floats(float(drawn.totals[0]), float(drawn.totals[-1])))
    found = fit_exits(drawn, budget, rounds=3)
    assert found.cost <= budget + 1e-9
    assert sum(found.shares) == pytest.approx(1.0)
    assert found == run_plan(drawn, found.thresholds)


def test_thresholds_are_quantiles_of_those_still_there() -> None:
    drawn = ExitStages(
        scores=np.array([np.arange(10) / 10, np.arange(10, 0, -1) / 10, np.ones(10)]),
        right=np.ones((3, 10), bool),
        costs=np.ones(3),
    )
    first, second = thresholds_for(drawn, np.array([0.3, 0.3, 0.4]))
    assert 0.6 < first <= 0.7  # the three highest scores leave
    assert 0.7 < second <= 0.8  # of examples 0-6 the highest second scores are those of 0, 1, 2
    assert run_plan(drawn, (first, second)).shares == (0.3, 0.3, 0.4)


def test_bad_input_is_refused_in_one_line() -> None:
    with pytest.raises(InputDataError, match="positive costs"):
        ExitStages(scores=np.ones((2, 3)), right=np.ones((2, 3), bool), costs=np.array([1.0, 0.0]))
    with pytest.raises(InputDataError, match="bool"):
        ExitStages(scores=np.ones((2, 3)), right=np.ones((2, 3)), costs=np.ones(2))
    with pytest.raises(UsageError, match="wanted 2 thresholds, got 1"):
        run_plan(stages(5, 0), (0.5,))

"""Exits of a chain: within the budget on select, and quoted as the design itself scores."""

import pytest
from strategies import simulated_pool

from explorer.analysis.advice.early_exits import early_exits
from explorer.analysis.scoring.score import evaluate
from explorer.errors import UsageError
from explorer.spec import parse_design

POOL = simulated_pool(models=4, seeds=1, select=600, report=700, seed=5)
CHAIN = parse_design("net0@8#0 -> [p>=0.5] net1@8#0 -> [margin>=0.5] + net2@8#0 -> [p>=0.5] net3@8#0")


@pytest.mark.parametrize("budget", [1_100.0, 3_000.0, 8_000.0, 20_000.0, 1e6])
def test_chain_is_within_the_budget_and_scored_as_the_design(budget: float) -> None:
    found = early_exits(POOL, CHAIN, budget)

    assert found.plan.cost <= budget
    assert found.point == evaluate(POOL, found.point.design, POOL.axis)
    assert found.point.select_accuracy == pytest.approx(found.plan.accuracy)
    assert found.point.select_cost <= found.plan.cost + 1e-9
    assert [str(stage.point.design) for stage in found.alone] == [
        "net0@8#0",
        "net1@8#0",
        "mean(net1@8#0, net2@8#0)",
        "net3@8#0",
    ]
    assert all(stage.chain_against.first == found.point.design for stage in found.alone)


def test_more_budget_is_no_less_accurate_on_select() -> None:
    found = [early_exits(POOL, CHAIN, budget).plan.accuracy for budget in (1_100.0, 3_000.0, 20_000.0)]
    assert found == sorted(found)


def test_bad_input() -> None:
    with pytest.raises(UsageError, match="first stage alone costs 1007"):
        early_exits(POOL, CHAIN, 1_000.0)
    with pytest.raises(UsageError, match="1 stage"):
        early_exits(POOL, parse_design("net0@8#0"), 1e6)

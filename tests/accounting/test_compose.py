import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.accounting import (
    cascade_cost,
    cascade_costs,
    ensemble_cost,
    ensemble_costs,
    worst_cost,
    worst_costs,
)
from explorer.convention import COST_KINDS, Composition, cost_kind
from explorer.errors import UsageError

EXPECTED, SUM, MAX = cost_kind("macs"), cost_kind("parameters"), cost_kind("activation_peak_bytes")
WORST = cost_kind("worst_macs")
KINDS = st.sampled_from(list(COST_KINDS.values()))
COSTS = st.lists(st.floats(0, 1e12), min_size=1, max_size=5)


def test_every_rule_is_tried_here() -> None:
    assert {k.composition for k in (EXPECTED, SUM, MAX, WORST)} == set(Composition)


def test_by_hand() -> None:
    stages, reached = [3.0, 7.0, 11.0], [1.0, 0.5, 0.25]

    assert (ensemble_cost(EXPECTED, stages), ensemble_cost(SUM, stages), ensemble_cost(MAX, stages)) == (
        21,
        21,
        11,
    )
    assert cascade_cost(EXPECTED, stages, reached) == 3 + 3.5 + 2.75
    assert cascade_cost(SUM, stages, reached) == 21
    assert cascade_cost(MAX, stages, reached) == 11
    assert cascade_cost(WORST, stages, reached) == worst_cost(WORST, stages) == 21
    parallel = cost_kind("parallel_latency")
    assert ensemble_cost(parallel, stages) == 11, "the slowest of members that run side by side"
    assert cascade_cost(parallel, stages, reached) == cascade_cost(EXPECTED, stages, reached)
    assert (worst_cost(EXPECTED, stages), worst_cost(SUM, stages), worst_cost(MAX, stages)) == (21, 21, 11)


def test_a_stage_that_nobody_reaches_is_still_held() -> None:
    assert cascade_cost(SUM, [3, 7], [1, 0]) == 10
    assert cascade_cost(MAX, [3, 7], [1, 0]) == 7
    assert cascade_cost(EXPECTED, [3, 7], [1, 0]) == 3


@given(KINDS, COSTS)
def test_one_part_costs_itself(kind, costs: list[float]) -> None:
    assert ensemble_cost(kind, costs[:1]) == costs[0] == cascade_cost(kind, costs[:1], [1.0])


@given(KINDS, COSTS, st.randoms())
def test_order_of_members_does_not_matter(kind, costs: list[float], random) -> None:
    shuffled = list(costs)
    random.shuffle(shuffled)

    assert ensemble_cost(kind, shuffled) == pytest.approx(ensemble_cost(kind, costs), rel=1e-12)


@given(KINDS, COSTS, st.data())
def test_a_cascade_costs_between_its_first_stage_and_all(kind, costs: list[float], data) -> None:
    rest = data.draw(st.lists(st.floats(0, 1), min_size=len(costs) - 1, max_size=len(costs) - 1))
    reached = [1.0, *sorted(rest, reverse=True)]

    mean, worst = cascade_cost(kind, costs, reached), worst_cost(kind, costs)

    assert costs[0] * (1 - 1e-12) <= mean <= worst * (1 + 1e-12)
    assert cascade_cost(kind, costs, [1.0] * len(costs)) == worst


@pytest.mark.parametrize("kind", [EXPECTED, SUM, MAX])
def test_arrays_are_the_scalar_rule_row_by_row(kind) -> None:
    rng = np.random.default_rng(0)
    costs = rng.uniform(0, 100, (4, 3))
    reached = np.sort(rng.uniform(0, 1, (4, 3)), axis=-1)[:, ::-1].copy()
    reached[:, 0] = 1.0

    rows = zip(costs, reached, strict=True)
    np.testing.assert_array_equal(
        cascade_costs(kind, costs, reached), [cascade_cost(kind, c, r) for c, r in rows]
    )
    np.testing.assert_array_equal(ensemble_costs(kind, costs), [ensemble_cost(kind, row) for row in costs])
    np.testing.assert_array_equal(worst_costs(kind, costs), [worst_cost(kind, row) for row in costs])


@pytest.mark.parametrize("kind", [EXPECTED, SUM, MAX])
def test_one_cascade_at_many_thresholds(kind) -> None:
    reached = np.array([[1.0, 0.0], [1.0, 0.5], [1.0, 1.0]])

    got = cascade_costs(kind, [3.0, 7.0], reached)

    assert got.shape == (3,)
    assert list(got) == {EXPECTED: [3, 6.5, 10], SUM: [10] * 3, MAX: [7] * 3}[kind]


@pytest.mark.parametrize(
    ("reached", "why"),
    [
        ([0.9, 0.5], "start at 1"),
        ([1.0, -0.1], "start at 1 and never rise or go below 0"),
        ([1.0, float("nan")], "start at 1"),
        ([1.0], "a cascade of 2 stages needs as many shares"),
        (1.0, "a cascade of 2 stages needs as many shares"),
    ],
)
def test_impossible_shares_are_refused(reached, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        cascade_cost(EXPECTED, [3, 7], reached)


def test_a_later_stage_cannot_be_reached_more_often() -> None:
    with pytest.raises(UsageError, match=r"never rise.*\[1\.0, 0\.2, 0\.3\]"):
        cascade_cost(SUM, [3, 7, 11], [1.0, 0.2, 0.3])


@pytest.mark.parametrize("costs", [[], 3.0, [1.0, -1.0], [1.0, float("nan")], [float("inf")]])
def test_impossible_costs_are_refused(costs) -> None:
    for function in (ensemble_cost, worst_cost):
        with pytest.raises(UsageError, match="macs"):
            function(EXPECTED, costs)

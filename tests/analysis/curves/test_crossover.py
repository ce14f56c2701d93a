"""Crossings against hand-made curves and brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.analysis.curves.crossover import along, common_grid, crossover
from explorer.errors import UsageError

COSTS = np.array([1.0, 10.0, 100.0])


def test_straight_lines_in_log_cost_cross_where_they_meet() -> None:
    falling, level = np.array([0.3, 0.2, 0.1]), np.array([0.15, 0.15, 0.15])
    assert crossover(COSTS, level, COSTS, falling)[0] == pytest.approx(10**1.5)


def test_nowhere_and_everywhere() -> None:
    low, high = np.array([0.1, 0.1, 0.1]), np.array([0.2, 0.2, 0.2])
    assert crossover(COSTS, low, COSTS, high)[0] == np.inf
    assert crossover(COSTS, high, COSTS, low)[0] == -np.inf
    assert crossover(COSTS, low, COSTS, low)[0] == np.inf


def test_the_last_crossing_counts() -> None:
    level = np.full(5, 0.2)
    costs = np.array([1.0, 10.0, 100.0, 1000.0, 10000.0])
    other = np.array([0.1, 0.3, 0.1, 0.3, 0.1])
    assert crossover(costs, level, costs, other)[0] == pytest.approx(10**3.5)


def test_only_the_range_that_both_cover_counts() -> None:
    """Ahead at the end of the common range, whatever happens beyond it."""
    single, several = np.array([0.3, 0.2, 0.1]), np.array([0.29, 0.05])
    found = crossover(COSTS, single, np.array([2.0, 50.0]), several)[0]
    assert 2.0 < found < 50.0
    assert common_grid(COSTS, np.array([2.0, 50.0])).tolist() == [2.0, 10.0, 50.0]


def test_draws_are_taken_one_by_one() -> None:
    level = np.full((3, 3), 0.15)
    others = np.array([[0.3, 0.2, 0.1], [0.3, 0.3, 0.3], [0.1, 0.1, 0.1]])
    assert crossover(COSTS, level, COSTS, others) == pytest.approx([10**1.5, np.inf, -np.inf])


@given(
    st.lists(st.floats(0.01, 0.5), min_size=4, max_size=4),
    st.lists(st.floats(0.01, 0.5), min_size=3, max_size=3),
)
def test_against_a_fine_grid(first: list[float], second: list[float]) -> None:
    costs, others = np.array([1.0, 3.0, 20.0, 90.0]), np.array([2.0, 15.0, 60.0])
    found = crossover(costs, np.array(first), others, np.array(second))[0]
    grid = np.geomspace(2.0, 60.0, 4001)
    gain = np.interp(np.log(grid), np.log(costs), first) - np.interp(np.log(grid), np.log(others), second)
    if np.isinf(found):
        assert (gain > -1e-9).all() if found < 0 else gain[-1] < 1e-9
    else:
        assert (gain[grid > found * 1.01] > -1e-9).all()
        place = np.interp(np.log(found), np.log(costs), first) - np.interp(
            np.log(found), np.log(others), second
        )
        assert place == pytest.approx(0, abs=1e-9)


def test_one_point_is_level() -> None:
    assert along(np.array([5.0]), np.array([0.3]), np.array([5.0])).tolist() == [0.3]


@pytest.mark.parametrize("costs", [[], [0.0, 1.0], [2.0, 1.0], [1.0, 1.0]])
def test_costs_that_do_not_ascend_are_refused(costs: list[float]) -> None:
    with pytest.raises(UsageError, match="must ascend from above 0"):
        crossover(np.array(costs), np.zeros(len(costs)), COSTS, np.zeros(3))


def test_curves_without_a_common_cost_are_refused() -> None:
    with pytest.raises(UsageError, match="one spans 1 to 100, the other 200 to 300"):
        crossover(COSTS, np.zeros(3), np.array([200.0, 300.0]), np.zeros(2))

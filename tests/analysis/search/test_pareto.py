import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.analysis.search.pareto import hypervolume, knee, pareto_front

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=14)


@given(POINTS)
def test_front_against_the_definition(points: list[tuple[int, int]]) -> None:
    front = pareto_front([c for c, _ in points], [v for _, v in points])

    def beaten(i: int) -> bool:
        cost, value = points[i]
        return any(
            (c <= cost and v >= value and (c, v) != (cost, value)) or ((c, v) == (cost, value) and j < i)
            for j, (c, v) in enumerate(points)
        )

    wanted = sorted((i for i in range(len(points)) if not beaten(i)), key=lambda i: points[i][0])
    assert front.tolist() == wanted


@given(POINTS)
def test_hypervolume_against_counted_cells(points: list[tuple[int, int]]) -> None:
    cells = {(x, y) for c, v in points for x in range(c, 7) for y in range(1, v)}
    area = hypervolume([c for c, _ in points], [v for _, v in points], reference_cost=7, reference_value=1)
    assert area == len(cells)


def test_hypervolume_of_one_rectangle() -> None:
    assert hypervolume([3], [0.5], reference_cost=13, reference_value=0.25) == pytest.approx(10 * 0.25)


def test_knee_is_the_corner() -> None:
    assert knee([1, 10, 100], [0.5, 0.9, 0.92]) == 1
    assert knee([100, 1, 10], [0.92, 0.5, 0.9]) == 2
    assert knee([0, 5, 10], [0.5, 0.9, 0.92]) == 1


def test_no_knee_on_a_line_or_on_two_points() -> None:
    assert knee([1, 10, 100], [0.1, 0.2, 0.3]) is None or knee([0, 5, 10], [0, 0.5, 1]) is None
    assert knee([0, 5, 10], [0.0, 0.5, 1.0]) is None
    assert knee([1, 10], [0.1, 0.2]) is None
    assert knee([], []) is None


def test_empty_front() -> None:
    assert pareto_front([], []).tolist() == []
    assert hypervolume(np.array([]), np.array([]), reference_cost=1, reference_value=0) == 0

"""Fronts against the definition and against moocore."""

import itertools

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.analysis.search.pareto import (
    FrontSoFar,
    dominated_volume,
    hypervolume,
    knee,
    merge,
    nondominated,
    pareto_front,
)
from explorer.analysis.search.pareto_kernels import cull, survivors, sweep_three, sweep_two, volume_three
from explorer.errors import InputDataError, UsageError

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=14)
UNTIMED = settings(deadline=None)  # the first example waits for the compiler


@st.composite
def tables(draw: st.DrawFn, *, low: int = 1, high: int = 5, finite: bool = False) -> np.ndarray:
    """Draw ``[point, objective]`` full of ties and doubles, with infinities unless ``finite``."""
    objectives = draw(st.integers(low, high))
    ends = [] if finite else [-np.inf, np.inf]
    level = st.sampled_from([-2.5, -0.0, 0.0, 1.0, 3.0, 3.0000000000000004, *ends])
    rows = draw(st.lists(st.lists(level, min_size=objectives, max_size=objectives), max_size=20))
    return np.array(rows, dtype=np.float64).reshape(len(rows), objectives)


def plainly_kept(low: np.ndarray) -> list[bool]:
    """Compare all pairs of minimised ``[point, objective]``, as the definition says."""
    no_worse = (low[:, None, :] <= low[None, :, :]).all(axis=2)
    equal = no_worse & no_worse.T
    first = np.arange(len(low))[:, None] < np.arange(len(low))[None, :]
    beaten: np.ndarray = (no_worse & (~equal | first)).any(axis=0)
    return [not it for it in beaten.tolist()]


def spread_points(kind: str, n: int, objectives: int, seed: int = 0) -> np.ndarray:
    """Return many points: anywhere, all on one front, or on a coarse lattice (ties, doubles)."""
    random = np.random.default_rng(seed)
    points = random.random((n, objectives))
    if kind == "front":
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        return 1 - points
    return np.floor(points * 12) if kind == "lattice" else points


@UNTIMED
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


@UNTIMED
@given(tables(), st.data())
def test_nondominated_is_the_definition_and_equal_to_moocore(points: np.ndarray, data: st.DataObject) -> None:
    objectives = points.shape[1]
    maximise = data.draw(st.lists(st.booleans(), min_size=objectives, max_size=objectives))
    found = nondominated(points, maximise=maximise)
    assert found.tolist() == plainly_kept(np.where(maximise, -points, points))
    # moocore 0.3.2 crashes on infinite numbers
    if objectives > 1 and len(points) and np.isfinite(points).all():
        assert found.tolist() == moocore.is_nondominated(points, maximise=maximise).tolist()


@pytest.mark.parametrize("objectives", [2, 3, 4])
@pytest.mark.parametrize("kind", ["anywhere", "front", "lattice"])
def test_many_points_with_the_grid_are_equal_to_moocore(kind: str, objectives: int) -> None:
    points = spread_points(kind, 6_007, objectives)
    found = nondominated(points, maximise=True)
    assert found.tolist() == moocore.is_nondominated(points, maximise=True).tolist()
    assert nondominated(points[:1_500]).tolist() == plainly_kept(points[:1_500])


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e308, 5e-324])
def test_extreme_numbers_pass_the_grid(value: float) -> None:
    points = spread_points("anywhere", 1_200, 3)
    points[[3, 700, 701], [0, 1, 2]] = value
    points[5] = -1e308
    assert nondominated(points).tolist() == plainly_kept(points)
    same = np.full((1_100, 2), value)
    assert np.flatnonzero(nondominated(same)).tolist() == [0]


@UNTIMED
@given(tables(low=2, high=3), st.integers(1, 5))
def test_grid_drops_only_beaten_points(points: np.ndarray, cells: int) -> None:
    low = np.ascontiguousarray(points.T)
    kept = survivors(low, cells) if len(points) else np.ones(0, bool)
    assert (kept >= np.array(plainly_kept(points), dtype=bool)).all()


def test_grid_drops_most_points() -> None:
    for objectives, share in ((2, 0.05), (3, 0.2)):
        low = np.ascontiguousarray(spread_points("anywhere", 5_000, objectives).T)
        assert survivors(low, 64).mean() < share


@UNTIMED
@given(tables(low=3, high=3))
def test_kernels_agree_with_each_other_and_the_definition(points: np.ndarray) -> None:
    low = np.ascontiguousarray(points.T)
    ranks = np.array([np.unique(row, return_inverse=True)[1] for row in low]).reshape(low.shape)
    wanted = plainly_kept(points)
    by_sum = np.argsort(ranks.sum(axis=0), kind="stable")
    assert sweep_three(ranks[1], low[2], np.lexsort(low[::-1])).tolist() == wanted
    assert cull(ranks.astype(np.int32), by_sum).tolist() == wanted
    assert sweep_two(low[0], low[1], np.argsort(low[0])).tolist() == plainly_kept(points[:, :2])


@UNTIMED
@given(tables(low=1, high=4), st.lists(st.integers(0, 20), max_size=4))
def test_chunks_give_the_front_of_all_points(points: np.ndarray, cuts: list[int]) -> None:
    objectives = points.shape[1]
    maximise = [axis % 2 == 1 for axis in range(objectives)]
    bounds = [0, *sorted(min(cut, len(points)) for cut in cuts), len(points)]
    front = FrontSoFar.empty(maximise)
    parts = []
    for start, stop in itertools.pairwise(bounds):
        chunk, ids = points[start:stop], np.arange(start, stop)
        front = front.with_points(chunk, ids)
        parts.append(FrontSoFar.empty(maximise).with_points(chunk, ids))
    merged = FrontSoFar.empty(maximise)
    for part in parts:
        merged = merge(merged, part)
    wanted = np.flatnonzero(nondominated(points, maximise=maximise))
    for found in (front, merged):
        assert found.ids.tolist() == wanted.tolist()
        assert found.points.tolist() == points[wanted].tolist()


@given(POINTS)
@UNTIMED
def test_hypervolume_against_counted_cells(points: list[tuple[int, int]]) -> None:
    cells = {(x, y) for c, v in points for x in range(c, 7) for y in range(1, v)}
    area = hypervolume([c for c, _ in points], [v for _, v in points], reference_cost=7, reference_value=1)
    assert area == len(cells)


@UNTIMED
@given(st.integers(1, 4), st.data())
def test_volume_is_the_number_of_cells(objectives: int, data: st.DataObject) -> None:
    row = st.lists(st.integers(0, 4), min_size=objectives, max_size=objectives)
    points = np.array(data.draw(st.lists(row, max_size=7)), dtype=np.int64).reshape(-1, objectives)
    corners = np.stack(np.meshgrid(*[np.arange(4)] * objectives), axis=-1).reshape(-1, objectives)
    covered = (points[:, None, :] <= corners[None]).all(axis=2).any(axis=0)
    assert dominated_volume(points, reference=[4] * objectives) == covered.sum()
    assert dominated_volume(-points, reference=[-4] * objectives, maximise=True) == covered.sum()


@UNTIMED
@given(tables(low=2, high=4, finite=True))
def test_volume_is_equal_to_moocore(points: np.ndarray) -> None:
    reference = [3.5, 1.5, 3.5, 2.0][: points.shape[1]]
    wanted = moocore.hypervolume(points, ref=reference) if len(points) else 0.0
    assert dominated_volume(points, reference=reference) == pytest.approx(wanted, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("kind", ["anywhere", "front", "lattice"])
@pytest.mark.parametrize(("objectives", "n"), [(2, 3_001), (3, 3_001), (4, 97)])
def test_volume_of_many_points_is_equal_to_moocore(kind: str, objectives: int, n: int) -> None:
    points = spread_points(kind, n, objectives)
    reference = [float(points.max()) * 0.9] * objectives
    wanted = moocore.hypervolume(points, ref=reference)
    assert dominated_volume(points, reference=reference) == pytest.approx(wanted, rel=1e-10)


def test_volume_kernel_against_one_box() -> None:
    box = volume_three(np.array([[2.0], [3.0], [5.0]]), np.zeros(1, np.int64), np.array([13.0, 20.0, 28.0]))
    assert box == 11 * 17 * 23


def test_hypervolume_of_one_rectangle() -> None:
    assert hypervolume([3], [0.5], reference_cost=13, reference_value=0.25) == pytest.approx(10 * 0.25)


def test_what_is_not_a_table_of_numbers_is_refused() -> None:
    with pytest.raises(InputDataError, match=r"\[point, objective\]"):
        nondominated([1.0, 2.0])
    with pytest.raises(InputDataError, match="1 points have an objective that is NaN"):
        nondominated([[1.0, np.nan], [2.0, 1.0]])
    with pytest.raises(UsageError, match="2 objectives need as many entries of maximise, got 3"):
        nondominated([[1.0, 2.0]], maximise=[True, False, True])
    with pytest.raises(UsageError, match="need a reference"):
        dominated_volume([[1.0, 2.0]], reference=[3.0])
    with pytest.raises(InputDataError, match="finite"):
        dominated_volume([[-np.inf, 2.0]], reference=[3.0, 3.0])
    with pytest.raises(InputDataError, match="one id for each point"):
        FrontSoFar.empty([False]).with_points([[1.0]], [1, 2])
    with pytest.raises(UsageError, match="do not merge"):
        merge(FrontSoFar.empty([False]), FrontSoFar.empty([True]))


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

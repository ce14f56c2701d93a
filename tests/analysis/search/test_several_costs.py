"""The front over several costs against brute force in exact fractions, and its table against plain loops."""

from collections.abc import Sequence
from dataclasses import replace

import moocore
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import make_pool, pools, simulated_pool

from explorer.analysis.pool import Pool
from explorer.analysis.scoring.score import evaluate
from explorer.analysis.search import several_costs
from explorer.analysis.search.exact import search
from explorer.analysis.search.plan import Space
from explorer.analysis.search.several_costs import search_several
from explorer.analysis.search.several_costs_kernels import beaten, note
from explorer.analysis.search.space import design_order
from explorer.convention import Basis, CostAxis
from explorer.errors import UsageError
from explorer.record import CostFigure
from explorer.spec import Averaging, Candidate, CandidateKind, Member, Signal
from tests.analysis.search.test_exact import every_design, shape

SLOW = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
AXES = ("macs", "parameters", "latency@cpu", "activation_peak_bytes", "worst_macs", "parallel_latency@cpu")
AMOUNTS = st.sampled_from([0.0, 1.0, 2.0, 3.0, 5.0, 8.0])


def priced(pool: Pool, axis: str, costs: Sequence[float]) -> Pool:
    """The same pool with other costs."""
    figures = tuple(CostFigure(value=c, low=c, high=c, basis=Basis.COUNTED) for c in costs)
    return replace(pool, axis=CostAxis.parse(axis), cost_figures=figures)


@st.composite
def several_pools(draw: st.DrawFn, **sizes: int) -> list[Pool]:
    """Draw a pool on two or three axes of any composition, in any order."""
    pool = draw(pools(**sizes))
    names = draw(st.lists(st.sampled_from(AXES), min_size=2, max_size=3, unique=True))
    many = len(pool.members)
    return [priced(pool, name, draw(st.lists(AMOUNTS, min_size=many, max_size=many))) for name in names]


def brute_front(of: Sequence[Pool], space: Space) -> list[Candidate]:
    """The definition: no other is as right, as cheap on every axis, and different; of equals the first."""
    scored = [every_design(pool, space) for pool in of]
    points: dict[tuple, list[Candidate]] = {}
    for design, (_, right) in scored[0].items():
        points.setdefault((*(costs[design][0] for costs in scored), right), []).append(design)

    def is_beaten(point: tuple) -> bool:
        return any(
            other != point
            and other[-1] >= point[-1]
            and all(a <= b for a, b in zip(other[:-1], point[:-1], strict=True))
            for other in points
        )

    return [min(points[p], key=design_order) for p in sorted(points) if not is_beaten(p)]


def check_against_brute_force(of: Sequence[Pool], space: Space) -> None:
    found = search_several(of, space)
    wanted = brute_front(of, space)
    assert [shape(of[0], p.design) for p in found.points] == [shape(of[0], d) for d in wanted]
    assert found.searched == search(of[0], of[0].axis, space).searched
    for point in found.points:
        for pool, chosen, cost, worst in zip(
            of, point.select_costs, point.costs, point.worst_costs, strict=True
        ):
            plain = evaluate(pool, point.design, pool.axis)
            assert (point.select_accuracy, point.accuracy) == (plain.select_accuracy, plain.accuracy)
            assert (chosen, cost, worst) == (plain.select_cost, plain.cost, plain.worst_cost)
            assert (point.reached, point.regret, point.kind) == (plain.reached, plain.regret, plain.kind)


@SLOW
@given(several_pools(), st.integers(1, 3), st.booleans())
def test_front_is_exactly_that_of_brute_force(of: list[Pool], most: int, cascades: bool) -> None:
    check_against_brute_force(of, Space(max_members=most, cascades=cascades))


@SLOW
@given(several_pools(max_members=3), st.lists(st.sampled_from(Signal), min_size=1, unique=True))
def test_front_over_exit_signals_and_larger_first_stages(of: list[Pool], signals: list[Signal]) -> None:
    check_against_brute_force(of, Space(max_members=3, first_members=2, signals=tuple(signals)))


@settings(SLOW, max_examples=15)
@given(several_pools(max_members=3), st.sampled_from([Averaging.VOTE, Averaging.GEOMETRIC, Averaging.LOGIT]))
def test_front_under_other_averaging_rules(of: list[Pool], averaging: Averaging) -> None:
    check_against_brute_force(of, Space(first_members=2, averaging=averaging))


@settings(SLOW, max_examples=20)
@given(several_pools(), st.integers(1, 60))
def test_a_coarse_table_and_small_tasks_change_nothing(of: list[Pool], cells: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(several_costs, "_CELLS", cells)
        patch.setattr(several_costs, "_SETS_A_TASK", 2)
        patch.setattr(several_costs, "_LOOKED_AT", 1)
        check_against_brute_force(of, Space(max_members=3))


@pytest.mark.parametrize("third", [(), ("parameters",), ("latency@cpu",)])
def test_front_of_a_lifelike_pool(third: tuple[str, ...]) -> None:
    pool = simulated_pool(models=2, seeds=2, select=23, report=11, classes=5, seed=3)
    random = np.random.default_rng(0)
    axes = ("activation_peak_bytes", *third)
    of = [pool, *(priced(pool, name, random.integers(1, 9, 4).astype(float).tolist()) for name in axes)]
    check_against_brute_force(of, Space(first_members=2, signals=tuple(Signal)))


def larger() -> list[Pool]:
    pool = simulated_pool(models=4, seeds=3, select=301, report=207, seed=1)
    random = np.random.default_rng(4)
    held = [float(100 * (1 + row // 3)) for row in range(12)]
    return [pool, priced(pool, "parameters", held), priced(pool, "latency@cpu", random.random(12).tolist())]


def test_no_point_beats_another_and_each_cost_alone_is_covered() -> None:
    of = larger()
    found = search_several(of, Space(max_members=3))
    values = np.array([(*p.select_costs, -p.select_accuracy) for p in found.points])
    no_worse = (values[:, None] <= values[None]).all(axis=2)
    assert no_worse.sum() == len(values) > 50
    for number, pool in enumerate(of):
        for point in search(pool, pool.axis, Space(max_members=3)).points:
            as_right = [p for p in found.points if p.select_accuracy >= point.select_accuracy]
            assert min(p.select_costs[number] for p in as_right) <= point.select_cost


def test_volume_is_that_of_moocore() -> None:
    of = larger()
    found = search_several(of[:2], Space(max_members=2))
    covered = found.covered
    assert covered.reference_costs == tuple(sum(sorted(pool.costs.tolist())[-2:]) for pool in of[:2])
    assert covered.reference_accuracy == 1 / of[0].summary.classes
    points = [(*p.select_costs, -p.select_accuracy) for p in found.points]
    peer = moocore.hypervolume(points, ref=[*covered.reference_costs, -covered.reference_accuracy])
    assert covered.volume == pytest.approx(peer, rel=1e-12)
    box = covered.reference_costs[0] * covered.reference_costs[1] * (1 - covered.reference_accuracy)
    assert covered.share == pytest.approx(peer / box)


def test_report_labels_never_change_what_is_chosen() -> None:
    of = larger()[:2]
    mixed = [replace(pool, report_labels=pool.report_labels[::-1].copy()) for pool in of]
    here, there = search_several(of, Space(max_members=2)), search_several(mixed, Space(max_members=2))
    assert [p.design for p in here.points] == [p.design for p in there.points]
    assert here.points != there.points


def test_what_a_limit_leaves_out_is_said() -> None:
    found = search_several(larger(), Space(max_designs=20_000), notes=("from the caller",))
    assert found.notes[0] == "from the caller"
    assert any("no cascades were searched" in text for text in found.notes)
    assert found.searched[CandidateKind.CASCADE] == 0
    found = search_several(larger(), Space(max_members=2, averaging=Averaging.LOGIT))
    assert any("near-ties" in text for text in found.notes)


def test_costs_of_nothing_cover_nothing() -> None:
    chance = np.array([[[0.75, 0.25]], [[0.25, 0.75]]])
    pool = make_pool(chance, [1], chance, [1], [0.0, 0.0], members=[Member("a", 8, 0), Member("b", 8, 0)])
    found = search_several([pool, priced(pool, "parameters", [0.0, 0.0])])
    assert [str(p.design) for p in found.points] == ["b@8#0"]
    assert (found.covered.volume, found.covered.share) == (0.0, 0.0)


def test_wrong_questions_are_refused() -> None:
    of = larger()
    with pytest.raises(UsageError, match="takes 2 or 3 of them, got 1"):
        search_several(of[:1])
    with pytest.raises(UsageError, match=r"got 4: with more, nearly every design is best at something"):
        search_several([*of, priced(of[0], "activation_peak_bytes", [1.0] * 12)])
    with pytest.raises(UsageError, match="macs was given twice"):
        search_several([of[0], of[0]])
    other = priced(simulated_pool(models=2, seeds=1, select=9, report=9), "parameters", [1.0, 2.0])
    with pytest.raises(UsageError, match="different members or examples"):
        search_several([of[0], other])


LEVELS = st.sampled_from([0.0, 1.0, 1.5, 2.0, 4.0])
DESIGNS = st.lists(st.tuples(st.integers(0, 6), LEVELS, LEVELS, LEVELS), max_size=12)


@settings(deadline=None, max_examples=200)
@given(DESIGNS, DESIGNS, st.lists(LEVELS, min_size=1), st.lists(LEVELS, min_size=1), st.integers(0, 6))
def test_only_what_a_known_design_strictly_beats_is_dropped(
    seen: list, asked: list, second: list, third: list, lowest: int
) -> None:
    edges = np.unique(second), np.unique(third)
    table = np.full((7 - lowest, len(edges[0]), len(edges[1])), np.inf)
    known = table, lowest, *edges
    for right, *costs in seen:
        note(right, np.array(costs), known)
    for level in range(len(table)):
        for i, j in np.ndindex(table.shape[1:]):
            fits = [
                c[0] for r, *c in seen if r >= level + lowest and c[1] <= edges[0][i] and c[2] <= edges[1][j]
            ]
            assert table[level, i, j] == min(fits, default=np.inf)
    all_edges = set(second) >= {0.0, 1.0, 1.5, 2.0, 4.0} <= set(third)
    for right, *costs in asked:
        no_worse = [
            (r, c) for r, *c in seen if r >= right and all(a <= b for a, b in zip(c, costs, strict=True))
        ]
        said = beaten(right, np.array(costs), known)
        assert not said or any((r, c) != (right, costs) for r, c in no_worse)
        if all_edges and any(r > max(right, lowest - 1) for r, _ in no_worse):
            assert said


def test_many_costs_are_cut_evenly_and_few_kept() -> None:
    assert several_costs._edges(np.array([3.0, 1.0, 3.0]), 2).tolist() == [1.0, 3.0]
    cut = several_costs._edges(np.array([0.0, 1.0, 2.0, 50.0, 100.0]), 3)
    assert cut == pytest.approx([1.0, 10.0, 100.0])

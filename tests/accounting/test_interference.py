"""Composing an ensemble's time: closed forms, brute force over schedules, and what may not be said."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.accounting.interference import (
    Interference,
    Placement,
    Placing,
    Reference,
    assign,
    compose_latency,
    pool_interference,
    reference_time,
)
from explorer.convention import Basis
from explorer.errors import ConventionError, UsageError
from explorer.record import CostFigure

SEQUENTIAL, BATCHED, STREAMS, GRAPH = map(Placement.parse, ("sequential", "batched", "streams", "graph"))
TWO = Placement.parse("parallel:2")
TIMES = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=6)


def figure(value: float, low: float | None = None, high: float | None = None, basis=Basis.MEASURED):
    return CostFigure(value=value, low=low or value, high=high or value, basis=basis)


def factor(value: float, low: float, high: float, *, placement=SEQUENTIAL, **more) -> Interference:
    return Interference(
        placement=placement, factor=value, low=low, high=high, basis=more.pop("basis", Basis.MEASURED), **more
    )


@pytest.mark.parametrize(
    "text", ["sequential", "streams", "graph", "graph+streams", "batched", "parallel:2", "parallel:17"]
)
def test_a_placement_is_its_text(text: str) -> None:
    assert str(Placement.parse(f" {text.upper()} ")) == text


@pytest.mark.parametrize(
    "text", ["parallel", "parallel:0", "parallel:-1", "paralel:2", "vmap", "", "batched:2"]
)
def test_what_is_no_placement_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(UsageError, match=r"unknown placement .*parallel:W"):
        Placement.parse(text)


# ---- dealing ------------------------------------------------------------------------------------


def test_members_are_dealt_longest_first() -> None:
    assert assign([7.0, 5.0, 3.0, 2.0], 2) == ((0, 3), (1, 2))  # 9 and 8
    assert assign([2.0, 2.0, 2.0], 5) == ((0,), (1,), (2,))


def test_members_without_cost_are_still_spread() -> None:
    assert assign([0.0, 0.0, 0.0, 0.0], 2) == ((0, 2), (1, 3))


@given(TIMES, st.integers(1, 4))
def test_dealing_uses_each_member_once_within_grahams_bound(times: list[float], workers: int) -> None:
    dealt = assign(times, workers)

    assert sorted(itertools.chain(*dealt)) == list(range(len(times)))
    assert len(dealt) == min(workers, len(times))
    busiest = max(sum(times[m] for m in part) for part in dealt)
    best = min(
        max(sum(t for t, w in zip(times, places, strict=True) if w == worker) for worker in range(workers))
        for places in itertools.product(range(workers), repeat=len(times))
    )
    assert best * (1 - 1e-9) <= busiest <= best * (4 / 3 - 1 / (3 * workers)) * (1 + 1e-9)


@pytest.mark.parametrize(("times", "workers"), [([], 1), ([1.0], 0), ([-1.0], 1), ([math.nan], 1)])
def test_impossible_deals_are_refused(times: list[float], workers: int) -> None:
    with pytest.raises(UsageError):
        assign(times, workers)


@pytest.mark.parametrize(
    ("against", "placement", "wanted"),
    [
        (Reference.SUM, TWO, 17.0),
        (Reference.SLOWEST, SEQUENTIAL, 7.0),
        (Reference.IDEAL, SEQUENTIAL, 30.0),
        (Reference.IDEAL, BATCHED, 30.0),
        (Reference.IDEAL, TWO, 22.0),  # 7 + 2 on one, 5 + 3 on the other, and 13
    ],
)
def test_references(against: Reference, placement: Placement, wanted: float) -> None:
    assert reference_time([7.0, 5.0, 3.0, 2.0], against, placement, combination=13.0) == wanted


def test_a_given_assignment_wins_over_dealing() -> None:
    times = [7.0, 5.0, 3.0, 2.0]
    assert reference_time(times, Reference.IDEAL, TWO, assignment=[(0, 1), (2, 3)]) == 12.0


# ---- composing ----------------------------------------------------------------------------------


def test_sequential_is_the_sum_and_the_combination() -> None:
    whole = compose_latency([figure(2, 1, 3), figure(5, 5, 7)], SEQUENTIAL, combination=figure(11, 10, 13))

    assert (whole.low, whole.value, whole.high, whole.basis) == (16, 18, 23, Basis.COMPOSED)


def test_a_measured_factor_multiplies_the_ends() -> None:
    whole = compose_latency(
        [figure(2, 1, 3), figure(5, 5, 7)], SEQUENTIAL, factor(1.1, 0.9, 1.3), combination=figure(1)
    )

    assert whole.value == pytest.approx(8 * 1.1)
    assert (whole.low, whole.high) == (pytest.approx(7 * 0.9), pytest.approx(11 * 1.3))
    assert whole.basis is Basis.COMPOSED


def test_a_factor_of_parallel_multiplies_the_busiest_worker() -> None:
    members = [figure(7, 6, 8), figure(5), figure(3), figure(2, 1, 20)]

    whole = compose_latency(members, TWO, factor(1.5, 1.0, 2.0, placement=TWO))

    assert whole.value == pytest.approx(9 * 1.5)
    assert whole.low == 8.0  # 5 + 3: the busier one at the low ends
    assert whole.high == pytest.approx(28 * 2.0)


@pytest.mark.parametrize(("against", "value"), [(Reference.SUM, 14.0), (Reference.SLOWEST, 10.0)])
def test_factors_against_sum_and_slowest_hold_the_combination_already(against, value) -> None:
    whole = compose_latency(
        [figure(2), figure(5)], STREAMS, factor(2, 2, 2, placement=STREAMS, against=against),
        combination=figure(100),
    )  # fmt: skip

    assert whole.value == value


def test_parallel_without_a_factor_is_a_bound_from_the_best_share_up() -> None:
    some = [figure(2, 1, 3), figure(5, 4, 7), figure(3)]
    whole = compose_latency(some, TWO)

    assert whole.basis is Basis.BOUND
    assert whole.value == whole.low == 4.0  # the slowest, as 8 / 2
    assert whole.low == compose_latency([*some[:2], figure(3)], STREAMS).low
    assert whole.high == math.inf  # the sum is no upper end: small members on two processes exceed it


@given(TIMES, st.integers(1, 4))
def test_no_schedule_beats_the_bound(times: list[float], workers: int) -> None:
    placement = Placement(kind=Placing.PARALLEL, workers=workers)
    bound = compose_latency([figure(time) for time in times], placement)

    best = min(
        max(sum(t for t, w in zip(times, places, strict=True) if w == worker) for worker in range(workers))
        for places in itertools.product(range(workers), repeat=len(times))
    )
    assert bound.low <= best * (1 + 1e-9)
    assert bound.low >= max(times) * (1 - 1e-9)


@pytest.mark.parametrize("placement", [BATCHED, GRAPH, Placement.parse("graph+streams")])
def test_placements_that_change_the_members_say_nothing_without_a_factor(placement: Placement) -> None:
    with pytest.raises(UsageError, match="needs a measured interference factor"):
        compose_latency([figure(2), figure(3)], placement)


def test_a_factor_of_another_placement_is_refused() -> None:
    with pytest.raises(ConventionError, match="of sequential was given for members placed parallel:2"):
        compose_latency([figure(2)], TWO, factor(1, 1, 1))
    with pytest.raises(ConventionError):
        compose_latency([figure(2)], Placement.parse("parallel:3"), factor(1, 1, 1, placement=TWO))


@pytest.mark.parametrize(
    ("bases", "wanted"),
    [
        ((Basis.MEASURED, Basis.MEASURED), Basis.COMPOSED),
        ((Basis.MEASURED, Basis.FITTED), Basis.FITTED),
        ((Basis.FITTED, Basis.TRANSFERRED), Basis.TRANSFERRED),
        ((Basis.BOUND, Basis.MEASURED), Basis.BOUND),
    ],
)
def test_a_whole_stands_on_its_weakest_part(bases: tuple[Basis, ...], wanted: Basis) -> None:
    assert compose_latency([figure(2, basis=basis) for basis in bases], SEQUENTIAL).basis is wanted


def test_a_pooled_factor_makes_a_fitted_whole() -> None:
    pooled = pool_interference([factor(1.0, 0.9, 1.1), factor(1.3, 1.2, 1.4)])

    assert compose_latency([figure(2)], SEQUENTIAL, pooled).basis is Basis.FITTED


def test_an_unbounded_member_makes_an_unbounded_whole() -> None:
    roofline = CostFigure(value=2.0, low=2.0, high=math.inf, basis=Basis.BOUND)
    whole = compose_latency([roofline, figure(3)], SEQUENTIAL)

    assert (whole.low, whole.high, whole.basis) == (5.0, math.inf, Basis.BOUND)


def test_counts_are_no_times() -> None:
    with pytest.raises(ConventionError, match="counted figure is no time"):
        compose_latency([figure(2, basis=Basis.COUNTED)], SEQUENTIAL)


@pytest.mark.parametrize("bad", [figure(math.nan), figure(-1.0), figure(math.inf), figure(2, 3, 4)])
def test_impossible_times_are_refused(bad: CostFigure) -> None:
    with pytest.raises(UsageError):
        compose_latency([bad], SEQUENTIAL)


def test_no_members_are_refused() -> None:
    with pytest.raises(UsageError, match="got none"):
        compose_latency([], SEQUENTIAL)


# ---- pooling ------------------------------------------------------------------------------------


def test_pooling_takes_the_median_and_the_whole_range() -> None:
    pooled = pool_interference([factor(v, v * 0.9, v * 1.1) for v in (1.1, 1.0, 1.7)])

    assert (pooled.low, pooled.factor, pooled.high, pooled.basis) == (1.0, 1.1, 1.7, Basis.FITTED)


def test_the_range_of_19_misses_a_twentieth_in_a_tenth_of_cases() -> None:
    import random

    draw = random.Random(3)
    missed = 0
    for _ in range(2000):
        values = [draw.lognormvariate(0.0, 0.2) for _ in range(20)]
        pooled = pool_interference([factor(v, v, v) for v in values[:19]])
        missed += not pooled.low <= values[19] <= pooled.high
    assert 0.08 <= missed / 2000 <= 0.12


def test_unlike_factors_are_not_pooled() -> None:
    with pytest.raises(ConventionError, match=r"parallel:2 against ideal, sequential against ideal"):
        pool_interference([factor(1, 1, 1), factor(1, 1, 1, placement=TWO)])
    with pytest.raises(UsageError, match="2 ensembles or more"):
        pool_interference([factor(1, 1, 1)])


@pytest.mark.parametrize("ends", [(1, 2, 3), (0, 0, 1), (1, 1, math.inf), (math.nan,) * 3])
def test_impossible_factors_are_refused(ends: tuple[float, float, float]) -> None:
    value, low, high = ends
    with pytest.raises(UsageError, match="0 < low <= factor <= high"):
        factor(value, low, high)

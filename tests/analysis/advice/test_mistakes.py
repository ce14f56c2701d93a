"""The price of a mistake: brute force over designs and prices, and cases worked out by hand."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import make_pool, pools, simulated_pool

from explorer.analysis.advice.mistakes import at_price, compare_totals, price_ranges, total_interval
from explorer.analysis.pool import Pool
from explorer.analysis.result import Front, Verdict
from explorer.analysis.search.exact import search
from explorer.analysis.search.plan import Space
from explorer.convention import Basis
from explorer.errors import ConventionError, UsageError
from explorer.record import CostFigure
from explorer.spec import CandidateKind, Cascade, Exit, Single

LIFELIKE = simulated_pool(models=4, seeds=3, select=360, report=539, seed=1)
FRONT = search(LIFELIKE, LIFELIKE.axis)


def everything(front: Front) -> list:
    return [point for points in front.fronts_by_kind.values() for point in points]


def chance(right: np.ndarray, sure: float = 0.9) -> np.ndarray:
    """Probabilities ``[member, example, 2]`` of members ``right [member, example]`` about class 0."""
    first = np.where(right, sure, 1 - sure)
    return np.stack([first, 1 - first], axis=2)


def counted(wrong: list[int], costs: list[float], n: int = 200, **options) -> Pool:
    """Members that are wrong on the first so many examples."""
    right = np.arange(n)[None, :] >= np.array(wrong)[:, None]
    return make_pool(chance(right), np.zeros(n), chance(right), np.zeros(n), costs, **options)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(pools(max_members=3, max_examples=6), st.fractions(0, 60, max_denominator=8))
def test_best_at_every_price_is_the_smallest_total_of_all_designs(pool: Pool, price: Fraction) -> None:
    front = search(pool, pool.axis, Space(max_members=2))
    n = len(pool.select_labels)

    def total(point) -> Fraction:
        return Fraction(point.select_cost) + price * (1 - Fraction(round(point.select_accuracy * n), n))

    ranges = price_ranges(pool, front)
    assert (ranges[0].low, ranges[-1].high) == (0.0, math.inf)
    smallest = min(map(total, everything(front)))
    holding = [r for r in ranges if r.low - 1e-9 <= price <= r.high + 1e-9]
    assert holding
    for found in holding:
        assert float(total(found.point)) == pytest.approx(float(smallest), abs=1e-9)
    answer = at_price(pool, front, float(price), ranges=ranges)
    assert float(total(answer.answer)) == pytest.approx(float(smallest), abs=1e-9)
    assert answer.select_total == pytest.approx(float(smallest), abs=1e-9)
    for kind, point in answer.best_of_kind.items():
        of_kind = [total(other) for other in front.fronts_by_kind[kind]]
        assert float(total(point)) == pytest.approx(float(min(of_kind)), abs=1e-9)


def test_ranges_by_hand() -> None:
    """Errors of 10, 5 and 4 % at costs 1, 11 and 31: 10 / 5 % = 200, 20 / 1 % = 2000."""
    pool = counted([20, 10, 8], [1.0, 11.0, 31.0])
    front = search(pool, pool.axis, Space(max_members=1, cascades=False))
    ranges = price_ranges(pool, front)
    assert [str(r.point.design) for r in ranges] == ["net00@8#0", "net01@8#0", "net02@8#0"]
    assert [r.low for r in ranges] == pytest.approx([0, 200, 2000])
    assert [r.high for r in ranges] == pytest.approx([200, 2000, math.inf])
    assert [r.high_on_report and r.high_on_report.value for r in ranges] == [
        pytest.approx(200),
        pytest.approx(2000),
        None,
    ]
    assert ranges[0].high_on_report.low < 200 < ranges[0].high_on_report.high
    assert ranges[1].high_on_report.high == math.inf, "two examples may well not be there in another draw"


def test_design_on_the_front_but_inside_the_hull_is_never_the_answer() -> None:
    pool = counted([20, 19, 8], [1.0, 11.0, 31.0])
    front = search(pool, pool.axis, Space(max_members=1, cascades=False))
    assert len(front.points) == 3
    assert [str(r.point.design) for r in price_ranges(pool, front)] == ["net00@8#0", "net02@8#0"]


def test_answer_and_verdict_change_with_the_price() -> None:
    pool = counted([60, 20], [1.0, 11.0])
    front = search(pool, pool.axis, Space(max_members=1, cascades=False))
    cheap, dear = at_price(pool, front, 1.0), at_price(pool, front, 1000.0)
    assert (str(cheap.answer.design), str(dear.answer.design)) == ("net00@8#0", "net01@8#0")
    assert cheap.total.value == pytest.approx(1 + 0.3)
    assert dear.total.value == pytest.approx(11 + 100)
    assert cheap.price_range.high == dear.price_range.low == pytest.approx(50)


def test_cannot_tell_near_the_crossing_and_can_away_from_it() -> None:
    pool = counted([60, 20], [1.0, 11.0])
    first, second = (Single(member) for member in pool.members)
    verdicts = [compare_totals(pool, first, second, price).verdict for price in (0.0, 10.0, 50.0, 500.0)]
    assert verdicts == [Verdict.BETTER, Verdict.BETTER, Verdict.CANNOT_TELL, Verdict.WORSE]
    mirrored = compare_totals(pool, second, first, 500.0)
    assert mirrored.verdict is Verdict.BETTER
    assert mirrored.difference.value == pytest.approx(10 - 0.2 * 500)


def test_front_with_runner_up_that_cannot_be_told_apart_says_so() -> None:
    answer = at_price(LIFELIKE, FRONT, 30_000.0)
    assert answer.runner_up is not None
    assert {c.second for c in answer.comparisons} == {
        p.design for p in answer.best_of_kind.values() if p.design != answer.answer.design
    }
    told = {c.second for c in answer.comparisons if c.verdict is Verdict.CANNOT_TELL}
    assert {p.design for p in answer.alike} == told
    assert answer.cannot_tell == (answer.runner_up.design in told)


def test_cascade_is_paid_example_by_example() -> None:
    """Half of the examples leave at cost 3, half pay 3 + 7; 10 of 100 are wrong, all of them dear ones."""
    n = 100
    sure = np.where(np.arange(n) < 50, 0.95, 0.6)
    first = np.stack([sure, 1 - sure], axis=1)
    right = np.arange(n) < 90
    second = np.stack([np.where(right, 0.9, 0.1), np.where(right, 0.1, 0.9)], axis=1)
    both = np.stack([first, second])
    pool = make_pool(both, np.zeros(n), both, np.zeros(n), [3.0, 7.0])
    cascade = Cascade(tuple(map(Single, pool.members)), (Exit(0.8),))
    total = total_interval(pool, cascade, 20.0)
    assert total.value == pytest.approx(3 + 3.5 + 2.0)
    draws = np.random.default_rng(0).choice([3.0, 10.0, 30.0], p=[0.5, 0.4, 0.1], size=(20_000, n)).mean(1)
    assert (total.low, total.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])), abs=0.1)


def test_identical_answers_are_told_apart_by_cost_alone_while_mistakes_are_cheap() -> None:
    """Two designs that never differ may still differ in 1.9 % of what was not seen: not at any price."""
    pool = counted([5, 5], [1.0, 3.0])
    first, second = (Single(member) for member in pool.members)
    assert compare_totals(pool, first, second, 10.0).verdict is Verdict.BETTER
    assert compare_totals(pool, first, second, 10_000.0).verdict is Verdict.CANNOT_TELL
    itself = compare_totals(pool, first, first, 1.0)
    assert (itself.difference.value, itself.verdict) == (0.0, Verdict.CANNOT_TELL)


def test_noise_of_measured_costs_widens_but_what_is_shared_cancels() -> None:
    noisy = [
        CostFigure(value=v, low=v - d, high=v + d, basis=Basis.MEASURED) for v, d in ((1.0, 0.5), (3.0, 4.0))
    ]
    noisy[1] = CostFigure(value=3.0, low=0.0, high=7.0, basis=Basis.MEASURED)
    sharp = counted([60, 20], [1.0, 3.0], axis="latency@cpu")
    pool = counted([60, 20], [1.0, 3.0], axis="latency@cpu", figures=noisy)
    first, second = (Single(member) for member in pool.members)
    plain = compare_totals(sharp, first, second, 1.0).difference
    wide = compare_totals(pool, first, second, 1.0).difference
    assert wide.value == plain.value
    assert wide.value - wide.low == pytest.approx(math.hypot(plain.value - plain.low, 0.5, 4.0))
    assert wide.high - wide.value == pytest.approx(math.hypot(plain.high - plain.value, 0.5, 3.0))
    same = compare_totals(pool, first, first, 0.0).difference
    assert (same.low, same.high) == (0.0, 0.0)


def test_money_is_for_a_million_and_its_price_for_one_mistake() -> None:
    pool = counted([20, 10], [100.0, 300.0], axis="money@cpu")
    front = search(pool, pool.axis, Space(max_members=1, cascades=False))
    first, second = price_ranges(pool, front)
    assert first.high == pytest.approx(200e-6 / 0.05)
    answer = at_price(pool, front, 2 * first.high)
    assert answer.answer.design == second.point.design
    assert answer.total.value == pytest.approx(300e-6 + 2 * first.high * 0.05)


def test_one_design_is_the_answer_at_every_price() -> None:
    pool = counted([5], [2.0], n=20)
    front = search(pool, pool.axis)
    (only,) = price_ranges(pool, front)
    assert (only.low, only.high, only.high_on_report) == (0.0, math.inf, None)
    answer = at_price(pool, front, 3.0)
    assert (answer.runner_up, answer.comparisons, answer.cannot_tell, answer.alike) == (None, (), False, ())
    assert set(answer.best_of_kind) == {CandidateKind.SINGLE}


def test_refusals() -> None:
    for price in (-1.0, math.inf, math.nan):
        with pytest.raises(UsageError, match="price of a mistake"):
            at_price(LIFELIKE, FRONT, price)
    other = simulated_pool(models=2, seeds=1, select=30, report=40)
    with pytest.raises(UsageError, match="search again"):
        price_ranges(other, FRONT)
    held = counted([5], [2.0], axis="parameters")
    with pytest.raises(ConventionError, match="not paid by the example"):
        price_ranges(held, search(held, held.axis))
    batch = counted([5], [2.0], axis="latency@cpu/b8")
    with pytest.raises(ConventionError, match="time_per_example@cpu/b8"):
        at_price(batch, search(batch, batch.axis), 1.0)

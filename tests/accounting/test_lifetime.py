"""Lifetime cost: by hand with primes, and against brute force over volumes."""

import datetime
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.accounting.lifetime import (
    TrainingRun,
    break_even,
    cheapest_ranges,
    lifetime_cost,
    lower_envelope,
    volume_table,
)
from explorer.convention import Basis
from explorer.data.prices import Price
from explorer.errors import UsageError
from explorer.record import CostFigure

PRICE = Price(
    device="cuda", usd_per_hour=7.0, unit="gpu", date=datetime.date(2026, 1, 2), source="a seller's page"
)
OLDER = Price(device="cpu", usd_per_hour=3.0, unit="vcpu", date=datetime.date(2020, 1, 2), source="another")


def figure(value, low=None, high=None, basis=Basis.MEASURED):
    return CostFigure(
        value=value, low=value if low is None else low, high=value if high is None else high, basis=basis
    )


def run(member, hours, *teachers, spread=0.0, price=PRICE, units=1.0):
    seconds = figure(3600 * hours, 3600 * (hours - spread), 3600 * (hours + spread))
    return TrainingRun(member=member, seconds=seconds, price=price, units=units, teachers=teachers)


RUNS = {
    "a#0": run("a#0", 2),
    "a#1": run("a#1", 3),
    "b#0": run("b#0", 11, price=OLDER, units=2),
    "s#0": run("s#0", 5, "a#0", "t#0"),
    "t#0": run("t#0", 13, "u#0"),
    "u#0": run("u#0", 17),
}


def cost(members, per_million, **options):
    return lifetime_cost("+".join(members), members, RUNS, figure(per_million), **options)


def line(design, training, serving, *, spread=0.0, served=0.0):
    """A design whose training costs ``training`` USD and a million examples ``serving`` USD."""
    made = TrainingRun(
        member=f"{design}#0",
        seconds=figure(3600 * training / 7, 3600 * (training - spread) / 7, 3600 * (training + spread) / 7),
        price=PRICE,
    )
    return lifetime_cost(
        design, [made.member], {made.member: made}, figure(serving, serving - served, serving + served)
    )


def test_trainings_add_up_and_a_member_named_twice_is_trained_once():
    assert cost(["a#0"], 1).training_usd == figure(14)
    assert cost(["a#0", "a#1"], 1).training_usd.value == 7 * (2 + 3)
    assert cost(["a#0", "a#1", "a#0"], 1).training_usd.value == 7 * (2 + 3)
    assert cost(["b#0"], 1).training_usd.value == 3 * 11 * 2


def test_a_distilled_student_pays_its_teachers_and_theirs():
    student = cost(["s#0"], 1)
    assert student.taught_by == ("a#0", "t#0", "u#0")
    assert student.training_usd.value == 7 * (5 + 2 + 13 + 17)
    alone = cost(["s#0"], 1, teachers=False)
    assert (alone.taught_by, alone.teachers_left_out) == ((), ("a#0", "t#0", "u#0"))
    assert alone.training_usd.value == 7 * 5
    with_teacher = cost(["s#0", "a#0"], 1)
    assert with_teacher.taught_by == ("t#0", "u#0"), "a#0 is a member itself"
    assert with_teacher.training_usd.value == 7 * (5 + 2 + 13 + 17), "and paid once"


def test_teachers_in_a_circle_are_each_paid_once():
    runs = {"p#0": run("p#0", 2, "q#0"), "q#0": run("q#0", 3, "p#0")}
    assert lifetime_cost("p#0", ["p#0"], runs, figure(1)).training_usd.value == 7 * 5


def test_a_snapshot_pays_the_run_before_it_even_without_its_teachers():
    runs = {
        "c#1": run("c#1", 2),
        "c#2": replace(run("c#2", 3), goes_on_from=("c#1",)),
        "c#3": replace(run("c#3", 5, "t#0"), goes_on_from=("c#1", "c#2")),
        "t#0": replace(run("t#0", 11), goes_on_from=("u#0",)),
        "u#0": run("u#0", 13),
    }
    third = lifetime_cost("c#3", ["c#3"], runs, figure(1))
    assert (third.gone_on_from, third.taught_by) == (("c#1", "c#2"), ("t#0", "u#0"))
    assert third.training_usd.value == 7 * (2 + 3 + 5 + 11 + 13)
    alone = lifetime_cost("c#3", ["c#3"], runs, figure(1), teachers=False)
    assert (alone.gone_on_from, alone.teachers_left_out) == (("c#1", "c#2"), ("t#0", "u#0"))
    assert alone.training_usd.value == 7 * (2 + 3 + 5)
    both = lifetime_cost("mean(c#2, c#3)", ["c#2", "c#3"], runs, figure(1), teachers=False)
    assert both.gone_on_from == ("c#1",), "c#2 is a member itself"
    assert both.training_usd.value == 7 * (2 + 3 + 5)


def test_total_is_training_plus_serving_times_volume_and_intervals_add():
    runs = {"a#0": run("a#0", 11, spread=2)}
    whole = lifetime_cost("a#0", ["a#0"], runs, figure(5, 3, 13)).total(2_000_000)
    assert (whole.value, whole.low, whole.high) == (77 + 10, 63 + 6, 91 + 26)
    assert whole.basis is Basis.COMPOSED, "a sum of measured figures was not measured"
    nothing = lifetime_cost("a#0", ["a#0"], runs, figure(5, 3, math.inf, Basis.BOUND)).total(0)
    assert (nothing.value, nothing.high, nothing.basis) == (77, 91, Basis.BOUND)


def test_prices_come_along_with_date_and_source():
    found = cost(["a#0", "b#0"], 1, serving_price=PRICE)
    assert found.prices == (OLDER, PRICE)
    assert found.old_prices(datetime.date(2026, 6, 1)) == (OLDER,)


def test_break_even_by_hand_from_both_sides():
    bigger, ensemble = line("bigger", 30.0, 13.0), line("ensemble", 100.0, 6.0)
    found = break_even(bigger, ensemble)
    assert found.volume == pytest.approx(10e6)
    assert (found.first, found.second) == ("bigger", "ensemble")
    assert (found.cheaper_below, found.cheaper_above) == ("bigger", "ensemble")
    assert found.certain
    other = break_even(ensemble, bigger)
    assert (other.first, other.second) == ("ensemble", "bigger")
    assert (other.volume, other.low, other.high) == (found.volume, found.low, found.high)
    assert (other.cheaper_below, other.cheaper_above) == ("bigger", "ensemble")


def test_no_break_even_where_one_is_never_cheaper():
    for small, large in (
        (line("s", 3.0, 2.0), line("l", 5.0, 7.0)),
        (line("s", 3.0, 2.0), line("l", 3.0, 7.0)),
        (line("s", 3.0, 2.0), line("l", 5.0, 2.0)),
    ):
        for found in (break_even(small, large), break_even(large, small)):
            assert (found.volume, found.cheaper_below, found.cheaper_above) == (None, "s", "s")
            assert found.certain
    sure = break_even(line("s", 3.0, 2.0), line("l", 5.0, 7.0))
    assert sure.certain
    assert sure.low == sure.high == math.inf
    unsure = break_even(line("s", 3.0, 2.0, served=6.0 - 4.0), line("l", 5.0, 3.0, served=2.0))
    assert unsure.volume is None
    assert not unsure.certain, "the intervals allow that l is cheaper to serve"


def test_designs_that_cost_the_same_throughout():
    found = break_even(line("x", 3.0, 2.0), line("y", 3.0, 2.0))
    assert (found.volume, found.cheaper_below, found.cheaper_above) == (None, None, None)


def test_shared_trainings_cancel_with_their_errors():
    runs = {"a#0": run("a#0", 11, spread=7), "a#1": run("a#1", 3, spread=1)}
    both = lifetime_cost("both", ["a#0", "a#1"], runs, figure(1))
    one = lifetime_cost("one", ["a#0"], runs, figure(8))
    found = break_even(one, both)
    assert found.volume == pytest.approx(3e6)
    assert (found.low, found.high) == (pytest.approx(2e6), pytest.approx(4e6))


@given(
    st.tuples(*[st.integers(1, 40)] * 4),
    st.tuples(*[st.integers(0, 12)] * 4),
    st.tuples(*[st.floats(0, 1)] * 4),
)
def test_break_even_interval_holds_every_crossing_within_the_figures(values, spreads, places):
    spreads = [min(pair) for pair in zip(values, spreads, strict=True)]
    first = line("x", values[0], values[1], spread=spreads[0], served=spreads[1])
    second = line("y", values[2], values[3], spread=spreads[2], served=spreads[3])
    found = break_even(first, second)
    t1, s1, t2, s2 = (v + d * (2 * p - 1) for v, d, p in zip(values, spreads, places, strict=True))
    if (t2 - t1) * (s1 - s2) > 0:
        crossing = (t2 - t1) / (s1 - s2) * 1e6
        assert found.low * (1 - 1e-9) - 1e-3 <= crossing <= found.high * (1 + 1e-9) + 1e-3
    if found.volume is not None:
        assert found.low * (1 - 1e-9) <= found.volume <= found.high * (1 + 1e-9)
        cheaper = min((first, second), key=lambda c: c.total(found.volume * 2 + 1).value)
        assert cheaper.design == found.cheaper_above


def test_table_names_the_cheapest_and_those_it_cannot_be_told_from():
    designs = [line("x", 10.0, 5.0), line("y", 16.0, 3.0, spread=4.0), line("z", 100.0, 1.0)]
    rows = volume_table(designs, [0, 3e6, 1e9])
    assert [row.cheapest for row in rows] == ["x", "x", "z"]
    assert [row.alike for row in rows] == [(), ("y",), ()]
    assert [round(total.value) for total in rows[2].totals] == [5010, 3016, 1100]


def test_cheapest_ranges_by_hand():
    designs = [line("x", 10.0, 5.0), line("y", 16.0, 3.0), line("z", 100.0, 1.0), line("w", 60.0, 4.0)]
    ranges = cheapest_ranges(designs)
    assert [found.design for found in ranges] == ["x", "y", "z"]
    assert [found.low for found in ranges] == pytest.approx([0, 3e6, 42e6])
    assert [found.high for found in ranges] == pytest.approx([3e6, 42e6, math.inf])


LINES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=7)


@given(LINES, st.fractions(0, 20, max_denominator=12))
def test_envelope_is_the_minimum_everywhere(lines, at):
    found = lower_envelope(lines)
    assert (found[0][1], found[-1][2]) == (0.0, math.inf)
    for (_, low, high), after in zip(found, (*found[1:], None), strict=True):
        assert low < high, "no range is a point"
        assert after is None or after[1] == high
    holding = [index for index, low, high in found if low <= float(at) <= high]
    lowest = min(start + slope * at for start, slope in lines)
    for index in holding:
        assert float(lines[index][0] + lines[index][1] * at) == pytest.approx(float(lowest))
    for index, _, _ in found:
        assert lines.index(lines[index]) == index, "of equal lines the first"


def test_refusals():
    with pytest.raises(UsageError, match=r"training of member 'c#0'.*known: a#0"):
        cost(["c#0"], 1)
    with pytest.raises(UsageError, match="no members"):
        cost([], 1)
    with pytest.raises(UsageError, match="within its interval"):
        lifetime_cost("a", ["a#0"], RUNS, figure(3, 4, 5))
    with pytest.raises(UsageError, match="units"):
        run("a#0", 1, units=0)
    with pytest.raises(UsageError, match="volume"):
        cost(["a#0"], 1).total(-1)
    for empty in (lambda: volume_table([], [1]), lambda: cheapest_ranges([]), lambda: lower_envelope([])):
        with pytest.raises(UsageError):
            empty()
    with pytest.raises(UsageError, match="finite"):
        lower_envelope([(1.0, math.inf)])

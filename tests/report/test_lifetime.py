"""Lifetimes as text and documents: marks, ranges, break-evens, prices with date and source."""

import datetime
import json
import math

import pytest

from explorer.accounting.lifetime import (
    TrainingRun,
    break_even,
    cheapest_ranges,
    lifetime_cost,
    volume_table,
)
from explorer.analysis.planning.billing import PriceUsed
from explorer.analysis.planning.over_lifetime import Life, Lifetimes
from explorer.analysis.result import Comparison, Interval, Verdict
from explorer.convention import Basis, CostAxis
from explorer.data.prices import Price, PriceChoice
from explorer.record import CostFigure
from explorer.report.lifetime import format_volume, lifetime_document, lifetime_text, price_sentence

TODAY = datetime.date(2026, 6, 1)
PRICE = Price(device="cpu", usd_per_hour=2.0, unit="vcpu", date=datetime.date(2026, 1, 2), source="a page")
OLD = Price(device="cuda", usd_per_hour=3.0, unit="gpu", date=datetime.date(2020, 1, 2), source="another")


def figure(value, spread=0.0):
    return CostFigure(value=value, low=value - spread, high=value + spread, basis=Basis.MEASURED)


def run(name, usd, spread=0.0, **changes):
    hour = 3600 / PRICE.usd_per_hour
    return TrainingRun(member=name, seconds=figure(usd * hour, spread * hour), price=PRICE, **changes)


@pytest.fixture
def lives(front):
    points = {point.design: point for point in front.points}
    first, second, third = list(points.values())[:3]
    texts = [str(point.design) for point in (first, second, third)]
    runs = {
        "a": run("a", 10.0),
        "b": run("b", 50.0, 10.0, teachers=("t",)),
        "t": run("t", 5.0),
        "c": run("c", 90.0, goes_on_from=("s",)),
        "s": run("s", 7.0),
    }
    costs = (
        lifetime_cost(texts[0], ["a"], runs, figure(9.0), serving_price=PRICE),
        lifetime_cost(texts[1], ["b"], runs, figure(4.0), serving_price=PRICE),
        lifetime_cost(texts[2], ["c"], runs, figure(5.0), serving_price=PRICE),
    )
    compared = Comparison(
        first=first.design,
        second=third.design,
        difference=Interval(value=-0.05, low=-0.07, high=-0.03, n=539, method="bootstrap"),
        verdict=Verdict.WORSE,
        only_first_right=1,
        only_second_right=28,
        examples_to_tell=90,
    )
    return tuple(
        Life(point=point, cost=cost, against_best=against)
        for point, cost, against in zip(
            (first, second, third), costs, (compared, compared, None), strict=True
        )
    )


@pytest.fixture
def found(lives):
    costs = [life.cost for life in lives]
    volumes = (1e6, 9.2e6, 1e9)
    return Lifetimes(
        axis=CostAxis.parse("time_per_example@cpu"),
        target=None,
        utilisation=0.5,
        prices=(
            PriceUsed(price=PRICE, what="serving", units=2.0, choice=None),
            PriceUsed(
                price=OLD,
                what="training",
                units=1.0,
                choice=PriceChoice(price=OLD, low=1.5, high=4.5, alternatives=3),
            ),
        ),
        lives=lives,
        volumes=volumes,
        table=volume_table(costs, volumes),
        ranges=cheapest_ranges(costs),
        break_evens=tuple(
            break_even(one, two)
            for one, two in ((costs[0], costs[1]), (costs[0], costs[2]), (costs[1], costs[2]))
        ),
        given_hours=("a",),
        ranged=1,
        notes=("of the pool",),
    )


def test_text_marks_the_cheapest_and_what_cannot_be_told_from_it(found, pool):
    lines = lifetime_text(found, pool, TODAY).splitlines()
    rows = {line[0]: line.split() for line in lines if line[:3] in ("A  ", "B  ", "C  ")}
    text = "\n".join(lines)
    costs = [line for line in lines if "USD *" in line or "USD ~" in line]
    # 10 + 9 = 19; 55 + 4; 97 + 5; then 10 + 82.8 = 92.8 against 55 + 36.8 = 91.8, within 10 of it; 4055
    assert "19 USD *" in costs[0]
    assert "92.8 USD ~" in costs[0]
    assert "91.8 USD *" in costs[1]
    assert "4,060 USD *" in costs[1] or "4,050 USD *" in costs[1]
    assert set(rows) == {"A", "B", "C"}
    assert "A up to 9.00M" in text
    assert "B from 9.00M on" in text
    assert "A and B at 9.00M (7.00M to 11.0M): below A is cheaper, above B" in text
    assert "never, the first is cheaper at every volume: B-C" in text
    assert "less accurate" in text
    assert "the most accurate when chosen" in text
    assert "B pays 5 USD of it for its teachers' training: t" in text
    assert "C pays 7 USD of it for its earlier parts of the run: s" in text
    assert "hours of training as given, not recorded: a" in text
    assert "note: of the pool" in text


def test_prices_carry_date_source_age_and_what_others_ask(found):
    serving, training = found.prices
    assert price_sentence(serving, 0.5, TODAY) == (
        "serving on cpu: 2.00 x 2.00 USD an hour per vcpu (on-demand, 2026-01-02, a page), busy 50.0% of it"
    )
    said = price_sentence(training, 0.5, TODAY)
    assert "2020-01-02, OLD: 2,342 days, another" in said
    assert said.endswith("3 sellers that day: 1.50 to 4.50")


def test_document_says_what_was_paid_for_what(found, pool):
    document = json.loads(json.dumps(lifetime_document(found, pool, TODAY), allow_nan=False))
    assert document["schema_version"] == 1
    assert [[run["paid_as"] for run in one["trainings"]] for one in document["designs"]] == [
        ["member"],
        ["member", "teacher"],
        ["member", "earlier snapshot"],
    ]
    assert document["designs"][0]["totals_usd"][0]["value"] == 19
    assert document["ranges"][-1]["high"] is None
    assert document["break_evens"][0]["volume"] == pytest.approx(9e6)
    assert document["break_evens"][2] | {"first": "", "second": ""} == {
        "first": "",
        "second": "",
        "volume": None,
        "low": None,
        "high": None,
        "certain": True,
        "cheaper_below": found.lives[1].cost.design,
        "cheaper_above": found.lives[1].cost.design,
    }
    assert document["prices"][1]["alternatives"] == {"low": 1.5, "high": 4.5, "sellers": 3}
    assert document["prices"][1]["old"] is True


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (999, "999"), (999.7, "1.00k"), (1e6, "1.00M"), (2.345e9, "2.35G"), (1e15, "1.00P")],
)
def test_volumes_are_short(value, said):
    assert format_volume(value) == said
    assert math.isfinite(value)

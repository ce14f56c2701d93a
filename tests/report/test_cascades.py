"""What is said of a cascade: verdicts follow the intervals, and analysis is not sold as an artefact."""
# ruff: noqa: RUF001  (the minus sign is what is tested)

import json
from dataclasses import replace

import pytest

from explorer.analysis.advice.cascades import CascadeView, CurveRow, Picked, SignalRow
from explorer.analysis.advice.third_stage import CostRange, Recommended, ThirdStage
from explorer.analysis.result import Comparison, Front, Interval, PoolSummary, Verdict
from explorer.analysis.statistics.post_hoc import Deferral
from explorer.analysis.tail_costs import TailCosts
from explorer.convention import CostAxis
from explorer.report.cascades import cascade_document, cascade_text
from explorer.spec import CandidateKind, Signal

MACS = CostAxis.parse("macs")


def interval(low: float, value: float, high: float, n: int = 539) -> Interval:
    return Interval(value=value, low=low, high=high, n=n, method="bootstrap")


def tail(mean: float, quantile: float, worst: float, left: tuple[float, ...]) -> TailCosts:
    return TailCosts(
        mean=mean,
        quantile=quantile,
        quantile_low=quantile,
        quantile_high=worst,
        q=0.99,
        worst=worst,
        left=left,
    )


@pytest.fixture
def view(front: Front) -> CascadeView:
    point = front.fronts_by_kind[CandidateKind.CASCADE][0]
    alone = front.fronts_by_kind[CandidateKind.SINGLE][0]
    comparison = Comparison(
        first=point.design,
        second=alone.design,
        difference=interval(0.012, 0.035, 0.058),
        verdict=Verdict.BETTER,
        only_first_right=30,
        only_second_right=11,
        examples_to_tell=200,
    )
    return CascadeView(
        picked=Picked.KNEE,
        point=point,
        tail=tail(131_000, 71_300, 334_300, (0.773, 0.227)),
        curve=(
            CurveRow(point=alone, tail=tail(71_300, 71_300, 71_300, (1.0,))),
            CurveRow(point=point, tail=tail(131_000, 334_300, 334_300, (0.773, 0.227))),
        ),
        signals=(
            SignalRow(signal=Signal.P, point=point, comparison=None),
            SignalRow(signal=Signal.MARGIN, point=point, comparison=comparison),
            SignalRow(signal=Signal.AGREEMENT, point=None, comparison=None),
        ),
        deferral=Deferral(
            features=("p", "margin"),
            recommended=False,
            held_out=interval(-0.004, 0.001, 0.006),
            on_report=interval(-0.005, -0.002, 0.003),
            plain=Signal.P,
            plain_accuracy=interval(0.93, 0.946, 0.96),
            rule_accuracy=interval(0.928, 0.944, 0.959),
            oracle_accuracy=interval(0.96, 0.971, 0.98),
            goes_on=0.227,
            rule_goes_on=0.221,
        ),
        third=ThirdStage(
            recommended=None,
            trials=(),
            against_front=interval(-0.004, -0.001, 0.003),
            against_own=interval(-0.003, 0.001, 0.004),
            ranges=(
                CostRange(low=0.0, high=200_000.0, gain=0.004, difference=interval(-0.006, -0.002, 0.001)),
                CostRange(low=2e5, high=float("inf"), gain=0.002, difference=interval(-0.003, 0.0, 0.003)),
            ),
            triples=59_520,
            exact=False,
            limit=None,
        ),
    )


def test_text_says_what_the_figures_say(view: CascadeView) -> None:
    text = cascade_text(view, MACS)

    assert text.startswith(f"cascade {view.point.design}\nThe knee of the front of cascades")
    assert "99% of inputs cost 71.3 kMACs or less (71.3 to 334 kMACs)" in text
    assert "one that runs every stage 334 kMACs" in text
    rows = [line for line in text.splitlines() if "  p>=0.81" in line]
    assert rows[0].startswith("*")
    for part in ("77.3%", "22.7%", "94.6%", "131 kMACs", "334 kMACs"):
        assert part in rows[0]
    assert "wrn10-0.25@8#1 alone" in text
    assert "none lets so few go on" in text
    assert "+3.5 points (95% interval +1.2 to +5.8): more accurate" in text


def test_a_rule_and_a_stage_that_are_not_worth_it_are_said_plainly(view: CascadeView) -> None:
    text = cascade_text(view, MACS)

    assert "A fitted deferral rule is not worth it here: +0.1 points (95% interval −0.4 to +0.6)" in text
    assert "This is analysis only" in text
    assert "A third stage is not worth it here: −0.1 points (95% interval −0.4 to +0.3)" in text
    assert "59,520 triples of stages at a grid of thresholds" in text
    assert "up to 200 kMACs" in text
    assert "above 200 kMACs" in text


def test_a_third_stage_that_is_worth_it_is_named_with_its_costs(view: CascadeView, front: Front) -> None:
    best = front.fronts_by_kind[CandidateKind.CASCADE][-1]
    comparison = view.signals[1].comparison
    assert comparison is not None
    recommended = Recommended(
        point=best,
        tail=tail(1_230_000, 2e6, 3e6, (0.681, 0.2, 0.119)),
        rival=view.point,
        comparison=replace(comparison, verdict=Verdict.CANNOT_TELL),
    )
    third = replace(view.third, recommended=recommended, limit=4e6)

    text = cascade_text(replace(view, third=third), MACS)

    assert "A third stage is worth it here" in text
    assert f"Chosen on all of select: {best.design}" in text
    assert "68.1%, 20.0%, 11.9% leave at each stage" in text
    assert "costing at most 4.00 MMACs" in text
    assert "cannot tell" in text


def test_without_a_triple_there_is_nothing_to_weigh(view: CascadeView) -> None:
    third = replace(view.third, against_front=None, against_own=None, ranges=(), triples=0)

    text = cascade_text(replace(view, third=third), MACS)

    assert "A third stage is not worth it here: there is none to try" in text


def test_what_is_always_paid_has_no_tail(view: CascadeView) -> None:
    text = cascade_text(view, CostAxis.parse("parameters"))

    assert "Every input pays all of it" in text
    assert "on average" not in text


@pytest.mark.parametrize("picked", list(Picked))
def test_how_it_was_come_by_is_said_unless_it_was_named(view: CascadeView, picked: Picked) -> None:
    second = cascade_text(replace(view, picked=picked), MACS).splitlines()[1]

    assert ("chosen on select" in second) == (picked is not Picked.NAMED)


def test_document_has_every_figure_and_no_infinity(view: CascadeView, pool: PoolSummary) -> None:
    document = json.loads(json.dumps(cascade_document(view, pool, MACS, ("a note",)), allow_nan=False))

    assert document["schema_version"] == 1
    assert document["picked"] == "knee"
    assert document["tail"]["quantile"] == {"value": 71_300, "low": 71_300, "high": 334_300}
    assert [row["threshold"] for row in document["thresholds"]] == [None, 0.81]
    assert document["signals"][2]["point"] is None
    assert document["deferral_rule"]["buildable"] is False
    assert document["third_stage"]["recommended"] is None
    assert document["third_stage"]["ranges"][1]["high"] is None
    assert document["notes"] == ["a note"]

"""The front over several costs: what is shown of it, said about it, and laid out."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from explorer.analysis.result import PoolSummary
from explorer.analysis.search.several_costs import Covered, SeveralFront, SeveralPoint
from explorer.convention import Basis, CostAxis
from explorer.record import CostFigure
from explorer.report.several_front import SHOWN_POINTS, several_front_document, several_front_text, spread
from explorer.spec import CandidateKind, parse_design
from tests.report.conftest import interval

Point = Callable[..., SeveralPoint]


def figure(value: float, basis: Basis = Basis.COUNTED) -> CostFigure:
    return CostFigure(value=value, low=value, high=value, basis=basis)


def several_point(text: str, accuracy: float, macs: float, held: float) -> SeveralPoint:
    return SeveralPoint(
        design=parse_design(text),
        select_accuracy=accuracy + 0.011,
        select_costs=(macs - 7, held),
        accuracy=interval(accuracy),
        costs=(figure(macs), figure(held)),
        worst_costs=(macs + 13, held),
        reached=(1.0, 0.25) if "->" in text else (1.0,),
    )


@pytest.fixture
def several(pool: PoolSummary) -> SeveralFront:
    return SeveralFront(
        pool=pool,
        axes=(CostAxis.parse("macs"), CostAxis.parse("parameters")),
        points=(
            several_point("wrn10-0.25@8#0", 0.911, 71_300, 2_500),
            several_point("wrn10-0.25@8#0 -> [p>=0.9] wrn10-1@8#1", 0.955, 324_000, 42_300),
        ),
        searched={CandidateKind.SINGLE: 12, CandidateKind.ENSEMBLE: 781, CandidateKind.CASCADE: 2_300_011},
        covered=Covered(
            volume=8.9e11,
            share=0.875,
            reference_accuracy=0.1,
            reference_costs=(15_900_000.0, 158_000.0),
        ),
        notes=("something was left out",),
    )


def test_text_has_every_cost_and_the_reference_point(several: SeveralFront) -> None:
    said = several_front_text(several)
    lines = said.splitlines()
    assert lines[0] == "front of digits: accuracy against MACs per example and parameters held"
    assert "searched 12 singles, 781 ensembles, 2,300,011 cascades" in lines[1]
    assert lines[3].split("  ")[0] == "kind"
    cascade = next(line for line in lines if line.startswith("cascade"))
    for cell in (
        "324 kMACs",
        "42.3 k parameters",
        "95.5%",
        "94.2% to 96.8%",
        "96.6%",
        "25.0%",
        "wrn10-1@8#1",
    ):
        assert cell in cascade
    assert lines[-1] == (
        "hypervolume on select: 87.5% of the box from the reference point (accuracy 10.0%, one class always; "
        "the dearest ensemble searched on each axis: 15.9 MMACs, 158 k parameters) to no mistakes at no cost"
    )
    assert "shown" not in said


def test_three_axes_are_named_in_one_clause(several: SeveralFront) -> None:
    third = CostAxis.parse("latency@cpu")
    points = tuple(
        replace(point, costs=(*point.costs, figure(0.0012, Basis.MEASURED))) for point in several.points
    )
    covered = replace(several.covered, reference_costs=(*several.covered.reference_costs, 0.25))
    said = several_front_text(replace(several, axes=(*several.axes, third), points=points, covered=covered))
    assert "against MACs per example, parameters held and latency of one example on cpu" in said
    assert "158 k parameters, 250 ms)" in said
    assert "1.20 ms" in said


def test_a_long_front_is_spread_out_and_says_so(several: SeveralFront) -> None:
    points = tuple(
        several_point("wrn10-0.25@8#0", 0.5 + i / 5000, 1000.0 + i, float(i * 37 % 1000)) for i in range(1000)
    )
    long = replace(several, points=points)
    shown = several_front_text(long).splitlines()
    assert sum(line.startswith("single") for line in shown) == SHOWN_POINTS
    assert "30 of 1,000 points shown, those that lie farthest apart; --all or --json gives every one" in shown
    everything = several_front_text(long, every=True).splitlines()
    assert sum(line.startswith("single") for line in everything) == 1000
    assert not any("shown" in line for line in everything)


def test_spread_keeps_the_ends_of_every_objective_and_the_order() -> None:
    points = tuple(
        several_point("wrn10-0.25@8#0", 0.5 + i / 5000, 1000.0 + i, float(i * 37 % 1000)) for i in range(1000)
    )
    chosen = spread(points)
    assert len(chosen) == len(set(chosen)) == SHOWN_POINTS
    places = [points.index(point) for point in chosen]
    assert places == sorted(places)
    assert {0, 999} <= set(places)  # fewest MACs; most accurate; the fewest parameters are those of the first
    assert max(b - a for a, b in pairwise(places)) < 150  # no long stretch is left out
    assert spread(points[:30]) == points[:30]
    assert len(spread(points[:31])) == 30


def test_document_has_every_point_with_every_cost(several: SeveralFront) -> None:
    document = several_front_document(several)
    assert document["schema_version"] == 1
    assert [axis["axis"] for axis in document["costs"]] == ["macs", "parameters"]
    assert document["searched"] == {"single": 12, "ensemble": 781, "cascade": 2_300_011}
    assert document["hypervolume"] == {
        "split": "select",
        "value": 8.9e11,
        "share": 0.875,
        "reference": {"accuracy": 0.1, "costs": {"macs": 15_900_000.0, "parameters": 158_000.0}},
    }
    single, cascade = document["points"]
    assert single["kind"] == "single"
    assert cascade["design"] == "wrn10-0.25@8#0 -> [p>=0.9] wrn10-1@8#1"
    assert cascade["members"] == ["wrn10-0.25@8#0", "wrn10-1@8#1"]
    assert cascade["select_costs"] == {"macs": 323_993, "parameters": 42_300}
    assert cascade["worst_costs"] == {"macs": 324_013, "parameters": 42_300}
    assert cascade["costs"]["macs"] == {"value": 324_000, "low": 324_000, "high": 324_000, "basis": "counted"}
    assert cascade["regret"] == pytest.approx(0.011)
    assert cascade["reached"] == [1.0, 0.25]
    assert document["notes"] == ["something was left out"]

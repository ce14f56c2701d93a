"""How sure a front is, in words: shares of redrawn test sets, seeds, and optimism."""
# ruff: noqa: RUF001  (the minus and multiplication signs are what is tested)

import json
import math
from dataclasses import replace

import pytest

from explorer.analysis.advice.sureness import ChosenAgain, SeedShare, Sureness
from explorer.analysis.result import Front
from explorer.report.sureness import sureness_document, sureness_text
from explorer.report.terminal import front_table
from explorer.spec import ModelSpec
from tests.report.conftest import interval


@pytest.fixture
def sure(front: Front) -> Sureness:
    model = ModelSpec(name="wrn10-0.25", resolution=8)
    shares = [1.0, *(0.5 for _ in front.points[1:-1]), 0.0312]
    return Sureness(
        resamples=1_000,
        examples=539,
        on_front=tuple(shares),
        seeds=(
            SeedShare(model=model, size=1, cost=71_300.0, accuracy=0.9123, on_front=1.0),
            SeedShare(model=model, size=2, cost=142_600.0, accuracy=0.9211, on_front=0.123),
            SeedShare(model=model, size=3, cost=213_900.0, accuracy=0.9217, on_front=0.049),
        ),
        folds=5,
        sampled=440,
        chosen_again=(
            ChosenAgain(
                budget=131_000.0,
                point=replace(front.points[0], select_accuracy=front.points[0].accuracy.value + 0.004),
                chosen_on=0.951,
                held_out=interval(0.942),
                sampled=interval(0.001),
            ),
            ChosenAgain(
                budget=math.inf,
                point=replace(front.points[-1], select_accuracy=front.points[-1].accuracy.value + 0.021),
                chosen_on=0.982,
                held_out=interval(0.97),
                sampled=interval(0.003),
            ),
        ),
        growth=((1, 0.0), (10, 0.0007), (440, 0.0031)),
        easier=0.008,
    )


def test_each_design_has_its_share_and_what_it_is_a_share_of(front: Front, sure: Sureness) -> None:
    said = sureness_text(front, sure)
    assert "share of 1,000 test sets, drawn again from the 539 report examples, on whose front" in said
    assert f"of the {len(front.points)} designs of this front" in said
    assert "1 of them on 95% of the fronts or more" in said
    assert "probability" not in said
    rows = [line for line in said.splitlines() if line.endswith(str(front.points[-1].design))]
    assert len(rows) == 1
    assert rows[0].startswith("3.1%")
    assert rows[0].split("  ")[0] == "3.1%"


def test_as_many_designs_as_the_table_of_the_front_shows(front: Front, sure: Sureness) -> None:
    many = replace(front, points=front.points * 40)
    shares = replace(sure, on_front=tuple(i / 1000 for i in range(len(many.points))))
    designs = [line.split("  ")[-1].strip() for line in front_table(many).splitlines()[4:-1]]
    said = sureness_text(many, shares).split("trained again")[0].splitlines()
    assert [line.split("  ")[-1] for line in said[4:-1]] == designs
    every = sureness_text(many, shares, every=True).split("trained again")[0].splitlines()
    assert len(every) - len(said) == len(many.points) - len(designs)


def test_seeds_that_are_seldom_on_the_front_are_counted(front: Front, sure: Sureness) -> None:
    said = sureness_text(front, sure)
    assert "2 × wrn10-0.25@8" in said
    assert "3 × wrn10-0.25@8" not in said
    assert "1 other: on fewer than 5% of the fronts" in said
    assert "trained again" not in sureness_text(front, replace(sure, seeds=()))


def test_optimism_stands_beside_what_report_shows(front: Front, sure: Sureness) -> None:
    lines = sureness_text(front, sure).splitlines()
    assert "searched again on 4 of 5 parts of select" in "".join(lines)
    budget = next(line for line in lines if line.startswith("131 kMACs  94.2%"))
    assert budget.split()[-2:] == ["+0.9", "+0.4"]
    whole = next(line for line in lines if line.startswith("none "))
    assert whole.split()[-2:] == ["+1.2", "+2.1"]
    assert any(line.startswith("select minus report is +0.8 points over all members") for line in lines)
    assert lines[-1].endswith("0.00 among 1, +0.07 among 10, +0.31 among 440")


def test_document_is_json_and_whole(front: Front, sure: Sureness) -> None:
    document = sureness_document(sure, front.axis)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["on_front"] == list(sure.on_front)
    assert document["seeds"][1] == {
        "model": "wrn10-0.25@8",
        "size": 2,
        "cost": 142_600.0,
        "accuracy": 0.9211,
        "on_front": 0.123,
    }
    optimism = document["optimism"]
    assert [row["budget"] for row in optimism["budgets"]] == [131_000.0, None]
    assert optimism["budgets"][1]["select_minus_report"] == pytest.approx(0.021)
    assert optimism["budgets"][1]["optimism"] == pytest.approx(0.012)
    assert optimism["by_designs"][-1] == {"designs": 440, "optimism": 0.0031}
    assert optimism["select_minus_report_of_members"] == 0.008

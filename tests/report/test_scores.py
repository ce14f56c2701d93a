"""Scores as text and document: one design, several, and figures with the sign that is meant."""

import json

from explorer.analysis.advice.scores import score_designs
from explorer.report.scores import scores_document, scores_text
from explorer.spec import parse_design
from tests.strategies import make_pool, simulated_pool

POOL = simulated_pool(models=3, seeds=1, select=200, report=300, seed=2)
ONE = parse_design("net1@8#0")
TWO = parse_design("mean(net1@8#0, net2@8#0)")


def test_one_design_is_one_table() -> None:
    found = score_designs(POOL, [ONE])
    text = scores_text(found)
    scored = found.designs[0]

    assert "net1@8#0, 3.01 kMACs per example" in text
    assert "calibration error, 15 bins (lower is better)" in text
    assert f"{scored.scores['nll'].value:.4f}" in text
    assert f"class {scored.worst_class.label}: {scored.worst_class.right} of" in text
    assert f"{100 * scored.scores['accuracy'].value:.1f}%" in text
    assert "minus no. 1" not in text
    assert "called better or worse" not in text


def test_several_are_compared_with_the_first() -> None:
    found = score_designs(POOL, [ONE, TWO], notes=("from somewhere",))
    text = scores_text(found)
    interval = found.designs[1].differences["nll"].interval

    assert text.count("minus no. 1") == 7
    assert f"{interval.value:+.4f}".replace("-", "\N{MINUS SIGN}") in text
    assert "better" in text
    assert "note: from somewhere" in text
    assert "7 differences are looked at" in text


def test_document() -> None:
    found = score_designs(POOL, [ONE, TWO], split="select")
    document = json.loads(json.dumps(scores_document(found), allow_nan=False))

    assert document["schema_version"] == 1
    assert (document["dataset"], document["split"], document["ece_bins"]) == ("made-up", "select", 15)
    first, second = document["designs"]
    assert first["differences"] == {}
    assert set(second["differences"]) == set(second["scores"]) == set(document["higher_is_better"])
    assert second["differences"]["brier"]["verdict"] in ("better", "worse", "cannot tell")
    assert second["scores"]["accuracy"]["n"] == 200
    assert parse_design(second["design"]) == TWO
    assert document["higher_is_better"]["ece"] is False
    assert "flatter" in document["notes"][0]


def test_a_cost_that_is_held_is_not_per_example() -> None:
    arrays = POOL.select, POOL.select_labels, POOL.report, POOL.report_labels
    held = make_pool(*arrays, [100, 200, 300], members=POOL.members, axis="parameters")

    assert "net1@8#0, 200 parameters\n" in scores_text(score_designs(held, [ONE]))

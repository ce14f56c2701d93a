"""Promises, refusals and exits as text and documents: every figure is one of the result's."""

import json
import math

import pytest

from explorer.analysis.advice.early_exits import early_exits
from explorer.analysis.advice.promise import Terms, promise
from explorer.analysis.advice.refusal import refusal
from explorer.report.early_exits import early_exit_document, early_exit_text
from explorer.report.guarantee import (
    drift_notes,
    percent,
    promise_document,
    promise_text,
    rounded_up,
    terms_text,
)
from explorer.report.refusal import refusal_document, refusal_text
from explorer.spec import parse_design
from tests.strategies import simulated_pool

POOL = simulated_pool(models=4, seeds=1, select=900, report=1200, seed=7)
CASCADE = parse_design("net0@8#0 -> [p>=0.6] net3@8#0")
SHOWN = POOL.summary, POOL.axis


def test_a_kept_promise() -> None:
    found = promise(POOL, CASCADE, Terms(target=0.7255, delta=0.1))
    text, document = promise_text(found, *SHOWN), promise_document(found, *SHOWN)
    json.dumps(document, allow_nan=False)
    design = str(found.kept.point.design)

    assert text.startswith("Promise: accuracy of at least 72.55%, with probability 90%.\n")
    assert f"    explorer build '{design}' --dataset made-up --out DIR\n" in text
    assert "for at most 10% of the sets is the promise" in text
    assert "fixed before those examples were looked at" in text
    assert "--picked-from" in text
    assert document["mode"] == "promise"
    assert document["kept"] is True
    assert document["leaves"] == "some"
    assert document["threshold"] == found.kept.point.design.exits[0].threshold
    assert document["point"]["design"] == design
    assert document["on_select"]["accuracy"] == found.guarantee.accuracy
    assert document["possible"] is None
    paid = found.kept.point.cost.value - found.kept.plain.cost.value
    assert paid > 0
    assert f"({100 * paid / found.kept.plain.cost.value:.1f}%) than the threshold" in text


@pytest.mark.parametrize(
    ("terms", "said", "leaves"),
    [
        (Terms(budget=1e9), "Kept even if nobody leaves: ship the second stage alone", "nobody"),
        (Terms(budget=1007.0), "Kept only if everybody leaves: ship the first stage alone", "everybody"),
        (Terms(target=0.05), "Kept even if everybody leaves: ship the first stage alone", "everybody"),
    ],
)
def test_one_stage_alone(terms: Terms, said: str, leaves: str) -> None:
    found = promise(POOL, CASCADE, terms)
    document = promise_document(found, *SHOWN)
    json.dumps(document, allow_nan=False)

    assert said in promise_text(found, *SHOWN)
    assert document["leaves"] == leaves
    assert document["threshold"] is None
    assert parse_design(document["point"]["design"]).kind == "single"


@pytest.mark.parametrize(
    "terms",
    [Terms(target=0.9), Terms(near_full=1e-5), Terms(budget=10.0), Terms(target=0.72, budget=1_200.0)],
)
def test_what_is_said_to_be_possible_is(terms: Terms) -> None:
    found = promise(POOL, CASCADE, terms)
    text, document = promise_text(found, *SHOWN), promise_document(found, *SHOWN)
    assert document["kept"] is False
    assert document["reason"]
    json.dumps(document, allow_nan=False)
    offers = [line.split(": ")[1] for line in text.splitlines() if line.startswith("What could be promised")]

    assert offers
    for offer in offers:
        near = offer.removeprefix("--near-full ").rstrip(".")
        if offer.startswith("accuracy"):
            other = Terms(target=float(offer.removeprefix("accuracy>=")[:-1]), budget=terms.budget)
        elif offer.startswith("macs"):
            other = Terms(budget=float(offer.removeprefix("macs<=")[:-1]), target=terms.target)
        else:
            other = Terms(near_full=float(near))
        assert promise(POOL, CASCADE, other).kept is not None, offer


def test_terms_in_words() -> None:
    assert terms_text(Terms(near_full=0.01), POOL.axis) == "accuracy at most 1 point below the second stage's"
    assert terms_text(Terms(near_full=0.005), POOL.axis).startswith("accuracy at most 0.5 points below")
    assert (
        terms_text(Terms(target=0.92, budget=1.5e6), POOL.axis)
        == "accuracy of at least 92% and mean cost of at most 1.50 MMACs per example"
    )
    assert percent(0.9255) == "92.55%"
    assert rounded_up(0.00021) == "0.0003"
    assert rounded_up(0.02) == "0.0200"


def test_drift_is_warned_of() -> None:
    assert drift_notes(0.2) == []
    assert "p = 0.003)" in drift_notes(0.003)[0]


def test_a_refusal() -> None:
    found = refusal(POOL, CASCADE, 0.2)
    text, document = refusal_text(found, *SHOWN), refusal_document(found, *SHOWN)
    json.dumps(document, allow_nan=False)

    assert text.startswith("Promise: at most 20% of the answers given are wrong, with probability 95%")
    assert f"is above {found.guarantee.threshold!r}, with {CASCADE}" in text
    assert "Where to spend the second stage" in text
    assert document["answer_above"] == found.guarantee.threshold
    assert document["answers_all"] is False
    assert document["on_report"]["coverage"]["value"] == found.kept.coverage.value
    assert document["window"]["coverage"] == found.window.coverage
    everything = refusal_document(refusal(POOL, CASCADE, 0.9), *SHOWN)
    assert (everything["answer_above"], everything["answers_all"]) == (None, True)
    assert "Answer always" in refusal_text(refusal(POOL, CASCADE, 0.9), *SHOWN)


def test_a_risk_that_cannot_be_promised() -> None:
    single = parse_design("net3@8#0")
    found = refusal(POOL, single, 1e-4)
    text, document = refusal_text(found, *SHOWN), refusal_document(found, *SHOWN)
    json.dumps(document, allow_nan=False)

    offer = float(text.rpartition("--reject ")[2].rstrip("."))
    assert refusal(POOL, single, offer).kept is not None
    assert document["kept"] is False
    assert document["window"] is None
    assert document["possible_risk"] <= offer
    assert "Where to spend" not in text


def test_exits_of_a_chain() -> None:
    chain = parse_design("net0@8#0 -> [p>=0.5] net1@8#0 -> [p>=0.5] net3@8#0")
    found = early_exits(POOL, chain, 9_000.0)
    text, document = early_exit_text(found, *SHOWN), early_exit_document(found, *SHOWN)
    json.dumps(document, allow_nan=False)

    assert f"explorer build '{found.point.design}'" in text
    assert "stage 3 alone" in text
    assert sum(document["on_select"]["leave"]) == pytest.approx(1)
    assert document["on_select"]["cost"] <= 9_000
    assert len(document["stages_alone"]) == 3
    whole = early_exits(POOL, chain, 1_007.0)
    assert str(whole.point.design) == "net0@8#0"
    assert "2 of the stages given are idle" in early_exit_text(whole, *SHOWN)
    assert all(math.isfinite(share) for share in early_exit_document(whole, *SHOWN)["on_select"]["leave"])

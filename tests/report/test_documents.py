"""Documents for machines: their keys are a promise."""

import json

import pytest

from explorer.analysis.result import Advice, Front
from explorer.record import Cost
from explorer.report import documents
from explorer.spec import ModelSpec, parse_design


def test_front_document(front: Front) -> None:
    document = json.loads(json.dumps(documents.front_document(front), allow_nan=False))

    assert document["schema_version"] == 1
    assert document["dataset"] == "digits"
    assert document["cost"]["kind"] == "macs"
    assert document["cost"]["device"] is None
    for said, point in zip(document["points"], front.points, strict=True):
        assert parse_design(said["design"]) == point.design
        assert said["kind"] in ("single", "ensemble", "cascade", "distilled")
        assert set(said["cost"]) == {"value", "low", "high", "basis"}
        assert {"value", "low", "high", "n"} <= set(said["accuracy"])
        assert said["regret"] == pytest.approx(said["select_accuracy"] - said["accuracy"]["value"])
    assert document["searched"] == {"single": 12, "ensemble": 781, "cascade": 2_041_537}


def test_advice_document(advice: Advice) -> None:
    document = json.loads(json.dumps(documents.advice_document(advice), allow_nan=False))

    assert {
        "schema_version",
        "question",
        "answer",
        "cannot_tell",
        "runner_up",
        "what_would_change_it",
        "evidence",
    } <= set(document)
    assert document["question"] == "macs<=4000000.0"
    assert {"kind", "design", "accuracy", "cost"} <= set(document["answer"])
    assert document["cannot_tell"] is True
    assert document["evidence"]["comparisons"][0]["examples_to_tell"] == 4_137


def test_count_document() -> None:
    cost = Cost(
        macs=7,
        elementwise_ops=11,
        parameters=13,
        param_bytes=52,
        buffer_bytes=3,
        activation_peak_bytes=17,
        batch=1,
        uncounted={"fft": 2},
    )

    document = documents.count_document(ModelSpec("net", 32), cost, channels=3, classes=10)

    assert document["model"] == "net@32"
    assert document["macs"] == 7
    assert document["flops"] == 14
    assert document["uncounted"] == {"fft": 2}
    assert {"macs", "flops"} <= set(document["conventions"])


def test_verification_document() -> None:
    document = documents.verification_document(
        "a@8#0", routes=[("all", 539, 0, 2)], predicted_s=None, measured_s=0.001, passed=True
    )

    assert document["routes"] == [{"name": "all", "examples": 539, "mismatches": 0, "ties": 2}]
    assert document["latency"] == {"predicted": None, "measured": 0.001}
    assert document["passed"] is True

import json
from statistics import median

import pytest

from explorer.convention import Basis
from explorer.profile_record import ProfileRow, ScenarioRow, TailBound
from explorer.record import Conditions, CostFigure, LatencyRun
from explorer.report.profile import plan_document, plan_text, profile_document, profile_text
from explorer.workload import Workload


def measured(**changes):
    conditions = Conditions(
        device="cuda:0",
        device_name="A Card",
        dtype="bfloat16",
        batch=5,
        threads=1,
        backend="b",
        versions={"torch": "2.13.0"},
    )
    run = LatencyRun(
        subject="net@32",
        samples_s=tuple(i / 1000 for i in range(1, 102)),
        warmup_s=(),
        conditions=conditions,
        stop_reason="steady",
        observations={"clock_mhz": 1980, "reference_samples_s": (0.1, 0.2)},
    )
    tail = TailBound(
        quantile=0.99,
        value=0.100,
        low=0.095,
        high=None,
        confidence=0.99,
        early_stopping=None,
        samples_needed=662,
    )
    values = {
        "subject": "net@32",
        "workload": Workload.parse("rtx4090/b5/bf16"),
        "figure": CostFigure(value=0.05, low=0.04, high=0.06, basis=Basis.MEASURED),
        "run": run,
        "tails": {"p50": tail_of(0.05), "p90": tail_of(0.09), "p99": tail},
        "doubtful_reasons": ("throttled: power",),
        "series_medians_s": (0.05, 0.06),
    }
    return ProfileRow(**{**values, **changes})


def tail_of(value):
    return TailBound(
        quantile=0.5,
        value=value,
        low=value / 2,
        high=value * 2,
        confidence=0.99,
        early_stopping=value,
        samples_needed=7,
    )


FAILED = ProfileRow(
    subject="net@32", workload=Workload.parse("cuda/b512"), error="out of memory: 90 GiB wanted"
)
PREDICTED = ProfileRow(
    subject="net@32",
    workload=Workload.parse("tpu-v5e/b8"),
    figure=CostFigure(value=0.002, low=0.001, high=0.004, basis=Basis.COMPILED),
)


def test_a_measured_row_says_what_was_run_and_what_was_seen():
    document = profile_document([measured()])
    row = json.loads(json.dumps(document, allow_nan=False))["rows"][0]

    assert row["model"] == "net@32"
    assert (row["workload"], row["batch"], row["precision"]) == ("rtx4090/b5/bf16", 5, "bf16")
    assert (row["device"], row["device_name"], row["dtype"]) == ("cuda:0", "A Card", "bfloat16")
    assert row["latency_s"] == {"p50": 0.05, "p90": 0.09, "p99": 0.100}
    assert row["latency_bounds_s"]["p99"] == {
        "low": 0.095,
        "high": None,
        "confidence": 0.99,
        "early_stopping": None,
        "samples_needed": 662,
    }
    assert row["time_per_example_s"] == pytest.approx(0.01)
    assert row["throughput_per_s"] == pytest.approx(100)
    assert (row["basis"], row["low"], row["high"], row["samples"]) == ("measured", 0.04, 0.06, 101)
    assert row["doubtful"] is True
    assert row["doubtful_reasons"] == ["throttled: power"]
    assert row["series_spread"] == pytest.approx(0.01 / median([0.05, 0.06]))
    assert row["conditions"]["versions"] == {"torch": "2.13.0"}
    assert row["conditions"]["memory_format"] == "contiguous"
    assert row["observations"] == {"clock_mhz": 1980}
    assert row["memory_bytes"] is None
    assert row["error"] is None


def test_rows_without_a_run_or_without_a_figure_never_say_0():
    failed, predicted = profile_document([FAILED, PREDICTED])["rows"]

    assert failed["error"] == "out of memory: 90 GiB wanted"
    for name in ("latency_s", "basis", "low", "high", "throughput_per_s", "time_per_example_s", "dtype"):
        assert failed[name] is None
    assert predicted["latency_s"] == {"p50": 0.002, "p90": None, "p99": None}
    assert (predicted["basis"], predicted["throughput_per_s"]) == ("compiled", 4000)
    assert predicted["conditions"] is None
    assert set(failed) == set(predicted) == set(profile_document([measured()])["rows"][0])


def test_text_has_one_line_a_row_and_says_what_is_wrong():
    text = profile_text(
        [measured(), PREDICTED, FAILED],
        scenarios=[
            ScenarioRow(
                subject="net@32",
                scenario="server",
                workload=Workload.parse("cuda/b8"),
                unit="1/s",
                value=1234.5,
                low=1200.0,
                high=None,
                basis=Basis.COMPOSED,
                details={"p99_bound_s": 0.015},
            )
        ],
        left_out=[("net@32", Workload.parse("cuda/b64"))],
    )
    lines = text.splitlines()

    assert lines[0].split()[:4] == ["subject", "workload", "basis", "p50"]
    assert "needs 662 samples" in lines[1]
    assert "2 series within" in lines[1]
    assert lines[1].endswith("doubtful")
    assert "compiled" in lines[2]
    assert lines[2].endswith("none")
    assert "composed  1,234/s  1,200/s to unknown" in text
    assert "no figure: net@32 on cuda/b512: out of memory: 90 GiB wanted" in lines
    assert "doubtful: net@32 on rtx4090/b5/bf16: throttled: power" in lines
    assert lines[-1] == "left out for lack of time: net@32 on cuda/b64; the same command continues"


def test_many_reasons_are_cut_on_the_terminal():
    text = profile_text([measured(doubtful_reasons=tuple("abcde"))])
    assert "a; b; c; and 2 more (--json)" in text


def test_a_plan_says_how_much_how_long_and_what_not():
    one = ("net@32", Workload.parse("cuda/b64"), 90.0)
    text = plan_text([one] * 40, left_out=[one], stored=3, refused=[FAILED])
    lines = text.splitlines()

    assert lines[0] == "plan: 40 rows to time, about 1 h at most"
    assert lines[1].startswith("3 rows in the store already")
    assert "cannot be: net@32 on cuda/b512: out of memory" in lines[2]
    assert lines[-2] == "... and 10 rows more"
    assert lines[-1] == "left out for lack of time, about 1 min 30 s more: net@32 on cuda/b64"
    document = plan_document([one], left_out=[one], stored=3, refused=[FAILED])
    assert document["planned"] == [{"model": "net@32", "workload": "cuda/b64", "seconds": 90.0}]
    assert (document["seconds"], document["stored"]) == (90.0, 3)
    assert document["refused"][0]["error"] == FAILED.error

"""`explorer profile --device tpu-...`: the compiler's answer, faked, becomes a row and a stored cost."""

import json
import subprocess
import sys
import textwrap

import pytest

from explorer.convention import Basis
from explorer.run import tpu_profile as module
from explorer.store import Store
from explorer.tpu import compiling
from explorer.tpu import estimate as estimate_module
from explorer.tpu.compiling import CompileError

FACTS = {
    "cycles": 9_400_000,
    "custom_calls": 3,
    "loops": 0,
    "unknown_loops": 0,
    "flops": 101.0,
    "optimal_seconds": -2.993,
    "argument_bytes": 1009,
    "output_bytes": 13,
    "temp_bytes": 211,
    "code_bytes": 17,
    "peak_bytes": 1237,
    "lower_s": 0.5,
    "compile_s": 31.0,
    "weight_bytes": 907,
    "operations": 5,
    "content": "c",
}
KINDS = {"tpu-v3": "TPU v3", "tpu-v5e": "TPU v5 lite"}
FOUR = "mean(wrn10-0.25@8#0, wrn10-0.25@8#1, wrn10-0.25@8#2, wrn10-0.25@8#3)"
MIXED = "mean(wrn10-0.25@8#0, wrn10-0.5@8#0)"


class Compiler:
    """Answers with made-up figures, or as told."""

    def __init__(self) -> None:
        self.asked: list[dict] = []
        self.limits: list[float] = []
        self.fail: dict[int, CompileError] = {}
        self.facts = dict(FACTS)

    def __call__(self, request, *, work, limits, progress):
        self.asked.append(request)
        self.limits.append(limits.minutes)
        progress("compiling", 61.0)
        if error := self.fail.get(request["input_shape"][0]):
            raise error
        return {**self.facts, "device_kind": KINDS[request["device"]]}


@pytest.fixture
def compiler(monkeypatch, tmp_path):
    found = Compiler()
    monkeypatch.setenv("EXPLORER_TPU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(estimate_module, "missing_extra", lambda: None)
    monkeypatch.setattr(estimate_module, "compile_in_process", found)
    monkeypatch.setattr("explorer.run.progress.PLAIN_INTERVAL_S", 0.0)
    return found


def profile(explorer_here, tmp_path, *arguments):
    return explorer_here("profile", *arguments, "--store", tmp_path / "store")


def rows_of(done):
    assert done.code == 0, done.err
    return json.loads(done.out)["rows"]


def test_a_compiled_row_is_an_interval_and_a_stored_cost(explorer_here, tmp_path, compiler):
    arguments = ("wrn10-0.25@8", "--device", "tpu-v3", "--batch", 8, "--channels", 1, "--json")
    done = profile(explorer_here, tmp_path, *arguments)
    (row,) = rows_of(done)

    assert (row["model"], row["workload"]) == ("wrn10-0.25@8", "tpu-v3/b8/bf16")
    assert (row["basis"], row["samples"], row["conditions"]) == ("compiled", 0, None)
    seconds = row["latency_s"]["p50"]
    assert row["low"] < seconds < row["high"]
    assert row["latency_s"]["p90"] is None
    assert row["throughput_per_s"] == pytest.approx(8 / seconds)
    assert row["details"]["cycles"] == 9_400_000
    assert row["details"]["from_cache"] is False
    assert row["memory_bytes"] == 1237
    assert "one of the chip's 2 cores" in row["notes"]
    assert "compiling, 61 s" in done.err
    assert compiler.asked[0]["input_shape"] == [8, 1, 8, 8]
    assert compiler.asked[0]["precision"] == "bf16"
    with Store.open(tmp_path / "store") as store:
        (record,) = store.costs("latency", "tpu-v3/b8/bf16")
        assert record.figure.basis is Basis.COMPILED
        assert record.figure.value == seconds
        assert (record.samples_digest, record.conditions) == (None, None)
        assert (record.channels, record.classes, record.convention) == (1, 10, "single-stream-b8")
        assert {cost.kind for cost in store.costs()} >= {"macs", "parameters", "latency"}

    (again,) = rows_of(profile(explorer_here, tmp_path, *arguments))
    assert len(compiler.asked) == 1
    assert again["details"]["from_cache"] is True
    assert again["latency_s"] == row["latency_s"]


def test_a_generation_that_nothing_was_compared_on_says_so(explorer_here, tmp_path, compiler):
    done = profile(explorer_here, tmp_path, "wrn10-0.25@8", "--device", "tpu-v5e")

    assert "compiled" in done.out
    assert "no estimate of this generation was ever compared with a measurement" in done.out


def test_an_ensemble_of_one_architecture_is_one_program(explorer_here, tmp_path, compiler):
    rows = rows_of(profile(explorer_here, tmp_path, FOUR, MIXED, "--device", "tpu-v3", "--json"))

    assert [(row.get("design"), row["basis"]) for row in rows] == [(FOUR, "compiled"), (MIXED, None)]
    assert "one architecture, not wrn10-0.25@8, wrn10-0.5@8" in rows[1]["error"]
    (request,) = compiler.asked
    assert request["members"] == 4
    with Store.open(tmp_path / "store") as store:
        assert store.costs("latency") == ()  # a design is no model


def test_precision_and_resolutions_are_as_asked(explorer_here, tmp_path, compiler):
    rows = rows_of(
        profile(
            explorer_here,
            tmp_path,
            "wrn10-0.25",
            "--device",
            "tpu-v3",
            "--precision",
            "fp32,bf16",
            "--resolution",
            "8,12",
            "--json",
        )
    )

    assert [(row["model"], row["workload"]) for row in rows] == [
        ("wrn10-0.25@8", "tpu-v3"),
        ("wrn10-0.25@12", "tpu-v3"),
        ("wrn10-0.25@8", "tpu-v3/bf16"),
        ("wrn10-0.25@12", "tpu-v3/bf16"),
    ]
    assert (
        rows_of(profile(explorer_here, tmp_path, "wrn10-0.25@8", "--device", "tpu-v3/fp32", "--json"))[0][
            "workload"
        ]
        == "tpu-v3"
    )


def test_without_the_extra_there_is_the_bound_with_its_reason(explorer_here, tmp_path, monkeypatch):
    monkeypatch.setenv("EXPLORER_TPU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(compiling, "find_spec", lambda name: None)
    arguments = ("wrn10-0.25@8", "--device", "tpu-v3", "--batch", 8)
    (row,) = rows_of(profile(explorer_here, tmp_path, *arguments, "--json"))

    assert row["basis"] == "bound"
    assert row["low"] == row["latency_s"]["p50"] > 0
    assert row["high"] is None
    assert "scale-or-ensemble[tpu]" in row["notes"][0]
    text = profile(explorer_here, tmp_path, *arguments).out
    assert "or more" in text
    assert "only the bound by published peaks" in text
    with Store.open(tmp_path / "store") as store:
        assert store.costs("latency") == ()  # a bound is no cost to choose by
        assert store.costs("macs") != ()


def test_what_does_not_compile_is_a_row_with_the_reason(explorer_here, tmp_path, compiler):
    compiler.fail = {64: CompileError("memory", "needs 40 GiB of 16")}
    arguments = ("wrn10-0.25@8", "--device", "tpu-v3", "--batch")
    rows = rows_of(profile(explorer_here, tmp_path, *arguments, "1,64", "--json"))

    assert [row["error"] for row in rows] == [None, "needs 40 GiB of 16"]
    alone = profile(explorer_here, tmp_path, *arguments, 64)
    assert alone.code == 2
    assert "nothing could be compiled: wrn10-0.25@8: needs 40 GiB of 16" in alone.err


def test_minutes_bound_the_compiling(explorer_here, tmp_path, compiler, monkeypatch):
    left = iter([1.0, 1 / 3, -0.1, -0.2])
    monkeypatch.setattr(module, "_minutes_left", lambda question, begin: next(left))
    done = profile(
        explorer_here, tmp_path, "wrn10-0.25@8", "--device", "tpu-v3", "--batch", "1,2,3,4",
        "--minutes", 1, "--json",
    )  # fmt: skip
    document = json.loads(done.out)

    assert compiler.limits == [pytest.approx(1.0), pytest.approx(1 / 3)]
    assert [row["workload"] for row in document["rows"]] == ["tpu-v3/bf16", "tpu-v3/b2/bf16"]
    assert [row["workload"] for row in document["left_out"]] == ["tpu-v3/b3/bf16", "tpu-v3/b4/bf16"]


def test_a_plan_compiles_nothing(explorer_here, tmp_path, compiler):
    done = profile(explorer_here, tmp_path, "wrn10-0.25@8", FOUR, "--device", "tpu-v3", "--plan", "--json")
    document = json.loads(done.out)

    assert [row.get("model") or row["design"] for row in document["planned"]] == ["wrn10-0.25@8", FOUR]
    assert compiler.asked == []


def test_energy_of_a_tpu_is_bounded_by_its_power_or_unknown(explorer_here, tmp_path, compiler):
    rows = [
        rows_of(
            profile(
                explorer_here,
                tmp_path,
                "wrn10-0.25@8",
                "--device",
                device,
                "--batch",
                4,
                "--energy",
                "--json",
            )
        )[0]
        for device in ("tpu-v3", "tpu-v5e")
    ]

    for row, watts in zip(rows, (module.find_chip(d).device.tdp_w for d in KINDS), strict=True):
        if watts is None:
            assert row["energy_j"] is None
            assert "no power rating" in row["energy_reason"]
        else:
            assert row["energy_j"]["basis"] == "bound"
            assert row["energy_j"]["high"] == pytest.approx(watts * row["high"] / 4)
        assert "is not here" in row["energy_reason"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--device", "tpu-v9"), "unknown device 'tpu-v9'"),
        (("--device", "tpu-v3", "--runtime", "eager"), "a TPU runs one program by XLA, not eager"),
        (("--device", "tpu-v3/t2"), "--threads is for devices that are here"),
        (("--device", "tpu-v3", "--precision", "int8"), "compiled in bf16 or fp32, not int8"),
        (("--device", "tpu-v3", "--scenario", "offline"), "--scenario is for devices that are here"),
    ],
)
def test_what_a_tpu_does_not_have_is_refused(explorer_here, tmp_path, compiler, arguments, message):
    done = profile(explorer_here, tmp_path, "wrn10-0.25@8", *arguments)

    assert done.code == 2
    assert message in done.error_line
    assert compiler.asked == []


def test_a_second_run_imports_neither_torch_nor_the_zoo(explorer_here, tmp_path, compiler):
    arguments = ["wrn10-0.25", "--resolution", "8", "--device", "tpu-v3", "--store", str(tmp_path / "store")]
    assert explorer_here("profile", *arguments).code == 0
    program = f"""
        import sys
        from explorer.tpu import estimate
        estimate.missing_extra = lambda: None
        from explorer.cli import main
        try:
            main({["profile", *arguments]!r})
        except SystemExit as ended:
            assert not ended.code, ended.code
        assert not {{"torch", "zoo", "jax"}} & set(sys.modules)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "compiled" in done.stdout
    assert len(compiler.asked) == 1

"""From the compiler's figures to an interval, and when the compiler is not asked at all."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from explorer.convention import Basis
from explorer.errors import EnvironmentMissingError, UsageError
from explorer.tpu import estimate as module
from explorer.tpu.compiling import CompileError
from explorer.tpu.estimate import TpuRequest, corrected_roofline, estimate_from, interval, tpu_estimate
from explorer.workload import Precision

seconds = st.floats(1e-7, 10)


def test_cycles_over_the_clock_are_the_figure(request_v3: TpuRequest, facts: dict[str, Any]) -> None:
    found = estimate_from(request_v3, facts, from_cache=False)

    assert found.seconds == pytest.approx(0.01)  # 9.4 million cycles at 0.94 GHz
    assert found.roofline_s == pytest.approx(0.007)  # -2.993 s and three custom calls
    assert (found.seconds_low, found.seconds_high) == (pytest.approx(0.007), pytest.approx(0.0102))
    assert found.figure.basis is Basis.COMPILED
    assert found.per_second_and_chip == pytest.approx(2 / 0.01 * 2)
    assert found.memory.fits
    assert any("one of the chip's 2 cores" in note for note in found.notes)
    assert not any("compared" in note for note in found.notes)


def test_reading_the_weights_is_never_undercut(request_v3: TpuRequest, facts: dict[str, Any]) -> None:
    """Asynchronous copies carry no cycles; 9 GB take 20 ms through half a chip's 900 GB/s."""
    found = estimate_from(request_v3, {**facts, "weight_bytes": 9_000_000_000}, from_cache=False)

    assert found.seconds == found.seconds_low == pytest.approx(0.02)
    assert found.seconds_high > found.seconds
    assert any("reading the weights" in note for note in found.notes)


def test_a_generation_that_nothing_was_compared_on_says_so_and_is_wider(facts: dict[str, Any]) -> None:
    request = TpuRequest(model="m", input_shape=(1, 3, 5, 5), device="tpu-v6e")
    found = estimate_from(request, {**facts, "device_kind": "TPU v6 lite"}, from_cache=True)

    assert any("ever compared" in note for note in found.notes)
    assert found.seconds_high / found.seconds == pytest.approx(1.36)
    assert found.from_cache


def test_unknown_loops_leave_no_upper_end(request_v3: TpuRequest, facts: dict[str, Any]) -> None:
    found = estimate_from(request_v3, {**facts, "unknown_loops": 1}, from_cache=False)

    assert found.seconds_high == math.inf
    assert any("unknown length" in note for note in found.notes)


def test_figures_of_another_device_are_refused(request_v3: TpuRequest, facts: dict[str, Any]) -> None:
    with pytest.raises(CompileError, match="TPU v4"):
        estimate_from(request_v3, {**facts, "device_kind": "TPU v4"}, from_cache=False)


def test_a_plan_beyond_the_devices_memory_does_not_fit(request_v3: TpuRequest, facts: dict[str, Any]) -> None:
    """One v3 core has 16 GiB of its chip's 32."""
    inside = estimate_from(request_v3, {**facts, "peak_bytes": 16 * 2**30}, from_cache=False)
    beyond = estimate_from(request_v3, {**facts, "peak_bytes": 16 * 2**30 + 1}, from_cache=False)

    assert (inside.memory.fits, beyond.memory.fits) == (True, False)


@given(seconds, st.integers(0, 1000))
def test_custom_calls_are_put_back(true_s: float, calls: int) -> None:
    found = corrected_roofline(true_s - calls, calls, cycles_s=true_s)

    assert found == pytest.approx(true_s, abs=1e-9)


@pytest.mark.parametrize("optimal", [-0.5, 0.0, 5.0])
def test_what_cannot_be_a_roofline_is_left_out(optimal: float) -> None:
    assert corrected_roofline(optimal, 0, cycles_s=0.01) is None


@given(seconds, seconds, st.one_of(st.none(), seconds), st.booleans())
def test_the_interval_holds_the_figure(
    cycles_s: float, read_s: float, roofline_s: float | None, validated: bool
) -> None:
    low, high = interval(cycles_s, read_s, roofline_s, validated)

    assert read_s <= low <= max(cycles_s, read_s) <= high
    assert roofline_s is None or roofline_s <= high
    assert interval(cycles_s, read_s, roofline_s, False)[1] >= high


PUBLISHED = [
    # cycles, MHz, roofline over cycles, published seconds: devices' own figures, docs/tpu.md
    (68_238_000, 700e6, 97.5 / 96.4, 96e-3),
    (64_550_000, 940e6, 1.6, 256 / 4089.5),
]


@pytest.mark.parametrize(("cycles", "clock", "faster", "truth"), PUBLISHED)
def test_the_published_measurements_are_inside(
    cycles: int, clock: float, faster: float, truth: float
) -> None:
    low, high = interval(cycles / clock, 0.0, cycles / clock / faster, validated=True)

    assert low <= truth <= high


# ---- asking -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"device": "tpu-v9"}, "unknown device 'tpu-v9'"),
        ({"device": "rtx4090"}, "unknown TPU 'rtx4090'"),
        ({"precision": Precision.INT8}, "bf16 or fp32, not int8"),
        ({"arrangement": "parallel"}, "known: loop, stacked"),
        ({"members": 0}, "positive"),
        ({"input_shape": (0, 3, 5, 5)}, "positive"),
    ],
)
def test_what_cannot_be_compiled_is_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        TpuRequest(**{"model": "m", "input_shape": (1, 3, 5, 5), "device": "tpu-v3", **changed})


class Compiler:
    """Stands in for the process: says what it is told, and counts."""

    def __init__(self, answer: dict[str, Any] | Exception) -> None:
        self.answer, self.asked = answer, []

    def __call__(self, request: dict[str, Any], **_: object) -> dict[str, Any]:
        self.asked.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return dict(self.answer)


@pytest.fixture
def with_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "missing_extra", lambda: None)


def build() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(75, 11))


def no_build() -> nn.Module:
    raise AssertionError("the model was built though the answer is known")


@pytest.mark.usefixtures("with_extra")
def test_a_second_question_is_answered_from_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request_v3: TpuRequest, facts: dict[str, Any]
) -> None:
    compiler = Compiler(facts)
    monkeypatch.setattr(module, "compile_in_process", compiler)
    told: list[str] = []
    first = tpu_estimate(
        build, request_v3, cache_folder=tmp_path, progress=lambda stage, _: told.append(stage)
    )
    second = tpu_estimate(no_build, request_v3, cache_folder=tmp_path)

    assert (first.from_cache, second.from_cache) == (False, True)
    assert first.figure == second.figure
    assert told == ["tracing"]
    assert len(compiler.asked) == 1
    assert compiler.asked[0]["topology"] == "v3:2x2"


@pytest.mark.usefixtures("with_extra")
@pytest.mark.parametrize(
    "changed",
    [
        {"model": "other"},
        {"input_shape": (4, 3, 5, 7)},
        {"precision": Precision.FP32},
        {"members": 2},
        {"deploy": True},
    ],
)
def test_another_question_is_compiled(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    request_v3: TpuRequest,
    facts: dict[str, Any],
    changed: dict[str, Any],
) -> None:
    compiler = Compiler(facts)
    monkeypatch.setattr(module, "compile_in_process", compiler)
    fields = {name: getattr(request_v3, name) for name in TpuRequest.__dataclass_fields__}
    for request in (request_v3, TpuRequest(**{**fields, **changed})):
        tpu_estimate(build, request, cache_folder=tmp_path)

    assert len(compiler.asked) == 2


@pytest.mark.usefixtures("with_extra")
def test_other_versions_and_other_code_are_compiled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request_v3: TpuRequest, facts: dict[str, Any]
) -> None:
    compiler = Compiler(facts)
    monkeypatch.setattr(module, "compile_in_process", compiler)
    tpu_estimate(build, request_v3, cache_folder=tmp_path)
    monkeypatch.setattr(module.cache, "versions", lambda: {"libtpu": "another"})
    tpu_estimate(build, request_v3, cache_folder=tmp_path)
    monkeypatch.setattr(module.cache, "code_digest", lambda: "another")
    tpu_estimate(build, request_v3, cache_folder=tmp_path)

    assert len(compiler.asked) == 3


@pytest.mark.usefixtures("with_extra")
@pytest.mark.parametrize(("kind", "times"), [("memory", 1), ("time", 2), ("host memory", 2), ("compiler", 2)])
def test_only_a_program_too_large_for_the_device_stays_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request_v3: TpuRequest, kind: str, times: int
) -> None:
    compiler = Compiler(CompileError(kind, "the reason"))
    monkeypatch.setattr(module, "compile_in_process", compiler)
    for _ in range(2):
        with pytest.raises(CompileError, match="the reason") as caught:
            tpu_estimate(build, request_v3, cache_folder=tmp_path)
        assert caught.value.kind == kind

    assert len(compiler.asked) == times


@pytest.mark.usefixtures("with_extra")
def test_the_deploy_form_is_what_is_compiled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, facts: dict[str, Any]
) -> None:
    compiler = Compiler(facts)
    monkeypatch.setattr(module, "compile_in_process", compiler)
    model = build()
    request = TpuRequest(model="m", input_shape=(2, 3, 5, 7), device="tpu-v3", deploy=True)
    tpu_estimate(lambda: model, request, cache_folder=tmp_path)
    operators = {entry["op"] for entry in compiler.asked[0]["program"]["operations"]}

    assert "convolution.default" in operators
    assert not any("batch_norm" in name for name in operators)
    assert model[0].weight.dtype is torch.float32


def test_without_the_extra_nothing_is_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request_v3: TpuRequest
) -> None:
    monkeypatch.setattr(module, "missing_extra", lambda: "needs scale-or-ensemble[tpu]")
    with pytest.raises(EnvironmentMissingError, match="tpu"):
        tpu_estimate(no_build, request_v3, cache_folder=tmp_path)


def test_importing_the_room_imports_neither_torch_nor_jax() -> None:
    script = (
        "import sys, explorer.tpu.estimate, explorer.tpu.answer\n"
        "explorer.tpu.estimate.cache.code_digest()\n"
        "sys.exit(', '.join({'torch', 'jax', 'timm', 'zoo.registry'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr

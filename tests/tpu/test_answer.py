"""Without the compiler there is still a bound, labelled as one."""

import math
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from explorer.convention import Basis
from explorer.tpu import compiling
from explorer.tpu import estimate as module
from explorer.tpu.answer import spec_bound, tpu_latency
from explorer.tpu.estimate import TpuRequest, estimate_from
from explorer.workload import Precision


def build() -> nn.Module:
    return nn.Linear(7, 11)


def test_without_the_extra_the_answer_is_the_bound_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request_v3: TpuRequest
) -> None:
    monkeypatch.setattr(compiling, "find_spec", lambda name: None)
    found = tpu_latency(build, request_v3, macs=61.5e12 / 2, cache_folder=tmp_path)

    assert found.estimate is None
    assert found.figure.basis is Basis.BOUND
    assert found.figure.value == found.figure.low == pytest.approx(1)  # one core: half of 123 TFLOP/s
    assert found.figure.high == math.inf
    assert "scale-or-ensemble[tpu]" in found.reason


def test_with_the_extra_it_is_the_compilers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request_v3: TpuRequest, facts: dict[str, Any]
) -> None:
    monkeypatch.setattr(module, "missing_extra", lambda: None)
    monkeypatch.setattr(module, "compile_in_process", lambda request, **_: dict(facts))
    found = tpu_latency(build_images, request_v3, macs=1, cache_folder=tmp_path)

    assert found.figure.basis is Basis.COMPILED
    assert found.reason == ""
    assert found.figure == estimate_from(request_v3, facts, from_cache=False).figure


def build_images() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(105, 3))


@pytest.mark.parametrize(("precision", "size"), [(Precision.BF16, 2), (Precision.FP32, 4)])
def test_weights_and_input_are_read_once(precision: Precision, size: int) -> None:
    """Half of v3's 900 GB/s; members each have their weights, and share the input."""
    request = TpuRequest(model="m", input_shape=(13, 7), device="tpu-v3", precision=precision, members=3)

    assert spec_bound(build, request, macs=0).value == pytest.approx(size * (3 * 77 + 91) / 450e9)

"""The real compiler, on networks small enough for seconds; skipped without the extra."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from explorer.errors import UsageError
from explorer.tpu.compiling import CompileError, Limits
from explorer.tpu.estimate import TpuEstimate, TpuRequest, tpu_estimate
from explorer.workload import Precision

pytestmark = pytest.mark.slow


@pytest.fixture
def estimate(libtpu, tmp_path: Path):
    def ask(model: nn.Module, *shape: int, device: str = "tpu-v5e", **options: object) -> TpuEstimate:
        request = TpuRequest(model=f"{model}", input_shape=shape, device=device, deploy=False, **options)
        return tpu_estimate(lambda: model, request, cache_folder=tmp_path, limits=Limits(minutes=3))

    return ask


def product(size: int) -> nn.Module:
    """Return a matrix product; on meta, as its weights may be larger than this machine."""
    return nn.Linear(size, size, bias=False, device="meta")


def test_a_product_is_estimated_within_the_peak_and_known_the_second_time(estimate) -> None:
    first = estimate(product(4096), 4096, 4096)
    again = estimate(product(4096), 4096, 4096)

    assert 0.5 * 197e12 < 2 * 4096**3 / first.seconds < 197e12
    assert first.flops == pytest.approx(2 * 4096**3, rel=0.01)
    assert first.memory.argument_bytes == 2 * 2 * 4096**2
    assert first.memory.fits
    assert (first.from_cache, again.from_cache) == (False, True)
    assert again.figure == first.figure


def test_full_float32_costs_several_times_bf16(estimate) -> None:
    half = estimate(product(2048), 2048, 2048)
    full = estimate(product(2048), 2048, 2048, precision=Precision.FP32)

    assert 3 < full.seconds / half.seconds < 8


def test_an_ensemble_is_one_program(estimate) -> None:
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 900, 10))
    one = estimate(model, 8, 3, 32, 32)
    loop = estimate(model, 8, 3, 32, 32, members=3)
    stacked = estimate(model, 8, 3, 32, 32, members=3, arrangement="stacked")
    last = estimate(model, 8, 3, 32, 32, channels_last=True)

    assert 1.5 < loop.cycles / one.cycles < 4
    assert 0.7 < stacked.cycles / one.cycles < 6
    assert loop.weight_read_s == pytest.approx(3 * one.weight_read_s)
    assert 0.5 < last.cycles / one.cycles < 2


def test_what_does_not_fit_is_a_reason(estimate) -> None:
    with pytest.raises(CompileError, match="does not fit the device's memory") as caught:
        estimate(product(65536), 65536, 65536, device="tpu-v2")

    assert caught.value.kind == "memory"


class Unknown(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j0(x)


def test_an_operator_that_nobody_wrote_is_named(estimate) -> None:
    with pytest.raises(UsageError, match="special_bessel_j0"):
        estimate(Unknown(), 2, 3)

"""The modelled eager peak against what torch's allocator reports, for 25 models of different families."""

import platform
import statistics

import pytest
import torch
from torch import nn

from explorer.accounting.memory import activation_peak_bytes, eager_peak_bytes
from explorer.errors import UsageError
from explorer.measure.allocator import allocated_peak_bytes
from explorer.measure.trace import trace_model
from zoo import build, default_resolution

needs_x86 = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64") or not torch.backends.mkldnn.is_available(),
    reason="kernel workspace is modelled for oneDNN on x86",
)

MODELS = (
    *("resnet18", "resnet50", "resnext50_32x4d", "res2net50_26w_4s", "densenet121", "repvgg_a0"),
    *("efficientnet_b0", "mobilenetv3_large_100", "ghostnet_100", "regnety_032", "hrnet_w18", "inception_v3"),
    *("convnext_tiny", "nfnet_f0", "vit_small_patch16_224", "swin_tiny_patch4_window7_224", "gmlp_s16_224"),
    *("mixer_s32_224", "pvt_v2_b0", "maxvit_nano_rw_256", "levit_128s", "poolformer_s12", "mobilevit_s"),
    *("cait_xxs24_224", "coat_lite_mini"),
)


def figures(name: str, *, batch: int = 1, threads: int = 1) -> tuple[int, int, int]:
    """Return measured, eager and ideal peak in bytes."""
    side = default_resolution(f"timm:{name}", 224)
    model = build(f"timm:{name}", in_channels=3, num_classes=1000, resolution=side).eval()
    trace = trace_model(model, (batch, 3, side, side))
    torch.set_num_threads(threads)
    measured = allocated_peak_bytes(model, torch.randn(batch, 3, side, side))
    return measured, eager_peak_bytes(trace, threads=threads), activation_peak_bytes(trace)


@needs_x86
@pytest.mark.slow
def test_25_models() -> None:
    found = {name: figures(name) for name in MODELS}
    errors = {name: abs(eager / measured - 1) for name, (measured, eager, _) in found.items()}

    assert len(errors) == 25
    assert statistics.median(errors.values()) <= 0.05
    assert max(errors.values()) <= 0.20, errors
    # The bound without lifetimes and workspace misses half of HRNet, the one with them does not.
    measured, eager, ideal = found["hrnet_w18"]
    assert ideal < 0.5 * measured
    assert eager == pytest.approx(measured, rel=0.05)


@needs_x86
@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "pvt_v2_b0", "mobilenetv3_large_100"])
def test_more_examples_and_threads(name: str) -> None:
    measured, eager, _ = figures(name, batch=3, threads=2)

    assert eager == pytest.approx(measured, rel=0.05)


def test_an_elementwise_chain_is_exact() -> None:
    """Exp makes one tensor, sin a second, and the first goes: two at a time."""

    class Chain(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.exp().sin().cos()

    assert allocated_peak_bytes(Chain(), torch.randn(1, 1009)) == 2 * 4 * 1009
    assert eager_peak_bytes(trace_model(Chain(), (1, 1009))) == 2 * 4 * 1009


def test_images_elsewhere_are_refused() -> None:
    with pytest.raises(UsageError, match="these images are on meta"):
        allocated_peak_bytes(nn.ReLU(), torch.empty(1, 3, device="meta"))

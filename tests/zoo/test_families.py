import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import zoo


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def conv_macs(model: nn.Module, channels: int, side: int) -> int:
    """Count multiply-accumulates of convolutions and linear layers from the shapes that pass by."""
    total = 0

    def add(module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        nonlocal total
        weight = module.weight
        total += output.numel() * math.prod(weight.shape[1:])  # type: ignore[union-attr,arg-type]

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(add)
    model.eval()(torch.rand(1, channels, side, side))
    return total


# ---- mlp ---------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(
    hidden=st.integers(1, 67),
    layers=st.integers(1, 4),
    channels=st.integers(1, 3),
    classes=st.integers(2, 13),
    side=st.integers(1, 11),
)
def test_mlp_parameters(hidden: int, layers: int, channels: int, classes: int, side: int) -> None:
    model = zoo.build(f"mlp{hidden}x{layers}", in_channels=channels, num_classes=classes, resolution=side)
    inside = channels * side * side * hidden + (layers - 1) * hidden * hidden
    assert parameters(model) == inside + 2 * hidden * layers + hidden * classes + classes
    assert model.eval()(torch.rand(2, channels, side, side)).shape == (2, classes)


def test_mlp_says_that_it_needs_a_resolution() -> None:
    with pytest.raises(zoo.ZooError, match="mlp64x2 flattens its input, so it needs resolution=PIXELS"):
        zoo.build("mlp64x2")


# ---- mobile ------------------------------------------------------------------------------------


def test_mobile_resolution_follows_the_compound_rule() -> None:
    # gamma = 1.15 a doubling, nearest even number: 32 -> 36.8 -> 36; 32 * 1.15^2 = 42.3; 8 / 1.15 = 6.96.
    sides = [zoo.default_resolution(f"mobile-x{s}", 32) for s in ("0.25", "0.5", "1", "2", "4", "8")]
    assert sides == [24, 28, 32, 36, 42, 48]
    assert [zoo.default_resolution(f"mobile-x{s}", 8) for s in ("0.5", "1", "4")] == [6, 8, 10]
    assert zoo.default_resolution("mobile-x0.02", 4) == 4


def test_mobile_size_aims_at_macs() -> None:
    base = conv_macs(zoo.build("mobile-x1"), 3, 32)
    last = 0
    for size in (0.25, 0.5, 1, 2, 4, 8):
        side = zoo.default_resolution(f"mobile-x{size}", 32)
        macs = conv_macs(zoo.build(f"mobile-x{size}", resolution=side), 3, side)
        aimed = 1.92027 ** math.log2(size)
        assert 0.6 < macs / base / aimed < 1.5, f"mobile-x{size}: {macs / base:.2f} for {aimed:.2f}"
        assert macs > last
        last = macs


@pytest.mark.parametrize("size", [1 / 64, 0.3, 1, 5])
@pytest.mark.parametrize("side", [4, 8, 33])
def test_mobile_runs_at_any_size(size: float, side: int) -> None:
    model = zoo.build("mobile", size=size, in_channels=1, num_classes=11).eval()
    assert model(torch.rand(3, 1, side, side)).shape == (3, 11)


def test_mobile_is_depthwise_and_gated() -> None:
    block = zoo.build("mobile-x1").blocks[1]
    assert block.filter[0].groups == block.filter[0].in_channels == 64
    images = torch.randn(2, 64, 6, 6)
    gates = block.gate(images) / images
    assert torch.allclose(gates, gates.mean(dim=(2, 3), keepdim=True).expand_as(gates), atol=1e-5)
    assert 0 < float(gates.min().detach()) < float(gates.max().detach()) < 1


# ---- all ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["wrn10-0.5", "mlp13x2", "mobile-x0.5"])
def test_families_build_without_memory_and_train(name: str) -> None:
    with torch.device("meta"):
        assert all(p.is_meta for p in zoo.build(name, resolution=8).parameters())
    model = zoo.build(name, in_channels=1, resolution=8)
    model(torch.rand(7, 1, 8, 8)).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())

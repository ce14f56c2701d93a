"""Closed forms: the numbers of recounting to the last digit, or no form."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from explorer.errors import UncountedError, UsageError
from explorer.measure.symbolic import closed_form
from explorer.measure.trace import count_model
from zoo import build


def blank(name: str, resolution: int | None = None) -> nn.Module:
    with torch.device("meta"):
        return build(name, in_channels=3, num_classes=10, resolution=resolution)


def evaluated(form, **sizes: int) -> int:
    return eval(form.expression, {"__builtins__": {}}, sizes)


@pytest.mark.parametrize(
    ("name", "side", "step", "sizes"),
    [
        ("wrn10-1", 32, 4, [(7, 40, 68), (1, 128, 16)]),
        ("timm:resnet18", 224, 32, [(11, 160, 608), (1, 800, 128)]),
        ("timm:vgg11", 224, 32, [(1, 544, 224), (2, 256, 480)]),  # a 7 x 7 layer on pooled features
    ],
)
def test_equals_recounting_elsewhere(name: str, side: int, step: int, sizes) -> None:
    model = blank(name, side)

    form = closed_form(model, (1, 3, side, side))

    assert form.step == step
    assert form.variables == ("batch", "height", "width")
    for batch, height, width in sizes:
        recounted = count_model(model, (batch, 3, height, width)).macs
        assert form.at(batch=batch, height=height, width=width) == recounted
        assert evaluated(form, batch=batch, height=height, width=width) == recounted


@settings(max_examples=10, deadline=None)
@given(
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.sampled_from([1, 2, 4]),
    channels=st.sampled_from([2, 7, 11]),
    padding=st.booleans(),
)
def test_one_convolution(kernel: int, stride: int, channels: int, padding: bool) -> None:
    pad = kernel // 2 if padding else 0
    model = nn.Conv2d(3, channels, kernel, stride=stride, padding=pad)

    form = closed_form(model, (1, 3, 32, 32))

    assert form.step == stride
    for batch, height, width in ((2, 32, 36), (13, 44, 16)):
        out = [(side + 2 * pad - kernel) // stride + 1 for side in (height, width)]
        macs = batch * out[0] * out[1] * channels * 3 * kernel**2
        assert form.at(batch=batch, height=height, width=width) == macs


class Attention(nn.Module):
    """All positions of patches of 4 attend to all."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, stride=4)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        return tokens @ tokens.transpose(1, 2) @ tokens


def test_attention_is_of_degree_two_a_side() -> None:
    form = closed_form(Attention(), (1, 3, 32, 32))

    def macs(b: int, h: int, w: int) -> int:
        tokens = h // 4 * (w // 4)
        return b * (tokens * 8 * 3 * 16 + 2 * tokens**2 * 8)

    assert form.step == 4
    assert form.at(batch=3, height=28, width=52) == macs(3, 28, 52)
    assert max(powers[1] for powers in form.coefficients) == 2


class SquareOnly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 5, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] != x.shape[3]:
            raise ValueError("squares only")
        tokens = self.patch(x).flatten(2)
        return tokens.transpose(1, 2) @ tokens


def test_squares_have_one_side() -> None:
    form = closed_form(SquareOnly(), (1, 3, 32, 32))

    assert form.variables == ("batch", "side")
    assert form.at(batch=2, height=50, width=50) == 2 * (25**2 * 5 * 12 + 25**4 * 5)
    with pytest.raises(UsageError, match="no closed form"):
        form.at(batch=2, height=50, width=48)


def test_a_fixed_size_leaves_the_batch() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 5 * 7, 11))

    form = closed_form(model, (1, 3, 5, 7))

    assert form.variables == ("batch",)
    assert form.expression == f"batch*{3 * 5 * 7 * 11}"
    assert form.at(batch=13, height=5, width=7) == 13 * 3 * 5 * 7 * 11
    with pytest.raises(UsageError, match="at 5 x 7 pixels"):
        form.at(batch=13, height=7, width=5)


class Erratic(nn.Module):
    """Work that is no polynomial of the size at any step."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(x.shape[2] * 7919 % 31):
            x = self.conv(x)
        return x


def test_no_polynomial_no_form() -> None:
    with pytest.raises(UsageError, match="no closed form near 64 x 64"):
        closed_form(Erratic(), (1, 3, 64, 64))


class QuadraticInBatch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        return flat @ flat.T


def test_quadratic_in_the_batch_is_refused_not_rounded() -> None:
    with pytest.raises(UsageError, match="no closed form"):
        closed_form(QuadraticInBatch(), (1, 3, 32, 32))


def test_outside_its_validity_it_refuses() -> None:
    form = closed_form(blank("wrn10-1", 32), (1, 3, 32, 32))

    for height, width in ((33, 32), (12, 32), (32, 30)):
        with pytest.raises(UsageError, match="mod 4"):
            form.at(batch=1, height=height, width=width)


def test_elementwise_operations_have_a_form_too() -> None:
    model = blank("wrn10-1", 32)

    form = closed_form(model, (1, 3, 32, 32), quantity="elementwise_ops")

    assert form.at(batch=3, height=52, width=24) == count_model(model, (3, 3, 52, 24)).elementwise_ops


def test_reasons_are_passed_on() -> None:
    with pytest.raises(UsageError, match="does not run"):
        closed_form(nn.Conv2d(5, 5, 3), (1, 3, 32, 32))
    with pytest.raises(UsageError, match=r"\[example, channel, height, width\]"):
        closed_form(nn.Linear(3, 5), (1, 3))


def test_gaps_are_not_papered_over() -> None:
    class Unknown(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.special.bessel_j0(x)

    with pytest.raises(UncountedError, match="bessel_j0"):
        closed_form(Unknown(), (1, 3, 32, 32))

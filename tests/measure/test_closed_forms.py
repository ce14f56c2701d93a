"""Layers of drawn sizes against closed forms; sizes are drawn so that no two of a layer are equal."""

from math import prod

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from explorer.measure.trace import count_model
from tests.oracles import conv_out, transposed_conv_out

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23)
FEW = settings(max_examples=60, deadline=None)


@st.composite
def distinct(draw, n: int) -> list[int]:
    return draw(st.permutations(PRIMES))[:n]


@FEW
@given(distinct(4), st.booleans())
def test_linear(sizes: list[int], bias: bool) -> None:
    b, tokens, k, m = sizes

    cost = count_model(nn.Linear(k, m, bias=bias), (b, tokens, k), strict=True)

    assert cost.macs == b * tokens * k * m
    assert cost.elementwise_ops == b * tokens * m * bias
    assert cost.parameters == k * m + m * bias
    assert cost.activation_peak_bytes == 4 * b * tokens * m


@FEW
@given(distinct(6), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.booleans())
def test_convolution(sizes: list[int], stride: int, padding: int, dilation: int, bias: bool) -> None:
    b, c_in, c_out, kernel, *_ = sizes
    kernel = min(kernel, 5)
    h, w = sizes[4] + 9, sizes[5] + 9
    conv = nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=padding, dilation=dilation, bias=bias)

    cost = count_model(conv, (b, c_in, h, w), strict=True)

    out = prod(conv_out(n, kernel, stride=stride, padding=padding, dilation=dilation) for n in (h, w))
    assert cost.macs == b * out * c_out * c_in * kernel**2
    assert cost.elementwise_ops == b * out * c_out * bias
    assert cost.parameters == c_out * c_in * kernel**2 + c_out * bias
    assert cost.activation_peak_bytes == 4 * b * c_out * out


@FEW
@given(distinct(5), st.integers(1, 3))
def test_grouped_and_depthwise_convolution(sizes: list[int], multiplier: int) -> None:
    b, groups, per_group, h, w = sizes
    grouped = nn.Conv2d(groups * per_group, groups * multiplier, 3, padding=1, groups=groups, bias=False)
    depthwise = nn.Conv2d(groups, groups * multiplier, (3, 5), padding=(1, 2), groups=groups, bias=False)

    assert count_model(grouped, (b, groups * per_group, h, w), strict=True).macs == (
        b * h * w * groups * multiplier * per_group * 9
    )
    assert count_model(depthwise, (b, groups, h, w), strict=True).macs == b * h * w * groups * multiplier * 15


@FEW
@given(distinct(5), st.integers(1, 3), st.integers(0, 1), st.sampled_from([1, 2, 3]), st.booleans())
def test_transposed_convolution(sizes: list[int], stride: int, padding: int, groups: int, bias: bool) -> None:
    b, c_in, c_out, h, w = sizes
    c_in, c_out, kernel = c_in * groups, c_out * groups, 4
    conv = nn.ConvTranspose2d(c_in, c_out, kernel, stride=stride, padding=padding, groups=groups, bias=bias)

    cost = count_model(conv, (b, c_in, h, w), strict=True)

    out = prod(transposed_conv_out(n, kernel, stride=stride, padding=padding) for n in (h, w))
    assert cost.macs == b * c_in * h * w * (c_out // groups) * kernel**2
    assert cost.elementwise_ops == b * c_out * out * bias


@FEW
@given(distinct(4), st.sampled_from([1, 3]))
def test_convolutions_along_one_and_three_axes(sizes: list[int], axes: int) -> None:
    b, c_in, c_out, n = sizes
    kind = {1: nn.Conv1d, 3: nn.Conv3d}[axes]

    cost = count_model(kind(c_in, c_out, 3, padding=1, bias=False), (b, c_in, *(n,) * axes), strict=True)

    assert cost.macs == b * n**axes * c_out * c_in * 3**axes


def test_a_convolution_is_what_it_does_position_by_position() -> None:
    """Products of one small convolution, made one at a time, also give its result."""
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, (2, 3), stride=(2, 1), groups=2, bias=False)
    x = torch.rand(2, 4, 5, 7)
    expected, products = conv(x), 0
    got = torch.zeros_like(expected)
    for b, o, i, j in ((*index,) for index in torch.cartesian_prod(*map(torch.arange, got.shape)).tolist()):
        for c, u, v in torch.cartesian_prod(torch.arange(2), torch.arange(2), torch.arange(3)).tolist():
            got[b, o, i, j] += conv.weight[o, c, u, v].detach() * x[b, o // 3 * 2 + c, 2 * i + u, j + v]
            products += 1

    torch.testing.assert_close(got, expected)
    assert count_model(conv, (2, 4, 5, 7)).macs == products

"""Kernels' workspace against allocations read off PyTorch 2.13's profiler (float32, x86, one thread)."""

from dataclasses import replace

import pytest

from explorer.accounting.workspace import uses_onednn, workspace_bytes
from explorer.record import OpRecord


@pytest.fixture
def convolution(op):
    def make(
        images: tuple, weight: tuple, output: tuple, layout: str = "contiguous", **attributes
    ) -> OpRecord:
        plain = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "transposed": False, "groups": 1}
        record = op("convolution", [images, weight], [output], **{**plain, **attributes})
        first, *others = record.inputs
        return replace(record, inputs=(replace(first, layout=layout), *others))

    return make


# What the profiler showed inside mkldnn_convolution, in bytes: a positive number for each allocation, in
# order; the operator's own result, subtracted here, is among them.
OBSERVED = [
    # ResNet-50: stem, 3x3, strided 3x3 with a large weight
    ((1, 3, 224, 224), (64, 3, 7, 7), (1, 64, 112, 112), {"stride": (2, 2)}, 2 * 3211264 - 3211264),
    ((1, 64, 56, 56), (64, 64, 3, 3), (1, 64, 56, 56), {"padding": (1, 1)}, 802816 + 147456),
    ((1, 512, 14, 14), (512, 512, 3, 3), (1, 512, 7, 7), {"stride": (2, 2)}, 401408 + 9437184),
    # HRNet-W18: the 18 MiB weight; 18 channels padded to 32, blocks freed after the result is made
    ((1, 512, 14, 14), (1024, 512, 3, 3), (1, 1024, 7, 7), {"stride": (2, 2)}, 401408 + 18874368),
    ((1, 18, 56, 56), (18, 18, 3, 3), (1, 18, 56, 56), {}, 2 * 401408 + 36864 - 225792),
    # MobileNetV3: depthwise, 72 channels padded to 80
    ((1, 72, 56, 56), (72, 1, 3, 3), (1, 72, 56, 56), {"groups": 72}, 2 * 1003520 + 2880 - 903168),
    # ResNeXt-50, RegNetY-3.2GF: groups are not padded
    ((1, 256, 56, 56), (256, 8, 3, 3), (1, 256, 28, 28), {"groups": 32, "stride": (2, 2)}, 3211264 + 73728),
    ((1, 72, 112, 112), (72, 24, 3, 3), (1, 72, 56, 56), {"groups": 3, "stride": (2, 2)}, 3612672 + 62208),
    # ResNet-50: a strided 1x1 gathers what it reads; 128 bytes for its bookkeeping are left out
    (
        (1, 256, 56, 56),
        (512, 256, 1, 1),
        (1, 512, 28, 28),
        {"stride": (2, 2)},
        3211264 + 802816 + 524288,
    ),
    # ConvNeXt-T, channels last: the weight alone
    ((1, 96, 56, 56), (96, 1, 7, 7), (1, 96, 56, 56), {"groups": 96, "layout": "channels_last"}, 18816),
    # a pointwise convolution is a matrix product on one thread
    ((1, 64, 56, 56), (256, 64, 1, 1), (1, 256, 56, 56), {}, 0),
    # DenseNet-121: too small for oneDNN, so im2col
    ((1, 128, 7, 7), (32, 128, 3, 3), (1, 32, 7, 7), {"padding": (1, 1)}, 225792),
    # PVT-v2: neither contiguous nor channels last, so it is copied first
    (
        (1, 256, 56, 56),
        (256, 1, 3, 3),
        (1, 256, 56, 56),
        {"groups": 256, "layout": "strided"},
        2 * 3211264 + 9216,
    ),
]


@pytest.mark.parametrize(("images", "weight", "output", "attributes", "expected"), OBSERVED)
def test_convolutions_as_observed(convolution, images, weight, output, attributes, expected: int) -> None:
    assert workspace_bytes(convolution(images, weight, output, **attributes)) == expected


def test_pointwise_goes_to_onednn_with_two_threads(convolution) -> None:
    pointwise = convolution((1, 64, 56, 56), (256, 64, 1, 1), (1, 256, 56, 56))

    assert not uses_onednn(pointwise, threads=1)
    assert uses_onednn(pointwise, threads=2)
    assert workspace_bytes(pointwise, threads=2) > 0


@pytest.mark.parametrize(("side", "used"), [(143, False), (144, True)])
def test_small_inputs_do_not(convolution, side: int, used: bool) -> None:
    """1 x 1 x 143 x 143 is 20,449 elements, 144 x 144 is 20,736: the limit is 20,480."""
    assert uses_onednn(convolution((1, 1, side, side), (5, 1, 3, 3), (1, 5, side, side))) is used


@pytest.mark.parametrize(
    ("name", "layout", "copies"),
    [
        ("native_layer_norm", "strided", True),
        ("native_layer_norm", "channels_last", True),
        ("native_layer_norm", "contiguous", False),
        ("avg_pool2d", "channels_last", False),
        ("avg_pool2d", "strided", True),
        ("gelu", "strided", False),
    ],
)
def test_who_copies_its_input(op, name: str, layout: str, copies: bool) -> None:
    record = op(name, [(1, 3, 5, 7)], [(1, 3, 5, 7)])
    record = replace(record, inputs=(replace(record.inputs[0], layout=layout),))

    assert workspace_bytes(record) == (4 * 105 if copies else 0)

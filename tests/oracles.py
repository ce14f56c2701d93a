"""Independent counts: arithmetic by hand from the papers' layer tables, without any framework.

Nothing here may import torch or explorer: an oracle that shares code with what it judges is none.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counted:
    macs: int
    elementwise_ops: int
    parameters: int


def conv_out(n: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Output length of a convolution along one axis."""
    return (n + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def transposed_conv_out(n: int, kernel: int, *, stride: int = 1, padding: int = 0) -> int:
    """Output length of a transposed convolution along one axis."""
    return (n - 1) * stride - 2 * padding + kernel


def wide_resnet(
    depth: int, width: int, *, resolution: int = 32, channels: int = 3, classes: int = 10
) -> Counted:
    """WRN-d-k (arXiv 1605.07146): pre-activation blocks, no biases but the classifier's.

    Elementwise: a norm in evaluation 2 an element, a ReLU 1, a residual addition 1, global pooling 1
    an input element, the classifier's bias 1 a class.
    """
    blocks = (depth - 4) // 6
    side, c_in = resolution, 16
    macs = side * side * 16 * channels * 9
    parameters = 16 * channels * 9
    elementwise = 0
    for stage, c_out in enumerate((16 * width, 32 * width, 64 * width)):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            out = -(-side // stride)
            macs += out * out * c_out * (c_in * 9 + c_out * 9)
            parameters += c_out * (c_in * 9 + c_out * 9) + 2 * c_in + 2 * c_out
            elementwise += 3 * side * side * c_in + 3 * out * out * c_out  # two norms with ReLU
            elementwise += out * out * c_out  # the residual addition
            if stride != 1 or c_in != c_out:
                macs += out * out * c_out * c_in
                parameters += c_out * c_in
            side, c_in = out, c_out
    elementwise += 3 * side * side * c_in + side * side * c_in + classes
    return Counted(macs + c_in * classes, elementwise, parameters + 2 * c_in + c_in * classes + classes)


def resnet50_macs(resolution: int = 224, *, classes: int = 1000) -> int:
    """ResNet-50 (arXiv 1512.03385 Table 1), version 1.5: the stride sits in the 3x3 convolution."""
    side = resolution // 2
    macs = side * side * 64 * 3 * 49
    side, c_in = side // 2, 64
    for stage, (width, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for block in range(blocks):
            out = side // (2 if stage > 0 and block == 0 else 1)
            macs += side * side * c_in * width + out * out * width * width * 9 + out * out * width * 4 * width
            if block == 0:
                macs += out * out * c_in * 4 * width  # the projection shortcut
            side, c_in = out, 4 * width
    return macs + c_in * classes


def vit_macs(
    resolution: int = 224, *, patch: int = 16, dim: int = 384, layers: int = 12, classes: int = 1000
) -> int:
    """ViT (arXiv 2010.11929): ViT-S/16 by default; 4x MLP, one class token."""
    patches = (resolution // patch) ** 2
    return patches * dim * 3 * patch**2 + layers * vit_layer_macs(patches + 1, dim) + dim * classes


def vit_layer_macs(tokens: int, dim: int) -> int:
    """One encoder layer: query, key, value; scores and their product with values; projection; MLP."""
    return (
        tokens * dim * 3 * dim + vit_attention_macs(tokens, dim) + tokens * dim * dim + 8 * tokens * dim * dim
    )


def vit_attention_macs(tokens: int, dim: int) -> int:
    """The two products of attention, all heads together."""
    return 2 * tokens * tokens * dim


def efficientnet_b0_macs(*, classes: int = 1000) -> int:
    """EfficientNet-B0 at 224 pixels (arXiv 1905.11946 Table 1); squeeze-and-excite reduces to c_in / 4."""
    side, c_in = 112, 32
    macs = side * side * c_in * 3 * 9
    table = [(1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3)]
    table += [(6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)]
    for expansion, kernel, first_stride, c_out, blocks in table:
        for block in range(blocks):
            out = side // (first_stride if block == 0 else 1)
            middle = c_in * expansion
            if expansion > 1:
                macs += side * side * c_in * middle
            macs += (
                out * out * middle * kernel**2 + 2 * middle * max(1, c_in // 4) + out * out * middle * c_out
            )
            side, c_in = out, c_out
    return macs + side * side * c_in * 1280 + 1280 * classes

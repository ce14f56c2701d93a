"""What mobile sub-networks are made of: convolutions, inverted bottlenecks, heads, as values that build.

Channels are rounded to multiples of eight as in MobileNet (`round_channels`). Every module takes images
``[example, channel, height, width]``; the head returns logits ``[example, class]``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

Activation = Literal["relu", "relu6", "hard_swish", "swish", "none"]
Shortcut = Literal["none", "identity", "conv", "conv_norm"]

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hard_swish": nn.Hardswish,
    "swish": nn.SiLU,
    "none": nn.Identity,
}


def round_channels(channels: float, divisor: int = 8) -> int:
    """Return the multiple of ``divisor`` next to ``channels``, never below nine tenths of it.

    Source: MobileNetV2 (arXiv 1801.04381), as in TensorFlow's slim/nets/mobilenet/mobilenet.py.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def halved(side: int, stride: int) -> int:
    """Return the pixels a side after a convolution padded by half its odd kernel."""
    return -(-side // stride)


def conv(
    channels: int,
    out: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: str = "none",
    norm: bool = True,
) -> nn.Sequential:
    """Return a convolution padded by half its kernel, batch norm, and an activation."""
    convolution = nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out")
    layers: list[nn.Module] = [convolution]
    if norm:
        layers.append(nn.BatchNorm2d(out))
    if activation != "none":
        layers.append(_ACTIVATIONS[activation]())
    return nn.Sequential(*layers)


class SqueezeExcite(nn.Module):
    """Weights channels by what a small network makes of their means (arXiv 1709.01507, hard sigmoid)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the same shape."""
        means = images.mean(dim=(2, 3), keepdim=True)
        return images * nn.functional.hardsigmoid(self.expand(nn.functional.relu(self.reduce(means))))


class Branches(nn.Module):
    """Body plus shortcut, and what follows the sum."""

    def __init__(self, body: nn.Module, shortcut: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut, self.after = body, shortcut, after

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the block's output."""
        return self.after(self.body(images) + self.shortcut(images))


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution with norm and activation: a stem."""

    in_channels: int
    out_channels: int
    kernel: int = 3
    stride: int = 1
    activation: Activation = "relu"
    residual: bool = False
    pool: bool = False
    """Whether a 3x3 max pooling of stride 2 follows."""

    def side_out(self, side: int) -> int:
        """Return the pixels a side that go out."""
        side = halved(side, self.stride)
        return halved(side, 2) if self.pool else side

    def make(self) -> nn.Module:
        """Build it."""
        made: nn.Module = conv(
            self.in_channels, self.out_channels, self.kernel, stride=self.stride, activation=self.activation
        )
        if self.residual:
            made = Branches(made, nn.Identity(), nn.Identity())
        return nn.Sequential(made, nn.MaxPool2d(3, 2, 1)) if self.pool else made


@dataclass(frozen=True, slots=True)
class Inverted:
    """An inverted bottleneck: expansion, depthwise convolution, gate, projection (arXiv 1801.04381)."""

    in_channels: int
    middle: int
    out_channels: int
    kernel: int = 3
    stride: int = 1
    activation: Activation = "relu6"
    squeezed: int = 0
    """Channels inside the gate; 0 is no gate."""
    shortcut: Shortcut = "none"
    expands: bool = True
    """Whether there is an expansion; without one ``middle`` is ``in_channels``."""

    def side_out(self, side: int) -> int:
        """Return the pixels a side that go out."""
        return halved(side, self.stride)

    def make(self) -> nn.Module:
        """Build it."""
        middle = self.middle
        body = [conv(self.in_channels, middle, 1, activation=self.activation)] if self.expands else []
        body.append(
            conv(middle, middle, self.kernel, stride=self.stride, groups=middle, activation=self.activation)
        )
        gate = [SqueezeExcite(middle, self.squeezed)] if self.squeezed else []
        layers = nn.Sequential(*body, *gate, conv(middle, self.out_channels, 1))
        return _with_shortcut(layers, self)


@dataclass(frozen=True, slots=True)
class Fused:
    """A fused inverted bottleneck: one full convolution expands (EfficientNetV2, arXiv 2104.00298)."""

    in_channels: int
    middle: int
    out_channels: int
    kernel: int = 3
    stride: int = 1
    activation: Activation = "swish"
    shortcut: Shortcut = "none"

    def side_out(self, side: int) -> int:
        """Return the pixels a side that go out."""
        return halved(side, self.stride)

    def make(self) -> nn.Module:
        """Build it."""
        layers = nn.Sequential(
            conv(self.in_channels, self.middle, self.kernel, stride=self.stride, activation=self.activation),
            conv(self.middle, self.out_channels, 1),
        )
        return _with_shortcut(layers, self)


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """A residual bottleneck: 1x1, kernel, 1x1, then an activation after the sum (arXiv 1512.03385)."""

    in_channels: int
    middle: int
    out_channels: int
    kernel: int = 3
    stride: int = 1
    pooled: bool = True
    """Whether the shortcut averages before its convolution, as in ResNet-D (arXiv 1812.01187)."""
    projects: bool = False
    """Whether the shortcut has a convolution though shapes agree, as where widths might have differed."""

    def side_out(self, side: int) -> int:
        """Return the pixels a side that go out."""
        return halved(side, self.stride)

    def make(self) -> nn.Module:
        """Build it."""
        body = nn.Sequential(
            conv(self.in_channels, self.middle, 1, activation="relu"),
            conv(self.middle, self.middle, self.kernel, stride=self.stride, activation="relu"),
            conv(self.middle, self.out_channels, 1),
        )
        return Branches(body, self._shortcut(), nn.ReLU())

    def _shortcut(self) -> nn.Module:
        if self.stride == 1 and self.in_channels == self.out_channels and not self.projects:
            return nn.Identity()
        if not self.pooled:
            return conv(self.in_channels, self.out_channels, 1, stride=self.stride)
        pool = nn.AvgPool2d(self.stride, self.stride, ceil_mode=True)
        return nn.Sequential(pool, conv(self.in_channels, self.out_channels, 1))


def _with_shortcut(body: nn.Module, part: Inverted | Fused) -> nn.Module:
    """Return ``body`` beside the shortcut that ``part`` names."""
    channels, out, stride = part.in_channels, part.out_channels, part.stride
    if part.shortcut == "none":
        return body
    if part.shortcut == "conv_norm":
        return Branches(body, conv(channels, out, 1, stride=stride), nn.Identity())
    shortcut: list[nn.Module] = []
    if stride > 1:
        shortcut.append(nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False))
    if part.shortcut == "conv":
        shortcut.append(conv(channels, out, 1, norm=False))
    return Branches(body, nn.Sequential(*shortcut), nn.Identity())


class Classify(nn.Module):
    """Layers before the global mean, the mean, layers after it, and a linear layer."""

    def __init__(self, before: nn.Module, after: nn.Module, features: int, classes: int) -> None:
        super().__init__()
        self.before, self.after = before, after
        self.linear = nn.Linear(features, classes)
        nn.init.normal_(self.linear.weight, 0.0, 0.01)
        nn.init.zeros_(self.linear.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to logits ``[example, class]``."""
        means = self.before(images).mean(dim=(2, 3), keepdim=True)
        return self.linear(self.after(means).flatten(1))


@dataclass(frozen=True, slots=True)
class Head:
    """From the last block to logits, with a 1x1 convolution before the global mean, after it, or both."""

    in_channels: int
    before: int
    """Channels of the convolution before the mean, with norm; 0 is none."""
    after: int
    """Channels of the convolution after the mean; 0 is none."""
    classes: int
    activation: Activation = "relu6"
    after_norm: bool = False

    def side_out(self, side: int) -> int:
        """Return 1: what goes out has no height and width."""
        return 1

    def make(self) -> nn.Module:
        """Build it."""
        channels, before, after = self.in_channels, nn.Sequential(), nn.Sequential()
        if self.before:
            before = conv(channels, self.before, 1, activation=self.activation)
            channels = self.before
        if self.after:
            after = conv(channels, self.after, 1, activation=self.activation, norm=self.after_norm)
            channels = self.after
        return Classify(before, after, channels, self.classes)


def expanded(channels: int, ratio: float) -> int:
    """Return the channels inside an inverted bottleneck, rounded."""
    return round_channels(round(channels * ratio))


def squeezed(middle: int) -> int:
    """Return the channels inside a gate: a quarter of the bottleneck's, rounded."""
    return round_channels(math.floor(middle / 4))

"""Inverted residuals and what goes around them, shared by the searched mobile networks.

One block covers what the searches chose from (arXiv 1801.04381 and later work): an expansion (1x1)
that may be fused with the filter, depthwise or grouped filters of one or several kernel sizes, channel
gates (arXiv 1709.01507), a linear projection, and an identity shortcut where the shapes allow it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "silu": nn.SiLU,
    "hard_swish": nn.Hardswish,
}
GATES: Mapping[str, Callable[[], nn.Module]] = {"sigmoid": nn.Sigmoid, "hard_sigmoid": nn.Hardsigmoid}


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockPlan:
    """One inverted residual."""

    inputs: int
    outputs: int
    parts: tuple[tuple[int, int], ...]
    """``(kernel size, channels)`` of each filter; the channels sum to those inside the block."""
    stride: int = 1
    expands: bool = True
    """Whether a 1x1 convolution comes before the filters; without it, inside are the input's channels."""
    fused: bool = False
    """Whether one full convolution of the kernel's size takes the place of expansion and filter."""
    per_group: int = 1
    """Channels per group of the filters: 1 is depthwise."""
    padding: int | None = None
    """Pixels around the filter's input; None keeps the size over stride."""
    squeezed: int = 0
    """Channels inside the gates; 0 for none."""
    activation: str = "relu6"
    gate: str = "sigmoid"
    shortcut: bool = True
    """Whether the input is added where stride and channels allow it."""

    @property
    def inside(self) -> int:
        """Channels between expansion and projection."""
        return sum(channels for _kernel, channels in self.parts)


def conv_norm(
    inputs: int,
    outputs: int,
    kernel: int = 1,
    *,
    stride: int = 1,
    groups: int = 1,
    padding: int | None = None,
    activation: str = "",
) -> nn.Sequential:
    """Return convolution without bias, batch norm and, where named, the activation."""
    around = kernel // 2 if padding is None else padding
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, around, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    if activation:
        layers.append(ACTIVATIONS[activation]())
    return nn.Sequential(*layers)


class SqueezeExcite(nn.Module):
    """Channel gates from the image's mean (arXiv 1709.01507, equations 2 to 4)."""

    def __init__(
        self, channels: int, squeezed: int, *, activation: str = "relu", gate: str = "sigmoid"
    ) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.active = ACTIVATIONS[activation]()
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.gate = GATES[gate]()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return ``[example, channel, height, width]``, each channel multiplied by its gate."""
        squeezed = self.active(self.reduce(images.mean(dim=(2, 3), keepdim=True)))
        return images * self.gate(self.expand(squeezed))


class Filters(nn.Module):
    """Depthwise or grouped filters of several kernel sizes, each on its share of the channels."""

    def __init__(self, plan: BlockPlan) -> None:
        super().__init__()
        self.shares = [channels for _kernel, channels in plan.parts]
        self.parts = nn.ModuleList(
            conv_norm(
                channels,
                channels,
                kernel,
                stride=plan.stride,
                groups=divisor_below(channels, channels // plan.per_group),
                padding=plan.padding,
                activation=plan.activation,
            )
            for kernel, channels in plan.parts
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the same channels over stride."""
        if len(self.parts) == 1:
            return self.parts[0](images)
        shares = images.split(self.shares, dim=1)
        return torch.cat([part(share) for part, share in zip(self.parts, shares, strict=True)], dim=1)


class InvertedResidual(nn.Module):
    """Expand, filter, gate, project; the input is added where shapes allow."""

    def __init__(self, plan: BlockPlan) -> None:
        super().__init__()
        inside, active = plan.inside, plan.activation
        layers: list[nn.Module] = []
        if plan.fused:
            ((kernel, _channels),) = plan.parts
            layers.append(conv_norm(plan.inputs, inside, kernel, stride=plan.stride, activation=active))
        else:
            if plan.expands:
                layers.append(conv_norm(plan.inputs, inside, activation=active))
            layers.append(Filters(plan))
        if plan.squeezed:
            layers.append(SqueezeExcite(inside, plan.squeezed, activation=active, gate=plan.gate))
        layers.append(conv_norm(inside, plan.outputs))
        self.layers = nn.Sequential(*layers)
        self.residual = plan.shortcut and plan.stride == 1 and plan.inputs == plan.outputs

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the block's channels and stride."""
        outside = self.layers(images)
        return images + outside if self.residual else outside


class MobileClassifier(nn.Module):
    """Features, global average, layers on the mean where there are any, linear layer."""

    def __init__(
        self, features: Sequence[nn.Module], channels: int, num_classes: int, after: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(*features)
        self.after = after
        self.head = nn.Linear(channels, num_classes)
        initialise(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to logits ``[example, class]``."""
        mean = self.features(images).mean(dim=(2, 3), keepdim=True)
        if self.after is not None:
            mean = self.after(mean)
        return self.head(mean.flatten(1))


def initialise(network: nn.Module) -> None:
    """Draw all weights of convolutions anew, He's normal distribution by fan-out; biases become 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            # Fan-out over the group: with plain fan-out a depthwise filter would start near zero.
            fan_out = math.prod(module.kernel_size) * module.out_channels / module.groups
            nn.init.normal_(module.weight, std=math.sqrt(2.0 / fan_out))
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def divisor_below(number: int, most: int) -> int:
    """Return the greatest divisor of ``number`` that is at most ``most``, at least 1.

    >>> divisor_below(512, 4), divisor_below(120, 7)
    (4, 6)
    """
    return next(d for d in range(max(1, most), 0, -1) if number % d == 0)

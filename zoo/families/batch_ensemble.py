"""BatchEnsemble: members that differ by a rank-1 factor of every shared weight (arXiv 2002.06715).

Member m's weight is ``W * (s_m r_m^T)`` elementwise (equation 1), computed as ``(W (x * r_m)) * s_m``, so
that all members go through each layer in one call on a batch repeated once a member.
Every convolution, shortcuts and stem included, and the head have their own r, s; the head's bias is
each member's own. Entries of r and s start as +1 or -1, evenly (the paper's random sign initialisation).

Batch norms are shared, their statistics taken over all members' activations together, as in the authors'
code for wide ResNets on CIFAR (google/uncertainty-baselines, ``wide_resnet_batchensemble.py``); an older
version of their ResNet-50 kept statistics a member. r, s and the head's bias are vectors, so the trainer,
which decays weights of two axes and more, leaves them alone, as the authors do. Their halved learning
rate of r and s is left out.

Costs, against the plain network: M times its MACs and 1 elementwise operation more an input and an output
element of every layer; of parameters only the vectors are added.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from zoo.families.inner_ensemble import InnerEnsemble, InnerEnsembleConfig, make_family
from zoo.families.wide_resnet import Layers, WideResNet


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEnsembleConfig(InnerEnsembleConfig):
    """``members`` rank-1 members of WRN-``depth``-``width``."""


def random_signs(members: int, channels: int) -> nn.Parameter:
    """Return ``[member x channel]`` of +1 and -1 with equal chance."""
    signs = torch.empty(members * channels)
    signs.bernoulli_(0.5).mul_(2.0).sub_(1.0)
    return nn.Parameter(signs)


def by_member(vector: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Multiply each member's share of a batch by its vector.

    Args:
        vector: ``[member x channel]``.
        values: ``[member x example, channel, ...]``.
    """
    channels = values.shape[1]
    # In the values' precision: under autocast the vectors must not widen what a convolution gave.
    factors = vector.view(-1, 1, channels, *[1] * (values.ndim - 2)).to(values.dtype)
    return (values.unflatten(0, (len(factors), -1)) * factors).flatten(0, 1)


class RankOneConv2d(nn.Conv2d):
    """A convolution of ``[member x example, channel, height, width]``, each member with its r and s."""

    def __init__(self, members: int, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.r = random_signs(members, inputs)
        self.s = random_signs(members, outputs)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return ``[member x example, output, height, width]``."""
        return by_member(self.s, super().forward(by_member(self.r, input)))


class RankOneLinear(nn.Linear):
    """A linear layer of ``[member x example, feature]``, each member with its r, s and bias."""

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)
        self.members = members
        self.r = random_signs(members, inputs)
        self.s = random_signs(members, outputs)
        self.bias = nn.Parameter(torch.zeros(members * outputs))

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return ``[member x example, class]``."""
        product = by_member(self.s, F.linear(by_member(self.r, input), self.weight))
        biases = self.bias.view(self.members, 1, -1)
        return (product.unflatten(0, (self.members, -1)) + biases).flatten(0, 1)


class BatchEnsemble(InnerEnsemble):
    """A wide ResNet of rank-1 layers, run on the batch once a member, in one call."""

    def __init__(self, config: BatchEnsembleConfig, in_channels: int, num_classes: int) -> None:
        super().__init__(config.members)

        def conv(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Module:
            return RankOneConv2d(config.members, inputs, outputs, kernel, stride)

        layers = Layers(
            conv=conv,
            stem=conv,
            linear=lambda features, classes: RankOneLinear(config.members, features, classes),
        )
        self.net = WideResNet(config.network, in_channels, num_classes, layers)

    def _member_logits(self, images: torch.Tensor, orders: torch.Tensor | None) -> torch.Tensor:
        logits = self.net(images.repeat(self.members, 1, 1, 1))
        return logits.unflatten(0, (self.members, -1))


FAMILY = make_family(
    "batch",
    name="batch_ensemble",
    summary="members as rank-1 factors of one wide ResNet's weights (BatchEnsemble, arXiv 2002.06715)",
    example="wrn10-0.5+batch4",
    config=BatchEnsembleConfig,
    module=BatchEnsemble,
)

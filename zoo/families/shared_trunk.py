"""Shared trunk: members that branch off one network before its last group (TreeNets, arXiv 1511.06314).

Stem and the first two groups are shared; the last group, norm and head are each member's own. How many
layers a tree shares is its one setting, here the two groups of higher resolution. The gradients of all
members meet in the trunk.

Costs, against the plain network: the trunk once, the last group with norm and head M times.
"""

from dataclasses import dataclass

import torch
from torch import nn

from zoo.families.inner_ensemble import InnerEnsemble, InnerEnsembleConfig, make_family
from zoo.families.wide_resnet import (
    GROUP_CHANNELS,
    STEM_CHANNELS,
    WideResNetConfig,
    answer,
    group,
    initialise,
    plain_conv,
)

LAST = len(GROUP_CHANNELS) - 1
"""Index of the group that is each member's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedTrunkConfig(InnerEnsembleConfig):
    """``members`` branches on the first two groups of WRN-``depth``-``width``."""


class Branch(nn.Module):
    """One member's own part: last group, norm, global average, linear layer."""

    def __init__(self, config: WideResNetConfig, num_classes: int) -> None:
        super().__init__()
        self.group = group(config, LAST)
        self.norm = nn.BatchNorm2d(config.channels[LAST])
        self.head = nn.Linear(config.channels[LAST], num_classes)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map the trunk's ``[example, channel, height, width]`` to logits ``[example, class]``."""
        return answer(self.group(images), self.norm, self.head)


class SharedTrunk(InnerEnsemble):
    """Stem and two groups, then a branch a member."""

    def __init__(self, config: SharedTrunkConfig, in_channels: int, num_classes: int) -> None:
        super().__init__(config.members)
        network = config.network
        self.stem = plain_conv(in_channels, STEM_CHANNELS, 3, 1)
        self.groups = nn.Sequential(*(group(network, index) for index in range(LAST)))
        self.branches = nn.ModuleList(Branch(network, num_classes) for _ in range(config.members))
        initialise(self)

    def _member_logits(self, images: torch.Tensor, orders: torch.Tensor | None) -> torch.Tensor:
        trunk = self.groups(self.stem(images))
        return torch.stack([branch(trunk) for branch in self.branches])


FAMILY = make_family(
    "trunk",
    name="shared_trunk",
    summary="members that share a wide ResNet's first two groups (TreeNets, arXiv 1511.06314)",
    example="wrn10-0.5+trunk4",
    config=SharedTrunkConfig,
    module=SharedTrunk,
)

"""Packed-Ensembles: narrow members side by side as groups of wider convolutions (arXiv 2210.09184).

Every layer has ``alpha`` times the plain network's channels, split into as many groups as members (the
paper's gamma, groups within a member, is 1). The stem reads the one image for all members, as in the
authors' code; everything after it is separate, so member m is a wide ResNet of its own with alpha / M
times the channels. Each member's weights start as they would in that network.

Channels a member are rounded up, so that groups divide them. Costs, against the plain network and
before rounding: alpha times the stem, alpha^2 / M times the blocks in MACs and parameters, and a head of
alpha times the size: M members of ``alpha / M`` times the width cost what an ordinary ensemble of those
would; what is saved is calls.
"""

import re
from dataclasses import dataclass
from math import ceil
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from zoo.families import wide_resnet
from zoo.families.inner_ensemble import KNOBS, InnerEnsemble, InnerEnsembleConfig, member_number, read_name
from zoo.families.wide_resnet import Layers, WideResNet, initialise
from zoo.knobs import real_knob, shortest
from zoo.registry import Family

ALPHA = 2.0
"""The authors' usual width factor; names say it only where it is another."""

_ARGUMENTS = re.compile(r"(?P<members>[^a]*)a(?P<alpha>[0-9]+(?:\.[0-9]+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedConfig(InnerEnsembleConfig):
    """``members`` groups in WRN-``depth``-``width`` with ``alpha`` times its channels."""

    alpha: float = ALPHA

    def __post_init__(self) -> None:
        InnerEnsembleConfig.__post_init__(self)  # super() does not work in a class with slots
        real_knob("alpha of a packed ensemble", self.alpha, low=0.125, high=64.0)

    def channels(self, planned: int) -> int:
        """Return the channels of all members where the plain network has ``planned``."""
        return self.members * ceil(self.alpha * planned / self.members)


class PackedLinear(nn.Linear):
    """``[example, member x feature]`` to ``[example, member x class]``, each member for itself."""

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__(inputs // members, members * outputs)
        self.members = members

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return ``[example, member x class]``."""
        weight = self.weight[:, :, None]
        return F.conv1d(input[:, :, None], weight, self.bias, groups=self.members)[:, :, 0]


class Packed(InnerEnsemble):
    """A wide ResNet of grouped convolutions."""

    def __init__(self, config: PackedConfig, in_channels: int, num_classes: int) -> None:
        super().__init__(config.members)
        members = config.members

        def conv(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Module:
            padding = kernel // 2
            return nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=members, bias=False)

        layers = Layers(
            conv=conv,
            linear=lambda features, classes: PackedLinear(members, features, classes),
            channels=config.channels,
        )
        self.net = WideResNet(config.network, in_channels, num_classes, layers)
        initialise(self.net, parts=members)

    def _member_logits(self, images: torch.Tensor, orders: torch.Tensor | None) -> torch.Tensor:
        return self.net(images).unflatten(1, (self.members, -1)).transpose(0, 1)


def _parse(text: str) -> PackedConfig | None:
    read = read_name(text, "packed")
    if read is None:
        return None
    network, arguments = read
    match = _ARGUMENTS.fullmatch(arguments)
    digits, alpha = (match["members"], float(match["alpha"])) if match else (arguments, ALPHA)
    members = member_number(text, "packed", digits)
    return PackedConfig(depth=network.depth, width=network.width, members=members, alpha=alpha)


def _format(config: PackedConfig) -> str:
    alpha = "" if config.alpha == ALPHA else f"a{shortest(config.alpha)}"
    return f"{wide_resnet.FAMILY.format(config.network)}+packed{config.members}{alpha}"


def _build(config: PackedConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    return Packed(config, in_channels, num_classes)


FAMILY = Family(
    name="packed",
    summary="members as groups of one wider wide ResNet's convolutions (Packed-Ensembles, arXiv 2210.09184)",
    example="wrn10-1+packed4",
    pattern_help="wrnDEPTH-WIDTH+packedMEMBERS[aALPHA]",
    knobs={
        **KNOBS,
        "alpha": f"multiplier of the plain network's channels, {shortest(ALPHA)} where not named",
    },
    parse=_parse,
    configure=PackedConfig,
    build=_build,
    format=lambda config: _format(cast(PackedConfig, config)),
    default_resolution=lambda config, native: native,
)

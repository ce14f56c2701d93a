"""Ensembles inside one network: several members that share weights, one forward pass, one file.

Four ways, each a module of its own beside this one: `mimo`, `batch_ensemble`, `packed`, `shared_trunk`.
All are built over the wide ResNet and named after it: ``wrn10-1+mimo2`` is WRN-10-1 with two members.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from zoo.families import wide_resnet
from zoo.families.wide_resnet import WideResNetConfig
from zoo.knobs import integer_knob
from zoo.registry import Family, ZooError

METHODS: Mapping[str, str] = {
    "mimo": "+mimoM",
    "batch": "+batchM",
    "packed": "+packedM",
    "trunk": "+trunkM",
}
"""What follows the wide ResNet's name, by method, for ``M`` members."""
MOST_MEMBERS = 64

_SUFFIX = re.compile(r"(?P<method>[a-z]*)(?P<arguments>.*)", re.DOTALL)


class InnerEnsemble(nn.Module):
    """A network whose answer is the mean of its ``members``' class probabilities."""

    independent_inputs: bool = False
    """Whether each member is trained on images in an order of its own (`member_logits`)."""

    def __init__(self, members: int) -> None:
        super().__init__()
        self.members = members

    def member_logits(self, images: torch.Tensor, orders: torch.Tensor | None = None) -> torch.Tensor:
        """Return what each member says: logits ``[member, example, class]``.

        Args:
            images: ``[example, channel, height, width]``.
            orders: int64 ``[member, example]``; member m answers ``images[orders[m]]``. None gives every
                member every image in the order it came.

        Raises:
            ZooError: ``orders`` of another shape, or given although the members share their inputs.
        """
        if orders is not None:
            if not self.independent_inputs:
                raise ZooError(
                    f"members of {type(self).__name__} answer the same images; orders must be None, "
                    f"got {list(orders.shape)}"
                )
            if orders.shape != (self.members, len(images)):
                raise ZooError(
                    f"orders must be [member, example] = {[self.members, len(images)]}, "
                    f"got {list(orders.shape)}"
                )
        return self._member_logits(images, orders)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to log-probabilities ``[example, class]``.

        They are the logarithm of the members' mean probabilities. As logits they mean just that: their
        softmax is the mean.
        """
        each = torch.log_softmax(self.member_logits(images), dim=2)
        return torch.logsumexp(each, dim=0) - math.log(self.members)

    def _member_logits(self, images: torch.Tensor, orders: torch.Tensor | None) -> torch.Tensor:
        raise NotImplementedError(f"{type(self).__name__} does not say what its members answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerEnsembleConfig:
    """``members`` members inside WRN-``depth``-``width``."""

    depth: int
    """Of the wide ResNet: 6n + 4."""
    width: float
    """Multiplier of the wide ResNet's channels."""
    members: int

    def __post_init__(self) -> None:
        _ = self.network  # refuses what no wide ResNet can be
        integer_knob("members of an ensemble inside one network", self.members, low=1, high=MOST_MEMBERS)

    @property
    def network(self) -> WideResNetConfig:
        """The wide ResNet without the ensemble: what one member of an ordinary ensemble would be."""
        return WideResNetConfig(depth=self.depth, width=self.width)


KNOBS: Mapping[str, str] = {
    **wide_resnet.FAMILY.knobs,
    "members": f"members inside the network, 1 to {MOST_MEMBERS}",
}


def read_name(text: str, method: str) -> tuple[WideResNetConfig, str] | None:
    """Return the wide ResNet of ``wrnDEPTH-WIDTH+METHOD...`` and what follows the method's name.

    None when ``text`` has no ``+`` or is of another method.

    Raises:
        ZooError: what follows the ``+`` is no method, or what goes before it no wide ResNet.
    """
    before, plus, after = text.partition("+")
    found = _SUFFIX.fullmatch(after.lower())
    assert found is not None  # every text matches
    config = wide_resnet.FAMILY.parse(before) if plus else None
    if config is None:
        if plus and found["method"] == method:
            raise ZooError(
                f"{text!r}: an ensemble inside one network is built over a wide ResNet (wrnDEPTH-WIDTH), "
                f"got {before!r}"
            )
        return None
    if found["method"] not in METHODS:
        raise ZooError(
            f"{text!r}: no ensemble inside one network is written '+{after}'; there are "
            f"{', '.join(METHODS.values())} for M members, e.g. {before}+mimo2"
        )
    return (config, found["arguments"]) if found["method"] == method else None


def member_number(text: str, method: str, digits: str) -> int:
    """Return ``digits`` as a number of members.

    Raises:
        ZooError: they are not digits.
    """
    if not (digits.isascii() and digits.isdecimal()):
        raise ZooError(
            f"{text!r}: +{method} wants the number of members and no more, got {digits!r}; "
            f"e.g. {text.partition('+')[0]}+{method}2"
        )
    return int(digits)


def make_family(
    method: str,
    *,
    name: str,
    summary: str,
    example: str,
    config: type[InnerEnsembleConfig],
    module: Callable[[Any, int, int], InnerEnsemble],
) -> Family:
    """Return the family of a method whose only knob is the number of members."""

    def parse(text: str) -> InnerEnsembleConfig | None:
        read = read_name(text, method)
        if read is None:
            return None
        network, digits = read
        members = member_number(text, method, digits)
        return config(depth=network.depth, width=network.width, members=members)

    return Family(
        name=name,
        summary=summary,
        example=example,
        pattern_help=f"wrnDEPTH-WIDTH+{method}MEMBERS",
        knobs=KNOBS,
        parse=parse,
        configure=config,
        build=lambda chosen, channels, classes, resolution: module(chosen, channels, classes),
        format=lambda chosen: f"{wide_resnet.FAMILY.format(chosen.network)}+{method}{chosen.members}",
        default_resolution=lambda chosen, native: native,
    )

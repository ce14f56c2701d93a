"""IBN-Net: instance norm for some channels of the early stages (arXiv 1807.09441, Figure 3).

``a``: half of the channels after each block's first convolution, all stages but the last. ``b``: an
instance norm behind the stem and behind the last block of the first two stages. A member trained so meets
other styles of image better at no more multiply-adds; an instance norm cannot be folded into a convolution,
though.
"""

from dataclasses import dataclass

import torch
from torch import nn

from zoo.families._resnet import Idea, Parts, check_plan, family_of_idea, plain_norm
from zoo.published import Published, Status
from zoo.registry import ZooError

LAST_STAGE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class IbnResNetConfig:
    """IBN-ResNet-``depth``-``kind``."""

    depth: int = 50
    width: float = 1.0
    """Multiplier of all channels."""
    kind: str = "a"
    """``a`` or ``b``."""

    def __post_init__(self) -> None:
        check_plan("an IBN-ResNet", self.depth, self.width)
        if self.kind not in ("a", "b"):
            raise ZooError(f"kind of an IBN-ResNet must be a or b, got {self.kind!r}")


class HalfInstanceNorm(nn.Module):
    """Instance norm over the first half of the channels, batch norm over the rest."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.split = [channels // 2, channels - channels // 2]
        self.instance = nn.InstanceNorm2d(self.split[0], affine=True)
        self.batch = nn.BatchNorm2d(self.split[1])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalise ``[example, channel, height, width]``."""
        first, rest = torch.split(images, self.split, dim=1)
        return torch.cat((self.instance(first), self.batch(rest)), dim=1)


def _first_norm(channels: int, stage: int) -> nn.Module:
    return HalfInstanceNorm(channels) if stage < LAST_STAGE and channels > 1 else plain_norm(channels, stage)


def _after(channels: int, stage: int, last: bool) -> nn.Module | None:
    return nn.InstanceNorm2d(channels, affine=True) if last and stage < 2 else None


def _stem_norm(channels: int, stage: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, affine=True)


def _parts(config: IbnResNetConfig) -> Parts:
    return Parts(first_norm=_first_norm) if config.kind == "a" else Parts(stem_norm=_stem_norm, after=_after)


VARIANTS = {
    f"ibn-resnet{depth}-{kind}": IbnResNetConfig(depth=depth, kind=kind)
    for kind in ("a", "b")
    for depth in (50, 101, 152)
}
_SOURCE = "pytorchcv 0.0.74, the network's parameters counted"
PUBLISHED = tuple(
    Published(
        model=f"ibn-resnet{depth}-{kind}", resolution=224, source=_SOURCE, status=Status.DERIVED, parameters=n
    )
    for depth, kind, n in ((50, "a", 25_557_032), (101, "a", 44_549_160), (50, "b", 25_558_568))
)
FAMILY = family_of_idea(
    Idea(
        name="ibn_resnet",
        what="an IBN-ResNet",
        summary="ResNet with instance norms in its early stages (IBN-Net, arXiv 1807.09441)",
        config_class=IbnResNetConfig,
        parts=_parts,
        knobs={"kind": "a or b: where instance norms stand"},
        systems=("ibn-net",),
        variants=VARIANTS,
        published=PUBLISHED,
    )
)

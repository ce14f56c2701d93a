"""BNET: a batch norm whose affine step is a depthwise convolution (arXiv 2011.14150, section 3).

In place of the batch norm behind the 3x3 convolution of each bottleneck, or behind a basic block's first.
"""

from dataclasses import dataclass
from functools import partial

from torch import nn

from zoo.families._resnet import Idea, Parts, check_plan, family_of_idea
from zoo.knobs import integer_knob
from zoo.registry import ZooError


@dataclass(frozen=True, slots=True, kw_only=True)
class BnetResNetConfig:
    """BNET-``kernel`` ResNet."""

    depth: int = 50
    width: float = 1.0
    kernel: int = 3
    """Side of the neighbourhood: odd; 1 is an ordinary batch norm."""

    def __post_init__(self) -> None:
        check_plan("a BNET ResNet", self.depth, self.width)
        if integer_knob("kernel of a BNET ResNet", self.kernel, low=1, high=15) % 2 == 0:
            raise ZooError(f"kernel of a BNET ResNet must be odd, got {self.kernel}")


def neighbour_norm(kernel: int, channels: int, stage: int) -> nn.Module:
    """Return a batch norm without affine step and the depthwise convolution that stands in for it."""
    conv = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
    return nn.Sequential(nn.BatchNorm2d(channels, affine=False), conv)


def _parts(config: BnetResNetConfig) -> Parts:
    norm = partial(neighbour_norm, config.kernel)
    bottleneck = check_plan("a BNET ResNet", config.depth, config.width).bottleneck
    return Parts(spatial_norm=norm) if bottleneck else Parts(first_norm=norm)


VARIANTS = {
    f"bnet{kernel}-resnet{depth}": BnetResNetConfig(depth=depth, kernel=kernel)
    for depth in (50, 101)
    for kernel in (3, 5, 7)
}
FAMILY = family_of_idea(
    Idea(
        name="bnet_resnet",
        what="a BNET ResNet",
        summary="ResNet whose norms see their neighbours (BNET, arXiv 2011.14150)",
        config_class=BnetResNetConfig,
        parts=_parts,
        knobs={"kernel": "side of the neighbourhood, odd, 1 to 15"},
        systems=("bnet",),
        variants=VARIANTS,
    )
)

"""Gather-Excite: residuals gated by what a wide neighbourhood holds (arXiv 1810.12348, section 3).

``minus``: gather by averaging, no parameters. ``plain``: gather by strided depthwise convolutions (one over
the whole map where the extent is global). ``plus``: the global gather followed by two 1x1 convolutions that
halve four times and restore the channels, as in squeeze-and-excitation.
"""

import math
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from zoo.families._resnet import Idea, Parts, check_plan, family_of_idea
from zoo.knobs import integer_knob
from zoo.registry import ZooError

REDUCTION = 16
"""Channels over hidden channels of ``plus``."""
GATHERS = ("minus", "plain", "plus")


@dataclass(frozen=True, slots=True, kw_only=True)
class GeResNetConfig:
    """GE-ResNet."""

    depth: int = 50
    width: float = 1.0
    gather: str = "minus"
    """``minus``, ``plain`` or ``plus``."""
    extent: int = 0
    """Side of the neighbourhood over that of the result: 2, 4, 8; 0 is the whole map."""

    def __post_init__(self) -> None:
        check_plan("a Gather-Excite ResNet", self.depth, self.width)
        if self.gather not in GATHERS:
            raise ZooError(
                f"gather of a Gather-Excite ResNet must be {', '.join(GATHERS)}, got {self.gather!r}"
            )
        extent = integer_knob("extent of a Gather-Excite ResNet", self.extent, low=0, high=8)
        if extent not in (0, 2, 4, 8):
            raise ZooError(f"extent of a Gather-Excite ResNet must be 0 (global), 2, 4 or 8, got {extent}")
        if self.gather == "plus" and self.extent:
            raise ZooError(f"gather plus has a global extent, 0, got {self.extent}")


class Average(nn.Module):
    """Gather by averaging over windows of ``extent``, or over the whole map at 0."""

    def __init__(self, extent: int) -> None:
        super().__init__()
        self.extent = extent

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the means ``[example, channel, rows, columns]``."""
        if not self.extent:
            return images.mean(dim=(2, 3), keepdim=True)
        # windows reach over the neighbours: twice the extent minus one, without counting what is outside
        window, half = 2 * self.extent - 1, self.extent - 1
        return F.avg_pool2d(images, window, stride=self.extent, padding=half, count_include_pad=False)


class GatherExcite(nn.Module):
    """Gate a residual by what was gathered around each place."""

    def __init__(self, channels: int, side: int, config: GeResNetConfig) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        if config.gather == "minus":
            steps.append(Average(config.extent))
        elif config.extent:
            for _ in range(int(math.log2(config.extent))):
                steps += [_depthwise(channels, 3, stride=2, padding=1), nn.BatchNorm2d(channels)]
                steps.append(nn.ReLU())
            steps.pop()
        else:
            steps += [_depthwise(channels, side), nn.BatchNorm2d(channels)]
        if config.gather == "plus":
            hidden = max(1, channels // REDUCTION)
            steps += [nn.ReLU(), nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1)]
        self.gather = nn.Sequential(*steps)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Gate ``[example, channel, height, width]``."""
        gathered = self.gather(images)
        if gathered.shape[-1] > 1 or gathered.shape[-2] > 1:
            gathered = F.interpolate(gathered, size=images.shape[-2:], mode="nearest")
        return images * torch.sigmoid(gathered)


def _depthwise(channels: int, kernel: int, stride: int = 1, padding: int = 0) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel, stride=stride, padding=padding, groups=channels, bias=False)


def _context(config: GeResNetConfig, channels: int, stage: int, side: int) -> nn.Module:
    return GatherExcite(channels, side, config)


VARIANTS = {
    "ge_resnet50": GeResNetConfig(),
    "ge_resnet50-minus-e8": GeResNetConfig(extent=8),
    "ge_resnet50-plain": GeResNetConfig(gather="plain"),
    "ge_resnet50-plain-e8": GeResNetConfig(gather="plain", extent=8),
    "ge_resnet50-plus": GeResNetConfig(gather="plus"),
    "ge_resnet101": GeResNetConfig(depth=101),
    "ge_resnet101-plus": GeResNetConfig(depth=101, gather="plus"),
}
FAMILY = family_of_idea(
    Idea(
        name="ge_resnet",
        what="a Gather-Excite ResNet",
        summary="ResNet whose blocks are gated by their surroundings (Gather-Excite, arXiv 1810.12348)",
        config_class=GeResNetConfig,
        parts=lambda config: Parts(context=partial(_context, config)),
        knobs={"gather": "minus, plain or plus: what is learned", "extent": "0 (global), 2, 4 or 8"},
        systems=("gather-excite",),
        variants=VARIANTS,
    )
)

"""SPD-Conv: space to depth instead of strides and pools (arXiv 2208.03641, section 3).

As in the authors' ResNet-50: the 3x3 convolution keeps its size, its output is folded into channels, and
the 1x1 convolution behind it takes four times the channels; the stem folds the image and uses a 1x1
convolution; nothing is pooled. ``shortcut`` says whether the shortcuts stride, as there, or fold too.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from zoo.families._resnet import Plan, check_plan, plain_conv
from zoo.naming import Names
from zoo.registry import IMAGENET_CLASSES, Family, ZooError


@dataclass(frozen=True, slots=True, kw_only=True)
class SpdResNetConfig:
    """ResNet-``depth``-SPD; bottleneck depths only."""

    depth: int = 50
    width: float = 1.0
    shortcut: str = "stride"
    """``stride`` or ``fold``."""

    def __post_init__(self) -> None:
        if not check_plan("an SPD-Conv ResNet", self.depth, self.width).bottleneck:
            raise ZooError(f"depth of an SPD-Conv ResNet must be 26, 50, 101 or 152, got {self.depth}")
        if self.shortcut not in ("stride", "fold"):
            raise ZooError(f"shortcut of an SPD-Conv ResNet must be stride or fold, got {self.shortcut!r}")


class Fold(nn.Module):
    """Fold 2x2 places into channels; an odd row or column is repeated first."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to four times the channels at half the size."""
        height, width = images.shape[-2:]
        if height % 2 or width % 2:
            images = F.pad(images, (0, width % 2, 0, height % 2), mode="replicate")
        return F.pixel_unshuffle(images, 2)


class SpdBlock(nn.Module):
    """Bottleneck block that folds where the resolution halves."""

    def __init__(self, inputs: int, inner: int, outputs: int, *, halves: bool, shortcut: str) -> None:
        super().__init__()
        middle = 4 * inner if halves else inner
        self.residual = nn.Sequential(
            plain_conv(inputs, inner, 1, 1),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            plain_conv(inner, inner, 3, 1),
            *([Fold()] if halves else []),
            nn.BatchNorm2d(middle),
            nn.ReLU(),
            plain_conv(middle, outputs, 1, 1),
            nn.BatchNorm2d(outputs),
        )
        steps: list[nn.Module] = []
        if halves and shortcut == "fold":
            steps = [Fold(), plain_conv(4 * inputs, outputs, 1, 1), nn.BatchNorm2d(outputs)]
        elif halves or inputs != outputs:
            steps = [plain_conv(inputs, outputs, 1, 2 if halves else 1), nn.BatchNorm2d(outputs)]
        self.shortcut = nn.Sequential(*steps)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the stage's channels and size."""
        return F.relu(self.residual(images) + self.shortcut(images))


class SpdResNet(nn.Module):
    """Folded stem, four stages, global average, linear layer."""

    def __init__(self, config: SpdResNetConfig, in_channels: int, num_classes: int) -> None:
        super().__init__()
        plan: Plan = check_plan("an SPD-Conv ResNet", config.depth, config.width)
        first = plan.channels[0]
        self.stem = nn.Sequential(
            Fold(), plain_conv(4 * in_channels, first, 1, 1), nn.BatchNorm2d(first), nn.SiLU()
        )
        blocks, inputs = [], first
        for stage, count in enumerate(plan.blocks):
            inner, outputs = plan.channels[stage], plan.outputs[stage]
            for position in range(count):
                halves = stage > 0 and position == 0
                blocks.append(SpdBlock(inputs, inner, outputs, halves=halves, shortcut=config.shortcut))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images ``[example, channel, height, width]`` to logits ``[example, class]``."""
        return self.head(self.blocks(self.stem(images)).mean(dim=(2, 3)))


def _build(config: SpdResNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    return SpdResNet(config, in_channels, num_classes)


VARIANTS = {
    "spd-resnet50": SpdResNetConfig(),
    "spd-resnet101": SpdResNetConfig(depth=101),
    "spd-resnet152": SpdResNetConfig(depth=152),
}
NAMES = Names(prefix="spd_resnet", config_class=SpdResNetConfig, variants=VARIANTS)
FAMILY = Family(
    name="spd_resnet",
    summary="ResNet that folds space into channels instead of striding (SPD-Conv, arXiv 2208.03641)",
    example="spd-resnet50",
    pattern_help="spd-resnetDEPTH or spd_resnet-depthD-widthW-shortcut_S",
    knobs={
        "depth": "26, 50, 101 or 152",
        "width": "multiplier of all channels, 1/64 to 16",
        "shortcut": "stride, as the authors' code, or fold",
    },
    parse=NAMES.parse,
    configure=SpdResNetConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: 64 if native > 32 else native,
    near=NAMES.near,
    systems=("spd-conv",),
    variants=VARIANTS,
    classes=IMAGENET_CLASSES,
)

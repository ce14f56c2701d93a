"""Pre-activation ResNets for small images, to a thousand layers and more (arXiv 1603.05027, Table 5)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from zoo.families._resnet import EXPANSION, plain_conv
from zoo.knobs import integer_knob
from zoo.naming import Names
from zoo.published import Published, Status
from zoo.registry import SMALL_CLASSES, Family, ZooError

STEM_CHANNELS, GROUP_CHANNELS = 16, (16, 32, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreactCifarConfig:
    """Pre-activation ResNet of ``depth`` layers."""

    depth: int = 164

    def __post_init__(self) -> None:
        depth = integer_knob("depth of a pre-activation ResNet", self.depth, low=11, high=2_000)
        if (depth - 2) % 9:
            below = depth - (depth - 2) % 9
            raise ZooError(
                f"depth of a pre-activation ResNet must be 9n + 2, got {depth}; try {below} or {below + 9}"
            )


class PreactBlock(nn.Module):
    """Norm and activation before each of the three convolutions."""

    def __init__(self, inputs: int, inner: int, stride: int) -> None:
        super().__init__()
        outputs = EXPANSION * inner
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), plain_conv(inputs, inner, 1, 1)
        self.norm2, self.conv2 = nn.BatchNorm2d(inner), plain_conv(inner, inner, 3, stride)
        self.norm3, self.conv3 = nn.BatchNorm2d(inner), plain_conv(inner, outputs, 1, 1)
        changes = inputs != outputs or stride != 1
        self.shortcut = plain_conv(inputs, outputs, 1, stride) if changes else None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the group's channels and size."""
        active = F.relu(self.norm1(images))
        shortcut = images if self.shortcut is None else self.shortcut(active)
        inner = self.conv2(F.relu(self.norm2(self.conv1(active))))
        return shortcut + self.conv3(F.relu(self.norm3(inner)))


class PreactCifar(nn.Module):
    """Stem, three groups, norm, global average, linear layer."""

    def __init__(self, config: PreactCifarConfig, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.stem = plain_conv(in_channels, STEM_CHANNELS, 3, 1)
        blocks, inputs = [], STEM_CHANNELS
        for number, inner in enumerate(GROUP_CHANNELS):
            for position in range((config.depth - 2) // 9):
                blocks.append(PreactBlock(inputs, inner, 2 if number and position == 0 else 1))
                inputs = EXPANSION * inner
        self.blocks = nn.Sequential(*blocks)
        self.norm, self.head = nn.BatchNorm2d(inputs), nn.Linear(inputs, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images ``[example, channel, height, width]`` to logits ``[example, class]``."""
        return self.head(F.relu(self.norm(self.blocks(self.stem(images)))).mean(dim=(2, 3)))


def _build(
    config: PreactCifarConfig, in_channels: int, num_classes: int, resolution: int | None
) -> nn.Module:
    return PreactCifar(config, in_channels, num_classes)


VARIANTS = {f"preact_cifar-{depth}": PreactCifarConfig(depth=depth) for depth in (164, 1001)}
PUBLISHED = (
    Published(
        model="preact_cifar-1001",
        resolution=32,
        source="pytorchcv 0.0.74 preresnet1001_cifar10, the network's parameters counted",
        status=Status.DERIVED,
        parameters=10_327_706,
        dataset="cifar10",
        classes=10,
    ),
)
NAMES = Names(prefix="preact_cifar", config_class=PreactCifarConfig, variants=VARIANTS)
FAMILY = Family(
    name="preact_cifar",
    summary="pre-activation ResNet for small images, any depth (arXiv 1603.05027)",
    example="preact_cifar-164",
    pattern_help="preact_cifar-depthDEPTH, DEPTH = 9n + 2",
    knobs={"depth": "9n + 2: 11, 20, 164, 1001, to 2000"},
    parse=NAMES.parse,
    configure=PreactCifarConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: native,
    near=NAMES.near,
    systems=("pre-activation-resnet",),
    variants=VARIANTS,
    published=PUBLISHED,
    classes=SMALL_CLASSES,
)

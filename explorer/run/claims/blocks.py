"""Small networks that claims speak of and the zoo has no family for, named ``block:NAME@SIDE``.

Each is written from its published layer table; where it stands is in its docstring. They are counted and
measured like every other model.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from explorer.errors import unknown_name
from explorer.run.claims.steps import TrainingStep
from explorer.run.claims.transformers import Decoder, MultiHead2d

PREFIX = "block:"


@dataclass(frozen=True, slots=True)
class Block:
    """How a network is made, and the channels of its images."""

    make: Callable[[], nn.Module]
    channels: int = 3


def _dilated(inputs: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    """Return 3x3 convolution with bias, norm, ReLU."""
    convolution = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class NestedU(nn.Module):
    """Residual U-block of U2-Net: RSU-``height``, or RSU-4F whose layers dilate instead of pooling."""

    def __init__(self, height: int, inputs: int, inside: int, outputs: int, *, flat: bool = False) -> None:
        super().__init__()
        self.flat = flat
        dilations = [2**level for level in range(height)] if flat else [1] * (height - 1) + [2]
        self.first = _dilated(inputs, outputs)
        self.down = nn.ModuleList(
            _dilated(outputs if level == 0 else inside, inside, dilation)
            for level, dilation in enumerate(dilations)
        )
        self.up = nn.ModuleList(
            _dilated(2 * inside, outputs if level == 0 else inside, dilation if flat else 1)
            for level, dilation in enumerate(dilations[:-1])
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the block's channels at the same size."""
        start = self.first(images)
        seen = [self.down[0](start)]
        for layer in self.down[1:-1]:
            seen.append(layer(seen[-1] if self.flat else F.max_pool2d(seen[-1], 2, ceil_mode=True)))
        found = self.down[-1](seen[-1])
        for layer, beside in zip(reversed(self.up), reversed(seen), strict=True):
            if found.shape[-1] != beside.shape[-1]:
                found = F.interpolate(found, scale_factor=2.0, mode="bilinear")
            found = layer(torch.cat((found, beside), 1))
        return found + start


class U2Net(nn.Module):
    """U2-Net (arXiv 2005.09007; xuebinqin/U-2-Net, model/u2net.py): eleven U-blocks in a U.

    Args:
        inside: channels inside the six blocks on the way down.
        outputs: channels behind them.
        back: channels inside the five blocks on the way up, from the deepest.
        behind: channels behind those.
    """

    def __init__(
        self, inside: Sequence[int], outputs: Sequence[int], back: Sequence[int], behind: Sequence[int]
    ) -> None:
        super().__init__()
        heights = (7, 6, 5, 4, 4, 4)
        inputs = (3, *outputs[:-1])
        self.down = nn.ModuleList(
            NestedU(height, *channels, flat=level > 3)
            for level, (height, *channels) in enumerate(zip(heights, inputs, inside, outputs, strict=True))
        )
        below = (outputs[-1], *behind[:-1])
        joined = [one + other for one, other in zip(below, reversed(outputs[:-1]), strict=True)]
        self.up = nn.ModuleList(
            NestedU(height, *channels, flat=level == 0)
            for level, (height, *channels) in enumerate(
                zip(reversed(heights[:-1]), joined, back, behind, strict=True)
            )
        )
        sides = (*reversed(behind), outputs[-1])
        self.sides = nn.ModuleList(nn.Conv2d(channels, 1, 3, padding=1) for channels in sides)
        self.last = nn.Conv2d(6, 1, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images to one saliency map, ``[example, 1, height, width]``."""
        seen: list[torch.Tensor] = []
        found = images
        for level, block in enumerate(self.down):
            found = block(found if level == 0 else F.max_pool2d(found, 2, ceil_mode=True))
            seen.append(found)
        outcomes = [found]
        for block, beside in zip(self.up, reversed(seen[:-1]), strict=True):
            found = block(torch.cat((F.interpolate(found, scale_factor=2.0, mode="bilinear"), beside), 1))
            outcomes.insert(0, found)
        maps = [side(outcome) for side, outcome in zip(self.sides, outcomes, strict=True)]
        # the deepest outcome is at the size of the second deepest block's
        sizes = [F.interpolate(one, images.shape[-2:], mode="bilinear") for one in maps[1:]]
        return torch.sigmoid(self.last(torch.cat((maps[0], *sizes), 1)))


class Vdsr(nn.Module):
    """VDSR (arXiv 1511.04587; Lornatang/VDSR-PyTorch, model.py): twenty 3x3 convolutions of 64 channels."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, *(64,) * 19, 1)
        self.layers = nn.ModuleList(
            nn.Conv2d(one, other, 3, padding=1, bias=False) for one, other in itertools.pairwise(widths)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, 1, height, width]`` to the same size."""
        found = images
        for layer in self.layers[:-1]:
            found = F.relu(layer(found))
        return images + self.layers[-1](found)


class Xlsr(nn.Module):
    """XLSR for three times the size (arXiv 2105.10288; cxzhou95/XLSR, model.py): root modules."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 32, 3, padding=1)  # four convolutions of 8 channels, side by side
        self.beside = nn.Conv2d(3, 16, 3, padding=1)
        self.mixed = nn.Conv2d(32, 32, 1)
        self.roots = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(32, 32, 3, padding=1, groups=4), nn.ReLU(), nn.Conv2d(32, 32, 1))
                for _ in range(3)
            )
        )
        self.joined = nn.Conv2d(48, 32, 1)
        self.last = nn.Conv2d(32, 27, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, 3, height, width]`` to three times the height and width."""
        found = self.roots(self.mixed(F.relu(self.first(images))))
        found = self.last(F.relu(self.joined(torch.cat((found, self.beside(images)), 1))))
        return F.pixel_shuffle(found.clamp(0.0, 1.0), 3)


class AlexNetSmall(nn.Module):
    """AlexNet for 32 px with one classifier a task (byyx666/ArchCraft, task_il/networks/alexnet.py)."""

    def __init__(self, tasks: int = 20, classes: int = 5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 64, 4), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(64, 128, 3), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(128, 256, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
            *(nn.Linear(1024, 2048), nn.ReLU(), nn.Linear(2048, 2048), nn.ReLU()),
        )
        self.heads = nn.ModuleList(nn.Linear(2048, classes) for _ in range(tasks))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of all tasks, ``[example, task, class]``."""
        found = self.features(images)
        return torch.stack([head(found) for head in self.heads], 1)


class _Craft(nn.Module):
    """A convolution with norm and a shortcut, which projects where the channels change."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)
        )
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return F.relu(self.main(images) + self.shortcut(images))


class ArchCraft(nn.Module):
    """AlexAC and ResAC (arXiv 2404.14829; byyx666/ArchCraft, arch_craft.py of task_il and class_il).

    Args:
        depth: layers behind the first.
        width: channels of the first layer.
        pools: before which layer the size is halved; beyond the last one there is none.
        doubles: before which layer the channels are doubled.
        heads: classifiers, one a task; one classifier pools first.
        classes: of each.
    """

    def __init__(
        self, depth: int, width: int, pools: Sequence[int], doubles: Sequence[int], heads: int, classes: int
    ) -> None:
        super().__init__()
        self.pools = [pools.count(layer) for layer in range(depth)]
        first = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.first = nn.Sequential(first, nn.BatchNorm2d(width), nn.ReLU())
        widths = [width]
        for layer in range(depth):
            widths.append(widths[-1] * 2 ** doubles.count(layer))
        self.layers = nn.ModuleList(_Craft(*pair) for pair in itertools.pairwise(widths))
        side = 32 // 2 ** sum(self.pools)
        self.gathers = nn.Flatten() if heads > 1 else nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        inputs = widths[-1] * (side**2 if heads > 1 else 1)
        self.heads = nn.ModuleList(nn.Linear(inputs, classes) for _ in range(heads))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of all tasks, ``[example, task, class]``."""
        found = self.first(images)
        for layer, pools in zip(self.layers, self.pools, strict=True):
            for _ in range(pools):
                found = F.max_pool2d(found, 2)
            found = layer(found)
        found = self.gathers(found)
        return torch.stack([head(found) for head in self.heads], 1)


def _timm(name: str, num_classes: int = 1000) -> Any:
    from zoo.families.timm_bridge import declare_torchvision_ops

    declare_torchvision_ops()
    import timm

    return timm.create_model(name, num_classes=num_classes)


def _trunk() -> nn.Module:
    """Return ResNet-101 to the end of its third stage: what a Faster R-CNN computes for the whole image."""
    whole = _timm("resnet101")
    parts = (whole.conv1, whole.bn1, whole.act1, whole.maxpool, whole.layer1, whole.layer2, whole.layer3)
    return nn.Sequential(*parts)


def _region_head() -> nn.Module:
    """Return ResNet-101's last stage: what a Faster R-CNN computes for each region, 14 x 14 x 1,024."""
    return nn.Sequential(_timm("resnet101").layer4)


def _shared_attention(channels: int, heads: int, key: int, stride: int) -> nn.Module:
    """Return MobileNetV4's attention: keys and values shared by all heads (arXiv 2404.10518, 3.2; timm's)."""
    from zoo.families.timm_bridge import declare_torchvision_ops

    declare_torchvision_ops()
    from timm.layers.attention2d import MultiQueryAttention2d

    return MultiQueryAttention2d(
        channels, num_heads=heads, key_dim=key, value_dim=key, kv_stride=stride, dw_kernel_size=3
    )


def _nonlocal(kind: str) -> nn.Module:
    """Return a non-local block of 24 channels (arXiv 2004.01961)."""
    from zoo.families.autonl_blocks import nonlocal_block

    return nonlocal_block(24, kind=kind)


def _small_wide_resnet() -> nn.Module:
    from zoo import build

    return build("wrn16-1", in_channels=3, num_classes=10, resolution=32)


def _ten_classes(name: str) -> nn.Module:
    network: nn.Module = _timm(name, num_classes=10)
    return network


_U2NET = (
    (32, 32, 64, 128, 256, 256),
    (64, 128, 256, 512, 512, 512),
    (256, 128, 64, 32, 16),
    (512, 256, 128, 64, 64),
)
_U2NETP = ((16,) * 6, (64,) * 6, (16,) * 5, (64,) * 5)

BLOCKS: Mapping[str, Block] = {
    "u2net": Block(partial(U2Net, *_U2NET)),
    "u2netp": Block(partial(U2Net, *_U2NETP)),
    "vdsr": Block(Vdsr, channels=1),
    "xlsr": Block(Xlsr),
    "alexnet-20-tasks": Block(AlexNetSmall),
    "alexac-a": Block(partial(ArchCraft, 2, 40, (1, 1, 2, 2, 2), (0, 0, 0, 1, 2), 20, 5)),
    "alexac-b": Block(partial(ArchCraft, 2, 32, (1, 1, 2, 2, 2), (0, 1, 2, 2, 2), 20, 5)),
    "resac-a": Block(partial(ArchCraft, 10, 144, (3, 7, 8, 10, 10), (3, 8, 10, 10, 10), 1, 100)),
    "resac-b": Block(partial(ArchCraft, 9, 12, (4, 6, 8, 8, 9), (1, 3, 5, 8, 9), 1, 100)),
    "resnet18-cifar100": Block(partial(_timm, "resnet18", num_classes=100)),
    "faster-rcnn-trunk": Block(_trunk),
    "faster-rcnn-region": Block(_region_head, channels=1024),
    "nonlocal-24": Block(partial(_nonlocal, "plain"), channels=24),
    "light-nonlocal-24": Block(partial(_nonlocal, "light"), channels=24),
    "mqa-512": Block(partial(_shared_attention, 512, 8, 64, 1), channels=512),
    "mha-512": Block(partial(MultiHead2d, 512, 8, 64), channels=512),
    "mqa-192-strided": Block(partial(_shared_attention, 192, 8, 48, 2), channels=192),
    "mha-192": Block(partial(MultiHead2d, 192, 8, 48), channels=192),
    "decoder": Block(partial(Decoder, 8, attending=8), channels=1024),
    "decoder-half-attention": Block(partial(Decoder, 8, attending=4), channels=1024),
    "training-step": Block(partial(TrainingStep, _small_wide_resnet)),
    "adversarial-step": Block(partial(TrainingStep, _small_wide_resnet, attack="full")),
    "training-step-resnet50": Block(partial(TrainingStep, partial(_ten_classes, "resnet50"))),
    "training-step-nf-resnet50": Block(partial(TrainingStep, partial(_ten_classes, "nf_resnet50"))),
    "adversarial-step-inputs": Block(partial(TrainingStep, _small_wide_resnet, attack="inputs")),
}
"""By name."""


def find_block(name: str) -> Block:
    """Return the block of that name, the prefix left off.

    Raises:
        UsageError: there is none.
    """
    if name not in BLOCKS:
        raise unknown_name("block", name, BLOCKS)
    return BLOCKS[name]

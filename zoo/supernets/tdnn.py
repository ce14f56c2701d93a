"""Time-delay networks of EfficientTDNN (arXiv 2103.13581): speaker embeddings from 80 mel bands.

Images are ``[example, 1, mel, frame]``: 80 bands high, any number of frames wide. A block is a 1x1
convolution, a Res2Net chain of eight dilated convolutions, a 1x1 convolution and squeeze-and-excitation;
each reads the sum of all before it, and the outputs of all are brought together, pooled by attention.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from zoo.published import Published
from zoo.registry import ZooError
from zoo.supernets.rows import Row, RowSpace, part, same
from zoo.supernets.space import Choice, Piece

MELS, EMBEDDING = 80, 192
DEPTHS, KERNELS = (2, 3, 4), (1, 3, 5)
WIDTHS, AGGREGATES = tuple(range(128, 513, 8)), tuple(range(384, 1537, 8))
_SCALE, _REDUCTION, _BOTTLENECK = 8, 4, 128


def _convolve(inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> nn.Sequential:
    """Return convolution, ReLU, norm; the number of frames stays."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, padding=padding, dilation=dilation),
        nn.ReLU(),
        nn.BatchNorm1d(outputs),
    )


class First(nn.Module):
    """A convolution over frames with the mel bands as channels."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.work = _convolve(MELS, width, kernel)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, 1, mel, frame]`` to ``[example, feature, frame]``.

        Raises:
            ZooError: not one channel of 80 bands.
        """
        if images.shape[1] != 1 or images.shape[2] != MELS:
            raise ZooError(f"speech is [example, 1, {MELS} mel bands, frame], got {list(images.shape)}")
        return self.work(images[:, 0])


class Block(nn.Module):
    """Squeeze-and-excitation Res2Net block."""

    def __init__(self, width: int, middle: int, kernel: int, dilation: int) -> None:
        super().__init__()
        share = middle // _SCALE
        self.first, self.last = _convolve(width, middle), _convolve(middle, width)
        self.chain = nn.ModuleList(_convolve(share, share, kernel, dilation) for _ in range(_SCALE - 1))
        self.squeeze = nn.Linear(width, width // _REDUCTION)
        self.excite = nn.Linear(width // _REDUCTION, width)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[example, feature, frame]`` to the same shape."""
        shares = self.first(features).chunk(_SCALE, dim=1)
        done = [self.chain[0](shares[0])]
        for link, share in zip(list(self.chain)[1:], shares[1:], strict=False):
            done.append(link(share + done[-1]))
        mixed = self.last(torch.cat((*done, shares[-1]), dim=1))
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(mixed.mean(dim=2)))))
        return mixed * gate.unsqueeze(2)


class AttentivePooling(nn.Module):
    """Mean and deviation over frames, weighted by attention; norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv1d(channels, _BOTTLENECK, 1), nn.Conv1d(_BOTTLENECK, channels, 1)
        self.norm = nn.BatchNorm1d(2 * channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[example, feature, frame]`` to ``[example, 2 x feature]``."""
        weights = self.up(torch.tanh(self.down(features))).softmax(dim=2)
        mean = (weights * features).sum(dim=2)
        spread = (weights * features**2).sum(dim=2) - mean**2
        return self.norm(torch.cat((mean, spread.clamp(min=1e-9).sqrt()), dim=1))


def aggregate(inputs: int, outputs: int) -> nn.Sequential:
    """Return the 1x1 convolution of all blocks' outputs."""
    return nn.Sequential(nn.Conv1d(inputs, outputs, 1), nn.ReLU())


def head(inputs: int, outputs: int) -> nn.Sequential:
    """Return the embedding's linear layer and norm."""
    return nn.Sequential(nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs))


class Network(nn.Module):
    """First convolution, blocks that read the sum of all before, aggregation, pooling, embedding."""

    def __init__(self, first: nn.Module, blocks: list[nn.Module], last: list[nn.Module]) -> None:
        super().__init__()
        self.first, self.blocks, self.last = first, nn.ModuleList(blocks), nn.Sequential(*last)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, 1, mel, frame]`` to ``[example, class]``."""
        total = seen = self.first(images)
        outputs = []
        for block in self.blocks:
            seen = block(seen) + total
            outputs.append(seen)
            total = total + seen
        return self.last(torch.cat(outputs, dim=1))


def _network(lead: tuple[int, int], widths: tuple[int, ...], kernels: tuple[int, ...]) -> Choice:
    return lead, widths, kernels


_FOUND = {
    "base": _network((3, 1536), (512, 512, 512, 512), (5, 3, 3, 3)),
    "mobile": _network((3, 768), (384, 256, 256, 256), (5, 3, 3, 3)),
    "small": _network((2, 400), (256, 256, 256), (3, 3, 3)),
}
FRAMES = 300
"""Frames of the three seconds that costs are published for."""
PUBLISHED_MACS = {"base": 1.45e9, "mobile": 570.98e6, "small": 204.07e6}
"""Multiply-adds of 80 bands x 300 frames, from the same table as the parameters."""


@dataclass(frozen=True, kw_only=True)
class EfficientTDNN(RowSpace):
    """About 10^13 networks: depth, kernels, widths."""

    name: str = "efficienttdnn"
    summary: str = "time-delay networks for speaker recognition on 80 mel bands (arXiv 2103.13581)"
    source: str = "arXiv 2103.13581; github.com/mechanicalsea/sugar sugar/models/dynamictdnn.py"
    systems: tuple[str, ...] = ("efficienttdnn",)
    classes: int = EMBEDDING
    channels: int = 1
    frames: int = MELS
    """Images of the registry are square, so that pieces are those of 80 frames."""

    @property
    def published(self) -> Mapping[str, Choice]:
        """The three networks of the model card."""
        return {f"{self.name}.{name}": choice for name, choice in _FOUND.items()}

    @property
    def figures(self) -> tuple[Published, ...]:
        """Parameters; multiply-adds are published for 300 frames, see `PUBLISHED_MACS`."""
        return tuple(
            Published(
                model=f"{self.name}.{name}", resolution=MELS, parameters=parameters,
                parameters_rounding=rounding, channels=1, classes=EMBEDDING, dataset="voxceleb1",
                source="huggingface.co/mechanicalsea/efficient-tdnn README",
            )
            for name, parameters, rounding in (
                ("base", 5.79e6, 5e3), ("mobile", 2.42e6, 5e3), ("small", 899.20e3, 5)
            )
        )  # fmt: skip

    def rows(self, lead: tuple[Any, ...] | None) -> tuple[Row, ...]:
        """Depth and aggregate; widths and kernels of the first convolution and of each block."""
        first = Row("net", (DEPTHS, AGGREGATES))
        if lead is None:
            return (first,)
        return first, same("width", WIDTHS, lead[0] + 1), same("kernel", KERNELS, lead[0] + 1)

    def resolution(self, choice: Choice) -> int:
        """Return 80: the mel bands."""
        return MELS

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Piece, ...]:
        """First convolution, blocks, aggregation, pooling, embedding.

        Raises:
            ZooError: images of more than one channel.
        """
        if in_channels != 1:
            raise ZooError(f"{self.name} hears one channel of {MELS} mel bands, got {in_channels} channels")
        (depth, wide), widths, kernels = choice
        outer, shape = widths[0], (widths[0], self.frames)
        blocks = (
            part(Block, outer, middle, kernel, dilation, shape=shape)
            for dilation, (middle, kernel) in enumerate(zip(widths[1:], kernels[1:], strict=True), start=2)
        )
        return (
            part(First, outer, kernels[0], shape=(1, MELS, self.frames)),
            *blocks,
            part(aggregate, depth * outer, wide, shape=(depth * outer, self.frames)),
            part(AttentivePooling, wide, shape=(wide, self.frames)),
            part(head, 2 * wide, num_classes, shape=(2 * wide,)),
        )

    def build(self, choice: Choice, *, in_channels: int = 1, num_classes: int | None = None) -> nn.Module:
        """Build a sub-network: ``[example, 1, mel, frame]`` to embeddings."""
        self.check(choice)
        classes = self.classes if num_classes is None else num_classes
        made = [piece.make() for piece in self.parts(choice, in_channels, classes)]
        return Network(made[0], made[1:-3], made[-3:])


SPACES = (EfficientTDNN(),)

"""Scale-permuted networks: blocks of changing resolution, each fed by two earlier ones (arXiv 1912.05027).

What blocks and resampling are is left to the family; the wiring, the outputs that nobody else uses, and the
classifier on the mean of all output levels are here. Levels are halvings: level 3 has an eighth of the
image's side, rounded up, so that images of any size work.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import nn

from zoo.families._mobile_blocks import conv_norm, initialise

OUTPUT_LEVELS = (3, 4, 5, 6, 7)


@dataclass(frozen=True, slots=True)
class Node:
    """One block of the graph; parents count the stem's two blocks first."""

    level: int
    kind: str
    parents: tuple[int, int]
    output: bool = False


@dataclass(frozen=True, slots=True)
class Feature:
    """What a block gives."""

    level: int
    kind: str
    channels: int


class Parts(Protocol):
    """What a family builds its graph from."""

    @abstractmethod
    def feature(self, node: Node) -> Feature:
        """Return what ``node`` gives."""

    @abstractmethod
    def resample(self, source: Feature, target: Feature) -> nn.Module:
        """Return layers that bring channels, and the size where it shrinks, to the target's."""

    @abstractmethod
    def block(self, target: Feature) -> nn.Module:
        """Return the block, from the target's shape to the target's shape."""


def idle_parents(nodes: Sequence[Node], features: Sequence[Feature]) -> list[tuple[int, ...]]:
    """Return for each node the earlier blocks of its shape that no block used; outputs take these in too.

    Args:
        nodes: the graph in order.
        features: those of the stem's blocks and of all nodes.
    """
    stems = len(features) - len(nodes)
    uses = [0] * len(features)
    found = []
    for index, node in enumerate(nodes):
        for parent in node.parents:
            uses[parent] += 1
        target = features[stems + index]
        idle: list[int] = []
        if node.output:
            for other in range(stems + index):
                same = (features[other].level, features[other].channels) == (target.level, target.channels)
                if uses[other] == 0 and same:
                    idle.append(other)
                    uses[other] += 1
        found.append(tuple(idle))
    return found


class ScalePermuted(nn.Module):
    """The graph after the stem: resampled parents are added, activated and go through the block."""

    def __init__(
        self,
        nodes: Sequence[Node],
        stems: Sequence[Feature],
        parts: Parts,
        activation: Callable[[], nn.Module],
    ) -> None:
        super().__init__()
        self.nodes = tuple(nodes)
        features = [*stems, *(parts.feature(node) for node in nodes)]
        self.idle = idle_parents(nodes, features)
        self.features = tuple(features)
        self.resamples, self.blocks = nn.ModuleList(), nn.ModuleList()
        for index, node in enumerate(nodes):
            target = features[len(stems) + index]
            self.resamples.extend(parts.resample(features[parent], target) for parent in node.parents)
            self.blocks.append(parts.block(target))
        self.active = activation()

    def forward(self, stems: Sequence[torch.Tensor], height: int, width: int) -> dict[int, torch.Tensor]:
        """Map the stem's ``[example, channel, height, width]`` to the outputs by level.

        Args:
            stems: what the stem's blocks gave.
            height: of the image, in pixels.
            width: likewise.
        """
        made = list(stems)
        outputs = {}
        for index, node in enumerate(self.nodes):
            size = (sized(height, node.level), sized(width, node.level))
            total = self._resampled(2 * index, made[node.parents[0]], size)
            total = total + self._resampled(2 * index + 1, made[node.parents[1]], size)
            for other in self.idle[index]:
                total = total + made[other]
            made.append(self.blocks[index](self.active(total)))
            if node.output:
                outputs[node.level] = made[-1]
        return outputs

    def _resampled(self, index: int, images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        brought = self.resamples[index](images)
        return brought if tuple(brought.shape[2:]) == size else F.interpolate(brought, size=size)


class PyramidClassifier(nn.Module):
    """Endpoints of one width, nearest-neighbour upsampled, averaged over levels and pixels; linear layer.

    As the authors' repository does it: tensorflow/tpu, models/official/detection, classification head,
    aggregation "all".
    """

    def __init__(
        self,
        stem: Sequence[nn.Module],
        graph: ScalePermuted,
        channels: int,
        num_classes: int,
        activation: str,
    ) -> None:
        super().__init__()
        self.stem = nn.ModuleList(stem)
        self.permuted = graph
        at: Mapping[int, int] = {
            feature.level: feature.channels
            for node, feature in zip(graph.nodes, graph.features[-len(graph.nodes) :], strict=True)
            if node.output
        }
        self.endpoints = nn.ModuleList(
            conv_norm(at[level], channels, activation=activation) for level in OUTPUT_LEVELS
        )
        self.head = nn.Linear(channels, num_classes)
        initialise(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to logits ``[example, class]``."""
        height, width = int(images.shape[2]), int(images.shape[3])
        stems, flow = [], images
        for index, layer in enumerate(self.stem):
            flow = layer(flow)
            if index:
                stems.append(flow)
        outputs = self.permuted(stems, height, width)
        levels = [endpoint(outputs[lv]) for endpoint, lv in zip(self.endpoints, OUTPUT_LEVELS, strict=True)]
        total = levels[-1]
        for level in reversed(levels[:-1]):
            total = F.interpolate(total, size=level.shape[2:]) + level
        return self.head((total / len(levels)).mean(dim=(2, 3)))


def sized(side: int, level: int) -> int:
    """Return the pixels a side at ``level``: halved that often, rounded up."""
    return -(-side // 2**level)

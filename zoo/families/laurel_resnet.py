"""LAuReL: a learned residual connection in place of the plain sum (arXiv 2411.07501, section 2).

A block joins as ``alpha * f(x) + g(x)``: ``weights`` learns one scalar for each side, ``rank`` adds a
low-rank map of the shortcut, ``previous`` adds weighted outputs of so many earlier blocks of the stage.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from zoo.families._resnet import Idea, Parts, check_plan, family_of_idea
from zoo.knobs import integer_knob
from zoo.registry import ZooError


@dataclass(frozen=True, slots=True, kw_only=True)
class LaurelResNetConfig:
    """ResNet with LAuReL joins."""

    depth: int = 50
    width: float = 1.0
    weights: bool = True
    """Learn a scalar for the residual and one for the shortcut."""
    rank: int = 0
    """Of the low-rank map; 0 for none."""
    previous: int = 0
    """Earlier blocks of the stage that are added."""

    def __post_init__(self) -> None:
        check_plan("a LAuReL ResNet", self.depth, self.width)
        integer_knob("rank of a LAuReL ResNet", self.rank, low=0, high=2048)
        integer_knob("previous blocks of a LAuReL ResNet", self.previous, low=0, high=35)
        if not (self.weights or self.rank or self.previous):
            raise ZooError("a LAuReL ResNet needs weights, a rank or previous blocks; without it is a ResNet")


class LearnedJoin(nn.Module):
    """Join residual and shortcut by what is learned."""

    def __init__(self, channels: int, position: int, config: LaurelResNetConfig) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(2)) if config.weights else None
        self.down = nn.Conv2d(channels, config.rank, 1, bias=False) if config.rank else None
        self.up = nn.Conv2d(config.rank, channels, 1, bias=False) if config.rank else None
        # the newest earlier output is the shortcut itself; those before it count
        count = min(config.previous, max(0, position - 1))
        self.gamma = nn.Parameter(torch.zeros(count)) if count else None

    def forward(
        self, shortcut: torch.Tensor, residual: torch.Tensor, earlier: list[torch.Tensor]
    ) -> torch.Tensor:
        """Return the joined ``[example, channel, height, width]``."""
        weights = (1.0, 1.0) if self.alpha is None else (self.alpha[0], self.alpha[1])
        joined = weights[0] * residual + weights[1] * shortcut
        if self.down is not None and self.up is not None:
            joined = joined + self.up(self.down(shortcut))
        if self.gamma is not None:
            for index in range(len(self.gamma)):
                joined = joined + self.gamma[index] * earlier[-2 - index]
        return joined


def _join(config: LaurelResNetConfig, channels: int, position: int) -> nn.Module:
    return LearnedJoin(channels, position, config)


VARIANTS = {
    "laurel_resnet50-rw": LaurelResNetConfig(),
    "laurel_resnet50-rw-lr": LaurelResNetConfig(rank=16),
    "laurel_resnet50-rw-lr-pa": LaurelResNetConfig(rank=16, previous=2),
}
FAMILY = family_of_idea(
    Idea(
        name="laurel_resnet",
        what="a LAuReL ResNet",
        summary="ResNet with learned residual connections (LAuReL, arXiv 2411.07501)",
        config_class=LaurelResNetConfig,
        parts=lambda config: Parts(join=partial(_join, config)),
        knobs={
            "weights": "1 or 0: a scalar each for residual and shortcut",
            "rank": "of the low-rank map, 0 to 2048",
            "previous": "earlier blocks added, 0 to 35",
        },
        systems=("laurel",),
        variants=VARIANTS,
    )
)

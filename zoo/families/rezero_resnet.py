"""ReZero: each residual times one learned number that starts at zero (arXiv 2003.04887, equation 1)."""

from dataclasses import dataclass

import torch
from torch import nn

from zoo.families._resnet import Idea, Parts, check_plan, family_of_idea


@dataclass(frozen=True, slots=True, kw_only=True)
class ReZeroResNetConfig:
    """ResNet with ReZero joins."""

    depth: int = 50
    width: float = 1.0

    def __post_init__(self) -> None:
        check_plan("a ReZero ResNet", self.depth, self.width)


class Gated(nn.Module):
    """Add the residual times one learned number."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(()))

    def forward(
        self, shortcut: torch.Tensor, residual: torch.Tensor, earlier: list[torch.Tensor]
    ) -> torch.Tensor:
        """Return the joined ``[example, channel, height, width]``."""
        return shortcut + self.alpha * residual


VARIANTS = {f"rezero_resnet{depth}": ReZeroResNetConfig(depth=depth) for depth in (50, 18, 34, 101, 152)}
FAMILY = family_of_idea(
    Idea(
        name="rezero_resnet",
        what="a ReZero ResNet",
        summary="ResNet whose residuals start at zero (ReZero, arXiv 2003.04887)",
        config_class=ReZeroResNetConfig,
        parts=lambda config: Parts(join=lambda channels, position: Gated()),
        knobs={},
        systems=("rezero",),
        variants=VARIANTS,
    )
)

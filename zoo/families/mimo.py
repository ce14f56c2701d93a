"""MIMO: one wide ResNet with several inputs and several heads (arXiv 2010.06610).

The members' images are stacked on the channel axis before the stem, and the head gives every member
logits of its own; between the two nothing tells members apart: they are subnetworks that training finds
within one network. In training each member sees a batch in an order of its own and answers for its own
images; to answer, the same image is stacked as many times as there are members (Figure 1). Images and
batches are not repeated in training: the paper's extra settings for that are left out.

Costs, against the plain network: M times the stem and M times the head; the blocks are as they were.
"""

from dataclasses import dataclass

import torch

from zoo.families.inner_ensemble import InnerEnsemble, InnerEnsembleConfig, make_family
from zoo.families.wide_resnet import WideResNet


@dataclass(frozen=True, slots=True, kw_only=True)
class MimoConfig(InnerEnsembleConfig):
    """WRN-``depth``-``width`` with ``members`` inputs and heads."""


class Mimo(InnerEnsemble):
    """A wide ResNet from ``member x channel`` inputs to ``member x class`` logits."""

    independent_inputs = True

    def __init__(self, config: MimoConfig, in_channels: int, num_classes: int) -> None:
        super().__init__(config.members)
        self.net = WideResNet(config.network, config.members * in_channels, config.members * num_classes)

    def _member_logits(self, images: torch.Tensor, orders: torch.Tensor | None) -> torch.Tensor:
        each = [images] * self.members if orders is None else [images[order] for order in orders]
        logits = self.net(torch.cat(each, dim=1))
        return logits.unflatten(1, (self.members, -1)).transpose(0, 1)


FAMILY = make_family(
    "mimo",
    name="mimo",
    summary="members as inputs and heads of one wide ResNet (MIMO, arXiv 2010.06610)",
    example="wrn10-1+mimo2",
    config=MimoConfig,
    module=Mimo,
)

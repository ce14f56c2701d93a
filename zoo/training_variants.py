"""What a recipe's variant changes in a training: what learns, is dropped or mixed, how it steps."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from zoo.determinism import stream_seed
from zoo.families.wide_resnet import Block
from zoo.recipes import Recipe
from zoo.registry import ZooError

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
"""Layers whose scales and shifts learn where only norms do."""
DROP_BLOCKS = ((5, 0.25), (3, 1.0))
"""For the last two groups of a wide ResNet: side of a dropped square in features, and by how much its
share is scaled; as timm drops behind the last two stages of a ResNet (timm/models/resnet.py, drop_blocks)."""
_NO_LENGTH = 1e-12
"""Keeps a gradient of zeros from being divided by its length."""


# ---- which weights learn -----------------------------------------------------------------------


def freeze_all_but_norms(model: nn.Module, name: str) -> None:
    """Let only scales and shifts of normalisation layers learn (arXiv 2003.00152).

    Raises:
        ZooError: the network ``name`` has none.
    """
    learned = [p for m in model.modules() if isinstance(m, NORMS) for p in m.parameters(recurse=False)]
    if not learned:
        raise ZooError(f"{name} has no normalisation layers with scales and shifts: nothing to train")
    model.requires_grad_(False)
    for parameter in learned:
        parameter.requires_grad_(True)


# ---- DropBlock ---------------------------------------------------------------------------------


class DropBlock:
    """Drops squares of each feature map in training, and scales up what is left (arXiv 1810.12890)."""

    def __init__(self, *, side: int, device: torch.device | str = "cpu") -> None:
        self.side = side
        # A tensor, so that a compiled network is not compiled anew for each value.
        self.share = torch.zeros((), device=device)

    def __call__(self, module: nn.Module, inputs: object, features: torch.Tensor) -> torch.Tensor | None:
        """Return features ``[example, channel, height, width]`` with squares set to 0; a forward hook."""
        if not module.training:
            return None
        height, width = features.shape[2:]
        side = min(self.side, height, width)
        places = (height - side + 1, width - side + 1)
        # Each place starts a square: about share * height * width features are then dropped (equation 1).
        rate = self.share * (height * width / side**2 / (places[0] * places[1]))
        starts = torch.rand((*features.shape[:2], *places), device=features.device) < rate
        edge = side - 1
        dropped = F.max_pool2d(F.pad(starts.to(features.dtype), (edge,) * 4), side, stride=1)
        kept = 1 - dropped
        return features * kept * (kept.numel() / kept.sum().clamp(min=1))


def add_drop_blocks(model: nn.Module, name: str, device: str) -> tuple[tuple[DropBlock, float], ...]:
    """Drop squares behind the residual blocks of the last two groups of a wide ResNet.

    Returns:
        What drops, each with the factor of its share.

    Raises:
        ZooError: the network ``name`` has no residual blocks of a wide ResNet.
    """
    groups = [
        [block for block in module if isinstance(block, Block)]
        for module in model.modules()
        if isinstance(module, nn.Sequential)
    ]
    groups = [blocks for blocks in groups if blocks]
    if len(groups) < len(DROP_BLOCKS):
        raise ZooError(
            f"DropBlock drops squares behind the blocks of wide ResNets; {name} has no such blocks"
        )
    added = []
    for blocks, (side, factor) in zip(groups[-len(DROP_BLOCKS) :], DROP_BLOCKS, strict=True):
        for block in blocks:
            drop = DropBlock(side=side, device=device)
            block.register_forward_hook(drop)
            added.append((drop, factor))
    return tuple(added)


# ---- mixup -------------------------------------------------------------------------------------


def mixing_shares(recipe: Recipe, seed: int, epoch: int, sizes: Sequence[int]) -> torch.Tensor:
    """Return ``[example]``: how much of each example's own image is in the mixed one, equal in a batch.

    Drawn from Beta(alpha, alpha). Pairs are mixed both ways, so a share and 1 minus it make the same batch
    in another order; the larger is taken, so that each mixed image is mostly its own.
    """
    drawn = np.random.default_rng(stream_seed(seed, "mixup", epoch)).beta(
        recipe.mixup, recipe.mixup, size=len(sizes)
    )
    own = torch.from_numpy(np.maximum(drawn, 1 - drawn).astype(np.float32))
    return own.repeat_interleave(torch.tensor(list(sizes)))


def mixed(values: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Return each example mixed with its partner, the example as far from the batch's other end.

    Args:
        values: float ``[seed, example, ...]``; batches are in random order, so any partner is a random one.
        shares: of its own, ``[seed, example]``.
    """
    own = shares.reshape(*shares.shape, *(1 for _ in values.shape[2:]))
    return own * values + (1 - own) * values.flip(1)


# ---- sharpness-aware minimisation --------------------------------------------------------------


@contextmanager
def still_statistics(network: nn.Module) -> Iterator[None]:
    """Keep batch norms from updating their running statistics; they go on using the batch's own."""
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def sharpen(
    weights: Sequence[torch.Tensor], radius: float, *, stacked: bool, gradients: Callable[[], None]
) -> None:
    """Replace the gradients of ``weights`` by those ``radius`` uphill (arXiv 2010.01412, equations 2 and 3).

    Args:
        weights: with the gradients at where they are; they come back unchanged.
        radius: length of the step uphill over all weights of a network.
        stacked: whether each weight's first axis is over seeds, each a network of its own.
        gradients: makes the gradients anew, at where the weights then are.
    """
    weights = [weight for weight in weights if weight.grad is not None]
    with torch.no_grad():
        gradients_there = [weight.grad for weight in weights if weight.grad is not None]
        steps = gradients_there if stacked else [gradient[None] for gradient in gradients_there]
        length = torch.stack([step.flatten(1).square().sum(1) for step in steps]).sum(0).sqrt()
        scale = radius / (length + _NO_LENGTH)
        before = [weight.detach().clone() for weight in weights]
        for weight, step in zip(weights, steps, strict=True):
            uphill = step * scale.reshape(-1, *(1 for _ in step.shape[1:]))
            weight.add_(uphill if stacked else uphill[0])
    for weight in weights:
        weight.grad = None
    gradients()
    with torch.no_grad():
        for weight, there in zip(weights, before, strict=True):
            weight.copy_(there)

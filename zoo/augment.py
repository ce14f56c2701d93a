"""Random crops, flips and cutout of a whole batch at once, drawn from a generator of their own."""

import torch
import torch.nn.functional as F

from zoo.recipes import Recipe


def pad(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Return ``[example, height, width, channel]`` with the recipe's black border, once for all epochs."""
    p = recipe.crop_padding
    return F.pad(images, (0, 0, p, p, p, p)) if p else images


def batch(
    padded: torch.Tensor, chosen: torch.Tensor, recipe: Recipe, generator: torch.Generator
) -> torch.Tensor:
    """Return the augmented images of the examples ``chosen``.

    Args:
        padded: uint8 ``[example, height, width, channel]`` from `pad`, square, on any device.
        chosen: indices ``[example]`` of the batch, on the CPU.
        recipe: which augmentations, how strong.
        generator: on the CPU; the draws are the same whatever device the images are on.

    Returns:
        float32 ``[example, channel, height, width]`` in [0, 1] in channels-last memory.
    """
    n, side, device = len(chosen), padded.shape[1] - 2 * recipe.crop_padding, padded.device
    columns = torch.arange(side).expand(n, side)
    rows = columns
    if recipe.flip:
        mirrored = torch.rand(n, 1, generator=generator) < 0.5
        columns = torch.where(mirrored, side - 1 - columns, columns)
    if recipe.crop_padding:
        shift = torch.randint(0, 2 * recipe.crop_padding + 1, (2, n, 1), generator=generator)
        rows, columns = rows + shift[0], columns + shift[1]
    if recipe.flip or recipe.crop_padding:
        # One gather does crop and flip together: [n,1,1], [n,side,1] and [n,1,side] broadcast.
        index = (chosen[:, None, None], rows[:, :, None], columns[:, None, :])
        images = padded[tuple(part.to(device) for part in index)]
    else:
        images = padded[chosen.to(device)]
    images = images.permute(0, 3, 1, 2).to(torch.float32).div_(255.0)
    if recipe.cutout:
        centre = torch.randint(0, side, (2, n, 1), generator=generator)
        near = [_within(centre[axis], side, recipe.cutout) for axis in (0, 1)]
        hole = (near[0][:, None, :, None] & near[1][:, None, None, :]).to(device)
        images = images.masked_fill(hole, 0.0)
    return images


def _within(centre: torch.Tensor, side: int, width: int) -> torch.Tensor:
    """Return whether each position is in the ``width`` pixels about ``centre`` ``[example, 1]``."""
    offset = torch.arange(side) - centre + width // 2
    return (offset >= 0) & (offset < width)

"""Random crops, flips and cutout: drawn for a whole epoch on the CPU, applied a batch at a time anywhere."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from zoo.recipes import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """What was drawn for each of some examples; None for what the recipe leaves out. All ``[example]``."""

    mirrored: torch.Tensor | None = None
    """Whether the image is mirrored left to right."""
    down: torch.Tensor | None = None
    """Rows of the padded image above the crop."""
    right: torch.Tensor | None = None
    """Columns of the padded image left of the crop."""
    hole_row: torch.Tensor | None = None
    """Row about which cutout blackens."""
    hole_column: torch.Tensor | None = None


def pad(images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Return ``[example, height, width, channel]`` with the recipe's black border, once for all epochs."""
    p = recipe.crop_padding
    return F.pad(images, (0, 0, p, p, p, p)) if p else images


def draw(count: int, side: int, recipe: Recipe, generator: torch.Generator) -> Draws:
    """Return the draws for a batch of ``count`` examples of ``side`` pixels a side.

    Args:
        count: examples of the batch.
        side: pixels a side, border left out.
        recipe: which augmentations, how strong.
        generator: on the CPU, so that the draws are the same whatever device the images are on.
    """
    draws = Draws()
    if recipe.flip:
        draws = replace(draws, mirrored=torch.rand(count, generator=generator) < 0.5)
    if recipe.crop_padding:
        shift = torch.randint(0, 2 * recipe.crop_padding + 1, (2, count), generator=generator)
        draws = replace(draws, down=shift[0], right=shift[1])
    if recipe.cutout:
        centre = torch.randint(0, side, (2, count), generator=generator)
        draws = replace(draws, hole_row=centre[0], hole_column=centre[1])
    return draws


def apply(padded: torch.Tensor, chosen: torch.Tensor, draws: Draws, recipe: Recipe) -> torch.Tensor:
    """Return the augmented images of the examples ``chosen``. Makes the device wait for nothing.

    Args:
        padded: uint8 ``[example, height, width, channel]`` from `pad`, square, on any device.
        chosen: indices ``[example]`` of the batch, on the same device.
        draws: of these examples under ``recipe``, on the same device.
        recipe: which augmentations, how strong.

    Returns:
        float32 ``[example, channel, height, width]`` in [0, 1] in channels-last memory.
    """
    side = padded.shape[1] - 2 * recipe.crop_padding
    line = torch.arange(side, device=padded.device)
    rows = columns = line.expand(len(chosen), side)
    if draws.mirrored is not None:
        columns = torch.where(draws.mirrored[:, None], side - 1 - columns, columns)
    if draws.down is not None and draws.right is not None:
        rows, columns = rows + draws.down[:, None], columns + draws.right[:, None]
    if draws.mirrored is not None or draws.down is not None:
        # One gather does crop and flip together: [n,1,1], [n,side,1] and [n,1,side] broadcast.
        images = padded[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
    else:
        images = padded[chosen]
    images = images.permute(0, 3, 1, 2).to(torch.float32).div_(255.0)
    if draws.hole_row is not None and draws.hole_column is not None:
        near_row, near_column = (
            _within(line, centre, recipe.cutout) for centre in (draws.hole_row, draws.hole_column)
        )
        images = images.masked_fill(near_row[:, None, :, None] & near_column[:, None, None, :], 0.0)
    return images


def _within(line: torch.Tensor, centre: torch.Tensor, width: int) -> torch.Tensor:
    """Return ``[example, position]``: whether a position is in the ``width`` pixels about the centre."""
    offset = line - centre[:, None] + width // 2
    return (offset >= 0) & (offset < width)

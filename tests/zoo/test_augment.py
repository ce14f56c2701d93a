import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo import augment
from zoo.recipes import Recipe

SIDE, CHANNELS = 5, 2


def with_settings(**change: object) -> Recipe:
    return dataclasses.replace(zoo.recipe("plain"), **{"crop_padding": 0, "flip": False, **change})


def augmented(images: torch.Tensor, chosen: torch.Tensor, recipe: Recipe, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    draws = augment.draw(len(chosen), SIDE, recipe, generator)
    return augment.apply(augment.pad(images, recipe), chosen, draws, recipe)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.from_numpy(
        np.random.default_rng(2).integers(1, 256, (17, SIDE, SIDE, CHANNELS), dtype=np.uint8)
    )


def test_without_augmentation_a_batch_is_the_chosen_images(images: torch.Tensor) -> None:
    chosen = torch.tensor([3, 3, 16, 0])
    expected = images[chosen].permute(0, 3, 1, 2).float() / 255
    assert torch.equal(augmented(images, chosen, with_settings()), expected)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), padding=st.integers(0, 3), flip=st.booleans())
def test_every_image_is_one_of_its_own_crops_and_mirrors(seed: int, padding: int, flip: bool) -> None:
    images = torch.from_numpy(
        np.random.default_rng(seed).integers(1, 256, (7, SIDE, SIDE, CHANNELS), dtype=np.uint8)
    )
    chosen = torch.tensor([0, 2, 4, 6, 6])
    recipe = with_settings(crop_padding=padding, flip=flip)
    batch = augmented(images, chosen, recipe, seed)
    padded = np.pad(images.numpy(), ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    for image, index in zip(batch, chosen, strict=True):
        found = (image.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
        crops = [
            padded[index, top : top + SIDE, left : left + SIDE]
            for top in range(2 * padding + 1)
            for left in range(2 * padding + 1)
        ]
        possible = crops + [crop[:, ::-1] for crop in crops if flip]
        assert any(np.array_equal(found, one) for one in possible)


def test_every_shift_and_both_mirrors_occur_about_equally_often() -> None:
    # One bright pixel in the middle: where it lands tells the shift; a left edge tells the mirror.
    images = torch.zeros(1, SIDE, SIDE, 1, dtype=torch.uint8)
    images[0, 2, 2, 0] = 255
    chosen = torch.zeros(9_000, dtype=torch.int64)
    landed = augmented(images, chosen, with_settings(crop_padding=1)).sum(0)[0]
    assert torch.count_nonzero(landed) == 9
    assert float(landed[1:4, 1:4].min()) > 850
    edge = torch.zeros(1, SIDE, SIDE, 1, dtype=torch.uint8)
    edge[0, :, 0, 0] = 255
    mirrored = augmented(edge, chosen, with_settings(flip=True))[:, 0, 0, -1].mean()
    assert 0.47 < float(mirrored) < 0.53


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_cutout_blackens_one_square_cut_by_the_border(images: torch.Tensor, width: int) -> None:
    chosen = torch.arange(17).repeat(20)
    black = augmented(images, chosen, with_settings(cutout=width)) == 0
    assert torch.equal(black[:, 0], black[:, 1])
    rows, columns = black[:, 0].any(2), black[:, 0].any(1)
    assert torch.equal(black[:, 0], rows[:, :, None] & columns[:, None, :])
    for lines in (rows, columns):
        assert int(lines.sum(1).max()) == width
        assert int(lines.sum(1).min()) >= (width + 1) // 2
        starts = (lines[:, 1:] & ~lines[:, :-1]).sum(1) + lines[:, 0]
        assert torch.equal(starts, torch.ones_like(starts)), "one run of black lines"


def test_same_generator_same_batch(images: torch.Tensor) -> None:
    recipe = with_settings(crop_padding=2, flip=True, cutout=2)
    chosen = torch.arange(17)
    assert torch.equal(augmented(images, chosen, recipe, 5), augmented(images, chosen, recipe, 5))
    assert not torch.equal(augmented(images, chosen, recipe, 5), augmented(images, chosen, recipe, 6))

"""Variants of a recipe: what learns, what is dropped or mixed, how a step is taken; and that each resumes."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import zoo
from zoo import augment
from zoo.recipes import VARIANTS
from zoo.training_nets import OneNet, initial_models
from zoo.training_step import Run, batches, new_run, step
from zoo.training_variants import DropBlock, mixed, mixing_shares, sharpen, still_statistics

BASE = dataclasses.replace(zoo.recipe("quick"), epochs=3, batch_size=34, crop_padding=1)
NAME = "wrn10-0.25"
Arrays = tuple[np.ndarray, np.ndarray]


def job(variant: str, **changes: object) -> zoo.TrainJob:
    return zoo.TrainJob(name=NAME, classes=3, recipe=BASE.variant(variant), seed=5, **changes)


def started(task: zoo.TrainJob, arrays: Arrays) -> Run:
    (model,) = initial_models([task], arrays[0], "cpu")
    return new_run([task], OneNet(model, task), *arrays, device="cpu")


def same(first: zoo.Trained, second: zoo.Trained) -> bool:
    curves = [[(e["loss"], e["accuracy"]) for e in t.curve] for t in (first, second)]
    return curves[0] == curves[1] and all(torch.equal(first.state[k], second.state[k]) for k in first.state)


class StopError(Exception):
    """What the tests interrupt with."""


@pytest.mark.parametrize("variant", VARIANTS)
def test_interrupted_and_resumed_is_bit_identical(stripes: Arrays, tmp_path: Path, variant: str) -> None:
    def stop(progress: zoo.Progress) -> None:
        if progress.epoch == 2:
            raise StopError

    path, task = tmp_path / "member.pt", job(variant)
    with pytest.raises(StopError):
        zoo.train(task, *stripes, checkpoint=path, progress=stop)
    whole = zoo.train(task, *stripes)
    assert same(zoo.train(task, *stripes, checkpoint=path), whole)
    plain = zoo.train(dataclasses.replace(task, recipe=BASE), *stripes)
    assert not same(whole, plain), "the variant changes the weights"


@pytest.mark.parametrize("variant", ["batchnorm-only", "sam", "mixup"])
def test_stacked_is_the_same_training_but_for_rounding(stripes: Arrays, variant: str) -> None:
    # One step an epoch and no momentum: what chaos would make of another rounding stays small.
    recipe = dataclasses.replace(
        BASE, batch_size=101, epochs=2, momentum=0.0, nesterov=False, learning_rate=0.01
    ).variant(variant)
    tasks = [zoo.TrainJob(name=NAME, classes=3, recipe=recipe, seed=seed) for seed in (2, 5)]
    for alone, beside in zip(
        [zoo.train(task, *stripes) for task in tasks], zoo.train_stacked(tasks, *stripes), strict=True
    ):
        for key, value in alone.state.items():
            torch.testing.assert_close(beside.state[key], value, rtol=1e-3, atol=1e-4)


def test_what_draws_masks_or_starts_from_weights_is_not_stacked(stripes: Arrays) -> None:
    tasks = [job("dropblock"), dataclasses.replace(job("dropblock"), seed=6)]
    with pytest.raises(
        zoo.ZooError, match="recipe 'dropblock' drops blocks at random; its members are trained"
    ):
        zoo.train_stacked(tasks, *stripes)
    state = zoo.train(job("sam"), *stripes).state
    recipe = BASE.started("finetuned", "wrn10-0.25@8~sam-1#5")
    tasks = [zoo.TrainJob(name=NAME, classes=3, recipe=recipe, seed=s, initial=state) for s in (1, 2)]
    with pytest.raises(zoo.ZooError, match="recipe 'finetuned' starts from weights"):
        zoo.train_stacked(tasks, *stripes)


# ---- norms only --------------------------------------------------------------------------------


def test_only_scales_and_shifts_move(stripes: Arrays) -> None:
    task = job("batchnorm-only")
    (model,) = initial_models([task], stripes[0], "cpu")
    before = {name: value.clone() for name, value in model.named_parameters()}
    after = zoo.train(task, *stripes).state
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    norms = {
        f"{name}.{part}"
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        for part in ("weight", "bias")
    }
    assert moved == norms
    assert {name for name, value in model.named_parameters() if value.requires_grad} == norms


def test_a_network_without_norms_has_nothing_to_train() -> None:
    from zoo.training_variants import freeze_all_but_norms

    with pytest.raises(zoo.ZooError, match="plain has no normalisation layers with scales and shifts"):
        freeze_all_but_norms(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, affine=False)), "plain")


# ---- sharpness-aware minimisation --------------------------------------------------------------


def test_a_sharpness_aware_step_by_hand() -> None:
    """Loss 3 a^2 + 2 b^2 at (1, 2): gradient (6, 8) of length 10; uphill by 0.5 is (1.3, 2.4)."""
    a, b = torch.tensor([1.0], requires_grad=True), torch.tensor([2.0], requires_grad=True)

    def gradients() -> None:
        (3 * a**2 + 2 * b**2).sum().backward()

    gradients()
    sharpen([a, b], 0.5, stacked=False, gradients=gradients)
    assert (a.item(), b.item()) == (1.0, 2.0)
    assert a.grad is not None
    assert b.grad is not None
    assert (a.grad.item(), b.grad.item()) == pytest.approx((6 * 1.3, 4 * 2.4))


def test_stacked_networks_each_go_their_own_way_uphill() -> None:
    weights = torch.tensor([[1.0, 2.0], [2.0, 0.0]], requires_grad=True)
    factors = torch.tensor([3.0, 2.0])

    def gradients() -> None:
        (factors * weights**2).sum().backward()

    gradients()
    sharpen([weights], 0.5, stacked=True, gradients=gradients)
    # The second: gradient (12, 0), so 0.5 along its first weight.
    assert weights.grad is not None
    expected = torch.tensor([[6 * 1.3, 4 * 2.4], [6 * 2.5, 0.0]])
    torch.testing.assert_close(weights.grad, expected)


def test_a_step_uphill_leaves_running_statistics_alone(stripes: Arrays) -> None:
    run, plain = (
        started(dataclasses.replace(job("sam"), recipe=r), stripes) for r in (BASE.variant("sam"), BASE)
    )
    for one in (run, plain):
        step(one, next(batches(one, 0)), 0.01)
    for (name, ours), (_, theirs) in zip(
        run.nets.network.named_buffers(), plain.nets.network.named_buffers(), strict=True
    ):
        assert torch.equal(ours, theirs), name
    norm = nn.BatchNorm2d(3)
    with still_statistics(norm):
        norm(torch.rand(4, 3, 2, 2))
    assert norm.num_batches_tracked == 0
    assert norm.track_running_stats


# ---- mixup -------------------------------------------------------------------------------------


def test_shares_are_drawn_a_batch_and_mostly_own() -> None:
    recipe = BASE.variant("mixup")
    shares = mixing_shares(recipe, 5, 1, [3, 4, 4])
    assert shares.shape == (11,)
    assert len(set(shares.tolist())) == 3
    assert float(shares.min()) >= 0.5
    assert torch.equal(shares, mixing_shares(recipe, 5, 1, [3, 4, 4]))
    assert not torch.equal(shares, mixing_shares(recipe, 5, 2, [3, 4, 4]))


def test_mixed_pairs_by_hand() -> None:
    values = torch.tensor([[1.0, 10.0, 100.0]])
    assert mixed(values, torch.full((1, 3), 0.75)).tolist() == [[25.75, 10.0, 75.25]]


def test_images_and_labels_are_mixed_alike(stripes: Arrays) -> None:
    run = started(job("mixup"), stripes)
    seen = {}

    def losses(images: torch.Tensor, targets: torch.Tensor, orders: object) -> object:
        seen.update(images=images, targets=targets)
        return OneNet.losses(run.nets, images, targets, None)  # type: ignore[arg-type]

    run.nets.losses = losses  # type: ignore[method-assign, assignment]
    batch = next(batches(run, 0))
    assert batch.shares is not None
    own = augment.apply(run.images, batch.chosen, batch.draws, run.recipe)
    step(run, batch, 0.01)
    share = float(batch.shares[0, 0])
    torch.testing.assert_close(seen["images"][0], share * own + (1 - share) * own.flip(0))
    hot = F.one_hot(run.labels[batch.chosen], 3).float()
    torch.testing.assert_close(seen["targets"][0, 0], share * hot + (1 - share) * hot.flip(0))


# ---- DropBlock ---------------------------------------------------------------------------------


def test_squares_of_the_side_are_dropped_and_the_rest_scaled_up() -> None:
    torch.manual_seed(0)
    drop = DropBlock(side=3)
    drop.share.fill_(0.1)
    features = torch.ones(64, 5, 11, 11)
    left = drop(nn.Module().train(), (), features)
    assert left is not None
    assert float(left.mean()) == pytest.approx(1.0, rel=1e-5)
    gone = (left == 0).float()
    assert 0.07 < float(gone.mean()) < 0.12, "about a tenth, a little less where squares overlap"
    # Each dropped feature lies in a dropped square: opening with it changes nothing.
    eroded = 1 - F.max_pool2d(1 - gone, 3, stride=1)
    opened = F.max_pool2d(F.pad(eroded, (2,) * 4), 3, stride=1)
    assert torch.equal(opened, gone)
    assert drop(nn.Module().eval(), (), features) is None
    assert torch.equal(DropBlock(side=7)(nn.Module().train(), (), features), features), (
        "share 0 drops nothing"
    )


def test_dropping_rises_through_the_training_and_only_in_the_last_groups(stripes: Arrays) -> None:
    run = started(job("dropblock"), stripes)
    run.nets.begin_epoch(0.5)
    shares = [float(drop.share) for drop, _ in run.nets.drops]  # type: ignore[attr-defined]
    assert shares == pytest.approx([0.25 * 0.1 * 0.5, 0.1 * 0.5])
    hooked = [bool(block._forward_hooks) for block in (g[0] for g in run.nets.network.net.groups)]
    assert hooked == [False, True, True]
    assert not any("drop" in key for key in run.nets.states()[0])


def test_dropblock_is_for_wide_resnets(stripes: Arrays) -> None:
    with pytest.raises(zoo.ZooError, match="blocks of wide ResNets; mlp8x1 has no such blocks"):
        zoo.train(dataclasses.replace(job("dropblock"), name="mlp8x1"), *stripes)


# ---- weights to start from ---------------------------------------------------------------------


def test_training_goes_on_from_given_weights(stripes: Arrays, tmp_path: Path) -> None:
    first = zoo.train(job("mixup"), *stripes)
    recipe = BASE.started("finetuned", "wrn10-0.25@8~mixup-1#5", learning_rate=1e-9, epochs=1)
    task = zoo.TrainJob(name=NAME, classes=3, recipe=recipe, seed=5, initial=first.state)
    second = zoo.train(task, *stripes, checkpoint=tmp_path / "member.pt")
    for name, value in first.state.items():
        if value.ndim > 1:
            torch.testing.assert_close(second.state[name], value, rtol=1e-5, atol=1e-6)
    assert same(zoo.train(task, *stripes), second)


def test_weights_and_recipe_must_agree(stripes: Arrays) -> None:
    state = zoo.train(job("mixup"), *stripes).state
    with pytest.raises(
        zoo.ZooError, match="recipe 'quick' starts from weights drawn from the seed, but initial"
    ):
        zoo.TrainJob(name=NAME, classes=3, recipe=BASE, seed=5, initial=state)
    recipe = BASE.started("finetuned", "wrn10-0.5@8~quick-1#5")
    with pytest.raises(zoo.ZooError, match=r"starts from wrn10-0.5@8~quick-1#5, but no initial weights came"):
        zoo.TrainJob(name=NAME, classes=3, recipe=recipe, seed=5)
    task = zoo.TrainJob(name="wrn10-0.5", classes=3, recipe=recipe, seed=5, initial=state)
    with pytest.raises(
        zoo.ZooError, match=r"weights to start from are not those of a wrn10-0.5: net.groups.0.0"
    ):
        zoo.train(task, *stripes)

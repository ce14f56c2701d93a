import dataclasses
import importlib
import time

import numpy as np
import pytest
import torch

import zoo

RECIPE = dataclasses.replace(zoo.recipe("standard"), batch_size=32)
JOB = zoo.TrainJob(name="mlp13x2", classes=3, recipe=RECIPE, seed=5)

Arrays = tuple[np.ndarray, np.ndarray]


@pytest.mark.parametrize("stacked", [1, 4])
def test_it_is_the_time_of_a_real_step_per_member(
    stripes: Arrays, monkeypatch: pytest.MonkeyPatch, stacked: int
) -> None:
    module = importlib.import_module("zoo.step_time")
    step, sizes = module.step, []

    def slow(run, batch, rate):  # type: ignore[no-untyped-def]
        sizes.append(len(batch.chosen))
        time.sleep(0.02)
        return step(run, batch, rate)

    monkeypatch.setattr(module, "step", slow)
    found = zoo.step_seconds(JOB, *stripes, stacked=stacked, seconds=0.2)
    assert 0.02 / stacked <= found < 0.2 / stacked
    assert set(sizes) <= {25 * stacked, 26 * stacked}, "101 images in four steps"


def test_nothing_is_left_behind(stripes: Arrays) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    assert zoo.step_seconds(JOB, *stripes, seconds=0.01) > 0
    assert torch.equal(torch.rand(2), expected)
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_teachers_time_counts(stripes: Arrays) -> None:
    asked = []

    def teacher(images: torch.Tensor) -> torch.Tensor:
        asked.append(len(images))
        return torch.full((len(images), 3), 1 / 3)

    job = dataclasses.replace(JOB, recipe=RECIPE.distilled("wrn10-1#0"))
    zoo.step_seconds(job, *stripes, seconds=0.01, teacher=teacher)
    assert len(asked) >= 10
    with pytest.raises(zoo.ZooError, match="give its answers as teacher="):
        zoo.step_seconds(job, *stripes)
    with pytest.raises(zoo.ZooError, match="trained one at a time"):
        zoo.step_seconds(job, *stripes, stacked=2, teacher=teacher)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stacked": 0}, "stacked must be at least 1 member, got 0"),
        ({"seconds": 0.0}, "seconds to time must be above 0, got 0.0"),
        ({"device": "warp"}, "device 'warp' cannot be used here"),
    ],
)
def test_what_cannot_be_measured_is_refused(stripes: Arrays, change: dict[str, object], message: str) -> None:
    with pytest.raises(zoo.ZooError, match=message):
        zoo.step_seconds(JOB, *stripes, **change)


def test_fewer_images_than_a_step_takes_are_refused(stripes: Arrays) -> None:
    with pytest.raises(zoo.ZooError, match="a step of recipe 'standard' takes 32 images, got 31 in all"):
        zoo.step_seconds(JOB, stripes[0][:31], stripes[1][:31])

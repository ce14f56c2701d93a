"""Cyclic trainings: one network at each cycle's end, all from one resumable run."""

import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

import zoo

BASE = dataclasses.replace(zoo.recipe("quick"), epochs=3, batch_size=32)
RECIPES = BASE.snapshots(3)
"""Three cycles of two epochs each."""
JOB = zoo.TrainJob(name="wrn10-0.25", classes=3, recipe=RECIPES[2], seed=5)

Arrays = tuple[np.ndarray, np.ndarray]
State = dict[str, torch.Tensor]


def same(first: State, second: State) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_each_recipe_gets_its_cycles_network_from_the_same_run(stripes: Arrays) -> None:
    made = [zoo.train(dataclasses.replace(JOB, recipe=recipe), *stripes) for recipe in RECIPES]
    for index, trained in enumerate(made):
        assert len(trained.snapshots) == 3
        assert same(trained.state, trained.snapshots[index])
        assert all(same(*pair) for pair in zip(trained.snapshots, made[0].snapshots, strict=True))
        assert (trained.epochs, trained.examples_seen) == (6, 6 * 101)
    assert not same(made[0].state, made[1].state)
    whole = zoo.train(dataclasses.replace(JOB, recipe=RECIPES[0].run), *stripes)
    assert same(whole.state, made[2].state)


def test_a_snapshot_is_the_network_after_that_many_epochs(
    stripes: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the weights of the live network, caught at the report that ends the cycle."""
    step = importlib.import_module("zoo.training_loop").step
    live: list[torch.nn.Module] = []

    def watched(run, batch, rate):  # type: ignore[no-untyped-def]
        live.append(run.nets.model)
        return step(run, batch, rate)

    monkeypatch.setattr(importlib.import_module("zoo.training_loop"), "step", watched)
    at_end: dict[int, State] = {}

    def tell(progress: zoo.Progress) -> None:
        if progress.step == progress.steps:
            at_end[progress.epoch] = {k: v.detach().clone() for k, v in live[-1].state_dict().items()}

    trained = zoo.train(JOB, *stripes, progress=tell)
    assert all(same(trained.snapshots[index], at_end[2 * index + 2]) for index in range(3))


@pytest.mark.parametrize("epochs", [1, 2, 3, 5])
def test_a_stopped_run_resumes_with_its_snapshots(stripes: Arrays, tmp_path: Path, epochs: int) -> None:
    path, asked = tmp_path / "run.pt", 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == epochs

    with pytest.raises(
        zoo.TrainingStopped, match=f"wrn10-0.25 seed 5 was stopped after epoch {epochs} of 6"
    ) as caught:
        zoo.train(JOB, *stripes, checkpoint=path, stop=stop)
    assert caught.value.epochs == epochs
    # The snapshots share the run, so another one's recipe goes on from the same checkpoint.
    second = dataclasses.replace(JOB, recipe=RECIPES[1])
    resumed = zoo.train(second, *stripes, checkpoint=path)
    whole = zoo.train(second, *stripes)
    assert same(resumed.state, whole.state)
    assert all(same(*pair) for pair in zip(resumed.snapshots, whole.snapshots, strict=True))


def test_stop_is_not_asked_when_all_is_done(stripes: Arrays) -> None:
    asked = []
    zoo.train(JOB, *stripes, stop=lambda: bool(asked.append(1)))
    assert len(asked) == 5


def test_without_cycles_there_are_no_snapshots(stripes: Arrays) -> None:
    assert zoo.train(dataclasses.replace(JOB, recipe=BASE), *stripes).snapshots == ()

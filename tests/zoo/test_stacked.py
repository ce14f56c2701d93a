"""Members trained side by side are the members that separate trainings make."""

import dataclasses
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import zoo

RECIPE = dataclasses.replace(
    zoo.recipe("standard"), epochs=1, batch_size=34, crop_padding=1, cutout=2, warmup_epochs=0.0
)
"""101 examples: three steps, of two sizes."""
JOB = zoo.TrainJob(name="wrn10-0.25", classes=3, recipe=RECIPE, seed=5)
SEEDS = (5, 0, 12)
BFLOAT16 = dataclasses.replace(RECIPE, precision="bfloat16", learning_rate=0.01)

Arrays = tuple[np.ndarray, np.ndarray]


def with_seeds(job: zoo.TrainJob, seeds: tuple[int, ...] = SEEDS) -> list[zoo.TrainJob]:
    return [dataclasses.replace(job, seed=seed) for seed in seeds]


def assert_same_members(
    stacked: tuple[zoo.Trained, ...], separate: list[zoo.Trained], tolerance: float
) -> None:
    assert len(stacked) == len(separate)
    for one, other in zip(stacked, separate, strict=True):
        assert one.job == other.job
        assert list(one.state) != []
        assert one.state.keys() == other.state.keys()
        for key, value in one.state.items():
            assert value.is_contiguous()
            torch.testing.assert_close(value, other.state[key], rtol=tolerance, atol=tolerance)
        assert len(one.curve) == len(other.curve)
        for ours, theirs in zip(one.curve, other.curve, strict=True):
            assert ours["loss"] == pytest.approx(theirs["loss"], rel=tolerance)


@pytest.mark.parametrize(
    "name",
    ["wrn10-0.25", "mobile-x0.25", "mlp13x2", "wrn10-0.25+mimo2", "wrn10-0.25+batch2", "wrn10-0.25+trunk2"],
)
def test_three_steps_equal_three_separate_trainings(stripes: Arrays, name: str) -> None:
    jobs = with_seeds(dataclasses.replace(JOB, name=name))
    stacked = zoo.train_stacked(jobs, *stripes)
    assert_same_members(stacked, [zoo.train(job, *stripes) for job in jobs], 1e-4)
    assert [trained.stacked for trained in stacked] == [3, 3, 3]
    assert stacked[0].state["preprocess.mean"].shape == (2,)


def test_label_smoothing_and_decay_reach_every_member(stripes: Arrays) -> None:
    # A large decay and no momentum: weights that should not decay, or should, would stand out.
    recipe = dataclasses.replace(RECIPE, label_smoothing=0.2, weight_decay=0.5, momentum=0.0, nesterov=False)
    jobs = with_seeds(dataclasses.replace(JOB, recipe=recipe))
    assert_same_members(zoo.train_stacked(jobs, *stripes), [zoo.train(job, *stripes) for job in jobs], 1e-4)


def test_bfloat16_side_by_side_is_refused_on_a_cpu(stripes: Arrays) -> None:
    """Its autocast leaves the convolutions that vmap writes in float32, under a record of bfloat16."""
    job = dataclasses.replace(JOB, recipe=BFLOAT16)
    with pytest.raises(zoo.ZooError, match="side by side on cpu convolutions would run in float32"):
        zoo.train_stacked(with_seeds(job), *stripes)
    with pytest.raises(zoo.ZooError, match="trains in bfloat16"):
        zoo.step_seconds(job, *stripes, stacked=2)
    (alone,) = zoo.train_stacked([job], *stripes)
    assert alone.stacked == 1


def test_stopped_and_resumed_is_bit_identical(stripes: Arrays, tmp_path: Path) -> None:
    recipes = dataclasses.replace(RECIPE, epochs=2).snapshots(2, 4)
    jobs = with_seeds(dataclasses.replace(JOB, recipe=recipes[0]))
    path = tmp_path / "stack.pt"
    with pytest.raises(zoo.TrainingStopped, match="seeds 5, 0, 12 was stopped after epoch 1 of 4"):
        zoo.train_stacked(jobs, *stripes, checkpoint=path, stop=lambda: True)
    notes: list[str] = []
    resumed = zoo.train_stacked(
        jobs, *stripes, checkpoint=path, progress=lambda p: notes.append(p.note) if p.note else None
    )
    assert notes == ["resumed wrn10-0.25 seeds 5, 0, 12 after epoch 1 of 4"]
    for one, other in zip(resumed, zoo.train_stacked(jobs, *stripes), strict=True):
        assert all(torch.equal(one.state[key], other.state[key]) for key in one.state)
        assert len(one.snapshots) == len(other.snapshots) == 2
        assert all(torch.equal(one.state[key], one.snapshots[0][key]) for key in one.state)
        assert [e["loss"] for e in one.curve] == [e["loss"] for e in other.curve]
    with pytest.raises(zoo.ZooError, match=r"seeds: \[5, 0, 12\] there, \[5, 0\] wanted"):
        zoo.train_stacked(jobs[:2], *stripes, checkpoint=path)
    with pytest.raises(zoo.ZooError, match="seed: absent there, 5 wanted"):
        zoo.train(jobs[0], *stripes, checkpoint=path)


def test_progress_and_times_are_of_all_members_together(stripes: Arrays) -> None:
    seen: list[zoo.Progress] = []
    stacked = zoo.train_stacked(with_seeds(JOB), *stripes, progress=seen.append)
    assert seen[-1].loss == pytest.approx(np.mean([trained.curve[-1]["loss"] for trained in stacked]))
    assert len({trained.wall_s for trained in stacked}) == 1
    assert stacked[0].wall_s == stacked[0].curve[0]["wall_s"] > 0


def test_one_job_is_an_ordinary_training(stripes: Arrays) -> None:
    (stacked,), alone = zoo.train_stacked([JOB], *stripes), zoo.train(JOB, *stripes)
    assert stacked.stacked == 1
    assert all(torch.equal(stacked.state[key], alone.state[key]) for key in alone.state)


@pytest.mark.parametrize(
    ("jobs", "message"),
    [
        ([], "needs at least one job, got none"),
        ([JOB, JOB], r"need different seeds, got \[5, 5\]"),
        (
            [JOB, dataclasses.replace(JOB, seed=6, name="wrn10-0.5", threads=2)],
            "wrn10-0.25 seed 5 and wrn10-0.5 seed 6 differ in name, threads",
        ),
        (
            with_seeds(dataclasses.replace(JOB, recipe=RECIPE.distilled("wrn10-1#0"))),
            "recipe 'distilled' has a teacher; distilled members are trained one at a time",
        ),
    ],
)
def test_jobs_that_do_not_go_together_are_refused(
    stripes: Arrays, jobs: list[zoo.TrainJob], message: str
) -> None:
    with pytest.raises(zoo.ZooError, match=message):
        zoo.train_stacked(jobs, *stripes)


@pytest.fixture
def build_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], nn.Module]], None]:
    """Put a layer before every network that is built from now on."""

    def use(layer: Callable[[], nn.Module]) -> None:
        def build(name: str, **arguments: object) -> zoo.Classifier:
            plain = zoo.build_classifier(name, **arguments)  # type: ignore[arg-type]
            return zoo.Classifier(plain.preprocess, nn.Sequential(layer(), plain.net))

        monkeypatch.setattr(importlib.import_module("zoo.training_nets"), "build_classifier", build)

    return use


class Drawing(nn.Module):
    """Drops paths of the network, without a module of torch's that says so."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images * torch.rand(len(images), 1, 1, 1)


class Remembering(nn.Module):
    """Keeps a table that no state dict has, and one that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.ones(()), persistent=False)
        self.register_buffer("saved", torch.ones(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images * self.table * self.saved


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: nn.Dropout(0.5), r"wrn10-0\.25 has dropout \(net\.0\), whose draws side by side"),
        (Drawing, r"wrn10-0\.25 draws at random in its forward pass, whose draws side by side"),
    ],
)
def test_random_draws_are_refused(
    stripes: Arrays,
    build_with: Callable[[Callable[[], nn.Module]], None],
    layer: Callable[[], nn.Module],
    message: str,
) -> None:
    build_with(layer)
    with pytest.raises(zoo.ZooError, match=message):
        zoo.train_stacked(with_seeds(JOB), *stripes)
    with pytest.raises(zoo.ZooError, match=message):
        zoo.step_seconds(JOB, *stripes, stacked=2)


def test_the_states_are_state_dicts(
    stripes: Arrays, build_with: Callable[[Callable[[], nn.Module]], None]
) -> None:
    """With what `load_state_dict` takes: no buffers that are not saved."""
    build_with(Remembering)
    stacked = zoo.train_stacked(with_seeds(JOB), *stripes)
    separate = [zoo.train(job, *stripes) for job in with_seeds(JOB)]
    assert "net.0.table" not in stacked[0].state
    assert "net.0.saved" in stacked[0].state
    assert_same_members(stacked, separate, 1e-4)


def test_the_member_that_diverges_is_named(stripes: Arrays) -> None:
    wild = dataclasses.replace(JOB, recipe=dataclasses.replace(RECIPE, learning_rate=1e30))
    with pytest.raises(zoo.ZooError, match=r"wrn10-0\.25 with seed 5 diverged in epoch 1"):
        zoo.train_stacked(with_seeds(wild), *stripes)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_side_by_side_on_cuda(stripes: Arrays) -> None:
    jobs = with_seeds(JOB)
    stacked = zoo.train_stacked(jobs, *stripes, device="cuda")
    assert_same_members(stacked, [zoo.train(job, *stripes, device="cuda") for job in jobs], 1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_bfloat16_side_by_side_on_cuda_is_bfloat16(stripes: Arrays) -> None:
    jobs = with_seeds(dataclasses.replace(JOB, recipe=BFLOAT16))
    with convolution_dtypes() as seen:
        stacked = zoo.train_stacked(jobs, *stripes, device="cuda")
    assert seen == {torch.bfloat16}
    assert_same_members(stacked, [zoo.train(job, *stripes, device="cuda") for job in jobs], 2e-2)


@contextmanager
def convolution_dtypes() -> Iterator[set[torch.dtype]]:
    """Give the set that the types of all convolutions' outputs go into."""
    seen: set[torch.dtype] = set()

    def look(module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            seen.add(output.dtype)

    hook = nn.modules.module.register_module_forward_hook(look)
    try:
        yield seen
    finally:
        hook.remove()


def test_the_type_of_a_convolution_is_seen(stripes: Arrays) -> None:
    """That the test on CUDA looks at something: alone in bfloat16, and side by side in float32."""
    with convolution_dtypes() as seen:
        zoo.train(dataclasses.replace(JOB, recipe=BFLOAT16), *stripes)
    assert seen == {torch.bfloat16}
    with convolution_dtypes() as seen:
        zoo.train_stacked(with_seeds(JOB), *stripes)
    assert seen == {torch.float32}

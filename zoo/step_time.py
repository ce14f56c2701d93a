"""How long a training step takes here: measured, so that a plan of many trainings is not a guess."""

import dataclasses
import statistics
import time
from collections.abc import Iterator

import numpy as np

from zoo.arrays import arrays_or_raise
from zoo.determinism import deterministic, device_or_raise, stream_seed
from zoo.job import TrainJob
from zoo.registry import ZooError
from zoo.stacked import StackedNets, alike_or_raise
from zoo.train import teacher_or_raise
from zoo.training_nets import Nets, OneNet, initial_models
from zoo.training_step import Batch, Run, Teacher, batches, new_run, step

WARM_UP_STEPS = 3
BLOCKS = 7
"""Timed stretches, between which the device is waited for; the median is over them."""


def step_seconds(
    job: TrainJob,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    device: str = "cpu",
    stacked: int = 1,
    seconds: float = 2.0,
    teacher: Teacher | None = None,
) -> float:
    """Measure the seconds that a training step takes, per member. Nothing of it is kept.

    Takes real steps, augmentation and draws included. A first few are not timed: they load and, where the
    job says so, compile kernels, which may take a minute.

    Args:
        job: what would be trained.
        images: uint8 ``[example, height, width, channel]``; a part of the training set will do, from which
            a step takes the batch that the recipe says.
        labels: int64 ``[example]``.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        stacked: members side by side; the time of a common step is divided by their number.
        seconds: about how long to time; at least `BLOCKS` steps are taken.
        teacher: for a recipe with a teacher, as in `train`.

    Raises:
        ZooError: what `train` and `train_stacked` refuse, fewer images than a batch, ``stacked`` or
            ``seconds`` too small.
    """
    arrays_or_raise(images, labels, job.classes)
    device_or_raise(device)
    _measurable_or_raise(job, len(images), stacked, seconds)
    jobs = [dataclasses.replace(job, seed=job.seed + index) for index in range(stacked)]
    if stacked > 1:
        alike_or_raise(jobs)
    teacher_or_raise(job, teacher)
    seed = stream_seed(job.seed, "init")
    with deterministic(seed, threads=job.threads, device=device, what=job.name):
        models = initial_models(jobs, images, device)
        nets: Nets = OneNet(models[0], job) if stacked == 1 else StackedNets(models, job)
        run = new_run(jobs, nets, images, labels, device=device, teacher=teacher)
        endless = _endless(run)
        for _ in range(WARM_UP_STEPS):
            each_s = _timed(run, endless, 1)
        steps = max(1, int(seconds / BLOCKS / each_s))
        return statistics.median(_timed(run, endless, steps) for _ in range(BLOCKS)) / stacked


def _measurable_or_raise(job: TrainJob, count: int, stacked: int, seconds: float) -> None:
    if stacked < 1:
        raise ZooError(f"stacked must be at least 1 member, got {stacked}")
    if not seconds > 0:
        raise ZooError(f"seconds to time must be above 0, got {seconds}")
    if count < job.recipe.batch_size:
        raise ZooError(
            f"a step of recipe {job.recipe.name!r} takes {job.recipe.batch_size} images, got {count} in all"
        )


def _endless(run: Run) -> Iterator[Batch]:
    epoch = 0
    while True:
        yield from batches(run, epoch)
        epoch += 1


def _timed(run: Run, endless: Iterator[Batch], steps: int) -> float:
    """Return the seconds a step took, over ``steps`` of them with the device waited for at the end."""
    started = time.perf_counter()
    for _ in range(steps):
        loss, _ = step(run, next(endless), 0.0)
    loss.sum().item()
    return (time.perf_counter() - started) / steps

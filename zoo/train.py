"""Training of one member: bit-repeatable on one machine, resumable after a kill.

Every random draw comes from a generator named by (seed, purpose, epoch), so nothing about randomness
needs saving: an epoch replayed after a kill draws what it drew before.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from zoo.arrays import arrays_or_raise, learned
from zoo.determinism import deterministic, device_or_raise, stream_seed
from zoo.job import Progress, Trained, TrainJob
from zoo.registry import ZooError
from zoo.training_loop import finish, identity, results
from zoo.training_nets import OneNet, initial_models
from zoo.training_step import Teacher, new_run


def train(
    job: TrainJob,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    checkpoint: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    device: str = "cpu",
    teacher: Teacher | None = None,
    stop: Callable[[], bool] | None = None,
) -> Trained:
    """Train one member. Same job, images, machine, torch and device: same weights, bit for bit.

    Args:
        job: what to train.
        images: uint8 ``[example, height, width, channel]``, square.
        labels: int64 ``[example]``, each below ``job.classes``.
        checkpoint: file to keep an epoch-wise checkpoint in; an existing one is resumed, and the
            result is the same as without the interruption. It stays after the end: the caller removes it.
        progress: called about twice a second and at every epoch's end.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...
        teacher: for a recipe with a teacher, and only for one: answers the augmented images
            ``[example, channel, height, width]`` in [0, 1] with probabilities ``[example, class]``, on
            ``device`` and in evaluation mode; the member learns these instead of the labels, by cross
            entropy, which is the Kullback-Leibler divergence but for a constant (arXiv 2009.08453).
        stop: asked after every epoch but the last, when its checkpoint is written; True ends the training.

    Raises:
        ZooError: arrays that do not fit, no such device, a checkpoint of another training or machine, a
            teacher without a recipe for it or the reverse, a network with an operator that is not
            deterministic on the device, or a loss that is not finite.
        TrainingStopped: ``stop`` said so.
    """
    arrays_or_raise(images, labels, job.classes)
    images, labels = learned(images, labels, job.recipe.train_share)
    device_or_raise(device)
    teacher_or_raise(job, teacher)
    seed = stream_seed(job.seed, "init")
    with deterministic(seed, threads=job.threads, device=device, what=job.name):
        (model,) = initial_models([job], images, device)
        run = new_run([job], OneNet(model, job), images, labels, device=device, teacher=teacher)
        finish(
            run,
            checkpoint=checkpoint,
            identity=identity(run, images, labels, device),
            report=progress or (lambda _: None),
            stop=stop,
        )
        return results(run, device)[0]


def teacher_or_raise(job: TrainJob, teacher: Teacher | None) -> None:
    """Check that there is a teacher just where the job's recipe has one.

    Raises:
        ZooError: there is not.
    """
    recipe = job.recipe
    if recipe.teacher and teacher is None:
        raise ZooError(f"recipe {recipe.name!r} learns from {recipe.teacher}: give its answers as teacher=")
    if teacher is not None and not recipe.teacher:
        raise ZooError(
            f"recipe {recipe.name!r} has no teacher, so the weights' id would not tell of this one; "
            "derive a recipe with Recipe.distilled"
        )

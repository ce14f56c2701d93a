"""Epochs of one run until it is whole: curve, reports, checkpoints, snapshots, stopping."""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zoo import checkpoint as checkpoints
from zoo.arrays import data_fingerprint
from zoo.determinism import machine
from zoo.job import Progress, Trained, TrainingStopped
from zoo.recipes import learning_rate
from zoo.registry import ZooError
from zoo.training_step import Run, batches, step

logger = logging.getLogger(__name__)

REPORT_EVERY_S = 0.5
"""Least time between two progress reports inside an epoch."""

Report = Callable[[Progress], None]


def identity(run: Run, images: np.ndarray, labels: np.ndarray, device: str) -> dict[str, object]:
    """Return all that must be equal for a resumed training to give the same bits."""
    job = run.jobs[0]
    seeds = [one.seed for one in run.jobs]
    return {
        "model": job.name,
        "resolution": run.nets.resolution,
        "classes": job.classes,
        "recipe": job.recipe.run.id,
        **({"seed": job.seed} if len(seeds) == 1 else {"seeds": seeds}),
        "data": data_fingerprint(images, labels),
        "threads": job.threads,
        "device": device,
        **machine(device),
        # Only where it is so: checkpoints from before there was a choice are of trainings without it.
        **({"compiled": True} if job.compiled else {}),
    }


def finish(
    run: Run,
    *,
    checkpoint: Path | None,
    identity: Mapping[str, object],
    report: Report,
    stop: Callable[[], bool] | None,
) -> None:
    """Train all epochs that are still to do, from ``checkpoint`` where there is one.

    Raises:
        TrainingStopped: ``stop`` said so after an epoch that was not the last; its checkpoint is written.
        ZooError: a checkpoint of another training, or a loss that is not finite.
    """
    recipe = run.recipe
    if checkpoint is not None:
        _resume(run, checkpoint, identity, report)
    for epoch in range(run.epochs_done, recipe.epochs):
        _epoch(run, epoch, report)
        if recipe.cycles > 1 and (epoch + 1) % (recipe.epochs // recipe.cycles) == 0:
            run.snapshots.append(run.nets.states())
        if checkpoint is not None:
            checkpoints.save(checkpoint, identity, _payload(run))
        if stop is not None and epoch + 1 < recipe.epochs and stop():
            message = f"training of {run.what} was stopped after epoch {epoch + 1} of {recipe.epochs}"
            raise TrainingStopped(message, epochs=epoch + 1)


def results(run: Run, device: str) -> tuple[Trained, ...]:
    """Return what a finished run made, one for each job."""
    recipe, last = run.recipe, run.nets.states()
    trained = []
    for index, job in enumerate(run.jobs):
        snapshots = tuple(states[index] for states in run.snapshots)
        trained.append(
            Trained(
                job=job,
                resolution=run.nets.resolution,
                state=snapshots[recipe.snapshot - 1] if recipe.snapshot else last[index],
                curve=tuple(run.curves[index]),
                wall_s=sum(entry["wall_s"] for entry in run.curves[index]),
                examples_seen=len(run.labels) * recipe.epochs,
                epochs=recipe.epochs,
                device=device,
                snapshots=snapshots,
                stacked=len(run.jobs),
            )
        )
    return tuple(trained)


def _epoch(run: Run, epoch: int, report: Report) -> None:
    """Train one epoch and append its entry to the curves."""
    recipe, n, steps, seeds = run.recipe, len(run.labels), run.steps, len(run.jobs)
    started = reported = time.perf_counter()
    loss_sum = torch.zeros(seeds, device=run.labels.device)
    right = torch.zeros(seeds, device=run.labels.device)
    seen = 0
    run.nets.begin_epoch((epoch + 0.5) / recipe.epochs)
    for index, batch in enumerate(batches(run, epoch)):
        rate = learning_rate(recipe, (epoch + (index + 0.5) / steps) / recipe.epochs)
        loss, correct = step(run, batch, rate)
        size = len(batch.chosen) // seeds
        loss_sum += loss * size
        right += correct
        seen += size
        now = time.perf_counter()
        if now - reported > REPORT_EVERY_S and index + 1 < steps:
            reported = now
            spent = run.wall_s + now - started
            values = (float(loss_sum.mean()) / seen, float(right.mean()) / seen)
            report(_progress(run, (index + 1, steps), values, spent))
    losses, accuracies = ((total.double() / n).tolist() for total in (loss_sum, right))
    wall_s = (time.perf_counter() - started) / seeds
    for job, curve, loss, accuracy in zip(run.jobs, run.curves, losses, accuracies, strict=True):
        if not np.isfinite(loss):
            raise ZooError(
                f"training of {job.name} with seed {job.seed} diverged in epoch {epoch + 1}: loss {loss}; "
                f"lower the learning rate of recipe {recipe.name!r} ({recipe.learning_rate})"
            )
        curve.append({"epoch": epoch + 1, "loss": loss, "accuracy": accuracy, "wall_s": wall_s})
    means = (sum(losses) / seeds, sum(accuracies) / seeds)
    report(_progress(run, (steps, steps), means, run.wall_s))


def _progress(run: Run, done: tuple[int, int], values: tuple[float, float], spent_s: float) -> Progress:
    index, steps = done
    epochs = run.recipe.epochs
    finished = run.epochs_done + (index / steps if index < steps else 0.0)
    return Progress(
        epoch=run.epochs_done,
        epochs=epochs,
        step=index,
        steps=steps,
        loss=values[0],
        accuracy=values[1],
        eta_s=spent_s / finished * (epochs - finished),
    )


# ---- checkpoints -------------------------------------------------------------------------------


def _payload(run: Run) -> dict[str, Any]:
    return {
        "model": run.nets.everything(),
        "optimizer": run.nets.optimizer.state_dict(),
        "curves": run.curves,
        "snapshots": [list(states) for states in run.snapshots],
    }


def _resume(run: Run, path: Path, identity: Mapping[str, object], report: Report) -> None:
    """Put the checkpoint at ``path``, when there is one, into ``run``; say so."""
    if not path.exists():
        return
    try:
        payload = checkpoints.load(path, identity)
    except checkpoints.DamagedError as error:
        note = f"{error}; training {run.what} from the start"
        logger.warning(note)
    else:
        run.nets.load(payload["model"])
        run.nets.optimizer.load_state_dict(payload["optimizer"])
        # Checkpoints from before stacked and cyclic trainings hold one curve and no snapshots.
        curves = payload["curves"] if "curves" in payload else [payload["curve"]]
        run.curves = [[dict(entry) for entry in curve] for curve in curves]
        run.snapshots = [tuple(states) for states in payload.get("snapshots", [])]
        note = f"resumed {run.what} after epoch {run.epochs_done} of {run.recipe.epochs}"
        logger.info(note)
    done, seeds, nan = run.epochs_done, len(run.jobs), float("nan")
    report(
        Progress(
            epoch=done,
            epochs=run.recipe.epochs,
            step=0,
            steps=run.steps,
            loss=sum(curve[-1]["loss"] for curve in run.curves) / seeds if done else nan,
            accuracy=sum(curve[-1]["accuracy"] for curve in run.curves) / seeds if done else nan,
            eta_s=run.wall_s / done * (run.recipe.epochs - done) if done else nan,
            note=note,
        )
    )

"""The loop that makes one member: bit-repeatable on one machine, resumable after a kill.

Every random draw comes from a generator named by (seed, purpose, epoch), so nothing about randomness
needs saving: an epoch replayed after a kill draws what it drew before.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from zoo import augment
from zoo import checkpoint as checkpoints
from zoo.arrays import arrays_or_raise, channel_statistics, data_fingerprint, images_or_raise
from zoo.classifier import Classifier, build_classifier
from zoo.determinism import deterministic, device_or_raise, generator, stream_seed
from zoo.recipes import Recipe, learning_rate
from zoo.registry import ZooError, canonical_name, default_resolution

logger = logging.getLogger(__name__)

REPORT_EVERY_S = 0.5
"""Least time between two progress reports inside an epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainJob:
    """Which member to make: all that decides the weights, but for the images themselves."""

    name: str
    """Variant name, e.g. ``wrn16-4``; kept in its canonical spelling."""
    classes: int
    recipe: Recipe
    seed: int
    resolution: int | None = None
    """Pixels a side the network sees; None takes the variant's default for the images."""
    threads: int = 1
    """CPU threads. Part of the job, because sums split over threads round differently."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", canonical_name(self.name))
        for what, number, least in (
            ("classes", self.classes, 2),
            ("seed", self.seed, 0),
            ("threads", self.threads, 1),
        ):
            if number < least:
                raise ZooError(f"{what} of a training of {self.name} must be at least {least}, got {number}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a training is; handed to the caller now and then, and at every epoch's end."""

    epoch: int
    """Epochs finished."""
    epochs: int
    step: int
    """Steps finished of the running epoch; equal to ``steps`` at its end."""
    steps: int
    loss: float
    """Mean over the running epoch so far; NaN before the first step."""
    accuracy: float
    """Share of the running epoch's augmented training examples answered rightly so far."""
    eta_s: float
    """Expected remaining seconds; NaN before the first step."""
    note: str = ""
    """Something worth telling a person: resumed, or a damaged checkpoint was put aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A trained member and what making it took."""

    job: TrainJob
    resolution: int
    """Pixels a side the network sees."""
    state: dict[str, torch.Tensor]
    """State dict of the `Classifier`, on the CPU; holds mean and std."""
    curve: tuple[Mapping[str, float], ...]
    """One entry an epoch: ``epoch`` (from 1), ``loss``, ``accuracy`` on augmented training examples,
    ``wall_s`` of that epoch."""
    wall_s: float
    """Time spent training, interruptions and lost epochs left out."""
    examples_seen: int
    epochs: int
    device: str


@dataclass(slots=True)
class _Run:
    """What a training holds while it runs; all of it that changes goes into the checkpoint."""

    model: Classifier
    optimizer: torch.optim.SGD
    images: torch.Tensor
    """uint8 ``[example, height, width, channel]`` with the recipe's border, on the device."""
    labels: torch.Tensor
    curve: list[dict[str, float]] = field(default_factory=list)

    @property
    def wall_s(self) -> float:
        return sum(entry["wall_s"] for entry in self.curve)


def train(
    job: TrainJob,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    checkpoint: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    device: str = "cpu",
) -> Trained:
    """Train one member. Same job, images, machine and device: same weights, bit for bit.

    Args:
        job: what to train.
        images: uint8 ``[example, height, width, channel]``, square.
        labels: int64 ``[example]``, each below ``job.classes``.
        checkpoint: file to keep an epoch-wise checkpoint in; an existing one is resumed, and the
            result is the same as without the interruption. It stays after the end: the caller removes it.
        progress: called about twice a second and at every epoch's end.
        device: ``cpu``, ``cuda``, ``cuda:1``, ...

    Raises:
        ZooError: arrays that do not fit, no such device, a checkpoint of another training, or a loss
            that is not finite.
    """
    arrays_or_raise(images, labels, job.classes)
    device_or_raise(device)
    report = progress or (lambda _: None)
    with deterministic(stream_seed(job.seed, "init"), threads=job.threads, device=device):
        run = _start(job, images, labels, device)
        identity = _identity(job, run, images, labels, device)
        if checkpoint is not None:
            _resume(run, job, checkpoint, identity, report)
        for epoch in range(len(run.curve), job.recipe.epochs):
            _epoch(run, job, epoch, report)
            if checkpoint is not None:
                checkpoints.save(checkpoint, identity, _payload(run))
        state = {
            key: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for key, value in run.model.state_dict().items()
        }
    return Trained(
        job=job,
        resolution=run.model.preprocess.resolution,
        state=state,
        curve=tuple(run.curve),
        wall_s=run.wall_s,
        examples_seen=len(images) * job.recipe.epochs,
        epochs=job.recipe.epochs,
        device=device,
    )


def predict(
    model: nn.Module, images: np.ndarray, *, batch_size: int = 256, device: str = "cpu"
) -> np.ndarray:
    """Return softmax probabilities float32 ``[example, class]``.

    Args:
        model: from float32 images in [0, 1] to logits, e.g. a `Classifier`; comes back on ``device``,
            in the mode it was in.
        images: uint8 ``[example, height, width, channel]``.
        batch_size: examples at a time.
        device: where to run.

    Raises:
        ZooError: ``images`` is not such an array, ``batch_size`` is below 1, or no such device.
    """
    images_or_raise(images)
    device_or_raise(device)
    if batch_size < 1:
        raise ZooError(f"batch_size must be at least 1, got {batch_size}")
    was_training, answers = model.training, []
    model.to(device).eval()
    try:
        with torch.inference_mode():
            for start in range(0, len(images), batch_size):
                part = torch.from_numpy(np.ascontiguousarray(images[start : start + batch_size])).to(device)
                logits = model(part.permute(0, 3, 1, 2).to(torch.float32).div_(255.0))
                answers.append(torch.softmax(logits.float(), dim=1).cpu().numpy())
    finally:
        model.train(was_training)
    return np.concatenate(answers)


# ---- one training ------------------------------------------------------------------------------


def _start(job: TrainJob, images: np.ndarray, labels: np.ndarray, device: str) -> _Run:
    """Return the run before its first epoch; draws the initial weights."""
    _, native, _, channels = images.shape
    mean, std = channel_statistics(images)
    resolution = default_resolution(job.name, native) if job.resolution is None else job.resolution
    model = build_classifier(
        job.name,
        channels=channels,
        classes=job.classes,
        native=native,
        resolution=resolution,
        mean=mean,
        std=std,
    ).to(device)
    # Channels last: as the batches come out of the gather.
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": job.recipe.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=job.recipe.learning_rate,
        momentum=job.recipe.momentum,
        nesterov=job.recipe.nesterov,
        fused=True,
    )
    return _Run(
        model=model,
        optimizer=optimizer,
        images=augment.pad(torch.from_numpy(np.ascontiguousarray(images)).to(device), job.recipe),
        labels=torch.from_numpy(np.asarray(labels, dtype=np.int64)).to(device),
    )


def _epoch(run: _Run, job: TrainJob, epoch: int, report: Callable[[Progress], None]) -> None:
    """Train one epoch and append its entry to the curve."""
    recipe, n = job.recipe, len(run.labels)
    steps = -(-n // recipe.batch_size)
    order = torch.randperm(n, generator=generator(job.seed, "order", epoch))
    augmentation = generator(job.seed, "augment", epoch)
    torch.manual_seed(stream_seed(job.seed, "layers", epoch))  # dropout, for those models that have it
    run.model.train()
    started = reported = time.perf_counter()
    loss_sum = torch.zeros((), device=run.labels.device)
    right = torch.zeros((), device=run.labels.device)
    seen = 0
    for step, chosen in enumerate(torch.tensor_split(order, steps)):
        rate = learning_rate(recipe, (epoch + (step + 0.5) / steps) / recipe.epochs)
        for group in run.optimizer.param_groups:
            group["lr"] = rate
        loss, correct = _step(run, recipe, augment.batch(run.images, chosen, recipe, augmentation), chosen)
        loss_sum += loss * len(chosen)
        right += correct
        seen += len(chosen)
        now = time.perf_counter()
        if now - reported > REPORT_EVERY_S and step + 1 < steps:
            reported = now
            spent = run.wall_s + now - started
            report(_progress(run, job, (step + 1, steps), (loss_sum / seen, right / seen), spent))
    wall_s = time.perf_counter() - started
    mean_loss, accuracy = float(loss_sum) / n, float(right) / n
    if not np.isfinite(mean_loss):
        raise ZooError(
            f"training of {job.name} with seed {job.seed} diverged in epoch {epoch + 1}: loss {mean_loss}; "
            f"lower the learning rate of recipe {recipe.name!r} ({recipe.learning_rate})"
        )
    run.curve.append({"epoch": epoch + 1, "loss": mean_loss, "accuracy": accuracy, "wall_s": wall_s})
    report(_progress(run, job, (steps, steps), (mean_loss, accuracy), run.wall_s))


def _step(
    run: _Run, recipe: Recipe, images: torch.Tensor, chosen: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Take one optimiser step; return the mean loss and how many examples were answered rightly."""
    labels = run.labels[chosen.to(run.labels.device)]
    logits = run.model(images)
    loss = F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    run.optimizer.step()
    return loss.detach(), (logits.detach().argmax(1) == labels).sum()


def _progress(
    run: _Run, job: TrainJob, done: tuple[int, int], values: tuple[Any, Any], spent_s: float
) -> Progress:
    step, steps = done
    epochs = job.recipe.epochs
    finished = len(run.curve) + (step / steps if step < steps else 0.0)
    return Progress(
        epoch=len(run.curve),
        epochs=epochs,
        step=step,
        steps=steps,
        loss=float(values[0]),
        accuracy=float(values[1]),
        eta_s=spent_s / finished * (epochs - finished),
    )


# ---- checkpoints -------------------------------------------------------------------------------


def _identity(
    job: TrainJob, run: _Run, images: np.ndarray, labels: np.ndarray, device: str
) -> dict[str, object]:
    """Return all that must be equal for a resumed training to give the same bits."""
    return {
        "model": job.name,
        "resolution": run.model.preprocess.resolution,
        "classes": job.classes,
        "recipe": job.recipe.id,
        "seed": job.seed,
        "data": data_fingerprint(images, labels),
        "threads": job.threads,
        "device": device,
        "torch": str(torch.__version__),
    }


def _payload(run: _Run) -> dict[str, Any]:
    return {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "curve": run.curve,
    }


def _resume(
    run: _Run, job: TrainJob, path: Path, identity: Mapping[str, object], report: Callable[[Progress], None]
) -> None:
    """Put the checkpoint at ``path``, when there is one, into ``run``; say so."""
    if not path.exists():
        return
    try:
        payload = checkpoints.load(path, identity)
    except checkpoints.DamagedError as error:
        note = f"{error}; training {job.name} seed {job.seed} from the start"
        logger.warning(note)
    else:
        run.model.load_state_dict(payload["model"])
        run.optimizer.load_state_dict(payload["optimizer"])
        run.curve = [dict(entry) for entry in payload["curve"]]
        note = f"resumed {job.name} seed {job.seed} after epoch {len(run.curve)} of {job.recipe.epochs}"
        logger.info(note)
    last = run.curve[-1] if run.curve else {"loss": float("nan"), "accuracy": float("nan")}
    each_s = run.wall_s / len(run.curve) if run.curve else float("nan")
    report(
        Progress(
            epoch=len(run.curve),
            epochs=job.recipe.epochs,
            step=0,
            steps=-(-len(run.labels) // job.recipe.batch_size),
            loss=last["loss"],
            accuracy=last["accuracy"],
            eta_s=each_s * (job.recipe.epochs - len(run.curve)),
            note=note,
        )
    )

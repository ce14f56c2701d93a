"""The life of one training run in its process: train, predict on both splits, commit.

A killed run loses at most the epoch under way: every epoch leaves a checkpoint, and a member enters
the ledger only with its weights, its predictions and its cost, in one transaction.
"""

import hashlib
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.data import ImageSet, load_images
from explorer.errors import EnvironmentMissingError, ExplorerError, StoreError
from explorer.record import MemberRecord, TrainingRecord
from explorer.run.training.jobs import MemberJob, records_of
from explorer.run.training.starting import initial_weights
from explorer.run.training.teachers import teacher_of, teaching
from explorer.run.training.unfinished import checkpoint_of
from explorer.run.workers import settle_in
from explorer.spec import Member, ModelSpec
from explorer.store import Store

if TYPE_CHECKING:
    from zoo import Recipe, Trained, TrainJob


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """What a worker says of itself."""

    members: tuple[Member, ...]
    """Of the job."""
    share: float
    """Of the job's training, in [0, 1]."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """How a job ended, when nothing was wrong with it."""

    records: tuple[MemberRecord, ...]
    """Its members, all committed; empty when it was stopped."""
    epochs: int
    """Epochs that are done and kept: all, unless it was stopped."""


@dataclass(slots=True)
class Deadline:
    """Answers after every epoch whether the next one would end too late."""

    at_s: float
    """On the system's monotonic clock, which all processes share."""
    asked_s: float
    """When it was last asked, or made."""

    def __call__(self) -> bool:
        """Tell whether an epoch as long as the last one does not fit any more."""
        now = time.monotonic()
        last_s, self.asked_s = now - self.asked_s, now
        return now + last_s > self.at_s


_messages: Any = None


def start(messages: Any) -> None:
    """Set up a worker and tell it where to say how far it is."""
    global _messages
    settle_in()
    _messages = messages


@lru_cache(maxsize=1)
def images_of(dataset: str, data_dir: Path | None) -> ImageSet:
    """Return a data set, read once a process."""
    return load_images(dataset, data_dir=data_dir)


def train_job(job: MemberJob, deadline_s: float | None) -> JobOutcome:
    """Train and commit a job's members, or stop at an epoch's end before ``deadline_s``.

    Raises:
        ZooError: the trainer refuses the job, or its loss diverged.
        EnvironmentMissingError: torch failed at it here, for lack of memory or else.
        StoreError: the checkpoint or the members cannot be written, or a teacher's weights are not kept.
        UsageError: a teacher, or a member to start from, that is not there.
    """
    from zoo import TrainingStopped, train, train_stacked
    from zoo.checkpoint import epochs_done

    images = images_of(job.dataset, job.data_dir)
    stop = None if deadline_s is None else Deadline(deadline_s, time.monotonic())
    with Store.open(job.store_url) as store:
        checkpoint = checkpoint_of(store, images, job)
        if deadline_s is not None and time.monotonic() >= deadline_s:
            # The time went while this process started.
            return JobOutcome(records=(), epochs=epochs_done(checkpoint))
        initial = initial_weights(store, images, job) if job.recipe.start else None
        tasks = train_tasks(job, images, initial)
        arrays = (images.train.images, images.train.labels)
        settings: dict[str, Any] = {
            "checkpoint": checkpoint,
            "progress": _telling(job),
            "device": job.device,
            "stop": stop,
        }
        try:
            with failures_in_one_line(f"training {job}"):
                if len(tasks) > 1:
                    runs = train_stacked(tasks, *arrays, **settings)
                else:
                    runs = (train(tasks[0], *arrays, **settings, teacher=_teacher(store, images, job)),)
        except TrainingStopped as stopped:
            return JobOutcome(records=(), epochs=stopped.epochs)
        except OSError as error:
            reason = error.strerror or error
            raise StoreError(f"{job}: cannot keep its checkpoint in {checkpoint.parent}: {reason}") from error
        records = _committed(store, images, job, runs)
        checkpoint.unlink(missing_ok=True)
        return JobOutcome(records=records, epochs=job.recipe.epochs)


@contextmanager
def failures_in_one_line(what: str) -> Iterator[None]:
    """Turn torch's failures inside, a full device's above all, into one line that says what failed and why.

    Raises:
        EnvironmentMissingError: instead of a RuntimeError of torch's or a MemoryError.
    """
    from explorer.measure.memory_limits import is_out_of_memory
    from explorer.measure.precision import one_line

    try:
        yield
    except ExplorerError:  # some are RuntimeErrors too
        raise
    except (RuntimeError, MemoryError) as error:
        why = "out of memory: " if is_out_of_memory(error) else ""
        # The failed step's tensors would fill the device until this process collects its garbage.
        traceback.clear_frames(error.__traceback__)
        raise EnvironmentMissingError(f"{what} failed: {why}{one_line(error)}") from error


def _committed(
    store: Store, images: ImageSet, job: MemberJob, runs: "Sequence[Trained]"
) -> tuple[MemberRecord, ...]:
    """Commit the members that the store lacks, and return all.

    Predictions come first: what can fail or take long is done before the first member is there. A kill
    between two members costs no training, see `explorer.run.training.unfinished.finished_stack`.
    """
    from zoo import predict

    records = {record.member: record for record in records_of(store, images, job)}
    ready = []
    for member, recipe, state, trained in _made(job, runs):
        if member not in records:
            record, weights = _record(job, images, member, recipe, state, trained)
            model = rebuilt(member.model, state, images=images)
            with failures_in_one_line(f"predicting with {member}"):
                predictions = {
                    name: predict(model, split.images, device=job.device)
                    for name, split in (("select", images.select), ("report", images.report))
                }
            ready.append((record, weights, predictions))
    labels = {"select": images.select.labels, "report": images.report.labels}
    for record, weights, predictions in ready:
        store.commit_member(record, weights, predictions, labels=labels, class_names=images.classes)
        records[record.member] = record
    return tuple(records[member] for member in job.members)


def train_tasks(
    job: MemberJob, images: ImageSet, initial: Mapping[str, Any] | None = None
) -> "tuple[TrainJob, ...]":
    """Return what the trainer is asked for, one task a seed; ``initial``: the weights to start from."""
    from zoo import TrainJob

    return tuple(
        TrainJob(
            name=job.model.name,
            classes=len(images.classes),
            recipe=job.recipe,
            seed=seed,
            resolution=job.model.resolution,
            compiled=job.compiled,
            initial=initial,
        )
        for seed in job.seeds
    )


def time_step(job: MemberJob, stacked: int, seconds: float) -> float:
    """Return the seconds that one training step of a job takes here, a member, ``stacked`` at a time.

    Raises:
        ZooError: the trainer refuses the job, or to train so many of it side by side.
        EnvironmentMissingError: torch failed at it here, for lack of memory or else.
    """
    from zoo import step_seconds

    images = images_of(job.dataset, job.data_dir)
    # Without the teacher: it may not be there yet, and its answers are timed by themselves. Weights to start
    # from take no other time than drawn ones.
    plain = replace(job, recipe=replace(job.recipe, teacher="", start=""))
    task = train_tasks(plain, images)[0]
    with failures_in_one_line(f"timing a step of {job.model}, {stacked} at a time,"):
        return step_seconds(
            task,
            images.train.images,
            images.train.labels,
            device=job.device,
            stacked=stacked,
            seconds=seconds,
        )


def rebuilt(model: ModelSpec, state: Mapping[str, Any], *, images: ImageSet) -> Any:
    """Return the `zoo.Classifier` of ``model`` with trained weights, in evaluation mode."""
    from zoo import build_classifier

    classifier = build_classifier(
        model.name,
        channels=images.channels,
        classes=len(images.classes),
        native=images.native,
        resolution=model.resolution or images.native,
        mean=state["preprocess.mean"],
        std=state["preprocess.std"],
    )
    classifier.load_state_dict(dict(state))
    return classifier.eval()


def _telling(job: MemberJob) -> Callable[[Any], None]:
    """Return what the trainer calls with its progress."""

    def tell(state: Any) -> None:
        # At an epoch's end the trainer counts it as finished and still says step == steps.
        running = state.step / state.steps if state.step < state.steps else 0.0
        share = (state.epoch + running) / state.epochs
        text = f"{job} epoch {state.epoch}/{state.epochs}"
        if state.note:
            text = f"{text}: {state.note}"
        _messages.put(JobProgress(members=job.members, share=min(share, 1.0), text=text))

    return tell


def _teacher(store: Store, images: ImageSet, job: MemberJob) -> Callable[[Any], Any] | None:
    if not job.recipe.teacher:
        return None
    return teaching(store, images, teacher_of(store, images, job.recipe.teacher), device=job.device)


def _made(
    job: MemberJob, runs: "Sequence[Trained]"
) -> "list[tuple[Member, Recipe, Mapping[str, Any], Trained]]":
    """Return each member that came out with its recipe, weights and share of the run."""
    members = iter(job.members)
    made: list[tuple[Member, Recipe, Mapping[str, Any], Trained]] = []
    for trained in runs:
        if not job.snapshots:
            made.append((next(members), job.recipe, trained.state, trained))
            continue
        for recipe, state, cycle in zip(job.snapshots, trained.snapshots, _cycles(trained), strict=True):
            made.append((next(members), recipe, state, cycle))
    return made


def _cycles(trained: "Trained") -> "list[Trained]":
    """Cut a run into its cycles: each with its own epochs, examples and time, so that they add up."""
    count = len(trained.snapshots)
    ends = [round(trained.epochs * cycle / count) for cycle in range(count + 1)]
    each = trained.examples_seen // trained.epochs
    return [
        replace(
            trained,
            curve=trained.curve[first:last],
            epochs=last - first,
            examples_seen=each * (last - first),
            wall_s=sum(entry["wall_s"] for entry in trained.curve[first:last]),
        )
        for first, last in pairwise(ends)
    ]


def _record(
    job: MemberJob,
    images: ImageSet,
    member: Member,
    recipe: "Recipe",
    state: Mapping[str, Any],
    trained: "Trained",
) -> tuple[MemberRecord, bytes]:
    import importlib.metadata

    import safetensors.torch

    from explorer.measure.environment import conditions

    weights = safetensors.torch.save({k: v.contiguous().cpu() for k, v in state.items()})
    training = TrainingRecord(
        recipe_id=recipe.id,
        recipe=recipe.settings(),
        epochs=trained.epochs,
        examples_seen=trained.examples_seen,
        wall_s=trained.wall_s,
        device=trained.device,
        macs=job.macs_per_example * trained.examples_seen,
        curve=tuple(trained.curve),
        versions={name: importlib.metadata.version(name) for name in ("torch", "numpy")},
        precision=recipe.precision,
        stacked=trained.stacked,
        teacher=recipe.teacher,
        compiled=job.compiled,
        device_name=conditions(job.device).device_name,
    )
    record = MemberRecord(
        member=member,
        dataset=images.name,
        split_digest=images.split_digest,
        channels=images.channels,
        classes=len(images.classes),
        training=training,
        weights_digest=hashlib.sha256(weights).hexdigest(),
    )
    return record, weights

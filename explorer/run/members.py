"""Train members in parallel processes and commit each to the store when it is whole.

One process a core, each on one thread: small networks gain nothing from two threads, and one thread
makes a member's bits independent of what else runs. A killed run loses at most the epoch under way:
every epoch leaves a checkpoint under the store's ``work`` folder, and a member enters the ledger only
with its weights, its predictions and its cost, in one transaction.
"""

import hashlib
import multiprocessing
import os
import queue
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from explorer.data import ImageSet, load_images
from explorer.record import MemberRecord, TrainingRecord
from explorer.run.costs import counted_costs
from explorer.run.workers import abandon, settle_in
from explorer.spec import Member, ModelSpec
from explorer.store import Store
from zoo import Recipe

POLL_S = 0.2
"""How often progress of the workers is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberJob:
    """One member to train; everything a worker process needs, picklable."""

    member: Member
    """``recipe`` set to the recipe's id."""
    recipe: Recipe
    dataset: str
    data_dir: Path | None
    store_url: str
    device: str
    macs: int
    """MACs of one example's forward pass: the job's weight in the ETA, and its training cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberProgress:
    """What a worker says of itself."""

    member: Member
    share: float
    """Of this member's training, in [0, 1]."""
    text: str


DEFAULT_RECIPES = {"digits": "quick"}
"""Data set -> recipe; every other takes ``standard``. Digits must not be mirrored."""


def chosen_recipe(dataset: str, name: str | None, epochs: int | None) -> Recipe:
    """Return the recipe called ``name``, or the data set's default, with ``epochs`` if given.

    Raises:
        ZooError: no such recipe; the message lists those that exist.
    """
    from zoo import recipe

    chosen = recipe(name or DEFAULT_RECIPES.get(dataset, "standard"))
    return chosen if epochs is None else chosen.with_epochs(epochs)


def resolved_models(models: Sequence[ModelSpec], images: ImageSet) -> tuple[ModelSpec, ...]:
    """Return the models in canonical spelling, each with the resolution it will see.

    Raises:
        ZooError: unknown name or impossible knob.
    """
    from zoo import canonical_name, default_resolution

    return tuple(
        ModelSpec(
            canonical_name(model.name),
            model.resolution or default_resolution(model.name, images.native),
        )
        for model in models
    )


def plan_members(
    store: Store,
    images: ImageSet,
    models: Sequence[ModelSpec],
    seeds: Sequence[int],
    *,
    recipe: Recipe,
    data_dir: Path | None,
    device: str = "cpu",
) -> tuple[tuple[MemberJob, ...], tuple[MemberRecord, ...]]:
    """Return the jobs still to do, dearest first, and the members that are already there.

    Counts every model on the way and stores the figures, so that a front over MACs needs no profile.
    """
    jobs: list[MemberJob] = []
    there: list[MemberRecord] = []
    for model in models:
        costs = counted_costs(model, channels=images.channels, classes=len(images.classes))
        for record in costs:
            store.put_cost(record, None)
        macs = next(int(record.figure.value) for record in costs if record.kind == "macs")
        for seed in seeds:
            member = Member(model.name, model.resolution or images.native, seed, recipe.id)
            found = store.find_member(images.name, member)
            if found is not None and found.split_digest == images.split_digest:
                there.append(found)
                continue
            jobs.append(
                MemberJob(
                    member=member,
                    recipe=recipe,
                    dataset=images.name,
                    data_dir=data_dir,
                    store_url=store.url,
                    device=device,
                    macs=macs,
                )
            )
    # Dearest first: the last to finish are short, so no core idles at the end.
    return tuple(sorted(jobs, key=lambda job: -job.macs)), tuple(there)


def train_members(
    jobs: Sequence[MemberJob],
    *,
    workers: int | None = None,
    update: Callable[[float, str], None] = lambda share, text: None,
) -> tuple[MemberRecord, ...]:
    """Train all ``jobs``, ``workers`` at a time, and return their records in the order of ``jobs``.

    Raises:
        ExplorerError: whatever a job refused; the members already committed stay.
    """
    if not jobs:
        return ()
    context = multiprocessing.get_context("spawn")
    messages: Any = context.Queue()
    count = min(workers or os.cpu_count() or 1, len(jobs))
    with ProcessPoolExecutor(count, mp_context=context, initializer=_start, initargs=(messages,)) as pool:
        futures = [pool.submit(_train_member, job) for job in jobs]
        try:
            _watch(futures, jobs, messages, update)
        except BaseException:
            # Ctrl-C or a failed job: waiting members are dropped, those under way keep their checkpoints.
            abandon(pool)
            raise
        return tuple(future.result() for future in futures)


def _watch(
    futures: Sequence[Future[MemberRecord]],
    jobs: Sequence[MemberJob],
    messages: Any,
    update: Callable[[float, str], None],
) -> None:
    """Pass the workers' progress on until all are done; raise what the first failed one raised."""
    weight = {job.member: float(job.macs) * job.recipe.epochs for job in jobs}
    shares = dict.fromkeys(weight, 0.0)
    total = sum(weight.values())
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=POLL_S, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
        text = ""
        while True:
            try:
                message: MemberProgress = messages.get_nowait()
            except queue.Empty:
                break
            shares[message.member] = message.share
            text = message.text
        if text:
            finished = sum(future.done() for future in futures)
            share = sum(shares[m] * weight[m] for m in weight) / total
            update(share, f"{finished} of {len(futures)} members done; {text}")


# ---- in the worker process --------------------------------------------------------------------

_messages: Any = None


def _start(messages: Any) -> None:
    """Set up a worker and tell it where to say how far it is."""
    global _messages
    settle_in()
    _messages = messages


@lru_cache(maxsize=1)
def _images(dataset: str, data_dir: Path | None) -> ImageSet:
    return load_images(dataset, data_dir=data_dir)


def _train_member(job: MemberJob) -> MemberRecord:
    """Train, predict on ``select`` and ``report``, and commit: the whole life of one member."""
    from zoo import TrainJob, predict, train

    images = _images(job.dataset, job.data_dir)

    def tell(state: Any) -> None:
        # At an epoch's end the trainer counts it as finished and still says step == steps.
        running = state.step / state.steps if state.step < state.steps else 0.0
        share = (state.epoch + running) / state.epochs
        text = f"{job.member.model}#{job.member.seed} epoch {state.epoch}/{state.epochs}"
        if state.note:
            text = f"{text}: {state.note}"
        _messages.put(MemberProgress(member=job.member, share=min(share, 1.0), text=text))

    with Store.open(job.store_url) as store:
        checkpoint = store.work / f"{_job_digest(job, images)}.pt"
        task = TrainJob(
            name=job.member.name,
            classes=len(images.classes),
            recipe=job.recipe,
            seed=job.member.seed,
            resolution=job.member.resolution,
        )
        trained = train(
            task,
            images.train.images,
            images.train.labels,
            checkpoint=checkpoint,
            progress=tell,
            device=job.device,
        )
        record, weights = _record(job, images, trained)
        model = rebuilt(record.member.model, trained.state, images=images)
        predictions = {
            name: predict(model, split.images, device=job.device)
            for name, split in (("select", images.select), ("report", images.report))
        }
        store.commit_member(
            record,
            weights,
            predictions,
            labels={"select": images.select.labels, "report": images.report.labels},
            class_names=images.classes,
        )
        checkpoint.unlink(missing_ok=True)
        return record


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


def _job_digest(job: MemberJob, images: ImageSet) -> str:
    text = "\n".join((str(job.member), job.recipe.id, job.dataset, images.split_digest))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _record(job: MemberJob, images: ImageSet, trained: Any) -> tuple[MemberRecord, bytes]:
    import dataclasses
    import importlib.metadata

    import safetensors.torch

    weights = safetensors.torch.save({k: v.contiguous().cpu() for k, v in trained.state.items()})
    training = TrainingRecord(
        recipe_id=job.recipe.id,
        recipe=dataclasses.asdict(job.recipe),
        epochs=trained.epochs,
        examples_seen=trained.examples_seen,
        wall_s=trained.wall_s,
        device=trained.device,
        macs=3 * job.macs * trained.examples_seen,
        curve=tuple(trained.curve),
        versions={name: importlib.metadata.version(name) for name in ("torch", "numpy")},
    )
    record = MemberRecord(
        member=job.member,
        dataset=images.name,
        split_digest=images.split_digest,
        channels=images.channels,
        classes=len(images.classes),
        training=training,
        weights_digest=hashlib.sha256(weights).hexdigest(),
    )
    return record, weights

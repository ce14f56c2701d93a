"""How long an epoch of each network takes on this device: measured here, never guessed."""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from explorer.data import ImageSet
from explorer.errors import ExplorerError
from explorer.record import MemberRecord
from explorer.run.study.expand import SCALE, StudyJob, stacked
from explorer.run.training.jobs import MemberJob, examples_learned
from explorer.run.training.pool import TrainingPool
from explorer.spec import ModelSpec

TIMING_S = 2.0
"""Time limit of one measurement, its warm-up apart."""
STACKED_UP_TO_MACS = 150_000_000
"""Larger networks fill a GPU by themselves: stacking them is not tried unless asked for."""
_WHAT_A_STEP_TAKES = ("batch_size", "sharpness", "trained", "mixup", "drop_block")
"""Settings of a recipe that change what a step takes, beside the precision."""

Kept = Callable[[MemberJob], int]
"""Job -> epochs of it that a checkpoint keeps."""
Key = tuple[ModelSpec, int]
"""A network and how many seeds of it are trained side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochTimes:
    """Seconds an epoch of one member takes, by network and members side by side."""

    seconds: Mapping[Key, float]
    """Infinite where a step could not be taken."""
    measured: frozenset[Key]
    """Those whose step was timed for this run; the others are of members trained on this device."""
    failed: Mapping[Key, str] = field(default_factory=dict)
    """Those whose step could not be taken, and why."""

    def epoch_s(self, one: StudyJob) -> float:
        """Return the seconds of a job's epoch, all its seeds, with the teacher's answers."""
        own = self.seconds[self._own(one)] * len(one.job.seeds)
        # A forward pass is a third of a training step's work.
        return own + sum(self.seconds[member.model, 1] for member in one.teacher) / 3

    def problem(self, one: StudyJob) -> str:
        """Say why a job's time is not known; empty where it is."""
        keys = (self._own(one), *((member.model, 1) for member in one.teacher))
        return next((self.failed[key] for key in keys if key in self.failed), "")

    def _own(self, one: StudyJob) -> Key:
        # The last few seeds of a model may be fewer than were timed side by side.
        together = (one.job.model, len(one.job.seeds))
        return together if together in self.seconds else (one.job.model, 1)


def epoch_times(
    pool: TrainingPool,
    images: ImageSet,
    jobs: Sequence[StudyJob],
    records: Iterable[MemberRecord],
    *,
    widths: Mapping[ModelSpec, int],
    device_name: str,
    update: Callable[[float, str], None] = lambda share, text: None,
) -> EpochTimes:
    """Return what every job that is still to do takes an epoch.

    A network of which no step can be taken here, for lack of memory or else, is among those `failed`.

    Args:
        pool: its workers time the steps, beside each other as they will train.
        images: of the study.
        jobs: of the study, not stacked.
        records: members that may have been trained here.
        widths: of every model that may be stacked, how many seeds; it is timed alone and stacked.
        device_name: what the maker calls the device at hand.
        update: told how far it is.
    """
    from zoo import ZooError

    todo = [one for one in jobs if not one.done]
    if not todo:
        return EpochTimes(seconds={}, measured=frozenset())
    examples = examples_learned(todo[0].job.recipe, images)
    known = _known(todo[0].job, records, device_name, examples)
    wanted: dict[Key, MemberJob] = {}
    by_model = {one.job.model: one.job for one in jobs if one.arm == SCALE}
    for one in todo:
        needed = {(one.job.model, 1): one.job}
        if one.arm == SCALE:
            needed[one.job.model, widths.get(one.job.model, 1)] = one.job
        for member in one.teacher:
            needed[member.model, 1] = by_model.get(member.model, one.job)
        wanted |= {key: job for key, job in needed.items() if key not in known}
    steps = -(-examples // todo[0].job.recipe.batch_size)
    futures = {
        key: pool.time_step(job, stacked=key[1], seconds=TIMING_S)
        for key, job in sorted(wanted.items(), key=str)
    }
    failed: dict[Key, str] = {}
    for number, (key, future) in enumerate(futures.items()):
        update(number / len(futures), f"timing a step of {key[0]}")
        try:
            known[key] = future.result() * steps
        except (ExplorerError, ZooError) as error:
            # One network that does not fit must not end the plan of all the others.
            known[key], failed[key] = math.inf, str(error)
    return EpochTimes(seconds=known, measured=frozenset(futures.keys() - failed.keys()), failed=failed)


def possible_widths(
    jobs: Sequence[StudyJob], *, up_to_macs: float = STACKED_UP_TO_MACS
) -> dict[ModelSpec, int]:
    """Return how many seeds are still to do of each network that may be stacked, where there are several."""
    missing: defaultdict[ModelSpec, int] = defaultdict(int)
    for one in jobs:
        if one.arm == SCALE and not one.done and one.job.macs <= up_to_macs and not one.job.alone:
            missing[one.job.model] += 1
    return {model: seeds for model, seeds in missing.items() if seeds > 1}


def begun_widths(
    jobs: Sequence[StudyJob], widths: Mapping[ModelSpec, int], kept: Kept
) -> dict[ModelSpec, int]:
    """Return the widths of what an interrupted run has begun of ``widths``: it goes on as it was.

    1 for a model of which one seed was begun by itself, unless a stack was as well.
    """
    todo = [one for one in jobs if not one.done and one.arm == SCALE and one.job.model in widths]
    alone = {one.job.model: 1 for one in todo if kept(one.job)}
    joined = (one.job for one in stacked(todo, widths) if len(one.job.seeds) > 1)
    return {**alone, **{job.model: len(job.seeds) for job in joined if kept(job)}}


def faster_widths(times: EpochTimes, widths: Mapping[ModelSpec, int]) -> dict[ModelSpec, int]:
    """Return those of ``widths`` that take less time a member than one seed alone."""
    seconds = times.seconds
    return {
        model: width
        for model, width in widths.items()
        if (model, width) in seconds and seconds[model, width] < seconds[model, 1]
    }


def _known(
    job: MemberJob, records: Iterable[MemberRecord], device_name: str, examples: int
) -> dict[Key, float]:
    """Return the median epoch of members that were trained on this very device as ``job`` will be.

    An epoch here is of ``examples``; the members may have seen more or fewer in each of theirs.
    """
    found: defaultdict[Key, list[float]] = defaultdict(list)
    own = job.recipe.settings()  # without those at their default, as in the records
    for record in records:
        training = record.training
        alike = (
            record.dataset == job.dataset
            and training.device_name == device_name
            and training.device == job.device
            and all(training.recipe.get(name) == own.get(name) for name in _WHAT_A_STEP_TAKES)
            and training.precision == job.recipe.precision
            and training.compiled == job.compiled
            and not training.teacher
            and training.epochs > 0  # not merged from others
        )
        if alike:
            seconds = training.wall_s / training.examples_seen * examples
            found[record.member.model, training.stacked].append(seconds)
    return {key: statistics.median(values) for key, values in found.items()}

"""Run a study: take up what is there, time what is missing, plan, train, and leave bundles."""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from explorer.data import ImageSet
from explorer.errors import ExplorerError
from explorer.record import MemberRecord
from explorer.run.progress import Update
from explorer.run.study import timing
from explorer.run.study.bundles import BundleFolder
from explorer.run.study.definitions import Study
from explorer.run.study.expand import SCALE, Expanded, StudyJob, expand, stacked, trained_already
from explorer.run.study.fate import Fate
from explorer.run.study.options import StudyOptions
from explorer.run.study.schedule import Row, choose, planned
from explorer.run.training.jobs import MemberJob, examples_learned, records_of
from explorer.run.training.pool import TrainingPool, default_workers, work_through
from explorer.run.training.unfinished import epochs_kept, finished_stack
from explorer.run.training.worker import JobOutcome, JobProgress
from explorer.spec import Member, ModelSpec
from explorer.store import Store

Shown = Callable[[str], AbstractContextManager[Update]]
"""Title -> a block in which progress is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """What is there, what fits and what is left."""

    study: Study
    rows: tuple[Row, ...]
    """In order."""
    workers: int
    measured: int
    """Networks whose step was timed for this plan."""
    notes: tuple[str, ...]

    def having(self, *fates: Fate) -> tuple[Row, ...]:
        """Return the rows with one of ``fates``."""
        return tuple(row for row in self.rows if row.fate in fates)

    @property
    def complete(self) -> bool:
        """Whether every training's members are in the store."""
        return len(self.having(Fate.THERE, Fate.DONE)) == len(self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOutcome:
    """What a run made."""

    plan: StudyPlan
    """With what became of every training."""
    records: tuple[MemberRecord, ...]
    """Members that this run made."""
    wall_s: float


def run_study(
    store: Store,
    images: ImageSet,
    study: Study,
    options: StudyOptions,
    *,
    shown: Shown,
    agreed: Callable[[StudyPlan], bool] = lambda plan: True,
) -> StudyOutcome:
    """Plan a study and train what fits.

    Args:
        store: has the members of earlier runs, and gets this one's, each as soon as it is whole.
        images: of the study's data set.
        study: which.
        options: how.
        shown: shows progress.
        agreed: sees the plan before anything is trained; False: that is all.

    Raises:
        ZooError: a model that does not exist.
        ExplorerError: a damaged bundle, a folder for bundles that cannot be written, a device that is not
            here, a worker that was ended from outside.
    """
    begun_s = time.monotonic()
    deadline_s = math.inf if options.minutes is None else begun_s + 60 * options.minutes
    folder = (
        BundleFolder(
            path=options.bundles,
            study=study.name,
            split_digest=images.split_digest,
            weights=options.bundle_weights,
        )
        if options.bundles
        else None
    )
    if folder is not None:
        folder.require_writable()
    found = expand(store, images, study, options)
    if folder is not None:
        found = _taken_up(store, images, folder, found)
    todo = sum(not one.done for one in found.jobs)
    workers = min(options.workers or default_workers(options.device), max(todo, 1))
    with TrainingPool(workers) as pool:
        with shown("timing") as update:
            plan = _plan(pool, store, images, study, found, options, update)
        left_s = deadline_s - time.monotonic()
        plan = replace(plan, rows=planned(plan.rows, workers=workers, left_s=left_s))
        if not agreed(plan):
            return StudyOutcome(plan=plan, records=(), wall_s=time.monotonic() - begun_s)
        run = _Run(store, pool, plan, folder, deadline_s)
        try:
            with shown("train") as update:
                run.go(update)
        finally:
            if folder is not None:  # what was committed while this process was interrupted
                folder.write(store, [o.job for o in found.jobs if _committed(store, images, o.job)])
    return StudyOutcome(plan=run.plan, records=tuple(run.records), wall_s=time.monotonic() - begun_s)


def _taken_up(store: Store, images: ImageSet, folder: BundleFolder, found: Expanded) -> Expanded:
    """Merge the bundles of what the store lacks, write those of what it has, and return what is done now."""
    folder.take_in(store, [one.job for one in found.jobs if not one.done])
    jobs = tuple(replace(one, done=_committed(store, images, one.job)) for one in found.jobs)
    folder.write(store, [one.job for one in jobs if one.done])
    return replace(found, jobs=jobs)


def _committed(store: Store, images: ImageSet, job: MemberJob) -> bool:
    return len(records_of(store, images, job)) == len(job.members)


def _plan(
    pool: TrainingPool,
    store: Store,
    images: ImageSet,
    study: Study,
    found: Expanded,
    options: StudyOptions,
    update: Update,
) -> StudyPlan:
    from explorer.measure.environment import conditions

    def kept(job: MemberJob) -> int:
        return epochs_kept(store, images, job)

    whole, jobs = trained_already(found.jobs, lambda job: finished_stack(store, images, job))
    possible = _widths(jobs, options)
    times = timing.epoch_times(
        pool,
        images,
        (*whole, *jobs),
        store.members(images.name),
        widths=possible,
        device_name=conditions(options.device).device_name,
        update=update,
    )
    widths = possible
    if options.stacked is None:
        were_begun = timing.begun_widths(jobs, possible, kept).items()
        # A stack that was begun, and that this device no longer holds, is trained one seed at a time.
        begun = {model: width for model, width in were_begun if (model, width) not in times.failed}
        widths = timing.faster_widths(times, possible) | begun
    # Predicting is a forward pass, a third of a step, over two more splits.
    examples = examples_learned(found.jobs[0].job.recipe, images)
    share = (len(images.select) + len(images.report)) / examples / 3
    # What is trained goes first: it only has to be committed.
    rows = [_row(one, times, kept, share) for one in (*whole, *stacked(jobs, widths))]
    return StudyPlan(
        study=study,
        rows=tuple(rows),
        workers=pool.workers,
        measured=len(times.measured),
        notes=(*found.notes, *_notes(jobs, options, times)),
    )


def _row(one: StudyJob, times: timing.EpochTimes, kept: timing.Kept, share: float) -> Row:
    """Return a plan's row; ``share``: of an epoch, what predicting takes."""
    if one.done:
        return Row(one=one, epoch_s=0.0, epochs_left=0, after_s=0.0, fate=Fate.THERE)
    epochs_left = one.job.recipe.epochs - kept(one.job)
    problem = times.problem(one)
    if problem:
        return Row(
            one=one, epoch_s=0.0, epochs_left=epochs_left, after_s=0.0, fate=Fate.FAILED, problem=problem
        )
    epoch_s = times.epoch_s(one)
    after_s = epoch_s * share * len(one.job.members) / len(one.job.seeds)
    return Row(one=one, epoch_s=epoch_s, epochs_left=epochs_left, after_s=after_s, fate=Fate.LEFT)


def _widths(jobs: Sequence[StudyJob], options: StudyOptions) -> dict[ModelSpec, int]:
    """Return how many seeds of each network may be trained side by side."""
    on_cpu = options.device == "cpu"
    if options.stacked == 1 or (options.stacked is None and on_cpu):
        return {}
    if options.stacked is None:
        return timing.possible_widths(jobs)
    possible = timing.possible_widths(jobs, up_to_macs=math.inf)
    return {model: min(options.stacked, seeds) for model, seeds in possible.items()}


def _notes(jobs: Sequence[StudyJob], options: StudyOptions, times: timing.EpochTimes) -> list[str]:
    """Return what of the stacking that was asked for, or tried, cannot be."""
    if options.stacked is None:
        return [
            f"{model}: its seeds are trained one at a time: {problem}"
            for (model, width), problem in times.failed.items()
            if width > 1
        ]
    if options.stacked == 1:
        return []
    alone = {one.job.alone for one in jobs if one.arm == SCALE and not one.done} - {""}
    return [f"not {options.stacked} seeds side by side: {what} cannot be stacked" for what in sorted(alone)]


class _Run:
    """A plan under way."""

    def __init__(
        self,
        store: Store,
        pool: TrainingPool,
        plan: StudyPlan,
        folder: BundleFolder | None,
        deadline_s: float,
    ) -> None:
        self.store, self.pool, self.plan, self.folder = store, pool, plan, folder
        self.deadline_s = deadline_s
        self.records: list[MemberRecord] = []
        self.waiting = [row for row in plan.rows if row.fate not in (Fate.THERE, Fate.FAILED)]
        self.there = {member for row in plan.having(Fate.THERE) for member in row.one.job.members}
        self.rows = {row.one.job.members: row for row in self.waiting}
        self.spent_s = dict.fromkeys(self.rows, 0.0)
        """Of each training, what its epochs so far should have taken."""

    def go(self, update: Update) -> None:
        """Train until nothing more fits."""

        def said(news: JobProgress) -> None:
            row = self.rows[news.members]
            epochs = row.one.job.recipe.epochs
            made = max(news.share * epochs - (epochs - row.epochs_left), 0.0)
            self.spent_s[news.members] = min(made * row.epoch_s, row.planned_s)
            planned_s = sum(one.planned_s for one in self.rows.values()) or 1.0
            done = len(self.plan.having(Fate.THERE, Fate.DONE))
            share = min(sum(self.spent_s.values()) / planned_s, 1.0)
            update(share, f"{done} of {len(self.plan.rows)} trainings done; {news.text}")

        work_through(
            self.pool,
            self._pick,
            done=self._done,
            said=said,
            deadline_s=None if math.isinf(self.deadline_s) else self.deadline_s,
        )

    def _pick(self) -> MemberJob | None:
        row = choose(self.waiting, self.there, self.deadline_s - time.monotonic())
        if row is None:
            return None
        self.waiting.remove(row)
        return row.one.job

    def _done(self, job: MemberJob, future: Future[JobOutcome]) -> None:
        from zoo import ZooError

        try:
            outcome = future.result()
        except (ExplorerError, ZooError) as error:
            # One training that diverges must not end a night's work; the outcome says which and why.
            self._becomes(job.members, Fate.FAILED, str(error))
            return
        if not outcome.records:
            self._becomes(job.members, Fate.STOPPED)
            return
        # Of a stack that an interrupted run began to commit, some were there.
        self.records += [record for record in outcome.records if record.member not in self.there]
        self.there |= set(job.members)
        self.spent_s[job.members] = self.rows[job.members].planned_s
        self._becomes(job.members, Fate.DONE)
        if self.folder is not None:
            self.folder.write(self.store, [job])

    def _becomes(self, members: tuple[Member, ...], fate: Fate, problem: str = "") -> None:
        rows = [
            replace(row, fate=fate, problem=problem) if row.one.job.members == members else row
            for row in self.plan.rows
        ]
        self.plan = replace(self.plan, rows=tuple(rows))

"""Plan a profile: which models under which workloads, in what order, how long, and what is there already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from explorer.convention import Basis
from explorer.errors import EnvironmentMissingError, UsageError
from explorer.measure.environment import conditions, find_device
from explorer.measure.precision import refuse_impossible
from explorer.measure.stopping import MIN_SAMPLES, StopRule
from explorer.measure.tail import tail_bounds
from explorer.profile_record import ProfileRow
from explorer.record import Conditions, CostRecord, LatencyRun
from explorer.run.profiling.devices import here
from explorer.run.profiling.subjects import Subject
from explorer.run.workload_grid import convention
from explorer.store import Store
from explorer.workload import Runtime, Workload

GROUP = 8
"""Most models timed in the same rounds: more would hold more memory and lose more to an interruption."""
_PREPARE_S = {
    Runtime.ONNXRUNTIME: 4.0,
    Runtime.EAGER: 0.5,
    Runtime.DEPLOY: 1.5,
    Runtime.COMPILED: 30.0,
    Runtime.GRAPH: 2.0,
    Runtime.XLA: 30.0,
}
"""Guesses of the time before a model can be timed; they only shape the plan's estimate."""
_MACS_PER_S = {"cpu": 1e10, "cuda": 2e12}
"""Guesses again: of one thread, and of one GPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How rows are measured."""

    seconds: float = 2.0
    """Longest time spent sampling one row in one series."""
    repeat: int = 1
    """Series: every row is prepared and timed anew in each, in another order."""
    minutes: float | None = None
    """What does not fit in this time is left out; the most informative rows come first."""
    max_age_days: float = 7.0
    """A stored row that is older is measured again."""
    again: bool = False
    """Measure what is stored, too."""
    full_time: bool = False
    """Sample for all of ``seconds``, also when the median is steady before: for the tails."""
    beside_s: float = 0.0
    """What a row takes beside its time, for the estimate: its energy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row to be measured."""

    subject: Subject
    workload: Workload
    """As asked for: the store's label."""

    @property
    def text(self) -> str:
        """Model and workload, for people."""
        return f"{self.subject.model} on {self.workload}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A job and how long it may take."""

    job: Job
    seconds: float
    """Estimate, all series and preparation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a profile will do, in this order."""

    planned: tuple[Planned, ...]
    left_out: tuple[Planned, ...]
    """Did not fit in the time given."""
    stored: tuple[ProfileRow, ...]
    """There already, under the same conditions."""
    refused: tuple[ProfileRow, ...]
    """Cannot be: each with its reason."""

    @property
    def seconds(self) -> float:
        """Estimate of the whole."""
        return sum(one.seconds for one in self.planned)


def plan_rows(
    store: Store,
    chosen: Sequence[Subject],
    workloads: Sequence[Workload],
    options: Options,
    *,
    macs: Mapping[Subject, float] | None = None,
    now: datetime | None = None,
) -> Plan:
    """Order the rows, estimate them, and leave out what is stored, impossible, or beyond the time given.

    Args:
        store: is only read.
        chosen: the models.
        workloads: in order of importance, from `grid`.
        options: time given, repeats, what to do with stored rows.
        macs: of one example, for the estimate.
        now: replaced in tests.

    Raises:
        UsageError: every row is impossible, or the device is unknown.
        EnvironmentMissingError: the device is known, but not here.
    """
    since = (now or datetime.now(UTC)) - timedelta(days=options.max_age_days)
    planned: list[Planned] = []
    left_out: list[Planned] = []
    stored, refused = [], []
    spent = 0.0
    for workload in workloads:
        usual = here(workload)
        records = _current(store, workload, since) if not options.again else {}
        try:
            refuse_impossible(usual, find_device(usual.device))
        except UsageError as error:
            refused += [row_without(Job(subject=s, workload=workload), str(error)) for s in chosen]
            continue
        for subject in chosen:
            job = Job(subject=subject, workload=workload)
            row = _stored_row(store, records.get(subject), job, options.repeat)
            if row is not None:
                stored.append(row)
                continue
            one = Planned(
                job=job,
                seconds=_estimate(usual, (macs or {}).get(subject, 0.0), options, len(chosen)),
            )
            fits = options.minutes is None or not planned or spent + one.seconds <= options.minutes * 60.0
            (planned if fits else left_out).append(one)
            spent += one.seconds if fits else 0.0
    if refused and not (planned or stored or left_out):
        raise UsageError(str(refused[0].error))
    return Plan(
        planned=tuple(planned), left_out=tuple(left_out), stored=tuple(stored), refused=tuple(refused)
    )


def row_without(job: Job, reason: str) -> ProfileRow:
    """Return the row of a job that has no figure."""
    return ProfileRow(subject=str(job.subject.model), workload=job.workload, error=" ".join(reason.split()))


def _estimate(workload: Workload, macs: float, options: Options, beside: int) -> float:
    rate = _MACS_PER_S["cpu" if workload.device == "cpu" else "cuda"]
    calls = MIN_SAMPLES + StopRule().warmup
    sampling = max(options.seconds, calls * macs * workload.batch / rate)
    # the reference workload is one more call in each group's rounds
    share = 1.0 + 1.0 / max(1, min(GROUP, beside))
    return options.repeat * (_PREPARE_S[workload.runtime] + sampling * share) + options.beside_s


def _current(store: Store, workload: Workload, since: datetime) -> dict[Subject, CostRecord]:
    """Return the stored timings of a workload that were taken under the conditions of now."""
    found = {}
    for record in store.costs("latency", str(workload), since=since.isoformat(timespec="microseconds")):
        seen = record.conditions
        if (
            record.figure.basis is Basis.MEASURED
            and record.convention == convention(workload)
            and record.samples_digest is not None
            and seen is not None
            and _unchanged(seen)
        ):
            subject = Subject(model=record.model, channels=record.channels, classes=record.classes)
            found[subject] = record
    return found


def _unchanged(seen: Conditions) -> bool:
    """Tell whether a measurement made now would have the same conditions."""
    try:
        now = conditions(
            seen.device,
            seen.dtype,
            batch=seen.batch,
            threads=seen.threads,
            backend=seen.backend,
            memory_format=seen.memory_format,
            form=seen.form,
        )
    except (UsageError, EnvironmentMissingError):
        return False  # made elsewhere, or with what is no longer installed
    return now == seen


def _stored_row(store: Store, record: CostRecord | None, job: Job, repeat: int) -> ProfileRow | None:
    """Return a stored timing as a row, or None where it is missing or has too few series."""
    if record is None or record.samples_digest is None or record.conditions is None:
        return None
    notes = store.sample_notes(record.samples_digest)
    medians = tuple(notes.get("series_medians_s", ())) or (record.figure.value,)
    if len(medians) < repeat:
        return None
    run = LatencyRun(
        subject=str(job.subject.model),
        samples_s=tuple(store.samples(record.samples_digest).tolist()),
        warmup_s=tuple(store.samples(record.samples_digest, phase="warmup").tolist()),
        conditions=record.conditions,
        stop_reason=str(notes.get("stop_reason", "unknown")),
        observations=notes.get("observations", {}),
    )
    return ProfileRow(
        subject=run.subject,
        workload=job.workload,
        figure=record.figure,
        run=run,
        tails=tail_bounds(run.samples_s),
        doubtful_reasons=tuple(notes.get("doubtful_reasons", ())),
        series_medians_s=medians,
        memory_bytes=notes.get("memory_bytes"),
        from_store=True,
    )

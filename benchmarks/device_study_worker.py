"""Measure a study's units one after the other with the product's own functions, and keep each at once.

This runs in a process of its own, which the study starts again when it dies: what an error of the device
leaves behind would spoil everything after it. A unit's attempts are written down before it begins, so
that what ended a process twice, alone, becomes a row with that reason.
"""

import datetime
import json
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.device_study_plan import (
    CALIBRATION_RUNS,
    Asked,
    Unit,
    candidates,
    main_precision,
    subject_of,
    units,
)
from benchmarks.device_study_rows import Row, append, key_of, read, read_json, write_json
from explorer import __version__
from explorer.errors import EnvironmentMissingError, InputDataError, UsageError
from explorer.profile_record import ProfileRow
from explorer.report.profile import profile_document
from explorer.report.profile_parts import figure_document
from explorer.run.fitting import planned_runs
from explorer.run.profiling import Options, plan_rows, run_plan
from explorer.run.profiling.designs import design_jobs, run_designs
from explorer.run.profiling.energy import ROW_S, Subjects, bound_part, device_entry, with_energy
from explorer.spec import Ensemble, parse_design
from explorer.store import Store
from explorer.workload import Runtime, Workload

ATTEMPTS = "attempts.json"
MOST_ATTEMPTS = 2
_EVER_DAYS = 36_500.0
_PACKAGES = ("torch", "timm", "torchvision", "triton", "numpy", "nvidia-ml-py")
_ASKED_OF_SMI = (
    "name,driver_version,pstate,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem,power.limit,temperature.gpu"
)
_LEAST_RATIO, _MOST_RATIO = 0.1, 5.0
_SURPRISE_S = 2.0
"""Of the time left, not given away to estimates."""

_SPOILT = "CUDA error"
"""Says torch when a process will get nothing more from its device; running out of memory is not that."""
_REASON_CHARACTERS = 300

Measure = Callable[[Store, Unit, Options], Sequence[ProfileRow]]
Clock = Callable[[], float]


def work(
    folder: Path, asked: Asked, until: float, *, measure: Measure | None = None, clock: Clock = time.monotonic
) -> bool:
    """Measure what is not there yet and fits; return whether nothing is left.

    Args:
        folder: the study's.
        asked: what it is to hold; the planner's models are added.
        until: reading of ``clock`` at which to stop.
        measure: replaced in tests.
        clock: replaced in tests.

    Raises:
        EnvironmentMissingError: the device is not here.
        UsageError: an unknown stage or model.
    """
    machine = describe(folder, asked.device)
    asked = _with_plan(folder, asked, machine)
    options = Options(seconds=asked.seconds, repeat=asked.repeat, max_age_days=_EVER_DAYS)
    done = {key_of(row) for row in read(folder) if row["machine"] == machine}
    ratios: dict[tuple[str, Runtime], float] = {}
    complete = True
    with Store.open(folder / "store") as store:
        for unit in units(asked):
            for part in _parts(folder, unit, done):
                kind = (part.kind, part.workload.runtime)
                guess = _estimate(store, part, options)
                if clock() + guess * ratios.get(kind, 1.0) + _SURPRISE_S > until:
                    complete = False
                    continue
                begin = clock()
                rows = _tried(folder, store, part, options, measure or measured)
                append(folder, [_document(row, part, machine) for row in rows])
                _forget(folder, part)
                took = clock() - begin
                ratios[kind] = min(_MOST_RATIO, max(_LEAST_RATIO, took / guess))
                done |= {part.key(subject) for subject in part.subjects}
                _say(f"{took:5.1f} s, {max(0.0, until - clock()):5.0f} s left: {_text(part)}")
    return complete


def _parts(folder: Path, unit: Unit, done: set[str]) -> Sequence[Unit]:
    """Return what is left of a unit: together, but what ended a process before alone."""
    left = [subject for subject in unit.subjects if unit.key(subject) not in done]
    attempts = read_json(folder / ATTEMPTS, {})
    alone = [subject for subject in left if unit.key(subject) in attempts]
    together = [subject for subject in left if subject not in alone]
    return [unit.only(part) for part in (together, *([one] for one in alone)) if part]


def _tried(
    folder: Path, store: Store, unit: Unit, options: Options, measure: Measure
) -> Sequence[ProfileRow]:
    """Measure a unit, or give up what was begun alone too often; what merely fails is a row.

    Raises:
        RuntimeError: an error after which a process gets no more answers from its device.
    """
    attempts: dict[str, Any] = read_json(folder / ATTEMPTS, {})
    keys = [unit.key(subject) for subject in unit.subjects]
    before = attempts.get(keys[0], {"count": 0, "alone": 0, "error": ""})
    if before["count"] >= MOST_ATTEMPTS and before["alone"]:
        reason = before["error"] or "it ended the process that measured it"
        return [ProfileRow(subject=unit.subjects[0], workload=unit.workload, error=reason)]
    now = {"count": before["count"] + 1, "alone": before["alone"] + (len(keys) == 1), "error": ""}
    write_json(folder / ATTEMPTS, attempts | dict.fromkeys(keys, now))
    try:
        return measure(store, unit, options)
    except KeyboardInterrupt:
        write_json(folder / ATTEMPTS, attempts)
        raise
    # Whatever one model does to its runtime is that model's row, with the reason; the study goes on.
    except Exception as error:
        now["error"] = " ".join(f"{type(error).__name__}: {error}".split())[:_REASON_CHARACTERS]
        if _SPOILT not in now["error"]:
            if len(keys) == 1:
                return [ProfileRow(subject=unit.subjects[0], workload=unit.workload, error=now["error"])]
            alone = [unit.only([subject]) for subject in unit.subjects]
            return [row for one in alone for row in _tried(folder, store, one, options, measure)]
        write_json(folder / ATTEMPTS, attempts | dict.fromkeys(keys, now))
        raise


def _forget(folder: Path, unit: Unit) -> None:
    keys = {unit.key(subject) for subject in unit.subjects}
    attempts = read_json(folder / ATTEMPTS, {})
    write_json(folder / ATTEMPTS, {key: value for key, value in attempts.items() if key not in keys})


# ---- measuring ----------------------------------------------------------------------------------


def measured(store: Store, unit: Unit, options: Options) -> Sequence[ProfileRow]:
    """Measure a unit as `explorer profile` does; what cannot be is a row with the reason."""
    if unit.kind == "placement":
        return _placed(store, unit, options)
    if unit.kind == "energy":
        return _with_energy(store, unit, options)
    return _timed(store, unit, options)


def _timed(store: Store, unit: Unit, options: Options) -> Sequence[ProfileRow]:
    try:
        plan = plan_rows(store, [subject_of(text) for text in unit.subjects], [unit.workload], options)
        return run_plan(store, plan, options).rows
    except (UsageError, InputDataError) as error:
        if len(unit.subjects) > 1:
            # none of all could be timed: each has its own reason
            return [row for text in unit.subjects for row in _timed(store, unit.only([text]), options)]
        return [_failed(unit, error)]


def _placed(store: Store, unit: Unit, options: Options) -> Sequence[ProfileRow]:
    jobs, refused = design_jobs(
        store,
        [_ensemble(unit)],
        [unit.workload],
        placements=unit.placements,
        dataset=None,
        channels=3,
        classes=10,
    )
    rows, _ = run_designs(store, jobs, options)
    return [*rows, *refused]


def _with_energy(store: Store, unit: Unit, options: Options) -> Sequence[ProfileRow]:
    rows = _timed(store, unit, options)
    subjects = Subjects(models={text: subject_of(text) for text in unit.subjects}, designs={})
    return with_energy(store, rows, subjects, options)


def _ensemble(unit: Unit) -> Ensemble:
    design = parse_design(unit.subjects[0])
    if not isinstance(design, Ensemble):
        raise AssertionError(f"{unit.subjects[0]} is planned as an ensemble")
    return design


def _failed(unit: Unit, error: Exception) -> ProfileRow:
    """Return the row of a model that could not be timed; the reason without what the row says anyway."""
    subject = unit.subjects[0]
    reason = " ".join(str(error).split()).removeprefix(f"nothing could be measured: {subject}: ")
    reason = reason.removeprefix(f"{unit.workload} cannot be measured: ")
    return ProfileRow(subject=subject, workload=unit.workload, error=reason)


def _estimate(store: Store, unit: Unit, options: Options) -> float:
    """Return the seconds that the product plans for it; the study learns how far off that is."""
    if unit.kind == "placement":
        jobs, _ = design_jobs(
            store,
            [_ensemble(unit)],
            [unit.workload],
            placements=unit.placements,
            dataset=None,
            channels=3,
            classes=10,
        )
        return sum(job.seconds(options) for job in jobs) or 1.0
    beside = ROW_S if unit.kind == "energy" else 0.0
    try:
        again = Options(seconds=options.seconds, repeat=options.repeat, again=True)
        plan = plan_rows(store, [subject_of(text) for text in unit.subjects], [unit.workload], again)
    except UsageError:
        return 1.0  # refused: a row at once
    return plan.seconds + beside * len(unit.subjects)


# ---- rows ---------------------------------------------------------------------------------------


def _document(row: ProfileRow, unit: Unit, machine: str) -> Row:
    document: Any = profile_document([row])
    told: Row = {
        **document["rows"][0],
        "kind": unit.kind,
        "stage": unit.stage,
        "machine": machine,
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "samples_s": [] if row.run is None else list(row.run.samples_s),
    }
    if unit.kind == "energy" and row.figure is not None:
        told["energy_bound_j"] = figure_document(bound_part(row, device_entry(row), "").figure)
    return told


def _text(unit: Unit) -> str:
    first = unit.subjects[0] if len(unit.subjects[0]) < 60 else f"{unit.subjects[0][:57]}..."
    more = f" and {len(unit.subjects) - 1} more" if len(unit.subjects) > 1 else ""
    return f"{unit.stage}: {first}{more} on {unit.workload}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# ---- the machine and the planner's models -------------------------------------------------------


def describe(folder: Path, device: str) -> str:
    """Write down what this machine is and how its clocks stand, and return its device's name.

    Raises:
        EnvironmentMissingError: the device is not here.
    """
    import torch

    from explorer.measure.environment import conditions, find_device
    from explorer.measure.observe import observe

    here = conditions(device)
    told: dict[str, Any] = {
        "device": here.device,
        "versions": {"explorer": __version__, **dict(here.versions), **_versions()},
        "power_state": here.power_state,
        "system": platform.platform(),
        "observed": observe(device).document(),
    }
    found = find_device(device)
    if found.type == "cuda":
        seen = torch.cuda.get_device_properties(found)
        told["gpu"] = {
            "capability": f"{seen.major}.{seen.minor}",
            "multiprocessors": seen.multi_processor_count,
            "memory_bytes": seen.total_memory,
            "nvidia_smi": _smi(found.index),
        }
    machines = read_json(folder / "machines.json", {})
    before = machines.get(here.device_name, {})
    machines[here.device_name] = {**told, "planned": before.get("planned", [])}
    write_json(folder / "machines.json", machines)
    return here.device_name


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _smi(index: int) -> str:
    """Return what the driver's own program says of clocks and limits; it is only asked."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "not installed"
    command = [program, f"--query-gpu={_ASKED_OF_SMI}", "--format=csv", f"--id={index}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stdout.strip() or done.stderr.strip()


def _with_plan(folder: Path, asked: Asked, machine: str) -> Asked:
    """Return what is asked with the models that the planner chose, once for each machine."""
    machines = read_json(folder / "machines.json", {})
    kept = machines[machine]["planned"]
    if not kept and {"planned", "energy"} & set(asked.stages):
        kept = list(_planned(folder, asked, machine))
        machines[machine]["planned"] = kept
        write_json(folder / "machines.json", machines)
    return Asked(**{**asked.document(), "planned": tuple(kept)})


def _planned(folder: Path, asked: Asked, machine: str) -> Sequence[str]:
    names, resolution = candidates(asked)
    if not names:
        return ()
    workload = Workload(
        device=known_device(asked.device, machine),
        batch=64,
        precision=main_precision(asked.device),
        runtime=Runtime.EAGER,
    )
    try:
        return planned_runs(
            workload,
            min(CALIBRATION_RUNS, len(names)),
            candidates=names,
            resolution=resolution,
            cache=folder / "traced",
            update=lambda share, text: None,
        )
    except (UsageError, EnvironmentMissingError) as error:
        _say(f"no calibration runs planned: {error}")
        return ()


def known_device(device: str, machine: str) -> str:
    """Return the device's key in the device table; where the table lacks it, as torch calls it."""
    from explorer.data.devices import find_device_entry

    try:
        # a processor's name is followed by its vector instructions
        return find_device_entry(machine.rpartition(" (")[0] if device == "cpu" else machine).key
    except UsageError:
        return device


def read_asked(text: str) -> Asked:
    """Return what the study's process handed over."""
    return Asked.read(json.loads(text))

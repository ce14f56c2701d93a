"""Measure what a device does, as much as fits in the time given, and say how well it was predicted.

    python -m benchmarks.device_study run --out DIR --minutes 25 [--device cuda]     measures; goes on in DIR
    python -m benchmarks.device_study report --out DIR [--results DIR]               writes Markdown and CSV

`run` may be called again with the same DIR, and stopped at any time: every call ends with
DIR/device_study.zip, one file below 15 MiB with all rows so far, their raw samples, versions, driver and
clocks. A DIR with nothing but that file goes on from it. Stages, in this order: planned, eager, graph,
compiled, nhwc, placements, energy. Nothing is timed here: rows come from what `explorer profile` runs.
Nothing changes clocks or power settings.
"""

import argparse
import contextlib
import datetime
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.device_study_plan import STAGES, Asked, units
from benchmarks.device_study_rows import Row, export, read, read_json, restore, write_json
from explorer.errors import ExplorerError, UsageError
from zoo import ZooError

RESULTS = Path(__file__).with_name("results")
_ROOT = Path(__file__).resolve().parents[1]
GRACE_S = 10.0
"""After the time is up, for a process that does not answer."""
LEAST_S = 3.0
"""No process is begun for less."""
MOST_DEATHS = 20
COMPLETE, TIME_UP, DIED, INTERRUPTED = 0, 10, 1, 130
_USAGE_CODES = (2, 3)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study, write its report, or (internal) measure in this very process; return the exit code."""
    given = _parser().parse_args(arguments)
    try:
        if given.job == "work":
            return _work(given.out, given.asked, given.until)
        if given.job == "run":
            return run(given.out, _asked(given), given.minutes)
        from benchmarks.device_study_report import write_report

        for path in write_report(given.out, given.results):
            print(path)
    except (ExplorerError, ZooError) as error:
        print(f"device_study: {' '.join(str(error).split())}", file=sys.stderr)
        return getattr(error, "exit_code", 2)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.device_study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    jobs = parser.add_subparsers(dest="job", required=True)
    measuring = jobs.add_parser("run", help="measure what fits in the time given")
    measuring.add_argument("--out", type=Path, required=True, metavar="DIR")
    measuring.add_argument("--minutes", type=float, required=True, metavar="N")
    measuring.add_argument("--device", default="cuda", help="cuda, cuda:1, cpu")
    measuring.add_argument("--models", nargs="+", default=(), metavar="MODEL[@SIZE]", help="instead of all")
    measuring.add_argument("--stages", nargs="+", default=STAGES, choices=STAGES)
    measuring.add_argument("--batches", nargs="+", type=int, default=(), metavar="N", help="instead of all")
    measuring.add_argument("--seconds", type=float, default=0.5, help="most for each row and series; 0.5")
    measuring.add_argument("--repeat", type=int, default=1, help="series of each row; 1")
    reporting = jobs.add_parser("report", help="write device_study_NAME.md and .csv")
    reporting.add_argument("--out", type=Path, required=True, metavar="DIR", help="of run, or of its bundle")
    reporting.add_argument("--results", type=Path, default=RESULTS, metavar="DIR")
    working = jobs.add_parser("work")
    working.add_argument("--out", type=Path, required=True)
    working.add_argument("--asked", required=True)
    working.add_argument("--until", type=float, required=True)
    return parser


def _asked(given: argparse.Namespace) -> Asked:
    if not given.minutes > 0:
        raise UsageError(f"--minutes is {given.minutes}, wanted above 0")
    asked = Asked(
        device=given.device,
        models=tuple(given.models),
        stages=tuple(given.stages),
        batches=tuple(given.batches),
        seconds=given.seconds,
        repeat=given.repeat,
    )
    units(asked)  # refuses unknown models before a process is started
    return asked


# ---- the process that measures ------------------------------------------------------------------


def _work(folder: Path, asked: str, until: float) -> int:
    """Measure until the time is up; the exit code says why it ended."""
    from benchmarks.device_study_worker import read_asked, work

    signal.signal(signal.SIGALRM, _stop)
    signal.signal(signal.SIGTERM, _stop)
    signal.setitimer(signal.ITIMER_REAL, max(0.1, until - time.monotonic()))
    try:
        return COMPLETE if work(folder, read_asked(asked), until) else TIME_UP
    except KeyboardInterrupt:
        return TIME_UP


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


# ---- the process that watches -------------------------------------------------------------------


def run(folder: Path, asked: Asked, minutes: float) -> int:
    """Measure what fits, and write the bundle however it ends; return the exit code."""
    begin = time.monotonic()
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    restore(folder)
    before = len(read(folder))
    call = {
        "begin": _now(),
        "minutes": minutes,
        "asked": asked.document(),
        "processor_cores": os.cpu_count(),
    }
    signal.signal(signal.SIGTERM, _stop)
    code, reason = DIED, "died"
    try:
        code, reason = _watch(folder, asked, begin + 60.0 * minutes)
    finally:
        rows = read(folder)
        if rows or code not in _USAGE_CODES:
            _conclude(folder, rows, before, call, reason)
    return code


def _conclude(folder: Path, rows: Sequence[Row], before: int, call: Mapping[str, Any], reason: str) -> None:
    """Write the call down and everything into the bundle, and say what there is."""
    told = {**call, "end": _now(), "ended": reason, "rows": len(rows) - before}
    write_json(folder / "calls.json", [*read_json(folder / "calls.json", []), told])
    path = export(folder, rows)
    errors = sum(row.get("error") is not None for row in rows)
    print(
        f"{len(rows)} rows ({len(rows) - before} new, {errors} with a reason instead of a time), "
        f"{reason}: {path} ({path.stat().st_size / 2**20:.2f} MiB)"
    )


def _watch(folder: Path, asked: Asked, until: float) -> tuple[int, str]:
    """Start the measuring process, again whenever it dies; return the exit code and how it ended."""
    for _ in range(MOST_DEATHS):
        left = until - time.monotonic()
        if left < LEAST_S:
            return 0, "time is up"
        code = _one_process(folder, asked, until)
        if code == COMPLETE:
            return 0, "complete"
        if code in (TIME_UP, None):
            return 0, "time is up"
        if code in (INTERRUPTED, *_USAGE_CODES):
            return code, "interrupted" if code == INTERRUPTED else "refused"
        print(f"the measuring process ended with {code}; starting another", file=sys.stderr, flush=True)
    return DIED, f"the measuring process died {MOST_DEATHS} times"


def _one_process(folder: Path, asked: Asked, until: float) -> int | None:
    """Run the measuring process to its end or past the time; None where it had to be killed."""
    known = os.environ.get("PYTHONPATH")
    command: list[Any] = [sys.executable, "-m", "benchmarks.device_study", "work", "--out", folder]
    command += ["--asked", json.dumps(asked.document()), "--until", repr(until)]
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(_ROOT), known)))},
        start_new_session=True,
    )
    try:
        return process.wait(timeout=max(0.0, until - time.monotonic()) + GRACE_S)
    except subprocess.TimeoutExpired:
        return None
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=GRACE_S)
        except subprocess.TimeoutExpired:
            print("the measuring process does not answer; ended", file=sys.stderr)
        return INTERRUPTED
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and what it started: compilers have workers."""
    with contextlib.suppress(ProcessLookupError):  # all have ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


if __name__ == "__main__":
    sys.exit(main())

"""Compare this project's counter with its peers on 150 timm models, in one run.

    python -m benchmarks.counters run --work DIR      count; continues where an earlier run stopped
    python -m benchmarks.counters report --work DIR   write benchmarks/results from what was counted
    python -m benchmarks.counters sample              print the sample as the rule draws it

To be run from the repository's root with an environment of its own: benchmarks/README.md.
"""

import argparse
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import machine, sample, summary
from benchmarks.worker import Limits

TIME_LIMIT_S = 90.0
"""Wall time that one step (one counter on one model, or building a model) may take."""
START_LIMIT_S = 300.0
"""Wall time for the imports and first calls of a fresh worker."""
RESULTS = Path(__file__).with_name("results")


class Run:
    """One file of results, the worker that adds to it, and what is known from before."""

    def __init__(self, work: Path, limits: Limits, stop_at: float = float("inf")) -> None:
        self.file = work / "events.jsonl"
        self.errors = work / "worker.log"
        self.limits = limits
        self.stop_at = stop_at
        """Time of day after which no further model is begun."""
        work.mkdir(parents=True, exist_ok=True)
        self.done: set[tuple[str, str, int | str]] = set()
        for event in read_events(self.file):
            self._note(event)

    def _note(self, event: dict[str, Any]) -> None:
        """Remember which counter and round an event settles."""
        if event["event"] != "result":
            return
        key = (event["model"], event["counter"])
        self.done.add((*key, event["round"]))
        if event["status"] != "ok" or event["cpu_s"] > self.limits.repeat_s:
            self.done.add((*key, "last"))

    def write(self, event: dict[str, Any]) -> None:
        """Append one event, on disk before anything else happens."""
        with self.file.open("a") as file:
            file.write(json.dumps(event) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._note(event)

    def left(self, names: Sequence[str], counters: Sequence[str]) -> list[str]:
        """Return the models that some counter has still to see."""
        return [name for name in names if any(not self._settled(name, counter) for counter in counters)]

    def _settled(self, name: str, counter: str) -> bool:
        rounds = all((name, counter, turn) in self.done for turn in range(self.limits.rounds))
        return rounds or (name, counter, "last") in self.done

    def go(self, names: Sequence[str], counters: Sequence[str]) -> None:
        """Count what is left, with as many workers after each other as it takes."""
        total, lost = len(names), 0
        while (left := self.left(names, counters)) and time.time() < self.stop_at:
            before = len(self.done)
            self._one_worker(left, total - len(left), total, counters)
            lost = 0 if len(self.done) > before else lost + 1
            if lost == 3:
                raise RuntimeError(f"three workers ended without a result; see {self.errors}")

    def _one_worker(self, left: list[str], finished: int, total: int, counters: Sequence[str]) -> None:
        job = {"models": left, "limits": asdict(self.limits), "done": [list(key) for key in self.done]}
        with self.errors.open("a") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            )
        assert worker.stdin is not None
        worker.stdin.write(json.dumps(job).encode() + b"\n")
        worker.stdin.close()
        try:
            self._listen(worker, finished, total, counters)
        finally:
            worker.kill()
            worker.wait()

    def _listen(self, worker: subprocess.Popen, finished: int, total: int, counters: Sequence[str]) -> None:
        """Take down events until the worker ends or a step takes too long; settle the step it was at."""
        step: dict[str, Any] = {"model": "", "counter": "imports", "round": 0}
        for event in _events(worker):
            if event is None:
                self._lost(step, f"time limit of {TIME_LIMIT_S:g} s", counters)
                return
            if event["event"] == "start":
                if event["counter"] == "build" and time.time() > self.stop_at:
                    return
                step = event
                continue
            if event["event"] == "end":
                return
            if event["event"] == "model":
                finished += 1
                print(f"{finished:4d} / {total}  {event['model']}  {event['limit']}", flush=True)
            self.write(event)
            step = {**step, "counter": ""}
        self._lost(step, f"the process ended with status {worker.wait()}", counters)

    def _lost(self, step: dict[str, Any], reason: str, counters: Sequence[str]) -> None:
        """Record that a step brought its worker down: of one counter, or of all where it was the model."""
        if not step["model"] or not step["counter"]:
            return
        named = counters if step["counter"] == "build" else (step["counter"],)
        for counter in named:
            failed = {"status": "failed", "reason": f"{reason} at {step['counter']}", "round": step["round"]}
            self.write({"event": "result", "model": step["model"], "counter": counter, **failed})


def _events(worker: subprocess.Popen) -> Any:
    """Yield a worker's events; None where the time limit passed without one."""
    assert worker.stdout is not None
    limit, pending = START_LIMIT_S, b""
    with selectors.DefaultSelector() as selector:
        selector.register(worker.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(timeout=limit):
                yield None
                return
            chunk = os.read(worker.stdout.fileno(), 1 << 16)
            if not chunk:
                return
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                yield json.loads(line)
                limit = TIME_LIMIT_S


def read_events(file: Path) -> list[dict[str, Any]]:
    """Return the events in ``file``; a last line that a crash cut short is left out."""
    events = []
    for line in file.read_text().splitlines() if file.exists() else ():
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return events


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="count; continues where an earlier run stopped")
    run.add_argument("--work", type=Path, required=True, help="folder of the raw events")
    run.add_argument("--models", nargs="*", help="other models than the sample's, timm names")
    run.add_argument(
        "--forward-s", type=float, default=Limits().forward_s, help="limit of a plain forward pass"
    )
    run.add_argument("--minutes", type=float, default=float("inf"), help="begin no model after this time")
    report = commands.add_parser("report", help="write the tables from what was counted")
    report.add_argument("--work", type=Path, required=True, help="folder of the raw events")
    report.add_argument("--out", type=Path, default=RESULTS)
    report.add_argument("--note", default="", help="one sentence about this run, for the page")
    commands.add_parser("sample", help="print the sample as the rule draws it")
    return parser


def main() -> None:
    """Do what the command line says."""
    from benchmarks.peers import PEERS

    arguments = _parser().parse_args()
    if arguments.command == "sample":
        print("\n".join(sample.draw(sample.timm_names_by_module())))
        return
    if arguments.command == "report":
        summary.write(read_events(arguments.work / "events.jsonl"), arguments.out, arguments.note)
        return
    began = time.time()
    run = Run(arguments.work, Limits(forward_s=arguments.forward_s), began + 60 * arguments.minutes)
    run.write({"event": "begin", "load": os.getloadavg()[0]})
    run.go(arguments.models or sample.read(), [peer.name for peer in PEERS])
    facts = machine.describe() | {"limits": asdict(run.limits), "time_limit_s": TIME_LIMIT_S}
    run.write({"event": "run", "seconds": time.time() - began, **facts})


if __name__ == "__main__":
    main()

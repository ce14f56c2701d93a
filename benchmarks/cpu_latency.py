"""Time 40 timm models on this CPU, eager torch and onnxruntime, twice, and predict what was not measured.

    python -m benchmarks.cpu_latency prepare --out DIR     build, export, trace; may run on a busy machine
    python -m benchmarks.cpu_latency measure --out DIR     time; needs a quiet machine; 14 minutes
    python -m benchmarks.cpu_latency report  --out DIR     write results/cpu_latency.{csv,md}

Every step goes on where it was interrupted. One image a call, float32, 224 pixels, one thread, random
weights.

Each pass loads the models anew and visits them several times. On a visit the models are shuffled and cut
into groups; the calls of a group, both runtimes of each model and the fixed reference workload, are timed in
rounds, each once a round in shuffled order. So no two passes share an order or a group, and a busy
spell falls on a part of a model's samples alone. A group ends when the medians of all are known to 0.5 %
or its share of the time is up; the share grows with the square root of what a round takes, so slow groups
have fewer samples.
"""

import argparse
import contextlib
import datetime
import hashlib
import json
import math
import os
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cpu_latency_models import (
    MODELS,
    RUNTIMES,
    Say,
    load,
    prepare,
    prepared,
    say_on_stderr,
    stamp,
    traced_model,
    workload,
    write_json,
)
from benchmarks.cpu_latency_report import write_report
from benchmarks.cpu_latency_scores import Ours
from explorer.errors import ExplorerError, UsageError
from explorer.measure.environment import conditions
from explorer.measure.latency import Step, measure_interleaved
from explorer.measure.memory_limits import available_bytes
from explorer.measure.observe import doubtful_reasons, observe
from explorer.measure.precision import limited_threads, measuring
from explorer.measure.reference import REFERENCE, reference_call
from explorer.measure.runtime import Prepared
from explorer.prediction.rates import fit_rates
from explorer.workload import Runtime

RESULTS = Path(__file__).with_name("results")
PASSES, VISITS, GROUP = 2, 4, 5
"""Complete passes; visits of every model in each; models of a group."""
MINUTES = 14.0
HALF_WIDTH = 0.005
WARM_ROUNDS = 1
COLD_MATTERS_S = 0.05
"""Shorter calls are preceded by an untimed one, as in `explorer profile`: what ran before emptied caches."""
MEMORY_SHARE = 0.6
"""Of the memory that is free, for models held at once."""
_PER_MODEL_BYTES = 150 * 2**20
_WEIGHT_COPIES = 3


def main(arguments: Sequence[str] | None = None, ours: Ours | None = None) -> int:
    """Run one step; return its exit code.

    Args:
        arguments: of the command line.
        ours: fits our predictor to samples, for the report; None leaves it out.
    """
    given = _parser().parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    try:
        if given.step == "prepare":
            names = given.models or MODELS
            prepare(given.out, names)
            known = prepared(given.out)
            say_on_stderr(_plan_text([known[name] for name in names], MINUTES))
        elif given.step == "measure":
            measure(given.out, given.models or MODELS, minutes=given.minutes)
        else:
            print(write_report(given.out, given.results, ours=ours, fold_count=given.folds))
    except ExplorerError as error:
        print(f"cpu_latency: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("cpu_latency: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("step", choices=("prepare", "measure", "report"))
    parser.add_argument("--out", type=Path, required=True, help="folder for files and raw samples")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"for measure, in all; {MINUTES:g}")
    parser.add_argument("--models", nargs="*", metavar="NAME", help="others, or fewer, than the 40")
    parser.add_argument("--results", type=Path, default=RESULTS, help="for report: where it writes")
    parser.add_argument("--folds", type=int, help="for report: folds of families; one a family by default")
    return parser


# ---- plan ------------------------------------------------------------------------------------------


def make_plan(models: Mapping[str, int], memory: float, *, seed: int = 0) -> list[dict[str, Any]]:
    """Return the groups to time, in order: ``pass``, ``shelf``, ``visit``, ``group``, ``models``.

    A shelf is what is held in memory at once.

    Args:
        models: name -> bytes it takes.
        memory: bytes for a shelf.
        seed: of the orders.
    """
    plan = []
    for number in range(1, PASSES + 1):
        order = random.Random(f"{seed}/{number}").sample(sorted(models), len(models))
        for shelf, names in enumerate(_shelves(order, models, memory)):
            for visit in range(VISITS):
                shuffled = random.Random(f"{seed}/{number}/{shelf}/{visit}").sample(names, len(names))
                count = math.ceil(len(names) / GROUP)
                plan += [
                    {
                        "pass": number,
                        "shelf": shelf,
                        "visit": visit,
                        "group": at,
                        "models": shuffled[at::count],
                    }
                    for at in range(count)
                ]
    return plan


def _shelves(order: Sequence[str], models: Mapping[str, int], memory: float) -> list[list[str]]:
    shelves: list[list[str]] = [[]]
    for name in order:
        if shelves[-1] and sum(models[other] for other in shelves[-1]) + models[name] > memory:
            shelves.append([])
        shelves[-1].append(name)
    return shelves


def group_seconds(seconds_left: float, rounds_s: Sequence[float]) -> float:
    """Return how long the first of the groups left may take.

    Args:
        seconds_left: for all of them.
        rounds_s: what one round of each takes.
    """
    return max(0.0, seconds_left) * math.sqrt(rounds_s[0]) / sum(math.sqrt(one) for one in rounds_s)


def round_seconds(entries: Sequence[Mapping[str, float]]) -> float:
    """Return what one round of these models takes, untimed calls included, reference not."""
    calls = [entry[f"{runtime}_s"] for entry in entries for runtime in RUNTIMES]
    return sum(call * (2 if call < COLD_MATTERS_S else 1) for call in calls)


def _plan_text(entries: Sequence[Mapping[str, float]], minutes: float) -> str:
    once, load = round_seconds(entries), PASSES * sum(entry["load_s"] for entry in entries)
    rounds = (minutes * 60 - load) / once
    return (
        f"{len(entries)} models: loading for all passes {load:.0f} s, one round of all {once:.1f} s; in "
        f"{minutes:g} minutes about {max(0.0, rounds) / PASSES:.0f} samples a pass, in {VISITS} visits each"
    )


# ---- measure ---------------------------------------------------------------------------------------


def measure(out: Path, models: Sequence[str], *, minutes: float, say: Say = say_on_stderr) -> None:
    """Time what is left of the plan; each group is in a file of its own before the next begins.

    Raises:
        UsageError: models are not prepared, or the folder holds a measurement of others.
    """
    if not 0 < minutes < math.inf:
        raise UsageError(f"--minutes is {minutes}, wanted more than 0")
    begin, known = time.monotonic(), prepared(out)
    if missing := [name for name in models if name not in known]:
        raise UsageError(f"not prepared: {', '.join(missing)}; run the step prepare first")
    plan = _kept_plan(out, models, known)
    say(_plan_text([known[name] for name in models], minutes))
    left = [part for part in plan if not _part_path(out, part).exists()]
    end = begin + minutes * 60
    for shelf in _in_shelves(left):
        names = sorted({name for part in shelf for name in part["models"]})
        with contextlib.ExitStack() as stack, limited_threads(1):
            ready = {}
            for number, name in enumerate(names):
                say(f"pass {shelf[0]['pass']}: loading {number + 1} of {len(names)}: {name}")
                ready[name] = load(out, name, stack)
            for part in shelf:
                if time.monotonic() > end:
                    say(f"time is up: {len(left)} groups left; the same command goes on with them")
                    return
                rounds = [round_seconds([known[name] for name in other["models"]]) for other in left]
                later = _loads_after(part, left, known)
                seconds = group_seconds(end - time.monotonic() - later, rounds)
                found = _time_group(part, ready, known, seconds)
                write_json(_part_path(out, part), found)
                left.remove(part)
                say(
                    _group_text(
                        found, len(plan) - len(left), len(plan), time.monotonic() - begin, end - begin
                    )
                )
    say(f"all {len(plan)} groups are measured, {(time.monotonic() - begin) / 60:.1f} minutes")


def _kept_plan(
    out: Path, models: Sequence[str], known: Mapping[str, Mapping[str, float]]
) -> list[dict[str, Any]]:
    """Return the plan in the folder, or make one and keep it."""
    path = out / "plan.json"
    if path.exists():
        kept = json.loads(path.read_text())
        if set(kept["models"]) != set(models) or kept["stamp"] != stamp():
            raise UsageError(f"{path} is of a measurement of other models or versions: take another --out")
        return list(kept["parts"])
    sizes = {n: int(_WEIGHT_COPIES * known[n]["weight_bytes"]) + _PER_MODEL_BYTES for n in models}
    plan = make_plan(sizes, MEMORY_SHARE * (available_bytes() or math.inf))
    here = conditions("cpu", backend="torch-eager")
    document = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": here.device_name,
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "stamp": stamp(),
        "models": list(models),
        "traced": [
            [one.model, one.resolution, one.channels, one.classes] for one in map(traced_model, models)
        ],
        "parts": plan,
    }
    write_json(path, document)
    return plan


def _in_shelves(parts: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    keys = dict.fromkeys((part["pass"], part["shelf"]) for part in parts)
    for key in keys:
        yield [part for part in parts if (part["pass"], part["shelf"]) == key]


def _loads_after(
    part: Mapping[str, Any], left: Sequence[Mapping[str, Any]], known: Mapping[str, Mapping[str, float]]
) -> float:
    """Return the seconds that loading the shelves after this one will take."""
    here = (part["pass"], part["shelf"])
    later = {(p["pass"], name) for p in left if (p["pass"], p["shelf"]) != here for name in p["models"]}
    return sum(known[name]["load_s"] for _, name in later)


def _time_group(
    part: Mapping[str, Any],
    ready: Mapping[str, Mapping[Runtime, Prepared]],
    known: Mapping[str, Mapping[str, float]],
    seconds: float,
) -> dict[str, Any]:
    """Time the group's calls in rounds for about ``seconds``; return what is kept of it."""
    keys = [(name, runtime) for name in part["models"] for runtime in RUNTIMES]
    steps = {f"{name}/{runtime}": _step(ready[name][runtime], known[name]) for name, runtime in keys}
    with measuring(workload(Runtime.EAGER)):
        before = observe()
        runs = measure_interleaved(
            steps,
            conditions=next(iter(ready.values()))[Runtime.EAGER].conditions,
            seed=int.from_bytes(hashlib.sha256(_part_name(part).encode()).digest()[:4]),
            reference=reference_call(),
            min_seconds=0.0,
            max_seconds=max(1e-3, seconds / (len(steps) + 1)),
            target_half_width=HALF_WIDTH,
            warmup=WARM_ROUNDS,
        )
        after = observe()
    found = [(*key, runs["/".join(key)]) for key in keys]
    return {
        **part,
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "load": after.load_1m,
        "reference": REFERENCE,
        "reference_s": found[0][2].observations["reference_samples_s"],
        "runs": [
            {
                "model": name,
                "runtime": str(runtime),
                "samples_s": run.samples_s,
                "stop": run.stop_reason,
                "doubtful": doubtful_reasons(before, after, run),
            }
            for name, runtime, run in found
        ],
    }


def _step(ready: Prepared, entry: Mapping[str, float]) -> Step:
    short = entry[f"{ready.workload.runtime}_s"] < COLD_MATTERS_S
    return Step(ready.call, ready.call if short else None)


def _group_text(found: Mapping[str, Any], done: int, total: int, spent: float, limit: float) -> str:
    doubtful = sum(bool(run["doubtful"]) for run in found["runs"])
    left = max(0.0, limit - spent) if done < total else 0.0
    return (
        f"{done} of {total} groups (pass {found['pass']}, visit {found['visit'] + 1}): "
        f"{len(found['reference_s'])} samples each, load {found['load']:.1f}, "
        f"{doubtful} of {len(found['runs'])} doubtful; {spent:.0f} s, at most about {left:.0f} s left"
    )


def _part_name(part: Mapping[str, Any]) -> str:
    return f"p{part['pass']}-s{part['shelf']}-v{part['visit']}-g{part['group']}"


def _part_path(out: Path, part: Mapping[str, Any]) -> Path:
    return out / "raw" / f"{_part_name(part)}.json"


if __name__ == "__main__":
    sys.exit(main(ours=fit_rates))

"""Greedy ensemble selection: ours beside AutoGluon's, pick by pick and second by second.

    python -m benchmarks.greedy_selection --peer /somewhere/agvenv/bin/python --out FILE.json
    python -m benchmarks.greedy_selection --large --dir /somewhere/with/25GB --memory-gb 8
    python -m benchmarks.greedy_selection --plain

The peer's environment, never the project's: ``pip install --no-deps autogluon.core==1.6.3
autogluon.common==1.6.3 autogluon.features==1.6.3``, then what its import needs: ``numpy scipy scikit-learn
'pandas<2.4' packaging 'setuptools<82' tqdm networkx matplotlib typing_extensions requests boto3 psutil
pyarrow``.

Ours is timed from float16 probabilities to the selection, tables included, and the rounds alone. AutoGluon's
conversion to float64 is not in its time. ``--large`` writes made-up members as ``.npy`` files, maps them into
memory, selects by accuracy and by log loss, and deletes them; the heap is held below ``--memory-gb`` by the
operating system (pages of mapped files, which it may drop at any time, do not count).
"""

import argparse
import datetime
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from explorer.analysis.search import greedy_objectives, greedy_tables
from explorer.analysis.search.greedy import Objective, Rule, Selection, greedy

SIZES = ((50, 10_000, 10), (20, 10_000, 1_000))
LARGE = (200, 50_000, 1_000)
_PEER = Path(__file__).with_name("greedy_selection_peer.py")
_TIE_BREAKERS = {"second_metric": Rule(seed=0), "random": Rule(second_metric=False, seed=0)}
_ROWS = 2_000
"""Examples made at once."""


def write_members(folder: Path, members: int, examples: int, classes: int, seed: int = 0) -> None:
    """Write made-up members ``0.npy``, ... float16 ``[example, class]`` and ``labels.npy``.

    Members share what is hard about an example, and so their mistakes; they differ in skill, in noise of
    their own and in how sure they are. Seeded: the same files everywhere.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, examples)
    np.save(folder / "labels.npy", labels)
    skill, sureness = rng.uniform(0, 1.5, members), rng.uniform(0.9, 1.6, members)
    signal = np.log(classes) + 0.7
    files = [
        np.lib.format.open_memmap(folder / f"{m}.npy", "w+", np.float16, (examples, classes))
        for m in range(members)
    ]
    for start in range(0, examples, _ROWS):
        truth = labels[start : start + _ROWS]
        rows = np.arange(len(truth))
        shared = rng.standard_normal((len(truth), classes), dtype=np.float32) * np.float32(1.6)
        for m, file in enumerate(files):
            own = rng.standard_normal((len(truth), classes), dtype=np.float32)
            logits = shared + own * np.float32(1.1 - 0.3 * skill[m])
            logits[rows, truth] += np.float32(signal + skill[m])
            logits *= np.float32(sureness[m])
            np.exp(logits - logits.max(axis=1, keepdims=True), out=logits)
            file[start : start + len(truth)] = logits / logits.sum(axis=1, keepdims=True)
    for file in files:
        file.flush()


def read_members(folder: Path, members: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the members as memory maps, and the labels."""
    return [np.load(folder / f"{m}.npy", mmap_mode="r") for m in range(members)], np.load(
        folder / "labels.npy"
    )


def compare(
    size: tuple[int, int, int], peer: Path, *, rounds: int, repeats: int, seed: int = 0
) -> list[dict[str, object]]:
    """Return a row for each objective and tie-breaker of one size."""
    members, examples, classes = size
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_members(folder, members, examples, classes, seed)
        mapped, labels = read_members(folder, members)
        probabilities = np.stack(mapped)
        np.save(folder / "probabilities.npy", probabilities)
        for objective in (Objective.LOG_LOSS, Objective.ACCURACY):
            for name_of_rule, rule in _TIE_BREAKERS.items():
                if objective is Objective.LOG_LOSS and name_of_rule == "random":
                    continue
                ours, theirs = [], []
                for _ in range(repeats):
                    theirs.append(_run_peer(peer, folder, objective, name_of_rule, rounds))
                    ours.append(_run_ours(probabilities, labels, objective, rule, rounds))
                rows.append(_row(size, objective, name_of_rule, ours, theirs))
    return rows


def _run_peer(peer: Path, folder: Path, objective: str, tie_breaker: str, rounds: int) -> dict:
    command = [str(peer), str(_PEER), str(folder), objective, tie_breaker, str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the peer failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _run_ours(
    probabilities: np.ndarray, labels: np.ndarray, objective: Objective, rule: Rule, rounds: int
) -> tuple[Selection, float, float]:
    """Return the selection, its seconds, and the seconds without the tables."""
    reading = 0.0
    read = greedy_tables.read_tables

    def timed(*arguments: object) -> object:
        nonlocal reading
        start = time.perf_counter()
        tables = read(*arguments)  # type: ignore[arg-type]
        reading = time.perf_counter() - start
        return tables

    module = greedy_objectives
    module.read_tables = timed  # type: ignore[attr-defined]
    try:
        start = time.perf_counter()
        found = greedy(probabilities, labels, objective=objective, rounds=rounds, rule=rule)
        whole = time.perf_counter() - start
    finally:
        module.read_tables = read  # type: ignore[attr-defined]
    return found, whole, whole - reading


def _row(size: Sequence[int], objective: str, rule: str, ours: list, theirs: list) -> dict[str, object]:
    found, peer = ours[0][0], theirs[0]
    same = [a == b for a, b in zip(found.picks.tolist(), peer["picks"], strict=True)]
    best = int(np.argmin(peer["errors"])) + 1
    whole, alone = [o[1] for o in ours], [o[2] for o in ours]
    seconds = [t["seconds"] for t in theirs]
    return {
        "members": size[0],
        "examples": size[1],
        "classes": size[2],
        "objective": str(objective),
        "ties": rule,
        "rounds": len(same),
        "same_picks": sum(same),
        "first_difference": None if all(same) else same.index(False) + 1,
        "largest_score_difference_while_same": _apart(found, peer, same),
        "same_best_prefix": best == found.rounds,
        "rounds_with_ties": int((found.tied > 1).sum()),
        "peer_seconds": _spread(seconds),
        "our_seconds": _spread(whole),
        "our_seconds_rounds_alone": _spread(alone),
        "ratio": _spread([t / o for t, o in zip(seconds, whole, strict=True)]),
        "ratio_rounds_alone": _spread([t / o for t, o in zip(seconds, alone, strict=True)]),
        "peer_version": peer["version"],
    }


def _apart(found: Selection, peer: dict, same: list[bool]) -> float:
    until = same.index(False) if False in same else len(same)
    return float(np.abs(found.compared[:until] - np.array(peer["errors"])[:until]).max(initial=0.0))


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def plain(members: Sequence[np.ndarray], labels: np.ndarray, rounds: int) -> list[int]:
    """Return greedy picks by accuracy as plainly defined: every average of every candidate, in integers."""
    wide = [(row.astype(np.float64) * 2**24).astype(np.int64) for row in members]
    total, picks = np.zeros_like(wide[0]), []
    for _ in range(rounds):
        right = np.array([((total + row).argmax(axis=1) == labels).sum() for row in wide])
        best = np.flatnonzero(right == right.max())
        again = [int(b) for b in best if b in picks]
        picks.append((again or best.tolist())[0])
        total += wide[picks[-1]]
    return picks


def compare_plain(size: tuple[int, int, int], *, rounds: int, repeats: int) -> dict[str, object]:
    """Return seconds of greedy selection by accuracy as plainly defined, and of ours."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_members(folder, *size)
        mapped, labels = read_members(folder, size[0])
        rule = Rule(second_metric=False)
        ours, plainly = [], []
        for _ in range(repeats):
            start = time.perf_counter()
            found = greedy(mapped, labels, objective=Objective.ACCURACY, rounds=rounds, rule=rule)
            ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        picks = plain(mapped, labels, rounds)
        plainly.append(time.perf_counter() - start)
    return {
        "members": size[0],
        "examples": size[1],
        "classes": size[2],
        "rounds": rounds,
        "same_picks": picks == found.picks.tolist(),
        "plain_seconds": plainly[0],
        "our_seconds": _spread(ours),
        "ratio": plainly[0] / statistics.median(ours),
    }


def large(size: tuple[int, int, int], folder: Path, *, rounds: int, memory_gb: float) -> dict[str, object]:
    """Select from memory-mapped members within a limit of memory, and return time and peaks."""
    members, examples, classes = size
    folder = folder / "greedy-selection-members"
    folder.mkdir(parents=True)
    try:
        start = time.perf_counter()
        write_members(folder, members, examples, classes)
        writing = time.perf_counter() - start
        few = [np.load(folder / f"{m}.npy", mmap_mode="r")[:200] for m in range(min(20, members))]
        known = np.load(folder / "labels.npy")[:200]
        deterministic = Rule(second_metric=False)
        small = greedy(few, known, objective=Objective.ACCURACY, rounds=rounds, rule=deterministic)
        same = plain(few, known, rounds) == small.picks.tolist()
        # in a process of its own: its memory is what is measured
        command = [sys.executable, "-m", "benchmarks.greedy_selection", "--select", str(folder)]
        command += ["--size", *map(str, size), "--rounds", str(rounds), "--memory-gb", str(memory_gb)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"the selection failed:\n{done.stderr[-2000:]}")
        return {
            "members": members,
            "examples": examples,
            "classes": classes,
            "gigabytes": 2 * members * examples * classes / 1e9,
            "writing_seconds": writing,
            "same_picks_as_plain_on_200_examples": same,
            "selections": json.loads(done.stdout.splitlines()[-1]),
        }
    finally:
        shutil.rmtree(folder)


def select(folder: Path, members: int, rounds: int, memory_gb: float) -> list[dict[str, object]]:
    """Select by accuracy and by log loss in this process, its heap limited."""
    limit = int(memory_gb * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    _warm_up()
    mapped, labels = read_members(folder, members)
    rows: list[dict[str, object]] = []
    for objective in (Objective.ACCURACY, Objective.LOG_LOSS):
        start = time.perf_counter()
        found = greedy(mapped, labels, objective=objective, rounds=rounds)
        rows.append(
            {
                "objective": str(objective),
                "seconds": time.perf_counter() - start,
                "best_score": float(found.scores[found.rounds - 1]),
                "best_rounds": found.rounds,
                "heap_limit_gib": memory_gb,
                "peak_resident_gib_with_mapped_files": _peak_gib(),
            }
        )
    return rows


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Run what was asked for and print a table; the last line of ``--select`` is JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", type=Path, help="python of the peer's environment")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", type=int, nargs=3, metavar=("MEMBERS", "EXAMPLES", "CLASSES"))
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--plain", action="store_true", help="against plain numpy instead of the peer")
    parser.add_argument("--dir", type=Path, help="folder for --large")
    parser.add_argument("--memory-gb", type=float, default=8.0)
    parser.add_argument("--select", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    size = tuple(asked.size) if asked.size else None
    if asked.select:
        print(json.dumps(select(asked.select, size[0], asked.rounds, asked.memory_gb)))
        return
    if asked.large:
        if asked.dir is None:
            parser.error("--large needs --dir")
        results = [large(size or LARGE, asked.dir, rounds=asked.rounds, memory_gb=asked.memory_gb)]
    elif asked.plain:
        _warm_up()
        results = [compare_plain(size or SIZES[-1], rounds=asked.rounds, repeats=asked.repeats)]
    else:
        if asked.peer is None:
            parser.error("--peer is needed: the python of an environment with autogluon.core")
        # compile before timing
        _warm_up()
        results = []
        for one in [size] if size else SIZES:
            results += compare(one, asked.peer, rounds=asked.rounds, repeats=asked.repeats)
    print(json.dumps(results, indent=1))
    if asked.out:
        stamp = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        command = "python -m benchmarks.greedy_selection " + " ".join(sys.argv[1:])
        document = {
            "when": stamp,
            "machine": describe(("numpy", "numba")),
            "command": command,
            "results": results,
        }
        asked.out.write_text(json.dumps(document, indent=1) + "\n")


def _warm_up() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(5), (4, 50)).astype(np.float16)
    for objective in Objective:
        greedy(probabilities, rng.integers(0, 5, 50), objective=objective, rounds=3)


if __name__ == "__main__":
    main()

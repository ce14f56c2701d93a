"""Exact search of members that do not fit in memory: files of made-up, ImageNet-shaped predictions.

    python -m benchmarks.out_of_core_search --dir /somewhere/with/space [--out FILE.json]
    python -m benchmarks.out_of_core_search --dir ... --size 500 50000 1000     (52 GB of files)

Every single, every pair of members, and every cascade from one member to another at every threshold, chosen
on SIZE's examples and reported on 2,000 more. The search runs in a process of its own whose heap
the operating system limits (``--memory-gb``, RLIMIT_DATA); pages of mapped files, which it may drop at any
time, do not count. On a size that fits, the same search from arrays in memory must find the same front.
"""

import argparse
import datetime
import json
import resource
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.greedy_selection import read_members, write_members
from benchmarks.machine import describe
from explorer.analysis.blocks import MemberArrays
from explorer.analysis.pool import Pool
from explorer.analysis.result import Front, PoolSummary
from explorer.analysis.search.exact import search
from explorer.analysis.search.plan import Space
from explorer.convention import Basis, CostAxis
from explorer.record import CostFigure
from explorer.spec import Member

SIZE = (500, 20_000, 1_000)
SMALL = (30, 400, 100)
REPORTED = 2_000
_SELECT, _REPORT = slice(None, -REPORTED), slice(-REPORTED, None)
_SPACE = Space(max_members=2)


def pool_of(folder: Path, members: int, *, in_memory: bool = False) -> Pool:
    """Return the members of a folder as a pool: the last examples are those to report on."""
    mapped, labels = read_members(folder, members)
    # views of memory maps: nothing is read here
    splits = [
        [np.array(row[part]) if in_memory else row[part] for row in mapped] for part in (_SELECT, _REPORT)
    ]
    names = tuple(Member(f"net{row:04d}", 224, 0) for row in range(members))
    costs = [float(1_000_000 + 37_000 * (row % 97)) for row in range(members)]
    return Pool(
        summary=PoolSummary(
            dataset="made-up",
            split_digest="0" * 64,
            recipe_id="made-00000000",
            members=tuple(map(str, names)),
            select_examples=len(labels[_SELECT]),
            report_examples=len(labels[_REPORT]),
            classes=mapped[0].shape[1],
        ),
        axis=CostAxis.parse("macs"),
        members=names,
        select=MemberArrays(splits[0]),
        select_labels=labels[_SELECT],
        report=MemberArrays(splits[1]),
        report_labels=labels[_REPORT],
        cost_figures=tuple(CostFigure(value=c, low=c, high=c, basis=Basis.COUNTED) for c in costs),
    )


def told(front: Front) -> list[list[object]]:
    """Return a front as plain values, to compare."""
    return [[str(p.design), p.select_accuracy, p.accuracy.value, p.cost.value] for p in front.points]


class _Heap(threading.Thread):
    """The process's largest memory that is no file's, sampled."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most_gib = 0.0
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.1):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    self.most_gib = max(self.most_gib, int(line.split()[1]) / 2**20)

    def stop(self) -> float:
        self._done.set()
        self.join()
        return self.most_gib


def searched(folder: Path, members: int, memory_gb: float) -> dict[str, object]:
    """Search in this process within a limit of memory."""
    limit = int(memory_gb * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    heap = _Heap()
    heap.start()
    start = time.perf_counter()
    pool = pool_of(folder, members)
    front = search(pool, pool.axis, _SPACE)
    return {
        "seconds": time.perf_counter() - start,
        "heap_limit_gib": memory_gb,
        "largest_heap_gib": heap.stop(),
        "searched": {str(kind): count for kind, count in front.searched.items()},
        "points": len(front.points),
        "best": told(front)[-1],
        "notes": list(front.notes),
    }


def measured(size: tuple[int, int, int], folder: Path, memory_gb: float) -> dict[str, object]:
    """Write members, search them in another process, and compare a small search with one in memory."""
    members, examples, classes = size
    folder = folder / "out-of-core-members"
    folder.mkdir(parents=True)
    try:
        small = folder / "small"
        small.mkdir()
        write_members(small, SMALL[0], SMALL[1] + REPORTED, SMALL[2])
        fronts = [
            told(search(pool, pool.axis, _SPACE))
            for pool in (pool_of(small, SMALL[0], in_memory=memory) for memory in (False, True))
        ]
        start = time.perf_counter()
        write_members(folder, members, examples + REPORTED, classes)
        writing = time.perf_counter() - start
        command = [sys.executable, "-m", "benchmarks.out_of_core_search", "--search", str(folder)]
        command += ["--size", *map(str, size), "--memory-gb", str(memory_gb)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"the search failed:\n{done.stderr[-2000:]}")
        return {
            "members": members,
            "examples": examples,
            "classes": classes,
            "gigabytes_chosen_on": 2 * members * examples * classes / 1e9,
            "writing_seconds": writing,
            "small_fronts_equal_those_in_memory": fronts[0] == fronts[1],
            "search": json.loads(done.stdout.splitlines()[-1]),
        }
    finally:
        shutil.rmtree(folder)


def main() -> None:
    """Run the benchmark, print it, and write it down where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, help="folder with room for the members")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    parser.add_argument("--size", type=int, nargs=3, default=SIZE, metavar=("MEMBERS", "EXAMPLES", "CLASSES"))
    parser.add_argument("--memory-gb", type=float, default=8.0)
    parser.add_argument("--search", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    size = tuple(asked.size)
    if asked.search:
        print(json.dumps(searched(asked.search, size[0], asked.memory_gb)))
        return
    if asked.dir is None:
        parser.error("--dir is needed")
    found = measured(size, asked.dir, asked.memory_gb)
    print(json.dumps(found, indent=1))
    if asked.out:
        document = {
            "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "machine": describe(("numpy", "numba")),
            "command": "python -m benchmarks.out_of_core_search " + " ".join(sys.argv[1:]),
            "results": found,
        }
        asked.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()

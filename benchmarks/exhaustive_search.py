"""Score every set of members and every cascade: ours against plain numpy, on real predictions.

    python -m benchmarks.exhaustive_search [--store URL] [--out FILE.json]

Sets: all of up to 4 of 50 members, each counted by both, all counts compared; then all of up to 5 of 60.
Cascades: all ordered pairs of 50 members at all thresholds, both fronts compared; then of 200 made members.
The examples are the reference study's reporting half, which is the larger one: nothing is chosen here.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from math import comb
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.machine import describe
from explorer.analysis.pool import Pool, load_pool
from explorer.analysis.result import PoolSummary
from explorer.analysis.scoring.combine import member_values
from explorer.analysis.scoring.margins import margins
from explorer.analysis.scoring.tables import answer_table
from explorer.analysis.search.gates import find_gates
from explorer.analysis.search.pareto import pareto_front
from explorer.analysis.search.scan import scan
from explorer.analysis.search.space import stage_sets
from explorer.analysis.search.subsets import subset_counts
from explorer.convention import Basis, CostAxis
from explorer.record import CostFigure
from explorer.spec import Averaging, Member, Signal
from explorer.store import Store

REPEATS = 3
EXAMPLES = 10_000
DATASET = "fashion-mnist"
_Made = TypeVar("_Made")


def main() -> int:
    """Run the benchmark, print it, and write it down where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", default="reference", help="store with the members (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    parser.add_argument("--members", type=int, default=50, help="members of the comparisons (%(default)s)")
    parser.add_argument("--more", type=int, default=60, help="members of the larger sets (%(default)s)")
    parser.add_argument("--made", type=int, default=200, help="made members of the cascades (%(default)s)")
    asked = parser.parse_args()
    with Store.open(asked.store, create=False) as store:
        pool, _ = load_pool(store, DATASET, CostAxis.parse("macs"))
    have = len(pool.members)
    if have < asked.members:
        print(f"the store has {have} members, wanted {asked.members}", file=sys.stderr)
        return 3
    found = {
        "machine": describe(("numpy", "numba")),
        "command": " ".join(["python -m benchmarks.exhaustive_search", *sys.argv[1:]]),
        "subsets": subsets(part_of(pool, asked.members)),
        "more_subsets": more_subsets(pool, asked.more),
        "cascades": cascades(part_of(pool, asked.members)),
        "made_cascades": made_cascades(asked.made),
    }
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def subsets(pool: Pool) -> dict[str, object]:
    """Count every set of up to four members in both ways and compare every count."""
    ours = [timed(lambda: counted(pool.report, pool.report_labels, 4)) for _ in range(REPEATS)]
    seconds, counts = [one[0] for one in ours], ours[0][1]
    theirs, plain = timed(lambda: plain_counts(pool, 4))
    alike = all(np.array_equal(a, b) for a, b in zip(counts, plain, strict=True))
    return told(
        f"all sets of up to 4 of {len(pool.members)} members, {len(pool.report_labels):,} examples",
        {"sets": sum(map(len, counts)), "ours_s": seconds, "numpy_s": theirs, "identical_counts": alike},
        ratio=theirs / float(np.median(seconds)),
    )


def more_subsets(pool: Pool, members: int) -> dict[str, object]:
    """Count every set of up to five members; those the store lacks are blends of two of its members."""
    real = list(np.asarray(pool.report))[:members]
    random = np.random.default_rng(0)
    blends = [
        (0.6 * first.astype(np.float32) + 0.4 * second.astype(np.float32)).astype(np.float16)
        for first, second in (random.permutation(real)[:2] for _ in range(members - len(real)))
    ]
    rows = np.stack(real + blends)
    seconds, counts = timed(lambda: counted(rows, pool.report_labels, 5))
    return told(
        f"all sets of up to 5 of {members} members, {len(pool.report_labels):,} examples",
        {"sets": sum(map(len, counts)), "of_them_blends_of_two": len(blends), "ours_s": [seconds]},
    )


def counted(members: np.ndarray, labels: np.ndarray, largest: int) -> list[np.ndarray]:
    """Count as the product does, the preparation of the table included."""
    table = margins(members, labels)
    return [subset_counts(table, size) for size in range(1, largest + 1)]


def plain_counts(pool: Pool, largest: int) -> list[np.ndarray]:
    """Count by numpy: one array of sums a set of all but one member, all last members added at once."""
    values, labels = member_values(pool.report, Averaging.MEAN), pool.report_labels
    members, found = len(values), []
    for size in range(1, largest + 1):
        counts = np.empty(comb(members, size), np.int64)
        filled = 0
        for prefix in combinations(range(members), size - 1):
            start = prefix[-1] + 1 if prefix else 0
            total = values[list(prefix)].sum(axis=0, dtype=np.int32)
            for last in range(start, members):
                # all at once, [member, example, class], was slower: it does not fit in a core's cache
                counts[filled] = ((total + values[last]).argmax(axis=1) == labels).sum()
                filled += 1
        found.append(counts)
    return found


def cascades(pool: Pool) -> dict[str, object]:
    """Find the front of all pairs at all thresholds in both ways and compare them."""
    swapped = reporting_half(pool)
    ours = [timed(lambda: cascade_front(swapped)) for _ in range(REPEATS)]
    seconds, (front, designs) = [one[0] for one in ours], ours[0][1]
    theirs, plain = timed(lambda: plain_cascade_front(swapped))
    return told(
        f"all ordered pairs of {len(pool.members)} members at all thresholds",
        {
            "cascades": designs,
            "on_front": len(front),
            "ours_s": seconds,
            "numpy_s": theirs,
            "identical_fronts": bool(np.array_equal(front, plain)),
        },
        ratio=theirs / float(np.median(seconds)),
    )


def made_cascades(members: int) -> dict[str, object]:
    """Find the front of all pairs of many made members."""
    pool = made_pool(members)
    seconds, (front, designs) = timed(lambda: cascade_front(pool))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return told(
        f"all ordered pairs of {members} made members at all thresholds",
        {"cascades": designs, "on_front": len(front), "ours_s": [seconds], "peak_of_all_so_far_mib": peak},
    )


def cascade_front(pool: Pool) -> tuple[np.ndarray, int]:
    """Return (cost of all examples, right answers) along the front of all pairs, and how many were scored."""
    table = answer_table(pool.select, pool.select_labels)
    sets = stage_sets(pool, 1, Averaging.MEAN)
    gates = find_gates(pool, table, sets, 1, (Signal.P,))
    assert gates is not None
    found = scan(table, sets, gates, len(sets.rows), kind=pool.axis.kind, sample=1)
    exist = np.flatnonzero(np.isfinite(found.best.cost))
    front = exist[pareto_front(found.best.cost[exist], exist)]
    designs = sum(len(cut.leavers) for cut in gates.cuts) * (len(pool.members) - 1)
    return np.stack([found.best.cost[front], front], axis=1), designs


def plain_cascade_front(pool: Pool) -> np.ndarray:
    """Do the same by numpy: sort once a first stage, then cumulative sums a pair, merging fronts."""
    right = pool.select.argmax(axis=2) == pool.select_labels
    confidence, costs, examples = pool.select.max(axis=2), pool.costs, len(pool.select_labels)
    front = np.empty((0, 2))
    for first in range(len(right)):
        order = np.argsort(-confidence[first], kind="stable")
        falling = confidence[first][order]
        leavers = np.flatnonzero(falling[1:] != falling[:-1]) + 1
        for second in range(len(right)):
            if second == first:
                continue
            gain = np.cumsum(right[first][order].astype(np.int64) - right[second][order])
            total = right[second].sum() + gain[leavers - 1]
            cost = costs[first] * examples + costs[second] * (examples - leavers)
            both = np.concatenate([front, np.stack([cost, total], axis=1)])
            front = both[pareto_front(both[:, 0], both[:, 1])]
    return front


def part_of(pool: Pool, members: int) -> Pool:
    """Return the pool's first members."""
    kept = slice(members)
    summary = replace(pool.summary, members=pool.summary.members[kept])
    return replace(
        pool,
        summary=summary,
        members=pool.members[kept],
        select=np.asarray(pool.select[kept]),
        report=np.asarray(pool.report[kept]),
        cost_figures=pool.cost_figures[kept],
    )


def reporting_half(pool: Pool) -> Pool:
    """Return the pool with the larger half in the place of the one designs are chosen on."""
    return replace(pool, select=pool.report, select_labels=pool.report_labels)


def made_pool(members: int) -> Pool:
    """Return members that differ in skill and share their mistakes, on 10,000 examples of 10 classes."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, EXAMPLES)
    hard = random.normal(0, 1.6, (EXAMPLES, 10))
    rows = np.empty((members, EXAMPLES, 10), np.float16)
    for row in range(members):
        logits = hard + random.normal(0, 1.2, hard.shape)
        logits[np.arange(EXAMPLES), labels] += 2.5 + 3 * row / members
        chance = np.exp(logits - logits.max(axis=1, keepdims=True))
        rows[row] = chance / chance.sum(axis=1, keepdims=True)
    names = tuple(Member(f"made{row:03d}", 8, 0) for row in range(members))
    costs = [_exact(1000.0 * (row + 1)) for row in range(members)]
    summary = PoolSummary(
        dataset="made",
        split_digest="made",
        recipe_id="made",
        members=tuple(map(str, names)),
        select_examples=EXAMPLES,
        report_examples=EXAMPLES,
        classes=10,
    )
    return Pool(
        summary=summary,
        axis=CostAxis.parse("macs"),
        members=names,
        select=rows,
        select_labels=labels,
        report=rows,
        report_labels=labels,
        cost_figures=tuple(costs),
    )


def _exact(value: float) -> CostFigure:
    return CostFigure(value=value, low=value, high=value, basis=Basis.COUNTED)


def timed(work: Callable[[], _Made]) -> tuple[float, _Made]:
    """Return the seconds of one call, and what it made."""
    start = time.perf_counter()
    made = work()
    return time.perf_counter() - start, made


def told(what: str, figures: dict[str, object], *, ratio: float | None = None) -> dict[str, object]:
    """Print figures and return them."""
    print(what)
    if ratio is not None:
        figures["ratio"] = ratio
    for name, value in figures.items():
        shown = ", ".join(f"{one:.3g}" for one in value) if isinstance(value, list) else value
        print(f"  {name:24} {shown:,.4g}" if isinstance(shown, float) else f"  {name:24} {shown}")
    return {"what": what, **figures}


if __name__ == "__main__":
    sys.exit(main())

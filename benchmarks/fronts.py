"""Fronts and volumes against moocore, a large search, and how often the intervals hold the truth.

python -m benchmarks.fronts [--out benchmarks/results/fronts.json] [--repeats 5] [--simulations 200]
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import moocore
import numpy as np
from scipy import stats

from benchmarks.machine import describe
from explorer.analysis.search.pareto import FrontSoFar, dominated_volume, nondominated
from explorer.analysis.statistics.on_front import on_front_probability
from explorer.analysis.statistics.optimism import cross_fitted, expected_optimism

_SIZES = ((1_000_000, 2), (50_000, 3), (1_000_000, 3), (20_000, 5))
_VOLUME_UP_TO = 50_000
"""Points all on one front whose volume is asked for in three objectives."""
_SEARCH = (2_000, 10_000)
"""Designs and examples."""
_STAGES = ("fronts", "streaming", "search", "coverage")
_WORLDS = ("equal, independent", "equal, alike", "spread", "one best")
_SIMULATED = ((20, 100), (50, 500), (200, 1_000))
"""Designs and examples."""


def points(kind: str, n: int, objectives: int) -> np.ndarray:
    """Return points ``[point, objective]``: anywhere in the cube, or all on one front (part of a sphere)."""
    found = np.random.default_rng(n + objectives).random((n, objectives))
    return 1 - found / np.linalg.norm(found, axis=1, keepdims=True) if kind == "front" else found


def seconds(work: Callable[[], object], repeats: int) -> list[float]:
    """Return how long each run took."""
    took = []
    for _ in range(repeats):
        start = perf_counter()
        work()
        took.append(perf_counter() - start)
    return took


def race(ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> dict[str, object]:
    """Time both in turn, so that both see the same load; a first run of ours compiles, uncounted."""
    ours()
    taken = [(seconds(ours, 1)[0], seconds(theirs, 1)[0]) for _ in range(repeats)]
    mine, peer = zip(*taken, strict=True)
    ratios = [b / a for a, b in taken]
    return {
        "ours_s": [min(mine), float(np.median(mine)), max(mine)],
        "moocore_s": [min(peer), float(np.median(peer)), max(peer)],
        "ratio": [min(ratios), float(np.median(ratios)), max(ratios)],
    }


def fronts(repeats: int, shrink: int = 1) -> list[dict[str, object]]:
    """Return a row for each question about points; ``shrink`` divides their number."""
    rows: list[dict[str, object]] = []
    for full, objectives in _SIZES:
        n = full // shrink
        for kind in ("anywhere", "front"):
            table, reference = points(kind, n, objectives), [1.0] * objectives
            kept, wanted = nondominated(table), moocore.is_nondominated(table)
            row = {"points": n, "objectives": objectives, "kind": kind, "front": int(kept.sum())}
            timed = race(
                lambda t=table: nondominated(t),  # type: ignore[misc]
                lambda t=table: moocore.is_nondominated(t),  # type: ignore[misc]
                repeats,
            )
            rows.append({"what": "nondominated", **row, "equal": bool((kept == wanted).all()), **timed})
            if objectives > 3 or (objectives == 3 and kept.sum() > _VOLUME_UP_TO):
                continue
            gap = dominated_volume(table, reference=reference) - moocore.hypervolume(table, ref=reference)
            timed = race(
                lambda t=table, r=reference: dominated_volume(t, reference=r),  # type: ignore[misc]
                lambda t=table, r=reference: moocore.hypervolume(t, ref=r),  # type: ignore[misc]
                repeats,
            )
            rows.append({"what": "hypervolume", **row, "equal": abs(gap) < 1e-9, **timed})
    return rows


def streaming(repeats: int, shrink: int = 1) -> dict[str, object]:
    """Return how long a million points in three objectives take when they come in chunks of 10,000."""
    table = points("anywhere", 1_000_000 // shrink, 3)

    def stream() -> FrontSoFar:
        front = FrontSoFar.empty([False] * 3)
        for start in range(0, len(table), 10_000):
            part = table[start : start + 10_000]
            front = front.with_points(part, np.arange(start, start + len(part)))
        return front

    equal = stream().ids.tolist() == np.flatnonzero(nondominated(table)).tolist()
    return {"points": len(table), "chunk": 10_000, "equal": equal, "seconds": seconds(stream, repeats)}


def search(repeats: int, shrink: int = 1) -> dict[str, object]:
    """Return how long a large search takes: on-front shares, cross-fitting, growth of optimism."""
    designs, examples = _SEARCH[0] // shrink, _SEARCH[1] // shrink
    random = np.random.default_rng(1)
    skill = np.linspace(0.85, 0.9, designs, dtype=np.float32)
    right = (random.random((designs, examples), dtype=np.float32) < skill[:, None]).astype(np.uint8)
    costs = random.random(designs)
    varying = np.where(random.random((designs, examples)) < 0.5, costs[:, None], 2 * costs[:, None])
    budgets = [0.5, 2.0]
    timed = {
        "on_front, fixed costs": lambda: on_front_probability(right, costs, budgets=budgets),
        "on_front, costs of examples": lambda: on_front_probability(right, varying, budgets=budgets),
        "cross_fitted, fixed costs": lambda: cross_fitted(right, costs, budgets),
        "expected_optimism": lambda: expected_optimism(right, [1, designs // 20, designs]),
    }
    found: dict[str, object] = {"designs": designs, "examples": examples, "draws": 1_000}
    return found | {name: seconds(work, repeats) for name, work in timed.items()}


def simulated(world: str, designs: int, examples: int, random: np.random.Generator) -> tuple:
    """Return right answers ``[design, example]`` and true accuracies ``[design]``; the mean is about 0.9."""
    middle = stats.norm.ppf(0.9)
    level = {
        "spread": middle + np.linspace(-0.1, 0.1, designs),
        "one best": middle + 0.4 * (np.arange(designs) == 0),
    }.get(world, np.full(designs, middle))
    shared = 0.0 if world == "equal, independent" else 0.7
    ease = np.sqrt(shared) * random.normal(size=examples)
    answers = ease + np.sqrt(1 - shared) * random.normal(size=(designs, examples)) < level[:, None]
    return answers.astype(np.uint8), stats.norm.cdf(level)


def coverage(simulations: int) -> list[dict[str, object]]:
    """Return, for each simulated world, how often the 95 % intervals of `cross_fitted` hold the truth."""
    rows = []
    for world in _WORLDS:
        for designs, examples in _SIMULATED:
            random, found = np.random.default_rng(3), []
            for _ in range(simulations):
                right, truth = simulated(world, designs, examples, random)
                said = cross_fitted(right, np.ones(designs), [1.0], repeats=10, draws=100)[0]
                found.append((said, float(truth[said.chosen])))
            true, held = np.array([t for _, t in found]), np.array([s.held_out.value for s, _ in found])
            gap = np.array([s.chosen_on for s, _ in found]) - true
            plain = 1.96 * np.sqrt(held * (1 - held) / examples)
            rows.append(
                {
                    "world": world,
                    "designs": designs,
                    "examples": examples,
                    "simulations": simulations,
                    "accuracy_true": float(true.mean()),
                    "held_out": float(held.mean()),
                    "held_out_error": float(held.std(ddof=1) / np.sqrt(simulations)),
                    "optimism_true": float(gap.mean()),
                    "optimism_said": float(np.mean([s.optimism.value for s, _ in found])),
                    "held_out_covers_chosen": _holds([(s.held_out, t) for s, t in found]),
                    "held_out_covers_mean": _holds([(s.held_out, true.mean()) for s, _ in found]),
                    "plain_interval_covers_chosen": float((np.abs(held - true) <= plain).mean()),
                    "optimism_covers_realised": _holds(
                        [(s.optimism, g) for (s, _), g in zip(found, gap, strict=True)]
                    ),
                    "optimism_covers_mean": _holds([(s.optimism, gap.mean()) for s, _ in found]),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    return rows


def _holds(pairs: list) -> float:
    return float(np.mean([interval.low <= value <= interval.high for interval, value in pairs]))


def main() -> None:
    """Run everything, print it, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--stages", nargs="+", choices=_STAGES, default=_STAGES)
    parser.add_argument("--shrink", type=int, default=1, help="divide the number of points and designs")
    args = parser.parse_args()
    found: dict[str, object] = {
        "machine": describe(("numpy", "scipy", "numba", "moocore")),
        "command": "python -m benchmarks.fronts " + " ".join(sys.argv[1:]),
    }
    stages: dict[str, Callable[[], object]] = {
        "fronts": lambda: fronts(args.repeats, args.shrink),
        "streaming": lambda: streaming(args.repeats, args.shrink),
        "search": lambda: search(min(3, args.repeats), args.shrink),
        "coverage": lambda: coverage(args.simulations),
    }
    for stage in args.stages:
        found[stage] = stages[stage]()
        print(stage, json.dumps(found[stage], indent=1), flush=True)
        if args.out:  # after each stage: the last one takes long
            args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

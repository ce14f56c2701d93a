"""Truncated predictions against whole ones: what is certain, how large they are, how long scoring takes.

    python -m benchmarks.topk_scoring --predictions FILE.npz [--out FILE.json]

FILE holds ``probs`` float16 [member, example, class] and ``labels``. Made 1,000-class data are always scored
too. Every accuracy interval is checked against the exact accuracy of the same run.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.machine import describe
from explorer.analysis.scoring.losses import Metric, prepare
from explorer.analysis.scoring.topk import prepare_topk, truncate

_REPEATS = 3
_SETS = 50


def made_members(members: int, examples: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return float16 ``[member, example, class]`` of members that share mistakes, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, examples)
    shared = rng.normal(0, 1.6, (examples, classes)).astype(np.float32)
    shared[np.arange(examples), labels] += 6.5
    rows = np.empty((members, examples, classes), np.float16)
    for row in rows:
        logits = 1.3 * (shared + rng.normal(0, 0.8, shared.shape).astype(np.float32))
        chance = np.exp(logits - logits.max(axis=1, keepdims=True))
        row[:] = chance / chance.sum(axis=1, keepdims=True)
    return rows, labels


def random_sets(members: int, count: int, seed: int) -> np.ndarray:
    """Return sets of 2 to 6 members, int32 ``[set, slot]`` padded with -1."""
    rng = np.random.default_rng(seed)
    sets = np.full((count, min(6, members)), -1, np.int32)
    for row in sets:
        size = int(rng.integers(min(2, members), len(row) + 1))
        row[:size] = rng.choice(members, size, replace=False)
    return sets


def compare(name: str, array: np.ndarray, labels: np.ndarray, ks: Sequence[int]) -> dict[str, object]:
    """Score the same sets from whole predictions and from lists of several lengths.

    Raises:
        AssertionError: an interval does not hold the exact accuracy.
    """
    sets = random_sets(len(array), _SETS, seed=1)
    prepare(array[:, :50], labels[:50], Metric.ACCURACY).score_sets(sets)  # compile
    build_s, whole = _timed(lambda: prepare(array, labels, Metric.ACCURACY))
    score_s, exact = _timed(lambda: whole.score_sets(sets))
    rows = []
    for k in ks:
        prepare_topk([truncate(row[:50], labels[:50], k) for row in array], labels[:50]).score_sets(sets)
        cut_s, cut = _timed(lambda k=k: [truncate(row, labels, k) for row in array])
        lay_s, lists = _timed(lambda cut=cut: prepare_topk(cut, labels))
        list_s, scores = _timed(lambda lists=lists: lists.score_sets(sets))
        assert (scores.low <= exact).all(), "a lower bound is above the exact accuracy"
        assert (scores.high >= exact).all(), "an upper bound is below the exact accuracy"
        rows.append(
            {
                "k": k,
                "bytes_share": sum(member.nbytes for member in cut) / array.nbytes,
                "certified_share": _spread(scores.certified_share),
                "interval_width": _spread(scores.high - scores.low),
                "truncate_s": cut_s,
                "prepare_s": lay_s,
                "score_s": list_s,
                "score_time_ratio": list_s["median"] / score_s["median"],
            }
        )
    shape = dict(zip(("members", "examples", "classes"), array.shape, strict=True))
    return {
        "data": name,
        **shape,
        "sets": _SETS,
        "whole": {"prepare_s": build_s, "score_s": score_s},
        "lists": rows,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--predictions", type=Path, help="npz with probs and labels")
    parser.add_argument("--out", type=Path, help="also write JSON here")
    parser.add_argument("--examples", type=int, default=4000, help="of the made data")
    asked = parser.parse_args(arguments)
    found = []
    if asked.predictions:
        with np.load(asked.predictions) as held:
            found.append(compare(asked.predictions.stem, held["probs"], held["labels"], (1, 2, 3, 5)))
        _show(found[-1])
    made = made_members(12, asked.examples, 1000, seed=0)
    found.append(compare("made, 1,000 classes", *made, (1, 2, 5, 10, 20, 50)))
    _show(found[-1])
    if asked.out:
        command = "python -m benchmarks.topk_scoring " + " ".join(arguments or sys.argv[1:])
        report = {"machine": describe(("numpy", "scipy", "numba")), "command": command, "results": found}
        asked.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _timed(work: Callable) -> tuple[dict[str, float], object]:
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        made = work()
        times.append(time.perf_counter() - start)
    return {"min": min(times), "median": statistics.median(times), "max": max(times)}, made


def _spread(values: np.ndarray) -> dict[str, float]:
    return {"min": float(values.min()), "median": float(np.median(values)), "max": float(values.max())}


def _show(result: dict) -> None:
    build, score = result["whole"]["prepare_s"], result["whole"]["score_s"]
    shape = " x ".join(str(result[axis]) for axis in ("members", "examples", "classes"))
    print(f"{result['data']}: {shape}, {result['sets']} sets")
    print(f"  whole: prepare {build['median']:.2f} s, score {score['median']:.2f} s ({_range(score)})")
    print("    k   bytes  certified median (range)  interval median (range)   cut s  score s (range)  ratio")
    for row in result["lists"]:
        sure, width, took = row["certified_share"], row["interval_width"], row["score_s"]
        print(
            f"  {row['k']:3d}  {row['bytes_share']:6.3f}  {sure['median']:.4f} ({_range(sure, 4)})"
            f"  {width['median']:.4f} ({_range(width, 4)})  {row['truncate_s']['median']:6.2f}"
            f"  {took['median']:.2f} ({_range(took)})  {row['score_time_ratio']:.2f}"
        )


def _range(spread: dict[str, float], digits: int = 2) -> str:
    return f"{spread['min']:.{digits}f} to {spread['max']:.{digits}f}"


if __name__ == "__main__":
    main()

"""Designs on every metric, each with its interval, and paired with the first of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from explorer.analysis.bootstrap import paired_interval, share_interval, tells
from explorer.analysis.costs import mean_cost, stages_of
from explorer.analysis.pool import Pool
from explorer.analysis.result import Front, Interval, PoolSummary, Verdict
from explorer.analysis.scoring.answers import Answers, candidate_answers
from explorer.analysis.scoring.calibration import BINS
from explorer.analysis.scoring.score import Memo, reached_counts
from explorer.analysis.scoring.score_parts import Parts, ScoreName, score_parts
from explorer.analysis.scoring.temperature import fit_temperature
from explorer.analysis.statistics.resampled import (
    DRAWS,
    basic_interval,
    calibrated_error,
    draw_counts,
    percentile_interval,
)
from explorer.convention import CostAxis
from explorer.errors import UsageError
from explorer.spec import Candidate

MOST_OF_FRONT = 12
"""Designs of a front that are scored where none is named."""
_SHARES = (ScoreName.ACCURACY, ScoreName.TOP5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One metric of a design minus that of the first one, on the same examples."""

    interval: Interval
    verdict: Verdict
    """Whether the design is better by this metric, whichever way is good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstClass:
    """The class that is answered right least often; of equals the first."""

    label: int
    examples: int
    right: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One design on every metric."""

    design: Candidate
    cost: float
    """Mean on the split, in the unit of the axis."""
    scores: Mapping[ScoreName, Interval]
    worst_class: WorstClass
    temperature: float
    """Of the averaged answer, fitted on ``select``; above 1: the design is too sure of itself there."""
    differences: Mapping[ScoreName, Difference]
    """Against the first design; empty for that one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Several designs on the same examples."""

    pool: PoolSummary
    axis: CostAxis
    split: str
    designs: tuple[Scored, ...]
    bins: int
    """Of the calibration error, of equal width over [0, 1]."""
    draws: int
    """Resamples behind an interval that has no closed form."""
    notes: tuple[str, ...]


def score_designs(
    pool: Pool,
    designs: Sequence[Candidate],
    *,
    split: str = "report",
    notes: tuple[str, ...] = (),
    draws: int = DRAWS,
) -> Scores:
    """Score designs on every metric, with 95 % intervals over examples, the same draws for all.

    Accuracy and top-5 have the exact bootstrap of a share, and their paired differences the interval of
    `explorer.analysis.statistics.compare`. The temperature is taken as it is: what its own fit on ``select``
    adds to the uncertainty is not in the interval.

    Args:
        pool: members, labels and costs.
        designs: any candidates of the pool's members; the first is what the others are compared with.
        split: ``report`` to quote, ``select`` to look at what was chosen on.
        notes: what the result has to say besides.
        draws: resamples.

    Raises:
        UsageError: no designs, one given twice, no such split, or a member is not in the pool.
    """
    _check(designs)
    memo: Memo = {}
    labels = pool.arrays(split)[1]
    answers = [candidate_answers(pool, design, split, memo=memo) for design in designs]
    temperatures = [_temperature(pool, design, memo) for design in designs]
    parts = [score_parts(a, labels, t) for a, t in zip(answers, temperatures, strict=True)]
    resampled = _resampled(parts, len(labels), draws)
    scores = [_intervals(*of_one) for of_one in zip(parts, answers, resampled, strict=True)]
    scored = tuple(
        Scored(
            design=design,
            cost=mean_cost(pool, design, reached_counts(answers[k].left_at, len(stages_of(design)))),
            scores=scores[k],
            worst_class=_worst_class(answers[k], labels),
            temperature=temperatures[k],
            differences=_differences(
                {name: scores[k][name].value - scores[0][name].value for name in scores[k]},
                {name: resampled[k][name] - resampled[0][name] for name in scores[k]},
                (parts[k], parts[0]),
            )
            if k
            else {},
        )
        for k, design in enumerate(designs)
    )
    return Scores(
        pool=pool.summary,
        axis=pool.axis,
        split=split,
        designs=scored,
        bins=BINS,
        draws=draws,
        notes=(*notes, *_notes(split)),
    )


def of_front(front: Front, most: int = MOST_OF_FRONT) -> tuple[Candidate, ...]:
    """Return the front's designs, cheapest first; of more than ``most`` some, spread evenly over it."""
    points = front.points
    if len(points) <= most:
        return tuple(point.design for point in points)
    places = np.rint(np.linspace(0, len(points) - 1, most)).astype(int).tolist()
    assert all(before < after for before, after in pairwise(places))
    return tuple(points[place].design for place in places)


def _check(designs: Sequence[Candidate]) -> None:
    if not designs:
        raise UsageError("no designs to score: wanted at least 1")
    twice = {str(design) for place, design in enumerate(designs) if design in designs[:place]}
    if twice:
        raise UsageError(f"a design is given twice: {', '.join(sorted(twice))}")


def _temperature(pool: Pool, design: Candidate, memo: Memo) -> float:
    chosen = candidate_answers(pool, design, "select", memo=memo)
    return fit_temperature(chosen.probabilities, pool.select_labels)


def _resampled(parts: Sequence[Parts], examples: int, draws: int) -> list[dict[ScoreName, np.ndarray]]:
    """Return each design's metrics on the same resamples, ``[draw]``."""
    blocks: list[list[dict[ScoreName, np.ndarray]]] = [[] for _ in parts]
    for counts in draw_counts(examples, draws=draws):
        for found, part in zip(blocks, parts, strict=True):
            found.append(part.scores(counts))
    return [{name: np.concatenate([block[name] for block in found]) for name in found[0]} for found in blocks]


def _intervals(
    parts: Parts, answers: Answers, resampled: Mapping[ScoreName, np.ndarray]
) -> dict[ScoreName, Interval]:
    n = len(parts.means)
    values = {name: float(found[0]) for name, found in parts.scores(np.ones((1, n))).items()}
    intervals = {}
    for name, value in values.items():
        if name in _SHARES:
            intervals[name] = share_interval(round(value * n), n)
        elif name.is_mean:
            intervals[name] = percentile_interval(value, resampled[name], n)
        else:
            intervals[name] = basic_interval(value, resampled[name], n, least=0.0, most=1.0)
    ece = intervals[ScoreName.ECE]
    if ece.value <= calibrated_error(answers.confidence, parts.place, bins=BINS):
        intervals[ScoreName.ECE] = Interval(
            value=ece.value, low=0.0, high=ece.high, n=n, method="basic bootstrap, consistent with none"
        )
    return intervals


def _differences(
    values: Mapping[ScoreName, float], shifts: Mapping[ScoreName, np.ndarray], parts: tuple[Parts, Parts]
) -> dict[ScoreName, Difference]:
    n = len(parts[0].means)
    found = {}
    for name, value in values.items():
        if name in _SHARES:
            this, first = (part.of(name) > 0 for part in parts)
            interval = paired_interval(int((this & ~first).sum()), int((first & ~this).sum()), n)
        elif name.is_mean:
            interval = percentile_interval(value, shifts[name], n)
        else:
            interval = basic_interval(value, shifts[name], n)
        verdict = Verdict.CANNOT_TELL
        if tells(interval):
            verdict = Verdict.BETTER if (interval.value > 0) == name.higher_is_better else Verdict.WORSE
        found[name] = Difference(interval=interval, verdict=verdict)
    return found


def _worst_class(answers: Answers, labels: np.ndarray) -> WorstClass:
    counts = np.bincount(labels)
    hits = np.bincount(labels, answers.decisions == labels).astype(int)
    worst = int(np.argmin(np.where(counts > 0, hits / np.maximum(counts, 1), np.inf)))
    return WorstClass(label=worst, examples=int(counts[worst]), right=int(hits[worst]))


def _notes(split: str) -> tuple[str, ...]:
    if split == "report":
        return ()
    return (
        "these are the examples that designs are chosen on and temperatures fitted on: the figures flatter, "
        "quote those of report",
    )

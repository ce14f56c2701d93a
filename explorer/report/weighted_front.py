"""A front of weighted ensembles as text and as a document."""

from collections import Counter

from explorer.analysis.advice.weighted_front import WeightedFront
from explorer.analysis.scoring.losses import Metric
from explorer.report.documents import (
    SCHEMA_VERSION,
    Document,
    axis_document,
    interval_document,
    point_document,
    pool_document,
)
from explorer.report.selection import METRIC_NAMES, metric_interval, metric_text
from explorer.report.terminal import table
from explorer.report.text import TIMES, format_amount, format_axis, format_count, format_pool, format_range
from explorer.spec import Candidate


def weighted_front_text(found: WeightedFront) -> str:
    """Write the front, cheapest first, and how it was searched."""
    metric = found.wanted.objective.metric
    ladder = found.ladder
    lines = []
    if ladder.stopped:
        lines.append(f"STOPPED EARLY after {len(ladder.budgets)} budgets: the dearer ones were not searched")
    lines += [
        f"weighted ensembles of {found.pool.dataset}: {METRIC_NAMES[metric]} and {format_axis(found.axis)}; "
        f"greedy under {len(ladder.budgets)} budgets"
        + (f" from {format_range(*_ends(ladder.budgets), found.axis.kind)}" if ladder.budgets else "")
        + f", {format_count(ladder.scored)} ensembles scored: a heuristic, there may be better ones",
        format_pool(found.pool),
        "",
        _table(found, metric),
        "the designs as `explorer build` takes them: --json",
        *(f"note: {note}" for note in found.notes),
    ]
    return "\n".join(lines)


def weighted_front_document(found: WeightedFront) -> Document:
    """Lay out the front and how it was searched."""
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": found.pool.dataset,
        "cost": axis_document(found.axis),
        "metric": str(found.wanted.objective.metric),
        "higher_is_better": found.wanted.objective.metric.higher_is_better,
        "budgets": list(found.ladder.budgets),
        "scored": found.ladder.scored,
        "stopped": found.ladder.stopped,
        "points": [
            {
                "point": point_document(one.point),
                "chosen_on": one.chosen_on,
                "score": interval_document(one.score),
            }
            for one in found.points
        ],
        "pool": pool_document(found.pool),
        "notes": list(found.notes),
    }


def _compact(design: Candidate) -> str:
    """Write a weighted ensemble with numbers for its weights."""
    times = Counter(design.members)
    return ", ".join(
        f"{count}{TIMES} {member}" if count > 1 else str(member) for member, count in times.items()
    )


def _ends(budgets: tuple[float, ...]) -> tuple[float, float]:
    return budgets[0], budgets[-1]


def _table(found: WeightedFront, metric: Metric) -> str:
    name = METRIC_NAMES[metric]
    rows = [
        (
            format_amount(one.point.cost.value, found.axis.kind),
            metric_text(metric, one.chosen_on, found.pool.select_examples),
            f"{metric_text(metric, one.score.value, one.score.n)} ({metric_interval(metric, one.score)})",
            format_count(len(set(one.point.design.members))),
            _compact(one.point.design),
        )
        for one in found.points
    ]
    return table(
        ("cost", f"{name} on select", f"{name} on report (95% interval)", "members", "weights and members"),
        rows,
    )

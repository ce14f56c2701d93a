"""What the command line prints: aligned plain text, the same values as the documents."""

from collections.abc import Sequence
from typing import TypeVar

from explorer.analysis.result import Advice, Comparison, Front, Point, Verdict
from explorer.convention import CostAxis
from explorer.report.answer import answer_sentence, changes, comparison_short, optimism_sentence
from explorer.report.text import (
    format_accuracy,
    format_accuracy_interval,
    format_accuracy_value,
    format_amount,
    format_axis,
    format_cost,
    format_count,
    format_difference,
    format_pool,
    format_reached,
    format_seconds,
    format_share,
    kind_name,
    share_decimals,
)

_RIGHT = frozenset(
    {"cost", "accuracy", "chosen at", "p50", "p90", "p99", "spread", "examples", "mismatches", "ties"}
    | {"macs", "share", "elementwise_ops", "bytes", "calls", "activation_peak_bytes", "mean", "worst case"}
    | {"resolution", "batch", "examples/s", "estimate"}
)
"""Columns of numbers, set flush right."""

_VERDICTS = {
    Verdict.BETTER: "the first is more accurate",
    Verdict.WORSE: "the second is more accurate",
    Verdict.CANNOT_TELL: "cannot tell which is more accurate",
}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align ``rows`` under ``header``, two spaces between columns; the last column is never padded."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = []
    for row in (header, *rows):
        cells = [
            cell.rjust(width) if name in _RIGHT else cell.ljust(width)
            for cell, width, name in zip(row, widths, header, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


SHOWN_POINTS = 25
"""Rows of a front on the terminal; fine thresholds make fronts of hundreds of points."""


def front_table(front: Front, *, every: bool = False) -> str:
    """Write the front, cheapest first, under a line that says what it is a front of.

    Args:
        front: what `explorer.analysis.search.exact.search` found.
        every: show every point; otherwise at most `SHOWN_POINTS`, spread evenly, and say so.
    """
    searched = ", ".join(
        f"{format_count(n)} {'distilled' if kind == 'distilled' else f'{kind}s'}"
        for kind, n in front.searched.items()
    )
    rows = []
    for point in front.points if every else spread(front.points):
        decimals = share_decimals(point.accuracy.n)
        rows.append(
            (
                point.kind.value,
                format_amount(point.cost.value, front.axis.kind),
                point.cost.basis.value,
                format_accuracy_value(point.accuracy),
                format_accuracy_interval(point.accuracy),
                format_share(point.select_accuracy, decimals),
                format_reached(point),
                str(point.design),
            )
        )
    hidden = len(front.points) - len(rows)
    left_out = f"{len(rows)} of {len(front.points)} points shown; --all or --json gives every one"
    header = ("kind", "cost", "basis", "accuracy", "95% interval", "chosen at", "reached", "design")
    return "\n".join(
        (
            f"front of {front.pool.dataset}: accuracy against {format_axis(front.axis)}",
            f"{format_pool(front.pool)}; searched {searched}",
            "",
            table(header, rows),
            *((left_out,) if hidden else ()),
        )
    )


_Row = TypeVar("_Row")


def spread(rows: Sequence[_Row], most: int = SHOWN_POINTS) -> Sequence[_Row]:
    """Return at most ``most`` of the rows: both ends, and evenly by place between them."""
    if len(rows) <= most:
        return rows
    step = (len(rows) - 1) / (most - 1)
    return [rows[round(i * step)] for i in range(most)]


def advice_text(advice: Advice) -> str:
    """Write the answer, its evidence, and what would change it."""
    kinds = f"\n{kinds_text(advice)}\n" if advice.best_of_kind else ""
    parts = [
        answer_sentence(advice),
        kinds,
        optimism_sentence(advice),
        *changes(advice),
        *(f"note: {note}" for note in advice.notes),
    ]
    return "\n".join(part for part in parts if part)


def comparison_text(comparison: Comparison, first: Point, second: Point, axis: CostAxis) -> str:
    """Write two designs and their paired difference."""
    lines = [
        f"{name}: {point.design}\n    {format_accuracy(point.accuracy)}, {format_cost(point.cost, axis.kind)}"
        for name, point in (("first ", first), ("second", second))
    ]
    lines.append(
        f"first against second, paired: {format_difference(comparison.difference)}: "
        f"{_VERDICTS[comparison.verdict]}"
    )
    lines.append(
        f"of {format_count(comparison.difference.n)} examples only the first is right on "
        f"{comparison.only_first_right}, only the second on {comparison.only_second_right}"
    )
    return "\n".join(lines)


def verification_text(
    design: str,
    *,
    routes: Sequence[tuple[str, int, int, int]],
    predicted_s: float | None,
    measured_s: float | None,
    passed: bool,
) -> str:
    """Write a conformance run; a route is ``(name, examples, mismatches, ties)``."""
    rows = [(name, *(format_count(n) for n in counts)) for name, *counts in routes]
    measured = "not measured" if measured_s is None else f"{format_seconds(measured_s)} measured"
    predicted = "no prediction" if predicted_s is None else f"{format_seconds(predicted_s)} predicted"
    return "\n".join(
        (
            f"design: {design}",
            table(("route", "examples", "mismatches", "ties"), rows),
            f"latency of one example: {measured}, {predicted}",
            "passed: the file answers as the stored predictions say"
            if passed
            else "FAILED: the file does not answer as the stored predictions say",
        )
    )


def kinds_text(advice: Advice) -> str:
    """Write the best fitting candidate of each kind, one line each, and how the answer compares with it."""
    compared = {comparison.second: comparison for comparison in advice.comparisons}
    rows = []
    for kind, point in advice.best_of_kind.items():
        comparison = compared.get(point.design)
        rows.append(
            (
                kind_name(kind),
                format_amount(point.cost.value, advice.axis.kind),
                format_accuracy_value(point.accuracy),
                format_accuracy_interval(point.accuracy),
                "the answer"
                if comparison is None
                else comparison_short(comparison).removeprefix("Answer minus this: ").removesuffix("."),
                str(point.design),
            )
        )
    return table(("best", "cost", "accuracy", "95% interval", "answer minus this", "design"), rows)

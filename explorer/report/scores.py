"""Designs on every metric, as text and as a document."""

from explorer.analysis.advice.scores import Scored, Scores
from explorer.analysis.result import Interval, Verdict
from explorer.analysis.scoring.score_parts import TOP, ScoreName
from explorer.convention import Composition
from explorer.report.documents import (
    SCHEMA_VERSION,
    Document,
    axis_document,
    interval_document,
    pool_document,
)
from explorer.report.terminal import table
from explorer.report.text import (
    MINUS,
    format_amount,
    format_count,
    format_points,
    format_pool,
    format_share,
    per_what,
    points_decimals,
    share_decimals,
    significant,
)
from explorer.spec import design_id

_DECIMALS = 4
"""Of a loss in nats and of a squared distance."""
_LOSSES = (ScoreName.NLL, ScoreName.NLL_TEMPERED, ScoreName.BRIER)
_VERDICTS = {
    Verdict.BETTER: "better",
    Verdict.WORSE: "worse",
    Verdict.CANNOT_TELL: "cannot tell",
}


def scores_text(found: Scores) -> str:
    """Write every metric with its interval: one table for one design, one a metric for several."""
    count = format_count(
        found.pool.report_examples if found.split == "report" else found.pool.select_examples
    )
    lines = [
        f"{found.pool.dataset}, {count} {found.split} examples; {format_pool(found.pool)}",
        "",
    ]
    if len(found.designs) == 1:
        lines += _one(found, found.designs[0])
    else:
        lines += _several(found)
    lines += [
        "",
        f"calibration error: over {found.bins} bins of equal width; chance alone adds to it, and its "
        "interval takes that off, so the value may lie near the upper end. tempered: one temperature for "
        "the whole answer, fitted on select.",
        *(f"note: {note}" for note in (*_several_note(found), *found.notes)),
    ]
    return "\n".join(lines)


def scores_document(found: Scores) -> Document:
    """Lay out the designs; a difference is a design's metric minus the first design's."""
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": found.pool.dataset,
        "split": found.split,
        "cost": axis_document(found.axis),
        "ece_bins": found.bins,
        "draws": found.draws,
        "designs": [_scored_document(scored) for scored in found.designs],
        "higher_is_better": {str(name): name.higher_is_better for name in found.designs[0].scores},
        "pool": pool_document(found.pool),
        "notes": list(found.notes),
    }


def _scored_document(scored: Scored) -> Document:
    worst = scored.worst_class
    return {
        "design": str(scored.design),
        "id": design_id(scored.design),
        "kind": str(scored.design.kind),
        "cost": scored.cost,
        "temperature": scored.temperature,
        "scores": {str(name): interval_document(interval) for name, interval in scored.scores.items()},
        "worst_class": {"label": worst.label, "examples": worst.examples, "right": worst.right},
        "differences": {
            str(name): {**interval_document(difference.interval), "verdict": str(difference.verdict)}
            for name, difference in scored.differences.items()
        },
    }


def _one(found: Scores, scored: Scored) -> list[str]:
    rows = [
        (_name(name, found), _value(name, interval), _between(name, interval), _extra(name, scored))
        for name, interval in scored.scores.items()
    ]
    cost = format_amount(scored.cost, found.axis.kind)
    paid = f" {per_what(found.axis)}" if found.axis.kind.composition is Composition.EXPECTED else ""
    return [
        f"{scored.design}, {cost}{paid}",
        table(("metric", "value", "95% interval", ""), rows),
    ]


def _several(found: Scores) -> list[str]:
    rows = [
        (str(number), format_amount(scored.cost, found.axis.kind), scored.design.kind, str(scored.design))
        for number, scored in enumerate(found.designs, 1)
    ]
    lines = [table(("no.", "cost", "kind", "design"), rows)]
    for name in found.designs[0].scores:
        header = ("no.", "value", "95% interval", "minus no. 1", "is", "")
        of_designs = [_row(number, name, scored) for number, scored in enumerate(found.designs, 1)]
        lines += ["", f"{_name(name, found)}:", table(header, of_designs)]
    return lines


def _row(number: int, name: ScoreName, scored: Scored) -> tuple[str, ...]:
    interval = scored.scores[name]
    figures = (str(number), _value(name, interval), _between(name, interval))
    if name not in scored.differences:
        return (*figures, "", "", _extra(name, scored))
    difference = scored.differences[name]
    low, value, high = _signed(name, difference.interval)
    return (*figures, f"{value} ({low} to {high})", _VERDICTS[difference.verdict], _extra(name, scored))


def _name(name: ScoreName, found: Scores) -> str:
    better = "higher is better" if name.higher_is_better else "lower is better"
    said = {
        ScoreName.ACCURACY: "accuracy",
        ScoreName.NLL: "log loss, nats",
        ScoreName.NLL_TEMPERED: "log loss tempered, nats",
        ScoreName.BRIER: "Brier score",
        ScoreName.TOP5: f"top-{TOP} accuracy",
        ScoreName.ECE: f"calibration error, {found.bins} bins",
        ScoreName.WORST_CLASS_ACCURACY: "accuracy of the worst class",
    }[name]
    return f"{said} ({better})"


def _extra(name: ScoreName, scored: Scored) -> str:
    if name is ScoreName.NLL_TEMPERED:
        return f"temperature {significant(scored.temperature)}"
    if name is ScoreName.WORST_CLASS_ACCURACY:
        worst = scored.worst_class
        return f"class {worst.label}: {format_count(worst.right)} of {format_count(worst.examples)}"
    return ""


def _value(name: ScoreName, interval: Interval) -> str:
    return _figure(name, interval.value, interval.n)


def _between(name: ScoreName, interval: Interval) -> str:
    return f"{_figure(name, interval.low, interval.n)} to {_figure(name, interval.high, interval.n)}"


def _figure(name: ScoreName, value: float, n: int) -> str:
    return f"{value:.{_DECIMALS}f}" if name in _LOSSES else format_share(value, share_decimals(n))


def _signed(name: ScoreName, interval: Interval) -> list[str]:
    """Write low, value and high: losses as they are, shares in points."""
    figures = (interval.low, interval.value, interval.high)
    if name in _LOSSES:
        return [f"{figure:+.{_DECIMALS}f}".replace("-", MINUS) for figure in figures]
    decimals = points_decimals(share_decimals(interval.n), *figures)
    return [format_points(figure, decimals) for figure in figures]


def _several_note(found: Scores) -> list[str]:
    many = sum(len(scored.differences) for scored in found.designs)
    if many < 2:
        return []
    return [
        f"{format_count(many)} differences are looked at, each with an interval of its own: of those that "
        "are nothing, about 1 in 20 is called better or worse"
    ]

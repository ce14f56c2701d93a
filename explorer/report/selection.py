"""A weighted ensemble and how it was come by, as text and as a document."""

from explorer.analysis.advice.scores import Difference
from explorer.analysis.advice.weighted import Against, PathStep, Quoted, Reference, Weighted
from explorer.analysis.result import Interval, Verdict
from explorer.analysis.scoring.losses import Metric
from explorer.convention import Composition
from explorer.report.documents import (
    SCHEMA_VERSION,
    Document,
    axis_document,
    interval_document,
    point_document,
    pool_document,
)
from explorer.report.terminal import table
from explorer.report.text import (
    MINUS,
    format_accuracy_interval,
    format_accuracy_value,
    format_amount,
    format_count,
    format_difference,
    format_pool,
    format_share,
    per_what,
    share_decimals,
)
from explorer.spec import design_id

METRIC_NAMES = {
    Metric.ACCURACY: "accuracy",
    Metric.NLL: "log loss",
    Metric.BRIER: "Brier score",
    Metric.TOP5: "top-5 accuracy",
    Metric.ECE: "calibration error",
    Metric.WORST_CLASS_ACCURACY: "worst class's accuracy",
}
_VERDICTS = {
    Verdict.BETTER: "the selection is better",
    Verdict.WORSE: "the selection is worse",
    Verdict.CANNOT_TELL: "cannot tell",
}
_REFERENCES = {
    Reference.SINGLE: "the best single member within the limits",
    Reference.EQUAL: "the plain mean of the same members",
    Reference.GREEDY: "greedy selection's",
}


def selection_text(found: Weighted) -> str:
    """Write the path, the weights, how it compares on ``report``, and the design."""
    picked, wanted = found.selection, found.wanted
    how = f"beam of {format_count(wanted.width)}" if wanted.width > 1 else "greedy"
    lines = []
    if picked.stopped:
        lines.append(
            f"STOPPED EARLY after {picked.searched} of {wanted.rounds} rounds: the best so far, not the best "
            "there is to find"
        )
    lines += [
        f"weighted ensemble of {found.pool.dataset} by {_name(found)}: {how}, {_rounds(picked.searched)}, "
        f"{format_count(picked.scored)} ensembles scored",
        format_pool(found.pool),
        "",
        _path_table(found),
        "",
        _weights_text(found),
        "",
        _figures_table(found),
        "",
        *(_against_text(against, found) for against in found.against),
        *_alike(found),
        _optimism(found),
        *(f"note: {note}" for note in found.notes),
        f"design: {found.design}",
    ]
    return "\n".join(lines)


def selection_document(found: Weighted) -> Document:
    """Lay out a weighted ensemble and how it was come by."""
    picked, wanted = found.selection, found.wanted
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": found.pool.dataset,
        "cost": axis_document(found.axis),
        "metric": str(wanted.objective.metric),
        "higher_is_better": wanted.objective.metric.higher_is_better,
        "search": {
            "beam": wanted.width,
            "rounds": wanted.rounds,
            "rounds_done": picked.searched,
            "scored": picked.scored,
            "seed": wanted.seed,
            "stopped": picked.stopped,
        },
        "limits": {
            "max_distinct": wanted.max_distinct,
            "max_cost": wanted.max_cost,
            "max_parameters": wanted.max_parameters,
            "cost_penalty": wanted.cost_penalty,
            "include": list(wanted.include),
            "exclude": list(wanted.exclude),
            "family_limits": dict(wanted.family_limits),
        },
        "design": str(found.design),
        "id": design_id(found.design),
        "weights": [{"member": str(member), "weight": times} for member, times in found.weights.items()],
        "answer": _quoted_document(found.answer),
        "optimism": found.optimism,
        "members_optimism": found.members_optimism,
        "against": [_against_document(against) for against in found.against],
        "path": [_step_document(found, number, step) for number, step in enumerate(found.path, start=1)],
        "pool": pool_document(found.pool),
        "notes": list(found.notes),
    }


def _quoted_document(quoted: Quoted) -> Document:
    return {
        "point": point_document(quoted.point),
        "chosen_on": quoted.chosen_on,
        "score": interval_document(quoted.score),
    }


def _against_document(against: Against) -> Document:
    return {
        "what": str(against.what),
        **_quoted_document(against.quoted),
        "difference": interval_document(against.by_metric.interval),
        "verdict": str(against.by_metric.verdict),
        "accuracy_difference": interval_document(against.by_accuracy.interval),
        "accuracy_verdict": str(against.by_accuracy.verdict),
    }


def _step_document(found: Weighted, number: int, step: PathStep) -> Document:
    return {
        "round": number,
        "member": str(step.member),
        "score": step.score,
        "cost": step.cost,
        "tied": step.tied,
        "in_answer": number <= found.selection.rounds,
    }


def _rounds(count: int) -> str:
    return f"{count} round{'' if count == 1 else 's'}"


def _name(found: Weighted) -> str:
    return METRIC_NAMES[found.wanted.objective.metric]


def _path_table(found: Weighted) -> str:
    """Write each pick; those after the best prefix are marked as not taken."""
    rows = []
    for number, step in enumerate(found.path, start=1):
        taken = found.selection.rounds
        said = "chosen up to here" if number == taken else "not taken" if number > taken else ""
        rows.append(
            (
                str(number),
                _path_score(found, step.score),
                format_amount(step.cost, found.axis.kind),
                format_count(step.tied) if step.tied > 1 else "",
                said,
                str(step.member),
            )
        )
    # "cost" and "ties" are set flush right by name
    return table(("round", f"{_name(found)} on select", "cost", "ties", "", "member added"), rows)


def _weights_text(found: Weighted) -> str:
    total = sum(found.weights.values())
    parts = [f"{times} of {total}  {member}" for member, times in found.weights.items()]
    return "weights:\n" + "\n".join(f"  {part}" for part in parts)


def _figures_table(found: Weighted) -> str:
    """Write the selection and what it is compared with, by the metric and by accuracy."""
    by_accuracy = found.wanted.objective.metric is Metric.ACCURACY
    rows = []
    for what, quoted in (("selection", found.answer), *((str(a.what), a.quoted) for a in found.against)):
        point = quoted.point
        row = [
            what,
            format_amount(point.cost.value, found.axis.kind),
            _score(found, quoted.chosen_on, found.pool.select_examples),
            f"{_score(found, quoted.score.value, quoted.score.n)} ({_interval(found, quoted.score)})",
        ]
        if not by_accuracy:
            accuracy = point.accuracy
            row.append(f"{format_accuracy_value(accuracy)} ({format_accuracy_interval(accuracy)})")
        rows.append((*row, str(len(set(point.design.members)))))
    name = _name(found)
    header = ["", "cost", f"{name} on select", f"{name} on report (95% interval)"]
    header += [] if by_accuracy else ["accuracy on report (95% interval)"]
    return table((*header, "members"), rows)


def _against_text(against: Against, found: Weighted) -> str:
    metric = found.wanted.objective.metric
    said = (
        f"against {_REFERENCES[against.what]}: {_name(found)} "
        f"{_difference(found, against.by_metric)}: {_VERDICTS[against.by_metric.verdict]}"
    )
    if metric is not Metric.ACCURACY:
        accuracy = against.by_accuracy
        said += f"; accuracy {format_difference(accuracy.interval)}: {_VERDICTS[accuracy.verdict]}"
    saved = against.quoted.point.cost.value - found.answer.point.cost.value
    if saved:
        amount = format_amount(abs(saved), found.axis.kind)
        said += f"; it costs {amount} {'less' if saved > 0 else 'more'}"
        if found.axis.kind.composition is Composition.EXPECTED:
            said += f" {per_what(found.axis)}"
    return said


def _alike(found: Weighted) -> list[str]:
    """Say which comparisons there are none of, and why."""
    compared = {against.what for against in found.against}
    if len(found.weights) == 1:
        single = "" if Reference.SINGLE in compared else ", the best one within the limits"
        return [f"it is one member{single}: no average that was scored was better on select"]
    if Reference.EQUAL not in compared:
        return ["its weights are all equal: it is its own plain mean"]
    return []


def _optimism(found: Weighted) -> str:
    name, examples = _name(found), found.answer.score.n
    own, others = (
        f"{_gap(found, value, examples)} {'better' if value >= 0 else 'worse'}"
        for value in (found.optimism, found.members_optimism)
    )
    said = (
        f"optimism: on select its {name} looks {own} than on report; a member that nobody chose, on average "
        f"{others}"
    )
    if found.optimism > found.members_optimism:
        return f"{said}: what is beyond that is the luck of choosing"
    return f"{said}: the splits differ by as much, and no luck of choosing shows"


def _gap(found: Weighted, value: float, examples: int) -> str:
    if not found.wanted.objective.metric.higher_is_better:
        return f"{abs(value):.4f}"
    return f"{100 * abs(value):.{share_decimals(examples)}f} points"


def metric_text(metric: Metric, value: float, examples: int) -> str:
    """Write a share as a percentage with the decimals that so many examples support, a loss with four."""
    return format_share(value, share_decimals(examples)) if metric.higher_is_better else f"{value:.4f}"


def metric_interval(metric: Metric, interval: Interval) -> str:
    """Write the ends of a metric's interval."""
    return (
        f"{metric_text(metric, interval.low, interval.n)} to {metric_text(metric, interval.high, interval.n)}"
    )


def _score(found: Weighted, value: float, examples: int) -> str:
    return metric_text(found.wanted.objective.metric, value, examples)


def _path_score(found: Weighted, value: float) -> str:
    """Write a score on select as finely as rounds are compared, where it is no share."""
    if found.wanted.objective.metric.higher_is_better:
        return _score(found, value, found.pool.select_examples)
    return f"{value:.6f}"


def _interval(found: Weighted, interval: Interval) -> str:
    return metric_interval(found.wanted.objective.metric, interval)


def _difference(found: Weighted, difference: Difference) -> str:
    interval = difference.interval
    if found.wanted.objective.metric.higher_is_better:
        return format_difference(interval)
    value, low, high = (_signed(figure) for figure in (interval.value, interval.low, interval.high))
    return f"{value} (95% interval {low} to {high})"


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", MINUS)

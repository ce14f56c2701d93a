"""Work out a whole report as text: HTML and Markdown only lay this value out."""

from collections.abc import Iterable
from dataclasses import dataclass

from explorer.analysis.result import Advice, Comparison, Front, Point
from explorer.convention import CostAxis
from explorer.record import MemberRecord
from explorer.report.answer import (
    answer_sentence,
    axis_sentence,
    changes,
    comparison_short,
    comparison_with,
    headline,
    optimism_sentence,
)
from explorer.report.curves_info import CurvesInfo, curves_info
from explorer.report.evidence import Evidence
from explorer.report.front_info import FrontInfo, front_info, shown_points
from explorer.report.manifest import EMBEDDED_POINTS, manifest
from explorer.report.provenance_text import facts, not_counted, searched_text
from explorer.report.text import (
    format_accuracy_interval,
    format_accuracy_value,
    format_amount,
    format_axis,
    format_cost_interval,
    format_count,
    format_macs,
    format_points,
    format_question,
    format_reached,
    format_seconds,
    format_share,
    kind_name,
    share_decimals,
    short_design,
)
from explorer.spec import CandidateKind, design_id

TABLE_ROWS = 200
"""Rows of the table of designs: more would push the page over its size limit of 500 kB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignRow:
    """One line of the table twin: text to read, and numbers to sort by."""

    id: str
    """Twelve hexadecimal digits, `explorer.spec.design_id`."""
    kind: str
    kind_name: str
    design: str
    label: str
    role: str
    on_front: bool
    accuracy: str
    interval: str
    select_accuracy: str
    regret: str
    cost: str
    cost_interval: str
    worst_cost: str
    reached: str
    sort_accuracy: float
    sort_select: float
    sort_regret: float
    sort_cost: float
    sort_worst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KindCard:
    """The best fitting candidate of one kind, beside the answer."""

    kind: str
    title: str
    accuracy: str
    interval: str
    cost: str
    cost_interval: str
    design: str
    label: str
    verdict: str
    """How it compares with the answer, paired; for the answer itself, that it is the answer."""
    is_answer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRow:
    """One member, its cost on the axis, and what making it took."""

    member: str
    cost: str
    epochs: str
    examples: str
    macs: str
    wall: str
    device: str
    recipe: str
    final_loss: str
    sort_cost: float
    sort_macs: float
    sort_wall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportInfo:
    """Everything a report says."""

    title: str
    dataset: str
    question: str
    condition: str
    """The question in words."""
    headline: str
    answer: str
    designs: tuple[str, ...]
    """Canonical texts that occur in ``answer``, longest first: a page sets them as code."""
    tone: str
    """``sure``, ``unsure`` or ``none``: how the answer is coloured."""
    optimism: str
    cards: tuple[KindCard, ...]
    changes: tuple[str, ...]
    front: FrontInfo
    curves: CurvesInfo
    axis: str
    axis_name: str
    axis_sentence: str
    rows: tuple[DesignRow, ...]
    rows_left_out: str
    searched: str
    members: tuple[MemberRow, ...]
    training_total: str
    facts: tuple[tuple[str, str], ...]
    """Provenance and conditions: name and value."""
    not_counted: tuple[str, ...]
    notes: tuple[str, ...]
    manifest: str
    """JSON from which every number can be worked out again."""
    embedded_manifest: str
    """The same with at most `EMBEDDED_POINTS` points of the front."""


def report_info(front: Front, advice: Advice, evidence: Evidence) -> ReportInfo:
    """Work out all texts, tables and figures of a report."""
    rows = design_rows(front, advice)
    left_out = len(rows) - TABLE_ROWS
    return ReportInfo(
        title=f"Bigger model, ensemble or cascade? {front.pool.dataset}, {format_question(advice.question)}",
        dataset=front.pool.dataset,
        question=str(advice.question),
        condition=format_question(advice.question),
        headline=headline(advice),
        answer=answer_sentence(advice),
        designs=_named(advice),
        tone="none" if advice.answer is None else ("unsure" if advice.cannot_tell else "sure"),
        optimism=optimism_sentence(advice),
        cards=kind_cards(advice),
        changes=changes(advice),
        front=front_info(front, advice),
        curves=curves_info(front, advice),
        axis=str(front.axis),
        axis_name=format_axis(front.axis),
        axis_sentence=axis_sentence(advice),
        rows=_first(rows),
        rows_left_out=f"{format_count(left_out)} more designs are in the JSON form of this report."
        if left_out > 0
        else "",
        searched=searched_text(front),
        members=member_rows(front.axis, evidence),
        training_total=training_total(evidence.members),
        facts=facts(front, advice, evidence),
        not_counted=not_counted(front.axis, evidence),
        notes=tuple(dict.fromkeys((*front.notes, *advice.notes))),
        manifest=manifest(front, advice, evidence),
        embedded_manifest=manifest(front, advice, evidence, most_points=EMBEDDED_POINTS),
    )


def _first(rows: tuple[DesignRow, ...]) -> tuple[DesignRow, ...]:
    """Keep what the front and the answer need first, within the table's limit, order unchanged."""
    ranked = sorted(range(len(rows)), key=lambda i: (not rows[i].role, not rows[i].on_front, i))
    return tuple(rows[i] for i in sorted(ranked[:TABLE_ROWS]))


def _named(advice: Advice) -> tuple[str, ...]:
    points = (advice.answer, advice.runner_up, advice.cheaper, advice.next_up)
    return tuple(sorted({str(p.design) for p in points if p is not None}, key=len, reverse=True))


def design_rows(front: Front, advice: Advice | None = None) -> tuple[DesignRow, ...]:
    """Return the table twin of the front figure, cheapest first."""
    on_front = {str(point.design) for point in front.points}
    roles = {} if advice is None else _roles(advice)
    points = sorted(shown_points(front, advice), key=lambda point: (point.cost.value, point.accuracy.value))
    return tuple(
        design_row(
            point, front.axis, on_front=str(point.design) in on_front, role=roles.get(str(point.design), "")
        )
        for point in points
    )


def _roles(advice: Advice) -> dict[str, str]:
    named = (("next up", advice.next_up), ("cheaper", advice.cheaper), ("runner-up", advice.runner_up))
    roles = {str(point.design): role for role, point in named if point is not None}
    if advice.answer is not None:
        roles[str(advice.answer.design)] = "answer"
    return roles


def design_row(point: Point, axis: CostAxis, *, on_front: bool = False, role: str = "") -> DesignRow:
    """Return one candidate's line of the table."""
    decimals = share_decimals(point.accuracy.n)
    return DesignRow(
        id=design_id(point.design),
        kind=str(point.kind),
        kind_name=kind_name(point.kind),
        design=str(point.design),
        label=short_design(point.design),
        role=role,
        on_front=on_front,
        accuracy=format_accuracy_value(point.accuracy),
        interval=format_accuracy_interval(point.accuracy),
        select_accuracy=format_share(point.select_accuracy, decimals),
        regret=format_points(point.regret, decimals),
        cost=format_amount(point.cost.value, axis.kind),
        cost_interval=format_cost_interval(point.cost, axis.kind),
        worst_cost=format_amount(point.worst_cost, axis.kind),
        reached=format_reached(point),
        sort_accuracy=point.accuracy.value,
        sort_select=point.select_accuracy,
        sort_regret=point.regret,
        sort_cost=point.cost.value,
        sort_worst=point.worst_cost,
    )


def kind_cards(advice: Advice) -> tuple[KindCard, ...]:
    """Return the best fitting candidate of each kind, with its paired comparison to the answer."""
    cards = []
    for kind in CandidateKind:
        point = advice.best_of_kind.get(kind)
        if point is None:
            continue
        is_answer = advice.answer is not None and point.design == advice.answer.design
        found = comparison_with(advice, point.design)
        cards.append(
            KindCard(
                kind=str(kind),
                title=f"Best {kind_name(kind)}",
                accuracy=format_accuracy_value(point.accuracy),
                interval=format_accuracy_interval(point.accuracy),
                cost=format_amount(point.cost.value, advice.axis.kind),
                cost_interval=format_cost_interval(point.cost, advice.axis.kind),
                design=str(point.design),
                label=short_design(point.design),
                verdict=_card_verdict(is_answer, found),
                is_answer=is_answer,
            )
        )
    return tuple(cards)


def _card_verdict(is_answer: bool, comparison: Comparison | None) -> str:
    if is_answer:
        return "This is the answer."
    return comparison_short(comparison) if comparison is not None else ""


def member_rows(axis: CostAxis, evidence: Evidence) -> tuple[MemberRow, ...]:
    """Return one row a member, cheapest first."""
    figures = {(r.model.name, r.model.resolution): r.figure for r in evidence.costs}
    rows = []
    for record in evidence.members:
        training = record.training
        figure = figures.get((record.member.name, record.member.model.resolution))
        value = figure.value * evidence.cost_factor if figure is not None else float("nan")
        losses = [entry["loss"] for entry in training.curve if "loss" in entry]
        rows.append(
            MemberRow(
                member=f"{record.member.model}#{record.member.seed}",
                cost=format_amount(value, axis.kind) if figure is not None else "not recorded",
                epochs=format_count(training.epochs),
                examples=format_count(training.examples_seen),
                macs=format_macs(training.macs),
                wall=format_seconds(training.wall_s),
                device=training.device,
                recipe=training.recipe_id,
                final_loss=f"{losses[-1]:.3f}" if losses else "",
                sort_cost=value if figure is not None else 0.0,
                sort_macs=float(training.macs),
                sort_wall=training.wall_s,
            )
        )
    for member in evidence.untrained:
        figure = figures.get((member.name, member.model.resolution))
        value = figure.value * evidence.cost_factor if figure is not None else float("nan")
        rows.append(
            MemberRow(
                member=f"{member.model}#{member.seed}",
                cost=format_amount(value, axis.kind) if figure is not None else "not recorded",
                **dict.fromkeys(("epochs", "examples", "macs", "wall", "device", "final_loss"), ""),
                recipe=member.recipe or "imported",
                sort_cost=value if figure is not None else 0.0,
                sort_macs=0.0,
                sort_wall=0.0,
            )
        )
    return tuple(sorted(rows, key=lambda row: (row.sort_cost, row.member)))


def training_total(members: Iterable[MemberRecord]) -> str:
    """Say what making all members took together."""
    records = tuple(members)
    if not records:
        return "No training record of these members is in the store."
    devices = ", ".join(sorted({record.training.device for record in records}))
    wall = sum(record.training.wall_s for record in records)
    macs = sum(record.training.macs for record in records)
    return (
        f"Making all {format_count(len(records))} members took {format_seconds(wall)} of training "
        f"({devices}) and {format_macs(macs)}, forward and backward."
    )

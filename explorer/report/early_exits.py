"""Exit thresholds of a chain under a budget, as text and as a document."""

from explorer.analysis.advice.early_exits import EarlyExits
from explorer.analysis.result import PoolSummary
from explorer.convention import CostAxis
from explorer.report.documents import (
    SCHEMA_VERSION,
    Document,
    axis_document,
    comparison_document,
    point_document,
    pool_document,
)
from explorer.report.guarantee import DESIGN_HEADER, compared, design_row
from explorer.report.terminal import table
from explorer.report.text import (
    format_amount,
    format_axis,
    format_count,
    format_share,
    per_what,
    share_decimals,
)
from explorer.spec import Cascade


def early_exit_text(found: EarlyExits, pool: PoolSummary, axis: CostAxis) -> str:
    """Write the thresholds, and the chain beside each of its stages alone."""
    on_select, decimals = found.plan, share_decimals(pool.select_examples)
    shares = ", ".join(format_share(share, decimals) for share in on_select.shares)
    stages = len(found.cascade.stages)
    left = stages - (len(found.point.design.stages) if isinstance(found.point.design, Cascade) else 1)
    rows = [design_row("the chain", found.point, axis)]
    rows += [design_row(f"stage {k} alone", stage.point, axis) for k, stage in enumerate(found.alone, 1)]
    against = [
        f"The chain against stage {k} alone, on report: {compared(stage.chain_against)}."
        for k, stage in enumerate(found.alone, 1)
    ]
    return "\n".join(
        [
            f"Exits of {stages} stages within {format_amount(found.budget, axis.kind)} {per_what(axis)} "
            f"on average, chosen on {format_count(pool.select_examples)} select examples: {shares} leave "
            f"at stage 1 to {stages}.",
            "",
            f"    explorer build '{found.point.design}' --dataset {pool.dataset} --out DIR",
            "",
            f"On {format_count(found.point.accuracy.n)} report examples ({format_axis(axis)}):",
            table(DESIGN_HEADER, rows),
            *against,
            *(f"note: {note}" for note in _notes(found, left)),
        ]
    )


def early_exit_document(found: EarlyExits, pool: PoolSummary, axis: CostAxis) -> Document:
    """Lay out the chain; on ``select`` the share that leaves at each stage, idle ones included."""
    return {
        "schema_version": SCHEMA_VERSION,
        "mode": "early_exit",
        "dataset": pool.dataset,
        "cost": axis_document(axis),
        "cascade": str(found.cascade),
        "budget": found.budget,
        "on_select": {
            "leave": list(found.plan.shares),
            "accuracy": found.plan.accuracy,
            "cost": found.plan.cost,
        },
        "point": point_document(found.point),
        "stages_alone": [
            {"point": point_document(stage.point), "chain_against": comparison_document(stage.chain_against)}
            for stage in found.alone
        ],
        "pool": pool_document(pool),
    }


def _notes(found: EarlyExits, idle: int) -> list[str]:
    notes = [
        "chosen by what fits select best; for a promise on two stages: --target, --budget or --near-full"
    ]
    if idle:
        notes.append(
            f"{idle} of the stages given {'is' if idle == 1 else 'are'} idle at this budget and left out"
        )
    if found.point.cost.value > found.budget:
        notes.append("on report the mean cost is above the budget")
    elif found.point.cost.high > found.budget:
        notes.append("the interval of the mean cost on report reaches beyond the budget")
    cheaper = [
        str(number)
        for number, stage in enumerate(found.alone, 1)
        if stage.point.select_cost <= found.plan.cost and stage.point.select_accuracy >= found.plan.accuracy
        if stage.point.design != found.point.design
    ]
    if cheaper:
        notes.append(
            f"on select stage {', '.join(cheaper)} alone is no dearer and no less accurate than the chain"
        )
    return notes

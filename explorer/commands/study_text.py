"""What `explorer study` prints: tables for people, documents for programs."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from explorer.report.terminal import table
from explorer.report.text import format_macs, format_seconds, format_share
from explorer.run.study.definitions import Arm, Distilled, Published, Snapshots, Study
from explorer.run.study.fate import Fate

if TYPE_CHECKING:  # they bring torch, which a list of studies does not need
    from explorer.run.study.running import StudyOutcome, StudyPlan
    from explorer.run.study.schedule import Row
    from explorer.run.study.summary import StudySummary, SummaryRow

_FATES = {
    Fate.THERE: "there",
    Fate.FITS: "fits",
    Fate.STARTS: "is begun",
    Fate.LEFT: "is left",
    Fate.DONE: "done",
    Fate.STOPPED: "begun",
    Fate.FAILED: "failed",
}


def definition_text(study: Study) -> str:
    """Write what a study consists of."""
    lines = [
        f"{study.name}: {study.summary}",
        f"data set  {study.dataset}, recipe {study.recipe}",
        f"models    {', '.join(study.models)}",
        f"seeds     {_listed(study.seeds)}",
    ]
    lines += [f"arm       {_arm_text(arm)}" for arm in study.arms]
    return "\n".join(lines + [f"published {_published_text(one)}" for one in study.published])


def _arm_text(arm: Arm) -> str:
    if isinstance(arm, Distilled):
        return (
            f"distilled: {', '.join(arm.students)} from the mean of {arm.teacher}#"
            f"{_listed(arm.teacher_seeds)}, seeds {_listed(arm.seeds)}"
        )
    if isinstance(arm, Snapshots):
        return f"snapshots: {arm.cycles} of each run of {', '.join(arm.models)}, seeds {_listed(arm.seeds)}"
    return f"inner ensembles: {', '.join(arm.models)}, seeds {_listed(arm.seeds)}"


def definition_document(study: Study) -> dict[str, object]:
    """Return a study as plain values."""
    arms = [{"kind": type(arm).__name__, **dataclasses.asdict(arm)} for arm in study.arms]
    return {**dataclasses.asdict(study), "arms": arms}


def plan_text(plan: "StudyPlan", minutes: float | None) -> str:
    """Write a plan: what is still to do, how long it takes, what fits."""
    open_rows = [row for row in plan.rows if row.fate is not Fate.THERE]
    lines = list(plan.notes)
    if open_rows:
        shown = [(str(row.one.job), row.one.arm, *_times(row), _FATES[row.fate]) for row in open_rows]
        lines.append(table(("training", "arm", "an epoch", "in all", "plan"), shown))
    lines += _failures(plan)
    there = len(plan.rows) - len(open_rows)
    fits, starts, left, failed = (
        plan.having(fate) for fate in (Fate.FITS, Fate.STARTS, Fate.LEFT, Fate.FAILED)
    )
    spent = sum(row.planned_s for row in open_rows) / plan.workers
    limit = "" if minutes is None else f" of {minutes:g} min"
    lines.append(
        f"{plan.study.name}: {there} of {len(plan.rows)} trainings there; {len(fits)} fit"
        f"{f', {len(starts)} begun' if starts else ''}{f', {len(left)} left' if left else ''}"
        f"{f', {len(failed)} failed' if failed else ''}; "
        f"about {format_seconds(spent)}{limit} with {plan.workers} at a time "
        f"({plan.measured} networks timed here)"
    )
    return "\n".join(lines)


def _failures(plan: "StudyPlan") -> list[str]:
    return [f"failed: {row.one.job}: {row.problem}" for row in plan.having(Fate.FAILED)]


def _times(row: "Row") -> tuple[str, str]:
    if row.fate is Fate.FAILED:  # its step could not be timed
        return "-", "-"
    return format_seconds(row.epoch_s), format_seconds(row.seconds)


def outcome_text(outcome: "StudyOutcome") -> str:
    """Write what a run made and what is left."""
    plan = outcome.plan
    lines = _failures(plan)
    open_rows = plan.having(Fate.STOPPED, Fate.LEFT, Fate.FITS, Fate.STARTS, Fate.FAILED)
    made = f"{len(outcome.records)} members made in {format_seconds(outcome.wall_s)}"
    if plan.complete:
        return "\n".join([*lines, f"{plan.study.name}: complete; {made}"])
    rest = sum(row.seconds for row in open_rows) / plan.workers
    return "\n".join(
        [
            *lines,
            f"{plan.study.name}: {made}; {len(open_rows)} of {len(plan.rows)} trainings are left, at most "
            f"{format_seconds(rest)}; the same command continues",
        ]
    )


def outcome_document(outcome: "StudyOutcome", store: str, device: str) -> dict[str, object]:
    """Return a run as plain values."""
    plan = outcome.plan
    return {
        "schema_version": 1,
        "study": plan.study.name,
        "store": store,
        "device": device,
        "workers": plan.workers,
        "complete": plan.complete,
        "wall_s": outcome.wall_s,
        "notes": list(plan.notes),
        "trainings": [
            {
                "training": str(row.one.job),
                "arm": row.one.arm,
                "members": [str(member) for member in row.one.job.members],
                "state": row.fate.value,
                "epoch_s": row.epoch_s,
                "seconds": row.seconds if row.fate not in (Fate.THERE, Fate.DONE) else 0.0,
                "problem": row.problem,
            }
            for row in plan.rows
        ],
        "made": [
            {
                "member": str(record.member),
                "wall_s": record.training.wall_s,
                "training_macs": record.training.macs,
                "stacked": record.training.stacked,
            }
            for record in outcome.records
        ],
    }


def summary_text(summary: "StudySummary") -> str:
    """Write a study's table, cheapest model first in every arm."""
    rows = sorted(summary.rows, key=lambda row: (row.arm != "scale", row.arm, row.macs or 0))
    head = ("model", "arm", "MACs", "members", "accuracy", "over seeds", "training", "spent", "missing seeds")
    shown = [_summary_cells(row) for row in rows]
    lines = [*summary.notes, table(head, shown)]
    published = {one: row for row in summary.rows for one in row.published}
    lines += [
        f"published: {_published_text(one)}; here {_accuracy(row.mean)}" for one, row in published.items()
    ]
    missing = sum(len(row.missing) for row in summary.rows)
    state = "complete" if summary.complete else f"{missing} members missing"
    lines.append(f"{summary.study.name}: {summary.study.dataset}, recipe {summary.recipe_id}: {state}")
    return "\n".join(lines)


def _summary_cells(row: "SummaryRow") -> Sequence[str]:
    return (
        row.model,
        row.arm,
        "-" if row.macs is None else format_macs(row.macs).removesuffix("MACs").strip(),
        str(len(row.seeds)),
        _accuracy(row.mean),
        "-" if row.spread is None else f"\N{PLUS-MINUS SIGN} {100 * row.spread:.2f}",
        format_macs(row.training_macs) if row.seeds else "-",
        format_seconds(row.wall_s) if row.seeds else "-",
        _listed(row.missing) if row.missing else "",
    )


def summary_document(summary: "StudySummary") -> dict[str, object]:
    """Return a study's table as plain values."""
    return {
        "schema_version": 1,
        "study": summary.study.name,
        "dataset": summary.study.dataset,
        "recipe": summary.recipe_id,
        "split_digest": summary.split_digest,
        "complete": summary.complete,
        "notes": list(summary.notes),
        "rows": [
            {
                "arm": row.arm,
                "model": row.model,
                "macs": row.macs,
                "members": len(row.seeds),
                "seeds": list(row.seeds),
                "accuracy": {"mean": row.mean, "spread": row.spread, "each": list(row.accuracies)},
                "wall_s": row.wall_s,
                "training_macs": row.training_macs,
                "devices": list(row.devices),
                "missing": list(row.missing),
                "published": [dataclasses.asdict(one) for one in row.published],
            }
            for row in summary.rows
        ],
    }


def _accuracy(value: float | None) -> str:
    return "-" if value is None else format_share(value, 2)


def _published_text(one: Published) -> str:
    return f"{one.model} {format_share(one.accuracy, 2)} ({one.source}; {one.note})"


def _listed(seeds: Sequence[int]) -> str:
    """Write seeds as `--seeds` reads them."""
    if len(seeds) > 1 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]}-{seeds[-1]}"
    return ",".join(map(str, seeds))

"""Which runs to make in the minutes at hand, as text and as a document."""

import shlex
from collections.abc import Callable

from explorer.analysis.planning.planner import Goal
from explorer.analysis.planning.planner_choice import MeasureRun, RunPlan, SeedRun, Step
from explorer.analysis.result import PoolSummary
from explorer.convention import CostAxis
from explorer.question import Target
from explorer.report.documents import SCHEMA_VERSION, Document, axis_document, pool_document
from explorer.report.text import (
    ARROW,
    format_amount,
    format_axis,
    format_count,
    format_pool,
    format_question,
    format_seconds,
    significant,
)
from explorer.spec import ModelSpec

_ASSUMED = (
    "only designs on a kind's own front, as chosen, are in question: rivals just off it are not, so the true "
    "doubt is larger; errors are normal and apart; the test examples stay the same; a design errs as its "
    "models' means over seeds do; that a new seed may itself be worth shipping is not counted; minutes are "
    "of one run at a time"
)
_CONDITIONS = (
    "a measurement counts beside the others where it is made under their conditions: same machine, same "
    "versions; elsewhere measure every model"
)
_IMAGES = (
    "training needs the images: add --data-dir or --download where $EXPLORER_DATA_DIR does not name them"
)
_STOPPED = {
    "sure": "among the designs in question nothing is left in doubt",
    "minutes": "no further run fits in the minutes",
    "no gain": "no further run that fits gains anything that the simulation can tell from nothing",
}


def plan_text(found: RunPlan, axis: CostAxis, pool: PoolSummary, store: str | None) -> str:
    """Write the runs in the order to make them, each with its minutes, what it buys, and its command.

    Args:
        found: what was planned.
        axis: of the costs.
        pool: what the designs are made of.
        store: as the commands are to name it; None: as it goes without saying.
    """
    plan = found.plan
    about = (
        f"front, accuracy against {format_axis(axis)}"
        if found.question is None
        else f"answer to {format_question(found.question)}"
    )
    show = _figure(found, axis)
    lines = [
        f"plan of {_minutes(plan.minutes)} for {pool.dataset}: a surer {about}",
        format_pool(pool),
        f"{format_count(len(found.options))} designs in question, {format_count(len(found.actions))} kinds "
        f"of run; accuracy scatters over seeds by {significant(100 * found.deviation, 2)} points (one "
        "standard deviation, all models together)",
        "",
        f"{_what(found)}: {show(plan.now)} now, {show(plan.then)} after the plan, {show(plan.at_best)} if "
        "everything was run without end",
        *_steps(found, axis, pool, store),
        "",
        *(
            f"minutes of {key} by MACs from {other}: it has no wall time"
            for key, other in found.by_macs.items()
        ),
        *(f"left out: {key}: {why}" for key, why in found.left_out.items()),
        *_unmeasured(found, axis, pool, store),
        f"assumed: {_ASSUMED}",
        *([_IMAGES] if _needs_images(found, pool) else []),
        *([_CONDITIONS] if any(isinstance(step.run, MeasureRun) for step in found.steps) else []),
        *(f"note: {note}" for note in found.notes),
    ]
    return "\n".join(lines)


def plan_document(found: RunPlan, axis: CostAxis, pool: PoolSummary, store: str | None) -> Document:
    """Lay out the plan; the goal's figures are shares, with goal ``regret`` accuracy or cost."""
    plan = found.plan
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": pool.dataset,
        "cost": axis_document(axis),
        "question": None if found.question is None else str(found.question),
        "goal": str(plan.goal),
        "minutes": plan.minutes,
        "spent_minutes": plan.spent,
        "stopped": plan.stopped,
        "now": plan.now,
        "then": plan.then,
        "at_best": plan.at_best,
        "runs": [_step_document(step, pool, store) for step in found.steps],
        "could_be_run": [{"name": one.name, "minutes_each": one.minutes} for one in found.actions],
        "designs": [str(point.design) for point in found.options],
        "seed_deviation": found.deviation,
        "minutes_by_macs": dict(found.by_macs),
        "left_out": dict(found.left_out),
        "unmeasured": [
            {"model": str(model), "command": profile_command(model, axis, pool, store)}
            for model in found.unmeasured
        ],
        "assumed": _ASSUMED,
        "pool": pool_document(pool),
        "notes": list(found.notes),
    }


def train_command(run: SeedRun, dataset: str, store: str | None) -> str:
    """Write the command that trains further seeds just as those that are there were trained."""
    training = run.training
    record = training.record
    words = ["explorer", "train", str(training.member.model), "--dataset", dataset]
    words += ["--seeds", _seeds(run.seeds), "--recipe", training.base_recipe.rpartition("-")[0]]
    words += ["--epochs", str(record.recipe.get("epochs", record.epochs))]
    if "train_share" in record.recipe:
        words += ["--train-share", str(record.recipe["train_share"])]
    words += ["--teacher", record.teacher] if record.teacher else []
    words += ["--device", record.device] if record.device != "cpu" else []
    words += ["--precision", record.precision] if record.precision != "float32" else []
    words += ["--compile"] if record.compiled else []
    return shlex.join([*words, *_store(store)])


def profile_command(
    model: ModelSpec, axis: CostAxis, pool: PoolSummary, store: str | None, times: int = 1
) -> str:
    """Write the command that measures a model's cost on an axis, also where it is stored already."""
    assert axis.device is not None  # costs without a device are counted, not measured
    words = ["explorer", "profile", str(model), "--dataset", pool.dataset, "--device", axis.device, "--again"]
    words += ["--repeat", str(times)] if times > 1 else []
    words += ["--energy"] if axis.stored_kind == "energy" else []
    return shlex.join([*words, *_store(store)])


def _steps(found: RunPlan, axis: CostAxis, pool: PoolSummary, store: str | None) -> list[str]:
    plan = found.plan
    if not found.steps:
        return ["", f"nothing to run: {_nothing(found)}"]
    show, lines = _figure(found, axis), []
    for number, step in enumerate(found.steps, start=1):
        planned = step.planned
        bought = f"{show(planned.before)} {ARROW} {show(planned.after)}"
        lines += [
            "",
            f"{number}. {_minutes(planned.minutes)}: {_run(step)}: {bought}",
            f"   {_command(step, axis, pool, store)}",
        ]
    spent = f"{_minutes(plan.spent)} of {_minutes(plan.minutes)}"
    return [*lines, "", f"together {spent}; it ends there because {_STOPPED[plan.stopped]}"]


def _nothing(found: RunPlan) -> str:
    """Say why no run is worth it."""
    plan = found.plan
    if plan.stopped == "sure":
        return "among the designs in question nothing uncertain could change the answer; see what is assumed"
    if not found.actions:
        return "no model can be trained further or measured"
    cheapest = min(found.actions, key=lambda action: action.minutes)
    if cheapest.minutes > plan.minutes:
        return f"the shortest, {cheapest.name}, takes {_minutes(cheapest.minutes)}"
    return (
        "no run that fits in the minutes, made up to eight times, gains anything that the simulation can "
        "tell from nothing"
    )


def _run(step: Step) -> str:
    run = step.run
    if isinstance(run, MeasureRun):
        again = "again" if run.times == 1 else f"{format_count(run.times)} times again"
        return f"measure {run.kind} of {run.model} on {run.device} {again}"
    member, count = run.training.member, len(run.seeds)
    how = ", distilled" if run.training.record.teacher else ""
    more = "1 more seed" if count == 1 else f"{format_count(count)} more seeds"
    return f"train {more} of {member.model}{how} (recipe {member.recipe})"


def _command(step: Step, axis: CostAxis, pool: PoolSummary, store: str | None) -> str:
    if isinstance(step.run, SeedRun):
        return train_command(step.run, pool.dataset, store)
    return profile_command(step.run.model, axis, pool, store, step.run.times)


def _needs_images(found: RunPlan, pool: PoolSummary) -> bool:
    """Say whether a training of the plan is on a data set that neither ships nor names its folder."""
    trains = any(isinstance(step.run, SeedRun) for step in found.steps)
    return trains and pool.dataset != "digits" and not pool.dataset.startswith("folder:")


def _unmeasured(found: RunPlan, axis: CostAxis, pool: PoolSummary, store: str | None) -> list[str]:
    return [
        f"{model} was trained but has no {axis}, so it is not in question; measure it for the first time: "
        f"{profile_command(model, axis, pool, store)}"
        for model in found.unmeasured
    ]


def _what(found: RunPlan) -> str:
    if found.question is None:
        return "designs expected to be wrongly on the front or off it"
    if found.plan.goal is Goal.WRONG:
        return "chance that the design chosen is not the one that the truth asks for"
    lost = "cost" if isinstance(found.question, Target) else "accuracy"
    return f"{lost} expected to be lost by the choice"


def _figure(found: RunPlan, axis: CostAxis) -> Callable[[float], str]:
    """Return how the goal's figure is written: a share, points of accuracy, or an amount of cost."""
    if found.plan.goal is Goal.WRONG:
        return lambda value: f"{significant(100 * value)}%"
    if isinstance(found.question, Target):
        return lambda value: format_amount(value, axis.kind)
    return lambda value: f"{significant(100 * value, 2)} points"


def _minutes(value: float) -> str:
    return format_seconds(60 * value)


def _seeds(seeds: tuple[int, ...]) -> str:
    return str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]}-{seeds[-1]}"


def _store(store: str | None) -> list[str]:
    return [] if store is None else ["--store", store]


def _step_document(step: Step, pool: PoolSummary, store: str | None) -> Document:
    planned, run = step.planned, step.run
    document: Document = {
        "name": planned.action.name,
        "times": planned.times,
        "minutes": planned.minutes,
        "before": planned.before,
        "after": planned.after,
        "simulation_error": planned.error,
    }
    if isinstance(run, SeedRun):
        document |= {
            "kind": "train",
            "model": str(run.training.member.model),
            "recipe": run.training.member.recipe,
            "seeds": list(run.seeds),
            "command": train_command(run, pool.dataset, store),
        }
    else:
        axis = CostAxis.parse(f"{run.kind}@{run.device}")
        document |= {
            "kind": "measure",
            "model": str(run.model),
            "device": run.device,
            "command": profile_command(run.model, axis, pool, store, run.times),
        }
    return document

"""`explorer plan`: which runs would tell most about the front in the minutes there are."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from explorer.commands.common import (
    cost_option,
    dataset_option,
    json_option,
    open_store,
    print_json,
    store_option,
)
from explorer.commands.searching import SearchArguments, search_options
from explorer.convention import CostAxis
from explorer.errors import UsageError
from explorer.question import Budget, Target

if TYPE_CHECKING:
    from explorer.analysis.training_runs import Training
    from explorer.spec import Member


@click.command("plan", short_help="Which runs would tell most about the front in the minutes there are.")
@dataset_option
@cost_option
@click.option(
    "--minutes",
    required=True,
    type=click.FloatRange(0, min_open=True),
    metavar="M",
    help="There are for runs, one after the other.",
)
@click.option(
    "--budget", metavar="KIND[@DEVICE]<=AMOUNT", help="Plan for the answer to this, not for the whole front."
)
@click.option("--target", metavar="accuracy>=SHARE", help="Likewise, at least --cost.")
@click.option(
    "--goal",
    default="wrong",
    show_default=True,
    type=click.Choice(["wrong", "regret"]),
    help="What is to become smaller: the chance of a wrong choice, or what is lost by it.",
)
@click.option(
    "--measure-minutes",
    default=0.5,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="What measuring one model takes; for costs that depend on a device.",
)
@search_options
@store_option
@json_option
def command(
    dataset: str,
    cost: str,
    minutes: float,
    budget: str | None,
    target: str | None,
    goal: str,
    measure_minutes: float,
    search_arguments: SearchArguments,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Plan which seeds to train and which models to measure again, to be surest of the front.

    In two hours: `explorer plan --dataset fashion-mnist --cost macs --minutes 120`.

    Truths are drawn from what is known (scatter over seeds, intervals of measured costs), and runs are chosen
    by how much less often the choice would then be wrong, for each minute. Nothing is run: each line is a
    command to run.
    """
    question = _question(budget, target)
    axis = question.axis if isinstance(question, Budget) else CostAxis.parse(cost)
    if goal == "regret" and question is None:
        raise UsageError("--goal regret needs a choice to regret: give --budget or --target")
    from explorer.analysis.planning.planner import Goal
    from explorer.analysis.planning.planner_choice import PlanAsked, plan_from
    from explorer.analysis.training_runs import read_trainings
    from explorer.report.planning import plan_document, plan_text
    from explorer.run.progress import progress

    asked = PlanAsked(question=question, minutes=minutes, goal=Goal(goal), measure_minutes=measure_minutes)
    with open_store(store_url) as store:
        pool, front = search_arguments.search(store, dataset, axis)
        trainings = read_trainings(store, dataset)
        unmakeable = _unmakeable(dataset, trainings)
        with progress("plan") as update:
            found = plan_from(pool, front, trainings, asked, unmakeable=unmakeable, update=update)
    named = _store_to_write(store_url)
    if as_json:
        print_json(plan_document(found, axis, pool.summary, named))
    else:
        click.echo(plan_text(found, axis, pool.summary, named))


def _question(budget: str | None, target: str | None) -> Budget | Target | None:
    if budget is not None and target is not None:
        raise UsageError("give either --budget or --target, not both")
    if budget is not None:
        return Budget.parse(budget)
    return None if target is None else Target.parse(target)


def _store_to_write(url: str | None) -> str | None:
    """Return the store as the planned commands are to name it; the reference study must be copied first."""
    from explorer.store.location import DEFAULT_FOLDER, REFERENCE, names_reference
    from explorer.store.reference import store_to_read

    if not names_reference(store_to_read(url)):
        return url
    click.echo(
        "note: the reference study is only read; before the runs, copy it: "
        f"explorer db ingest {REFERENCE} --store {DEFAULT_FOLDER}",
        err=True,
    )
    return DEFAULT_FOLDER


def _unmakeable(dataset: str, trainings: "Mapping[Member, Training]") -> dict[str, str]:
    """Return recipe id -> why `explorer train` cannot train another seed under it; absent where it can."""
    from explorer.run.training.jobs import chosen_recipe
    from zoo import ZooError
    from zoo.recipes import VARIANTS

    found: dict[str, str] = {}
    for one in {training.record.recipe_id: training for training in trainings.values()}.values():
        record, name = one.record, one.base_recipe.rpartition("-")[0]
        own = record.recipe_id.rpartition("-")[0]
        name = f"{name}+{own}" if own in VARIANTS else name
        epochs, precision = record.recipe.get("epochs"), record.recipe.get("precision")
        share = record.recipe.get("train_share")
        try:
            recipe = chosen_recipe(
                dataset,
                name,
                epochs if isinstance(epochs, int) else record.epochs,
                precision="bfloat16" if precision == "bfloat16" else None,
                train_share=share if isinstance(share, float) else None,
            )
            made = recipe.distilled(record.teacher) if record.teacher else recipe
        except ZooError:
            found[record.recipe_id] = f"`explorer train` knows no recipe {name!r}"
            continue
        if made.id != record.recipe_id:
            found[record.recipe_id] = f"`explorer train` has no option that gives recipe {record.recipe_id}"
    return found

"""`explorer compare`: two designs on the same examples."""

import dataclasses
from typing import TYPE_CHECKING

import click

from explorer.commands.common import (
    SearchArguments,
    cost_option,
    dataset_option,
    json_option,
    open_store,
    print_json,
    search_options,
    store_option,
)
from explorer.convention import CostAxis
from explorer.spec import Candidate, parse_design

if TYPE_CHECKING:
    from explorer.store import Store


@click.command("compare", short_help="Two designs, paired on the same examples.")
@click.argument("first")
@click.argument("second")
@dataset_option
@cost_option
@search_options
@store_option
@json_option
def command(
    first: str,
    second: str,
    dataset: str,
    cost: str,
    search_arguments: SearchArguments,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Compare design FIRST with SECOND on the `report` split, example by example.

    E.g. `explorer compare 'wrn10-2@8#0' 'mean(wrn10-1@8#0, wrn10-1@8#1)' --dataset digits`.
    """
    designs = parse_design(first), parse_design(second)
    axis = CostAxis.parse(cost)
    from explorer.analysis.scoring.score import evaluate
    from explorer.analysis.statistics.compare import compare
    from explorer.report.documents import comparison_document, point_document
    from explorer.report.terminal import comparison_text

    with open_store(store_url) as store:
        pool, _ = _covering(search_arguments, store, dataset, designs).pool(store, dataset, axis)
        points = [evaluate(pool, design, axis) for design in designs]
        comparison = compare(pool, *designs)
    if as_json:
        print_json({**comparison_document(comparison), "points": [point_document(p) for p in points]})
    else:
        click.echo(comparison_text(comparison, points[0], points[1], axis))


def _covering(
    arguments: SearchArguments, store: "Store", dataset: str, designs: tuple[Candidate, ...]
) -> SearchArguments:
    """Return the arguments with the recipes that the designs name themselves, unless some were asked for."""
    from explorer.analysis.loading import base_recipes

    if arguments.recipe is not None or arguments.mix_recipes:
        return arguments
    bases = base_recipes(store, dataset)
    members = [member for design in designs for member in design.members]
    named = {bases[member.recipe] for member in members if member.recipe in bases}
    if len(named) == 1:
        return dataclasses.replace(arguments, recipe=named.pop())
    return dataclasses.replace(arguments, mix_recipes=len(named) > 1)

"""`explorer front`: the exact Pareto front over single, ensemble and cascade."""

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


@click.command("front", short_help="The exact Pareto front over single, ensemble and cascade.")
@dataset_option
@cost_option
@click.option("--all", "every", is_flag=True, help="Show every point, not a readable choice.")
@search_options
@store_option
@json_option
def command(
    dataset: str,
    cost: str,
    every: bool,
    search_arguments: SearchArguments,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Search every single, every ensemble and every two-stage cascade of the stored members.

    Designs are chosen on the `select` split; the figures shown are those of the `report` split, which
    took no part in choosing. Intervals are 95 %.
    """
    axis = CostAxis.parse(cost)
    from explorer.report.documents import front_document
    from explorer.report.terminal import front_table

    with open_store(store_url) as store:
        _, front = search_arguments.search(store, dataset, axis)
    if as_json:
        print_json(front_document(front))
        return
    click.echo(front_table(front, every=every))
    for note in front.notes:
        click.echo(f"note: {note}", err=True)

"""`explorer explain`: who dominates a design, what its members are worth, which edit helps."""

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
from explorer.spec import parse_design


@click.command("explain", short_help="Dominated by whom, member by member, and the edit that helps.")
@click.argument("design")
@dataset_option
@cost_option
@search_options
@store_option
@json_option
def command(
    design: str,
    dataset: str,
    cost: str,
    search_arguments: SearchArguments,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Explain DESIGN: what dominates it, what each member adds, and the cheapest edit that helps.

    E.g. `explorer explain 'mean(wrn10-1@8#0, wrn10-1@8#1)' --dataset digits`. All single edits (drop, swap
    or add a member, move a threshold) are scored exactly; chosen on `select`, reported on `report`.
    """
    asked, axis = parse_design(design), CostAxis.parse(cost)
    from explorer.analysis.advice.explain import explain
    from explorer.report.explanation import explanation_document, explanation_text

    with open_store(store_url) as store:
        covering = search_arguments.covering(store, dataset, (asked,))
        pool, front = covering.search(store, dataset, axis)
        found = explain(pool, front, asked)
    if as_json:
        print_json(explanation_document(found, axis, dataset))
    else:
        click.echo(explanation_text(found, axis))

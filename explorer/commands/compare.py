"""`explorer compare`: two designs on the same examples."""

import click

from explorer.commands.common import (
    cost_option,
    dataset_option,
    json_option,
    open_store,
    print_json,
    store_option,
)
from explorer.commands.searching import MemberArguments, member_options
from explorer.convention import CostAxis
from explorer.spec import parse_design


@click.command("compare", short_help="Two designs, paired on the same examples.")
@click.argument("first")
@click.argument("second")
@dataset_option
@cost_option
@member_options
@store_option
@json_option
def command(
    first: str,
    second: str,
    dataset: str,
    cost: str,
    member_arguments: MemberArguments,
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
        pool, _ = member_arguments.covering(store, dataset, designs).pool(store, dataset, axis)
        points = [evaluate(pool, design, axis) for design in designs]
        comparison = compare(pool, *designs)
    if as_json:
        print_json({**comparison_document(comparison), "points": [point_document(p) for p in points]})
    else:
        click.echo(comparison_text(comparison, points[0], points[1], axis))

"""`explorer score`: designs on every metric."""

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


@click.command(
    "score", short_help="Designs on every metric: log loss, Brier, top-5, calibration, worst class."
)
@click.argument("designs", nargs=-1, metavar="[DESIGN]...")
@dataset_option
@click.option(
    "--split",
    type=click.Choice(["report", "select"]),
    default="report",
    show_default=True,
    help="Whose examples; figures on select, where designs are chosen, flatter.",
)
@cost_option
@search_options
@store_option
@json_option
def command(
    designs: tuple[str, ...],
    dataset: str,
    split: str,
    cost: str,
    search_arguments: SearchArguments,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Score DESIGNs by accuracy, log loss, Brier score, top-5, calibration error and worst class.

    Each figure has a 95% interval over examples; with several designs each is compared with the first, paired
    on the same examples. E.g. `explorer score 'wrn10-2@8#0' 'mean(wrn10-1@8#0, wrn10-1@8#1)' --dataset
    digits`. A member named twice counts twice. Without a DESIGN: up to 12 of the front over --cost, for which
    alone the options of the search are.
    """
    asked, axis = tuple(map(parse_design, designs)), CostAxis.parse(cost)
    from explorer.analysis.advice.scores import of_front, score_designs
    from explorer.report.scores import scores_document, scores_text

    with open_store(store_url) as store:
        if asked:
            pool, _ = search_arguments.covering(store, dataset, asked).pool(store, dataset, axis)
            notes: tuple[
                str, ...
            ] = ()  # what was left out of the pool is not in question: the designs are named
        else:
            pool, front = search_arguments.search(store, dataset, axis)
            asked, notes = of_front(front), front.notes
            if len(asked) < len(front.points):
                notes = (f"{len(asked)} of {len(front.points)} designs of the front, spread evenly", *notes)
        found = score_designs(pool, asked, split=split, notes=notes)
    if as_json:
        print_json(scores_document(found))
    else:
        click.echo(scores_text(found))

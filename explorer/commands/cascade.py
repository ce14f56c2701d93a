"""`explorer cascade`: one cascade from all sides, and whether anything cleverer would be worth it."""

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
from explorer.question import Budget
from explorer.spec import parse_design


@click.command("cascade", short_help="A cascade from all sides, and what could replace it.")
@click.argument("design", required=False)
@dataset_option
@cost_option
@click.option(
    "--budget",
    "budget_text",
    metavar="KIND[@DEVICE]<=AMOUNT",
    help="Look at the most accurate cascade within it, e.g. 'macs<=2M'; instead of DESIGN and --cost.",
)
@search_options
@store_option
@json_option
def command(
    design: str | None,
    dataset: str,
    cost: str,
    budget_text: str | None,
    search_arguments: SearchArguments,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Look at a cascade of two stages: DESIGN, the best within --budget, or the knee of the front.

    E.g. `explorer cascade --dataset fashion-mnist --budget 'macs<=2M'`. Shows what each threshold gives
    and costs (mean, 99th percentile, worst case), the exit signals at equal cost, whether a fitted deferral
    rule would do better, and whether a third stage would. Chosen on `select`, quoted on `report`.
    """
    if design is not None and budget_text is not None:
        raise UsageError("give either a DESIGN or --budget, not both")
    if not search_arguments.space.cascades:
        raise UsageError("this command looks at cascades; leave out --no-cascades")
    from explorer.analysis.advice.cascades import Picked, look_at, pick, two_stages
    from explorer.report.cascades import cascade_document, cascade_text
    from explorer.run.progress import progress

    asked = None if design is None else two_stages(parse_design(design))
    budget = None if budget_text is None else Budget.parse(budget_text)
    axis = CostAxis.parse(cost) if budget is None else budget.axis
    space = search_arguments.space
    with open_store(store_url) as store, progress("cascade") as update:
        if asked is not None:
            pool, notes = search_arguments.covering(store, dataset, (asked,)).pool(store, dataset, axis)
            chosen, picked = asked, Picked.NAMED
        else:
            update(0.0, "front of at most two stages")
            pool, front = search_arguments.search(store, dataset, axis)
            notes = front.notes
            chosen, picked = pick(front, budget)
        limit = None if budget is None else budget.limit
        found = look_at(pool, chosen, space, picked=picked, limit=limit, update=update)
    if as_json:
        print_json(cascade_document(found, pool.summary, axis, notes))
        return
    click.echo(cascade_text(found, axis))
    for note in notes:
        click.echo(f"note: {note}", err=True)

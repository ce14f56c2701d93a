"""`explorer advise`: the answer to a budget or a target, and the evidence."""

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
from explorer.question import Budget, Target, parse_amount


@click.command("advise", short_help="The answer to budgets, a target, or the price of a mistake.")
@dataset_option
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    metavar="KIND[@DEVICE]<=AMOUNT",
    help="E.g. 'macs<=4M' or 'latency@cpu<=2ms'; may be given several times: all hold at once.",
)
@click.option("--target", metavar="accuracy>=SHARE", help="E.g. 'accuracy>=97%', at least --cost.")
@click.option(
    "--mistake-price",
    metavar="AMOUNT",
    help="What one wrong answer costs, in the unit of --cost: the smallest cost with mistakes is wanted.",
)
@cost_option
@search_options
@store_option
@json_option
def command(
    dataset: str,
    budgets: tuple[str, ...],
    target: str | None,
    mistake_price: str | None,
    cost: str,
    search_arguments: SearchArguments,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Answer: bigger model, ensemble, or cascade? "Cannot tell" is an answer.

    With --budget: the most accurate design that costs at most that. With --target: the cheapest
    design (by --cost) that reaches that accuracy. With several budgets all hold at once; with a target
    beside them, the design that reaches it and costs least on the first. With --mistake-price: the design
    that costs least together with its mistakes.
    """
    asked = [Budget.parse(text) for text in budgets]
    aim = Target.parse(target) if target is not None else None
    if mistake_price is not None:
        if asked or aim:
            raise UsageError("give either --mistake-price or --budget and --target, not both")
        axis = CostAxis.parse(cost)
        price = parse_amount(mistake_price, axis.kind.unit)
        document, text = _by_price(search_arguments, store_url, dataset, axis, price)
    elif len(asked) + (aim is not None) > 1:
        document, text = _several(search_arguments, store_url, dataset, asked, aim)
    elif asked or aim:
        document, text = _one(search_arguments, store_url, dataset, aim or asked[0], CostAxis.parse(cost))
    else:
        raise UsageError(
            "give either --budget, e.g. 'macs<=4M', or --target, e.g. 'accuracy>=0.97', or --mistake-price"
        )
    if as_json:
        print_json(document)
    else:
        click.echo(text)


def _one(
    arguments: SearchArguments, url: str | None, dataset: str, question: Budget | Target, cost: CostAxis
) -> tuple[dict[str, object], str]:
    from explorer.analysis.advice.advise import advise
    from explorer.report.documents import advice_document
    from explorer.report.terminal import advice_text

    with open_store(url) as store:
        axis = question.axis if isinstance(question, Budget) else cost
        pool, front = arguments.search(store, dataset, axis)
        advice = advise(pool, front, question)
    return advice_document(advice), advice_text(advice)


def _several(
    arguments: SearchArguments, url: str | None, dataset: str, budgets: list[Budget], target: Target | None
) -> tuple[dict[str, object], str]:
    from explorer.analysis.advice.several import Needs, best_under
    from explorer.report.several import several_document, several_text

    needs = Needs(budgets=tuple(budgets), target=target)
    with open_store(url) as store:
        axes = [budget.axis for budget in budgets]
        pools, notes = arguments.pools(store, dataset, axes)
        found = best_under(pools, needs, arguments.space, notes=notes)
    return several_document(found, pools[0].summary), several_text(found, pools[0].summary)


def _by_price(
    arguments: SearchArguments, url: str | None, dataset: str, axis: CostAxis, price: float
) -> tuple[dict[str, object], str]:
    from explorer.analysis.advice.mistakes import at_price, price_ranges
    from explorer.report.mistakes import mistake_document, mistake_text

    with open_store(url) as store:
        pool, front = arguments.search(store, dataset, axis)
        ranges = price_ranges(pool, front)
        found = at_price(pool, front, price, ranges=ranges)
    return mistake_document(found, ranges, pool.summary), mistake_text(found, ranges, pool.summary)

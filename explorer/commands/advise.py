"""`explorer advise`: the answer to a budget or a target, and the evidence."""

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
from explorer.errors import UsageError
from explorer.question import Budget, Target


@click.command("advise", short_help="The answer to a budget or a target.")
@dataset_option
@click.option("--budget", metavar="KIND[@DEVICE]<=AMOUNT", help="E.g. 'macs<=4M' or 'latency@cpu<=2ms'.")
@click.option("--target", metavar="accuracy>=SHARE", help="E.g. 'accuracy>=97%', at least --cost.")
@cost_option
@search_options
@store_option
@json_option
def command(
    dataset: str,
    budget: str | None,
    target: str | None,
    cost: str,
    search_arguments: SearchArguments,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Answer: bigger model, ensemble, or cascade? "Cannot tell" is an answer.

    With --budget: the most accurate design that costs at most that. With --target: the cheapest
    design (by --cost) that reaches that accuracy.
    """
    if (budget is None) == (target is None):
        raise UsageError("give either --budget, e.g. 'macs<=4M', or --target, e.g. 'accuracy>=0.97'")
    question = Budget.parse(budget) if budget is not None else Target.parse(target or "")
    axis = question.axis if isinstance(question, Budget) else CostAxis.parse(cost)
    from explorer.analysis.advice.advise import advise
    from explorer.report.documents import advice_document
    from explorer.report.terminal import advice_text

    with open_store(store_url) as store:
        pool, front = search_arguments.search(store, dataset, axis)
        advice = advise(pool, front, question)
    if as_json:
        print_json(advice_document(advice))
    else:
        click.echo(advice_text(advice))

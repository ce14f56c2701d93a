"""`explorer report`: the answer, the front and the evidence in one file."""

from pathlib import Path

import click

from explorer.commands.common import (
    cost_option,
    dataset_option,
    open_store,
    store_option,
)
from explorer.commands.searching import SearchArguments, search_options
from explorer.convention import CostAxis
from explorer.errors import UsageError
from explorer.question import Budget, Target


@click.command("report", short_help="Write a self-contained report (HTML or Markdown).")
@dataset_option
@cost_option
@click.option("--budget", metavar="KIND[@DEVICE]<=AMOUNT", help="[default: the dearest single model's cost]")
@click.option("--target", metavar="accuracy>=SHARE", help="Ask for an accuracy instead.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="FILE.html, FILE.md or FILE.json",
)
@search_options
@store_option
def command(
    dataset: str,
    cost: str,
    budget: str | None,
    target: str | None,
    out: Path,
    search_arguments: SearchArguments,
    store_url: str | None,
) -> None:
    """Write the report to --out; the ending says which form."""
    if out.suffix not in (".html", ".md", ".json"):
        raise UsageError(f"--out must end in .html, .md or .json, got {out.name!r}")
    if budget is not None and target is not None:
        raise UsageError("give --budget or --target, not both")
    question = Budget.parse(budget) if budget else Target.parse(target) if target else None
    axis = question.axis if isinstance(question, Budget) else CostAxis.parse(cost)
    from explorer.analysis.advice.advise import advise
    from explorer.report import write_report

    with open_store(store_url) as store:
        pool, front = search_arguments.search(store, dataset, axis, drawn=True)
        advice = advise(pool, front, question or Budget(axis, float(pool.costs.max())))
        write_report(out, store=store, front=front, advice=advice)
    click.echo(str(out))

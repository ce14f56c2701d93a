"""`explorer check`: a gate for CI: did the front get worse beyond noise?"""

from pathlib import Path

import click

from explorer.commands.common import json_option, open_store, print_json, store_option
from explorer.commands.searching import SearchArguments, search_options
from explorer.convention import CostAxis
from explorer.errors import UsageError


@click.command("check", short_help="A gate for CI: whether the front got worse beyond noise.")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Compare with this file of --write (or of `explorer front --json`).",
)
@click.option("--write", type=click.Path(path_type=Path, dir_okay=False), help="Write today's front there.")
@click.option("--dataset", metavar="NAME", help="[default: the baseline's]")
@click.option("--cost", metavar="KIND[@DEVICE]", help="Cost axis.  [default: the baseline's, or macs]")
@click.option(
    "--tolerance",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 100, max_open=True),
    metavar="POINTS",
    help="Loss of accuracy accepted, in percentage points.",
)
@click.option(
    "--cost-tolerance",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 100, max_open=True),
    metavar="PERCENT",
    help="Rise of cost accepted, beyond the interval of the earlier figure.",
)
@click.option("--all", "every", is_flag=True, help="List the designs whose place did not change as well.")
@search_options
@store_option
@json_option
def command(
    baseline: Path | None,
    write: Path | None,
    dataset: str | None,
    cost: str | None,
    tolerance: float,
    cost_tolerance: float,
    every: bool,
    search_arguments: SearchArguments,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Say whether the front got worse since a baseline; exit code 1 if it did.

    \b
        explorer check --dataset digits --write front.json     keep today's front
        explorer check --baseline front.json                   compare with it later

    For each design of the baseline, the best that costs no more today is compared with it on the same
    `report` examples. Where members were trained again, the luck of their seeds is counted too. The chance
    of a false alarm over the whole front is 5 % (Holm).
    """
    if (baseline is None) == (write is None):
        raise UsageError("one of --baseline FILE (compare) and --write FILE (keep today's front) is needed")
    from explorer.analysis.advice.baseline import check_front
    from explorer.report.checking import check_document, check_text, read_baseline, write_baseline

    earlier = None if baseline is None else read_baseline(baseline)
    if dataset is None:
        if earlier is None:
            raise UsageError("--dataset is needed to write a baseline")
        dataset = earlier.dataset
    axis = CostAxis.parse(cost or "macs") if cost or earlier is None else earlier.axis
    with open_store(store_url) as store:
        pool, front = search_arguments.search(store, dataset, axis)
    if earlier is None:
        assert write is not None, "one of the two was given"
        click.echo(f"{write}: {write_baseline(write, pool, front)} designs of the front", err=as_json)
        return
    found = check_front(pool, front, earlier, tolerance=tolerance / 100, cost_tolerance=cost_tolerance / 100)
    if as_json:
        print_json(check_document(found, front))
    else:
        click.echo(check_text(found, front, every=every))
        for note in (*found.notes, *front.notes):
            click.echo(f"note: {note}", err=True)
    if not found.passed:
        raise SystemExit(1)

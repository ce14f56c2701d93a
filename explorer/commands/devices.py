"""`explorer devices`: what is known of devices, and what an hour of them costs."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from explorer.commands.common import json_option, open_store, print_json, store_option
from explorer.errors import UsageError

if TYPE_CHECKING:
    from explorer.data.prices import Price


@click.group("devices", short_help="The device table, and the price book.")
def command() -> None:
    """Look up what devices can do at most, and what an hour of them costs."""


@command.command("list")
@json_option
def list_devices(as_json: bool) -> None:
    """List the device table."""
    from explorer.data.devices import devices
    from explorer.report.devices import devices_document, devices_text

    if as_json:
        print_json(devices_document(devices()))
    else:
        click.echo(devices_text(devices()))


@command.command("show")
@click.argument("name")
@store_option
@json_option
def show(name: str, store_url: str | None, as_json: bool) -> None:
    """Tell what is known of the device NAME, with the source of every figure.

    NAME is a key of the table (rtx4090) or what the device calls itself ("NVIDIA GeForce RTX 4090").
    """
    from explorer.data.devices import find_device_entry
    from explorer.data.prices import Purchase, choose_price
    from explorer.report.devices import choice_document, device_document, device_text

    device = find_device_entry(name)
    known = _prices(store_url)
    choices = (choose_price(known, device.key, purchase=purchase) for purchase in Purchase)
    choice = next((choice for choice in choices if choice is not None), None)
    if as_json:
        print_json({"schema_version": 1, **device_document(device), "price": choice_document(choice)})
    else:
        click.echo(device_text(device, choice))


@command.command("fit")
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--device", default=None, metavar="NAME", help="What was timed, where the name is silent.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes that trace.  [default: all cores]")
@json_option
def fit(table: Path, device: str | None, workers: int | None, as_json: bool) -> None:
    """Fit a predictor of latency to TABLE, measured times in the form of timm's benchmark files.

    The file's name says precision, memory format, device and whether models were compiled. Tracing the
    models takes minutes the first time; the predictor goes to $EXPLORER_PREDICTORS or your data folder.
    """
    from explorer.report.devices import fitted_document, fitted_text
    from explorer.run.fitting import fit_table
    from explorer.run.progress import progress

    with progress("fit") as update:
        done = fit_table(table, device=device, workers=workers, update=update)
    if as_json:
        print_json(fitted_document(done))
    else:
        click.echo(fitted_text(done))


@command.command("calibrate")
@click.argument("workload")
@click.option(
    "--models", "runs", type=click.IntRange(min=3), help="How many to time.  [default: 10; on CPUs 20]"
)
@click.option(
    "--measured",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Times measured there: `explorer profile --json` output, or a table in timm's form.",
)
@json_option
def calibrate(workload: str, runs: int | None, measured: Path | None, as_json: bool) -> None:
    """Correct the predictions for a device by a few models timed there.

    WORKLOAD is the device and how models run on it: rtx4090/b64/amp. Without --measured, say which models
    to time: those that tell most. With it, keep a corrected predictor for the device.
    """
    from explorer.report.devices import calibrated_text, fitted_document, runs_text
    from explorer.run.fitting import calibrate_device, default_runs, planned_runs, read_timed
    from explorer.run.predicting import known_device
    from explorer.run.progress import progress
    from explorer.workload import Workload

    wanted = known_device(Workload.parse(workload))
    with progress("calibrate") as update:
        if measured is None:
            chosen = planned_runs(wanted, runs or default_runs(wanted), update=update)
        else:
            done, before, after = calibrate_device(
                wanted, read_timed(measured, wanted), source=measured.name, update=update
            )
    if measured is None:
        if as_json:
            print_json({"schema_version": 1, "workload": str(wanted), "models": list(chosen)})
        else:
            click.echo(runs_text(wanted, chosen))
    elif as_json:
        print_json({**fitted_document(done), "error_before": before, "error_after": after})
    else:
        click.echo(calibrated_text(done, before, after))


@command.group("prices", invoke_without_command=True)
@click.option("--device", default=None, metavar="NAME", help="Only prices of this device.")
@store_option
@json_option
@click.pass_context
def prices(context: click.Context, device: str | None, store_url: str | None, as_json: bool) -> None:
    """List the price book, or add to it with `set`."""
    if context.invoked_subcommand is None:
        _list_prices(device, store_url, as_json)
    elif device is not None or as_json:
        raise UsageError(f"put --device and --json after `{context.invoked_subcommand}`")
    elif store_url is not None:
        context.obj = store_url


@prices.command("list")
@click.option("--device", default=None, metavar="NAME", help="Only prices of this device.")
@store_option
@json_option
@click.pass_obj
def list_prices(outer: str | None, device: str | None, store_url: str | None, as_json: bool) -> None:
    """List the price book: your own prices first, then those that shipped, with age and source."""
    _list_prices(device, store_url or outer, as_json)


@prices.command("set")
@click.argument("device")
@click.argument("usd_per_hour", type=float)
@click.option("--date", "date_text", default=None, metavar="DATE", help="When it was looked up: 2026-11-01.")
@click.option("--source", default="", metavar="TEXT", help="Who says so: seller, page, contract.")
@click.option("--region", default="", metavar="TEXT", help="Where the device stands.")
@click.option(
    "--purchase", default="on-demand", show_default=True, metavar="TERMS", help="on-demand or spot."
)
@click.option("--unit", default=None, metavar="UNIT", help="gpu, chip or vcpu.  [default: by device]")
@store_option
@json_option
@click.pass_obj
def set_price(
    outer: str | None,
    device: str,
    usd_per_hour: float,
    date_text: str | None,
    source: str,
    region: str,
    purchase: str,
    unit: str | None,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Write down that one hour of DEVICE costs USD_PER_HOUR.

    Nothing is overwritten: a newer price stands beside the old one, and is used instead of it.
    """
    from explorer.data.prices import make_price
    from explorer.report.devices import price_document, prices_text
    from explorer.store.prices import put_price

    price = make_price(
        device,
        usd_per_hour,
        date_text=date_text,
        source=source,
        region=region,
        purchase=purchase,
        unit=unit,
    )
    with open_store(store_url or outer, create=True) as store:
        put_price(store, price)
    if as_json:
        print_json({"schema_version": 1, **price_document(price)})
    else:
        click.echo(prices_text((price,)))


def _list_prices(name: str | None, store_url: str | None, as_json: bool) -> None:
    from explorer.data.prices import HERE
    from explorer.report.devices import prices_document, prices_text

    found = _prices(store_url)
    if name is not None:
        from explorer.data.devices import find_device_entry

        key = name if name in HERE else find_device_entry(name).key
        found = tuple(price for price in found if price.device == key)
    if as_json:
        print_json(prices_document(found))
    else:
        click.echo(prices_text(found))


def _prices(store_url: str | None) -> "tuple[Price, ...]":
    """Return the user's prices, where there is a store, and then those that shipped."""
    from explorer.data.prices import shipped_prices
    from explorer.store.location import LEDGER_NAME, locate, names_reference
    from explorer.store.prices import read_prices

    if names_reference(store_url):
        return shipped_prices()  # a study carries none
    root = locate(store_url)
    if not (root / LEDGER_NAME).is_file():
        if store_url is not None:
            click.echo(f"no store at {root}: only the prices that shipped", err=True)
        return shipped_prices()
    with open_store(store_url) as store:
        return tuple(reversed(read_prices(store))) + shipped_prices()

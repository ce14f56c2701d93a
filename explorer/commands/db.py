"""`explorer db`: look after the store."""

import dataclasses

import click

from explorer.commands.common import json_option, open_store, print_json, store_option
from explorer.errors import StoreError


@click.group("db", short_help="Look after the store: info, check, migrate.")
def command() -> None:
    """Look after the store."""


@command.command("info")
@store_option
@json_option
def info(store_url: str | None, as_json: bool) -> None:
    """Say what the store holds."""
    with open_store(store_url) as store:
        found = store.info()
        problems = store.check(quick=True).problems
    if as_json:
        print_json({"schema_version": 1, **dataclasses.asdict(found), "problems": list(problems)})
        return
    click.echo(f"store     {found.url}\nrevision  {found.revision}")
    for table, rows in found.counts.items():
        click.echo(f"{table:<14}{rows:>8}")
    click.echo(f"files     {found.files} in {found.file_bytes / 1e6:.1f} MB")
    click.echo("clean" if not problems else "\n".join(problems))


@command.command("check")
@store_option
@json_option
def check(store_url: str | None, as_json: bool) -> None:
    """Read every file and compare it with its hash; exit 1 if anything is wrong."""
    with open_store(store_url) as store:
        problems = store.check().problems
    if as_json:
        print_json({"schema_version": 1, "problems": list(problems), "clean": not problems})
    else:
        click.echo("clean" if not problems else "\n".join(problems))
    if problems:
        raise click.exceptions.Exit(1)


@command.command("migrate")
@store_option
def migrate(store_url: str | None) -> None:
    """Bring the store's ledger to this version's schema."""
    from explorer.store import migrate as migrate_store

    before, after = migrate_store(store_url)
    if before is None and after is None:
        raise StoreError("there is no store to migrate")
    click.echo(f"revision {before} -> {after}" if before != after else f"revision {after}: nothing to do")

"""`explorer db`: look after the store."""

import dataclasses

import click

from explorer.commands.common import json_option, open_store, print_json, store_option


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
        problems = store.check().problems
    if as_json:
        document = {**dataclasses.asdict(found), "root": str(found.root), "problems": list(problems)}
        print_json({"schema_version": 1, **document, "clean": not problems})
        return
    click.echo(f"store          {found.root}\nrevision       {found.revision}")
    for table, rows in found.counts.items():
        click.echo(f"{table:<15}{rows}")
    click.echo(f"files          {found.files}, {found.bytes / 1e6:.1f} MB with the ledger")
    if found.superseded or found.orphans:
        click.echo(f"superseded     {found.superseded} rows\norphans        {found.orphans} files")
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
    with open_store(store_url) as store:
        before, after = store.migrate()
    click.echo(f"revision {before} -> {after}" if before != after else f"revision {after}: nothing to do")

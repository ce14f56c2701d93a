"""`explorer db`: look after the store, and move results between stores."""

import contextlib
import dataclasses
import fnmatch
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from explorer.commands.common import json_option, open_store, print_json, recipe_option, store_option
from explorer.errors import UsageError

if TYPE_CHECKING:
    from explorer.spec import Member
    from explorer.store import Store
    from explorer.store.bundle import IngestResult


@click.group("db", short_help="Look after the store: info, check, migrate, export, ingest.")
def command() -> None:
    """Look after the store, and move results between stores."""


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
    if found.without_weights:
        click.echo(f"no weights     {found.without_weights} members")
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
    with open_store(store_url, writes=True) as store:
        before, after = store.migrate()
    click.echo(f"revision {before} -> {after}" if before != after else f"revision {after}: nothing to do")


@command.command("export")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--dataset", default=None, metavar="NAME", help="Members of this data set only.")
@recipe_option
@click.option(
    "--weights",
    multiple=True,
    default=("all",),
    show_default=True,
    metavar="all|none|MODEL",
    help="Whose weights go along; MODEL may hold * and ? and be a whole member's name, '*~reference-*'; the "
    "option may be repeated.",
)
@click.option("--no-costs", is_flag=True, help="Leave costs out.")
@click.option("--overwrite", is_flag=True, help="Replace a bundle that is already there.")
@store_option
@json_option
def export(
    path: Path,
    dataset: str | None,
    recipe: str | None,
    weights: tuple[str, ...],
    no_costs: bool,
    overwrite: bool,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Write what the store holds as a bundle: a zip if PATH ends in .zip, else a folder.

    A bundle carries members, predictions, labels, costs and evaluations, as they currently are. What was
    built from them stays, as its folder does, and so do the prices that were written down.
    """
    from explorer.store.bundle import write_bundle

    with open_store(store_url) as store:
        bundle = write_bundle(
            store,
            path,
            dataset=dataset,
            recipe=recipe,
            weights=_chosen_weights(store, weights, dataset, recipe),
            costs=not no_costs,
            overwrite=overwrite,
        )
    if as_json:
        said = dataclasses.asdict(bundle)
        print_json({"schema_version": 1, **said, "path": str(bundle.path)})
        return
    without = f" ({bundle.without_weights} without weights)" if bundle.without_weights else ""
    click.echo(
        f"{bundle.path}: {bundle.members} members{without}, {bundle.predictions} predictions, "
        f"{bundle.files} files, {bundle.bytes / 1e6:.1f} MB, manifest sha256 {bundle.sha256[:12]}"
    )


@command.command("ingest")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@store_option
@json_option
def ingest(paths: tuple[Path, ...], store_url: str | None, as_json: bool) -> None:
    """Merge bundles into the store, which is made if it is not there; doing it again changes nothing.

    All bundles are checked before anything is written, each against the store and the bundles before it;
    all of them are merged, or none is. A row that contradicts the store's becomes the current one; the old
    one is kept behind it; but other labels of the same examples are refused. `reference` as PATH is the
    study that ships.
    """
    from explorer.run.progress import progress
    from explorer.store.bundle import Update, ingest_open, open_bundle, require_together
    from explorer.store.location import is_store
    from explorer.store.reference import refuse_reference

    refuse_reference(store_url)
    with contextlib.ExitStack() as opened, progress("ingest") as update:

        def part(number: int) -> Update:
            return lambda share, text: update((number + share) / (2 * len(paths)), text)

        def writing(share: float, text: str) -> None:
            update((1 + share) / 2, text)

        bundles = [
            opened.enter_context(open_bundle(_bundle_path(path), progress=part(number)))
            for number, path in enumerate(paths)
        ]
        if not is_store(store_url):
            require_together(bundles)  # bundles that are refused must not leave an empty store behind
        with open_store(store_url, create=True) as store:
            url = store.url
            results = ingest_open(store, bundles, progress=writing)
    for result in results:
        for kind, rows in (("superseded", result.superseded), ("corrected here since", result.outdated)):
            if rows:
                more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
                click.echo(f"note: {result.path}: {kind}: {', '.join(rows[:3])}{more}", err=True)
    if as_json:
        documents = [{**dataclasses.asdict(one), "path": str(one.path)} for one in results]
        print_json({"schema_version": 1, "store": url, "bundles": documents})
        return
    for result in results:
        click.echo(_ingested(result))


def _ingested(result: "IngestResult") -> str:
    rows = f"{result.added} rows added, {result.there_already} there already"
    if result.superseded:
        rows += f", {len(result.superseded)} superseded older ones"
    if result.outdated:
        rows += f", {len(result.outdated)} corrected here since"
    return (
        f"{result.path}: {result.members} members; {rows}; "
        f"{result.files_added} files, {result.bytes_added / 1e6:.1f} MB"
    )


def _bundle_path(path: Path) -> Path:
    """Return where a bundle is; ``reference`` is the one that ships.

    Raises:
        UsageError: this build ships none.
    """
    from explorer.store.location import REFERENCE
    from explorer.store.reference import shipped_bundle

    if str(path) != REFERENCE or path.exists():
        return path
    shipped = shipped_bundle()
    if shipped is None:
        raise UsageError("this build of scale-or-ensemble ships no reference study")
    return shipped


def _chosen_weights(
    store: "Store", given: tuple[str, ...], dataset: str | None, recipe: str | None
) -> "Literal['all', 'none'] | Collection[Member]":
    """Return whose weights are exported.

    Raises:
        UsageError: a pattern that no member's model fits, or all or none beside others.
    """
    if given == ("all",):
        return "all"
    if given == ("none",):
        return "none"
    if {"all", "none"} & set(given):
        raise UsageError(f"--weights all and --weights none stand alone, got {', '.join(given)}")
    from explorer.store.members import recipe_id

    named = recipe_id(recipe, {record.member.recipe for record in store.members(dataset)})
    known = [record.member for record in store.members(dataset, named)]
    chosen: list[Member] = []
    for pattern in given:
        fitting = [member for member in known if _fits(member, pattern)]
        if not fitting:
            models = ", ".join(sorted({str(member.model) for member in known})) or "none"
            raise UsageError(f"--weights {pattern}: no member's model is like that; known: {models}")
        chosen += fitting
    return chosen


def _fits(member: "Member", pattern: str) -> bool:
    names = (member.name, str(member.model), str(member))
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)

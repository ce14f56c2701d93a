"""`explorer import catalogue`: published accuracies of the zoo's networks, with costs counted here."""

from typing import TYPE_CHECKING

import click

from explorer.commands.common import json_option, open_store, print_json, store_option

if TYPE_CHECKING:
    from explorer.run.importing_catalogue import Agreement, ImportedCatalogue, ImportedCatalogueTable

_EXAMPLES = 3
"""Networks named of a kind on the terminal; --json has all."""
_WORDS = {"macs": "MACs within 3 %", "parameters": "parameters within 1 %"}


@click.command("catalogue")
@click.option("--recount", is_flag=True, help="Count again what this version has counted already.")
@store_option
@json_option
def command(recount: bool, store_url: str | None, as_json: bool) -> None:
    """Import the published accuracies of the zoo's networks and supernets' sub-networks.

    Every network is counted here, once, without weights; published costs stand beside. About a minute the
    first time; again, only what is new is counted. All is marked `published`, each row with its source.

    E.g. `explorer import catalogue`, then `explorer front --dataset imagenet --group kind`.
    """
    from explorer.run.importing_catalogue import import_catalogue
    from explorer.run.progress import progress
    from zoo import registered_families
    from zoo.supernets import spaces

    supernets = {name: space.systems for name, space in spaces().items()}
    with open_store(store_url, create=True) as store, progress("count") as update:
        done = import_catalogue(
            store, registered_families(), supernets=supernets, recount=recount, update=update
        )
        url = store.url
    if as_json:
        print_json(_document(url, done))
        return
    for note in done.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(_text(done))


def _text(done: "ImportedCatalogue") -> str:
    from explorer.report.terminal import table
    from explorer.report.text import format_count

    rows = [
        (
            one.table.test_set,
            format_count(len(one.table.rows)),
            format_count(len({row.family for row in one.table.rows})),
            format_count(sum(row.subnetwork for row in one.table.rows)),
            *(f"{found.within} of {found.published}" for found in one.agreements),
            str(one.outcome),
        )
        for one in done.tables
    ]
    header = ("of", "accuracies", "families", "sub-networks", *_WORDS.values(), "")
    return "\n".join(
        (
            f"{format_count(done.rows)} published accuracies of the zoo's networks; "
            f"{format_count(done.counted)} networks newly counted",
            "",
            table(header, rows),
            *_beyond(done),
            *(f"left out: {_some(names)}: {why}" for why, names in done.left_out.items()),
        )
    )


def _beyond(done: "ImportedCatalogue") -> list[str]:
    """Name figures that are not reproduced, and why, as far as that is known."""
    lines = []
    for one in done.tables:
        for found in one.agreements:
            for name, why in found.beyond[:_EXAMPLES]:
                lines.append(f"  {found.quantity} of {name}: {why or 'why is not known'}")
            more = len(found.beyond) - _EXAMPLES
            if more > 0:
                lines.append(f"  {found.quantity}: and {more} more, --json names them all")
    return ["", "counted here is not what was published, beyond rounding:", *lines] if lines else []


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _EXAMPLES} more" if len(names) > _EXAMPLES else ""
    return ", ".join(names[:_EXAMPLES]) + more


def _document(url: str, done: "ImportedCatalogue") -> dict[str, object]:
    return {
        "schema_version": 1,
        "store": url,
        "models": done.rows,
        "counted": done.counted,
        "tables": [_table(one) for one in done.tables],
        "left_out": [{"why": why, "models": list(names)} for why, names in done.left_out.items()],
        "notes": list(done.notes),
    }


def _table(one: "ImportedCatalogueTable") -> dict[str, object]:
    return {
        "name": one.record.name,
        "dataset": one.record.dataset,
        "kind": one.record.kind,
        "of": one.table.test_set,
        "rows": len(one.table.rows),
        "families": len({row.family for row in one.table.rows}),
        "subnetworks": sum(row.subnetwork for row in one.table.rows),
        "rows_sha256": one.record.digest,
        "counted_by": one.table.counted_by,
        "source": one.record.source,
        "outcome": str(one.outcome),
        "reproduced": [_agreement(found) for found in one.agreements],
    }


def _agreement(found: "Agreement") -> dict[str, object]:
    return {
        "quantity": found.quantity,
        "published": found.published,
        "within": found.within,
        "beyond": [{"model": name, "why": why} for name, why in found.beyond],
    }

"""`explorer import timm`: published accuracies and costs of ImageNet models, from timm's own tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from explorer.commands.common import json_option, open_store, print_json, store_option

if TYPE_CHECKING:
    from explorer.run.importing_timm import ImportedTable, ImportedTimm

_EXAMPLES = 3
"""Models named for each reason on the terminal; --json has all."""


@click.command("timm")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--dataset", default="imagenet", show_default=True, metavar="NAME", help="What to call them.")
@store_option
@json_option
def command(folder: Path, dataset: str, store_url: str | None, as_json: bool) -> None:
    """Import timm's tables in DIR: accuracies (results-*.csv) and measured costs (benchmark-infer-*.csv).

    Costs are joined to accuracies by model and image size; what was joined, and what not and why, is said.
    The same files again change nothing; a changed one replaces the old one. All is marked `published`.

    E.g. `explorer import timm results`, then `explorer front --dataset imagenet --cost latency@rtx4090`.
    """
    from explorer.run.importing_timm import read_timm, store_timm

    # Read first: a folder that is refused must not leave an empty store behind.
    read = read_timm(folder, dataset)
    with open_store(store_url, create=True) as store:
        done = store_timm(store, read)
        url = store.url
    if as_json:
        print_json(_document(url, done))
        return
    for note in done.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(_text(done))


def _text(done: "ImportedTimm") -> str:
    from explorer.report.terminal import table
    from explorer.report.text import format_count

    rows = [
        (
            one.record.kind,
            one.subject,
            format_count(len(one.record.table.rows)),
            format_count(sum(one.joined.values())) if one.join else "",
            str(one.outcome),
            one.record.name,
        )
        for one in done.tables
    ]
    return "\n".join(
        (
            f"{done.dataset}: {format_count(done.models)} models (weights and image size) with published "
            f"accuracy, {len(rows)} tables",
            "",
            table(("kind", "of", "rows", "joined", "", "table"), rows),
            *_left_out(done),
        )
    )


def _left_out(done: "ImportedTimm") -> list[str]:
    """Say of the table with most costs which models have none; the others differ by a few."""
    joins = [one for one in done.tables if one.join is not None]
    if not joins:
        return []
    best = max(joins, key=lambda one: sum(one.joined.values()))
    by = ", ".join(f"{count:,} by {how}" for how, count in best.joined.items() if count)
    lines = ["", f"{best.subject}: joined {by}; the others have no cost there (--json names them all):"]
    for why, names in best.left_out.items():
        more = f" and {len(names) - _EXAMPLES} more" if len(names) > _EXAMPLES else ""
        lines.append(f"  {len(names)} {why}: {', '.join(names[:_EXAMPLES])}{more}")
    return lines


def _document(url: str, done: "ImportedTimm") -> dict[str, object]:
    return {
        "schema_version": 1,
        "store": url,
        "dataset": done.dataset,
        "models": done.models,
        "tables": [_table(one) for one in done.tables],
        "notes": list(done.notes),
    }


def _table(one: "ImportedTable") -> Mapping[str, object]:
    return {
        "name": one.record.name,
        "kind": one.record.kind,
        "of": one.subject,
        "rows": len(one.record.table.rows),
        "file_sha256": one.record.digest,
        "source": one.record.source,
        "outcome": str(one.outcome),
        "joined": {str(by): count for by, count in one.joined.items()},
        "left_out": [{"why": str(why), "models": list(names)} for why, names in one.left_out.items()],
    }

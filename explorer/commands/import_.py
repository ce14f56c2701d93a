"""`explorer import`: what was made elsewhere, into the store."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from explorer.commands import import_catalogue, import_timm
from explorer.commands.common import json_option, open_store, print_json, store_option
from explorer.convention import CostAxis
from explorer.errors import UsageError

if TYPE_CHECKING:
    from explorer.run.importing import ImportAsked, Imported


@click.group("import", short_help="Bring in what was made elsewhere: predictions, published figures.")
def command() -> None:
    """Bring in what was made elsewhere."""


command.add_command(import_timm.command)
command.add_command(import_catalogue.command)


@command.command("predictions")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--dataset", required=True, metavar="NAME", help="What to call these examples.")
@click.option("--labels", default="", metavar="KEY|FILE", help="True labels.  [default: the key `labels`]")
@click.option("--name", default="", metavar="NAME", help="Of the one member.  [default: as in FILE]")
@click.option("--names", default="", metavar="A,B,...", help="One a member; runs of one model: A#0,A#1.")
@click.option(
    "--kind",
    type=click.Choice(("probabilities", "logits", "labels")),
    help="What the numbers are; labels: answers with confidence.  [default: recognised]",
)
@click.option("--key", default="", metavar="KEY", help="Where they are; PRED,CONF or class columns A,B,C.")
@click.option("--ids", default="", metavar="KEY", help="Ids of the examples.  [default: the key `id`]")
@click.option("--classes", type=click.IntRange(min=2), help="How many, where labels do not show it.")
@click.option("--class-names", default="", metavar="A,B,...", help="Of the classes, by number.")
@click.option(
    "--split",
    default="halves",
    show_default=True,
    type=click.Choice(("halves", "select", "report")),
    help="Which examples these are: of a data set known here, select or report.",
)
@click.option("--price", default="", metavar="USD,...", help="What the seller charges, for --per calls.")
@click.option("--price-key", default="", metavar="KEY", help="Prices in FILE, e.g. cost_per_10k.")
@click.option(
    "--per", type=float, default=None, metavar="CALLS", help="E.g. 10000: the price is for so many."
)
@click.option("--macs", default="", metavar="AMOUNT,...", help="MACs of one example, e.g. 650k,1.2G.")
@click.option(
    "--cost", "costs", multiple=True, metavar="KIND[@DEVICE]=AMOUNT,...", help="Any other cost; repeatable."
)
@store_option
@json_option
def predictions(file: Path, dataset: str, store_url: str | None, as_json: bool, **options: Any) -> None:
    """Import the predictions in FILE (.npy, .npz, .csv, .parquet) with their true labels.

    Arrays are [example, class] or [member, example, class]; tables have one column a class, or an answer
    and its confidence. By default one half of the examples, by hash, chooses designs and the other half
    reports on them; another file over the same examples in the same order joins the first.

    E.g. `explorer import predictions services.npz --dataset faces --names google,facepp --price 15,5
    --per 10000`, then `explorer front --dataset faces --cost price`.
    """
    wanted = _wanted(file, dataset, options)
    from explorer.run.importing import prepare_import, store_prepared
    from explorer.store.location import is_store

    # A file that is refused must not leave an empty store behind.
    there = is_store(store_url)
    prepared = None if there else prepare_import(wanted, None)
    with open_store(store_url, create=True) as store:
        done = store_prepared(store, prepared or prepare_import(wanted, store))
        url = store.url
    if as_json:
        print_json(_document(url, done))
        return
    for note in done.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(_text(done))


def _wanted(file: Path, dataset: str, options: Mapping[str, Any]) -> "ImportAsked":
    """Return what the options ask for."""
    from explorer.data.predictions import AnswerKind, Asked
    from explorer.run.importing import ImportAsked

    if options["name"] and options["names"]:
        raise UsageError("give --name for one member or --names for several, not both")
    if options["price"] and options["price_key"]:
        raise UsageError("give --price or --price-key, not both")
    costs = (f"macs={options['macs']}", *options["costs"])
    return ImportAsked(
        path=file,
        dataset=dataset,
        names=tuple(filter(None, (options["name"] or options["names"]).split(","))),
        asked=Asked(
            kind=AnswerKind(options["kind"]) if options["kind"] else None,
            key=options["key"],
            labels=options["labels"],
            ids=options["ids"],
            prices=options["price_key"],
            class_names=_class_names(options["class_names"]),
        ),
        split=options["split"],
        classes=options["classes"] or 0,
        prices=tuple(_dollars(text) for text in options["price"].split(",")) if options["price"] else (),
        per=_calls(options["per"]),
        costs=tuple(_cost(text) for text in costs if text != "macs="),
    )


def _class_names(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",")) if text else ()
    if "" in names or len(set(names)) < len(names) or len(names) == 1:
        raise UsageError(f"--class-names wants two or more different names, A,B,..., got {text!r}")
    return names


def _dollars(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"a price must be a number of dollars, got {text.strip()!r}") from None


def _calls(per: float | None) -> float:
    if per is None:
        return 0.0
    if not per > 0:
        raise UsageError(f"--per must be a number of calls above 0, got {per}")
    return per


def _cost(text: str) -> tuple[CostAxis, tuple[str, ...]]:
    axis, equals, amounts = text.partition("=")
    if not equals or not amounts.strip():
        raise UsageError(f"not a cost: {text!r}; wanted KIND[@DEVICE]=AMOUNT,..., e.g. latency@cpu=2ms,5ms")
    return CostAxis.parse(axis), tuple(amounts.split(","))


def _text(done: "Imported") -> str:
    from explorer.report.terminal import table
    from explorer.report.text import format_amount, format_count, format_share

    rows = [
        (
            str(one.member),
            format_share(one.accuracy, 2),
            ", ".join(
                f"{axis} {format_amount(value, CostAxis.parse(axis).kind)}"
                for axis, value in one.costs.items()
            ),
        )
        for one in done.members
    ]
    parts = ", ".join(f"{format_count(count)} {split}" for split, count in done.examples.items())
    joined = "joined the split" if done.joined else "a new split"
    return "\n".join(
        (
            f"{done.dataset}: {len(rows)} member{'s' * (len(rows) > 1)} from {done.kind}, {parts} examples, "
            f"{done.classes} classes; {joined} {done.split_digest[:12]}",
            "",
            table(("member", "accuracy", "given costs"), rows),
        )
    )


def _document(url: str, done: "Imported") -> dict[str, object]:
    return {
        "schema_version": 1,
        "store": url,
        "dataset": done.dataset,
        "split_digest": done.split_digest,
        "joined": done.joined,
        "kind": done.kind,
        "file_sha256": done.file_digest,
        "examples": dict(done.examples),
        "classes": done.classes,
        "members": [
            {
                "member": str(one.member),
                "accuracy": one.accuracy,
                "costs": dict(one.costs),
                "replaced": one.replaced,
            }
            for one in done.members
        ],
        "notes": list(done.notes),
    }

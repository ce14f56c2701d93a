"""`explorer front`: the exact Pareto front over single, ensemble and cascade, over one or several costs."""

from typing import TYPE_CHECKING

import click

from explorer.commands.common import dataset_option, json_option, open_store, print_json, store_option
from explorer.commands.front_published import (
    PublishedArguments,
    front_published,
    published_options,
    wants_published,
)
from explorer.commands.searching import SearchArguments, search_options
from explorer.convention import CostAxis
from explorer.errors import UsageError

if TYPE_CHECKING:
    from explorer.store import Store

_RESAMPLES = 1_000


@click.command("front", short_help="The exact Pareto front over single, ensemble and cascade.")
@dataset_option
@click.option(
    "--cost",
    "costs",
    multiple=True,
    default=("macs",),
    show_default=True,
    metavar="KIND[@DEVICE]",
    help="Cost axis, e.g. latency@cpu; two or three of them: a front over all at once.",
)
@click.option("--all", "every", is_flag=True, help="Show every point, not a readable choice.")
@click.option(
    "--how-sure",
    is_flag=True,
    help="How often each design stays on the front when the test set is drawn again, and how optimistic "
    "choosing was; takes several times as long.",
)
@click.option(
    "--resamples",
    type=click.IntRange(min=100),
    help=f"Test sets drawn again for --how-sure.  [default: {_RESAMPLES}]",
)
@published_options
@search_options
@store_option
@json_option
def command(
    dataset: str,
    costs: tuple[str, ...],
    every: bool,
    how_sure: bool,
    resamples: int | None,
    published_arguments: PublishedArguments,
    search_arguments: SearchArguments,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Search every single, every ensemble and every two-stage cascade of the stored members.

    Designs are chosen on the `select` split; the figures shown are those of the `report` split, which
    took no part in choosing. Intervals are 95 %. With several costs a design is on the front when no other
    is as good in all of them and in accuracy, and better in one: e.g. `explorer front --dataset digits
    --cost macs --cost parameters`.

    Of a data set with published figures alone (`explorer import timm`, `explorer import catalogue`) it is
    the front over those: single models, marked `published`, e.g. `explorer front --dataset imagenet --cost
    latency@rtx4090`. With --group fronts stand side by side: supernets' sub-networks, networks, timm's.
    """
    axes = [CostAxis.parse(cost) for cost in costs]
    if resamples is not None and not how_sure:
        raise UsageError("--resamples belongs to --how-sure, which was not asked for")
    if how_sure and len(axes) > 1:
        raise UsageError(f"--how-sure takes one --cost, got {len(axes)}: {', '.join(map(str, axes))}")
    with open_store(store_url) as store:
        if wants_published(store, dataset, published_arguments):
            answer = front_published(store, dataset, costs, search_arguments, published_arguments, every)
            _show(as_json, *answer)
        elif len(axes) > 1:
            _show(as_json, *_several(search_arguments, store, dataset, axes, every))
        else:
            draws = (resamples or _RESAMPLES) if how_sure else 0
            _show(as_json, *_one(search_arguments, store, dataset, axes[0], (every, draws)))


def _show(as_json: bool, document: dict[str, object], text: str, notes: tuple[str, ...]) -> None:
    if as_json:
        print_json(document)
        return
    click.echo(text)
    for note in notes:
        click.echo(f"note: {note}", err=True)


_Answer = tuple[dict[str, object], str, tuple[str, ...]]


def _one(
    arguments: SearchArguments, store: "Store", dataset: str, axis: CostAxis, shown: tuple[bool, int]
) -> _Answer:
    """Search over one cost; ``shown`` is whether every point, and draws of the test set, 0 for none."""
    from explorer.report.documents import front_document
    from explorer.report.terminal import front_table

    every, draws = shown
    pool, front = arguments.search(store, dataset, axis, drawn=True)
    document, text = front_document(front), front_table(front, every=every)
    if draws:
        from explorer.analysis.advice.sureness import how_sure
        from explorer.report.sureness import sureness_document, sureness_text
        from explorer.run.progress import progress

        with progress("how sure") as update:
            found = how_sure(pool, front, arguments.space, resamples=draws, update=update)
        document = {**document, "how_sure": sureness_document(found, axis)}
        text = f"{text}\n\n{sureness_text(front, found, every=every)}"
    return document, text, front.notes


def _several(
    arguments: SearchArguments, store: "Store", dataset: str, axes: list[CostAxis], every: bool
) -> _Answer:
    from explorer.analysis.search.several_costs import check_axes, search_several
    from explorer.report.several_front import several_front_document, several_front_text

    check_axes(axes)
    pools, notes = arguments.pools(store, dataset, axes)
    front = search_several(pools, arguments.space, notes=notes)
    return several_front_document(front), several_front_text(front, every=every), front.notes

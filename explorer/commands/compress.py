"""`explorer compress`: smaller or merged members out of stored ones, and what that costs in accuracy."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from explorer.commands.common import (
    dataset_option,
    json_option,
    open_store,
    print_json,
    store_option,
    with_data_options,
    zoo_errors,
)
from explorer.spec import Member, parse_member

if TYPE_CHECKING:
    from explorer.data import ImageSet
    from explorer.store import Store

device_option = click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")


@click.group("compress", short_help="Smaller or merged members: prune, merge weights, quantise.")
def command() -> None:
    """Make smaller or merged members out of stored ones that have their weights.

    What is made is stored beside the others and judged on the same examples as what it was made of.
    """


@command.command("prune", short_help="Cut a member's least important channels, train on, store.")
@click.argument("member", metavar="MEMBER")
@click.option("--ratio", type=float, default=0.5, show_default=True, help="Share of all channels to cut.")
@click.option(
    "--epochs", type=click.IntRange(min=1), default=2, show_default=True, help="To train what is left on."
)
@click.option("--learning-rate", type=float, help="Peak rate for it.  [default: half the member's]")
@device_option
@dataset_option
@with_data_options
@store_option
@json_option
def prune(
    member: str,
    ratio: float,
    epochs: int,
    learning_rate: float | None,
    device: str,
    dataset: str,
    data_dir: Path | None,
    download: bool,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Cut the channels of MEMBER that weigh least, e.g. `explorer compress prune wrn10-1#0 --dataset digits`.

    The same share goes from every group of coupled layers (DepGraph, arXiv 2301.12900), so the new network,
    NAME+prunedSHARE, can be counted and rebuilt from its name. Training on is resumed when interrupted.
    """
    with _opened(dataset, data_dir, download, store_url, device) as (store, images):
        from explorer.report.compressing import prune_document, prune_text
        from explorer.run.compressing.pruning import PruneAsked, prune_member
        from explorer.run.progress import progress

        asked = PruneAsked(
            member=_named(member, images),
            ratio=ratio,
            epochs=epochs,
            rate=learning_rate,
            device=device,
            data_dir=data_dir,
        )
        with progress("prune") as update:
            found = prune_member(store, images, asked, update=update)
    if as_json:
        print_json(prune_document(found))
    else:
        click.echo(prune_text(found))


@command.command("merge", short_help="Average the weights of members into one network.")
@click.argument("members", nargs=-1, required=True, metavar="MEMBER MEMBER...")
@click.option(
    "--how",
    type=click.Choice(["soup", "rebasin"]),
    default="soup",
    show_default=True,
    help="soup: as they are; rebasin: channels renamed to be alike first (wide ResNets).",
)
@device_option
@dataset_option
@with_data_options
@store_option
@json_option
def merge(
    members: tuple[str, ...],
    how: str,
    device: str,
    dataset: str,
    data_dir: Path | None,
    download: bool,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Make one network of two or more members of the same shape, beside them and their ensemble.

    E.g. `explorer compress merge wrn10-1#0 wrn10-1#1 --how rebasin --dataset digits`. Members trained apart
    seldom survive a plain average; renaming helps the more the wider they are.
    """
    with _opened(dataset, data_dir, download, store_url, device) as (store, images):
        from explorer.report.compressing import merge_document, merge_text
        from explorer.run.compressing.merging import merge_members
        from explorer.run.progress import progress

        named = [_named(member, images) for member in members]
        with progress("merge") as update:
            found = merge_members(store, images, named, how, device=device, update=update)  # type: ignore[arg-type]  # click checked it
    if as_json:
        print_json(merge_document(found))
    else:
        click.echo(merge_text(found))


@command.command("quantise", short_help="A member in 8-bit integers: accuracy and bytes.")
@click.argument("member", metavar="MEMBER")
@click.option(
    "--calibration",
    type=click.IntRange(min=1),
    default=512,
    show_default=True,
    help="Training images that ranges of activations are taken from.",
)
@dataset_option
@with_data_options
@store_option
@json_option
def quantise(
    member: str,
    calibration: int,
    dataset: str,
    data_dir: Path | None,
    download: bool,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Judge MEMBER in int8, e.g. `explorer compress quantise wrn10-1#0 --dataset digits`.

    Beside itself in float32, on the same examples. Weights and activations are in int8, without training on
    (onnxruntime, static). Nothing is stored.
    """
    with _opened(dataset, data_dir, download, store_url, "cpu", writes=False) as (store, images):
        from explorer.report.compressing import quantise_document, quantise_text
        from explorer.run.compressing.quantising import quantise_member
        from explorer.run.progress import progress

        with progress("quantise") as update:
            found = quantise_member(
                store, images, _named(member, images), calibration=calibration, update=update
            )
    if as_json:
        print_json(quantise_document(found))
    else:
        click.echo(quantise_text(found))


@contextmanager
def _opened(
    dataset: str,
    data_dir: Path | None,
    download: bool,
    store_url: str | None,
    device: str,
    *,
    writes: bool = True,
) -> "Iterator[tuple[Store, ImageSet]]":
    """Open the store and load the images; what the zoo refuses becomes a usage error."""
    with zoo_errors():
        from explorer.data import load_images
        from explorer.measure.environment import find_device
        from explorer.run.progress import say

        find_device(device)
        with open_store(store_url, writes=writes) as store:
            images = load_images(dataset, data_dir=data_dir, download=download)
            for note in images.notes:
                say(f"note: {note}")
            yield store, images


def _named(text: str, images: "ImageSet") -> Member:
    """Read a member; without a resolution it is the network's own for these images."""
    from zoo import canonical_name, default_resolution

    member = parse_member(text)
    name = canonical_name(member.name)
    return replace(member, name=name, resolution=member.resolution or default_resolution(name, images.native))

"""`explorer train`: members with predictions and training cost."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from explorer.commands.common import (
    dataset_option,
    json_option,
    open_store,
    parse_seeds,
    print_json,
    store_option,
    with_data_options,
    zoo_errors,
)
from explorer.spec import parse_model

if TYPE_CHECKING:
    from explorer.record import MemberRecord


@click.command("train", short_help="Train members and store their predictions.")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@dataset_option
@click.option("--seeds", default="0", show_default=True, metavar="LIST", help="E.g. 0-4 or 0,2,5.")
@click.option(
    "--recipe",
    "recipe_name",
    default=None,
    metavar="NAME",
    help="Training recipe; the data set has a default.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Train this long instead of as the recipe says.")
@click.option("--workers", type=click.IntRange(min=1), help="Members at a time.  [default: one a core]")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
@with_data_options
@store_option
@json_option
def command(
    models: tuple[str, ...],
    dataset: str,
    seeds: str,
    recipe_name: str | None,
    epochs: int | None,
    workers: int | None,
    device: str,
    data_dir: Path | None,
    download: bool,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Train every MODEL with every seed, e.g. `explorer train wrn10-0.5 --dataset digits --seeds 0-4`.

    A member that is already in the store is not trained again. Interrupted or killed, the same
    command continues: an epoch at most is lost.
    """
    seed_list = parse_seeds(seeds)
    named = [parse_model(text) for text in models]
    with zoo_errors():
        from explorer.run.members import chosen_recipe, plan_members, resolved_models, train_members

        recipe = chosen_recipe(dataset, recipe_name, epochs)
        from explorer.measure.environment import find_device

        find_device(device)
        from explorer.data import load_images
        from explorer.run.progress import progress, say

        images = load_images(dataset, data_dir=data_dir, download=download)
        for note in images.notes:
            say(f"note: {note}")
        specs = resolved_models(named, images)
        with open_store(store_url, create=True) as store:
            jobs, there = plan_members(
                store, images, specs, seed_list, recipe=recipe, data_dir=data_dir, device=device
            )
            say(
                f"train: {len(jobs)} members on {images.name} ({len(images.train.labels)} examples, "
                f"recipe {recipe.id}); {len(there)} are there already"
            )
            with progress("train") as update:
                trained = train_members(jobs, workers=workers, update=update)
            records = [*there, *trained]
            if as_json:
                print_json(_document(store.url, images.name, recipe.id, records, len(trained)))
            for record in trained:
                say(f"stored {record.member}: {record.training.wall_s:.1f} s of training")


def _document(
    url: str, dataset: str, recipe_id: str, records: "list[MemberRecord]", trained: int
) -> dict[str, object]:
    return {
        "schema_version": 1,
        "store": url,
        "dataset": dataset,
        "recipe": recipe_id,
        "trained": trained,
        "members": [
            {
                "member": str(record.member),
                "examples_seen": record.training.examples_seen,
                "wall_s": record.training.wall_s,
                "device": record.training.device,
                "training_macs": record.training.macs,
            }
            for record in records
        ],
    }

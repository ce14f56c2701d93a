"""`explorer train`: members with predictions and training cost."""

from typing import TYPE_CHECKING, Any

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
from explorer.errors import UsageError
from explorer.spec import parse_model

if TYPE_CHECKING:
    from explorer.record import MemberRecord


@click.command("train", short_help="Train members and store their predictions.")
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@dataset_option
@click.option("--seeds", default="0", show_default=True, metavar="LIST", help="E.g. 0-4 or 0,2,5.")
@click.option(
    "--recipe",
    "recipe",
    default=None,
    metavar="NAME",
    help="Training recipe; the data set has a default. Variants of it: batchnorm-only, sam, mixup, "
    "dropblock, label-smoothing.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Train this long instead of as the recipe says.")
@click.option(
    "--train-share",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="S",
    help="Learn from this share of the training examples, the same ones for every seed.  "
    "[default: as the recipe says]",
)
@click.option("--workers", type=click.IntRange(min=1), help="Members at a time.  [default: one a core]")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
@click.option(
    "--teacher",
    metavar="DESIGN",
    help="Distil: learn the mean probabilities of stored members, e.g. 'mean(wrn10-1@8#0, wrn10-1@8#1)'.",
)
@click.option(
    "--snapshots",
    type=click.IntRange(min=2),
    metavar="N",
    help="Let the learning rate fall N times in one run; each time leaves a member.",
)
@click.option(
    "--stacked",
    default="1",
    show_default=True,
    metavar="K|auto",
    help="Seeds of a model trained side by side in one process; auto: on a GPU, where it is faster.",
)
@click.option("--compile", "compiled", is_flag=True, help="Run networks through torch.compile.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    help="Of the forward pass in training.  [default: as the recipe says]",
)
@with_data_options
@store_option
@json_option
def command(
    models: tuple[str, ...],
    dataset: str,
    seeds: str,
    workers: int | None,
    stacked: str,
    download: bool,
    store_url: str | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Train every MODEL with every seed, e.g. `explorer train wrn10-0.5 --dataset digits --seeds 0-4`.

    A member that is already in the store is not trained again. Interrupted or killed, the same
    command continues: an epoch at most is lost.
    """
    seed_list = parse_seeds(seeds)
    named = [parse_model(text) for text in models]
    with zoo_errors():
        from explorer.data import load_images
        from explorer.measure.environment import find_device
        from explorer.run.progress import progress, say
        from explorer.run.training import resolved_models, train_members
        from explorer.run.training.asked import Asked, asked_jobs, stacked_as_asked, untaught_recipes
        from explorer.run.training.jobs import examples_learned
        from explorer.run.training.unfinished import finished_stack

        asked = Asked(stacked=parse_stacked(stacked), **chosen)
        find_device(asked.device)
        images = load_images(dataset, data_dir=asked.data_dir, download=download)
        for note in images.notes:
            say(f"note: {note}")
        specs = resolved_models(named, images)
        recipe = untaught_recipes(images.name, asked)[0]  # refused before a store is made
        # A teacher is in the store, or there is none to learn from.
        with open_store(store_url, create=asked.teacher is None, writes=True) as store:
            jobs, there, recipe_id = asked_jobs(store, images, specs, seed_list, asked)
            say(
                f"train: {sum(len(job.members) for job in jobs)} members on {images.name} "
                f"({examples_learned(recipe, images)} examples, recipe {recipe_id}); "
                f"{len(there)} are there already"
            )
            with progress("timing") as update:
                jobs, notes = stacked_as_asked(
                    jobs, asked, finished=lambda job: finished_stack(store, images, job), update=update
                )
            for note in notes:
                say(f"note: {note}")
            with progress("train") as update:
                trained = train_members(jobs, workers=workers, update=update)
            # A stack that an interrupted run trained brings those that it had committed.
            committed = {record.member for record in there}
            trained = tuple(record for record in trained if record.member not in committed)
            records = [*there, *trained]
            if as_json:
                print_json(_document(store.url, images.name, recipe_id, records, len(trained)))
            for record in trained:
                say(f"stored {record.member}: {record.training.wall_s:.1f} s of training")


def parse_stacked(text: str) -> int | None:
    """Read ``auto`` (None) or a number of members at a time.

    Raises:
        UsageError: neither, or fewer than 1.
    """
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"not a number of members to train side by side: {text!r}; wanted 1, 2, ... or auto")
    return int(text)


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

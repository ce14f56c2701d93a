"""`explorer study`: many scales and seeds of a family on one data set."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from explorer.commands.common import (
    json_option,
    open_store,
    parse_seeds,
    print_json,
    store_option,
    with_data_options,
    zoo_errors,
)

if TYPE_CHECKING:
    from explorer.store import Store

PARTIAL = 4
"""Exit code of a run that leaves some of the study undone."""


@click.group("study", short_help="Train whole studies: many scales, many seeds, with a plan.")
def command() -> None:
    """Train whole studies: many scales and seeds of a family on one data set, by a measured plan.

    What is made counts as soon as it is there: stop a study and run it again, here or elsewhere, as often as
    you like.
    """


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the studies."""
    from explorer.commands.study_text import definition_document
    from explorer.run.study.definitions import STUDIES

    if as_json:
        print_json({"schema_version": 1, "studies": [definition_document(one) for one in STUDIES.values()]})
        return
    for one in STUDIES.values():
        click.echo(f"{one.name:<23}{one.summary}")


@command.command("show")
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Tell what the study NAME consists of."""
    from explorer.commands.study_text import definition_document, definition_text
    from explorer.run.study.definitions import study

    found = study(name)
    if as_json:
        print_json({"schema_version": 1, **definition_document(found)})
    else:
        click.echo(definition_text(found))


@command.command("run")
@click.argument("name")
@click.option("--plan", "plan_only", is_flag=True, help="Time and plan, train nothing.")
@click.option("--minutes", type=float, metavar="N", help="Do what fits in N minutes.  [default: all]")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
@click.option(
    "--workers", type=click.IntRange(min=1), help="Trainings at a time.  [default: one a core, one on a GPU]"
)
@click.option("--seeds", metavar="LIST", help="Instead of the study's, e.g. 0-7.")
@click.option("--epochs", type=click.IntRange(min=1), help="Train this long instead of as the recipe says.")
@click.option(
    "--bundles",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Leave a result bundle of every training in DIR, and take up those that are there.",
)
@click.option(
    "--bundle-weights",
    default="all",
    show_default=True,
    type=click.Choice(["all", "none"]),
    help="Whose weights the bundles hold.",
)
@click.option("--carry-checkpoints", is_flag=True, help="Keep unfinished trainings in DIR/checkpoints too.")
@click.option(
    "--stacked",
    default="auto",
    show_default=True,
    metavar="K|auto",
    help="Seeds of a network trained side by side in one process; auto: on a GPU, where it is faster.",
)
@click.option("--compile", "compiled", is_flag=True, help="Run networks through torch.compile.")
@with_data_options
@store_option
@json_option
def run(
    name: str,
    plan_only: bool,
    seeds: str | None,
    bundle_weights: str,
    stacked: str,
    download: bool,
    store_url: str | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Train what is missing of the study NAME, smallest networks first, seed by seed.

    A step of each network is timed on this device before; nothing is begun that cannot finish an epoch in
    the time given. Running it again continues, also after a kill. Exit code 0 when the study is whole, 4
    while something is left.
    """
    from explorer.commands.train import parse_stacked
    from explorer.run.study.definitions import study
    from explorer.run.study.options import StudyOptions

    found = study(name)
    options = StudyOptions(
        seeds=parse_seeds(seeds) if seeds else None,
        bundle_weights=bundle_weights == "all",
        stacked=parse_stacked(stacked),
        **chosen,
    )
    with zoo_errors():
        from explorer.commands.study_text import outcome_document, outcome_text, plan_text
        from explorer.data import load_images
        from explorer.measure.environment import find_device
        from explorer.run.progress import progress, say
        from explorer.run.study.running import StudyPlan, run_study
        from explorer.store.location import locate, sqlite_url

        find_device(options.device)
        images = load_images(found.dataset, data_dir=options.data_dir, download=download)

        def agreed(plan: StudyPlan) -> bool:
            if plan_only and not as_json:
                click.echo(plan_text(plan, options.minutes))
            else:
                say(plan_text(plan, options.minutes))
            return not plan_only

        with _planning_store(store_url) if plan_only else open_store(store_url, create=True) as store:
            done = run_study(store, images, found, options, shown=progress, agreed=agreed)
            if as_json:
                # a plan may stand on an empty store that is gone afterwards
                url = sqlite_url(locate(store_url)) if plan_only else store.url
                print_json(outcome_document(done, url, options.device))
            elif not plan_only:
                click.echo(outcome_text(done))
    if not done.plan.complete and not plan_only:
        raise click.exceptions.Exit(PARTIAL)


@contextmanager
def _planning_store(url: str | None) -> "Iterator[Store]":
    """Open the store that a plan is for; where there is none, an empty one that is gone afterwards."""
    from explorer.store import Store
    from explorer.store.location import is_store, names_reference

    if names_reference(url) or is_store(url):
        with open_store(url, writes=True) as store:
            yield store
    else:
        with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
            yield store


@command.command("report")
@click.argument("name")
@click.option("--epochs", type=click.IntRange(min=1), help="As the study was run with.")
@store_option
@json_option
def report(name: str, epochs: int | None, store_url: str | None, as_json: bool) -> None:
    """Show what the study NAME has brought: accuracy over seeds, cost, what is missing."""
    from explorer.run.study.definitions import study

    found = study(name)
    with zoo_errors():
        from explorer.commands.study_text import summary_document, summary_text
        from explorer.run.study.summary import summarise

        with open_store(store_url) as store:
            summary = summarise(store, found, epochs=epochs)
    if as_json:
        print_json(summary_document(summary))
    else:
        click.echo(summary_text(summary))

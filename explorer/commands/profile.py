"""`explorer profile`: count and time models here, and keep the figures."""

import click

from explorer.commands.common import (
    json_option,
    open_store,
    print_json,
    store_option,
    zoo_errors,
)
from explorer.errors import UsageError
from explorer.spec import parse_model


@click.command("profile", short_help="Count and time models on this machine, and store the figures.")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option(
    "--dataset",
    metavar="NAME",
    help="Profile for this data set's channels and classes; without MODEL, all its models.",
)
@click.option(
    "--channels", type=click.IntRange(min=1), help="Input channels, without --dataset.  [default: 3]"
)
@click.option(
    "--classes", type=click.IntRange(min=1), help="Output classes, without --dataset.  [default: 10]"
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
@click.option(
    "--seconds",
    default=2.0,
    show_default=True,
    type=click.FloatRange(min=0.05),
    help="Time limit for each model and backend.",
)
@store_option
@json_option
def command(
    models: tuple[str, ...],
    dataset: str | None,
    channels: int | None,
    classes: int | None,
    device: str,
    seconds: float,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Measure the latency of each MODEL, one example at a time on one thread, models interleaved.

    On the CPU each model is timed twice: as what would be shipped (ONNX, by onnxruntime: `latency@cpu`)
    and in eager torch (`latency@cpu-eager`).
    """
    if not models and not dataset:
        raise UsageError("name at least one MODEL, e.g. wrn16-4@32, or --dataset for all its models")
    specs = [parse_model(text) for text in models]
    from explorer.report.documents import profile_document
    from explorer.report.terminal import profile_text
    from explorer.run.profiling import profile_models, subjects
    from explorer.run.progress import progress

    with zoo_errors(), open_store(store_url, create=not dataset) as store:
        chosen = subjects(store, specs, dataset=dataset, channels=channels or 3, classes=classes or 10)
        with progress("profile") as update:
            rows = profile_models(store, chosen, device=device, seconds=seconds, update=update)
    if as_json:
        print_json(profile_document(rows))
    else:
        click.echo(profile_text(rows))

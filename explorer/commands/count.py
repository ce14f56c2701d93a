"""`explorer count`: what a model costs, exactly, and what was not counted."""

from pathlib import Path

import click

from explorer.commands.common import json_option, zoo_errors
from explorer.errors import UsageError

CONVENTIONS = "macs, 2xmacs, pycls, fvcore, torch, timm, mmpretrain, mmpretrain-fvcore, or all"


@click.command("count", short_help="What a model costs, and what was not counted.")
@click.argument("model", required=False)
@click.option(
    "--channels", type=click.IntRange(min=1), help="Input channels.  [default: 3; of text and speech 1]"
)
@click.option(
    "--classes",
    type=click.IntRange(min=1),
    help="Outputs.  [default: of the data set it is made for: 10, 1000]",
)
@click.option(
    "--batch", default=1, show_default=True, type=click.IntRange(min=1), help="Examples in the pass."
)
@click.option("--by", type=click.Choice(["operator", "module", "both"]), help="Break the figures down.")
@click.option("--depth", type=click.IntRange(min=0), help="With --by: names of a module's path kept.")
@click.option(
    "--convention",
    "conventions",
    multiple=True,
    metavar="NAME",
    help=f"What another counter would print: {CONVENTIONS}.",
)
@click.option("--deploy", is_flag=True, help="Count what is shipped: branches merged, batch norms folded.")
@click.option(
    "--training", type=click.Choice(["sgd", "momentum", "adam"]), help="Add the cost of a training step."
)
@click.option("--closed-form", is_flag=True, help="Add the MACs as a formula in batch and resolution.")
@click.option("--resolutions", metavar="LIST", help="Sweep over resolutions, e.g. 160,224,288.")
@click.option("--batches", metavar="LIST", help="Sweep over batches, e.g. 1,8,64.")
@click.option("--reached", metavar="LIST", help="For a cascade: share that reaches each stage, e.g. 1,0.2.")
@click.option(
    "--placement",
    default="sequential",
    show_default=True,
    help="For a design: sequential, parallel(N), batched.",
)
@click.option("--strict", is_flag=True, help="Fail (exit 1) if an operator has no formula.")
@click.option(
    "--all-timm", is_flag=True, help="Count every timm model into --out; continues where it stopped."
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="With --all-timm: FILE.parquet.")
@click.option(
    "--workers", type=click.IntRange(min=1), help="With --all-timm: processes.  [default: one a core]"
)
@json_option
def command(
    model: str | None,
    channels: int | None,
    classes: int | None,
    batch: int,
    by: str | None,
    depth: int | None,
    conventions: tuple[str, ...],
    deploy: bool,
    training: str | None,
    closed_form: bool,
    resolutions: str | None,
    batches: str | None,
    reached: str | None,
    placement: str,
    strict: bool,
    all_timm: bool,
    out: Path | None,
    workers: int | None,
    as_json: bool,
) -> None:
    """Count MODEL, e.g. wrn16-4@32, timm:resnet50@224 or package.module:function@224, without weights.

    One multiply-accumulate counts once. Without @RESOLUTION the model's own default is taken. A design
    (`mean(wrn10-1@8#0, wrn10-1@8#1)`) is counted from its members.
    """
    from explorer.commands import counting

    if all_timm != (out is not None) or all_timm == (model is not None):
        raise UsageError(
            "count one MODEL, e.g. wrn16-4@32, or every timm model with --all-timm --out FILE.parquet"
        )
    with zoo_errors():
        if out is not None:
            counting.count_all(out, workers, as_json)
        elif model is not None and "#" in model:
            counting.count_design(model, channels, classes, reached, placement, as_json)
        elif model is not None and (resolutions or batches):
            counting.count_sweep(model, channels, classes, resolutions, batches, as_json)
        elif model is not None:
            ask = counting.Ask(
                batch=batch,
                by=by,
                depth=depth,
                conventions=conventions,
                deploy=deploy,
                training=training,
                closed_form=closed_form,
                strict=strict,
            )
            counting.count_one(model, channels, classes, ask, as_json)

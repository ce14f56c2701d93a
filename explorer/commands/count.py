"""`explorer count`: what a model costs, exactly, and what was not counted."""

import click

from explorer.commands.common import json_option, print_json, zoo_errors
from explorer.spec import ModelSpec, parse_model


@click.command("count", short_help="What a model costs, and what was not counted.")
@click.argument("model")
@click.option("--channels", default=3, show_default=True, type=click.IntRange(min=1), help="Input channels.")
@click.option("--classes", type=click.IntRange(min=1), help="Output classes.  [default: 10; timm: 1000]")
@click.option("--by", type=click.Choice(["operator", "module"]), help="Break the MACs down.")
@click.option("--strict", is_flag=True, help="Fail (exit 1) if an operator has no formula.")
@json_option
def command(
    model: str, channels: int, classes: int | None, by: str | None, strict: bool, as_json: bool
) -> None:
    """Count MODEL, e.g. wrn16-4@32 or timm:resnet50@224, without allocating its weights.

    One multiply-accumulate counts once. Without @RESOLUTION the model's own default is taken.
    """
    spec = parse_model(model)
    with zoo_errors():
        from explorer.run.costs import count_zoo_model
        from zoo import default_resolution

        resolution = spec.resolution or default_resolution(spec.name, 32)
        spec = ModelSpec(spec.name, resolution)
        classes = classes or (1000 if spec.name.startswith("timm:") else 10)
        cost = count_zoo_model(spec, channels=channels, classes=classes, strict=strict)
    from explorer.report.documents import count_document
    from explorer.report.text import count_text

    document = count_document(spec, cost, channels=channels, classes=classes)
    if as_json:
        print_json(document)
    else:
        click.echo(count_text(spec, cost, by=by))

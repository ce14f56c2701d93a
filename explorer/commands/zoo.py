"""`explorer zoo`: what can be built, and with which knobs."""

import click

from explorer.commands.common import json_option, print_json, zoo_errors
from explorer.errors import unknown_name


@click.group("zoo", short_help="Model families: what can be built, with which knobs.")
def command() -> None:
    """Model families: what can be built, with which knobs."""


@command.command("list")
@json_option
def list_families(as_json: bool) -> None:
    """List the families, with an example name each."""
    import zoo

    families = zoo.families().values()
    if as_json:
        systems = [
            {
                "name": f.name,
                "role": "FAMILY",
                "offers": "build",
                "seed": None,
                "example": f.example,
                "summary": f.summary,
            }
            for f in families
        ]
        print_json({"schema_version": 1, "systems": systems})
        return
    width = max(len(f.name) for f in families)
    for family in families:
        click.echo(f"{family.name:<{width}}  {family.example:<22}  {family.summary}")


@command.command("show")
@click.argument("name")
@json_option
def show_family(name: str, as_json: bool) -> None:
    """Tell what NAME is: a family (`wide_resnet`) or a variant (`wrn16-4`), its knobs and its parameters."""
    import zoo

    families = zoo.families()
    with zoo_errors():
        if name in families:
            family, variant = families[name], families[name].example
        else:
            try:
                variant = zoo.canonical_name(name)
            except zoo.ZooError as error:
                if "unknown" in str(error):
                    raise unknown_name("family or model", name, families) from error
                raise
            family = zoo.family_of(name)
        document = {
            "schema_version": 1,
            "name": family.name,
            "summary": family.summary,
            "pattern": family.pattern_help,
            "knobs": dict(family.knobs),
            "variant": variant,
        }
    if as_json:
        print_json(document)
        return
    click.echo(f"{family.name}: {family.summary}\nwritten as {family.pattern_help}, e.g. {variant}")
    for knob, text in family.knobs.items():
        click.echo(f"  {knob:<10} {text}")
    click.echo(f"cost: explorer count {variant}@32")

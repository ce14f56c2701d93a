"""`explorer zoo`: the systems of the field, and what can be built of them, with which knobs."""

import importlib

import click

from explorer.commands.common import json_option, print_json, zoo_errors
from explorer.errors import UsageError, unknown_name

_ELSEWHERE: dict[str, tuple[str, str]] = {
    "scale": (
        "explorer.commands.zoo_scale",
        "The configurations a scaling rule chooses for a size or budget.",
    ),
    "space": (
        "explorer.commands.zoo_space",
        "The search space of a supernet: its size, its sub-networks, their cost.",
    ),
}
"""Subcommand -> module whose ``command`` it is, and its short help: listing them loads neither."""
_ROLES = [
    *("FAMILY", "SCALING", "SUPERNET", "NAS", "COMPRESS", "ENSEMBLE"),
    *("TRAIN", "METRIC", "COST", "TASK", "OUT"),
]
_OFFERS = ["build", "supernet", "scaling", "recipe", "compress", "claim", "cited", "outside"]


class _ZooGroup(click.Group):
    """Load the module of a subcommand only when that one runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the subcommands, those of this module first."""
        return [*self.commands, *_ELSEWHERE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Return a subcommand, imported where it is elsewhere.

        Raises:
            UsageError: no such subcommand; the message lists those that exist.
        """
        if cmd_name in self.commands:
            return self.commands[cmd_name]
        if cmd_name not in _ELSEWHERE:
            raise unknown_name("command of zoo", cmd_name, self.list_commands(ctx))
        command: click.Command = importlib.import_module(_ELSEWHERE[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of subcommands without importing them."""
        own = [(name, command.get_short_help_str(100)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl([*own, *((name, text) for name, (_module, text) in _ELSEWHERE.items())])


@click.group(
    "zoo", cls=_ZooGroup, short_help="The field's systems and families: what can be built, with which knobs."
)
def command() -> None:
    """The field's systems and families: what they are, what can be built, with which knobs."""


@command.command("list")
@click.argument("text", required=False)
@click.option("--role", type=click.Choice(_ROLES, case_sensitive=False), help="Systems with that role.")
@click.option("--offers", type=click.Choice(_OFFERS, case_sensitive=False), help="Systems that offer that.")
@click.option("--families", "only_families", is_flag=True, help="The families that build, an example each.")
@json_option
def list_systems(
    text: str | None, role: str | None, offers: str | None, only_families: bool, as_json: bool
) -> None:
    """List the systems of the field, those with TEXT in their name, title or description."""
    from explorer.commands.zoo_showing import families_document, systems_document
    from explorer.report.zoo_text import families_text, systems_text

    if only_families and (text or role or offers):
        raise UsageError("--families lists every family: TEXT, --role and --offers choose systems")
    found = systems_document(text, role, offers)
    families = families_document()
    if as_json:
        print_json({"schema_version": 1, "systems": found, "families": families})
    elif only_families:
        click.echo(families_text(families))
    else:
        click.echo(systems_text(found))


@command.command("show")
@click.argument("name")
@click.option("--no-count", is_flag=True, help="Do not count the published networks here.")
@json_option
def show(name: str, no_count: bool, as_json: bool) -> None:
    """Tell what NAME is: a system (`repvgg`), a family (`wide_resnet`) or a network (`wrn16-4`).

    What was published of its networks stands beside what they cost here, counted without weights.
    """
    from explorer.commands.zoo_showing import show_document
    from explorer.report.zoo_text import show_text

    with zoo_errors():
        document = show_document(name, count=not no_count)
    if as_json:
        print_json(document)
    else:
        click.echo(show_text(document))

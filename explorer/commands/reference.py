"""Write docs/commands.md from the commands themselves: ``python -m explorer.commands.reference``."""

from pathlib import Path

import click

from explorer.cli import cli

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "commands.md"
_HEAD = """# Commands

Written by `make docs` from the commands' own help; a test compares the two.

Exit codes: 0 ok, 1 a gate failed (`verify`, `db check`, `count --strict`), 2 usage or bad input,
3 environment or device missing, 4 a partial result (`study run`), 130 interrupted. Errors are one line
on stderr. `--json` prints one document with `schema_version` on stdout; its keys are in
[json.md](json.md). Logs and progress go to stderr.
"""


def reference() -> str:
    """Return the whole document."""
    # As the real command makes it: its settings (-h) hold for every command below.
    root = cli.make_context("explorer", [], resilient_parsing=True)
    sections = [_HEAD]
    for name in cli.list_commands(root):
        command = cli.get_command(root, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=root)
        sections.append(_section(context))
        if isinstance(command, click.Group):
            for inner in command.list_commands(context):
                part = command.get_command(context, inner)
                assert part is not None
                sections.append(_section(click.Context(part, info_name=inner, parent=context)))
    return "\n".join(sections)


def _section(context: click.Context) -> str:
    context.max_content_width = 100
    context.terminal_width = 100
    depth = "##" if context.parent and context.parent.parent is None else "###"
    return f"{depth} {context.command_path}\n\n```text\n{context.get_help()}\n```\n"


if __name__ == "__main__":
    DOCUMENT.write_text(reference(), encoding="utf-8")

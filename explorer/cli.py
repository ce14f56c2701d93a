"""The `explorer` command: names, help and exit codes; the work is in `explorer.commands`.

Exit codes: 0 ok, 1 a gate failed, 2 usage or bad input, 3 environment or device missing,
4 a partial result, 130 interrupted. Every error is one line on stderr. ``explorer --help`` imports nothing
heavy.
"""

import gc
import importlib
import keyword
import sys
from collections.abc import Sequence

import click

from explorer import __version__
from explorer.errors import ExplorerError, unknown_name

_COMMANDS: dict[str, str] = {
    "quickstart": "The main job, end to end, on data that ships: train, profile, choose, report, build.",
    "zoo": "Systems, model families, search spaces and scaling rules.",
    "count": "What a model costs: MACs, operations, parameters, memory; and what was not counted.",
    "profile": "Count and time models on this machine, and store the figures.",
    "devices": "What is known of devices, and what an hour of them costs.",
    "train": "Train members and store their predictions and training cost.",
    "compress": "Smaller or merged members: prune, merge weights; what it saves and what it costs.",
    "import": "Bring in what was made elsewhere: predictions, published accuracies and costs.",
    "study": "Whole studies: many scales and seeds of a family, by a measured plan.",
    "front": "The exact Pareto front over single, ensemble and cascade.",
    "advise": "The answer to a budget or a target, with the evidence.",
    "compare": "Two designs, paired on the same examples.",
    "explain": "Dominated by whom, member by member, and the edit that helps.",
    "cascade": "A cascade from all sides: thresholds, signals, cost tails, a third stage.",
    "score": "Designs on every metric: log loss, Brier, top-5, calibration, worst class.",
    "select": "Weighted ensembles by greedy or beam search, for any metric, from any number of members.",
    "claims": "The field's efficiency claims, checked: holds, fails, or depends on what.",
    "guarantee": "A cascade's threshold that keeps a promise on accuracy or cost.",
    "curves": "Error against cost and against members: fitted laws, crossovers, what lies beyond.",
    "lifetime": "Training plus serving over a volume, and where one design overtakes another.",
    "plan": "Which runs would tell most about the front in the minutes there are.",
    "check": "A gate for CI: whether the front got worse beyond noise.",
    "build": "Turn a design into one ONNX file.",
    "verify": "Run a built file against the stored predictions and time it.",
    "report": "Write a self-contained report (HTML or Markdown).",
    "app": "Open the app in a browser.",
    "db": "Look after the store: info, check, migrate, export, ingest.",
}
"""Command -> short help, so that listing them loads none of their modules."""


class _LazyGroup(click.Group):
    """Load a command's module only when that command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return command names in the order of the work, not of the alphabet."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Import ``explorer.commands.<name>`` (``<name>_`` for a Python keyword), return its ``command``.

        Raises:
            UsageError: no such command; the message lists those that exist.
        """
        if cmd_name not in _COMMANDS:
            raise unknown_name("command", cmd_name, _COMMANDS)
        module = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        command: click.Command = importlib.import_module(f"explorer.commands.{module}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="explorer")
def cli() -> None:
    """Bigger model, ensemble, cascade, or distilled? Ask with a budget; get proof and a file.

    Start with `explorer quickstart`. Every command that answers takes --json; logs and progress go
    to stderr. The store is ./explorer-store, --store, or $EXPLORER_STORE.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with the documented exit code."""
    # imports make a million objects that stay; looking through them every 700 new ones is a tenth of the time
    gc.set_threshold(100_000, 10, 10)
    try:
        code = cli.main(args=arguments, prog_name="explorer", standalone_mode=False)
    except ExplorerError as error:
        code = _fail(str(error), error.exit_code)
    except click.UsageError as error:
        place = error.ctx.command_path if error.ctx else "explorer"
        code = _fail(f"{error.format_message()} (see {place} --help)", 2)
    except click.ClickException as error:
        code = _fail(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        code = _fail("interrupted; the same command continues from what is stored", 130)
    # what is left to collect is everything: half a second to look through, for nothing
    gc.freeze()
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> int:
    """Print one line on stderr and return ``code``."""
    click.echo(f"explorer: {' '.join(message.split())}", err=True)
    return code


if __name__ == "__main__":
    main()

"""Run one of the scripts in `analyses/`: its options, and what becomes of its answer."""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from explorer.errors import ExplorerError, UsageError
from explorer.report.finding import Absent, Finding, check_finding, finding_text, write_finding
from explorer.store import Store

RESULTS = Path("analyses/results")
DATASET = "fashion-mnist"
STORE = "reference"
NO_ANSWER = 4
"""Exit code: the store holds nothing to answer from."""
_SHOWN = 10

Analysis = Callable[[Store, str], Finding | Absent]


def run_analysis(
    name: str,
    doc: str | None,
    analyse: Analysis,
    arguments: Sequence[str] | None = None,
    *,
    brief: bool = False,
) -> int:
    """Answer one question from a store and write, or check, the answer.

    Args:
        name: of the script; its results are files of that name.
        doc: the script's documentation; the first line is the question.
        analyse: store and data set -> answer.
        arguments: of the command line; default those of this process.
        brief: print one line only.

    Returns:
        exit code: 0; 1 where ``--check`` found a difference; 2 or 3 for what went wrong, in one line on
        stderr; 4 where the store holds nothing to answer from.
    """
    options = _options(name, doc, arguments)
    try:
        out = _folder(options)
        asked = _asked(options)
        with Store.open(options.store, create=False) as store:
            found = analyse(store, options.dataset)
        if isinstance(found, Absent):
            print(f"{name}: no answer: {found.reason}")
            return NO_ANSWER
        if options.check:
            return _told(name, check_finding(found, out, name, asked), out)
        write_finding(found, out, name, asked)
    except ExplorerError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{name}: {found.answer}" if brief else finding_text(found))
    return 0


def _options(name: str, doc: str | None, arguments: Sequence[str] | None) -> argparse.Namespace:
    question = (doc or "").strip().splitlines()[0]
    parser = argparse.ArgumentParser(prog=f"python -m analyses.{name}", description=question)
    parser.add_argument("--store", default=STORE, metavar="URL", help="default: the study that ships")
    parser.add_argument("--dataset", default=DATASET, metavar="NAME", help="default: %(default)s")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help=f"where results go; of the study that ships: {RESULTS}"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if the results in DIR say otherwise"
    )
    return parser.parse_args(arguments)


def _folder(options: argparse.Namespace) -> Path:
    """Return where results go: those of the study that ships are committed, and no other may replace them.

    Raises:
        UsageError: another store or data set, and no folder for its results.
    """
    if options.out is not None:
        return options.out
    if _asked(options):
        raise UsageError(
            f"{RESULTS} holds the answers of --store {STORE} --dataset {DATASET}; --out names another folder"
        )
    return RESULTS


def _asked(options: argparse.Namespace) -> str:
    """Return the options that name what was asked, where it is not the study that ships."""
    words = [] if options.store == STORE else ["--store", options.store]
    words += [] if options.dataset == DATASET else ["--dataset", options.dataset]
    return shlex.join(words)


def _told(name: str, differences: Sequence[str], folder: Path) -> int:
    if not differences:
        print(f"{name}: as kept in {folder}")
        return 0
    more = f" (and {len(differences) - _SHOWN} more)" if len(differences) > _SHOWN else ""
    shown = "; ".join(differences[:_SHOWN])
    print(f"{name}: differs from {folder} in {len(differences)} places: {shown}{more}", file=sys.stderr)
    return 1

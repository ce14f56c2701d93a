"""Errors a person can act on: each says what came, what was wanted, and what exists.

The command line prints the message as one line and ends with the class's ``exit_code``:
1 a gate failed, 2 usage or bad input, 3 environment or device missing.
"""

import difflib
from collections.abc import Iterable


class ExplorerError(Exception):
    """Anything this project refuses to do; never raised itself."""

    exit_code = 1


class UsageError(ExplorerError, ValueError):
    """What was asked for does not exist or cannot be: a family, a cost kind, a threshold, a budget."""

    exit_code = 2


class InputDataError(ExplorerError, ValueError):
    """A file or array from outside is damaged or not what it claims to be."""

    exit_code = 2


class StoreError(ExplorerError, RuntimeError):
    """The store cannot be read or written: newer version, corrupted file, missing record."""

    exit_code = 2


class ConventionError(ExplorerError, ValueError):
    """Two numbers were about to be mixed that do not mean the same thing."""

    exit_code = 2


class UncountedError(ExplorerError, RuntimeError):
    """Strict counting met an operator that has no formula."""

    exit_code = 1


class EnvironmentMissingError(ExplorerError, RuntimeError):
    """A device, package or program that the request needs is not here."""

    exit_code = 3


def unknown_name(what: str, got: str, known: Iterable[str]) -> UsageError:
    """Return a `UsageError` for a name that does not exist, with the nearest names and what exists.

    >>> str(unknown_name("family", "wnr", ["wrn", "mlp"]))
    "unknown family 'wnr'; did you mean wrn? known: mlp, wrn"
    """
    names = sorted(known)
    near = difflib.get_close_matches(got, names, n=3, cutoff=0.6)
    hint = f"; did you mean {', '.join(near)}?" if near else ";"
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    return UsageError(f"unknown {what} {got!r}{hint} known: {shown or 'none'}")

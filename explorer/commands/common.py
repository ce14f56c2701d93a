"""What every command shares: the store option, one JSON document on stdout, errors of the zoo."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from explorer.errors import UsageError

if TYPE_CHECKING:
    from explorer.store import Store

store_option = click.option(
    "--store",
    "store_url",
    envvar="EXPLORER_STORE",
    default=None,
    metavar="URL",
    help="Where results are kept; 'reference': the study that ships.  "
    "[default: ./explorer-store, or $EXPLORER_STORE]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
dataset_option = click.option(
    "--dataset",
    required=True,
    metavar="NAME",
    help="digits, fashion-mnist, cifar10, or folder:PATH.",
)
data_options = [
    click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="EXPLORER_DATA_DIR",
        help="Folder with the publisher's files.",
    ),
    click.option("--download", is_flag=True, help="Fetch the publisher's files, checked by checksum."),
]
recipe_option = click.option("--recipe", default=None, metavar="ID", help="Use members of this recipe only.")
mix_recipes_option = click.option(
    "--mix-recipes", is_flag=True, help="Put members of different recipes on one front; the result says so."
)
cost_option = click.option(
    "--cost", default="macs", show_default=True, metavar="KIND[@DEVICE]", help="Cost axis, e.g. latency@cpu."
)


def with_data_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--data-dir`` and ``--download``."""
    for option in reversed(data_options):
        function = option(function)
    return function


def open_store(url: str | None, *, create: bool = False, writes: bool = False) -> "Store":
    """Open the store a command works on; one that only reads takes the reference study if there is none.

    Args:
        url: as the user named it.
        create: whether a missing one is made; such a command writes.
        writes: whether the command adds to it: never to the reference study.

    Raises:
        UsageError: the command writes and the reference study was named.
        StoreError: it does not exist (and ``create`` is False), or a newer version wrote it.
    """
    from explorer.store import Store
    from explorer.store.reference import reading_note, refuse_reference, store_to_read

    if create or writes:
        refuse_reference(url)
        return Store.open(url, create=create)
    chosen = store_to_read(url)
    store = Store.open(chosen, create=False)
    if chosen != url:
        click.echo(reading_note(store), err=True)
    return store


def print_json(document: Mapping[str, object]) -> None:
    """Write one JSON document on stdout."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


@contextmanager
def zoo_errors() -> Iterator[None]:
    """Turn what the zoo refuses into a usage error of this command line.

    Raises:
        UsageError: the zoo refused a name, a knob or a checkpoint.
    """
    try:
        yield
    except ValueError as error:
        from zoo import ZooError  # only now: the zoo brings torch, which takes a second

        if isinstance(error, ZooError):
            raise UsageError(str(error)) from error
        raise


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read ``0-4``, ``3`` or ``0,2,5-7``.

    >>> parse_seeds("0,2,5-7")
    (0, 2, 5, 6, 7)

    Raises:
        UsageError: not of that form, or no seed in it.
    """
    seeds: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise UsageError(f"not a list of seeds: {text!r}; wanted e.g. 0-4 or 0,2,5")
        seeds.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(seeds))

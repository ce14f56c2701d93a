"""Where a store is: from what a person types to the folder that holds it."""

import os
import re
from pathlib import Path

from explorer.errors import UsageError

LEDGER_NAME = "ledger.sqlite"
DEFAULT_FOLDER = "explorer-store"
REFERENCE = "reference"
"""Names the study that ships with the package; a folder of that name is ``./reference``."""
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):")
"""At least two characters before the colon, so that a Windows drive is not taken for a scheme."""
_SUPPORTED = "a folder path or sqlite:///PATH"


def locate(url: str | Path | None = None) -> Path:
    """Return the absolute root folder of the store named by ``url``.

    Without ``url``, ``$EXPLORER_STORE`` and then ``./explorer-store``. A path that ends in
    ``ledger.sqlite`` means the folder around it, so that `Store.url` opens the same store again.

    Raises:
        UsageError: a URL scheme other than SQLite's, an in-memory database, or a path to a file.
    """
    if url is None:
        url = os.environ.get("EXPLORER_STORE") or DEFAULT_FOLDER
    text = str(url)
    if isinstance(url, str):
        text = _strip_scheme(text)
    if "\0" in text:
        raise UsageError(f"not a store: {text!r}; a path holds no null character")
    path = Path(text).expanduser()
    if path.name == LEDGER_NAME:
        path = path.parent
    if path.exists() and not path.is_dir():
        raise UsageError(f"not a store: {path} is a file; wanted {_SUPPORTED}")
    return path.resolve()


def is_store(url: str | Path | None) -> bool:
    """Tell whether there is a store at ``url``; see `locate`.

    Raises:
        UsageError: as `locate`.
    """
    return (locate(url) / LEDGER_NAME).is_file()


def names_reference(url: str | Path | None) -> bool:
    """Tell whether ``url``, or ``$EXPLORER_STORE`` where it is None, names the study that ships."""
    return (os.environ.get("EXPLORER_STORE") if url is None else url) == REFERENCE


def sqlite_url(root: Path) -> str:
    """Return the SQLAlchemy URL of the ledger of the store in ``root``."""
    return f"sqlite:///{root / LEDGER_NAME}"


def _strip_scheme(text: str) -> str:
    match = _SCHEME.match(text)
    if match is not None and match["scheme"] == "sqlite":
        path = text.removeprefix("sqlite:///")
        if path != text and path not in ("", ":memory:"):
            return path
    if match is not None or not text.strip():
        raise UsageError(f"not a store: {text!r}; wanted {_SUPPORTED}, e.g. ./{DEFAULT_FOLDER}")
    return text

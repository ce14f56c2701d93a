"""Fetch a published file over the network, whole and checked, or not at all."""

import contextlib
import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from explorer.errors import EnvironmentMissingError, InputDataError, UsageError

Progress = Callable[[str, int, int], None]
"""Called as (file name, bytes received, bytes in all) while a file arrives."""

TIMEOUT_S = 30.0
"""Longest silence of the server before the download is given up."""
_BLOCK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file somebody publishes, and how to know that it arrived unharmed."""

    name: str
    """File name on disk."""
    url: str
    size_bytes: int
    md5: str
    """As the publisher gives it, hexadecimal."""
    sha256: str
    """Hexadecimal."""

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("https", "http"):
            raise UsageError(f"cannot download from {self.url!r}; only https and http addresses are fetched")


@contextlib.contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Make ``folder`` and turn a failure to write there into one line that says what to do.

    Raises:
        UsageError: the folder cannot be made or written, or the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UsageError(
            f"cannot write to {folder}: {error.strerror or error}; name another folder with --data-dir DIR"
        ) from None


def fetch(file: RemoteFile, folder: Path, *, progress: Progress | None = None) -> Path:
    """Download ``file`` into ``folder`` and return its path.

    The bytes go to a temporary file in the same folder and get their name only after size and both
    checksums agree; whatever goes wrong, including an interruption, the temporary file is removed.
    Two processes that fetch the same file at once do not harm each other.

    Raises:
        EnvironmentMissingError: the server cannot be reached or refuses.
        InputDataError: what arrived is not the published file.
        UsageError: the folder cannot be written.
    """
    with writing_to(folder):
        handle, temporary = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".part", dir=folder)
        try:
            with os.fdopen(handle, "wb") as out:
                _receive(file, out, progress)
                out.flush()
                os.fsync(out.fileno())
            os.chmod(temporary, 0o644)  # mkstemp's 0600 would lock other users out of a shared data folder
            os.replace(temporary, folder / file.name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    return folder / file.name


def _receive(file: RemoteFile, out: IO[bytes], progress: Progress | None) -> None:
    """Write what the server sends to ``out`` and check it."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    received = 0
    for block in _blocks(file):
        out.write(block)
        md5.update(block)
        sha256.update(block)
        received += len(block)
        if progress is not None:
            progress(file.name, received, file.size_bytes)
        if received > file.size_bytes:  # never fill a disk, whatever the server sends
            break
    if received != file.size_bytes:
        amount = "more than" if received > file.size_bytes else f"{received} bytes of"
        raise InputDataError(f"{file.url}: {amount} {file.size_bytes} bytes arrived; nothing was kept")
    for name, found, expected in (
        ("md5", md5.hexdigest(), file.md5),
        ("sha256", sha256.hexdigest(), file.sha256),
    ):
        if found != expected:
            raise InputDataError(f"{file.url}: {name} {found}, expected {expected}; nothing was kept")


def _blocks(file: RemoteFile) -> Iterator[bytes]:
    """Yield the body of the answer; only the network's own failures are turned into messages here."""
    request = urllib.request.Request(file.url, headers={"User-Agent": "scale-or-ensemble"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            while block := response.read(_BLOCK_BYTES):
                yield block
    except urllib.error.HTTPError as error:
        raise EnvironmentMissingError(
            f"cannot fetch {file.url}: the server answered {error.code} {error.reason}"
        ) from None
    except http.client.IncompleteRead:
        return  # older Pythons end the body without a word here: the size check speaks for both
    except (OSError, http.client.HTTPException) as error:  # no route, no name, timeout, reset, broken off
        reason = getattr(error, "reason", None) or error
        raise EnvironmentMissingError(
            f"cannot fetch {file.url}: {reason}; without network, copy the publisher's files here "
            "and name their folder with --data-dir DIR"
        ) from None

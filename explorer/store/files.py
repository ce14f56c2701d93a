"""Immutable files named by their content: ``files/ab/<sha256>.<suffix>``.

A file appears under its name only when it is whole and on the disk: it is written under a temporary
name, flushed (fsync), renamed, and its folder is flushed. Who has the digest has the content; nothing
is ever changed in place. All functions take ``files``, the folder.

Reading an array checks its header and its size, which finds every truncation, and hashes it where
that costs less than a tenth of a second; `damage` hashes whatever its size.
"""

import contextlib
import hashlib
import io
import math
import os
import re
import tempfile
import time
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from explorer.errors import InputDataError, StoreError, UsageError

SUFFIXES = ("npy", "safetensors", "parquet", "json")
TEMPORARY = "tmp"
"""Sub-folder for files being written; on the same file system, so that a rename is atomic."""
ABANDONED_AFTER_S = 3600.0
"""A temporary file this old belongs to a process that was killed: no write of ours takes a tenth of it."""
HASHED_ON_READ = 64 << 20
"""Arrays up to this many bytes are compared with their digest whenever they are opened.

Larger ones are worth mapping without reading them; `explorer db check` hashes those."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of ``data`` as 64 hexadecimal digits: the name of its stored file."""
    return hashlib.sha256(data).hexdigest()


def path_of(files: Path, digest: str, suffix: str) -> Path:
    """Return where the file called ``digest`` is or would be.

    Raises:
        UsageError: ``digest`` is not 64 hexadecimal digits, or the suffix is unknown.
    """
    if not _DIGEST.fullmatch(digest):
        raise UsageError(f"not a digest: {digest!r}; wanted the 64 hexadecimal digits of a SHA-256")
    if suffix not in SUFFIXES:
        raise UsageError(f"unknown file suffix {suffix!r}; known: {', '.join(SUFFIXES)}")
    return files / digest[:2] / f"{digest}.{suffix}"


def put_bytes(files: Path, data: bytes, suffix: str, *, flush: bool = True) -> str:
    """Store ``data`` and return its digest; when the call returns, the file survives a power cut.

    A file that is there already is kept when its content is right, and repaired when it is not.

    Args:
        files: the folder.
        data: content.
        suffix: one of `SUFFIXES`.
        flush: False for one of many, whose writer calls `flush_entries` after the last and before any row.

    Raises:
        StoreError: the disk refuses (full, read-only, permissions).
    """
    digest = digest_of(data)
    target = path_of(files, digest, suffix)
    try:
        if not (target.is_file() and damage(target) is None):
            _write(files, target, data)
        # Also when another process put the file there: its folder entry may not be on the disk yet,
        # and the caller is about to name the file in the ledger.
        if flush:
            flush_entries(files, (digest,))
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror or error}") from error
    return digest


def flush_entries(files: Path, digests: Iterable[str]) -> None:
    """Make the names of stored files survive a power cut; their content does already.

    Raises:
        StoreError: the disk refuses.
    """
    try:
        for first in sorted({digest[:2] for digest in digests}):
            flush_folder(files / first)
        flush_folder(files)
    except OSError as error:
        raise StoreError(f"cannot write {files}: {error.strerror or error}") from error


def get_bytes(files: Path, digest: str, suffix: str) -> bytes:
    """Return the content of a stored file, hash checked.

    Raises:
        StoreError: the file is missing, or its content is not what its name says.
    """
    target = path_of(files, digest, suffix)
    try:
        data = target.read_bytes()
    except FileNotFoundError:
        raise _missing(target) from None
    except OSError as error:
        raise StoreError(f"cannot read {target}: {error.strerror or error}") from error
    found = digest_of(data)
    if found != digest:
        raise StoreError(
            f"{target} is damaged: expected SHA-256 {digest[:12]}..., found {found[:12]}... "
            f"in {len(data)} bytes; restore it from a backup"
        )
    return data


def put_array(files: Path, array: np.ndarray) -> str:
    """Store an array as ``.npy`` and return its digest: of the bytes of the file, header included.

    Raises:
        InputDataError: an array of Python objects, which cannot be stored safely.
        StoreError: the disk refuses.
    """
    if array.dtype.hasobject:
        raise InputDataError(f"cannot store an array of dtype {array.dtype}; wanted numbers")
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return put_bytes(files, buffer.getvalue(), "npy")


def get_array(files: Path, digest: str) -> np.ndarray:
    """Return a stored array, memory-mapped and read-only.

    Header and size are checked, and up to `HASHED_ON_READ` bytes the content too.

    Raises:
        StoreError: the file is missing, truncated, too long, not an array, or not what was stored.
    """
    target = path_of(files, digest, "npy")
    shape, expected = array_header(target)
    found = target.stat().st_size
    if found != expected:
        raise StoreError(
            f"{target} is damaged: expected {expected} bytes for shape {list(shape)}, "
            f"found {found}; restore it from a backup"
        )
    wrong = damage(target) if found <= HASHED_ON_READ else None
    if wrong is not None:
        raise StoreError(f"{wrong}; restore it from a backup")
    # Nothing can be mapped when there are no elements.
    array = np.load(target, mmap_mode="r" if 0 not in shape else None, allow_pickle=False)
    array.flags.writeable = False
    return array


def array_header(path: Path) -> tuple[tuple[int, ...], int]:
    """Return shape and expected size, in bytes, of a ``.npy`` file by its header.

    Raises:
        StoreError: the file is missing, or its header is damaged.
    """
    try:
        with path.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            if version != (1, 0):
                raise ValueError(f"format version {version}")
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
            offset = stream.tell()
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, TypeError, SyntaxError, tokenize.TokenError) as error:
        # The last three, because numpy hands a damaged header to its reader of Python 2 headers.
        reason = str(error).splitlines()[0]
        raise StoreError(
            f"{path} is damaged: expected a .npy header, found {path.stat().st_size} bytes ({reason}); "
            "restore it from a backup"
        ) from None
    return shape, offset + math.prod(shape) * dtype.itemsize


def damage(path: Path) -> str | None:
    """Return what is wrong with the content of a stored file, by its full hash; None when it is whole."""
    hasher = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                hasher.update(chunk)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror or error}"
    if hasher.hexdigest() == path.stem:
        return None
    return (
        f"{path} is damaged: expected SHA-256 {path.stem[:12]}..., found {hasher.hexdigest()[:12]}... "
        f"in {path.stat().st_size} bytes"
    )


def stored_files(files: Path) -> Iterator[Path]:
    """Yield every stored file, in the order of their digests; temporary files are not stored files."""
    for folder in sorted(files.glob("[0-9a-f][0-9a-f]")):
        yield from sorted(path for path in folder.iterdir() if path.is_file())


def abandoned_files(files: Path, older_than_s: float = ABANDONED_AFTER_S) -> tuple[Path, ...]:
    """Return temporary files that a killed process left behind."""
    limit = time.time() - older_than_s
    found = []
    for path in sorted((files / TEMPORARY).glob("*")):
        # A concurrent writer may rename its file between the listing and the look at its age.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < limit:
                found.append(path)
    return tuple(found)


def remove_abandoned(files: Path) -> None:
    """Delete temporary files that a killed process left behind."""
    for path in abandoned_files(files):
        path.unlink(missing_ok=True)


def _write(files: Path, target: Path, data: bytes) -> None:
    temporary_folder = files / TEMPORARY
    temporary_folder.mkdir(parents=True, exist_ok=True)
    target.parent.mkdir(exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f"{target.stem[:12]}-", dir=temporary_folder)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o444)  # immutable: a slip of the hand cannot change it
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def flush_folder(folder: Path) -> None:
    """Make the entries of a folder survive a power cut."""
    if os.name != "posix":  # Windows cannot open a folder; NTFS journals its entries
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _missing(path: Path) -> StoreError:
    return StoreError(f"{path} is missing, but the ledger names it; restore it from a backup")

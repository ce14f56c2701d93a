"""Reading a bundle from a folder or a zip: every name, size, hash and array checked before use."""

import hashlib
import math
import struct
import tokenize
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import TracebackType

import numpy as np

from explorer.errors import InputDataError
from explorer.store import members as member_rows
from explorer.store.bundle_form import FILE_NAME, FOLDER, MANIFEST, BundleFile, Manifest, parse_manifest
from explorer.store.location import LEDGER_NAME

Update = Callable[[float, str], None]
"""Called with the share of the work done, in [0, 1], and what is going on."""
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    struct.error,
)
"""What Python's zip reader raises on damaged or foreign bytes."""
_BAD_HEADER = (ValueError, TypeError, SyntaxError, tokenize.TokenError, OverflowError)
_LARGEST_MANIFEST = 1 << 30


class _Source(ABC):
    """A folder or a zip, read by name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sizes: dict[str, int] = {}

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return one file's content."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""


class _Folder(_Source):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        for found in sorted(path.rglob("*")):
            name = found.relative_to(path).as_posix()
            if found.is_symlink() or not (found.is_file() or name == FOLDER):
                raise InputDataError(f"{path} holds {name!r}, which no bundle does")
            if found.is_file():
                self.sizes[name] = found.stat().st_size

    def read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise InputDataError(f"{self.path}: cannot read {name}: {error.strerror or error}") from error

    def close(self) -> None:
        pass


class _Zip(_Source):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._zip = zipfile.ZipFile(path)
        except _DAMAGED as error:
            raise InputDataError(f"{path} is damaged or no zip file: {error}") from None
        for info in self._zip.infolist():
            if info.filename == f"{FOLDER}/":
                continue
            if info.filename in self.sizes:
                self.close()
                raise InputDataError(f"{path} holds {info.filename!r} twice")
            self.sizes[info.filename] = info.file_size

    def read(self, name: str) -> bytes:
        try:
            with self._zip.open(name) as stream:
                # At most what it says it has, so that no little file swells to fill the memory.
                return stream.read(self.sizes[name] + 1)
        except _DAMAGED as error:
            raise InputDataError(f"{self.path}: {name} is damaged: {error}") from None

    def close(self) -> None:
        self._zip.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """An open bundle of which everything has been checked."""

    path: Path
    sha256: str
    """Of its manifest: equal bundles have equal ones, folder or zip."""
    manifest: Manifest
    source: _Source

    def read(self, file: BundleFile) -> bytes:
        """Return the content of one of its files.

        Raises:
            InputDataError: the file is missing, or its content is not what its name says.
        """
        data = self.source.read(file.name)
        found = hashlib.sha256(data).hexdigest()
        if len(data) != file.bytes or found != file.digest:
            raise InputDataError(
                f"{self.path}: {file.name} is damaged: wanted {file.bytes} bytes with SHA-256 "
                f"{file.digest[:12]}..., found {len(data)} with {found[:12]}..."
            )
        return data

    def __enter__(self) -> "Bundle":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.source.close()


def open_bundle(path: Path, *, progress: Update | None = None) -> Bundle:
    """Open the bundle at ``path``, a folder or a zip, and check all of it.

    Raises:
        InputDataError: it is no bundle, of a newer version, damaged, or holds what no bundle does.
    """
    with _closed_on_error(_source(path)) as source:
        for name in source.sizes:
            if name != MANIFEST and FILE_NAME.fullmatch(name) is None:
                raise InputDataError(f"{path} holds {name!r}, which no bundle does")
        if MANIFEST not in source.sizes:
            hint = (
                "; it is a store: `explorer db export` makes a bundle of it"
                if (path / LEDGER_NAME).is_file()
                else ""
            )
            raise InputDataError(f"{path} is no bundle: it has no {MANIFEST}{hint}")
        if source.sizes[MANIFEST] > _LARGEST_MANIFEST:
            raise InputDataError(f"{path} is no bundle: its {MANIFEST} has {source.sizes[MANIFEST]} bytes")
        data = source.read(MANIFEST)
        manifest = parse_manifest(data, str(path))
        _require_files(source, manifest)
        bundle = Bundle(path=path, sha256=hashlib.sha256(data).hexdigest(), manifest=manifest, source=source)
        _require_content(bundle, progress or (lambda share, text: None))
        return bundle


def manifest_digest(folder: Path) -> str:
    """Return the SHA-256 of a folder bundle's manifest, nothing checked.

    Raises:
        InputDataError: there is none that can be read.
    """
    try:
        return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    except OSError as error:
        raise InputDataError(f"{folder} is no bundle: {MANIFEST}: {error.strerror or error}") from error


def _source(path: Path) -> _Source:
    if not path.exists():
        raise InputDataError(f"no bundle at {path}: there is no such file or folder")
    if path.is_dir() and (path / LEDGER_NAME).is_file():
        raise InputDataError(f"{path} is a store, not a bundle: `explorer db export` makes a bundle of it")
    if path.is_dir() and not (path / MANIFEST).is_file():
        raise InputDataError(f"{path} is no bundle: it has no {MANIFEST}")
    try:
        return _Folder(path) if path.is_dir() else _Zip(path)
    except OSError as error:
        raise InputDataError(f"cannot read {path}: {error.strerror or error}") from error


@contextmanager
def _closed_on_error(source: _Source) -> Iterator[_Source]:
    try:
        yield source
    except BaseException:
        source.close()
        raise


def _require_files(source: _Source, manifest: Manifest) -> None:
    """Refuse files that are missing, too many, or of another size, before any is read."""
    listed = {file.name: file.bytes for file in manifest.files}
    for name, size in listed.items():
        if name not in source.sizes:
            raise InputDataError(f"{source.path} is damaged: {name} is missing")
        if source.sizes[name] != size:
            raise InputDataError(
                f"{source.path} is damaged: {name} has {source.sizes[name]} bytes, wanted {size}"
            )
    for name in sorted(set(source.sizes) - set(listed) - {MANIFEST}):
        raise InputDataError(f"{source.path} holds {name!r}, which its {MANIFEST} does not list")


def _require_content(bundle: Bundle, progress: Update) -> None:
    rows = bundle.manifest.rows
    predictions = {row.record.digest: row.record for row in rows.predictions}
    labels = {row.record.digest: row.record for row in rows.labels}
    total = sum(file.bytes for file in bundle.manifest.files) or 1
    done = 0
    for file in bundle.manifest.files:
        data = bundle.read(file)
        try:
            if file.suffix == "npy" and file.digest in predictions:
                found = predictions[file.digest]
                array = _array(data, "float16", (found.examples, found.classes), file.name)
                member_rows.checked_probabilities(array, found.member, found.dataset, found.split)
            elif file.suffix == "npy":
                said = labels[file.digest]
                array = _array(data, "int64", (said.examples,), file.name)
                member_rows.checked_labels(array, said.class_names, said.dataset, said.split)
        except InputDataError as error:
            raise InputDataError(f"{bundle.path}: {error}") from error
        done += file.bytes
        progress(done / total, f"checked {file.digest[:12]}")


def _array(data: bytes, dtype: str, shape: tuple[int, ...], what: str) -> np.ndarray:
    stream = BytesIO(data)
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError("not version 1.0")
        found, fortran, kind = np.lib.format.read_array_header_1_0(stream)
    except _BAD_HEADER as error:
        reason = str(error).splitlines()[0]
        raise InputDataError(f"{what} is no .npy array: {reason}") from None
    offset = stream.tell()
    if kind != np.dtype(dtype) or found != shape or (fortran and len(shape) > 1):
        raise InputDataError(f"{what} holds {kind} {list(found)}, the manifest says {dtype} {list(shape)}")
    if len(data) != offset + math.prod(shape) * kind.itemsize:
        raise InputDataError(f"{what} has {len(data)} bytes, which do not fit its shape {list(shape)}")
    return np.frombuffer(data, dtype=kind, offset=offset).reshape(shape)

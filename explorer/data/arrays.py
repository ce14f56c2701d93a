"""Named arrays out of a file of somebody else's: ``.npy``, ``.npz``, ``.csv`` or ``.parquet``.

Nothing is ever unpickled: a pickle runs what its writer wanted. A file must be what its suffix says.
"""

import csv
import hashlib
import io
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explorer.errors import InputDataError, unknown_name

WHOLE = ""
"""Key of the one array of a ``.npy`` file, which has no name."""
_MAGIC = {".npy": b"\x93NUMPY", ".npz": b"PK\x03\x04", ".parquet": b"PAR1"}
MOST_BYTES = 8 * 2**30
"""Largest file, and largest content of an archive, that is read: all of it is held in memory."""
_BROKEN = (
    *(ValueError, EOFError, OSError, KeyError, MemoryError, SyntaxError, NotImplementedError),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""What numpy raises for files that are damaged."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NamedArrays:
    """What a file holds, by name."""

    path: Path
    digest: str
    """SHA-256 of the file."""
    arrays: Mapping[str, np.ndarray]
    """Numbers, or texts as dtype ``U``; in the order of the file."""
    table: bool
    """Whether they are columns, ``[example]`` each."""

    def listed(self) -> str:
        """Say what there is: ``probs float16 [13, 50000, 10], labels uint8 [50000]``."""
        if self.table:
            return ", ".join(self.arrays)
        return ", ".join(
            f"{name or 'an array'} {array.dtype.name} {list(array.shape)}"
            for name, array in self.arrays.items()
        )

    def get(self, key: str) -> np.ndarray:
        """Return the array called ``key``.

        Raises:
            UsageError: there is none; the message lists those there are.
        """
        if key not in self.arrays:
            what = "column" if self.table else "key"
            raise unknown_name(f"{what} of {self.path.name}", key, self.arrays)
        return self.arrays[key]


def read_arrays(path: Path, *, as_text: Collection[str] = ()) -> NamedArrays:
    """Read a file by its suffix.

    Args:
        path: ``.npy``, ``.npz``, ``.csv`` or ``.parquet``.
        as_text: columns of a ``.csv`` that stay text though they look like numbers: ``007`` is an id.

    Raises:
        InputDataError: no such file, another suffix, not what the suffix says, damaged, pickled, empty,
            or more than `MOST_BYTES`.
    """
    readers: Mapping[str, Callable[[bytes], dict[str, np.ndarray]]] = {
        ".npy": lambda data: {WHOLE: _array(data, path.name)},
        ".npz": lambda data: _archive(data, path),
        ".csv": lambda data: _csv(data, path, as_text),
        ".parquet": lambda data: _parquet(data, path),
    }
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise InputDataError(f"{path} ends in {suffix or 'nothing'!r}; wanted one of {', '.join(readers)}")
    try:
        _require_size(path.stat().st_size, path)
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputDataError(f"no such file: {path}") from None
    except OSError as error:
        raise InputDataError(f"{path} cannot be read: {error.strerror or error}") from error
    _require_kind(data, suffix, path)
    arrays = readers[suffix](data)
    if not arrays:
        raise InputDataError(f"{path} holds no arrays")
    return NamedArrays(
        path=path,
        digest=hashlib.sha256(data).hexdigest(),
        arrays=arrays,
        table=suffix in (".csv", ".parquet"),
    )


def _require_size(size: int, path: Path) -> None:
    if size > MOST_BYTES:
        raise InputDataError(
            f"{path} holds {size / 2**30:.1f} GiB; at most {MOST_BYTES // 2**30} are read: "
            "split it by members, and import one file after the other"
        )


def _require_kind(data: bytes, suffix: str, path: Path) -> None:
    if not data:
        raise InputDataError(f"{path} is empty")
    wanted = _MAGIC.get(suffix)
    found = next((kind for kind, magic in _MAGIC.items() if data.startswith(magic)), None)
    binary = found is None and b"\0" in data[:4096]
    if (wanted is not None and found != suffix) or (wanted is None and (found is not None or binary)):
        known = f"it looks like {found}" if found else "its first bytes say otherwise"
        raise InputDataError(f"{path} is not a {suffix} file: {known}")


def _array(data: bytes, name: str) -> np.ndarray:
    """Return the array of a ``.npy`` file's content, its size compared with what its header says."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read_header = np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(stream)
        if dtype.hasobject:
            raise InputDataError(f"{name} holds pickled objects, which are never read; save plain numbers")
        if len(data) - stream.tell() != int(np.prod(shape, dtype=object)) * dtype.itemsize:
            raise ValueError(f"its header promises {list(shape)} of {dtype}")
        stream.seek(0)
        found = np.lib.format.read_array(stream, allow_pickle=False)
    except InputDataError:
        raise
    except _BROKEN as error:
        raise InputDataError(f"{name} is damaged: {error or type(error).__name__}") from error
    if found.dtype.kind not in "biufU":
        raise InputDataError(f"{name} holds {found.dtype}; wanted numbers or texts")
    return found


def _archive(data: bytes, path: Path) -> dict[str, np.ndarray]:
    found = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
            _require_size(sum(entry.file_size for entry in entries), path)
            for entry in entries:
                key = entry.filename.removesuffix(".npy")
                content = archive.read(entry)
                if not content.startswith(_MAGIC[".npy"]):
                    raise InputDataError(f"{path}: {key} is not an array")
                found[key] = _array(content, f"{path}: {key}")
    except _BROKEN as error:
        raise InputDataError(f"{path} is damaged: {error or type(error).__name__}") from error
    return found


def _csv(data: bytes, path: Path, as_text: Collection[str]) -> dict[str, np.ndarray]:
    import pandas as pd

    try:
        text = data.decode("utf-8-sig")
        header = [name.strip() for name in next(csv.reader(io.StringIO(text)), [])]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputDataError(f"{path} cannot be read as a table: {error}") from error
    _require_columns(header, path)
    try:
        with warnings.catch_warnings():
            # pandas drops cells beyond the header with no more than a warning
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                io.StringIO(text),
                header=0,
                names=header,
                index_col=False,
                dtype={name: str for name in header if name in as_text},
                keep_default_na=False,
                na_values=[""],
                low_memory=False,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError, ValueError) as error:
        raise InputDataError(f"{path} cannot be read as a table: {error}") from error
    return {name: _column(frame[name].to_numpy(), name, path) for name in header}


def _parquet(data: bytes, path: Path) -> dict[str, np.ndarray]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        raise InputDataError(f"{path} is damaged: {error}") from error
    _require_columns(table.column_names, path)
    return {
        name: _column(table[name].to_pandas().to_numpy(), name, path)
        for name in table.column_names
        if not name.startswith("__index_level_")
    }


def _require_columns(header: list[str], path: Path) -> None:
    if not header or "" in header:
        raise InputDataError(f"{path}: every column needs a name; the first line has {header}")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputDataError(f"{path}: a column is there twice: {', '.join(twice)}")


def _column(values: np.ndarray, name: str, path: Path) -> np.ndarray:
    """Return a column as numbers or as texts; a missing text is refused, a missing number is NaN."""
    if values.dtype.kind in "biuf":
        return values
    wrong = [row for row, value in enumerate(values) if not isinstance(value, str)]
    if wrong:
        first = values[wrong[0]]
        found = "nothing" if first is None or first != first else f"a {type(first).__name__}"
        raise InputDataError(
            f"{path}: column {name} holds {found} in row {wrong[0]}; wanted a number or text"
        )
    return values.astype(np.str_)

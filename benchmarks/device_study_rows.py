"""Keep a study's rows in a file that any interruption leaves whole, and put everything into one bundle."""

import io
import json
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from explorer.errors import InputDataError

BUNDLE = "device_study.zip"
LIMIT_BYTES = 15 * 2**20
SCHEMA_VERSION = 1
_ROWS, _SAMPLES, _MANIFEST = "rows.jsonl", "samples.parquet", "manifest.json"
_SAMPLES_S = "samples_s"
_DIGITS = 6

Row = dict[str, Any]


def key_of(row: Mapping[str, Any]) -> str:
    """Return what names a row within a machine; as `benchmarks.device_study_plan.Unit.key`."""
    return f"{row['kind']} {row['workload']} {row.get('model') or row['design']}"


def append(folder: Path, rows: Sequence[Row]) -> None:
    """Add rows to the folder's; they are on the disk when this returns."""
    path = folder / _ROWS
    torn = _ends_torn(path)
    lines = [json.dumps(_short(row), allow_nan=False) for row in rows]
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * torn + "".join(line + "\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())


def _ends_torn(path: Path) -> bool:
    if not path.exists() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _short(row: Row) -> Row:
    samples = [float(f"{value:.{_DIGITS}g}") for value in row.get(_SAMPLES_S, ())]
    return {**row, _SAMPLES_S: samples}


def read(folder: Path) -> list[Row]:
    """Return the folder's rows, or else its bundle's; of several of one name and machine the last.

    A line that an interruption left unfinished is passed over: its row is measured again. An ensemble has
    one row for each placement.

    Raises:
        InputDataError: the bundle is damaged.
    """
    path = folder / _ROWS
    if path.exists():
        found = list(_lines(path.read_text(encoding="utf-8")))
    elif (folder / BUNDLE).exists():
        found = _unpacked(folder / BUNDLE)
    else:
        found = []
    return list({(row["machine"], key_of(row), row.get("placement")): row for row in found}.values())


def _lines(text: str) -> Iterable[Row]:
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and {"machine", "kind", "workload"} <= set(row):
            yield row


def restore(folder: Path) -> None:
    """Let a folder that has only a bundle go on from it."""
    if not (folder / _ROWS).exists() and (folder / BUNDLE).exists():
        rows, told = read(folder), manifest(folder)
        append(folder, rows)
        for name in ("machines", "calls"):
            write_json(folder / f"{name}.json", told[name])


def export(folder: Path, rows: Sequence[Row], limit: int = LIMIT_BYTES) -> Path:
    """Write rows, raw samples and manifest into one file below the limit, and return its path.

    Where the raw samples are too many, every second one is kept, or every fourth, ...; the manifest says so.

    Raises:
        InputDataError: the rows alone are too large.
    """
    every = 1
    while True:
        data = _packed(folder, rows, every)
        if len(data) < limit:
            break
        every *= 2
        if every > max((len(row.get(_SAMPLES_S, ())) for row in rows), default=0):
            raise InputDataError(f"{len(rows)} rows without samples take {len(data)} bytes; wanted {limit}")
    part = folder / f"{BUNDLE}.part"
    part.write_bytes(data)
    part.replace(folder / BUNDLE)
    return folder / BUNDLE


def _packed(folder: Path, rows: Sequence[Row], every: int) -> bytes:
    told = {
        "schema_version": SCHEMA_VERSION,
        "rows": len(rows),
        "errors": sum(row.get("error") is not None for row in rows),
        "samples_kept_every": every,
        "machines": read_json(folder / "machines.json", {}),
        "calls": read_json(folder / "calls.json", []),
    }
    lines = (json.dumps({n: v for n, v in row.items() if n != _SAMPLES_S}) + "\n" for row in rows)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as bundle:
        bundle.writestr(_MANIFEST, json.dumps(told, indent=1) + "\n")
        bundle.writestr(_ROWS, "".join(lines))
        bundle.writestr(_SAMPLES, _samples(rows, every))
    return buffer.getvalue()


def _samples(rows: Sequence[Row], every: int) -> bytes:
    """Return the raw samples as Parquet: ``row`` (number of the line), ``value`` in seconds."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    kept = [np.asarray(row.get(_SAMPLES_S, ()), dtype=np.float64)[::every] for row in rows]
    numbers = np.repeat(np.arange(len(rows), dtype=np.int32), [len(one) for one in kept])
    values = np.concatenate(kept) if kept else np.empty(0)
    buffer = io.BytesIO()
    table = pa.table({"row": numbers, "value": values.astype(np.float32)})
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _unpacked(path: Path) -> list[Row]:
    import pyarrow.parquet as pq

    try:
        with zipfile.ZipFile(path) as bundle:
            rows = list(_lines(bundle.read(_ROWS).decode()))
            table = pq.read_table(io.BytesIO(bundle.read(_SAMPLES)))
    except (zipfile.BadZipFile, KeyError, OSError, ValueError) as error:
        raise InputDataError(f"{path} is not a bundle of this study, or damaged: {error}") from error
    for row in rows:
        row[_SAMPLES_S] = []
    for number, value in zip(table["row"].to_pylist(), table["value"].to_pylist(), strict=True):
        rows[number][_SAMPLES_S].append(value)
    return rows


def manifest(folder: Path) -> dict[str, Any]:
    """Return what is known of the machines and calls; from the bundle where only that is there.

    Raises:
        InputDataError: there is none, or it is damaged.
    """
    if (folder / "machines.json").exists():
        return {
            "machines": read_json(folder / "machines.json", {}),
            "calls": read_json(folder / "calls.json", []),
        }
    try:
        with zipfile.ZipFile(folder / BUNDLE) as bundle:
            found: dict[str, Any] = json.loads(bundle.read(_MANIFEST))
    except (zipfile.BadZipFile, KeyError, OSError, ValueError) as error:
        raise InputDataError(f"no rows of a study in {folder}: {error}") from error
    return found


def read_json(path: Path, otherwise: Any) -> Any:
    """Return what a file holds, or ``otherwise`` where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else otherwise


def write_json(path: Path, value: Any) -> None:
    """Write a file that appears whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    part.replace(path)

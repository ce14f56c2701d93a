"""Count every timm model at its own resolution: parallel, resumable, into one Parquet file.

Workers only count; the parent alone writes, one JSON line a model into a journal beside the output,
flushed to disk before the next. A run killed at any moment loses at most the models under way, and the
next run goes on from the journal. At the end the journal becomes the Parquet file in one rename.
"""

import dataclasses
import gc
import importlib.metadata
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from explorer.accounting import COUNT_CONVENTION
from explorer.errors import EnvironmentMissingError, ExplorerError, InputDataError, UsageError
from explorer.run.workers import abandon, settle_in

PREFIX = "timm:"
CLASSES, CHANNELS = 1000, 3
POLL_S = 0.2
"""How often progress is shown while nothing finishes."""

_SLOW_FIRST = ("swinv2_cr_giant", "mvitv2_huge", "tiny_vit_21m_512", "resnetrs4", "resnetrs3", "nasnet")
"""Beginnings of the slowest names: counted first, so that no core idles at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCount:
    """What one example through one model costs; one row of the output."""

    model: str
    """With family, ``timm:resnet50``."""
    resolution: int | None
    """Side of the square input in pixels; None where the model's own could not be found."""
    macs: int | None = None
    elementwise_ops: int | None = None
    parameters: int | None = None
    param_bytes: int | None = None
    buffer_bytes: int | None = None
    activation_peak_bytes: int | None = None
    ops: int | None = None
    """Operator calls of the pass."""
    uncounted: str = "{}"
    """JSON: operator without formula -> calls."""
    seconds: float = 0.0
    """Building and counting, on one thread."""
    error: str = ""
    """Why there are no figures; empty where there are."""


_SCHEMA = pa.schema(
    [
        pa.field("model", pa.string(), nullable=False),
        *(
            pa.field(name, pa.int64())
            for name in ("resolution", "macs", "elementwise_ops", "parameters", "param_bytes")
        ),
        *(pa.field(name, pa.int64()) for name in ("buffer_bytes", "activation_peak_bytes", "ops")),
        pa.field("uncounted", pa.string(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("error", pa.string(), nullable=False),
    ]
)


def count_all_timm(
    out: Path,
    *,
    workers: int | None = None,
    names: Sequence[str] | None = None,
    update: Callable[[float, str], None] = lambda share, text: None,
) -> tuple[ModelCount, ...]:
    """Count timm's models into the Parquet file ``out``; rows already there are not counted again.

    Args:
        out: the file; while counting, ``OUT.journal`` beside it holds what is done.
        workers: processes; as many as there are cores by default.
        names: models with or without ``timm:``; all that timm lists by default.
        update: told the share of models done and which was last.

    Returns:
        All rows of the file, by name. A model that does not build or run has a row that says why, and
        is tried again the next time.

    Raises:
        InputDataError: ``out`` or its journal is not what this function wrote.
        UsageError: they were counted under another convention or by other versions.
        EnvironmentMissingError: a worker died, as when memory runs out.
    """
    journal = out.with_name(out.name + ".journal")
    out.parent.mkdir(parents=True, exist_ok=True)
    done = {row.model: row for row in (*read_counts(out), *_read_journal(journal))}
    count = workers or os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(count, mp_context=context, initializer=_start) as pool,
        _Journal(journal) as keep,
    ):
        try:
            asked = pool.submit(_timm_names).result() if names is None else names
            full = dict.fromkeys(PREFIX + name.removeprefix(PREFIX) for name in asked)
            missing = sorted((name for name in full if name not in done or done[name].error), key=_order)
            for row in _counted(pool, missing, already=len(full) - len(missing), update=update):
                keep(row)
                done[row.model] = row
        except BrokenProcessPool as error:
            raise EnvironmentMissingError(
                f"a counting process died, perhaps for lack of memory; {len(done)} models are kept in "
                f"{journal}: run again to go on, with fewer workers"
            ) from error
        except BaseException:
            abandon(pool)
            raise
    rows = tuple(done[name] for name in sorted(done))
    _write_parquet(out, rows)
    journal.unlink(missing_ok=True)
    return rows


def read_counts(path: Path) -> tuple[ModelCount, ...]:
    """Return the rows of a file that `count_all_timm` wrote; none where there is no file.

    Raises:
        InputDataError: not such a file.
        UsageError: written under another convention or by other versions.
    """
    if not path.exists():
        return ()
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputDataError(f"{path} is not a Parquet file: {error}") from error
    if table.schema.names != _SCHEMA.names:
        raise InputDataError(f"{path} has columns {table.schema.names}, wanted {_SCHEMA.names}")
    stamp = (table.schema.metadata or {}).get(b"counted_by", b"{}")
    _check_stamp(path, json.loads(stamp))
    return tuple(ModelCount(**row) for row in table.to_pylist())


def _counted(
    pool: ProcessPoolExecutor,
    names: Sequence[str],
    *,
    already: int,
    update: Callable[[float, str], None],
) -> Iterable[ModelCount]:
    """Yield the rows as workers finish them; raise what a worker raised."""
    pending: set[Future[ModelCount]] = {pool.submit(_count_and_tidy, name) for name in names}
    total, finished = already + len(pending), already
    while pending:
        ready, pending = wait(pending, timeout=POLL_S, return_when=FIRST_COMPLETED)
        for future in ready:
            row = future.result()
            finished += 1
            update(finished / total, f"{finished} of {total} models; {row.model} {row.seconds:.1f} s")
            yield row


def _order(name: str) -> tuple[int, str]:
    bare = name.removeprefix(PREFIX)
    rank = next((i for i, slow in enumerate(_SLOW_FIRST) if bare.startswith(slow)), len(_SLOW_FIRST))
    return rank, name


# ---- the journal and the file -------------------------------------------------------------------


def _stamp() -> dict[str, str]:
    """Return what figures depend on besides the model: convention and versions."""
    versions = {name: importlib.metadata.version(name) for name in ("timm", "torch")}
    return {"convention": COUNT_CONVENTION, **versions}


def _check_stamp(path: Path, found: object) -> None:
    if found != _stamp():
        raise UsageError(
            f"{path} was counted with {found}, this is {_stamp()}; delete it or name another file"
        )


class _Journal:
    """Append rows to the journal, each on disk before the call returns."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Callable[[ModelCount], None]:
        # A line cut short by a kill would swallow the next one: only whole lines stay.
        text = self._path.read_bytes() if self._path.exists() else b""
        whole = text[: text.rfind(b"\n") + 1]
        self._file = self._path.open("r+b" if self._path.exists() else "w+b")
        self._file.truncate(len(whole))
        self._file.seek(len(whole))
        if not whole:
            self._append(_stamp())
        return lambda row: self._append(dataclasses.asdict(row))

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def _append(self, value: object) -> None:
        self._file.write(json.dumps(value).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def _read_journal(path: Path) -> tuple[ModelCount, ...]:
    if not path.exists():
        return ()
    lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last line end was cut short
    try:
        entries = [json.loads(line) for line in lines]
        rows = tuple(ModelCount(**entry) for entry in entries[1:])
    except (ValueError, TypeError) as error:
        raise InputDataError(f"{path} is damaged: {error}; delete it to count again") from error
    if entries:
        _check_stamp(path, entries[0])
    return rows


def _write_parquet(path: Path, rows: Sequence[ModelCount]) -> None:
    """Write the file whole or not at all."""
    schema = _SCHEMA.with_metadata({"counted_by": json.dumps(_stamp())})
    table = pa.Table.from_pylist([dataclasses.asdict(row) for row in rows], schema=schema)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        pq.write_table(table, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


# ---- in the worker process ----------------------------------------------------------------------

_kernels: Any = None
"""Operators seen so far on meta: models share most of them."""


def _start() -> None:
    """Set up a worker, with imports out of the way."""
    from explorer.measure.meta_speed import KernelsOnce

    global _kernels
    settle_in()
    _timm_names()
    _kernels = KernelsOnce()
    # What was imported lives to the end: the collector need not look at it after every model.
    gc.collect()
    gc.freeze()
    gc.disable()


def _timm_names() -> list[str]:
    from zoo.families.timm_bridge import declare_torchvision_ops

    declare_torchvision_ops()
    import timm

    return list(timm.list_models())


def _count_and_tidy(name: str) -> ModelCount:
    """Count, then collect the model's reference cycles, as the collector is off in workers."""
    row = count_timm_model(name)
    gc.collect()
    return row


def count_timm_model(name: str) -> ModelCount:
    """Count one example through ``timm:NAME``; a model that does not build or run says why in its row."""
    from contextlib import nullcontext

    from explorer.accounting import count
    from explorer.measure.meta_speed import blank_weights
    from explorer.measure.trace import trace_model
    from zoo import ZooError, build, default_resolution

    began = time.perf_counter()
    resolution = None
    try:
        resolution = default_resolution(name, 32)  # timm's own, whatever the images
        with blank_weights():
            model = build(name, in_channels=CHANNELS, num_classes=CLASSES, resolution=resolution)
        with _kernels or nullcontext():
            trace = trace_model(model, (1, CHANNELS, resolution, resolution), own=True)
        cost = count(trace)
    except (ExplorerError, ZooError) as error:
        seconds = time.perf_counter() - began
        return ModelCount(model=name, resolution=resolution, seconds=seconds, error=str(error))
    seconds = time.perf_counter() - began
    return ModelCount(
        model=name,
        resolution=resolution,
        macs=cost.macs,
        elementwise_ops=cost.elementwise_ops,
        parameters=cost.parameters,
        param_bytes=cost.param_bytes,
        buffer_bytes=cost.buffer_bytes,
        activation_peak_bytes=cost.activation_peak_bytes,
        ops=len(trace.ops),
        uncounted=json.dumps(dict(cost.uncounted)),
        seconds=seconds,
    )

"""Trace models into kernel tables, in parallel, each kept in a file: the second time costs nothing.

A file's place says all that it depends on: versions, precision, model, resolution, channels, classes. It is
written under another name and renamed, so a killed run leaves whole files only and the next goes on.
"""

import hashlib
import importlib.metadata
import multiprocessing
import os
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from zipfile import BadZipFile

import numpy as np
import platformdirs

from explorer.accounting.kernels import KERNEL, TRACE_BATCH, KernelTable, kernel_table
from explorer.errors import EnvironmentMissingError, ExplorerError
from explorer.run.workers import abandon, settle_in
from explorer.workload import Precision

_FORMAT = "2"
"""Of the files; another one whenever `explorer.accounting.kernels` describes a pass otherwise."""
_DAMAGED = (BadZipFile, KeyError, ValueError, EOFError, OSError, RuntimeError, zlib.error, TokenError)
"""What numpy, the zip and the parser of an array's header raise on damaged bytes, or on no file."""
_POLL_S = 0.2
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")

Update = Callable[[float, str], None]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Traced:
    """A model as it is traced."""

    model: str
    """Zoo name, ``timm:resnet50``."""
    resolution: int
    channels: int = 3
    classes: int = 1000
    autocast: bool = False
    """Under automatic mixed precision."""

    def __str__(self) -> str:
        return f"{self.model}@{self.resolution}"


def needs_autocast(precision: Precision) -> bool:
    """Tell whether a precision mixes types; in the others all activations are of one."""
    return precision is Precision.AMP


def kernel_tables(
    wanted: Sequence[Traced],
    *,
    cache: Path | None = None,
    workers: int | None = None,
    update: Update = lambda share, text: None,
) -> dict[Traced, KernelTable | str]:
    """Return the kernels of every model, or the reason why it cannot be traced.

    Args:
        wanted: models at a resolution.
        cache: folder that keeps them; the user's cache folder by default.
        workers: processes for those not kept yet; as many as there are cores by default.
        update: told the share done and which was last.

    Raises:
        EnvironmentMissingError: a worker died, as when memory runs out.
    """
    folder = (cache or default_cache()) / _stamp()
    found: dict[Traced, KernelTable | str] = {}
    for one in dict.fromkeys(wanted):
        kept = _read(folder / _file_name(one))
        if kept is not None:
            found[one] = kept
    missing = [one for one in dict.fromkeys(wanted) if one not in found]
    if len(missing) == 1:
        found[missing[0]] = trace_kernels(missing[0], folder)
    elif missing:
        found.update(_in_parallel(missing, folder, workers, update))
    update(1.0, f"{len(found)} models traced")
    return {one: found[one] for one in wanted}


def default_cache() -> Path:
    """Return where kernel tables are kept unless said otherwise."""
    return Path(platformdirs.user_cache_dir("scale-or-ensemble")) / "kernels"


def _in_parallel(
    missing: Sequence[Traced], folder: Path, workers: int | None, update: Update
) -> Mapping[Traced, KernelTable | str]:
    found: dict[Traced, KernelTable | str] = {}
    count = min(workers or os.cpu_count() or 1, len(missing))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_start) as pool:
        try:
            futures = {pool.submit(trace_kernels, one, folder): one for one in missing}
            pending: set[Future[KernelTable | str]] = set(futures)
            while pending:
                ready, pending = wait(pending, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                for future in ready:
                    found[futures[future]] = future.result()
                share = len(found) / len(missing)
                update(share, f"traced {len(found)} of {len(missing)} models")
        except BrokenProcessPool as error:
            raise EnvironmentMissingError(
                f"a tracing process died, perhaps for lack of memory; {len(found)} models are kept: "
                "run again to go on, with fewer workers"
            ) from error
        except BaseException:
            abandon(pool)
            raise
    return found


def _start() -> None:
    from zoo.families.timm_bridge import declare_torchvision_ops

    settle_in()
    declare_torchvision_ops()
    import timm  # noqa: F401  (its import is most of a worker's start)


def trace_kernels(wanted: Traced, folder: Path) -> KernelTable | str:
    """Trace one model and keep its kernels in ``folder``; the reason as a text where it cannot be."""
    from explorer.measure.trace import build_on_meta, trace_model
    from zoo import ZooError, build

    def make() -> object:
        return build(
            wanted.model,
            in_channels=wanted.channels,
            num_classes=wanted.classes,
            resolution=wanted.resolution,
        )

    shape = (TRACE_BATCH, wanted.channels, wanted.resolution, wanted.resolution)
    try:
        # `make` says object, as naming nn.Module would import torch in the parent
        model, _ = build_on_meta(make)  # type: ignore[arg-type]
        table = kernel_table(trace_model(model, shape, own=True, autocast=wanted.autocast))
    except (ExplorerError, ZooError) as error:
        return " ".join(str(error).split())
    _write(folder / _file_name(wanted), table)
    return table


# ---- files -------------------------------------------------------------------------------------------


def _stamp() -> str:
    versions = "-".join(f"{name}{importlib.metadata.version(name)}" for name in ("timm", "torch"))
    return _UNSAFE.sub("_", f"v{_FORMAT}-{versions}")


def _file_name(wanted: Traced) -> str:
    # Two names may become one when made safe for a file: the hash tells them apart.
    text = f"{wanted}-{wanted.channels}-{wanted.classes}-{'amp' if wanted.autocast else 'plain'}"
    return f"{_UNSAFE.sub('_', text)}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.npz"


def _read(path: Path) -> KernelTable | None:
    """Return what the file holds; None where there is none, or it is damaged: it is then made anew."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            table = KernelTable(operators=arrays["operators"], fused=arrays["fused"])
    except _DAMAGED:
        return None
    return table if table.operators.dtype == table.fused.dtype == KERNEL else None


def _write(path: Path, table: KernelTable) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez_compressed(file, operators=table.operators, fused=table.fused)
    part.replace(path)

"""Work out the largest sum of live activations of a trace."""

from dataclasses import dataclass
from itertools import accumulate

from explorer.record import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """When one allocated storage is needed."""

    storage: int
    storage_bytes: int
    first: int
    """Index of the operator that writes it first."""
    last: int
    """Index of the last operator that touches it; the model's results live to the end."""


def lifetimes(trace: Trace) -> tuple[Lifetime, ...]:
    """Return when each activation storage is needed, in order of first use.

    Views and in-place operators touch the storage they share, so they lengthen its life and allocate
    nothing. Parameters, buffers and the model's input are left out, and so is what an operator puts
    out beside its result and nothing ever reads: saved statistics of a norm, indices of a pooling.
    """
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    size: dict[int, int] = {}
    for index, op in enumerate(trace.ops):
        for tensor in (*op.inputs, *op.outputs):
            if tensor.persistent:
                continue
            first.setdefault(tensor.storage, index)
            last[tensor.storage] = index
            # A storage may grow (resize_); its largest size is what has to fit.
            size[tensor.storage] = max(size.get(tensor.storage, 0), tensor.storage_bytes)
    needed = _needed(trace)
    for storage in trace.result_storages:
        if storage in last:
            last[storage] = len(trace.ops) - 1
    return tuple(
        Lifetime(storage=storage, storage_bytes=size[storage], first=start, last=last[storage])
        for storage, start in first.items()
        if storage in needed
    )


def _needed(trace: Trace) -> set[int]:
    """Return the storages that some operator reads or puts out first, or that the model returns."""
    needed = set(trace.result_storages)
    for op in trace.ops:
        needed.update(tensor.storage for tensor in (*op.inputs, *op.outputs[:1]))
    return needed


def live_bytes(trace: Trace) -> tuple[int, ...]:
    """Return the bytes of live activations while each operator runs, inputs and outputs included."""
    change = [0] * (len(trace.ops) + 1)
    for life in lifetimes(trace):
        change[life.first] += life.storage_bytes
        change[life.last + 1] -= life.storage_bytes
    return tuple(accumulate(change[:-1]))


def activation_peak_bytes(trace: Trace) -> int:
    """Return the largest sum of live activation storages of the pass.

    It is what an executor needs that frees a storage after its last use and knows nothing of kernel
    workspace: a lower bound of what an eager run allocates.
    """
    return max(live_bytes(trace), default=0)

"""Work out the largest sum of live activations of a trace, ideal and as eager mode holds it.

| figure | a storage is held | kernels' workspace | stands for |
|---|---|---|---|
| `activation_peak_bytes` | from first write to last use | none | an ideal executor: a lower bound |
| `eager_peak_bytes` | until the program lets go of it | as modelled | PyTorch in eager mode on a CPU |
"""

from dataclasses import dataclass
from itertools import accumulate, pairwise

from explorer.accounting.workspace import workspace_bytes
from explorer.errors import UsageError
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


def eager_live_bytes(trace: Trace, *, threads: int = 1) -> tuple[int, ...]:
    """Return the bytes that eager mode on a CPU holds at most while each forward operator runs.

    Storages live until the program lets go of them (``trace.freed``): a caller's local variable keeps
    its tensor while the callee runs. By-products are held too, and every kernel's workspace comes on
    top while it runs (`explorer.accounting.workspace`). Left out are the model's input and what the
    model keeps beyond the pass without returning it: a cache, which later passes find filled.

    Raises:
        UsageError: the trace does not say when storages were let go.
    """
    if trace.freed is None:
        raise UsageError("this trace has no lifetimes of storages; traces made by trace_model have")
    end = len(trace.ops)
    freed = {**dict.fromkeys(trace.result_storages, end), **trace.freed, **_overwritten(trace)}
    change = [0] * (end + 1)
    for storage, (first, size) in _allocated(trace).items():
        if storage in freed:
            change[first] += size
            change[max(first, min(freed[storage], end))] -= size
    held = accumulate(change[:-1])
    return tuple(
        live + workspace_bytes(op, threads=threads) for live, op in zip(held, trace.ops, strict=True)
    )


def _overwritten(trace: Trace) -> dict[int, int]:
    """Return storage -> operator, for products to which eager mode adds the bias in place.

    A linear layer on an input that does not lie contiguously is a product and an addition, which is
    in place in eager mode and out of place while it is traced (``at::linear``, ``isTensorSubclassLike``).
    """
    found: dict[int, int] = {}
    for index, (before, op) in enumerate(pairwise(trace.ops), start=1):
        if op.op == "add" and len(op.inputs) == 2 and before.op in ("_unsafe_view", "mm", "bmm"):
            product, bias = op.inputs
            if product.storage == before.outputs[0].storage and bias.persistent and len(bias.shape) == 1:
                found[product.storage] = index
    return found


def _allocated(trace: Trace) -> dict[int, tuple[int, int]]:
    """Return storage -> first operator that touches it, and its largest size in bytes."""
    found: dict[int, tuple[int, int]] = {}
    for index, op in enumerate(trace.ops):
        for tensor in (*op.inputs, *op.outputs):
            if not tensor.persistent:
                first, size = found.get(tensor.storage, (index, 0))
                found[tensor.storage] = first, max(size, tensor.storage_bytes)
    return found


def eager_peak_bytes(trace: Trace, *, threads: int = 1) -> int:
    """Return what a forward pass allocates at most in eager mode on a CPU, parameters and input left out.

    It is the peak of a second pass: what oneDNN and the model itself keep from the first is not in it.

    Args:
        trace: as `explorer.measure.trace_model` makes it.
        threads: of one operator.

    Raises:
        UsageError: the trace does not say when storages were let go.
    """
    return max(eager_live_bytes(trace, threads=threads), default=0)

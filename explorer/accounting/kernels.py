"""Describe a traced pass as the kernels that a device runs: the features that time is predicted from.

Two forms of one pass. *Operators*: each ATen operator is a kernel, as in eager mode. *Fused*: what a
compiler makes of them: convolutions, products, attention, pooling and concatenation stay kernels of their
own, and what lies between them (elementwise, norms, softmax, reductions, copies, casts) is one kernel
wherever it can be computed in one sweep: an operator joins the kernel of the latest of its producers,
unless that is of the first sort. What passes inside a fused kernel is neither written nor read.

A kernel knows whether its work grows with the batch: what is worked out from the weights alone (casts of
weights, standardised weights) is done once a call. So a trace of a batch of two tells of any batch, and
its layouts are true: with one example a sliced batch would look contiguous.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from explorer.accounting.formulas import Work, find_formula
from explorer.accounting.formulas.shapes import elements
from explorer.accounting.traffic import moves_nothing, operands
from explorer.record import OpRecord, TensorRecord, Trace

KINDS = (
    *("conv", "pointwise", "grouped", "depthwise", "transposed", "product", "batched_product"),
    *("attention", "attention_masked", "attention_apart", "recurrent", "batch_norm", "layer_norm"),
    *("group_norm", "activation", "activation_exp", "elementwise", "copy", "concatenate", "cast"),
    *("softmax", "pool", "reduction", "resize", "other", "fused_elementwise", "fused_reduction"),
    *("weight_cast", "weight_work"),
)
"""What a kernel does. ``attention_apart``: operands that fused attention does not take, so it runs as
products and a softmax; ``activation_exp``: with an exponential in it; ``weight_*``: once a call."""
KIND = {name: number for number, name in enumerate(KINDS)}

KERNEL = np.dtype(
    [
        ("kind", "i2"),
        ("count", "i4"),  # equal kernels in the pass
        ("per_example", "?"),  # else the figures are of the whole call
        ("macs", "f8"),
        ("steps", "f8"),  # elementwise operations
        ("exponentials", "f8"),  # of them, those that take one
        ("read", "f8"),  # bytes of activations
        ("written", "f8"),
        ("weights", "f8"),  # bytes of weights read, whatever the batch
        ("item", "i2"),  # bytes of one element of the result
        ("item_in", "i2"),  # and of the widest operand
        ("rows", "f8"),  # of the product that a convolution or linear layer is; else elements
        ("columns", "f8"),  # output channels of one group
        ("depth", "f8"),  # terms of one output element
        ("groups", "f8"),
        ("taps", "f8"),  # positions of a convolution's kernel
        ("stride", "f8"),
        ("strided", "?"),  # an operand does not lie contiguous
        ("channels_last", "?"),
        ("strided_result", "?"),
        ("operands", "i2"),
        ("operators", "i2"),  # that were fused into it
    ]
)
TRACE_BATCH = 2
"""Examples to trace; see the module's text."""

_OWN = frozenset(
    ("conv", "pointwise", "grouped", "depthwise", "transposed", "product", "batched_product", "other")
) | {"attention", "attention_masked", "attention_apart", "recurrent", "concatenate", "pool"}
_SWEEPS = frozenset(("layer_norm", "group_norm", "softmax", "reduction"))
_EXPONENTIAL = frozenset(("activation_exp", "softmax"))
_BATCHED = frozenset(("batched_product", "attention", "attention_masked", "attention_apart"))
_BY_OPERATOR = {
    **dict.fromkeys(("addmm", "mm"), "product"),
    **dict.fromkeys(("bmm", "baddbmm"), "batched_product"),
    **dict.fromkeys(("native_batch_norm", "cudnn_batch_norm"), "batch_norm"),
    **dict.fromkeys(("native_layer_norm", "rms_norm", "_fused_rms_norm"), "layer_norm"),
    "native_group_norm": "group_norm",
    **dict.fromkeys(("_softmax", "_log_softmax"), "softmax"),
    "_to_copy": "cast",
    **dict.fromkeys(("cat", "stack"), "concatenate"),
    **dict.fromkeys(("mean", "sum", "amax", "max", "var", "linalg_vector_norm"), "reduction"),
    **dict.fromkeys(("relu", "relu6", "hardswish", "hardsigmoid", "hardtanh", "leaky_relu"), "activation"),
    **dict.fromkeys(("prelu", "_prelu_kernel", "clamp", "clamp_min", "clamp_max", "threshold"), "activation"),
    **dict.fromkeys(("gelu", "silu", "sigmoid", "tanh", "elu", "mish"), "activation_exp"),
    **dict.fromkeys(("selu", "softplus", "exp"), "activation_exp"),
}
_BY_FORMULA = {
    "recurrent": "recurrent",
    "pointwise": "elementwise",
    "movement": "copy",
    "reduction": "reduction",
}
"""Module of an operator's formula -> kind, where the operator has none of its own."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KernelTable:
    """Both forms of one model's pass, `KERNEL` [kernel] each."""

    operators: np.ndarray
    """As eager mode runs it."""
    fused: np.ndarray
    """As a compiler would."""


def kernel_table(trace: Trace) -> KernelTable:
    """Return both forms of a forward pass of `TRACE_BATCH` examples."""
    return KernelTable(operators=kernels(trace), fused=kernels(trace, fused=True))


def kernels(trace: Trace, *, fused: bool = False) -> np.ndarray:
    """Return the kernels of a forward pass, equal ones once with their count: `KERNEL` [kernel].

    Args:
        trace: of `TRACE_BATCH` examples; figures of kernels that grow with the batch are of one.
        fused: as a compiler would run it, instead of operator by operator.
    """
    calls = _calls(trace)
    rows = _fused(calls, trace) if fused else [call.row for call in calls]
    counts = Counter(rows)
    table = np.zeros(len(counts), KERNEL)
    for place, (row, count) in enumerate(counts.items()):
        table[place] = (row[0], count, *row[1:])
    return table


@dataclass(slots=True, kw_only=True)
class _Call:
    """One operator as it ran."""

    kind: str
    row: tuple
    reads: dict[int, int]
    """Storage -> bytes, the images among them, weights not."""
    writes: dict[int, int]
    stored: dict[int, int]
    """The same for the weights that it reads as the model holds them."""
    per_example: bool
    group: int
    """First call of the fused kernel that it belongs to."""


def _calls(trace: Trace) -> list[_Call]:
    """Return the operators that move bytes, each with its kernel row and its fused group."""
    writer: dict[int, int] = {}
    varying = {trace.input_storage}
    calls: list[_Call] = []
    for op in trace.ops:
        if moves_nothing(op) or not op.outputs:
            continue
        read = operands(op)
        images = [tensor for tensor in read if tensor.storage == trace.input_storage]
        passed = [t for t in read if not t.persistent and t.storage != trace.input_storage]
        reads = {**_bytes_by_storage(passed), **_bytes_by_storage(images)}
        held = [t for t in read if t.persistent and t.storage != trace.input_storage]
        stored = _bytes_by_storage(held)
        weights = sum(stored.values())
        per_example = not varying.isdisjoint(reads)
        writes = _bytes_by_storage(op.outputs)
        if per_example:
            varying.update(writes)
            # A weight that was cast or standardised first is still a weight to its reader.
            weights += sum(size for storage, size in reads.items() if storage not in varying)
        own = sum(size for storage, size in reads.items() if not per_example or storage in varying)
        kind = _kind(op) if per_example else _weight_kind(op)
        row = _row(op, kind, trace.input_shape[0] if per_example else 1, (own, sum(writes.values()), weights))
        producers = [writer[storage] for storage in reads if storage in writer]
        group = _group(calls, producers, kind, len(calls))
        calls.append(
            _Call(
                kind=kind,
                row=row,
                reads=reads,
                writes=writes,
                stored=stored,
                per_example=per_example,
                group=group,
            )
        )
        writer.update(dict.fromkeys(writes, len(calls) - 1))
    return calls


def _group(calls: Sequence[_Call], producers: Sequence[int], kind: str, place: int) -> int:
    """Return the fused kernel that an operator belongs to: its latest producer's, or one of its own."""
    if kind in _OWN or not producers:
        return place
    latest = max(calls[producer].group for producer in producers)
    return place if calls[latest].kind in _OWN else latest


def _kind(op: OpRecord) -> str:
    if op.op == "convolution":
        return _convolution_kind(op)
    if op.op.startswith("scaled_dot_product"):
        if len(op.inputs[0].shape) != 4:
            return "attention_apart"
        return "attention_masked" if len(op.inputs) > 3 else "attention"
    name = op.op.rstrip("_") if op.op not in _BY_OPERATOR else op.op
    if name in _BY_OPERATOR:
        return _BY_OPERATOR[name]
    if "upsample" in name:
        return "resize"
    if "pool" in name:
        return "pool"
    formula = find_formula(op.op)
    module = formula.__module__.rpartition(".")[2] if formula is not None else ""
    return _BY_FORMULA.get(module, "other")


def _weight_kind(op: OpRecord) -> str:
    return "weight_cast" if op.op == "_to_copy" else "weight_work"


def _convolution_kind(op: OpRecord) -> str:
    groups = op.attributes["groups"]
    if op.attributes.get("transposed"):
        return "transposed"
    if groups == 1:
        return "pointwise" if _taps(op) == 1 else "conv"
    return "depthwise" if groups == op.inputs[0].shape[1] else "grouped"


def _taps(op: OpRecord) -> int:
    return int(np.prod(op.inputs[1].shape[2:]))


def _row(op: OpRecord, kind: str, batch: int, moved: tuple[int, int, int]) -> tuple:
    """Return the kernel's fields after ``count``, per example where ``batch`` is above 1, less the count."""
    formula = find_formula(op.op)
    work = formula(op) if formula is not None else Work()
    rows, columns, depth, groups, taps, stride = _shape(op, kind)
    if kind in _BATCHED:
        groups = max(1, groups // batch)
    else:
        rows = rows / batch
    layouts = [t.layout for t in op.inputs if not t.persistent and len(t.shape) > 1]
    read, written, weights = moved
    return (
        KIND[kind],
        kind not in ("weight_cast", "weight_work"),
        work.macs / batch,
        work.elementwise_ops / batch,
        work.elementwise_ops / batch if kind in _EXPONENTIAL else 0.0,
        read / batch,
        written / batch,
        weights,
        op.outputs[0].itemsize,
        max((tensor.itemsize for tensor in op.inputs), default=4),
        *(rows, columns, depth, groups, taps, stride),
        "strided" in layouts,
        "channels_last" in layouts,
        op.outputs[0].layout == "strided",
        len({tensor.storage for tensor in op.inputs if not tensor.persistent}),
        1,
    )


def _shape(op: OpRecord, kind: str) -> tuple[float, float, float, float, float, float]:
    """Return rows, columns, depth, groups, taps and stride; see `KERNEL`."""
    result = op.outputs[0]
    if op.op == "convolution":
        weight, groups = op.inputs[1].shape, op.attributes["groups"]
        assert isinstance(groups, int)
        pixels = elements(result) / max(1, result.shape[1])
        if kind == "transposed":
            return pixels, result.shape[1] // groups, weight[0] // groups, groups, _taps(op), 1
        stride = op.attributes["stride"]
        assert isinstance(stride, tuple | list)
        return pixels, weight[0] // groups, weight[1] * _taps(op), groups, _taps(op), max(stride)
    if kind == "product":
        left, right = op.inputs[-2:]
        return left.shape[0], right.shape[-1], left.shape[-1], 1, 1, 1
    if kind == "batched_product":
        left, right = op.inputs[-2:]
        return left.shape[1], right.shape[2], left.shape[2], left.shape[0], 1, 1
    if kind.startswith("attention"):
        query, key = op.inputs[:2]
        return query.shape[-2], key.shape[-2], query.shape[-1], int(np.prod(query.shape[:-2])), 1, 1
    if kind in ("layer_norm", "softmax"):
        width = op.inputs[0].shape[-1]
        return elements(op.inputs[0]) / width, width, 1, 1, 1, 1
    if kind == "reduction" and op.inputs:
        given, made = op.inputs[0], max(1, elements(result))
        return made, max(1, elements(given) // made), given.shape[-1] if given.shape else 1, 1, 1, 1
    channels = result.shape[1] if len(result.shape) > 1 else 1
    return elements(result), channels, result.shape[-1] if result.shape else 1, 1, 1, 1


def _fused(calls: Sequence[_Call], trace: Trace) -> list[tuple]:
    """Return the rows of the fused kernels, in the order of their first operators."""
    readers: dict[tuple[int, int], set[int]] = defaultdict(set)
    last: dict[int, int] = {}
    for place, call in enumerate(calls):
        for storage in call.reads:
            if storage in last:
                readers[last[storage], storage].add(call.group)
        last.update(dict.fromkeys(call.writes, place))
    returned = {(last[storage], storage) for storage in trace.result_storages if storage in last}
    groups: dict[int, list[int]] = defaultdict(list)
    for place, call in enumerate(calls):
        groups[call.group].append(place)
    varying = {storage for call in calls if call.per_example for storage in call.writes}
    varying.add(trace.input_storage)
    rows = []
    for head, places in groups.items():
        written = sum(
            size
            for place in places
            for storage, size in calls[place].writes.items()
            if readers[place, storage] - {head} or (place, storage) in returned
        )
        rows.append(_fused_row([calls[place] for place in places], written, varying, trace.input_shape[0]))
    return rows


def _fused_row(calls: Sequence[_Call], written: int, varying: set[int], batch: int) -> tuple:
    """Return one kernel that does what ``calls`` do and writes ``written`` bytes."""
    made: set[int] = set()
    outside: dict[int, int] = {}
    for call in calls:
        for storage, size in call.reads.items():
            if storage not in made:
                outside.setdefault(storage, size)
        made.update(call.writes)
    per_example = any(call.per_example for call in calls)
    share = batch if per_example else 1
    read = sum(size for storage, size in outside.items() if not per_example or storage in varying)
    stored = {storage: size for call in calls for storage, size in call.stored.items()}
    weights = sum(stored.values()) + sum(outside.values()) - read
    # numpy types a structured dtype's names as perhaps None
    head = dict(zip(KERNEL.names[:1] + KERNEL.names[2:], calls[0].row, strict=True))  # type: ignore[index]
    rows = [dict(zip(head, call.row, strict=True)) for call in calls]
    if len(calls) > 1:
        sweeps = any(call.kind in _SWEEPS for call in calls)
        kind = ("fused_reduction" if sweeps else "fused_elementwise") if per_example else "weight_work"
        head["kind"] = KIND[kind]
    head |= {
        "per_example": per_example,
        "macs": sum(row["macs"] for row in rows),
        "steps": sum(row["steps"] for row in rows),
        "exponentials": sum(row["exponentials"] for row in rows),
        "read": read / share,
        "written": written / share,
        "weights": weights,
        "strided": any(row["strided"] for row in rows),
        "strided_result": any(row["strided_result"] for row in rows),
        "operands": len(outside),
        "operators": len(calls),
    }
    return tuple(head.values())


def _bytes_by_storage(tensors: Iterable[TensorRecord]) -> dict[int, int]:
    """Return storage -> bytes touched, of each no more than it has."""
    touched: Counter[int] = Counter()
    size: dict[int, int] = {}
    for tensor in tensors:
        touched[tensor.storage] += elements(tensor) * tensor.itemsize
        size[tensor.storage] = max(size.get(tensor.storage, 0), tensor.storage_bytes)
    return {storage: min(amount, size[storage]) for storage, amount in touched.items()}

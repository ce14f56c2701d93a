"""Count the bytes that a pass moves between memory and processor: operator by operator, and fused.

Unfused, every operator reads its inputs, parameters among them, and writes its outputs:

- views move nothing; what an operator writes in place is read (unless overwritten whole) and written;
- memory is read once an operator, however many operands lie in it; a broadcast operand counts as it is
  stored, not as it is expanded; a look-up reads what it takes from its table, and the indices;
- allocating writes nothing, filling writes.

Fused, under this rule: an elementwise operator or a norm joins the operator that makes one of its
operands when that operator is a convolution, a matrix product, a norm or elementwise as well, when
nothing else reads that operand (the model's caller included) and when the result has as many
elements. What passes inside such a chain is neither written nor read. Where several operands qualify,
it joins the one made last, so a residual is read from memory. Parameters are still read, norms are
not folded, attention taken apart stays apart, and whether on-chip memory holds the tiles is not asked.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from explorer.accounting.formulas import contraction, find_formula, normalisation, pointwise
from explorer.accounting.formulas.movement import VIEWS
from explorer.accounting.formulas.shapes import elements
from explorer.record import OpRecord, TensorRecord, Trace

_RESERVES = frozenset(("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"))
_NO_TRAFFIC = frozenset(VIEWS) | _RESERVES | {"resize_", "resize", "set_", "set"}
_OVERWRITES = frozenset(
    ("copy_", "fill_", "zero_", "uniform_", "normal_", "bernoulli_", "random_", "exponential_")
)
"""In-place operators that do not read what they write over."""
_TABLE_LOOKUPS = frozenset(
    (
        *("embedding", "index", "index_select", "gather", "take", "_unsafe_index"),
        *("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d"),
        *("_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d"),
    )
)
"""Operators that read no more of their first input than they put out."""
_JOINING = frozenset(
    (
        pointwise.pointwise,
        *(find_formula(operator) for operator in pointwise.STEPS),
        normalisation.batch_norm_in_evaluation,
        normalisation.batch_norm,
        normalisation.layer_norm,
        normalisation.rms_norm,
    )
)
_HEADING = _JOINING | {
    contraction.convolution,
    contraction.transposed_convolution,
    contraction.linear,
    contraction.product,
    contraction.product_and_add,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Bytes between memory and processor."""

    read: int = 0
    written: int = 0

    @property
    def total(self) -> int:
        """Bytes read and written."""
        return self.read + self.written

    def __add__(self, other: "Traffic") -> "Traffic":
        return Traffic(read=self.read + other.read, written=self.written + other.written)


def moves_nothing(op: OpRecord) -> bool:
    """Tell whether an operator call only names memory: a view, or a reservation."""
    return op.op in _NO_TRAFFIC


def operator_traffic(op: OpRecord) -> Traffic:
    """Return what one operator call moves, unfused."""
    if op.op in _NO_TRAFFIC:
        return Traffic()
    return Traffic(read=_in_memory(operands(op)), written=_in_memory(op.outputs))


def unfused_traffic(trace: Trace) -> Traffic:
    """Return what the forward pass moves when every operator goes through memory, as eager mode does."""
    return sum((operator_traffic(op) for op in trace.ops), Traffic())


def fused_traffic(trace: Trace) -> Traffic:
    """Return what the forward pass moves under the fusion rule of this module."""
    joined = joins(trace)
    kept_inside = set(joined.values())
    total = Traffic()
    for index, op in enumerate(trace.ops):
        if op.op in _NO_TRAFFIC:
            continue
        passed = trace.ops[joined[index]].outputs[0].storage if index in joined else None
        reads = [tensor for tensor in operands(op) if tensor.storage != passed]
        writes = op.outputs[1:] if index in kept_inside else op.outputs
        total += Traffic(read=_in_memory(reads), written=_in_memory(writes))
    return total


def joins(trace: Trace) -> dict[int, int]:
    """Return index of an operator -> index of the one that it joins, under the fusion rule."""
    makers, readers = _flow(trace)
    joined: dict[int, int] = {}
    for index, op in enumerate(trace.ops):
        # The statistics of a batch are known when all of it has been written.
        if find_formula(op.op) not in _JOINING or op.attributes.get("training"):
            continue
        able = [
            maker
            for maker in makers[index]
            if readers[maker] == 1
            and find_formula(trace.ops[maker].op) in _HEADING
            and _fills_storage(made := trace.ops[maker].outputs[0])
            and elements(made) == elements(op.outputs[0])
        ]
        if able:
            joined[index] = max(able)
    return joined


def arithmetic_intensity(trace: Trace, *, fused: bool = False) -> float:
    """Return multiply-accumulates a byte moved; 0 for a pass that moves nothing."""
    moved = (fused_traffic(trace) if fused else unfused_traffic(trace)).total
    formulas = ((find_formula(op.op), op) for op in trace.ops)
    macs = sum(formula(op).macs for formula, op in formulas if formula is not None)
    return macs / moved if moved else 0.0


def _fills_storage(tensor: TensorRecord) -> bool:
    """Tell whether ``tensor`` is all that its memory holds."""
    return _bytes(tensor) == tensor.storage_bytes


def _flow(trace: Trace) -> tuple[list[set[int]], Counter[int]]:
    """Return for each operator those that made what it reads, and how often each one's result is read.

    A storage written in place holds the result of its last writer. Views pass results on. The caller
    reads what the model returns.
    """
    writer: dict[int, int] = {}
    makers: list[set[int]] = []
    readers: Counter[int] = Counter()
    for index, op in enumerate(trace.ops):
        moves = op.op not in _NO_TRAFFIC
        found = {writer[tensor.storage] for tensor in operands(op) if tensor.storage in writer}
        makers.append(found if moves else set())
        if moves:
            readers.update(found)
            writer.update((tensor.storage, index) for tensor in op.outputs)
    readers.update(writer[storage] for storage in trace.result_storages if storage in writer)
    return makers, readers


def operands(op: OpRecord) -> Sequence[TensorRecord]:
    """Return what the operator reads from memory."""
    if op.op in _OVERWRITES:
        return op.inputs[1:]
    if op.op in _TABLE_LOOKUPS and op.inputs and op.outputs:
        table, *places = op.inputs
        taken = op.outputs[0]
        return (taken if _bytes(taken) < _bytes(table) else table, *places)
    return op.inputs


def _in_memory(tensors: Sequence[TensorRecord]) -> int:
    """Return the bytes of ``tensors``, of each storage no more than it has."""
    touched: Counter[int] = Counter()
    size: dict[int, int] = {}
    for tensor in tensors:
        touched[tensor.storage] += _bytes(tensor)
        size[tensor.storage] = max(size.get(tensor.storage, 0), tensor.storage_bytes)
    return sum(min(amount, size[storage]) for storage, amount in touched.items())


def _bytes(tensor: TensorRecord) -> int:
    return elements(tensor) * tensor.itemsize

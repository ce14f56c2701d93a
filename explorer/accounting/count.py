"""Count a trace: sum every operator's formula, and list what has none."""

from collections import Counter
from collections.abc import Mapping

from explorer.accounting.formulas import find_formula
from explorer.accounting.memory import activation_peak_bytes
from explorer.errors import UncountedError, UsageError
from explorer.record import Cost, Trace


def count(trace: Trace, *, strict: bool = False) -> Cost:
    """Return what one forward pass costs under `explorer.accounting.conventions`.

    Maps name only the operators and modules that have multiply-accumulates; a module's own are
    those that ran in it and in none of its children, so each map adds up to ``macs``.

    Raises:
        UncountedError: ``strict`` and an operator has no formula; the message names all of them.
    """
    macs_by_op: Counter[str] = Counter()
    macs_by_module: Counter[str] = Counter()
    uncounted: Counter[str] = Counter()
    elementwise_ops = 0
    for op in trace.ops:
        formula = find_formula(op.op)
        if formula is None:
            uncounted[op.op] += 1
            continue
        work = formula(op)
        elementwise_ops += work.elementwise_ops
        if work.macs:
            macs_by_op[op.op] += work.macs
            macs_by_module[op.module] += work.macs
    if strict and uncounted:
        named = ", ".join(f"{op} ({times}x)" for op, times in sorted(uncounted.items()))
        raise UncountedError(
            f"no formula for {named}; count without strict mode to have them listed as uncounted, or "
            "register one: explorer.accounting.formulas.formula"
            f"({sorted(uncounted)[0]!r})"
        )
    return Cost(
        macs=macs_by_op.total(),
        elementwise_ops=elementwise_ops,
        parameters=trace.parameters,
        param_bytes=trace.param_bytes,
        buffer_bytes=trace.buffer_bytes,
        activation_peak_bytes=activation_peak_bytes(trace),
        batch=trace.input_shape[0],
        macs_by_op=dict(macs_by_op),
        macs_by_module=dict(macs_by_module),
        uncounted=dict(uncounted),
    )


def roll_up(macs_by_module: Mapping[str, int], depth: int) -> dict[str, int]:
    """Return the map with everything below ``depth`` added to its ancestor; 0 leaves the whole model.

    >>> roll_up({"net.stem": 2, "net.block.conv1": 3, "net.block.conv2": 5, "head": 7}, 2)
    {'net.stem': 2, 'net.block': 8, 'head': 7}

    Raises:
        UsageError: ``depth`` is negative.
    """
    if depth < 0:
        raise UsageError(f"depth must be 0 or more, got {depth}")
    rolled: Counter[str] = Counter()
    for module, macs in macs_by_module.items():
        rolled[".".join(module.split(".")[:depth])] += macs
    return dict(rolled)

"""Break a trace's totals down: by operator, by module to any depth, by both. Every view adds up.

An operator call belongs to the innermost module that it ran in; a module's figure is its own, without
its children's, so that the parts of each view sum to `total`. `subtotals` adds children to parents.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from explorer.accounting.formulas import Work, find_formula
from explorer.accounting.traffic import operator_traffic
from explorer.errors import UsageError
from explorer.record import OpRecord, Trace

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What some of the operator calls of a pass add up to."""

    macs: int = 0
    elementwise_ops: int = 0
    bytes_read: int = 0
    """Unfused; see `explorer.accounting.traffic`."""
    bytes_written: int = 0
    calls: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(
            macs=self.macs + other.macs,
            elementwise_ops=self.elementwise_ops + other.elementwise_ops,
            bytes_read=self.bytes_read + other.bytes_read,
            bytes_written=self.bytes_written + other.bytes_written,
            calls=self.calls + other.calls,
        )


def total(trace: Trace) -> Totals:
    """Return the totals of the forward pass; operators without a formula add bytes and calls alone."""
    return sum(map(of_operator, trace.ops), Totals())


def by_operator(trace: Trace) -> dict[str, Totals]:
    """Return the totals by operator, in order of first call."""
    return _grouped(trace, lambda op: op.op)


def by_module(trace: Trace, depth: int | None = None) -> dict[str, Totals]:
    """Return the totals by module: each before the modules inside it, siblings in order of first call.

    Args:
        trace: of a forward pass.
        depth: names of the path kept; what ran deeper belongs to its ancestor there. 0 is the whole
            model, under the empty path; None keeps every module apart.

    Raises:
        UsageError: ``depth`` is negative.
    """
    grouped = _grouped(trace, lambda op: shortened(op.module, depth))
    return {module: grouped[module] for module in _in_tree_order(grouped)}


def by_module_and_operator(trace: Trace, depth: int | None = None) -> dict[tuple[str, str], Totals]:
    """Return the totals by module and operator; modules as `by_module`, operators by first call.

    Raises:
        UsageError: ``depth`` is negative.
    """
    grouped = _grouped(trace, lambda op: (shortened(op.module, depth), op.op))
    place = {module: at for at, module in enumerate(_in_tree_order(dict.fromkeys(m for m, _ in grouped)))}
    return {key: grouped[key] for key in sorted(grouped, key=lambda key: place[key[0]])}


def subtotals(own: Mapping[str, Totals]) -> dict[str, Totals]:
    """Return each module's totals with those of all modules inside it; the empty path is the model.

    Ancestors in which no operator ran themselves are added, each before what is inside it.
    """
    found: dict[str, Totals] = {"": Totals()}
    for module, totals in own.items():
        for path in _ancestry(module):
            found[path] = found.get(path, Totals()) + totals
    return {module: found[module] for module in _in_tree_order(found)}


def shortened(module: str, depth: int | None) -> str:
    """Return the first ``depth`` names of a module's path; None keeps all.

    >>> shortened("layer1.0.conv1", 2)
    'layer1.0'

    Raises:
        UsageError: ``depth`` is negative.
    """
    if depth is None:
        return module
    if depth < 0:
        raise UsageError(f"depth must be 0 or more, got {depth}")
    return ".".join(module.split(".")[:depth])


def of_operator(op: OpRecord) -> Totals:
    """Return the totals of one operator call."""
    formula = find_formula(op.op)
    work = formula(op) if formula is not None else Work()
    moved = operator_traffic(op)
    return Totals(
        macs=work.macs,
        elementwise_ops=work.elementwise_ops,
        bytes_read=moved.read,
        bytes_written=moved.written,
        calls=1,
    )


def _grouped(trace: Trace, key_of: Callable[[OpRecord], Key]) -> dict[Key, Totals]:
    grouped: dict[Key, Totals] = {}
    for op in trace.ops:
        key = key_of(op)
        grouped[key] = grouped.get(key, Totals()) + of_operator(op)
    return grouped


def _ancestry(module: str) -> list[str]:
    """Return the path and all that lead to it, the model's own empty one first."""
    names = module.split(".") if module else []
    return [".".join(names[:depth]) for depth in range(len(names) + 1)]


def _in_tree_order(modules: Mapping[str, object]) -> list[str]:
    """Return the paths so that each comes before those inside it, siblings as they first appear."""
    first: dict[str, int] = {}
    for at, module in enumerate(modules):
        for path in _ancestry(module):
            first.setdefault(path, at)
    return sorted(modules, key=lambda module: [(first[path], path) for path in _ancestry(module)])

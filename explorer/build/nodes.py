"""The smallest pieces a graph is put together from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

AXIS_0, AXIS_1, ZERO, TWO, TINY = "axis_0", "axis_1", "zero", "two", "tiny"
"""Names of constants that every part of a graph may read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of graph: nodes in order, the constants they need, and the tensor they end in."""

    nodes: tuple[onnx.NodeProto, ...]
    constants: tuple[onnx.TensorProto, ...]
    output: str
    sums: Mapping[str, str] = field(default_factory=dict)
    """Tensors beside the output that later stages go on from, by what they are."""


def node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> onnx.NodeProto:
    """Return a node of one output, named after it."""
    return helper.make_node(kind, list(inputs), [output], name=output, **attributes)


def constant(name: str, value: Any, kind: type = np.int64) -> onnx.TensorProto:
    """Return a named constant."""
    return numpy_helper.from_array(np.array(value, kind), name)


def shared_constants() -> tuple[onnx.TensorProto, ...]:
    """Return the constants that any part may read; those that none reads need not be kept."""
    return (
        constant(AXIS_0, [0]),
        constant(AXIS_1, [1]),
        constant(ZERO, 0),
        constant(TWO, [2]),
        constant(TINY, np.finfo(np.float32).tiny, np.float32),
    )


def names_read(entry: onnx.NodeProto) -> set[str]:
    """Return every tensor a node reads, also inside its branches."""
    branches = [attribute.g for attribute in entry.attribute if attribute.HasField("g")]
    return set(entry.input).union(*(names_read(inner) for branch in branches for inner in branch.node))

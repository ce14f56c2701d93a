"""Write a torch model down as ATen operators: torch.export, decomposed to the core operators."""

import operator
import warnings
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram, default_decompositions
from torch.export.graph_signature import InputKind

from explorer.errors import UsageError
from explorer.tpu.program import Operation, Program, Value

_KEPT = frozenset(
    ("linear", "scaled_dot_product_attention", "layer_norm", "group_norm", "gelu", "silu", "hardswish")
)
"""Operators that XLA gets whole: written out they would fix an order of steps that is XLA's to choose."""


def export(model: nn.Module, input_shape: tuple[int, ...], dtype: torch.dtype) -> ExportedProgram:
    """Return ``model``, in evaluation mode and of ``dtype``, as decomposed ATen operators.

    Args:
        model: changed: its floating-point tensors become ``dtype``. With weights, or built on meta.
        input_shape: ``[example, channel, height, width]``
        dtype: of weights, input and whatever the model computes without naming another.

    Raises:
        UsageError: torch cannot export it (it branches on data, say) or it does not run on this shape.
    """
    model = model.eval().to(dtype)
    first = next((tensor for tensor in (*model.parameters(), *model.buffers())), None)
    example = torch.empty(input_shape, dtype=dtype, device=None if first is None else first.device)
    table = default_decompositions()
    for target in list(table):
        if isinstance(target, torch._ops.OpOverload) and _packet(target) in _KEPT:
            table.pop(target)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # torch's own exporter uses what it deprecates itself
            warnings.simplefilter("ignore", FutureWarning)
            exported = torch.export.export(model, (example,), strict=False)
            return exported.run_decompositions(table)
    except Exception as error:
        # Tracing runs the model's own code: whatever it raises is the caller's to know.
        lines = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {lines[0] if lines else ''}"
        raise UsageError(f"torch cannot export {type(model).__name__} at {input_shape}: {reason}") from error


def program_of(exported: ExportedProgram) -> Program:
    """Return what `export` gave as plain values.

    Raises:
        UsageError: it writes to its buffers, or does not take and return one tensor.
    """
    signature = exported.graph_signature
    if signature.buffers_to_mutate or signature.user_inputs_to_mutate:
        changed = ", ".join(
            [*signature.buffers_to_mutate.values(), *signature.user_inputs_to_mutate.values()]
        )
        raise UsageError(
            f"the model changes its own {changed} on every call; only pure functions are compiled"
        )
    kinds = {spec.arg.name: spec.kind for spec in signature.input_specs}
    placeholders = [node for node in exported.graph.nodes if node.op == "placeholder"]
    inputs = [node for node in placeholders if kinds[node.name] is InputKind.USER_INPUT]
    outputs = signature.user_outputs
    if len(inputs) != 1 or len(outputs) != 1 or not isinstance(outputs[0], str):
        raise UsageError(f"the model takes {len(inputs)} and returns {len(outputs)} tensors; wanted one each")
    return Program(
        weights=tuple(_value(node) for node in placeholders if node is not inputs[0]),
        input=_value(inputs[0]),
        operations=tuple(_operation(node) for node in exported.graph.nodes if _computes(node)),
        output=outputs[0],
    )


def weights_of(exported: ExportedProgram) -> list[Tensor]:
    """Return the numbers of `Program.weights`, in its order."""
    found = []
    for spec in exported.graph_signature.input_specs:
        if spec.kind is not InputKind.USER_INPUT:
            name = str(spec.target)
            held = exported.state_dict if name in exported.state_dict else exported.constants
            found.append(held[name].detach())
    return found


def _packet(target: torch._ops.OpOverload) -> str:
    return target._schema.name.split("::")[1]


def _computes(node: fx.Node) -> bool:
    """Whether a node gives anything: torch.export also writes down its checks of dtypes and sizes."""
    if node.op != "call_function":
        return False
    return not (isinstance(node.target, torch._ops.OpOverload) and _packet(node.target).startswith("_assert"))


def _operation(node: fx.Node) -> Operation:
    if node.target is operator.getitem:
        source, index = node.args
        return Operation(
            op="getitem", attributes={"self": _plain(source), "index": index}, result=(_value(node),)
        )
    if not isinstance(node.target, torch._ops.OpOverload):
        raise UsageError(f"the model's graph holds {node.target}, which is not an ATen operator")
    target = node.target
    attributes = {}
    for position, argument in enumerate(target._schema.arguments):
        given = node.args[position] if position < len(node.args) else node.kwargs.get(argument.name, _MISSING)
        if given is _MISSING:
            given = argument.default_value if argument.has_default_value() else None
        attributes[argument.name] = _plain(given)
    op = f"{_packet(target)}.{target._overloadname}"
    if target.namespace != "aten":
        op = f"{target.namespace}::{op}"
    if _packet(target) == "as_strided":
        source = node.args[0]
        assert isinstance(source, fx.Node)
        if not source.meta["val"].is_contiguous():
            raise UsageError("the model takes a strided view of a tensor that is not contiguous")
    return Operation(op=op, attributes=attributes, result=_results(node))


_MISSING = object()


def _results(node: fx.Node) -> tuple[Value, ...]:
    """Return what is used of what an operator gives: the rest may differ in shape between devices."""
    values = node.meta["val"]
    if isinstance(values, Tensor):
        return (_value(node),)
    picked = [user.args[1] for user in node.users if user.target is operator.getitem]
    used = max((place for place in picked if isinstance(place, int)), default=0)
    return tuple(
        Value(
            name=node.name if place == 0 else f"{node.name}#{place}",
            shape=_shape(value),
            dtype=_dtype(value.dtype),
        )
        for place, value in enumerate(values[: used + 1])
    )


def _value(node: fx.Node) -> Value:
    value = node.meta["val"]
    return Value(name=node.name, shape=_shape(value), dtype=_dtype(value.dtype))


def _shape(value: Tensor) -> tuple[int, ...]:
    return tuple(int(size) for size in value.shape)


def _dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _plain(value: Any) -> object:
    """Return an argument as JSON can hold it; where and how tensors lie in memory is left to XLA."""
    if isinstance(value, fx.Node):
        return {"ref": value.name}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, torch.dtype):
        return {"dtype": _dtype(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.device | torch.layout | torch.memory_format):
        return None
    raise UsageError(f"an operator of the model takes {value!r}, which cannot be written down")

"""Look an ATen operator up, and run a written-down program with what is found."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp

from explorer.errors import UsageError
from explorer.tpu.program import Program

Function = Callable[..., Any]
TABLE: dict[str, Function] = {}
"""ATen name, without overload, to its JAX function."""
_PARTS = ("elementwise", "reductions", "shaping", "contractions", "images")

_DTYPES = {
    "bool": jnp.bool_, "uint8": jnp.uint8, "int8": jnp.int8, "int16": jnp.int16, "int32": jnp.int32,
    "int64": jnp.int32, "bfloat16": jnp.bfloat16, "float16": jnp.float16, "float32": jnp.float32,
    "float64": jnp.float32,
}  # fmt: skip
"""torch's dtypes on the device; 64-bit numbers are held in 32 bits there."""


def operator(*names: str) -> Callable[[Function], Function]:
    """Register the function below for the ATen operators ``names``.

    Raises:
        ValueError: a name is taken.
    """

    def register(function: Function) -> Function:
        for name in names:
            if name in TABLE:
                raise ValueError(f"operator {name!r} is in the table already")
            TABLE[name] = function
        return function

    return register


def load() -> Mapping[str, Function]:
    """Return the whole table."""
    for part in _PARTS:
        importlib.import_module(f"explorer.tpu.table.{part}")
    return TABLE


def device_dtype(name: str) -> Any:
    """Return the device's dtype for torch's ``name``.

    Raises:
        UsageError: it has none (complex numbers, say).
    """
    if name not in _DTYPES:
        raise UsageError(f"no TPU dtype for torch's {name}")
    return _DTYPES[name]


def missing(program: Program) -> tuple[str, ...]:
    """Return the operators of ``program`` that the table lacks."""
    known = load()
    return tuple(op for op in program.operators() if _packet(op) not in known and op != "getitem")


def run(program: Program, weights: Sequence[Any], images: Any) -> Any:
    """Return the program's output on ``images``; traceable by ``jax.jit``.

    Args:
        program: of operators that the table holds.
        weights: arrays in the order of ``program.weights``.
        images: ``[example, channel, height, width]``

    Raises:
        UsageError: an operator is not in the table, or gave another shape than torch said.
    """
    lacking = missing(program)
    if lacking:
        raise UsageError(f"no JAX form of {', '.join(lacking)}; see docs/tpu.md for adding one")
    found: dict[str, Any] = {value.name: array for value, array in zip(program.weights, weights, strict=True)}
    found[program.input.name] = images
    for operation in program.operations:
        arguments = {name: _resolve(value, found) for name, value in operation.attributes.items()}
        name = operation.result[0].name
        if operation.op == "getitem":
            found[name] = arguments["self"][arguments["index"]]
            continue
        made = TABLE[_packet(operation.op)](**arguments)
        several = isinstance(made, tuple | list)
        shaped = []
        for value, array in zip(operation.result, made if several else (made,), strict=False):
            if tuple(array.shape) != value.shape:
                raise UsageError(
                    f"{operation.op} ({name}) gave {array.shape} where torch gives {value.shape}"
                )
            shaped.append(array.astype(device_dtype(value.dtype)))
        found[name] = tuple(shaped) if several else shaped[0]
    return found[program.output]


def _packet(op: str) -> str:
    return op.rpartition(".")[0]


def _resolve(value: Any, found: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return found[value["ref"]] if "ref" in value else device_dtype(value["dtype"])
    return [_resolve(item, found) for item in value] if isinstance(value, list) else value

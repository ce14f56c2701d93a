"""A network written down as ATen operators: plain values between torch, which writes it, and JAX."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from explorer.errors import InputDataError

Ref = dict[str, str]
"""``{"ref": NAME}``: the result of another operator, or an argument of the program."""
SCHEMA = 1

_ITEM_BYTES = {
    "bool": 1, "uint8": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 4,
    "bfloat16": 2, "float16": 2, "float32": 4, "float64": 4,
}  # fmt: skip
"""Bytes of one element on the device, where 64-bit numbers are held in 32 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A tensor as its writer saw it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """As torch calls it, without prefix."""

    @property
    def bytes(self) -> int:
        """Bytes on the device, padding left out."""
        if self.dtype not in _ITEM_BYTES:
            raise InputDataError(f"{self.name} is {self.dtype}; a TPU program holds {', '.join(_ITEM_BYTES)}")
        return math.prod(self.shape) * _ITEM_BYTES[self.dtype]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operator call."""

    op: str
    """ATen name with overload: ``convolution.default``; ``getitem`` picks one of several results."""
    attributes: Mapping[str, object]
    """Every argument by schema name, defaults filled in; tensors as `Ref`, dtypes as ``{"dtype": NAME}``."""
    result: tuple[Value, ...]
    """The first one carries the operation's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A network in evaluation mode: weights and one input to one output. Shapes only, no numbers."""

    weights: tuple[Value, ...]
    """Parameters, buffers and constants, as arguments of the program."""
    input: Value
    """[example, channel, height, width]"""
    operations: tuple[Operation, ...]
    output: str

    @property
    def weight_bytes(self) -> int:
        """Bytes of everything that a call has to read besides its input."""
        return sum(value.bytes for value in self.weights)

    def operators(self) -> tuple[str, ...]:
        """Return the distinct ATen operators, sorted."""
        return tuple(sorted({operation.op for operation in self.operations}))

    def document(self) -> dict[str, object]:
        """Return the program as plain JSON values."""
        return {
            "schema": SCHEMA,
            "weights": [_value_document(value) for value in self.weights],
            "input": _value_document(self.input),
            "operations": [
                {
                    "op": operation.op,
                    "attributes": dict(operation.attributes),
                    "result": [_value_document(value) for value in operation.result],
                }
                for operation in self.operations
            ],
            "output": self.output,
        }

    def digest(self) -> str:
        """Return the SHA-256 of the document."""
        return hashlib.sha256(json.dumps(self.document(), sort_keys=True).encode()).hexdigest()


def read_program(document: Mapping[str, object]) -> Program:
    """Return the program that `Program.document` wrote.

    Raises:
        InputDataError: not such a document.
    """
    if document.get("schema") != SCHEMA:
        raise InputDataError(f"a program of schema {document.get('schema')!r}; this version reads {SCHEMA}")
    fields: dict[str, list[dict[str, object]]] = document  # type: ignore[assignment]
    try:
        return Program(
            weights=tuple(_read_value(value) for value in fields["weights"]),
            input=_read_value(fields["input"]),
            operations=tuple(
                Operation(
                    op=str(entry["op"]),
                    attributes=entry["attributes"],  # type: ignore[arg-type]
                    result=tuple(_read_value(value) for value in entry["result"]),  # type: ignore[attr-defined]
                )
                for entry in fields["operations"]
            ),
            output=str(document["output"]),
        )
    except (KeyError, TypeError) as error:
        raise InputDataError(f"not a program: {type(error).__name__}: {error}") from error


def _value_document(value: Value) -> dict[str, object]:
    return {"name": value.name, "shape": list(value.shape), "dtype": value.dtype}


def _read_value(entry: object) -> Value:
    fields: dict[str, list[int]] = entry  # type: ignore[assignment]
    shape = tuple(int(size) for size in fields["shape"])
    return Value(name=str(fields["name"]), shape=shape, dtype=str(fields["dtype"]))

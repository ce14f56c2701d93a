"""Read sizes off an operator record."""

from math import prod

from explorer.record import OpRecord, TensorRecord


def elements(tensor: TensorRecord) -> int:
    """Return how many elements ``tensor`` has."""
    return prod(tensor.shape)


def output_elements(op: OpRecord) -> int:
    """Return the elements of the first output."""
    return elements(op.outputs[0])


def input_elements(op: OpRecord) -> int:
    """Return the elements of the first input."""
    return elements(op.inputs[0])


def all_output_elements(op: OpRecord) -> int:
    """Return the elements of all outputs together."""
    return sum(map(elements, op.outputs))


def integers(value: object) -> tuple[int, ...]:
    """Return an attribute that is an integer or a sequence of them as a tuple; None is empty.

    Raises:
        TypeError: ``value`` is something else; the trace does not follow the operator's schema.
    """
    if value is None:
        return ()
    if isinstance(value, int):
        return (value,)
    if isinstance(value, tuple | list) and all(isinstance(item, int) for item in value):
        return tuple(value)
    raise TypeError(f"wanted an integer or a sequence of integers, got {value!r}")

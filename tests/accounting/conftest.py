"""Hand-made operator records."""

from collections.abc import Callable
from math import prod

import pytest

from explorer.record import OpRecord, TensorRecord


def make_tensor(storage: int, *shape: int, persistent: bool = False, storage_bytes: int | None = None):
    return TensorRecord(
        storage=storage,
        shape=shape,
        dtype="float32",
        itemsize=4,
        storage_bytes=4 * prod(shape) if storage_bytes is None else storage_bytes,
        persistent=persistent,
    )


def make_op(
    name: str, inputs: list[tuple[int, ...]], outputs: list[tuple[int, ...]], **attributes
) -> OpRecord:
    """Return a record whose tensors all live in storages of their own."""
    return OpRecord(
        op=name,
        module="",
        inputs=tuple(make_tensor(i, *shape) for i, shape in enumerate(inputs)),
        outputs=tuple(make_tensor(100 + i, *shape) for i, shape in enumerate(outputs)),
        attributes=attributes,
    )


@pytest.fixture(scope="session")
def op() -> Callable[..., OpRecord]:
    return make_op


@pytest.fixture(scope="session")
def tensor() -> Callable[..., TensorRecord]:
    return make_tensor

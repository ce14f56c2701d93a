"""Members' probabilities a few examples at a time: what does not fit in memory is still read exactly."""

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
import numpy.typing

from explorer.errors import InputDataError

BLOCK_BYTES = 64 * 2**20
"""Memory of one block of float16 probabilities, unless asked otherwise."""


class MemberArrays:
    """Probabilities of several members ``[member, example, class]`` that stay where they are: in their files.

    Indexed by one member it gives that one's array, by a list of members a new array of theirs.
    """

    ndim = 3

    def __init__(self, rows: Sequence[np.ndarray]) -> None:
        """Take each member's float16 ``[example, class]``: arrays or memory maps.

        Raises:
            InputDataError: no members, or one that is not float16 ``[example, class]`` like the first.
        """
        check_members(rows)
        self._rows = tuple(rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Members, examples, classes."""
        return (len(self._rows), *self._rows[0].shape)

    @property
    def dtype(self) -> np.dtype:
        """Always float16."""
        return self._rows[0].dtype

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self._rows)

    @overload
    def __getitem__(self, which: int | np.integer) -> np.ndarray: ...
    @overload
    def __getitem__(self, which: slice) -> "MemberArrays": ...
    @overload
    def __getitem__(self, which: list[int] | np.ndarray) -> np.ndarray: ...
    def __getitem__(self, which: int | np.integer | slice | list[int] | np.ndarray) -> object:
        if isinstance(which, slice):
            return MemberArrays(self._rows[which])
        if isinstance(which, int | np.integer):
            return self._rows[which]
        return np.stack([self._rows[row] for row in which])

    def __array__(self, dtype: np.typing.DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return np.stack(self._rows).astype(dtype or self.dtype, copy=False)


Members = Sequence[np.ndarray] | np.ndarray | MemberArrays
"""Each member's class probabilities float16 ``[example, class]``: arrays, memory maps, or one array
``[member, example, class]``."""


def blocks(members: Members, *, block_bytes: int = BLOCK_BYTES) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield consecutive examples with all members' probabilities, float16 ``[member, example, class]``.

    Args:
        members: of one split.
        block_bytes: about how much memory a block may take; one example at least is in it.

    Raises:
        InputDataError: no members, or one that is not float16 ``[example, class]`` like the first.
    """
    examples, classes = check_members(members)
    step = max(1, block_bytes // (2 * len(members) * max(1, classes)))
    for start in range(0, examples, step):
        part = slice(start, min(start + step, examples))
        yield part, np.stack([row[part] for row in members])


def check_members(members: Members) -> tuple[int, int]:
    """Return the number of examples and of classes.

    Raises:
        InputDataError: no members, or one that is not float16 ``[example, class]`` like the first.
    """
    if len(members) == 0:
        raise InputDataError("no members to read probabilities of")
    shape = members[0].shape
    for number, row in enumerate(members):
        if row.dtype != np.float16 or row.ndim != 2 or row.shape != shape:
            raise InputDataError(
                f"probabilities of member {number} must be float16 {list(shape[:2])} [example, class], "
                f"got {row.dtype} {list(row.shape)}"
            )
    return int(shape[0]), int(shape[1])


def check_labels(labels: np.ndarray, examples: int) -> None:
    """Refuse labels that are not one an example.

    Raises:
        InputDataError: another shape than ``[example]``.
    """
    if labels.shape != (examples,):
        raise InputDataError(f"wanted {examples} labels, one an example, got {list(labels.shape)}")

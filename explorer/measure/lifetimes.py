"""Follow memory through a pass: number each storage, and note when the program lets go of it.

A tensor's memory goes when the last reference to it does: a local variable of the caller, a list of
branches or a saved tensor of the backward pass keeps it after the last operator that reads it. On
meta tensors the program runs as it would on a device, so its references can be watched there.
"""

import weakref
from collections.abc import Callable

import torch
from torch import Tensor

LAYOUTS = ("contiguous", "channels_last", "strided")
"""What `layout` returns."""


class Storages:
    """Number storages in order of first sight; never the same number twice.

    Args:
        clock: returns how many operators have been recorded.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.freed: dict[int, int] = {}
        """Storage -> operators recorded when its memory was let go; those still held are missing."""
        self._clock = clock
        self._count = 0
        # Address -> number and watch. An address is used again after its storage is gone, under a new number.
        self._known: dict[int, tuple[int, weakref.ref[torch.UntypedStorage]]] = {}

    def __contains__(self, tensor: Tensor) -> bool:
        """Tell whether the memory of ``tensor`` has a number."""
        return tensor.untyped_storage()._cdata in self._known

    def number(self, tensor: Tensor) -> int:
        """Return the number of the memory that ``tensor`` lives in."""
        storage = tensor.untyped_storage()
        address = storage._cdata
        if address not in self._known:
            number = self._count
            self._count += 1

            def let_go(_: object) -> None:
                del self._known[address]
                self.freed[number] = self._clock()

            # torch keeps a storage's Python object for as long as any tensor uses the storage.
            self._known[address] = number, weakref.ref(storage, let_go)
        return self._known[address][0]


def layout(tensor: Tensor) -> str:
    """Return how ``tensor`` lies in memory: one of `LAYOUTS`.

    ``channels_last`` is what convolutions and pooling take as that: four axes, channels nearest. Where
    sizes of 1 leave a choice, it is torch's (``is_channels_last_strides_2d`` in ``c10/core/MemoryFormat.h``).
    """
    if tensor.is_contiguous():
        return "contiguous"
    if tensor.dim() != 4:
        return "strided"
    least = 0
    sizes, strides = tensor.shape, tensor.stride()
    for axis in (1, 3, 2, 0):
        if strides[axis] < least or (axis == 0 and least == strides[1]):
            return "strided"
        least = strides[axis] * sizes[axis]
    return "channels_last" if tensor.is_contiguous(memory_format=torch.channels_last) else "strided"

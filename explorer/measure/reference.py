"""A fixed piece of work to time beside models: what it slows down by, the machine slowed down by.

Three parts of two to three milliseconds each on a current processor core: a convolution and a matrix
product (vector units), and additions over more memory than the caches hold (memory). It is part of
every stored measurement that names it, so it is never changed: another one gets another name. It runs
under the settings of the models beside it (threads, TF32), so its times compare within one workload.
"""

from collections.abc import Callable

import torch
from torch.nn import functional

REFERENCE = "reference-1"
"""Name of the workload below; a change of any number in it needs a new one."""

_CHANNELS = 64
_SIDE = 56
_WIDTH = 512
_STREAM = 2**22
"""Numbers in each streamed array: 16 MiB of float32, three arrays."""
_STREAMS = 2


def reference_call(device: str | torch.device = "cpu") -> Callable[[], object]:
    """Return a call of fixed work, float32, some milliseconds on one processor core.

    Time it under `explorer.measure.precision.measuring`, as the models beside it.
    """
    where = torch.device(device)
    generator = torch.Generator().manual_seed(1)

    def noise(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator).to(where)

    image, kernel = noise(1, _CHANNELS, _SIDE, _SIDE), noise(_CHANNELS, _CHANNELS, 3, 3)
    left, right, product = noise(_WIDTH, _WIDTH), noise(_WIDTH, _WIDTH), noise(_WIDTH, _WIDTH)
    source, other, target = noise(_STREAM), noise(_STREAM), noise(_STREAM)

    def call() -> object:
        convolved = functional.conv2d(image, kernel, padding=1)
        torch.mm(left, right, out=product)
        for _ in range(_STREAMS):
            torch.add(source, other, out=target)
        return convolved

    return call

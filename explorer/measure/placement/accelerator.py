"""Reach the few CUDA functions that placements need, behind one value that tests replace."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch

from explorer.measure.cuda_runtime import captured, peak_bytes


class Stream(Protocol):
    """A queue of work on the device."""

    def wait_stream(self, other: Any, /) -> None:
        """Let work queued here from now on wait for what is queued on ``other`` now."""


class Accelerator(Protocol):
    """Streams, graphs and memory of one device."""

    def new_stream(self) -> Stream:
        """Return a stream of its own."""

    def current_stream(self) -> Stream:
        """Return the stream that work goes to now."""

    def on(self, stream: Any) -> AbstractContextManager[Any]:
        """Send work to ``stream`` inside."""

    def capture(self, body: Callable[[], object]) -> tuple[Callable[[], object], Callable[[], object]]:
        """Warm up ``body`` and capture it as one graph; return what replays it, and what frees it."""

    def allocated_bytes(self) -> int:
        """Return what tensors occupy on the device now."""

    def peak_bytes(self, work: Callable[[], object], before: int) -> int:
        """Run ``work`` and return the most memory in use at once, above ``before`` bytes."""


class Cuda:
    """One CUDA device, which must be current."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def new_stream(self) -> Stream:
        """Return a stream of its own."""
        return torch.cuda.Stream(self.device)

    def current_stream(self) -> Stream:
        """Return the stream that work goes to now."""
        return torch.cuda.current_stream(self.device)

    def on(self, stream: Any) -> AbstractContextManager[Any]:
        """Send work to ``stream`` inside."""
        return torch.cuda.stream(stream)

    def capture(self, body: Callable[[], object]) -> tuple[Callable[[], object], Callable[[], object]]:
        """Warm up ``body`` and capture it as one graph; return what replays it, and what frees it."""
        return captured(body, self.device)

    def allocated_bytes(self) -> int:
        """Return what tensors occupy on the device now."""
        return torch.cuda.memory_allocated(self.device)

    def peak_bytes(self, work: Callable[[], object], before: int) -> int:
        """Run ``work`` and return the most memory in use at once, above ``before`` bytes."""
        return peak_bytes(work, self.device, before)

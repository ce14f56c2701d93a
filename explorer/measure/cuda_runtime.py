"""What only NVIDIA GPUs need: timing by the device's own events, graph capture, peak memory.

Conventions: an event pair round each call; the device at rest before it, so that no earlier work hides
the launching; the second-level cache overwritten outside the span, so that a small model's weights do
not wait there from the last call. The host's clock is read beside the events.
"""

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch

from explorer.measure.latency import Call, Clock, Step, Timing

_WARM_CALLS = 3
"""Calls before capture: libraries choose algorithms and take workspace, which a capture may not do."""
_FLUSH_FACTOR = 2
"""Bytes overwritten between calls over the size of the cache."""
_CACHE_UNKNOWN = 128 * 2**20
"""Taken for the cache's size where torch does not tell it: more than any NVIDIA GPU has."""
_MS = 1e-3


class EventTimer:
    """Times each call on a CUDA device at rest, by an event pair, with its cache overwritten before.

    Args:
        device: a CUDA device; must be current while calls are timed.
        cuda: the module that has ``Event`` and ``synchronize``; replaced in tests.
        flush: overwrites the cache; made for the device where it is not given.
        clock: of the host.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        cuda: Any = torch.cuda,
        flush: Call | None = None,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._device, self._cuda, self._clock = device, cuda, clock
        self._flush = flush or _cache_flush(device)

    def round(self, steps: Sequence[Step]) -> list[Timing]:
        """Time each step once; the events are read after the last one, with nothing left to run."""
        pairs = [self._one(step) for step in steps]
        self._cuda.synchronize(self._device)
        return [
            Timing(begin.elapsed_time(end) * _MS, host_s=host, issue_s=issue)
            for begin, end, host, issue in pairs
        ]

    def _one(self, step: Step) -> tuple[Any, Any, float, float]:
        begin, end = (self._cuda.Event(enable_timing=True) for _ in range(2))
        if step.before is not None:
            step.before()
        self._flush()
        self._cuda.synchronize(self._device)
        clock = self._clock
        start = clock()
        begin.record()
        step.call()
        end.record()
        issued = clock()
        self._cuda.synchronize(self._device)
        return begin, end, clock() - start, issued - start


@lru_cache(maxsize=16)
def event_timer(device: torch.device) -> EventTimer:
    """Return the timer of a CUDA device: one for all models, so that they share one flush buffer."""
    return EventTimer(device)


def cache_bytes(device: torch.device) -> int:
    """Return the size of the second-level cache; more than any has where torch does not tell."""
    found = getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 0)
    return int(found) or _CACHE_UNKNOWN


def _cache_flush(device: torch.device) -> Call:
    buffer = torch.empty(_FLUSH_FACTOR * cache_bytes(device), dtype=torch.int8, device=device)
    return buffer.zero_


def captured(call: Call, device: torch.device) -> tuple[Call, Call]:
    """Return ``call`` as a CUDA graph: what replays it, and what frees it.

    Args:
        call: reads from and writes to memory that stays where it is, and never waits for the device.
        device: a CUDA device, current.

    Raises:
        RuntimeError: the call does what cannot be captured; from CUDA, with its reason.
    """
    # Warmed up on a side stream, as the documentation of torch.cuda.CUDAGraph asks for, and captured on
    # the same one: libraries keep handles and workspace for each stream, and make them on first use.
    side = _side_stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(_WARM_CALLS):
            call()
    torch.cuda.current_stream(device).wait_stream(side)
    torch.cuda.synchronize(device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=side):
        kept = call()  # its memory belongs to the graph: it lives as long as what replays it

    def replay(_kept: object = kept) -> None:
        graph.replay()

    return replay, graph.reset


@lru_cache(maxsize=16)
def _side_stream(device: torch.device) -> Any:
    """Return the stream that captures run on: one for all, since libraries keep workspace for each."""
    return torch.cuda.Stream(device)


@lru_cache(maxsize=16)
def settle(device: torch.device) -> None:
    """Make what libraries keep for good on first use, so that it is in no model's peak memory."""
    matrix = torch.ones(64, 64, device=device)
    torch.mm(matrix, matrix)
    with torch.cuda.stream(_side_stream(device)):
        torch.mm(matrix, matrix)
    torch.cuda.synchronize(device)


def peak_bytes(work: Callable[[], object], device: torch.device, before: int) -> int:
    """Run ``work`` and return the most device memory that was in use at once, above ``before`` bytes."""
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    torch.cuda.synchronize(device)
    return max(0, torch.cuda.max_memory_allocated(device) - before)

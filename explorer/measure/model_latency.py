"""Time a torch model on a device, and leave model and process as they were."""

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Unpack

import torch
from torch import nn

from explorer.errors import UsageError
from explorer.measure.environment import conditions, find_device
from explorer.measure.latency import Clock, measure_latency
from explorer.measure.stopping import StopOptions
from explorer.record import LatencyRun


def model_latency(
    model: nn.Module,
    input_shape: tuple[int, ...],
    *,
    subject: str,
    device: str = "cpu",
    threads: int = 1,
    clock: Clock = time.perf_counter,
    **stop: Unpack[StopOptions],
) -> LatencyRun:
    """Time forward passes of ``model`` in evaluation mode, eager, in the precision of its weights.

    Args:
        model: any network that takes one tensor, with real weights. A copy on ``device`` is run.
        input_shape: ``[example, channel, height, width]``, example first; uniform noise is fed.
        subject: canonical text of the model or design.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: threads one operator may use on the CPU; set for the measurement only.
        clock: returns seconds; replaced in tests.
        stop: ``min_seconds``, ``max_seconds``, ``target_half_width``, ``warmup``; see `StopRule`.

    Raises:
        UsageError: the model is on meta or cannot be copied, or limits or device name are impossible.
        EnvironmentMissingError: the device is not here.
    """
    where = find_device(device)
    tensors = [*model.parameters(), *model.buffers()]
    if any(tensor.is_meta for tensor in tensors):
        raise UsageError(f"{subject} has no weights (it was built on meta): it can be counted, not timed")
    dtype = next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)
    described = conditions(
        str(where), str(dtype).removeprefix("torch."), batch=input_shape[0], threads=threads
    )
    try:
        twin = copy.deepcopy(model).to(where).eval()
    except (TypeError, RuntimeError) as error:
        raise UsageError(f"{subject} cannot be copied to {where} for timing: {error}") from error
    # A generator of our own: the caller's random state stays as it was.
    noise = torch.rand(input_shape, generator=torch.Generator().manual_seed(0)).to(where, dtype)
    with torch.inference_mode(), limited_threads(threads):
        return measure_latency(
            partial(twin, noise),
            subject=subject,
            conditions=described,
            clock=clock,
            synchronise=device_wait(where),
            **stop,
        )


def device_wait(device: torch.device) -> Callable[[], object] | None:
    """Return what waits until ``device`` has finished its queued work; None where calls already wait."""
    return partial(torch.cuda.synchronize, device) if device.type == "cuda" else None


@contextmanager
def limited_threads(number: int) -> Iterator[None]:
    """Let one operator use ``number`` threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)

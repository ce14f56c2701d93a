"""Measure the memory that a pass really allocates on a CPU, from the events of torch's allocator."""

from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from explorer.errors import UsageError


def allocated_peak_bytes(model: nn.Module, images: Tensor) -> int:
    """Return the most that one pass of ``model`` held at a time, beyond what was there before it.

    The pass measured is the second: the first fills caches, of the model and of kernels. Evaluation
    mode is the caller's to set. What libraries allocate past torch's allocator is not seen.

    Raises:
        UsageError: the images are not on a CPU.
    """
    if images.device.type != "cpu":
        raise UsageError(f"allocator events are read on a CPU; these images are on {images.device}")
    with torch.no_grad():
        model(images)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            result = model(images)
    del result
    recorded = profiled.profiler.kineto_results.events()
    events = [(event.start_ns(), event.nbytes()) for event in recorded if event.name() == "[memory]"]
    changes = (amount for _, amount in sorted(events, key=lambda event: event[0]))
    return max(accumulate(changes, initial=0))

"""Tell a batch that does not fit from every other failure, before or after it is tried."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from explorer.errors import UsageError
from explorer.measure.precision import one_line
from explorer.measure.trace import count_model
from explorer.workload import Workload

_MEMORY_INFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_MESSAGES = re.compile(
    r"can't allocate memory|not enough memory: you tried to allocate|CUDA out of memory"
    r"|CUDA error: out of memory|_ALLOC_FAILED|bad_alloc|bad allocation|Failed to allocate memory"
    r"|Available memory of \d+ is smaller than requested",
    re.IGNORECASE,
)
"""What torch's CPU allocator, CUDA and its libraries, the C++ runtime and onnxruntime say."""

_UNLIKELY = 1000
"""Images times this many fit into memory: no network's activations outgrow its images that far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfMemory:
    """A workload that does not fit on its device: a result, not a failure of the program."""

    workload: Workload
    reason: str
    """One line: what the allocator said, or what would be needed against what is there."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether ``error``, or what caused it, is a lack of memory."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        if isinstance(found, MemoryError | torch.OutOfMemoryError):
            return True
        # RuntimeError: torch's CPU allocator. onnxruntime's classes share no base but Exception.
        if _MESSAGES.search(str(found)):
            return True
        found = found.__cause__ or found.__context__
    return False


def out_of_memory(workload: Workload, error: BaseException) -> OutOfMemory:
    """Return the result for a workload that failed with ``error``."""
    return OutOfMemory(workload=workload, reason=f"out of memory: {one_line(error)}")


def available_bytes() -> int | None:
    """Return how much main memory can be taken without swapping; None where the system does not tell.

    The smaller of the machine's and the control group's: beyond either, Linux does not refuse, it kills.
    """
    limits = [limit for limit in (_machine_available(), _group_available()) if limit is not None]
    return min(limits, default=None)


def _machine_available() -> int | None:
    if not _MEMORY_INFO.is_file():
        return None
    match = re.search(r"^MemAvailable:\s+(\d+) kB", _MEMORY_INFO.read_text(encoding="utf-8"), re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def _group_available() -> int | None:
    """Return what version 2 of control groups leaves; cached files are given back, so they count as free."""
    limit, used, files = _CGROUP / "memory.max", _CGROUP / "memory.current", _CGROUP / "memory.stat"
    if not (limit.is_file() and used.is_file() and files.is_file()):
        return None
    text = limit.read_text(encoding="utf-8").strip()
    if not text.isdecimal():
        return None  # "max": no limit
    match = re.search(r"^file (\d+)", files.read_text(encoding="utf-8"), re.MULTILINE)
    cached = int(match[1]) if match else 0
    return max(0, int(text) - int(used.read_text(encoding="utf-8")) + cached)


def lacking_memory(model: nn.Module, shape: tuple[int, ...]) -> str:
    """Say why a pass over ``shape`` would not fit into this machine's main memory; empty where it does.

    Linux promises more memory than there is and ends the process that takes it, so a batch is judged
    before it is tried: by the images alone, and where they are large, by the counted peak of
    activations. Where the model cannot be counted, only by the images.
    """
    available = available_bytes()
    images = 4 * math.prod(shape)
    if available is None or images * _UNLIKELY < available:
        return ""
    needed = images
    if images < available:
        try:
            cost = count_model(model, shape)
        except UsageError:
            pass  # its flow depends on the numbers: what it needs is known when it is tried
        else:
            needed += cost.activation_peak_bytes + cost.param_bytes + cost.buffer_bytes
    if needed <= available:
        return ""
    return (
        f"out of memory: a batch of {shape[0]} needs {needed / 2**30:.1f} GiB, "
        f"{available / 2**30:.1f} GiB of main memory are free"
    )

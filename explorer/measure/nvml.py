"""Ask NVIDIA's management library what a GPU is doing; unknown where its Python binding is not installed.

The binding is ``pip install nvidia-ml-py`` (module ``pynvml``). Only questions are asked: nothing here
changes a clock, a power limit or a mode.
"""

import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch

PACKAGE = "nvidia-ml-py"

_THROTTLE_REASONS = {
    0x004: "power limit",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "software thermal slowdown",
    0x040: "hardware thermal slowdown",
    0x080: "power brake",
    0x200: "board limit",
    0x400: "reliability limit",
}
"""Bits of the mask that mean: slower than the clocks that were asked for. Idle (0x1) and clocks set by the
owner (0x2, 0x100) are left out: they are settings, not events. Source: nvml.h, nvmlClocksThrottleReasons."""


@lru_cache(maxsize=1)
def library() -> Any | None:
    """Return the initialised ``pynvml`` module, or None where it is not installed or finds no driver."""
    try:
        pynvml = importlib.import_module("pynvml")
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def missing_reason() -> str:
    """Say why the library does not answer; empty where it does."""
    if library() is not None:
        return ""
    try:
        importlib.import_module("pynvml")
    except ImportError:
        return f"{PACKAGE} is not installed (pip install {PACKAGE})"
    return f"{PACKAGE} is installed but finds no NVIDIA driver"


def handle(device: torch.device) -> Any | None:
    """Return the library's handle of a torch CUDA device; by UUID, as torch may number them differently.

    None where the library does not answer, or torch does not tell the UUID.
    """
    pynvml = library()
    if pynvml is None:
        return None
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    if uuid is None:
        return None
    return asked(lambda: pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"))


def driver_version() -> str | None:
    """Return the driver's version; None where it is not told."""
    pynvml = library()
    if pynvml is None:
        return None
    version = asked(pynvml.nvmlSystemGetDriverVersion)
    return version.decode() if isinstance(version, bytes) else version


def asked(question: Callable[[], Any]) -> Any | None:
    """Return the answer to one question, None where this GPU or driver does not answer it."""
    pynvml = library()
    if pynvml is None:
        return None
    try:
        return question()
    except pynvml.NVMLError:
        return None


def throttle_reasons(mask: int) -> tuple[str, ...]:
    """Return in words why the clocks were lowered.

    >>> throttle_reasons(0x1 | 0x4 | 0x40)
    ('power limit', 'hardware thermal slowdown')
    """
    return tuple(words for bit, words in _THROTTLE_REASONS.items() if mask & bit)

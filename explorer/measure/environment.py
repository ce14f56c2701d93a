"""Describe where a measurement runs: device, precision, threads, backend, versions, power state."""

import platform
import re
from importlib import metadata
from pathlib import Path

import torch

from explorer.errors import EnvironmentMissingError, UsageError
from explorer.measure.nvml import driver_version
from explorer.record import Conditions

_PACKAGES = {
    "torch-eager": ("torch",),
    "torch-compiled": ("torch",),
    "torch-cuda-graph": ("torch",),
    "onnxruntime": ("onnxruntime",),
}
"""Backend -> packages whose version can change its speed."""
_DEVICE = re.compile(r"cpu|cuda(:(?P<number>[0-9]+))?")
_CPU_INFO = Path("/proc/cpuinfo")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def conditions(
    device: str,
    dtype: str = "float32",
    *,
    batch: int = 1,
    threads: int = 1,
    backend: str = "torch-eager",
    memory_format: str = "contiguous",
    form: str = "as-built",
) -> Conditions:
    """Return the conditions on this machine, as they are stored with every measurement.

    Args:
        device: ``cpu``, ``cuda`` (the first) or ``cuda:N``.
        dtype: precision of the weights, without prefix.
        batch: examples a call.
        threads: threads one operator may use.
        backend: ``torch-eager``, ``torch-compiled``, ``torch-cuda-graph``, ``onnxruntime``, or a package.
        memory_format: ``contiguous`` or ``channels_last``.
        form: ``as-built`` or ``deploy``.

    Raises:
        UsageError: not a device's name, or an impossible batch or number of threads.
        EnvironmentMissingError: the device is not here, or the backend is not installed.
    """
    if batch < 1 or threads < 1:
        raise UsageError(f"batch and threads must be 1 or more, got {batch} and {threads}")
    found = find_device(device)
    versions = {"python": platform.python_version()}
    for package in _PACKAGES.get(backend, (backend,)):
        versions[package] = _version(package)
    if found.type == "cuda":
        versions |= _cuda_versions(backend)
    return Conditions(
        device=str(found),
        device_name=torch.cuda.get_device_name(found) if found.type == "cuda" else cpu_name(),
        dtype=dtype,
        batch=batch,
        threads=threads,
        backend=backend,
        versions=versions,
        power_state=_power_state(found),
        memory_format=memory_format,
        form=form,
    )


def find_device(name: str) -> torch.device:
    """Return the torch device called ``name``; CUDA devices always with their number.

    Raises:
        UsageError: not the name of a CPU or CUDA device.
        EnvironmentMissingError: no such CUDA device here.
    """
    match = _DEVICE.fullmatch(name)
    if match is None:
        raise UsageError(f"unknown device {name!r}; known: cpu, cuda, cuda:N")
    if name == "cpu":
        return torch.device("cpu")
    number = int(match["number"] or 0)
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if number >= available:
        here = f"cuda:0 to cuda:{available - 1}" if available else "no CUDA device"
        raise EnvironmentMissingError(
            f"device {name!r} is not here (torch {torch.__version__} sees {here}); use --device cpu"
        )
    return torch.device("cuda", number)


def cpu_name() -> str:
    """Return what the processor calls itself and the vector instructions torch uses on it."""
    name = ""
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
                break
    name = name or platform.processor() or platform.machine() or "unknown processor"
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        raise EnvironmentMissingError(
            f"backend package {package!r} is not installed; try: pip install {package}"
        ) from None


def _cuda_versions(backend: str) -> dict[str, str]:
    """Return the versions of what runs below torch on an NVIDIA GPU, ``unknown`` where they are not told."""
    versions = {
        "cuda": str(torch.version.cuda),
        "cudnn": str(torch.backends.cudnn.version() or "unknown"),
        "driver": driver_version() or "unknown",
    }
    if backend == "torch-compiled":
        try:
            versions["triton"] = metadata.version("triton")
        except metadata.PackageNotFoundError:
            versions["triton"] = "unknown"  # some builds bring it under another name
    return versions


def _power_state(device: torch.device) -> str:
    """Return the processor's frequency governor; ``unknown`` where the system does not tell."""
    if device.type == "cpu" and _GOVERNOR.is_file():
        return _GOVERNOR.read_text(encoding="utf-8").strip()
    return "unknown"

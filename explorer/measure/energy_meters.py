"""Find the energy counter of a device: NVIDIA's total-energy counter, or a processor's RAPL.

Counters are read, nothing is set. A GPU's counter is that of its whole board, whoever uses it; RAPL's
is that of whole processor packages and their memory. Neither sees the rest of the computer.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from explorer.measure import nvml
from explorer.measure.environment import find_device

_NVML_UPDATE_S = 0.1
"""How often the GPU's counter moves: about every 100 ms (ml.energy's notes on measuring GPU energy)."""
_RAPL_UPDATE_S = 0.001
"""RAPL moves about every millisecond (Intel SDM volume 3B, section 15.10)."""
_POWERCAP = Path("/sys/class/powercap")
_MICRO, _MILLI = 1e-6, 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """An energy counter of one device."""

    name: str
    scope: str
    """What it counts: more than the process that is measured."""
    update_s: float
    """How often the counter moves: a window's energy is off by up to this long at either end."""
    read_joules: Callable[[], float]
    """Energy since some fixed moment; never falls. To be read more often than the counter wraps."""


def energy_meter(device: str) -> tuple[Meter | None, str]:
    """Return the energy counter of ``device``, or None and the reason why there is none.

    Raises:
        UsageError: not the name of a CPU or CUDA device.
        EnvironmentMissingError: the device is not here.
    """
    found = find_device(device)
    return nvml_meter(found) if found.type == "cuda" else rapl_meter()


# ---- GPU ----------------------------------------------------------------------------------------


def nvml_meter(device: torch.device) -> tuple[Meter | None, str]:
    """Return the total-energy counter of a CUDA device, Volta or later, or None and the reason."""
    library = nvml.library()
    if library is None:
        return None, f"no energy counter: {nvml.missing_reason()}"
    handle = nvml.handle(device)
    if handle is None:
        return None, f"no energy counter: {nvml.PACKAGE} does not know {device} (a slice of a GPU has none)"
    return counter_of(library, handle, name=str(device))


def counter_of(library: Any, handle: Any, *, name: str) -> tuple[Meter | None, str]:
    """Return a meter that reads ``handle`` through ``library``, the ``pynvml`` module, or the reason.

    Energy since the driver was loaded, in millijoules: nvmlDeviceGetTotalEnergyConsumption, NVML API
    reference, Device Queries.
    """
    try:
        library.nvmlDeviceGetTotalEnergyConsumption(handle)
    except library.NVMLError as error:
        return None, f"no energy counter: {name} answers {error}"
    return (
        Meter(
            name=f"NVML total energy, {name}",
            scope="the whole board, whatever runs on it",
            update_s=_NVML_UPDATE_S,
            read_joules=lambda: library.nvmlDeviceGetTotalEnergyConsumption(handle) * _MILLI,
        ),
        "",
    )


# ---- processor ----------------------------------------------------------------------------------


class WrappingCounter:
    """Sums up a counter that begins again at 0 after its highest value.

    Args:
        read: the counter's value.
        highest: the value after which it begins again.
    """

    def __init__(self, read: Callable[[], int], highest: int) -> None:
        self._read, self._highest = read, highest
        self._last = read()
        self._total = 0

    def total(self) -> int:
        """Return what was counted since this was made; it must be asked at least once a wrap."""
        now = self._read()
        step = now - self._last
        self._total += step if step >= 0 else step + self._highest + 1
        self._last = now
        return self._total


def rapl_meter(root: Path = _POWERCAP) -> tuple[Meter | None, str]:
    """Return the processor's RAPL counters as one meter, or None and the reason.

    Packages, and memory beside them; cores are within packages and not added. ``intel-rapl-mmio``
    shows the same packages again and is taken only where the others are missing. AMD's processors are
    listed under the same names. Kernel documentation, "Power Capping Framework".
    """
    zones = list(_zones(root, "intel-rapl:")) or list(_zones(root, "intel-rapl-mmio:"))
    if not zones:
        return None, f"no energy counter: this system shows no RAPL packages in {root}"
    counters, names = [], []
    for zone, name in zones:
        try:
            highest = int((zone / "max_energy_range_uj").read_text())
            counters.append(WrappingCounter(_reader(zone / "energy_uj"), highest))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return (
                None,
                f"no energy counter: {zone / 'energy_uj'} cannot be read ({reason}); root usually can",
            )
        names.append(name)
    return (
        Meter(
            name=f"RAPL, {' + '.join(names)}",
            scope="whole processor packages, whatever runs on them",
            update_s=_RAPL_UPDATE_S,
            read_joules=lambda: sum(counter.total() for counter in counters) * _MICRO,
        ),
        "",
    )


def _zones(root: Path, prefix: str) -> Iterable[tuple[Path, str]]:
    """Yield packages, and the memory zones within them, with their names; each once."""
    if not root.is_dir():
        return
    for zone in sorted(root.glob(f"{prefix}*")):
        try:
            name = (zone / "name").read_text().strip()
        except OSError:
            continue  # no zone: a file of the control type
        depth = zone.name.count(":")
        if (depth == 1 and name.startswith("package")) or (depth == 2 and name == "dram"):
            yield zone, f"{name} of {zone.name}" if depth == 2 else name


def _reader(path: Path) -> Callable[[], int]:
    return lambda: int(path.read_text())

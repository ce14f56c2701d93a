"""What devices can do at most, from the table that ships: peaks, memory, bandwidth, power.

Every figure carries where it was seen. One without a source is ``recalled``: it ships because it is
useful, and every output marks it. One computed from others is ``derived`` and its source says how.
What could not be found is None, never 0.

Peaks count a multiply-accumulate as two operations, dense, and stand at the boost clock that the vendor
publishes; a card that clocks higher under a light load can exceed them by some percent. Figures are for
one card or one chip, also where a program sees half of it (`per_program_device`).
"""

import csv
import difflib
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib.resources import files

from explorer.errors import InputDataError, UsageError
from explorer.workload import Precision

PEAKS = (Precision.FP32, Precision.TF32, Precision.FP16, Precision.BF16, Precision.INT8)
"""Precisions that the table has a column for; mixed precision (`Precision.AMP`) multiplies in float16."""
_NUMBERS = {
    "compute_units": ("compute_units", 1.0),
    "clock": ("clock_ghz", 1.0),
    "fp32": ("fp32_tflops", 1e12),
    "tf32": ("tf32_tflops", 1e12),
    "fp16": ("fp16_tflops", 1e12),
    "bf16": ("bf16_tflops", 1e12),
    "int8": ("int8_tops", 1e12),
    "memory": ("memory_gib", 2.0**30),
    "bandwidth": ("bandwidth_gbs", 1e9),
    "onchip": ("onchip_mib", 2.0**20),
    "tdp": ("tdp_w", 1.0),
}
"""Figure -> column of the table and what one unit of it is."""
FIGURES = tuple(_NUMBERS)
"""Names of the figures of a device, as `Device.status` and `Device.sources` key them."""
_NOISE = frozenset(
    {
        "nvidia",
        "geforce",
        "tesla",
        "google",
        "cloud",
        "intel",
        "core",
        "r",
        "tm",
        "cpu",
        "ghz",
        "graphics",
        "card",
    }
)
"""Words of a device's name that tell nothing apart."""


class Status(StrEnum):
    """How far a figure of the table can be trusted."""

    SEEN = "seen"
    """Read in the source named."""
    DERIVED = "derived"
    """Computed from other figures as the source says."""
    RECALLED = "recalled"
    """Not verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device of the table; None where a figure is unknown."""

    key: str
    """What workloads call it: ``rtx4090``."""
    name: str
    vendor: str
    kind: str
    """``gpu``, ``tpu``, ``edge-tpu`` or ``cpu``."""
    unit: str
    """What ``compute_units`` counts: SM, TensorCore, core."""
    aliases: tuple[str, ...] = ()
    """Other names, among them what ``torch.cuda.get_device_name`` and JAX's ``device_kind`` return."""
    compute_units: int | None = None
    clock_ghz: float | None = None
    """Published boost clock."""
    peaks: Mapping[Precision, float] = field(default_factory=dict)
    """FLOP/s (int8: operations per second), dense."""
    memory_bytes: int | None = None
    bandwidth: float | None = None
    """Of the main memory, B/s."""
    onchip_bytes: int | None = None
    """GPU: last-level cache; TPU: VMEM and CMEM; CPU: last-level cache."""
    tdp_w: float | None = None
    """Rated power, W; for TPUs the largest that their vendor measured."""
    cores_per_device: int | None = None
    """TPUs: TensorCores that a program's device holds, of ``compute_units`` in the chip."""
    status: Mapping[str, Status] = field(default_factory=dict)
    """Figure (of `FIGURES`) -> how it is known; those unknown are missing."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Figure -> where it was seen, or how it was derived; those recalled are missing."""
    note: str = ""

    @property
    def devices_per_chip(self) -> int:
        """How many devices a program sees in one chip: 2 where it sees TensorCores one by one."""
        if self.cores_per_device is None or self.compute_units is None:
            return 1
        return self.compute_units // self.cores_per_device

    @property
    def recalled(self) -> tuple[str, ...]:
        """Figures that nobody verified, in the order of `FIGURES`."""
        return tuple(name for name in FIGURES if self.status.get(name) is Status.RECALLED)

    def peak(self, precision: Precision) -> float:
        """Return FLOP/s at a precision; mixed precision runs at the float16 rate.

        Where matrix units do not know tf32 and a device computes such products in float32, that rate counts.

        Raises:
            UsageError: no peak is known at this precision; the message lists those that are.
        """
        wanted: tuple[Precision, ...] = (precision,)
        if precision is Precision.AMP:
            wanted = (Precision.FP16,)
        elif precision is Precision.TF32 and self.kind == "gpu":
            wanted = (Precision.TF32, Precision.FP32)
        for candidate in wanted:
            if candidate in self.peaks:
                return self.peaks[candidate]
        known = ", ".join(str(p) for p in PEAKS if p in self.peaks)
        raise UsageError(f"no peak of {self.name} is known in {precision}; known: {known or 'none'}")


def devices() -> tuple[Device, ...]:
    """Return every device of the table, sorted by key."""
    return _table()


def find_device_entry(name: str) -> Device:
    """Return the device called ``name``: its key, or an alias in any spelling.

    >>> find_device_entry("NVIDIA GeForce RTX 4090").key, find_device_entry("rtx 4090").key
    ('rtx4090', 'rtx4090')

    Raises:
        UsageError: no such device; the message names near ones and lists those that exist.
    """
    found = _by_name().get(_spelling(name))
    if found is None:
        raise unknown_device(name)
    return found


def unknown_device(name: str) -> UsageError:
    """Return the error for a device that the table does not have: near names, and all that exist.

    Unlike other unknown names all are listed: two dozen of them, and nowhere else to look.
    """
    keys = [device.key for device in devices()]
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    inside = [key for key in keys if plain and plain in re.sub(r"[^a-z0-9]", "", key)]
    first = f"unknown device {name!r}"
    if near := inside[:4] or difflib.get_close_matches(name.lower(), keys, n=3, cutoff=0.6):
        first += f"; did you mean {', '.join(near)}?"
    return UsageError(f"{first}{'' if near else ';'} known: {', '.join(keys)}")


def per_program_device(device: Device) -> Device:
    """Return the part of a chip that a program sees as one device; the device itself where that is all of it.

    Peaks, bandwidth, memory, on-chip memory and power are shared out evenly.
    """
    parts = device.devices_per_chip
    if parts == 1:
        return device

    def share(value: float | None) -> float | None:
        return None if value is None else value / parts

    def whole(value: int | None) -> int | None:
        return None if value is None else value // parts

    return replace(
        device,
        compute_units=device.cores_per_device,
        peaks={precision: value / parts for precision, value in device.peaks.items()},
        memory_bytes=whole(device.memory_bytes),
        bandwidth=share(device.bandwidth),
        onchip_bytes=whole(device.onchip_bytes),
        tdp_w=share(device.tdp_w),
    )


@functools.cache
def _table() -> tuple[Device, ...]:
    text = files("explorer.data").joinpath("tables/devices.csv").read_text(encoding="utf-8")
    return read_devices(text)


@functools.cache
def _by_name() -> dict[str, Device]:
    return {
        _spelling(name): device for device in devices() for name in (device.key, device.name, *device.aliases)
    }


def read_devices(text: str) -> tuple[Device, ...]:
    """Read a device table, CSV in the form of ``tables/devices.csv``.

    Raises:
        InputDataError: a figure that is not a positive number, a source for a figure that is not given, or
            a name that stands for two devices.
    """
    found = tuple(_device(row) for row in csv.DictReader(text.splitlines()))
    owners: dict[str, str] = {}
    for device in found:
        for name in {_spelling(name) for name in (device.key, device.name, *device.aliases)}:
            if owners.setdefault(name, device.key) != device.key:
                raise InputDataError(f"device table: {name!r} stands for {owners[name]} and {device.key}")
    return tuple(sorted(found, key=lambda device: device.key))


def _device(row: Mapping[str, str]) -> Device:
    key = row["key"]
    numbers = {name: _number(row, column, scale) for name, (column, scale) in _NUMBERS.items()}
    given = [name for name, value in numbers.items() if value is not None]
    sources = _sources(row)
    if extra := sorted(set(sources) - set(given)):
        raise InputDataError(f"device table: {key} has a source for {', '.join(extra)} but no figure")
    return Device(
        key=key,
        name=row["name"],
        vendor=row["vendor"],
        kind=row["kind"],
        unit=row["unit"],
        aliases=tuple(part.strip() for part in row["aliases"].split(";") if part.strip()),
        compute_units=_whole(numbers["compute_units"]),
        clock_ghz=numbers["clock"],
        peaks={p: value for p in PEAKS if (value := numbers[str(p)]) is not None},
        memory_bytes=_whole(numbers["memory"]),
        bandwidth=numbers["bandwidth"],
        onchip_bytes=_whole(numbers["onchip"]),
        tdp_w=numbers["tdp"],
        cores_per_device=_whole(_number(row, "cores_per_device", 1.0)),
        status={name: _status(sources.get(name)) for name in given},
        sources=sources,
        note=row["note"],
    )


def _number(row: Mapping[str, str], column: str, scale: float) -> float | None:
    text = row[column].strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise InputDataError(f"device table: {column} of {row['key']} is {text!r}; wanted a number above 0")
    return value * scale


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _sources(row: Mapping[str, str]) -> dict[str, str]:
    """Read ``figure figure = where | figure = derived: how``."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in row["sources"].split("|"))):
        names, equals, where = part.partition(" = ")
        for name in names.split():
            if not equals or name not in FIGURES or name in found:
                raise InputDataError(f"device table: cannot read the sources of {row['key']} at {part!r}")
            found[name] = where.strip()
    return found


def _status(source: str | None) -> Status:
    if source is None:
        return Status.RECALLED
    return Status.DERIVED if source.startswith("derived:") else Status.SEEN


def _spelling(name: str) -> str:
    """Return what is left of a name without vendor, punctuation and case: what makes it this device."""
    text = re.sub(r"@[\s_-]*[0-9.]+[\s_-]*ghz", " ", name.lower())
    words = re.findall(r"[a-z]+|[0-9]+", text.replace("®", " ").replace("™", " "))
    return "".join(word for word in words if word not in _NOISE)

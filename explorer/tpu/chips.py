"""The TPUs that XLA's compiler compiles for here, and what it calls them.

Everything else about them (clock, memory, bandwidth, cores) is the device table's
(`explorer.data.devices`), as a program sees it: on most generations one of a chip's two cores. The clock
turns cycles into seconds; it is held down by the peak, which no product may come out faster than.
"""

from dataclasses import dataclass

from explorer.data.devices import Device, find_device_entry, per_program_device
from explorer.errors import UsageError, unknown_name

VALIDATED = ("tpu-v2", "tpu-v3")
"""Generations on which estimates were compared with published measurements."""

_TOPOLOGIES = {
    "tpu-v2": ("v2:2x2", "TPU v2"),
    "tpu-v3": ("v3:2x2", "TPU v3"),
    "tpu-v4": ("v4:2x2x1", "TPU v4"),
    "tpu-v5e": ("v5e:2x2", "TPU v5 lite"),
    "tpu-v5p": ("v5p:2x2x1", "TPU v5"),
    "tpu-v6e": ("v6e:2x2", "TPU v6 lite"),
    "tpu7x": ("tpu7x:2x2x1", "TPU7x"),
}
"""Key -> the smallest slice that the compiler knows by name, and what one device of it calls itself."""
KEYS = tuple(_TOPOLOGIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """One generation, as the compiler and the device table see it."""

    topology: str
    """A slice of which one device is compiled for."""
    kind: str
    """What that device calls itself."""
    chip: Device
    """The whole chip."""
    device: Device
    """The part of it that is one device of the compiler's."""
    clock_hz: float
    memory_bytes: int
    """Of the compiler's device."""
    bandwidth: float
    """Bytes a second between that memory and the compiler's device."""

    @property
    def key(self) -> str:
        """As in the device table."""
        return self.chip.key

    @property
    def validated(self) -> bool:
        """Whether estimates were compared with published measurements of this generation."""
        return self.key in VALIDATED

    @property
    def devices_per_chip(self) -> int:
        """Programs that one chip runs side by side."""
        return self.chip.devices_per_chip


def find_chip(name: str) -> Chip:
    """Return the TPU called ``name``, a key or alias of the device table.

    Raises:
        UsageError: no such device, not one that the compiler knows (the message lists those), or the table
            lacks its clock, memory or bandwidth.
    """
    whole = find_device_entry(name)
    if whole.key not in _TOPOLOGIES:
        raise unknown_name("TPU", whole.key, _TOPOLOGIES)
    part = per_program_device(whole)
    if part.clock_ghz is None or part.memory_bytes is None or part.bandwidth is None:
        raise UsageError(f"the device table lacks the clock, memory or bandwidth of {whole.key}")
    topology, kind = _TOPOLOGIES[whole.key]
    return Chip(
        topology=topology,
        kind=kind,
        chip=whole,
        device=part,
        clock_hz=part.clock_ghz * 1e9,
        memory_bytes=part.memory_bytes,
        bandwidth=part.bandwidth,
    )

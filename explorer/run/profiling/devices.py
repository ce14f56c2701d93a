"""Find the device of a workload on this machine, or say that it is known but elsewhere, or unknown."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from explorer.errors import EnvironmentMissingError, UsageError
from explorer.measure.environment import cpu_name, find_device
from explorer.workload import Workload


def here(workload: Workload) -> Workload:
    """Return the workload with its device as torch calls it: ``rtx4090`` may be ``cuda:0`` here.

    Raises:
        UsageError: unknown device; the message lists those that are known.
        EnvironmentMissingError: a known device that is not here.
    """
    return replace(workload, device=_local_name(workload.device))


@lru_cache(maxsize=64)
def _local_name(name: str) -> str:
    if name == "cpu" or name.partition(":")[0] == "cuda":
        find_device(name)
        return name
    from explorer.data.devices import find_device_entry

    entry = find_device_entry(name)
    for local, own_name in _own_devices():
        try:
            if find_device_entry(own_name).key == entry.key:
                return local
        except UsageError:
            continue  # this machine's device is not in the table
    found = ", ".join(f"{local} ({own})" for local, own in _own_devices())
    raise EnvironmentMissingError(
        f"device {name!r} ({entry.name}) is not here (here: {found}): measure there, or --predict"
    )


def _own_devices() -> Sequence[tuple[str, str]]:
    """Return what torch calls the devices of this machine, and what they call themselves."""
    import torch

    found = [("cpu", cpu_name().rpartition(" (")[0])]
    if torch.cuda.is_available():
        found += [(f"cuda:{i}", torch.cuda.get_device_name(i)) for i in range(torch.cuda.device_count())]
    return found

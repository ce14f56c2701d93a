"""Look at the machine before and after a measurement, and say what makes the figure doubtful.

Only looks: no clock, power limit or mode is changed. What the system does not tell is None.
"""

import os
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch

from explorer.measure import nvml
from explorer.record import DOUBTFUL_SPREAD, LatencyRun

CLOCK_DROP = 0.05
"""Share by which a clock may be lower after the measurement than before it."""
STEAL_SHARE = 0.05
"""Share of processor time the machine's host may have given to others."""
OTHER_CORES = 0.2
"""Processor cores that other programs may have kept busy meanwhile, ..."""
OTHER_SHARE = 0.1
"""... or this share of all cores, where that is more."""
DRIFT = 0.1
"""Share by which the medians of the first and last third of the samples may differ."""
_DRIFT_SAMPLES = 9
_SHORTEST_S = 0.5
"""The system counts processor time in hundredths of a second: a shorter span tells nothing."""

_STAT = Path("/proc/stat")
_CPU_INFO = Path("/proc/cpuinfo")
_FREQUENCIES = Path("/sys/devices/system/cpu")
_STEAL = 7
_IDLE = (3, 4)
"""Columns of /proc/stat: steal; idle and waiting for files. Source: proc(5)."""
_USER_COLUMNS = 8
"""Columns from the ninth on (guests) are part of the first two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorTimes:
    """Seconds of all cores together since the machine started, and of this program since it did."""

    at_s: float
    """When this was read, by the host's clock."""
    total_s: float
    busy_s: float
    """Neither idle nor stolen."""
    steal_s: float
    own_s: float
    """Of this program and its children that ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What the machine said of itself at one moment; None is unknown."""

    device: str
    load_1m: float | None = None
    """Programs that ran or wanted to, averaged over a minute."""
    cpu_mhz: float | None = None
    """Mean over the cores."""
    times: ProcessorTimes | None = None
    sm_clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    throttling: tuple[str, ...] | None = None
    """Why the GPU's clocks are lower than asked for; empty: they are not."""
    driver: str | None = None
    missing: str = ""
    """Why a GPU tells nothing of itself; empty where it does."""

    def document(self) -> dict[str, object]:
        """Return what is known, by field name, as JSON values; the raw processor times are left out."""
        known = {name: value for name, value in asdict(self).items() if value is not None and name != "times"}
        return {name: value for name, value in known.items() if value != ""}


def observe(device: str | torch.device = "cpu") -> Observation:
    """Return what the machine says of itself now."""
    where = torch.device(device)
    seen: dict[str, Any] = {"load_1m": _load(), "cpu_mhz": _cpu_mhz(), "times": _processor_times()}
    if where.type == "cuda":
        seen |= _gpu(where)
    return Observation(device=str(where), **seen)


def doubtful_reasons(before: Observation, after: Observation, run: LatencyRun) -> tuple[str, ...]:
    """Return why a run should not be quoted without a warning; empty where nothing was seen.

    Args:
        before: just before the samples were taken, the device warm.
        after: just after.
        run: the samples.
    """
    reasons = []
    if run.spread > DOUBTFUL_SPREAD:
        reasons.append(f"samples scatter: interquartile range {run.spread:.0%} of the median")
    drift = drift_share(run.samples_s)
    if abs(drift) > DRIFT:
        reasons.append(f"drift: the last third of the samples took {drift:+.0%} against the first")
    return (*reasons, *_machine_reasons(before, after))


def drift_share(samples_s: tuple[float, ...]) -> float:
    """Return how much longer the last third took than the first, by medians; 0 for under 9 samples."""
    if len(samples_s) < _DRIFT_SAMPLES:
        return 0.0
    third = len(samples_s) // 3
    return median(samples_s[-third:]) / median(samples_s[:third]) - 1.0


def _machine_reasons(before: Observation, after: Observation) -> list[str]:
    reasons = []
    throttling = {*(before.throttling or ()), *(after.throttling or ())}
    if throttling:
        reasons.append(f"throttled: {', '.join(sorted(throttling))}")
    for name, field in (
        ("SM clock", "sm_clock_mhz"), ("memory clock", "memory_clock_mhz"), ("CPU clock", "cpu_mhz"),
    ):  # fmt: skip
        was, now = getattr(before, field), getattr(after, field)
        if was and now is not None and now < (1.0 - CLOCK_DROP) * was:
            reasons.append(f"{name} dropped from {was:.0f} to {now:.0f} MHz")
    return reasons + _load_reasons(before.times, after.times)


def _load_reasons(before: ProcessorTimes | None, after: ProcessorTimes | None) -> list[str]:
    if before is None or after is None:
        return []
    wall, total = after.at_s - before.at_s, after.total_s - before.total_s
    if wall < _SHORTEST_S or total <= 0.0:
        return []
    reasons = []
    steal = (after.steal_s - before.steal_s) / total
    if steal > STEAL_SHARE:
        reasons.append(f"the host gave {steal:.0%} of the processor to others (steal)")
    others = ((after.busy_s - before.busy_s) - (after.own_s - before.own_s)) / wall
    if others > max(OTHER_CORES, OTHER_SHARE * (os.cpu_count() or 1)):
        reasons.append(f"other programs kept {others:.1f} processor cores busy")
    return reasons


# ---- what the system tells --------------------------------------------------------------------


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def _processor_times() -> ProcessorTimes | None:
    if not _STAT.is_file():
        return None
    first = _STAT.read_text(encoding="utf-8").partition("\n")[0].split()
    if not first or first[0] != "cpu" or len(first) <= _STEAL + 1:
        return None
    tick = os.sysconf("SC_CLK_TCK")
    seconds = [int(column) / tick for column in first[1 : _USER_COLUMNS + 1]]
    idle = sum(seconds[column] for column in _IDLE)
    own = os.times()
    return ProcessorTimes(
        at_s=time.perf_counter(),
        total_s=sum(seconds),
        busy_s=sum(seconds) - idle - seconds[_STEAL],
        steal_s=seconds[_STEAL],
        own_s=own.user + own.system + own.children_user + own.children_system,
    )


def _cpu_mhz() -> float | None:
    governed = []
    for path in sorted(_FREQUENCIES.glob("cpu[0-9]*/cpufreq/scaling_cur_freq")):
        try:
            governed.append(int(path.read_text(encoding="utf-8")) / 1e3)
        except (OSError, ValueError):
            continue  # a core that is switched off, or a driver that does not tell
    if governed:
        return fmean(governed)
    if not _CPU_INFO.is_file():
        return None
    text = _CPU_INFO.read_text(encoding="utf-8", errors="replace")
    told = [float(value) for value in re.findall(r"^cpu MHz\s*:\s*([0-9.]+)", text, re.MULTILINE)]
    return fmean(told) if told else None


def _gpu(device: torch.device) -> dict[str, object]:
    """Ask NVML; every answer on its own, since cards and drivers differ in what they tell."""
    pynvml, handle = nvml.library(), nvml.handle(device)
    if pynvml is None or handle is None:
        return {"missing": nvml.missing_reason() or "the driver does not tell which GPU this is"}

    def number(question: str, *arguments: object, scale: float = 1.0) -> float | None:
        answer = nvml.asked(lambda: getattr(pynvml, question)(handle, *arguments))
        return None if answer is None else float(answer) * scale

    mask = nvml.asked(_mask_question(pynvml, handle))
    return {
        "sm_clock_mhz": number("nvmlDeviceGetClockInfo", pynvml.NVML_CLOCK_SM),
        "memory_clock_mhz": number("nvmlDeviceGetClockInfo", pynvml.NVML_CLOCK_MEM),
        "temperature_c": number("nvmlDeviceGetTemperature", pynvml.NVML_TEMPERATURE_GPU),
        "power_w": number("nvmlDeviceGetPowerUsage", scale=1e-3),
        "throttling": None if mask is None else nvml.throttle_reasons(int(mask)),
        "driver": nvml.driver_version(),
    }


def _mask_question(pynvml: Any, handle: object) -> Callable[[], Any]:
    """Return the question for the mask of reasons, under its newer name or its older."""
    name = "nvmlDeviceGetCurrentClocksEventReasons"
    if not hasattr(pynvml, name):
        name = "nvmlDeviceGetCurrentClocksThrottleReasons"
    return lambda: getattr(pynvml, name)(handle)

"""Measure the energy of a call by counter windows: the counter before and after seconds of calls.

A counter that moves every 100 ms is no use for one call of milliseconds, so a window holds seconds of
them. Windows are repeated; before each one a pause of random length shifts its phase against the
counter's and against whatever samples power (on some GPUs only a quarter of the time is sampled), and
lets the device cool a little, since power rises with temperature. Idle power is measured first.
"""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from explorer.accounting import energy as rated
from explorer.convention import Basis
from explorer.data.devices import Device
from explorer.errors import EnvironmentMissingError, UsageError
from explorer.measure.energy_meters import Meter, energy_meter
from explorer.measure.stopping import MIN_SAMPLES, median_interval
from explorer.record import CostFigure

MIN_WINDOW_S = 2.0
"""Shortest window: with a counter that moves every 100 ms its energy is then known within 5 %."""
_PAUSE_S = (0.2, 0.7)
"""Pause before a window: a fixed part, and a random one of up to the difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyWindow:
    """One window as it was read."""

    joules: float
    """The counter's after minus before: device idling included."""
    seconds: float
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyRun:
    """What a call costs in energy on one device, with the windows it was read from."""

    windows: tuple[EnergyWindow, ...]
    idle_w: float
    """Power before, with nothing of ours running; whatever else ran is in it."""
    meter: str
    scope: str
    """What the counter counts."""
    update_s: float
    """How often the counter moves."""

    @property
    def samples(self) -> tuple[float, ...]:
        """Joules a call, idling included, one a window."""
        return tuple(window.joules / window.calls for window in self.windows)

    @property
    def joules_per_call(self) -> float:
        """Median of the windows; what the device drew while it served one call, idling included."""
        return statistics.median(self.samples)

    @property
    def above_idle_samples(self) -> tuple[float, ...]:
        """Joules a call above what the device draws anyway, one a window; below 0 only by noise."""
        return tuple((w.joules - self.idle_w * w.seconds) / w.calls for w in self.windows)

    @property
    def above_idle_joules_per_call(self) -> float:
        """Median of the windows: what one call adds to a device that is on in any case."""
        return statistics.median(self.above_idle_samples)

    @property
    def power_w(self) -> float:
        """Median power while the calls ran."""
        return statistics.median(window.joules / window.seconds for window in self.windows)

    @property
    def window_s(self) -> float:
        """Median length of a window."""
        return statistics.median(window.seconds for window in self.windows)


def measure_energy(
    call: Callable[[], object],
    meter: Meter,
    seconds: float = MIN_WINDOW_S,
    *,
    windows: int = MIN_SAMPLES,
    wait: Callable[[], object] | None = None,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> EnergyRun:
    """Read what ``call`` costs in energy: idle power first, then ``windows`` of calls back to back.

    Args:
        call: what is measured, warm already; its result is dropped.
        meter: of the device it runs on.
        seconds: length of a window, idle or busy; `MIN_WINDOW_S` or more.
        windows: how many; six or more, or the median has no interval.
        wait: waits until the device has finished; called at both ends of a window.
        seed: of the pauses.
        clock: returns seconds; replaced in tests.
        sleep: replaced in tests.

    Raises:
        UsageError: windows too short or too few.
        EnvironmentMissingError: the counter stands still.
    """
    if not MIN_WINDOW_S <= seconds < inf:
        raise UsageError(f"an energy window needs {MIN_WINDOW_S:g} s or more, got {seconds!r}")
    if windows < MIN_SAMPLES:
        raise UsageError(f"energy needs {MIN_SAMPLES} windows or more, got {windows}")
    settle = wait or (lambda: None)
    pauses = random.Random(seed)

    def pause() -> None:
        sleep(pauses.uniform(*_PAUSE_S))

    settle()
    pause()
    begin, start = clock(), meter.read_joules()
    sleep(seconds)
    idle_w = (meter.read_joules() - start) / (clock() - begin)

    found = []
    for _ in range(windows):
        pause()
        found.append(_window(call, meter, seconds, settle, clock))
    if not all(window.joules > 0.0 for window in found):
        raise EnvironmentMissingError(
            f"the counter {meter.name!r} stood still while calls ran: it counts nothing"
        )
    return EnergyRun(
        windows=tuple(found), idle_w=idle_w, meter=meter.name, scope=meter.scope, update_s=meter.update_s
    )


def _window(
    call: Callable[[], object],
    meter: Meter,
    seconds: float,
    settle: Callable[[], object],
    clock: Callable[[], float],
) -> EnergyWindow:
    settle()
    calls, begin, start = 0, clock(), meter.read_joules()
    # Calls are waited for one by one, as a latency's are: the same work at the same pace, and the
    # window's end is known.
    while calls == 0 or clock() - begin < seconds:
        call()
        settle()
        calls += 1
    return EnergyWindow(joules=meter.read_joules() - start, seconds=clock() - begin, calls=calls)


def energy_figure(run: EnergyRun, *, batch: int = 1, above_idle: bool = False) -> CostFigure:
    """Return joules an example, with the interval of the windows' median and of the counter's steps.

    Args:
        run: of calls of ``batch`` examples.
        batch: examples a call.
        above_idle: leave out what the device draws anyway.

    Raises:
        UsageError: above idle, and the calls cannot be told from idling.
    """
    samples = run.above_idle_samples if above_idle else run.samples
    value = statistics.median(samples)
    low, high = median_interval(samples)
    # A window may miss or gain one step of the counter; repeated at random phases half of them do not.
    step = run.power_w * run.update_s / statistics.median(window.calls for window in run.windows)
    low, high = min(low, value - step), max(high, value + step)
    if above_idle and low <= 0.0:
        raise UsageError(
            f"energy above idle cannot be told: {run.power_w:.3g} W while calls ran, {run.idle_w:.3g} W idle"
        )
    return CostFigure(value=value / batch, low=max(0.0, low) / batch, high=high / batch, basis=Basis.MEASURED)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyAnswer:
    """Energy of an example: measured, a bound, or unknown; never 0 for want of a meter."""

    figure: CostFigure | None
    """Joules an example; None: unknown."""
    run: EnergyRun | None
    """The windows, where it was measured."""
    reason: str
    """Why it was not measured, and why there is no bound; empty where it was."""


def energy_or_bound(
    call: Callable[[], object],
    device: str,
    *,
    latency: CostFigure,
    entry: Device | None,
    batch: int = 1,
    seconds: float = MIN_WINDOW_S,
    wait: Callable[[], object] | None = None,
) -> EnergyAnswer:
    """Measure the energy of ``call`` where ``device`` has a counter, else bound it by rated power x time.

    Args:
        call: runs ``batch`` examples.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        latency: of a call, in seconds; its upper end makes the bound.
        entry: of the device table; None where the device is not in it.
        batch: examples a call.
        seconds: length of a window.
        wait: waits until the device has finished.

    Raises:
        UsageError: windows too short, or not a device's name.
        EnvironmentMissingError: the device is not here, or its counter stands still.
    """
    meter, reason = energy_meter(device)
    if meter is not None:
        run = measure_energy(call, meter, seconds, wait=wait)
        return EnergyAnswer(figure=energy_figure(run, batch=batch), run=run, reason="")
    return energy_bound(device, latency=latency, entry=entry, batch=batch, reason=reason)


def energy_bound(
    device: str, *, latency: CostFigure, entry: Device | None, batch: int = 1, reason: str
) -> EnergyAnswer:
    """Bound the energy of an example by rated power x time; unknown where power or time have no upper end.

    Args:
        device: what the reason calls it.
        latency: of a call, in seconds; its upper end makes the bound.
        entry: of the device table; None where the device is not in it.
        batch: examples a call.
        reason: why it was not measured.
    """
    if entry is None:
        return EnergyAnswer(figure=None, run=None, reason=f"{reason}; {device} is not in the device table")
    bound = rated.bound(entry, latency)
    if bound is None:
        return EnergyAnswer(figure=None, run=None, reason=f"{reason}; {rated.missing_reason(entry, latency)}")
    return EnergyAnswer(figure=bound.per_example(batch), run=None, reason=reason)

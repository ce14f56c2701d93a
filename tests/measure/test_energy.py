"""Energy windows on a simulated device: a clock, a power and a counter of our own."""

import math
from dataclasses import replace

import pytest

from explorer.convention import Basis
from explorer.errors import EnvironmentMissingError, UsageError
from explorer.measure import energy as energy_module
from explorer.measure.energy import energy_figure, energy_or_bound, measure_energy
from explorer.measure.energy_meters import Meter
from explorer.record import CostFigure

IDLE_W, BUSY_W, CALL_S = 70.0, 310.0, 0.013


class Device:
    """Time passes in calls and sleeps alone; power is integrated exactly, the counter moves in steps."""

    def __init__(self, *, update_s: float = 0.0, busy_w: float = BUSY_W) -> None:
        self.now = self.joules = self.shown = self.next_update = 0.0
        self.update_s, self.busy_w = update_s, busy_w
        self.slept: list[float] = []

    def _pass(self, seconds: float, power_w: float) -> None:
        end = self.now + seconds
        while self.update_s and self.next_update <= end:
            self.shown = self.joules + (self.next_update - self.now) * power_w
            self.next_update += self.update_s
        self.now, self.joules = end, self.joules + seconds * power_w
        if not self.update_s:
            self.shown = self.joules

    def call(self) -> None:
        self._pass(CALL_S, self.busy_w)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._pass(seconds, IDLE_W)

    def meter(self) -> Meter:
        return Meter(name="fake", scope="all", update_s=self.update_s, read_joules=lambda: self.shown)

    def measure(self, **more: object):
        return measure_energy(self.call, self.meter(), clock=lambda: self.now, sleep=self.sleep, **more)  # type: ignore[arg-type]


def test_a_smooth_counter_gives_the_exact_energy() -> None:
    run = Device().measure()

    assert run.idle_w == pytest.approx(IDLE_W)
    assert run.power_w == pytest.approx(BUSY_W)
    assert run.joules_per_call == pytest.approx(BUSY_W * CALL_S)
    assert run.above_idle_joules_per_call == pytest.approx((BUSY_W - IDLE_W) * CALL_S)
    assert all(2.0 <= window.seconds < 2.0 + 2 * CALL_S for window in run.windows)
    assert len(run.windows) == 6


@pytest.mark.parametrize("seed", range(20))
def test_a_counter_of_100_ms_is_right_within_its_own_interval(seed: int) -> None:
    run = Device(update_s=0.1).measure(seed=seed)
    figure = energy_figure(run)

    assert figure.low <= BUSY_W * CALL_S <= figure.high
    assert run.joules_per_call == pytest.approx(BUSY_W * CALL_S, rel=0.05)
    assert (figure.high - figure.low) / figure.value < 0.25
    assert figure.basis is Basis.MEASURED


def test_the_phase_of_windows_varies() -> None:
    device = Device(update_s=0.1)
    device.measure()

    pauses = [pause for pause in device.slept if pause != 2.0]
    assert len(pauses) == 7
    assert len({round(pause % 0.1, 4) for pause in pauses}) > 4
    assert all(0.2 <= pause <= 0.7 for pause in pauses)


def test_a_window_is_never_shorter_than_one_call() -> None:
    device = Device()
    slow = measure_energy(
        lambda: [device.call() for _ in range(1000)],
        device.meter(),
        clock=lambda: device.now,
        sleep=device.sleep,
    )

    assert [window.calls for window in slow.windows] == [1] * 6
    assert slow.joules_per_call == pytest.approx(1000 * BUSY_W * CALL_S)


def test_work_that_runs_beside_the_host_is_waited_for() -> None:
    device, queued = Device(), []

    def wait() -> None:
        while queued:
            queued.pop()
            device.call()

    run = measure_energy(
        lambda: queued.append(1), device.meter(), wait=wait, clock=lambda: device.now, sleep=device.sleep
    )

    assert run.joules_per_call == pytest.approx(BUSY_W * CALL_S)
    assert run.idle_w == pytest.approx(IDLE_W)


def test_an_example_costs_its_share_of_a_batch() -> None:
    run = Device().measure()

    whole, each = energy_figure(run), energy_figure(run, batch=7)
    assert each.value == pytest.approx(whole.value / 7)
    assert each.low == pytest.approx(whole.low / 7)
    assert energy_figure(run, above_idle=True).value == pytest.approx((BUSY_W - IDLE_W) * CALL_S)


def test_above_idle_that_cannot_be_told_from_idling_is_refused() -> None:
    run = Device(update_s=0.1, busy_w=IDLE_W + 0.5).measure()

    assert energy_figure(run).value > 0
    with pytest.raises(UsageError, match="above idle cannot be told"):
        energy_figure(run, above_idle=True)


def test_a_counter_that_stands_still_is_not_an_energy_of_0() -> None:
    device = Device()
    still = replace(device.meter(), read_joules=lambda: 41.0)

    with pytest.raises(EnvironmentMissingError, match="'fake' stood still"):
        measure_energy(device.call, still, clock=lambda: device.now, sleep=device.sleep)


@pytest.mark.parametrize(
    "options", [{"seconds": 1.9}, {"seconds": math.nan}, {"seconds": math.inf}, {"windows": 5}]
)
def test_windows_too_short_or_too_few_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Device().measure(**options)


# ---- without a meter ----------------------------------------------------------------------------

LATENCY = CostFigure(value=0.5, low=0.4, high=0.7, basis=Basis.MEASURED)


@pytest.fixture
def no_meter(monkeypatch) -> None:
    monkeypatch.setattr(energy_module, "energy_meter", lambda device: (None, "no counter here"))


def entry(key: str):
    from explorer.data.devices import find_device_entry

    return find_device_entry(key)


def test_without_a_meter_it_is_rated_power_times_time(no_meter) -> None:
    device = entry("rtx4090")
    answer = energy_or_bound(lambda: None, "cpu", latency=LATENCY, entry=device, batch=2)

    assert answer.figure is not None
    assert answer.run is None
    assert answer.reason == "no counter here"
    assert (answer.figure.low, answer.figure.basis) == (0.0, Basis.BOUND)
    assert answer.figure.value == pytest.approx(device.tdp_w * 0.7 / 2)


def test_without_meter_and_rating_it_is_unknown_and_says_why(no_meter) -> None:
    device = replace(entry("rtx4090"), tdp_w=None)

    nothing = energy_or_bound(lambda: None, "cpu", latency=LATENCY, entry=device)
    assert nothing.figure is None
    assert nothing.reason.startswith("no counter here; energy unknown: no power rating")
    unlisted = energy_or_bound(lambda: None, "cpu", latency=LATENCY, entry=None)
    assert unlisted.figure is None
    assert "not in the device table" in unlisted.reason


def test_with_a_meter_it_is_measured(monkeypatch) -> None:
    device = Device()
    monkeypatch.setattr(energy_module, "energy_meter", lambda name: (device.meter(), ""))
    monkeypatch.setattr(
        energy_module,
        "measure_energy",
        lambda call, meter, seconds, wait: measure_energy(
            call, meter, seconds, wait=wait, clock=lambda: device.now, sleep=device.sleep
        ),
    )
    answer = energy_or_bound(device.call, "cpu", latency=LATENCY, entry=None)

    assert answer.figure is not None
    assert answer.figure.value == pytest.approx(BUSY_W * CALL_S)
    assert (answer.figure.basis, answer.reason) == (Basis.MEASURED, "")


@pytest.mark.gpu
def test_a_gpus_own_counter() -> None:
    import torch

    from explorer.measure.energy_meters import energy_meter

    meter, reason = energy_meter("cuda")
    assert meter is not None, reason
    product = torch.rand(2048, 2048, device="cuda")
    run = measure_energy(lambda: product @ product, meter, wait=torch.cuda.synchronize)

    assert 5.0 < run.idle_w < run.power_w < 2000.0
    assert energy_figure(run).low > 0.0

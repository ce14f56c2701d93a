"""What the machine says, from files and a GPU library of our own; and what makes a run doubtful."""

import json
import re
import sys
import time
from types import SimpleNamespace

import pytest
import torch

from explorer.measure import nvml
from explorer.measure import observe as observing
from explorer.measure.observe import Observation, ProcessorTimes, doubtful_reasons, observe
from explorer.record import LatencyRun


@pytest.fixture
def run(conditions):
    """Return what makes a run of these samples."""

    def make(*samples_s: float) -> LatencyRun:
        return LatencyRun(
            subject="a", samples_s=samples_s, warmup_s=(), conditions=conditions, stop_reason="time"
        )

    return make


def quiet(**seen) -> Observation:
    return Observation(device="cuda:0", **seen)


STEADY = (1.0, 1.01, 0.99) * 5

# ---- reasons ----------------------------------------------------------------------------------


def test_nothing_seen_is_nothing_said(run) -> None:
    assert doubtful_reasons(quiet(), quiet(), run(*STEADY)) == ()
    assert doubtful_reasons(quiet(throttling=()), quiet(throttling=()), run(*STEADY)) == ()


def test_scatter(run) -> None:
    (reason,) = doubtful_reasons(quiet(), quiet(), run(*(1.0, 1.5, 2.0) * 5))

    assert reason == "samples scatter: interquartile range 67% of the median"


@pytest.mark.parametrize(
    ("last", "said"),
    [(1.09, None), (1.12, "+12%"), (0.88, "-12%"), (0.91, None)],
)
def test_drift(run, last, said) -> None:
    samples = (1.0,) * 50 + (last,) * 26
    reasons = doubtful_reasons(quiet(), quiet(), run(*samples[:76]))

    assert [said] == [r.split(" took ")[1].split()[0] for r in reasons] or (said is None and reasons == ())


def test_few_samples_do_not_drift(run) -> None:
    assert observing.drift_share((1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0)) == 0.0
    assert observing.drift_share((1.0,) * 6 + (1.5,) * 3) == pytest.approx(0.5)


def test_throttling_before_or_after(run) -> None:
    (reason,) = doubtful_reasons(
        quiet(throttling=("power limit",)),
        quiet(throttling=("hardware slowdown", "power limit")),
        run(*STEADY),
    )

    assert reason == "throttled: hardware slowdown, power limit"


@pytest.mark.parametrize(
    ("field", "words"),
    [("sm_clock_mhz", "SM clock"), ("memory_clock_mhz", "memory clock"), ("cpu_mhz", "CPU clock")],
)
def test_clocks_that_dropped(run, field, words) -> None:
    def reasons(was, now):
        return doubtful_reasons(quiet(**{field: was}), quiet(**{field: now}), run(*STEADY))

    assert reasons(1000.0, 949.0) == (f"{words} dropped from 1000 to 949 MHz",)
    assert reasons(1000.0, 951.0) == ()
    assert reasons(500.0, 1000.0) == ()  # rose: it was idle before
    assert reasons(None, 900.0) == reasons(1000.0, None) == ()  # unknown is not a drop


def times(at: float, total: float, busy: float, steal: float = 0.0, own: float = 0.0) -> ProcessorTimes:
    return ProcessorTimes(at_s=at, total_s=total, busy_s=busy, steal_s=steal, own_s=own)


def load(run, before: ProcessorTimes, after: ProcessorTimes) -> tuple[str, ...]:
    return doubtful_reasons(quiet(times=before), quiet(times=after), run(*STEADY))


def test_steal(run) -> None:
    assert load(run, times(0, 100, 50), times(2, 104, 52, steal=0.3, own=2)) == (
        "the host gave 8% of the processor to others (steal)",
    )
    assert load(run, times(0, 100, 50), times(2, 104, 52, steal=0.19, own=2)) == ()


def test_load_beside_us(run, monkeypatch) -> None:
    monkeypatch.setattr(observing.os, "cpu_count", lambda: 2)
    assert load(run, times(0, 100, 50), times(2, 104, 53, own=2)) == (
        "other programs kept 0.5 processor cores busy",
    )
    assert load(run, times(0, 100, 50), times(2, 104, 53, own=2.7)) == ()
    # of many cores, a share: they are hardly felt
    monkeypatch.setattr(observing.os, "cpu_count", lambda: 64)
    assert load(run, times(0, 100, 50), times(2, 228, 53, own=2)) == ()
    assert len(load(run, times(0, 100, 50), times(2, 228, 70, own=2))) == 1


def test_a_short_span_tells_nothing(run) -> None:
    assert load(run, times(0, 100, 50), times(0.4, 100.8, 50.8)) == ()


# ---- what the system tells --------------------------------------------------------------------


def test_this_machine() -> None:
    before = observe()
    end = time.perf_counter() + 0.3
    while time.perf_counter() < end:
        pass
    after = observe("cpu")

    if before.times is not None:  # Linux
        assert after.times.own_s - before.times.own_s > 0.1
        assert after.times.busy_s >= before.times.busy_s
        assert after.times.total_s > before.times.total_s
    assert before.device == "cpu"
    document = json.loads(json.dumps(after.document()))
    assert "times" not in document
    assert "sm_clock_mhz" not in document  # unknown is left out, never 0


def test_processor_times(tmp_path, monkeypatch) -> None:
    stat = tmp_path / "stat"
    monkeypatch.setattr(observing, "_STAT", stat)
    monkeypatch.setattr(observing.os, "sysconf", lambda name: 100)
    assert observe().times is None

    # user nice system idle iowait irq softirq steal guest guest_nice
    stat.write_text("cpu  1000 200 300 5000 700 11 13 1700 900 800\ncpu0 1 2 3\n")
    seen = observe().times

    assert seen.total_s == pytest.approx(89.24)  # guests are in user already
    assert seen.busy_s == pytest.approx(15.24)
    assert seen.steal_s == pytest.approx(17.0)


def test_frequencies(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(observing, "_FREQUENCIES", tmp_path)
    monkeypatch.setattr(observing, "_CPU_INFO", tmp_path / "cpuinfo")
    assert observe().cpu_mhz is None

    (tmp_path / "cpuinfo").write_text("cpu MHz\t\t: 2500.5\nx: 1\ncpu MHz : 1500.5\n")
    assert observe().cpu_mhz == pytest.approx(2000.5)

    for core, text in enumerate(["3000000", "1000000", "no"]):
        folder = tmp_path / f"cpu{core}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(text)
    assert observe().cpu_mhz == pytest.approx(2000.0)


# ---- a GPU ------------------------------------------------------------------------------------


class NVMLError(Exception):
    pass


def refusing(*arguments):
    raise NVMLError("not supported")


def fake_nvml(**changed) -> SimpleNamespace:
    """Return a library like pynvml, for one card; masks as in nvml.h."""
    answers = {"sm": 1980, "mem": 2619}
    fields = {
        "NVMLError": NVMLError,
        "NVML_CLOCK_SM": "sm",
        "NVML_CLOCK_MEM": "mem",
        "NVML_TEMPERATURE_GPU": 0,
        "nvmlInit": lambda: None,
        "nvmlSystemGetDriverVersion": lambda: "575.51.03",
        "nvmlDeviceGetHandleByUUID": lambda uuid: {"GPU-ab12": "card"}[uuid],
        "nvmlDeviceGetClockInfo": lambda card, which: answers[which],
        "nvmlDeviceGetTemperature": lambda card, which: 61,
        "nvmlDeviceGetPowerUsage": lambda card: 412_500,
        "nvmlDeviceGetCurrentClocksThrottleReasons": lambda card: 0x4 | 0x1,
    }
    return SimpleNamespace(**{**fields, **changed})


@pytest.fixture
def card(monkeypatch):
    """Return what puts a library in the place of pynvml; torch says the card's UUID is ab12."""
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="ab12"), raising=True
    )
    nvml.library.cache_clear()

    def put(library) -> None:
        monkeypatch.setitem(sys.modules, "pynvml", library)
        nvml.library.cache_clear()

    yield put
    nvml.library.cache_clear()


def test_what_a_card_tells(card) -> None:
    card(fake_nvml())

    seen = observe("cuda:0")

    assert (seen.sm_clock_mhz, seen.memory_clock_mhz, seen.temperature_c, seen.power_w) == (
        1980.0, 2619.0, 61.0, 412.5,
    )  # fmt: skip
    assert seen.throttling == ("power limit",)  # idle, bit 0, is no throttling
    assert (seen.driver, seen.missing) == ("575.51.03", "")
    json.dumps(seen.document())


def test_the_newer_name_of_the_mask_is_asked_first(card) -> None:
    card(fake_nvml(nvmlDeviceGetCurrentClocksEventReasons=lambda card: 0x8))

    assert observe("cuda:0").throttling == ("hardware slowdown",)


def test_a_question_a_card_does_not_answer_is_unknown(card) -> None:
    card(
        fake_nvml(
            nvmlDeviceGetPowerUsage=refusing,
            nvmlDeviceGetCurrentClocksThrottleReasons=refusing,
            nvmlSystemGetDriverVersion=lambda: b"575.1",
        )
    )

    seen = observe("cuda:0")

    assert (seen.power_w, seen.throttling, seen.temperature_c) == (None, None, 61.0)
    assert seen.driver == "575.1"


@pytest.mark.parametrize(
    ("library", "reason"),
    [
        (None, r"nvidia-ml-py is not installed \(pip install nvidia-ml-py\)"),
        (fake_nvml(nvmlInit=refusing), "finds no NVIDIA driver"),
        (fake_nvml(nvmlDeviceGetHandleByUUID=refusing), "does not tell which GPU this is"),
    ],
)
def test_why_a_gpu_tells_nothing(card, library, reason) -> None:
    card(library)  # None in sys.modules makes an import fail

    seen = observe("cuda:0")

    assert (seen.sm_clock_mhz, seen.throttling) == (None, None)
    assert re.search(reason, seen.missing)
    assert seen.document()["missing"] == seen.missing

"""Counters as the system shows them: a made-up /sys/class/powercap, a made-up pynvml."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from explorer.errors import EnvironmentMissingError, UsageError
from explorer.measure import energy_meters, nvml
from explorer.measure.energy_meters import WrappingCounter, counter_of, energy_meter, rapl_meter


def zone(root: Path, folder: str, name: str, energy_uj: int, highest: int = 999_999) -> Path:
    made = root / folder
    made.mkdir(parents=True)
    for file, value in (("name", name), ("energy_uj", energy_uj), ("max_energy_range_uj", highest)):
        (made / file).write_text(f"{value}\n")
    return made / "energy_uj"


@given(st.integers(10, 1000), st.lists(st.integers(0, 9), min_size=1, max_size=200), st.integers(0, 10**6))
def test_a_counter_that_wraps_adds_up(highest: int, steps: list[int], start: int) -> None:
    truth = [start]
    counter = WrappingCounter(lambda: truth[0] % (highest + 1), highest)
    for step in steps:
        truth[0] += step
        assert counter.total() == truth[0] - start


def test_packages_and_memory_are_summed_and_cores_are_not(tmp_path: Path) -> None:
    first = zone(tmp_path, "intel-rapl:0", "package-0", 1_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 7_000)
    memory = zone(tmp_path, "intel-rapl:0:1", "dram", 500)
    second = zone(tmp_path, "intel-rapl:1", "package-1", 999_990)
    zone(tmp_path, "intel-rapl:2", "psys", 10)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1_000)
    (tmp_path / "intel-rapl").mkdir()
    meter, reason = rapl_meter(tmp_path)
    assert meter is not None, reason
    assert meter.name == "RAPL, package-0 + dram of intel-rapl:0:1 + package-1"
    assert meter.read_joules() == 0.0

    first.write_text("1_003".replace("_", ""))
    memory.write_text("505")
    second.write_text("1")  # wrapped: 999,990 to 999,999, then 0, then 1

    assert meter.read_joules() == pytest.approx((3 + 5 + 11) * 1e-6)


def test_the_second_listing_is_taken_where_it_is_the_only_one(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1_000)

    meter, _ = rapl_meter(tmp_path)
    assert meter is not None
    assert meter.name == "RAPL, package-0"


def test_no_packages_is_a_reason_not_a_zero(tmp_path: Path) -> None:
    assert rapl_meter(tmp_path / "nothing") == (
        None,
        f"no energy counter: this system shows no RAPL packages in {tmp_path / 'nothing'}",
    )


def test_a_counter_that_may_not_be_read_is_a_reason(tmp_path: Path, monkeypatch) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1_000)
    real = Path.read_text

    def denied(path: Path, *arguments: object, **more: object) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "read_text", denied)
    meter, reason = rapl_meter(tmp_path)

    assert meter is None
    assert "cannot be read (Permission denied)" in reason


def test_a_damaged_counter_is_a_reason(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1_000).write_text("")

    meter, reason = rapl_meter(tmp_path)
    assert meter is None
    assert "cannot be read" in reason


def test_millijoules_become_joules() -> None:
    shown = iter((0, 5_000, 12_500))
    library = SimpleNamespace(
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: next(shown), NVMLError=OSError
    )

    meter, reason = counter_of(library, "handle", name="cuda:0")
    assert meter is not None, reason
    assert (meter.read_joules(), meter.read_joules()) == (5.0, 12.5)
    assert "board" in meter.scope


def test_a_gpu_without_a_counter_is_a_reason() -> None:
    class NVMLError(Exception):
        pass

    def unsupported(handle: object) -> int:
        raise NVMLError("Not Supported")

    library = SimpleNamespace(nvmlDeviceGetTotalEnergyConsumption=unsupported, NVMLError=NVMLError)

    assert counter_of(library, "handle", name="cuda:0") == (
        None,
        "no energy counter: cuda:0 answers Not Supported",
    )


def test_a_gpu_without_the_library_is_a_reason(monkeypatch) -> None:
    monkeypatch.setattr(nvml, "library", lambda: None)
    monkeypatch.setattr(nvml, "missing_reason", lambda: "nvidia-ml-py is not installed")

    assert energy_meters.nvml_meter(torch.device("cuda", 0)) == (
        None,
        "no energy counter: nvidia-ml-py is not installed",
    )


def test_a_gpu_that_the_library_does_not_know_is_a_reason(monkeypatch) -> None:
    monkeypatch.setattr(nvml, "library", lambda: SimpleNamespace())
    monkeypatch.setattr(nvml, "handle", lambda device: None)

    meter, reason = energy_meters.nvml_meter(torch.device("cuda", 1))
    assert meter is None
    assert "does not know cuda:1" in reason


def test_devices_that_are_none_or_not_here() -> None:
    with pytest.raises(UsageError, match="unknown device"):
        energy_meter("toaster")
    with pytest.raises(EnvironmentMissingError):
        energy_meter("cuda:99")


def test_this_processor_has_a_counter_or_a_reason() -> None:
    meter, reason = energy_meter("cpu")
    assert (meter is None) == bool(reason)

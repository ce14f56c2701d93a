"""`explorer profile --energy` with counters of our own, and without any."""

import json

import pytest

from explorer.convention import Basis
from explorer.errors import EnvironmentMissingError
from explorer.measure import energy as measuring
from explorer.measure.energy_meters import Meter
from explorer.run.profiling import answer as answer_module
from explorer.run.profiling import energy as module
from explorer.store import Store

PAIR = "mean(wrn10-0.25@8#0, wrn10-0.25@8#1)"
IDLE_W, BUSY_W, CALL_S = 11.0, 53.0, 0.017


class Machine:
    """Time passes in calls and sleeps alone; the counter is exact."""

    def __init__(self) -> None:
        self.now = self.joules = 0.0
        self.measured = 0

    def meter(self) -> Meter:
        return Meter(name="fake counter", scope="a box", update_s=0.0, read_joules=lambda: self.joules)

    def measure_energy(self, call, meter, *, wait):
        self.measured += 1

        def one_call():
            call()
            wait() if wait is not None else None
            self.now, self.joules = self.now + CALL_S, self.joules + CALL_S * BUSY_W

        def sleep(seconds):
            self.now, self.joules = self.now + seconds, self.joules + seconds * IDLE_W

        return measuring.measure_energy(one_call, meter, clock=lambda: self.now, sleep=sleep)


@pytest.fixture
def machine(monkeypatch):
    found = Machine()
    monkeypatch.setattr(module, "energy_meter", lambda device: (found.meter(), ""))
    monkeypatch.setattr(module, "measure_energy", found.measure_energy)
    return found


def without_meter(monkeypatch, reason="no energy counter: none was built in"):
    monkeypatch.setattr(module, "energy_meter", lambda device: (None, reason))


def profile(explorer_here, tmp_path, *arguments):
    return explorer_here(
        "profile", *arguments, "--channels", 1, "--seconds", 0.05, "--store", tmp_path / "store"
    )


def rows_of(done):
    assert done.code == 0, done.err
    return json.loads(done.out)["rows"]


def test_an_examples_energy_is_measured_and_stored_with_its_windows(explorer_here, tmp_path, machine):
    arguments = ("wrn10-0.25@8", "--device", "cpu/eager", "--batch", "1,4", "--energy", "--json")
    rows = rows_of(profile(explorer_here, tmp_path, *arguments))

    for row in rows:
        energy = row["energy_j"]
        assert energy["value"] == pytest.approx(BUSY_W * CALL_S / row["batch"])
        assert energy["low"] <= energy["value"] <= energy["high"]
        assert energy["basis"] == "measured"
        assert row["energy_reason"] is None
        details = row["energy_details"]
        assert (details["meter"], details["idle_w"]) == ("fake counter", pytest.approx(IDLE_W))
        assert details["power_w"] == pytest.approx(BUSY_W)
    with Store.open(tmp_path / "store") as store:
        (record,) = store.costs("energy", "cpu/b4/eager")
        assert record.figure.basis is Basis.MEASURED
        assert record.figure.value == pytest.approx(BUSY_W * CALL_S / 4)
        assert record.convention == "single-stream-b4"
        assert "fake counter" in record.source
        assert record.conditions.batch == 4
        assert store.samples(record.samples_digest) == pytest.approx([BUSY_W * CALL_S / 4] * 6)
        assert store.sample_notes(record.samples_digest)["scope"] == "a box"

    assert machine.measured == 2
    again = rows_of(profile(explorer_here, tmp_path, *arguments))
    assert machine.measured == 2
    assert [row["energy_j"] for row in again] == [row["energy_j"] for row in rows]
    assert all(row["energy_details"]["from_store"] for row in again)
    rows_of(profile(explorer_here, tmp_path, *arguments, "--again"))
    assert machine.measured == 4


def test_stored_energy_is_an_axis(explorer_here, tmp_path, machine):
    done = profile(explorer_here, tmp_path, "wrn10-0.25@8", "--device", "cpu/eager", "--energy")

    assert "901 mJ" in done.out
    assert "fake counter" in done.out


def test_a_designs_energy_is_that_of_its_placement(explorer_here, tmp_path, machine):
    rows = rows_of(
        profile(explorer_here, tmp_path, PAIR, "--placement", "sequential,streams", "--energy", "--json")
    )

    sequential, streams = rows
    assert sequential["energy_j"]["value"] == pytest.approx(BUSY_W * CALL_S)
    # without a time there is nothing to measure the energy of
    assert (streams["energy_j"], streams["error"] is None) == (None, False)
    with Store.open(tmp_path / "store") as store:
        assert store.costs("energy") == ()


def test_without_a_counter_it_is_a_bound_where_power_is_rated(explorer_here, tmp_path, monkeypatch):
    from explorer.data.devices import find_device_entry

    without_meter(monkeypatch)
    entry = find_device_entry("i9-10940x")
    monkeypatch.setattr(module, "device_entry", lambda row: entry)
    arguments = ("wrn10-0.25@8", "--device", "cpu/eager", "--batch", "4", "--energy")
    (row,) = rows_of(profile(explorer_here, tmp_path, *arguments, "--json"))

    energy = row["energy_j"]
    assert energy["basis"] == "bound"
    assert energy["value"] == energy["high"] == pytest.approx(entry.tdp_w * row["high"] / 4)
    assert energy["low"] == 0.0
    assert row["energy_reason"] == "no energy counter: none was built in"
    text = profile(explorer_here, tmp_path, *arguments).out
    assert "energy only bounded (1 of 1 rows): no energy counter: none was built in" in text
    with Store.open(tmp_path / "store") as store:
        assert store.costs("energy") == ()


def test_without_counter_or_rating_it_is_unknown_with_the_reason_and_never_0(
    explorer_here, tmp_path, monkeypatch
):
    without_meter(monkeypatch)
    monkeypatch.setattr(module, "device_entry", lambda row: None)
    arguments = ("wrn10-0.25@8", "--device", "cpu/eager", "--energy")
    (row,) = rows_of(profile(explorer_here, tmp_path, *arguments, "--json"))

    assert row["energy_j"] is None
    assert row["energy_reason"] == "no energy counter: none was built in; cpu is not in the device table"
    text = profile(explorer_here, tmp_path, *arguments).out
    assert "energy unknown (1 of 1 rows): no energy counter" in text
    assert "0 J" not in text


def test_not_asked_for_is_said_too(explorer_here, tmp_path):
    (row,) = rows_of(profile(explorer_here, tmp_path, "wrn10-0.25@8", "--device", "cpu/eager", "--json"))

    assert (row["energy_j"], row["energy_reason"]) == (None, "not asked for: --energy")


def test_a_counter_that_stands_still_does_not_lose_the_time(explorer_here, tmp_path, machine, monkeypatch):
    def still(call, meter, *, wait):
        raise EnvironmentMissingError("the counter 'fake' stood still while calls ran: it counts nothing")

    monkeypatch.setattr(module, "measure_energy", still)
    monkeypatch.setattr(module, "device_entry", lambda row: None)
    (row,) = rows_of(
        profile(explorer_here, tmp_path, "wrn10-0.25@8", "--device", "cpu/eager", "--energy", "--json")
    )

    assert row["latency_s"]["p50"] > 0
    assert row["energy_j"] is None
    assert "stood still" in row["energy_reason"]


def test_energy_is_in_the_plan_and_left_out_when_time_is_up(explorer_here, tmp_path, machine, monkeypatch):
    monkeypatch.setattr("explorer.measure.energy_meters.energy_meter", lambda device: (machine.meter(), ""))
    arguments = ("wrn10-0.25@8", "--device", "cpu/eager")
    planned = [
        json.loads(profile(explorer_here, tmp_path, *arguments, *more, "--plan", "--json").out)["seconds"]
        for more in ((), ("--energy",))
    ]
    assert planned[1] - planned[0] == pytest.approx(module.ROW_S)
    assert answer_module.ROW_S == module.ROW_S

    (row,) = rows_of(profile(explorer_here, tmp_path, *arguments, "--energy", "--minutes", 1e-5, "--json"))
    assert row["latency_s"]["p50"] > 0
    assert (machine.measured, "lack of time" in row["energy_reason"]) == (0, True)

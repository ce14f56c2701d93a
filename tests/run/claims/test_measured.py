import json
from pathlib import Path

import pytest

from explorer.data.claims import Check, Claim, Kind, Quantity
from explorer.errors import InputDataError
from explorer.run.claims.measured import (
    KeptMeasurements,
    MeasuredHere,
    Measurement,
    ratio_with_interval,
    read_measurements,
    write_measurements,
)

ROW = Measurement(
    claim="a", condition="b", found=2.0, low=1.5, high=2.5, parts={"x": 1.0}, rounds=7, machine="m",
    date="2026-01-02", command="c",
)  # fmt: skip


def test_measurements_come_back(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    write_measurements(path, [ROW])
    assert read_measurements(path) == (ROW,)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"measurements": [{"claim": "a"}]}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kept.json"
    path.write_text(text)
    with pytest.raises(InputDataError, match="does not hold measurements of claims"):
        read_measurements(path)
    with pytest.raises(InputDataError, match="no such file"):
        read_measurements(tmp_path / "none.json")


def check(quantity: Quantity, kind: Kind = Kind.RATIO, workload: str = "cpu/eager") -> Check:
    return Check(
        condition="here", kind=kind, quantity=quantity, model="mlp64x1@8", against="mlp8x1@8",
        workload=workload, published=1.0, tolerance=0.0,
    )  # fmt: skip


def test_ratio_is_the_median_over_rounds() -> None:
    slow, fast = (2.0, 4.0, 6.0, 2.2, 2.0, 2.0, 2.0), (1.0, 2.0, 3.0, 1.0, 1.0, 1.0, 1.0)
    found, low, high = ratio_with_interval(check(Quantity.LATENCY), [slow, fast], 8)
    assert (found, low) == (2.0, 2.0)
    assert high == pytest.approx(2.2)
    found, _low, _high = ratio_with_interval(check(Quantity.THROUGHPUT), [slow, fast], 8)
    assert found == 0.5


def test_measures_here() -> None:
    claim = Claim(id="a", system="s", statement="", published="", seed="")
    here = MeasuredHere(KeptMeasurements([]), seconds=0.2, command="said")
    found = here.find(claim, check(Quantity.LATENCY))

    assert isinstance(found, Measurement)
    assert found.low <= found.found <= found.high
    assert found.parts.keys() == {"mlp64x1@8", "mlp8x1@8"}
    assert found.rounds >= 6
    assert here.made == [found]


def test_devices_that_are_not_here_are_taken_from_what_was_kept() -> None:
    claim = Claim(id="a", system="s", statement="", published="", seed="")
    asked = check(Quantity.LATENCY, workload="rtx4090/amp")
    assert "nothing kept for rtx4090/amp" in MeasuredHere(KeptMeasurements([]), seconds=1.0, command="").find(
        claim, asked
    )


def test_shipped_measurements_belong_to_claims() -> None:
    from explorer.data.claims import read_claims

    claims = read_claims()
    for row in read_measurements():
        conditions = [one.condition for one in claims[row.claim].checks]
        assert row.condition in conditions
        assert row.low <= row.found <= row.high
        json.dumps(row.parts)

"""benchmarks/latency_prediction.py end to end, with a simple predictor in place of the product's."""

import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from explorer.errors import UsageError

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "latency_prediction.py"
HEADER = "model,infer_img_size,infer_samples_per_sec,infer_step_time,infer_batch_size,infer_gmacs,infer_macts"
UNTRACEABLE = "zzz_odd"


@pytest.fixture(scope="module")
def command() -> ModuleType:
    spec = importlib.util.spec_from_file_location("latency_prediction", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def totals(model: str, resolution: int) -> tuple[float, float]:
    generator = np.random.default_rng([*model.encode(), resolution])
    first, second = np.exp(generator.normal(0, 1, 2))
    return float(first) * 1e9, float(second) * 1e7


def write_table(folder: Path, device: str, speed: float, *, bad: str = "") -> Path:
    """Write a table in which a MAC takes 0.2 ps and an activation 50 ps, divided by ``speed``."""
    lines = [HEADER]
    for number in range(60):
        model = f"{chr(97 + number % 20)}net{number}"
        macs, macts = totals(model, 224)
        seconds = (macs * 2e-13 + macts * 5e-11) / speed
        lines.append(f"{model},224,{1 / seconds:.6f},,64,{macs / 1e9:.9f},{macts / 1e6:.9f}")
    lines += [f"{UNTRACEABLE},224,5,,8,1,1"] + ([bad] if bad else [])
    path = folder / f"benchmark-infer-amp-nchw-pt240-cu124-{device}.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def ways(command: ModuleType, stand_in: SimpleNamespace) -> Any:
    def kernels(keys: Sequence[tuple[str, int]], precision: Any, update: Any) -> dict[tuple[str, int], Any]:
        update(1.0, "traced")
        return {key: "not built" if key[0] == UNTRACEABLE else totals(*key) for key in keys}

    def peaks(device: str, precision: str) -> tuple[float, float]:
        if device != "rtx3090":
            raise UsageError(f"unknown device {device!r}; known: rtx3090")
        return 1e13, 1e12

    return command.Ways(
        kernels=kernels,
        sample=stand_in.Row,
        fit=stand_in.fit,
        move=lambda samples, target: stand_in.fit(samples),
        calibrate=stand_in.calibrate,
        plan=lambda predictor, samples, runs: range(runs),
        peaks=peaks,
        cause=lambda sample: "mostly pooling",
    )


def test_the_document_of_tables(
    command: ModuleType, ways: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [write_table(tmp_path, "rtx3090", 1.0), write_table(tmp_path, "a100", 2.0)]

    assert command.main([*map(str, paths), "--json", "--worst", "3"], ways) == 0

    document = json.loads(capsys.readouterr().out)
    first, second = document["tables"]
    assert document["unit"] == "percent"
    assert first["name"] == paths[0].stem
    assert first["rows"] == 60
    assert first["workload"] == "rtx3090/amp"
    for name in ("ours", "macs", "macs_activations", "roofline"):
        assert set(first[name]) == {"mape", "median", "p90", "rows"}
    assert first["ours"]["mape"] < 0.01
    assert first["macs"]["mape"] > 5
    assert 0 <= first["coverage90"] <= 100
    assert first["left_out"] == [f"{UNTRACEABLE} at 224: not built"]
    assert [row["cause"] for row in first["worst"]] == ["mostly pooling"] * 3
    assert second["roofline"] is None
    assert second["notes"] == ["no roofline: unknown device 'a100'; known: rtx3090"]


def test_the_text_of_tables_says_the_same(
    command: ModuleType, ways: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([str(write_table(tmp_path, "a100", 2.0)), "--peaks", "A100=312,1555"], ways) == 0

    text = capsys.readouterr().out
    assert "60 rows, families held out" in text
    assert "roofline at the device's peaks, no fit" in text
    assert "no roofline" not in text
    assert "1.25 to 1.5 times: right in" in text
    assert "mostly pooling" in text
    assert f"left out 1: {UNTRACEABLE} at 224: not built" in text


def test_the_document_of_a_transfer(
    command: ModuleType, ways: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [write_table(tmp_path, "rtx3090", 1.0), write_table(tmp_path, "a100", 2.0)]

    assert command.main(["--transfer", *map(str, paths), "--calibrate", "4", "--json"], ways) == 0

    found = json.loads(capsys.readouterr().out)["transfer"]
    assert found["mape_peaks"] == pytest.approx(100, abs=0.1)  # not scaled: twice the truth
    assert found["mape_calibrated"] < 0.1
    assert (found["from"], found["to"], found["rows"]) == (paths[0].stem, paths[1].stem, 60)
    assert {len(models) for models in found["calibration_models"]} == {4}
    assert found["left_out"] == [f"{UNTRACEABLE} at 224: not built"]

    assert command.main(["--transfer", *map(str, paths), "--calibrate", "0"], ways) == 0
    text = capsys.readouterr().out
    assert "from the devices' peaks" in text
    assert "on the target" not in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name tables, or --transfer"),
        (["{good}", "--transfer", "{good}", "{good}"], "name tables, or --transfer"),
        (["missing.csv"], "no such file: missing.csv"),
        (["{bad}"], "line 63: infer_samples_per_sec is 'nan'"),
        (["{good}", "--peaks", "rtx4090=fast"], "is not DEVICE=TFLOPS,GBS"),
        (["{good}", "--peaks", "rtx4090=0,1"], "must be above 0"),
        (["{good}", "--worst", "-1"], "--worst is -1"),
        (["--transfer", "{good}", "{good}", "--calibrate", "-1"], "--calibrate is -1"),
        (["--transfer", "{good}", "{good}", "--calibrate", "999"], "999 calibration runs"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    command: ModuleType,
    ways: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    places = {
        "good": write_table(tmp_path, "rtx3090", 1.0),
        "bad": write_table(tmp_path, "rtx4090", 1.0, bad="vit,224,nan,,8,1,1"),
    }
    code = command.main([argument.format(**places) for argument in arguments], ways)

    shown = capsys.readouterr()
    assert code == 2
    assert shown.out == ""
    assert said in shown.err
    assert len(shown.err.replace("100% traced\n", "").splitlines()) == 1


def test_bad_rows_can_be_left_out(
    command: ModuleType, ways: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_table(tmp_path, "rtx4090", 1.0, bad="vit,224,nan,,8,1,1")

    assert command.main([str(path), "--skip-bad", "--json"], ways) == 0
    (entry,) = json.loads(capsys.readouterr().out)["tables"]
    assert any("line 63" in reason for reason in entry["left_out"])
    assert entry["rows"] == 60

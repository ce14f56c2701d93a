"""Predictors in files: what comes back is what was put there, to the bit; anything else is refused."""

import dataclasses
import io
import json
import pickle
import zipfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from explorer.accounting.kernels import KINDS
from explorer.data.devices import find_device_entry
from explorer.errors import InputDataError, UsageError
from explorer.prediction import LatencyPredictor, Sample, Scaling, calibrate, transfer
from explorer.prediction.files import FORMAT, load, save
from explorer.prediction.library import file_name
from explorer.prediction.predictor import LEAST_FAMILIES, LEAST_ROWS
from explorer.prediction.rates import fit_rates
from explorer.prediction.transfer import SORTS
from explorer.workload import Workload

H100 = Workload.parse("h100-sxm/b64/amp")
SHIPPED = sorted(Path(str(files("explorer.prediction").joinpath("fitted"))).glob("*.npz"))


@pytest.fixture(scope="module")
def calibrated(made_models, made_predictor):
    moved = transfer(made_predictor, H100, Scaling(macs=0.31, bytes=0.37), extra_sd=0.1)
    return calibrate(moved, made_models.samples(H100, slower=0.41)[:7])


@pytest.fixture
def kept(made_predictor, tmp_path) -> Path:
    path = tmp_path / "kept.npz"
    save(made_predictor, path, source="a table")
    return path


def rewritten(path: Path, head=lambda found: found, **arrays) -> Path:
    """Write the file again with another head or other arrays; None leaves an array out."""
    with np.load(path) as found:
        content = {name: found[name] for name in found.files}
    changed = head(json.loads(str(content.pop("head"))))
    content |= arrays
    with path.open("wb") as file:
        np.savez(
            file,
            head=np.array(json.dumps(changed)),
            **{name: value for name, value in content.items() if value is not None},
        )
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputDataError) as caught:
        load(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def test_a_fitted_predictor_comes_back_to_the_bit(made_predictor, made_models, tmp_path):
    scaled = dataclasses.replace(made_predictor, scaling=Scaling(macs=1 / 3, bytes=0.7, launches=1.1))
    for number, predictor in enumerate((made_predictor, scaled)):
        path = tmp_path / "new" / "folder" / f"{number}.npz"
        save(predictor, path, source="benchmark-infer-x é")
        found, source = load(path)
        assert isinstance(found, LatencyPredictor)
        assert source == "benchmark-infer-x é"
        samples = made_models.samples(predictor.workload)
        assert found.predict(samples) == predictor.predict(samples)
        plain = ("workload", "centre", "low", "high", "rows", "families", "batches", "scaling")
        for name in plain:
            assert getattr(found, name) == getattr(predictor, name), name
        assert [part.name for part in path.parent.glob("*.part")] == []


def test_a_calibrated_predictor_comes_back_to_the_bit(calibrated, made_models, tmp_path):
    path = tmp_path / "h100.npz"
    save(calibrated, path, source="seven runs")
    found, source = load(path)
    samples = made_models.samples(H100)
    assert found.predict(samples) == calibrated.predict(samples)
    assert (found.workload, found.runs, found.batches) == (calibrated.workload, 7, calibrated.batches)
    assert source == "seven runs"
    # calibrating goes on from what was kept
    more = made_models.samples(H100, slower=0.41)[7:11]
    assert calibrate(found, more).predict(samples) == calibrate(calibrated, more).predict(samples)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_ships_can_be_used(path, made_models):
    predictor, source = load(path)
    assert isinstance(predictor, LatencyPredictor)
    assert path.name == file_name(predictor.workload)
    assert find_device_entry(predictor.workload.device).key == predictor.workload.device
    assert predictor.rows >= LEAST_ROWS
    assert predictor.families >= LEAST_FAMILIES
    low, high = predictor.batches
    assert 1 <= low <= high
    assert predictor.scaling == Scaling()
    assert predictor.workload.batch == 1
    assert "benchmark-infer" in source
    assert 0.01 < predictor.low < 1
    assert 0.01 < predictor.high < 1
    samples = [
        Sample(
            model="wrn",
            family="wrn",
            kernels=table,
            batch=high,
            workload=dataclasses.replace(predictor.workload, batch=high),
            device=predictor.workload.device,
        )
        for table in made_models.real.values()
    ]
    for figure in predictor.predict(samples):
        assert 0 < figure.low < figure.value < figure.high < 10


def test_there_are_five_that_ship():
    assert [path.stem for path in SHIPPED] == [
        "i9-10940x_compiled",
        "rtx3090_amp",
        "rtx3090_amp_nhwc",
        "rtx4090_amp",
        "rtx4090_amp_compiled",
    ]


def test_no_file(tmp_path):
    assert refusal(tmp_path / "none.npz").startswith("no predictor at ")


def test_every_truncated_file_is_refused(kept):
    whole = kept.read_bytes()
    for length in sorted({0, 1, 3, 4, 29, 30, len(whole) - 1, *range(0, len(whole), len(whole) // 41)}):
        kept.write_bytes(whole[:length])
        refusal(kept)


def test_a_flipped_bit_is_refused_or_changes_nothing(kept, made_predictor, made_models):
    whole = kept.read_bytes()
    samples = made_models.samples(made_predictor.workload)[:5]
    right = made_predictor.predict(samples)
    refused = 0
    for place in np.random.default_rng(3).integers(0, len(whole), 250).tolist():
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        kept.write_bytes(damaged)
        try:
            found, _ = load(kept)
        except InputDataError:
            refused += 1
        else:
            assert found.predict(samples) == right
    assert refused > 200


class Trap:
    """Would run if anything were unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("pickled code ran",))


def foreign_files() -> dict[str, bytes]:
    def npz(**arrays) -> bytes:
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        return buffer.getvalue()

    npy, other = io.BytesIO(), io.BytesIO()
    np.save(npy, np.arange(3.0))
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("letter.txt", "hello")
    trap = np.empty(1, object)
    trap[0] = Trap()
    return {
        "text": b"model,infer_img_size\n",
        "npy": npy.getvalue(),
        "zip": other.getvalue(),
        "pickle": pickle.dumps({"head": 1}),
        "trap": npz(head=trap),
        "no-head": npz(rates0=np.zeros(3)),
        "list": npz(head=np.array("[1, 2]")),
        "number": npz(head=np.array(7)),
        "no-json": npz(head=np.array("{")),
    }


@pytest.mark.parametrize("name", foreign_files())
def test_foreign_files_are_refused(name, tmp_path):
    path = tmp_path / f"{name}.npz"
    path.write_bytes(foreign_files()[name])
    assert "holds no predictor" in refusal(path)


def test_a_folder_is_refused(tmp_path):
    (tmp_path / "x.npz").mkdir()
    assert "holds no predictor" in refusal(tmp_path / "x.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"format": FORMAT - 1},
        {"format": FORMAT + 1},
        {"format": None},
        {"kinds": list(KINDS[:-1])},
        {"kinds": [*KINDS[1:], KINDS[0]]},
        {"kinds": None},
        {"kinds": 7},
    ],
    ids=str,
)
def test_another_version_is_told_what_to_do(kept, change):
    text = refusal(rewritten(kept, lambda head: head | change))
    assert "another version" in text
    assert "`explorer devices`" in text


def test_a_correction_for_other_sorts_of_kernels_is_another_version(calibrated, tmp_path):
    path = tmp_path / "h100.npz"
    save(calibrated, path, source="")
    swapped = [SORTS[1], SORTS[0], *SORTS[2:]]
    assert "another version" in refusal(rewritten(path, lambda head: head | {"sorts": swapped}))


@pytest.mark.parametrize(
    "change",
    [
        {"workload": "rtx4090/b0"},
        {"workload": None},
        {"batches": [1]},
        {"batches": ["small", "large"]},
        {"scaling": {"macs": 1.0, "hours": 2.0}},
        {"scaling": None},
    ],
    ids=str,
)
def test_a_head_that_makes_no_sense_is_damage(kept, change):
    assert "is damaged" in refusal(rewritten(kept, lambda head: head | change))


@pytest.mark.parametrize("name", ["workload", "centre", "low", "high", "rows", "families", "source"])
def test_a_head_that_lacks_something_is_damage(kept, name):
    path = rewritten(kept, lambda head: {key: value for key, value in head.items() if key != name})
    assert "is damaged" in refusal(path)


def test_arrays_that_are_missing_or_misshapen_or_not_finite_are_damage(kept, calibrated, tmp_path):
    whole = kept.read_bytes()
    with np.load(kept) as found:
        rates, layer = found["rates0"], found["layer2-2"].copy()
    layer[0, 0] = np.nan
    changes = ({"rates0": None}, {"rates0": rates[:, :-1]}, {"layer0-3": None}, {"layer2-2": layer})
    for change in changes:
        kept.write_bytes(whole)
        assert "is damaged" in refusal(rewritten(kept, **change)), change
    path = tmp_path / "h100.npz"
    for change in ({"mean": None}, {"mean": np.zeros(3)}, {"covariance": np.zeros((2, 2))}):
        save(calibrated, path, source="")
        assert "is damaged" in refusal(rewritten(path, **change)), change


def test_a_place_that_cannot_be_written_is_refused(made_predictor, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot keep the predictor at"):
        save(made_predictor, tmp_path / "file" / "x.npz", source="")


def test_a_failed_write_leaves_what_was_there(kept, made_predictor, monkeypatch):
    before = kept.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(UsageError, match="No space left"):
        save(made_predictor, kept, source="another")
    assert kept.read_bytes() == before
    assert [path.name for path in kept.parent.glob("*.npz")] == [kept.name]


def test_rates_come_back_to_the_bit_or_are_refused(made_models, tmp_path):
    samples = made_models.samples(Workload.parse("cpu/t2"))
    fitted = fit_rates(samples)
    path = tmp_path / "cpu_t2.npz"
    save(fitted, path, source="my CPU")
    found, source = load(path)
    assert source == "my CPU"
    assert found.predict(samples) == fitted.predict(samples)
    for name in ("workload", "low", "high", "rows", "families", "batches"):
        assert getattr(found, name) == getattr(fitted, name), name
    broken = fitted.rates.copy()
    broken[1, 2] = np.inf
    for rates in (None, fitted.rates[:2], fitted.rates[:, :5], broken):
        save(fitted, path, source="")
        assert "is damaged" in refusal(rewritten(path, rates=rates))

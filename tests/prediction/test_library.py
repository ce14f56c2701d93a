"""Which predictor answers: the user's before those that ship, and `fitted` only where it was fitted."""

import dataclasses
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.convention import Basis
from explorer.data.devices import find_device_entry
from explorer.errors import InputDataError, UsageError
from explorer.prediction import Sample, Scaling, calibrate, transfer
from explorer.prediction.files import save
from explorer.prediction.library import (
    file_name,
    find_predictor,
    moved_base,
    peaks_scaling,
    user_folder,
)
from explorer.workload import Precision, Runtime, Workload

AMP = Workload.parse("rtx4090/b256/amp")


@pytest.fixture
def figure(made_models):
    """Return the figure that a found predictor gives for a small network."""

    def predict(answering, workload: Workload):
        sample = Sample(
            model="wrn10-1",
            family="wrn",
            kernels=made_models.real["wrn10-1", 3, 1000, True],
            batch=workload.batch,
            workload=workload,
            device=workload.device,
        )
        return answering.predictor.predict([sample])[0]

    return predict


def width(figure) -> float:
    return math.log(figure.high / figure.low)


def test_one_that_ships_answers_where_it_was_fitted(predictors, figure):
    found = find_predictor(AMP)
    assert found.notes == ()
    assert "rtx4090" in found.source
    assert figure(found, AMP).basis is Basis.FITTED


def test_the_users_own_go_first(predictors, made_predictor, made_models, figure):
    shipped = figure(find_predictor(AMP), AMP)
    save(made_predictor, predictors / "zz.npz", source="my own table")
    found = find_predictor(AMP)
    assert found.source == "my own table"
    assert figure(found, AMP).value != shipped.value
    # also as what is moved to another device
    assert moved_base(Workload.parse("l4/b256/amp")).source == "my own table"


def test_what_was_calibrated_goes_before_what_ships_and_stays_transferred(
    predictors, made_predictor, made_models, figure
):
    moved = transfer(made_predictor, AMP, Scaling())
    runs = [dataclasses.replace(s, batch=256, workload=AMP) for s in made_models.samples(AMP)[:5]]
    save(calibrate(moved, runs), predictors / file_name(AMP), source="five runs")
    found = find_predictor(AMP)
    assert found.source == "five runs"
    assert figure(found, AMP).basis is Basis.TRANSFERRED
    # it was calibrated at 256 examples a call alone: elsewhere the one that ships knows more
    assert find_predictor(dataclasses.replace(AMP, batch=64)).source != "five runs"


@pytest.mark.parametrize("batch", [1, 2, 100_000])
def test_a_batch_outside_those_fitted_is_transferred_wider_and_said(predictors, figure, batch):
    inside = find_predictor(AMP)
    low, high = inside.predictor.batches
    assert not low <= batch <= high
    workload = dataclasses.replace(AMP, batch=batch)
    found = find_predictor(workload)
    there = figure(found, workload)
    assert there.basis is Basis.TRANSFERRED
    assert width(there) > width(figure(inside, AMP))
    assert any(f"nobody checked it at {batch}" in note for note in found.notes)


def test_the_batches_at_the_edge_are_fitted(predictors, figure):
    for batch in find_predictor(AMP).predictor.batches:
        workload = dataclasses.replace(AMP, batch=batch)
        assert figure(find_predictor(workload), workload).basis is Basis.FITTED


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("rtx4090/b256/fp16", "nothing was fitted in this precision"),
        ("rtx4090/b256", "nothing was fitted in this precision"),
        ("rtx4090/b256/amp/graph", "nothing was fitted in this runtime"),
        ("rtx4090/b256/amp/nhwc", "nothing was fitted in this memory format"),
        ("i9-10940x/b64/compiled/t4", "nothing was fitted in this number of threads"),
        ("rtx5090/b256/amp", "moved to rtx5090 by the devices' peaks"),
        ("cuda/b256/amp", "the peaks of cuda are not known: calibrate it"),
        ("cuda:1/b256/amp", "the peaks of cuda:1 are not known: calibrate it"),
        ("cpu/b32", "the peaks of cpu are not known: calibrate it"),
    ],
)
def test_whatever_differs_is_said_and_widens(predictors, figure, text, note):
    workload = Workload.parse(text)
    found = find_predictor(workload)
    assert note in found.notes
    assert f"from a predictor fitted on {found.predictor.base.workload}" in found.notes[0]
    there = figure(found, workload)
    assert there.basis is Basis.TRANSFERRED
    assert width(there) > found.predictor.base.low + found.predictor.base.high


def test_unknown_peaks_make_the_interval_widest(predictors, figure):
    known, unknown = (Workload.parse(f"{device}/b256/amp") for device in ("l4", "cuda"))
    assert width(figure(find_predictor(unknown), unknown)) > 2 * width(figure(find_predictor(known), known))


def test_fitted_is_said_only_of_what_was_fitted(predictors):
    names = ["rtx4090", "rtx3090", "rtx5090", "l4", "i9-10940x", "cpu", "cuda", "cuda:1"]
    shipped = {
        ("rtx4090", "amp", "eager", False),
        ("rtx4090", "amp", "compiled", False),
        ("rtx3090", "amp", "eager", False),
        ("rtx3090", "amp", "eager", True),
        ("i9-10940x", "fp32", "compiled", False),
    }
    seen = set()
    for name, precision, runtime, nhwc in itertools.product(
        names, ("amp", "fp32", "int8"), ("eager", "compiled"), (False, True)
    ):
        workload = Workload(
            device=name,
            batch=1 if name == "i9-10940x" else 64,
            precision=Precision(precision),
            runtime=Runtime(runtime),
            channels_last=nhwc,
        )
        found = find_predictor(workload)
        if found is not None and not hasattr(found.predictor, "base"):
            seen.add((name, precision, runtime, nhwc))
        elif found is not None:
            assert found.predictor.runs == 0
            assert found.notes
    assert seen == shipped


@pytest.mark.parametrize(
    "text",
    ["tpu-v5e", "tpu-v3/b64/bf16", "tpu7x/b8", "coral-edge-tpu/int8", "coral-edge-tpu/b8", "rtx4090/int8"],
)
def test_what_nothing_is_like_has_no_predictor(predictors, text):
    assert find_predictor(Workload.parse(text)) is None
    assert moved_base(Workload.parse(text)) is None


def test_processors_and_cards_are_not_moved_to_one_another(predictors, made_predictor):
    save(made_predictor, predictors / "mine.npz", source="mine")
    assert find_predictor(Workload.parse("cpu/b64")).predictor.base.workload.device == "i9-10940x"
    assert find_predictor(Workload.parse("i9-10940x/b64")).predictor.base.workload.device == "i9-10940x"
    assert find_predictor(Workload.parse("t4/b64")).source == "mine"


def test_the_nearest_is_moved(predictors):
    def base(text: str) -> str:
        return str(moved_base(Workload.parse(text)).predictor.base.workload)

    assert base("l4/b64/amp") == "rtx4090/amp"
    assert base("l4/b64/amp/nhwc") == "rtx3090/amp/nhwc"
    assert base("l4/b64/amp/compiled") == "rtx4090/amp/compiled"
    assert base("rtx3090/b64/fp16") == "rtx3090/amp"


def test_a_damaged_file_of_the_user_is_not_passed_over(predictors):
    predictors.mkdir()
    (predictors / "mine.npz").write_bytes(b"PK nothing")
    with pytest.raises(InputDataError, match=r"mine\.npz holds no predictor"):
        find_predictor(AMP)


def test_unfinished_and_other_files_are_passed_over(predictors):
    predictors.mkdir()
    (predictors / "mine.npz.123.part").write_bytes(b"half")
    (predictors / "notes.txt").write_text("mine")
    assert find_predictor(AMP).notes == ()


def test_the_users_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("EXPLORER_PREDICTORS", str(tmp_path / "here"))
    assert user_folder() == tmp_path / "here"
    monkeypatch.delenv("EXPLORER_PREDICTORS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert user_folder() == tmp_path / "data" / "scale-or-ensemble" / "predictors"


def test_scaling_is_the_ratio_of_peaks_and_bandwidths():
    here, there = find_device_entry("rtx4090"), find_device_entry("h100-sxm")
    found = peaks_scaling(here, Precision.AMP, there, Precision.BF16)
    assert found.macs == here.peaks[Precision.FP16] / there.peaks[Precision.BF16]
    assert found.bytes == here.bandwidth / there.bandwidth
    assert found.launches == 1
    assert peaks_scaling(here, Precision.AMP, here, Precision.AMP) == Scaling()
    for pair in (
        (here, dataclasses.replace(there, bandwidth=None)),
        (dataclasses.replace(here, bandwidth=None), there),
    ):
        with pytest.raises(UsageError, match=r"the memory bandwidth of .* is not known"):
            peaks_scaling(pair[0], Precision.AMP, pair[1], Precision.AMP)
    with pytest.raises(UsageError, match="no peak of"):
        peaks_scaling(here, Precision.AMP, dataclasses.replace(there, peaks={}), Precision.AMP)


WORKLOADS = st.builds(
    Workload,
    device=st.sampled_from(["rtx4090", "cuda", "cuda:1", "cuda-1", "i9-10940x"]),
    precision=st.sampled_from(Precision),
    runtime=st.sampled_from(Runtime),
    channels_last=st.booleans(),
    threads=st.integers(1, 3),
)


@given(WORKLOADS, WORKLOADS, st.integers(1, 512))
def test_workloads_have_files_of_their_own_whatever_the_batch(first, second, batch):
    name = file_name(first)
    assert file_name(dataclasses.replace(first, batch=batch)) == name
    assert "/" not in name
    assert ":" not in name
    if {first.device, second.device} != {"cuda:1", "cuda-1"}:
        assert (name == file_name(second)) == (first == second)

"""Importing timm's tables: what is read, joined and left out, and what is refused as a whole."""

import hashlib

import pytest

from explorer.analysis.published.joining import JoinedBy, NotJoined
from explorer.errors import InputDataError, UsageError
from explorer.run.importing_timm import read_timm, store_timm
from explorer.store import Store
from explorer.store.published import PutOutcome, published_tables
from tests.timm_folder import CPU, EAGER, RESULTS_HEADER, results_rows, write_table, write_timm


@pytest.fixture
def folder(tmp_path):
    return write_timm(tmp_path / "timm")


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "store") as opened:
        yield opened


def test_every_table_goes_in_with_its_digest_and_what_it_is_of(folder, store):
    done = store_timm(store, read_timm(folder))

    assert (done.dataset, done.models) == ("imagenet", 9)
    assert {one.record.name: one.subject for one in done.tables} == {
        "results-imagenet": "imagenet",
        "results-imagenet-a": "imagenet-a",
        EAGER: "rtx4090/amp",
        f"{EAGER}-dynamo": "rtx4090/amp/compiled",
        CPU: "i9-10940x/compiled",
    }
    assert {one.outcome for one in done.tables} == {PutOutcome.ADDED}
    for one in published_tables(store, "imagenet"):
        assert one.digest == hashlib.sha256((folder / f"{one.name}.csv").read_bytes()).hexdigest()
    assert done.notes == ("left out: benchmark-train-amp-nhwc-rtx3090.csv: times of training steps",)


def test_what_was_joined_and_what_not_and_why(folder, store):
    done = store_timm(store, read_timm(folder))
    of = {one.record.name: one for one in done.tables}[EAGER]

    assert of.joined == {JoinedBy.NAME: 0, JoinedBy.ARCHITECTURE: 6}
    assert of.left_out == {
        NotJoined.SIZE: ("larch50.a1_in1k@288",),
        NotJoined.PARAMETERS: ("fir_head.in1k@224",),
        NotJoined.ARCHITECTURE: ("yew_new.in1k@224",),
    }
    assert sum(of.joined.values()) + sum(map(len, of.left_out.values())) == done.models


def test_again_changes_nothing_and_a_changed_file_replaces_with_a_note(folder, store):
    store_timm(store, read_timm(folder))
    before = store.stamp()
    again = store_timm(store, read_timm(folder))
    assert {one.outcome for one in again.tables} == {PutOutcome.THERE}
    assert store.stamp() == before

    write_table(folder / "results-imagenet-a.csv", RESULTS_HEADER, results_rows(less=60.01))
    done = store_timm(store, read_timm(folder))
    assert [one.record.name for one in done.tables if one.outcome is PutOutcome.REPLACED] == [
        "results-imagenet-a"
    ]
    assert any("results-imagenet-a had other content here before" in note for note in done.notes)
    assert store.info().superseded == 1


def test_a_table_that_is_gone_from_the_folder_is_kept_and_said(folder, store):
    store_timm(store, read_timm(folder))
    (folder / f"{CPU}.csv").unlink()
    done = store_timm(store, read_timm(folder))
    assert any(f"kept: {CPU}" in note for note in done.notes)
    assert len(published_tables(store)) == 5


def test_a_benchmark_whose_name_does_not_say_how_it_was_run_is_left_out(folder, store):
    (folder / f"{EAGER}.csv").rename(folder / "benchmark-infer-nchw-rtx4090.csv")
    (folder / f"{CPU}.csv").rename(folder / "benchmark-infer-fp32-nchw.csv")
    done = read_timm(folder)
    assert "left out: benchmark-infer-nchw-rtx4090.csv: its name does not say the precision" in "".join(
        done.notes
    )
    assert "left out: benchmark-infer-fp32-nchw.csv: its name does not say the device" in "".join(done.notes)


def test_accuracies_alone_are_imported_with_a_note(tmp_path, store):
    write_table(tmp_path / "results-imagenet.csv", RESULTS_HEADER, results_rows())
    done = store_timm(store, read_timm(tmp_path))
    assert done.notes == ("no benchmark-infer-*.csv: the only cost is the number of parameters",)


def test_what_is_no_folder_of_timm_is_refused(tmp_path, folder):
    with pytest.raises(InputDataError, match="no such folder"):
        read_timm(tmp_path / "nowhere")
    with pytest.raises(InputDataError, match="not a folder"):
        read_timm(folder / "results-imagenet.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputDataError, match=r"has no results-imagenet.csv; .* it has no .csv file"):
        read_timm(tmp_path / "empty")
    with pytest.raises(UsageError, match="not a name of a data set"):
        read_timm(folder, " ")


def test_one_wrong_table_refuses_all(folder):
    (folder / f"{EAGER}.csv").write_text("model,infer_img_size\nlarch50,224\n", encoding="utf-8")
    with pytest.raises(InputDataError, match="lacks the columns infer_samples_per_sec, infer_batch_size"):
        read_timm(folder)


def test_two_tables_of_one_test_set_are_refused(folder):
    write_table(folder / "results-imagenet-v2.csv", RESULTS_HEADER, results_rows())
    write_table(folder / "results-imagenetv2-matched-frequency.csv", RESULTS_HEADER, results_rows())
    with pytest.raises(InputDataError, match="are both of imagenet-v2"):
        read_timm(folder)

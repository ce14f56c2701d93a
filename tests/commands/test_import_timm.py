"""`explorer import timm` and the front over what it imported, as a person types them."""

import json

import pytest

from tests.timm_folder import EAGER, write_timm

IMAGENET = ("--dataset", "imagenet")
ON_CARD = (*IMAGENET, "--cost", "latency@rtx4090")


@pytest.fixture
def folder(tmp_path):
    return write_timm(tmp_path / "timm")


@pytest.fixture
def store(explorer_here, folder, tmp_path):
    assert explorer_here("import", "timm", folder, "--store", tmp_path / "store").code == 0
    return tmp_path / "store"


def test_the_import_in_words_and_numbers(explorer_here, folder, tmp_path) -> None:
    done = explorer_here("import", "timm", folder, "--store", tmp_path / "store")
    assert done.code == 0
    assert done.out.startswith(
        "imagenet: 9 models (weights and image size) with published accuracy, 5 tables"
    )
    assert "rtx4090/amp: joined 6 by architecture" in done.out
    assert "1 another number of parameters: timed with another head: fir_head.in1k@224" in done.out
    assert "note: left out: benchmark-train-amp-nhwc-rtx3090.csv" in done.err

    document = json.loads(
        explorer_here("import", "timm", folder, "--json", "--store", tmp_path / "store").out
    )
    assert set(document) == {"schema_version", "store", "dataset", "models", "tables", "notes"}
    (table,) = (one for one in document["tables"] if one["name"] == EAGER)
    assert (table["outcome"], table["rows"], table["of"]) == ("there already", 4, "rtx4090/amp")
    assert table["joined"] == {"name": 0, "architecture": 6}
    assert {"why": "not in the cost table", "models": ["yew_new.in1k@224"]} in table["left_out"]
    assert explorer_here("db", "check", "--store", tmp_path / "store").out == "clean\n"


def test_the_front_in_words(explorer_here, store) -> None:
    said = explorer_here("front", *ON_CARD, "--store", store)
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == (
        "front of imagenet, published figures: accuracy on imagenet against "
        "time of one example in full calls on rtx4090/amp"
    )
    assert lines[1].startswith("6 of 9 published models have all costs; single models only")
    assert [line.split()[0] for line in lines[4:7]] == ["published"] * 3
    assert "PREDICTED" not in said.out
    assert "+4.08 points: larch50@224 tv_in1k 76.13% → a1_in1k 80.21%" in said.out
    assert "note: also here for rtx4090: rtx4090/amp/compiled" in said.err


def test_the_front_as_a_document(explorer_here, store) -> None:
    document = json.loads(explorer_here("front", *ON_CARD, "--json", "--store", store).out)
    assert (document["schema_version"], document["basis"]) == (1, "published")
    assert document["cost"]["axis"] == "latency@rtx4090/amp"
    assert document["cost"]["per_example"] is True
    assert document["accuracy_on"] == {
        "test_set": "imagenet", "examples": 50_000, "table": "results-imagenet"
    }  # fmt: skip
    point = document["points"][0]
    assert (point["design"], point["kind"], point["basis"]) == (
        "timm:elm_tiny.in1k@160", "single", "published"
    )  # fmt: skip
    assert point["cost"]["basis"] == "published"
    assert point["accuracy"]["low"] < point["accuracy"]["value"] < point["accuracy"]["high"]
    assert point["throughput_per_s"] == pytest.approx(62_500)
    assert document["predicted_ensembles"] is None
    (arrow,) = document["recipes"]
    assert (arrow["model"], arrow["from"], arrow["to"]) == ("larch50", "tv_in1k", "a1_in1k")
    assert (arrow["before"], arrow["after"], arrow["data"]) == (0.7613, 0.8021, [])
    assert [table["status"] for table in document["tables"]] == ["seen", "seen"]
    assert all(len(table["file_sha256"]) == 64 for table in document["tables"])
    assert document["there_are"]["accuracies"] == ["imagenet", "imagenet-a"]


def test_predicted_ensembles_are_asked_for_and_labelled(explorer_here, store) -> None:
    arguments = ("front", *ON_CARD, "--predicted-ensembles", "--store", store)
    said = explorer_here(*arguments).out
    assert "PREDICTED ensembles of 2 to 4 trainings of one model" in said
    document = json.loads(explorer_here(*arguments, "--json").out)
    assert {point["kind"] for point in document["points"]} == {"single"}
    found = document["predicted_ensembles"]
    assert (found["basis"], found["most_members"]) == ("predicted", 4)
    ensembles = [point for point in found["points"] if point["kind"] == "ensemble"]
    assert ensembles
    for point in ensembles:
        assert (point["basis"], point["accuracy"]["method"]) == ("predicted", "predicted")
        assert point["verdict"] in ("better", "cannot tell")
    of_two = explorer_here("front", *ON_CARD, "--predicted-ensembles", "2", "--store", store).out
    assert "PREDICTED ensembles of 2 trainings" in of_two


def test_several_costs_and_another_test_set(explorer_here, store) -> None:
    arguments = ("front", *ON_CARD, "--cost", "parameters", "--accuracy", "imagenet-a", "--store", store)
    document = json.loads(explorer_here(*arguments, "--json").out)
    assert [axis["axis"] for axis in document["costs"]] == ["latency@rtx4090/amp", "parameters"]
    assert set(document["points"][0]["costs"]) == {"latency@rtx4090/amp", "parameters"}
    assert document["accuracy_on"]["test_set"] == "imagenet-a"
    assert "accuracy on imagenet-a against" in explorer_here(*arguments).out


def test_a_data_set_with_predictions_stays_a_front_of_those(explorer_here, trained_store, folder, tmp_path):
    """Published figures under the name of a data set that members were trained on: both can be asked for."""
    import shutil

    store = shutil.copytree(trained_store, tmp_path / "store")
    before = explorer_here("front", "--dataset", "digits", "--json", "--store", store).out
    done = explorer_here("import", "timm", folder, "--dataset", "digits", "--store", store)
    assert done.code == 0
    assert explorer_here("front", "--dataset", "digits", "--json", "--store", store).out == before
    published = json.loads(
        explorer_here("front", "--dataset", "digits", "--published", "--json", "--store", store).out
    )
    assert published["basis"] == "published"


def test_advise_says_what_there_is_instead(explorer_here, store) -> None:
    refused = explorer_here("advise", *IMAGENET, "--budget", "latency@rtx4090<=2ms", "--store", store)
    assert refused.code == 2
    assert "of published figures alone there is a front: `explorer front --dataset imagenet`" in refused.err


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("--how-sure",), "--how-sure is about predictions"),
        (("--max-members", "2"), "--max-members is about predictions"),
        (("--no-cascades",), "--no-cascades is about predictions"),
        (("--recipe", "x"), "--recipe is about predictions"),
        (("--accuracy", "imagenet-z"), "unknown test set 'imagenet-z'"),
        (("--only", "nothing"), "unknown published model 'nothing'"),
        (("--predicted-ensembles", "2", "--accuracy", "imagenet-a"), "cannot be predicted on imagenet-a"),
    ],
)
def test_what_a_published_front_does_not_take_is_refused_in_one_line(
    explorer_here, store, arguments, wanted
) -> None:
    refused = explorer_here("front", *ON_CARD, *arguments, "--store", store)
    assert refused.code == 2
    assert wanted in refused.error_line


def test_published_without_an_import_says_how(explorer_here, trained_store) -> None:
    refused = explorer_here("front", "--dataset", "digits", "--published", "--store", trained_store)
    assert refused.code == 2
    assert "explorer import timm DIR" in refused.error_line


def test_a_wrong_table_is_refused_and_leaves_no_store(explorer_here, folder, tmp_path) -> None:
    path = folder / "results-imagenet-a.csv"
    path.write_text("model,img_size,accuracy\nlarch50,224,76\n", encoding="utf-8")
    refused = explorer_here("import", "timm", folder, "--store", tmp_path / "store")
    assert refused.code == 2
    assert "lacks the columns top1, top5, param_count; it has model, img_size, accuracy" in refused.error_line
    assert not (tmp_path / "store").exists()


def test_a_wrong_table_changes_nothing_in_a_store_that_is_there(explorer_here, store, folder) -> None:
    before = explorer_here("front", *ON_CARD, "--json", "--store", store).out
    (folder / "results-imagenet.csv").write_text("model\nx\n", encoding="utf-8")
    assert explorer_here("import", "timm", folder, "--store", store).code == 2
    assert explorer_here("front", *ON_CARD, "--json", "--store", store).out == before


def test_the_reference_study_is_not_written_to(explorer_here, folder) -> None:
    assert explorer_here("import", "timm", folder, "--store", "reference").code == 2

"""`explorer import catalogue` and the fronts over it, as a person types them."""

import json

import pytest

import zoo
import zoo.supernets
from tests.catalogue_families import ROWS, SUPERNETS, families, row
from tests.timm_folder import write_timm

GROUPED = ("front", "--dataset", "imagenet", "--group", "kind")


@pytest.fixture
def made_up_zoo(monkeypatch):
    """The import reads these families; networks still come from the real ones."""
    from types import SimpleNamespace

    spaces = {name: SimpleNamespace(systems=systems) for name, systems in SUPERNETS.items()}
    monkeypatch.setattr(zoo, "registered_families", lambda: families((*ROWS, row("mlp64", 0.5))))
    monkeypatch.setattr(zoo.supernets, "spaces", lambda: spaces)


@pytest.fixture
def store(explorer_here, made_up_zoo, tmp_path):
    folder = write_timm(tmp_path / "timm")
    assert explorer_here("import", "catalogue", "--store", tmp_path / "store").code == 0
    assert explorer_here("import", "timm", folder, "--store", tmp_path / "store").code == 0
    return tmp_path / "store"


def test_the_import_in_words_and_numbers(explorer_here, made_up_zoo, tmp_path) -> None:
    done = explorer_here("import", "catalogue", "--store", tmp_path / "store")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "7 published accuracies of the zoo's networks; 6 networks newly counted"
    assert lines[3].split() == ["imagenet", "6", "4", "3", "1", "of", "1", "0", "of", "1", "added"]
    assert "  parameters of mlp64x2@8: with a teacher" in lines
    assert any(line.startswith("left out: mlp64@8: ") for line in lines)

    again = explorer_here("import", "catalogue", "--json", "--store", tmp_path / "store")
    document = json.loads(again.out)
    assert set(document) == {*("schema_version", "store", "models", "counted", "tables", "left_out", "notes")}
    assert (document["models"], document["counted"]) == (7, 0)
    table = document["tables"][0]
    assert (table["name"], table["dataset"], table["kind"], table["of"]) == (
        "catalogue", "imagenet", "accuracy", "imagenet"
    )  # fmt: skip
    assert (table["rows"], table["families"], table["subnetworks"]) == (6, 4, 3)
    assert (table["outcome"], len(table["rows_sha256"])) == ("there already", 64)
    assert table["reproduced"][1] == {
        "quantity": "parameters", "published": 1, "within": 0,
        "beyond": [{"model": "mlp64x2@8", "why": "with a teacher"}],
    }  # fmt: skip
    assert {"why": "how many test images voxceleb1 has is not known here", "models": ["mlp32x2@8"]} in (
        document["left_out"]
    )
    assert explorer_here("db", "check", "--store", tmp_path / "store").out == "clean\n"


def test_timms_import_says_nothing_of_the_catalogue(explorer_here, store, tmp_path) -> None:
    done = explorer_here("import", "timm", tmp_path / "timm", "--store", store)
    assert "catalogue" not in done.err


def test_the_front_says_where_each_point_is_from(explorer_here, store) -> None:
    arguments = ("front", "--dataset", "imagenet", "--cost", "macs", "--store", store)
    said = explorer_here(*arguments)
    assert "macs of the catalogue: counted here" in said.err
    header = next(line for line in said.out.splitlines() if line.startswith("kind"))
    assert header.split()[-2:] == ["from", "model"]
    document = json.loads(explorer_here(*arguments, "--json").out)
    assert {point["from"] for point in document["points"]} == {"timm", "catalogue"}
    point = next(point for point in document["points"] if point["model"] == "mlp128x2")
    assert (point["source"], point["status"], point["cost"]["basis"]) == (
        "arXiv 1, Table 1", "seen", "counted"
    )  # fmt: skip
    assert point["group"] == {"kind": "networks of the catalogue", "family": "mlp"}
    assert (document["groups"], document["reached"], document["joined"][0]["beside"]) == ([], [], 6)
    table = next(one for one in document["tables"] if one["name"] == "catalogue")
    assert (table["file_sha256"], len(table["rows_sha256"])) == (None, 64)


def test_groups_side_by_side(explorer_here, store) -> None:
    said = explorer_here(*GROUPED, "--predicted-ensembles", "--reach", "78%", "--store", store).out
    assert "ensembles are PREDICTED" in said
    rows = [line for line in said.splitlines() if "sub-networks of supernets" in line]
    assert rows[0].startswith("78%")
    assert "published" in rows[0]
    document = json.loads(explorer_here(*GROUPED, "--predicted-ensembles", "--json", "--store", store).out)
    (group,) = [one for one in document["groups"] if one["name"] == "sub-networks of supernets"]
    assert (group["models"], len(group["points"])) == (3, 3)
    assert {one["basis"] for one in group["ensembles"]} == {"predicted"}
    first = document["reached"][0]
    assert (first["level"], first["of"], first["kind"]) == (0.76, "sub-networks of supernets", "single")
    assert first["surely"] is True
    assert {found["level"] for found in document["reached"]} == {0.76, 0.78, 0.8, 0.82}
    every = explorer_here(*GROUPED, "--all", "--store", store).out
    assert "sub-networks of supernets: 3 models" in every


def test_families_side_by_side(explorer_here, store) -> None:
    said = explorer_here("front", "--dataset", "imagenet", "--group", "family", "--store", store).out
    assert any(line.split()[0] == "timm:larch" for line in said.splitlines() if line)


@pytest.mark.parametrize("name", ["front.svg", "front.png"])
def test_the_figure(explorer_here, store, tmp_path, name) -> None:
    said = explorer_here("front", "--dataset", "imagenet", "--out", tmp_path / name, "--store", store)
    assert said.code == 0
    assert f"note: drawn: {tmp_path / name}" in said.err
    assert (tmp_path / name).stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("--reach", "80%"), "--reach belongs to --group"),
        (("--group", "kind", "--reach", "much"), "wanted a share from 0 to 1, e.g. 0.8 or 80%"),
        (("--out", "front.pdf"), "a figure ends in .svg or .png; got 'front.pdf'"),
        (("--group", "kind", "--cost", "macs", "--cost", "parameters"), "over one cost, got 2"),
    ],
)
def test_what_is_refused(explorer_here, store, arguments, wanted) -> None:
    refused = explorer_here("front", "--dataset", "imagenet", *arguments, "--store", store)
    assert refused.code == 2
    assert wanted in refused.error_line


def test_the_catalogue_alone(explorer_here, made_up_zoo, tmp_path) -> None:
    store = tmp_path / "store"
    explorer_here("import", "catalogue", "--store", store)
    said = explorer_here("front", "--dataset", "cifar10", "--store", store)
    assert (said.code, "mlp128x2@8" in said.out) == (0, True)
    document = json.loads(explorer_here("front", "--dataset", "imagenet", "--json", "--store", store).out)
    assert document["accuracy_on"] == {"test_set": "imagenet", "examples": 50_000, "table": "catalogue"}
    assert document["cost"]["convention"].startswith("counted here, exact")


def test_the_reference_study_is_not_written_to(explorer_here, made_up_zoo) -> None:
    assert explorer_here("import", "catalogue", "--store", "reference").code == 2

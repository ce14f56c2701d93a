"""`explorer curves` as a person calls it."""

import json
from pathlib import Path

import pytest

from explorer.analysis.curves.published_gain import predict_ensemble_accuracy
from tests.analyses.conftest import make_study


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(tmp_path_factory.mktemp("study") / "store", select=80, report=100)


def test_every_section_has_an_answer_or_a_reason(explorer_here, store: Path) -> None:
    done = explorer_here("curves", "--dataset", "fashion-mnist", "--store", store, "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert (document["schema_version"], document["dataset"]) == (1, "fashion-mnist")
    assert document["cost"]["kind"] == "macs"
    mobile, wrn = document["families"]
    assert mobile["inside_one_network"]["missing"].startswith("no ensemble inside one network")
    assert [one["method"] for one in wrn["inside_one_network"]] == ["MIMO", "snapshots of one run"]
    assert wrn["error_by_cost"]["points"][0]["model"] == "wrn10-0.25@28"
    assert wrn["error_by_cost"]["predictions"][0]["cost"] == 2 * 64e6
    assert wrn["splits"][0]["budget"] == 64e4
    for scale in wrn["scales"]:
        assert [one["members"] for one in scale["by_members"]["error"]["predictions"]] == [10, 50]
        assert all(one["extrapolated"] for one in scale["by_members"]["error"]["predictions"])
        assert scale["by_members"]["brier"]["exponent"] == 1
        verdicts = {"worth training", "not worth training", "cannot tell"}
        assert {scale["another_seed"][which]["verdict"] for which in ("third", "next")} <= verdicts


def test_text_of_one_family_with_what_was_asked(explorer_here, store: Path) -> None:
    asked = ("--family", "mobile", "--at", "2M", "--at", "1G", "--members", "7", "--parameters", "40k")
    done = explorer_here("curves", "--dataset", "fashion-mnist", "--store", store, *asked)
    assert done.code == 0, done.err
    assert "\nmobile\n" in done.out
    assert "\nwrn\n" not in done.out
    assert "at 2.00 MMACs: error" in done.out
    assert "inside the range measured" in done.out
    assert "at 1.00 GMACs: error" in done.out
    assert "outside of the range measured" in done.out
    assert "7 members" in done.out
    assert "40.0 k parameters are best" in done.out


def test_mixed_recipes_are_not_fitted_together(explorer_here, store: Path) -> None:
    done = explorer_here(
        "curves", "--dataset", "fashion-mnist", "--store", store, "--family", "wrn", "--mix-recipes"
    )
    assert done.code == 0, done.err
    assert "no curves" in done.out
    assert "a curve is valid inside one" in done.out


def test_a_published_error_needs_no_store(explorer_here, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = explorer_here("curves", "--published-error", "23.79%", "--published-members", 10)
    assert done.code == 0, done.err
    value = 1 - predict_ensemble_accuracy(1 - 0.2379, 10).accuracy
    assert done.out.startswith(f"10 such networks averaged: error {100 * value:.2f}%")
    assert "predicted, not measured" in done.out
    assert done.err == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give --dataset NAME, or --published-error"),
        (("--dataset", "nope"), "data sets in this store: fashion-mnist"),
        (("--dataset", "fashion-mnist", "--family", "wnr"), "did you mean wrn"),
        (("--dataset", "fashion-mnist", "--at", "lots"), "not an amount in MAC: 'lots'"),
        (("--dataset", "fashion-mnist", "--worth", "2"), "wanted a share from 0 to 1"),
        (("--dataset", "fashion-mnist", "--members", "0"), "not in the range"),
        (("--dataset", "fashion-mnist", "--cost", "energy@cpu"), "no member of fashion-mnist has a cost"),
        (("--dataset", "fashion-mnist", "--recipe", "nope"), "unknown recipe 'nope'"),
        (("--dataset", "fashion-mnist", "--published-members", "3"), "give its --published-error too"),
        (("--published-error", "140%"), "wanted a share from 0 to 1"),
    ],
)
def test_what_cannot_be_is_one_line(explorer_here, store: Path, arguments, said: str) -> None:
    done = explorer_here("curves", *arguments, "--store", store)
    assert done.code == 2
    assert done.out == ""
    assert said in done.error_line

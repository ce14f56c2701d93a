"""`explorer check`: the gate, from the file it keeps to its exit codes."""

import json
from pathlib import Path

import pytest

DIGITS = ("--dataset", "digits")


@pytest.fixture
def kept(explorer_here, trained_store, tmp_path) -> Path:
    path = tmp_path / "front.json"
    assert explorer_here("check", *DIGITS, "--write", path, "--store", trained_store).code == 0
    return path


def test_an_unchanged_store_passes(explorer_here, trained_store, kept) -> None:
    found = explorer_here("check", "--baseline", kept, "--json", "--store", trained_store)
    document = json.loads(found.out)
    assert found.code == 0
    assert document["passed"] is True
    assert document["changes"]["same"] == len(document["points"]) > 0
    front = json.loads(explorer_here("front", *DIGITS, "--json", "--store", trained_store).out)
    assert [p["before"]["design"] for p in document["points"]] == [p["design"] for p in front["points"]]


def test_a_front_that_claims_more_right_answers_fails_the_gate(explorer_here, trained_store, kept) -> None:
    document = json.loads(kept.read_text())
    for point in document["points"]:
        point["right"] = None
        point["accuracy"]["value"] = 1.0
    worse = kept.with_name("worse.json")
    worse.write_text(json.dumps(document))
    found = explorer_here("check", "--baseline", worse, "--store", trained_store)
    assert found.code == 1
    assert "REGRESSED" in found.out
    assert "worse" in found.out


def test_a_front_document_is_a_baseline_too(explorer_here, trained_store, tmp_path) -> None:
    path = tmp_path / "f.json"
    path.write_text(explorer_here("front", *DIGITS, "--json", "--store", trained_store).out)
    found = explorer_here("check", "--baseline", path, "--store", trained_store)
    assert found.code == 0
    assert "unpaired" in found.err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ("[1]", "is not a front, version 1 (got 'list')"),
        ('{"schema_version": 99}', "got 99"),
        ('{"schema_version": 1}', "no 'dataset' in it"),
        ('{"schema_version": 1, "dataset": "digits", "cost": 3}', "is damaged"),
    ],
)
def test_a_damaged_baseline_is_refused_in_one_line(
    explorer_here, trained_store, tmp_path, text, says
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    found = explorer_here("check", "--baseline", path, "--store", trained_store)
    assert found.code == 2
    assert says in found.err
    assert found.err.count("\n") == 1


def test_right_answers_of_another_length_are_refused(explorer_here, trained_store, kept) -> None:
    document = json.loads(kept.read_text())
    document["points"][0]["right"] = "AAAA"
    kept.write_text(json.dumps(document))
    found = explorer_here("check", "--baseline", kept, "--store", trained_store)
    assert found.code == 2
    assert "3 bytes of right answers" in found.err


def test_bad_requests(explorer_here, trained_store, kept, tmp_path) -> None:
    store = ("--store", trained_store)
    both = explorer_here("check", "--baseline", kept, "--write", tmp_path / "x.json", *DIGITS, *store)
    neither = explorer_here("check", *DIGITS, *store)
    other = explorer_here("check", "--baseline", kept, "--cost", "parameters", *store)
    nowhere = explorer_here("check", *DIGITS, "--write", tmp_path / "no" / "x.json", *store)
    missing = explorer_here("check", "--baseline", tmp_path / "none.json", *store)
    assert [one.code for one in (both, neither, other, nowhere, missing)] == [2] * 5
    assert "one of --baseline" in both.err
    assert "of cost macs, this front of parameters" in other.err
    assert "no folder" in nowhere.err
    assert not (tmp_path / "x.json").exists()

import dataclasses
import json
import os
import re

import numpy as np
import pytest

from explorer.build import artefact as module
from explorer.build.artefact import build_artefact, load_artefact, stored_predictions
from explorer.errors import ExplorerError, InputDataError, StoreError, UsageError
from explorer.spec import Member, parse_design
from explorer.store import Store

CASCADE = parse_design("mlp8x1@8#0 -> [p>=0.5] mean(mlp8x1@8#1, wrn10-0.25@5#0)")
SINGLE = parse_design("mlp8x1@8#0")


@pytest.fixture
def built(store, tmp_path):
    return build_artefact(store, "digits", CASCADE, tmp_path / "artefact")


def test_the_folder_says_what_it_is(built, store, digits):
    document = json.loads((built.path / "design.json").read_text())

    assert sorted(os.listdir(built.path)) == ["README.md", "design.json", "model.onnx"]
    assert document["schema_version"] == 1
    assert parse_design(document["design"]) == CASCADE == built.design
    assert document["thresholds"] == {"threshold_1": 0.5} == built.thresholds
    assert (document["signals"], document["joined"]) == (["p"], [False, False])
    assert document["classes"] == list(digits.classes)
    assert document["input"]["shape"] == ["n", 1, 8, 8]
    assert document["split_digest"] == digits.split_digest
    assert {m["member"]: m["weights_sha256"] for m in document["members"]} == {
        str(record.member): record.weights_digest
        for record in store.members("digits")
        if (record.member.name, record.member.resolution, record.member.seed)
        in {("mlp8x1", 8, 0), ("mlp8x1", 8, 1), ("wrn10-0.25", 5, 0)}
    }
    assert built.bytes == (built.path / "model.onnx").stat().st_size
    assert load_artefact(built.path) == built


def test_expected_accuracy_is_recomputed_from_the_store(built, store, digits):
    """First stage alone where it is sure, else the mean of the two: plain numpy."""
    p = {
        (r.member.name, r.member.seed): store.probabilities(r).astype(np.float64)
        for r in store.predictions("digits", "report")
        if (r.member.name, r.member.resolution) in {("mlp8x1", 8), ("wrn10-0.25", 5)}
    }
    first, second = p["mlp8x1", 0], (p["mlp8x1", 1] + p["wrn10-0.25", 0]) / 2
    goes_on = first.max(axis=1) < 0.5
    label = np.where(goes_on, second.argmax(axis=1), first.argmax(axis=1))

    expected = built.document["expected"]
    assert expected["accuracy"]["value"] == (label == digits.report.labels).mean()
    assert expected["accuracy"]["n"] == expected["examples"] == 539
    assert expected["reached"] == [1.0, goes_on.mean()]
    assert 0 < goes_on.mean() < 1


def test_the_same_design_gives_the_same_bytes(built, store, tmp_path):
    again = build_artefact(store, "digits", CASCADE, tmp_path / "again")

    assert again.digest == built.digest
    for name in os.listdir(built.path):
        assert (again.path / name).read_bytes() == (built.path / name).read_bytes()


def test_the_readme_runs_as_it_stands(built, monkeypatch, capsys):
    monkeypatch.chdir(built.path)
    programs = re.findall(r"```python\n(.*?)```", (built.path / "README.md").read_text(), re.DOTALL)
    names: dict[str, object] = {}

    for program in programs:
        exec(program, names)

    assert len(programs) == 2
    assert names["label"].shape == (5,)
    assert len("".join(programs).splitlines()) <= 12


def test_the_readme_says_what_the_exits_look_at(store, tmp_path):
    text = "mlp8x1@8#0 -> [entropy<=0.5] + mlp8x1@8#1 -> [agreement>=1.0] mlp8x1@8#2"
    built = build_artefact(store, "digits", parse_design(text), tmp_path / "a")

    readme = (built.path / "README.md").read_text()

    assert (
        "| `threshold_1` | 0.5 | the entropy of the probabilities, in nats, is at most it | 1000 | -1 |"
        in readme
    )
    assert (
        "| `threshold_2` | 1.0 | the share of members whose own top class is the answer is at least" in readme
    )
    assert "stays in the average at stage 1:" in readme


def test_a_folder_that_is_taken_is_left_alone(built, store, tmp_path):
    with pytest.raises(UsageError, match=r"already holds an artefact; choose another folder or give"):
        build_artefact(store, "digits", SINGLE, built.path)
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter1.txt").write_text("years of work")
    with pytest.raises(UsageError, match=r"thesis exists and is no artefact"):
        build_artefact(store, "digits", SINGLE, foreign, overwrite=True)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UsageError, match="file exists and is no artefact"):
        build_artefact(store, "digits", SINGLE, file, overwrite=True)

    assert (foreign / "chapter1.txt").read_text() == "years of work"
    assert load_artefact(built.path).design == CASCADE


def test_overwrite_replaces_all_of_it(built, store):
    (built.path / "notes.txt").write_text("gone afterwards")

    replaced = build_artefact(store, "digits", SINGLE, built.path, overwrite=True)

    assert load_artefact(built.path) == replaced
    assert sorted(os.listdir(built.path)) == ["README.md", "design.json", "model.onnx"]
    assert os.listdir(built.path.parent) == ["artefact"]  # no temporary folder is left


def test_an_empty_folder_is_filled(store, tmp_path):
    (tmp_path / "empty").mkdir()

    assert build_artefact(store, "digits", SINGLE, tmp_path / "empty").design == SINGLE


def test_a_failure_half_way_leaves_what_was_there(built, store, monkeypatch):
    monkeypatch.setattr(module, "readme_text", lambda document: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        build_artefact(store, "digits", SINGLE, built.path, overwrite=True)
    with pytest.raises(ZeroDivisionError):
        build_artefact(store, "digits", SINGLE, built.path.with_name("other"))

    assert load_artefact(built.path).design == CASCADE
    assert os.listdir(built.path.parent) == ["artefact"]


def test_unknown_members_and_ambiguous_recipes(store, tmp_path, digits, commit_member, make_network):
    with pytest.raises(UsageError, match=r"unknown member of digits 'mlp8x1@8#7'; did you mean"):
        build_artefact(store, "digits", parse_design("mlp8x1@8#7"), tmp_path / "a")
    with Store.open(tmp_path / "store") as two:
        for recipe in ("one-11111111", "two-22222222"):
            member = Member("mlp8x1", 8, 0, recipe)
            commit_member(two, digits, member, make_network("mlp8x1", 8, len(recipe)))
        with pytest.raises(UsageError, match="several recipes"):
            build_artefact(two, "digits", SINGLE, tmp_path / "a")
        chosen = build_artefact(two, "digits", SINGLE, tmp_path / "a", recipe="two-22222222")
        named = build_artefact(two, "digits", parse_design("mlp8x1@8~one-11111111#0"), tmp_path / "b")
    assert chosen.document["members"][0]["member"] == "mlp8x1@8~two-22222222#0"
    assert chosen.document["members"][0]["name"] == "mlp8x1@8#0"
    assert named.document["members"][0]["member"] == "mlp8x1@8~one-11111111#0"


def test_members_of_different_splits_are_not_joined(tmp_path, digits, commit_member, make_network):
    moved = dataclasses.replace(digits, split_digest="f" * 64)
    with Store.open(tmp_path / "store") as other:
        commit_member(other, digits, Member("mlp8x1", 8, 0, "r-0"), make_network("mlp8x1", 8, 0))
        commit_member(other, moved, Member("mlp8x1", 8, 1, "r-0"), make_network("mlp8x1", 8, 1))
        with pytest.raises(UsageError, match=r"mlp8x1@8~r-0#1 were trained under different splits of digits"):
            build_artefact(other, "digits", parse_design("mean(mlp8x1@8#0, mlp8x1@8#1)"), tmp_path / "a")


def test_weights_that_do_not_fit(tmp_path, digits, commit_member, make_network):
    with Store.open(tmp_path / "store") as other:
        commit_member(other, digits, Member("mlp8x1", 8, 0, "r-0"), make_network("mlp9x1", 8, 0))
        with pytest.raises(InputDataError, match=r"stored weights of mlp8x1@8~r-0#0 do not fit its arch"):
            build_artefact(other, "digits", SINGLE, tmp_path / "a")


def truncate(path):
    (path / "model.onnx").write_bytes((path / "model.onnx").read_bytes()[:-100])


def flip(path):
    content = bytearray((path / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (path / "model.onnx").write_bytes(content)


def edit(**values):
    def change(path):
        document = json.loads((path / "design.json").read_text())
        document.update(values)
        (path / "design.json").write_text(json.dumps(document))

    return change


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (truncate, InputDataError, r"model\.onnx has \d+ bytes, \d+ were built: truncated"),
        (flip, InputDataError, r"model\.onnx was changed since it was built: SHA-256 \w{12}, not \w{12}"),
        (lambda p: (p / "model.onnx").unlink(), InputDataError, r"model\.onnx cannot be read \(No such"),
        (lambda p: (p / "design.json").unlink(), InputDataError, r"is no artefact: design\.json cannot be"),
        (lambda p: (p / "design.json").write_text('{"sch'), InputDataError, r"design\.json is not JSON"),
        (lambda p: (p / "design.json").write_bytes(b"\xff\xfe"), InputDataError, r"design\.json is not JSON"),
        (lambda p: (p / "design.json").write_text("[]"), InputDataError, r"has no schema_version"),
        (edit(schema_version=2), StoreError, r"schema_version 2; this version knows up to 1: upgrade"),
        (edit(schema_version=0), InputDataError, r"has no schema_version; wanted 1 to 1"),
        (edit(schema_version=True), InputDataError, r"has no schema_version; wanted 1 to 1"),
        (edit(design="mean("), InputDataError, r"design\.json is damaged: UsageError"),
        (edit(design="mlp8x1@8#2"), InputDataError, r"members, shape or classes do not match"),
        (edit(files={}), InputDataError, r"design\.json is damaged: KeyError\('model\.onnx'\)"),
        (edit(members=3), InputDataError, r"design\.json is damaged: TypeError"),
        (edit(input={"shape": ["n", 1]}), InputDataError, r"design\.json is damaged"),
        (edit(dataset=""), InputDataError, r"design\.json is damaged"),
        (edit(classes=None), InputDataError, r"design\.json is damaged"),
    ],
)
def test_damage_is_one_clear_line(built, damage, error, message):
    damage(built.path)

    with pytest.raises(error, match=message) as caught:
        load_artefact(built.path)

    assert isinstance(caught.value, ExplorerError)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert str(built.path) in str(caught.value)


def test_no_folder_at_all(tmp_path):
    with pytest.raises(InputDataError, match=r"nowhere is no artefact: .* make one with: explorer build"):
        load_artefact(tmp_path / "nowhere")


def test_predictions_of_other_weights_are_not_compared(tmp_path, digits, commit_member, make_network):
    member = Member("mlp8x1", 8, 0, "r-0")
    with Store.open(tmp_path / "store") as changing:
        commit_member(changing, digits, member, make_network("mlp8x1", 8, 0))
        built = build_artefact(changing, "digits", SINGLE, tmp_path / "a")
        assert list(stored_predictions(changing, built)) == [SINGLE.member]

        commit_member(changing, digits, member, make_network("mlp8x1", 8, 1))
        with pytest.raises(StoreError, match=r"was built from mlp8x1@8~r-0#0; the store holds other weights"):
            stored_predictions(changing, built)
    with Store.open(tmp_path / "empty") as empty, pytest.raises(StoreError, match="does not hold it"):
        stored_predictions(empty, built)

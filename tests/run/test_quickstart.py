"""The main job, end to end, as `make run` runs it; then again, when everything is there already."""

import json
import shutil
import time

import pytest

from explorer.spec import parse_design
from explorer.store import Store


@pytest.mark.slow
def test_from_nothing_to_a_verified_file_and_again(explorer, tmp_path) -> None:
    arguments = ("quickstart", "--store", tmp_path / "store", "--out", tmp_path / "out")

    first = explorer(*arguments, timeout=600)

    assert first.code == 0, first.err
    answer, report, artefact = first.out.strip().splitlines()[-3:]
    assert answer.startswith("answer: With at most ")
    assert report == f"report: {tmp_path / 'out' / 'report.html'}"
    assert artefact.startswith(f"artefact: {tmp_path / 'out' / 'artefact' / 'model.onnx'} (")
    assert artefact.endswith("verified")
    for name in ("report.html", "report.md", "report-latency.html", "artefact/design.json"):
        assert (tmp_path / "out" / name).stat().st_size > 500
    with Store.open(tmp_path / "store", create=False) as store:
        assert len(store.members("digits")) == 20
        assert [v.passed for v in store.verifications()] == [True]
        assert len(store.evaluations("digits")) == 1
        stamps = {str(m.member): m.weights_digest for m in store.members()}

    begin = time.monotonic()
    again = explorer(*arguments, "--json", timeout=600)
    document = json.loads(again.out)

    assert again.code == 0
    assert document["verified"] is True
    assert str(parse_design(document["answer"]["design"])) in artefact
    assert "train: 0 members to do, 20 there already" in again.err
    assert time.monotonic() - begin < 120
    with Store.open(tmp_path / "store", create=False) as store:
        assert {str(m.member): m.weights_digest for m in store.members()} == stamps


@pytest.mark.slow
def test_a_built_file_is_verified_and_a_changed_one_is_not(explorer, trained_store, tmp_path) -> None:
    design = "wrn10-0.25@8#0 -> [p>=0.3] mean(wrn10-0.5@8#0, wrn10-0.5@8#1)"
    store = shutil.copytree(trained_store, tmp_path / "store")
    out = tmp_path / "artefact"
    assert explorer("build", design, "--out", out, "--store", store).code == 0

    verified = json.loads(explorer("verify", out, "--json", "--store", store).out)

    assert verified["passed"] is True
    assert verified["design"] == design
    assert {route["name"] for route in verified["routes"]} >= {"batch 1", "none escalate", "all escalate"}
    assert all(route["mismatches"] == 0 for route in verified["routes"])
    assert verified["latency"]["measured"] > 0

    model = out / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1000])
    damaged = explorer("verify", out, "--store", store)
    assert damaged.code == 2
    assert "model.onnx" in damaged.error_line
    taken = explorer("build", design, "--out", tmp_path, "--store", store)
    assert taken.code == 2
    assert str(tmp_path) in taken.error_line

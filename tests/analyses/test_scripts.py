"""Every script on a made study: answers, files, checks, and what it says where there is nothing."""

import importlib
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from analyses.__main__ import NAMES, main
from explorer.report.finding import Absent, Finding
from explorer.run.analysing import run_analysis
from explorer.store import Store

ROOT = Path(__file__).resolve().parents[2]
NEED_MORE = {"distil_or_ensemble": "no distilled members", "macs_vs_latency": "of 0 models was measured"}


def analysed(name: str, store: Path) -> Finding | Absent:
    with Store.open(store, create=False) as opened:
        return importlib.import_module(f"analyses.{name}").analyse(opened, "fashion-mnist")


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_reproduced_to_the_byte(name: str, study: Path, tmp_path: Path, capsys) -> None:
    module = importlib.import_module(f"analyses.{name}")
    arguments = ["--store", str(study), "--out", str(tmp_path)]
    assert run_analysis(name, module.__doc__, module.analyse, arguments) == 0
    told = capsys.readouterr().out
    assert "95 %" in told.splitlines()[0]
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(first) == {f"{name}.md", f"{name}.svg", f"{name}.json"}
    assert run_analysis(name, module.__doc__, module.analyse, [*arguments, "--check"]) == 0
    assert run_analysis(name, module.__doc__, module.analyse, arguments, brief=True) == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
    assert json.loads(first[f"{name}.json"])["figure"]


@pytest.mark.parametrize("name", NAMES)
def test_a_study_of_plain_singles_is_enough_or_it_says_what_is_missing(name: str, plain_study: Path) -> None:
    found = analysed(name, plain_study)
    if name in NEED_MORE:
        assert isinstance(found, Absent)
        assert NEED_MORE[name] in found.reason
    else:
        assert isinstance(found, Finding)


def test_all_of_them_in_one_command(plain_study: Path, tmp_path: Path, capsys) -> None:
    arguments = ["--store", str(plain_study), "--out", str(tmp_path)]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(NAMES)
    assert main([*arguments, "--check"]) == 0
    (tmp_path / "seed_spread.json").write_text("{}", encoding="utf-8")
    assert main([*arguments, "--check"]) == 1


def test_another_data_set_is_refused_in_one_line(plain_study: Path, tmp_path: Path, capsys) -> None:
    assert main(["--store", str(plain_study), "--dataset", "digits", "--out", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all("no member of data set 'digits'" in line for line in lines)


def test_scripts_share_no_code_and_the_documents_name_each() -> None:
    document = (ROOT / "docs" / "analyses.md").read_text(encoding="utf-8")
    for name in NAMES:
        source = (ROOT / "analyses" / f"{name}.py").read_text(encoding="utf-8")
        assert "from analyses" not in source
        assert f"| `{name}` |" in document

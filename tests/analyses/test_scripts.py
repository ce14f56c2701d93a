"""Every script on a made study: answers, files, checks, and what it says where there is nothing."""

import importlib
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from analyses.__main__ import NAMES, main
from explorer.report.finding import Absent, Finding
from explorer.run.analysing import RESULTS, run_analysis
from explorer.store import Store
from tests.analyses.conftest import MACS, MadeStudy

ROOT = Path(__file__).resolve().parents[2]
NEED_MORE = {
    "distil_or_ensemble": "no distilled members",
    "macs_vs_latency": "`explorer profile --dataset fashion-mnist` measures latency",
}


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


def test_results_of_the_shipped_study_are_not_replaced_by_those_of_another(plain_study, capsys) -> None:
    kept = {path: path.read_bytes() for path in (ROOT / RESULTS).iterdir()}
    for arguments in (["--store", str(plain_study)], ["--dataset", "digits"]):
        assert run_analysis("seed_spread", "Why?", lambda *_: None, arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line == (
            "seed_spread: analyses/results holds the answers of --store reference --dataset fashion-mnist; "
            "--out names another folder"
        )
    assert {path: path.read_bytes() for path in (ROOT / RESULTS).iterdir()} == kept


def test_a_page_says_what_it_was_asked(plain_study: Path, tmp_path: Path, capsys) -> None:
    arguments = ["--store", str(plain_study), "--out", str(tmp_path)]
    module = importlib.import_module("analyses.seed_spread")
    assert run_analysis("seed_spread", module.__doc__, module.analyse, arguments) == 0
    page = (tmp_path / "seed_spread.md").read_text(encoding="utf-8")
    assert page.splitlines()[-1] == f"    python -m analyses.seed_spread --store {plain_study}"


@pytest.mark.parametrize(
    ("skills", "told"),
    [
        ((60.0, 60.0), "is preferred most often for wrn10-0.25@28 and wrn10-0.5@28: in 50.0% of cases"),
        ((1.0, 60.0), "One seed each never preferred the worse of two neighbouring scales"),
    ],
)
def test_seeds_without_a_single_error_have_an_answer(skills, told, tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        sure = MadeStudy(store, select=60, report=60)
        for name, skill in zip(("wrn10-0.25", "wrn10-0.5"), skills, strict=True):
            for seed in range(3):
                sure.member(name, seed, skill)
            sure.cost(name, "macs", MACS[name])
        found = importlib.import_module("analyses.seed_spread").analyse(store, "fashion-mnist")
    assert ("binomial" in found.answer) == (skills[0] != skills[1])
    assert told in found.answer

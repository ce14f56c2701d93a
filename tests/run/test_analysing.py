"""What a script's command line does with an answer, with none, and with trouble."""

from pathlib import Path

import pytest

from explorer.report.finding import Absent, Finding, Table
from explorer.report.plots import Panel, Series
from explorer.run.analysing import run_analysis
from explorer.store import Store


def answer(value: float) -> Finding:
    series = Series(label="net", x=(1.0, 2.0), y=(value, value))
    return Finding(
        question="Is it?",
        answer=f"It is {value}.",
        tables=(Table(header=("a",), rows=(("1",),)),),
        panels=(Panel(title="", x_label="", y_label="", series=(series,)),),
        alt="a line",
        numbers={"value": value},
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    Store.open(tmp_path / "store").close()
    return tmp_path / "store"


def test_an_answer_is_written_printed_and_checked(store: Path, tmp_path: Path, capsys) -> None:
    arguments = ["--store", str(store), "--out", str(tmp_path / "out"), "--dataset", "digits"]
    asked = []

    def analyse(opened: Store, dataset: str) -> Finding:
        asked.append((opened.root, dataset))
        return answer(0.5)

    assert run_analysis("net", "Is it?\n", analyse, arguments) == 0
    assert asked == [(store, "digits")]
    assert capsys.readouterr().out == "It is 0.5.\n\na\n1\n"
    assert run_analysis("net", "Is it?\n", analyse, [*arguments, "--check"]) == 0
    assert capsys.readouterr().out == f"net: as kept in {tmp_path / 'out'}\n"
    assert run_analysis("net", "Is it?\n", analyse, arguments, brief=True) == 0
    assert capsys.readouterr().out == "net: It is 0.5.\n"

    kept = (tmp_path / "out" / "net.json").read_bytes()
    assert run_analysis("net", "Is it?\n", lambda *_: answer(0.6), [*arguments, "--check"]) == 1
    told = capsys.readouterr()
    assert "net: differs from" in told.err
    assert "/numbers/value: kept 0.5, now 0.6" in told.err
    assert told.out == ""
    assert (tmp_path / "out" / "net.json").read_bytes() == kept


def test_no_answer_is_said_and_nothing_written(store: Path, tmp_path: Path, capsys) -> None:
    arguments = ["--store", str(store), "--out", str(tmp_path / "out")]
    assert run_analysis("net", "Is it?", lambda *_: Absent(reason="nothing there"), arguments) == 4
    assert capsys.readouterr().out == "net: no answer: nothing there\n"
    assert not (tmp_path / "out").exists()


def test_trouble_is_one_line(store: Path, tmp_path: Path, capsys) -> None:
    missing = ["--store", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")]
    assert run_analysis("net", "Is it?", lambda *_: answer(1.0), missing) == 2
    assert capsys.readouterr().err.startswith("net: no store at")
    check = ["--store", str(store), "--out", str(tmp_path / "out"), "--check"]
    assert run_analysis("net", "Is it?", lambda *_: answer(1.0), check) == 2
    assert capsys.readouterr().err.startswith("net: nothing to check against")

"""Findings: written whole, checked number by number; figures are the same bytes twice."""

import json
import math
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from explorer.errors import UsageError
from explorer.report.finding import (
    Finding,
    Table,
    check_finding,
    finding_document,
    finding_text,
    write_finding,
)
from explorer.report.plots import Panel, Rule, Series, draw_panels


@pytest.fixture
def finding() -> Finding:
    line = Series(
        label="net", x=(1e6, 2e6, 8e6), y=(0.3, 0.25, 0.2), low=(0.29, 0.24, 0.19), high=(0.31, 0.26, 0.21)
    )
    marks = Series(label="seed", x=(0.0, 1.0), y=(0.001, -0.001), joined=False, hollow=True, tags=("a", "b"))
    return Finding(
        question="Is it?",
        answer="It is (95 % interval 1 to 2).",
        tables=(Table(header=("a", "b"), rows=(("1", "2"), ("3", "4"))), Table(header=("none",), rows=())),
        panels=(
            Panel(
                title="one",
                x_label="MACs",
                y_label="Error",
                series=(line, replace(line, label="all", reference=True)),
                rules=(Rule(at=3e6, low=2e6, high=4e6, label="here"),),
                x_unit="macs",
                y_unit="share",
                y_log=True,
            ),
            Panel(
                title="two", x_label="", y_label="", series=(marks,), categories=("p", "q"), y_unit="points"
            ),
        ),
        alt='A line & "marks"',
        numbers={"value": 1 / 3, "low": -math.inf, "count": 5, "what": "net"},
        notes=("Read it so.",),
    )


def test_the_answer_comes_first(finding: Finding) -> None:
    assert finding_text(finding) == "It is (95 % interval 1 to 2).\n\na  b\n1  2\n3  4\n\nRead it so."


def test_every_number_of_the_figure_is_in_the_document(finding: Finding) -> None:
    document = finding_document(finding)
    assert document["figure"][0]["series"][0]["y"] == [0.3, 0.25, 0.2]
    assert document["figure"][0]["rules"][0]["low"] == 2e6
    assert document["numbers"] == {"value": 0.333333, "low": "-inf", "count": 5, "what": "net"}
    json.dumps(document, allow_nan=False)


def test_written_files_check_clean_and_are_the_same_twice(finding: Finding, tmp_path: Path) -> None:
    written = write_finding(finding, tmp_path / "new", "net")
    assert [path.name for path in written] == ["net.md", "net.svg", "net.json"]
    first = [path.read_bytes() for path in written]
    assert first == [path.read_bytes() for path in write_finding(finding, tmp_path / "new", "net")]
    assert check_finding(finding, tmp_path / "new", "net") == []
    assert b"| 3 | 4 |" in first[0]
    assert b"(net.svg)" in first[0]


def test_rounding_is_no_difference_and_anything_else_is(finding: Finding, tmp_path: Path) -> None:
    write_finding(finding, tmp_path, "net")
    close = {**finding.numbers, "value": (1 / 3) * 1.00005}
    rounded = replace(finding, numbers=close, answer=finding.answer.replace("2", "3"))
    assert rounded.answer != finding.answer
    assert check_finding(rounded, tmp_path, "net") == []
    other = check_finding(replace(finding, answer="Other words."), tmp_path, "net")
    assert other[0].startswith(f'net.md line 3: "{finding.answer[:20]}')
    assert other[0].endswith('is now "Other words."')
    far = {**finding.numbers, "value": 0.334, "low": 1.0}
    assert check_finding(replace(finding, numbers=far), tmp_path, "net") == [
        "/numbers/value: kept 0.333333, now 0.334",
        '/numbers/low: kept "-inf", now 1.0',
    ]
    found = check_finding(replace(finding, panels=finding.panels[:1]), tmp_path, "net")
    assert len(found) == 1
    assert found[0].startswith("/figure: kept [")
    assert check_finding(replace(finding, numbers={}), tmp_path, "net") != []


def test_nothing_to_check_against_says_where(finding: Finding, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no .*net\.json; a run without --check writes it"):
        check_finding(finding, tmp_path, "net")


def test_a_damaged_file_and_a_folder_that_cannot_be_are_said_in_one_line(finding, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"numbers": ')
    with pytest.raises(UsageError, match=r"a.json is damaged: .*without --check"):
        check_finding(finding, tmp_path, "a")
    with pytest.raises(UsageError, match="cannot write results to"):
        write_finding(finding, tmp_path / "a.json", "a")


def test_figures_are_accessible_xml_without_a_date(finding: Finding) -> None:
    svg = draw_panels(finding.panels, finding.alt)
    root = ElementTree.fromstring(svg)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == 'A line & "marks"'
    assert "<metadata>" not in svg
    words = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"one", "two", "p", "q", "net", "here", "5 M", "25%", "0.1 points"} <= {
        word.replace("+", "") for word in words if word
    }


def test_one_panel_fills_one_column(finding: Finding) -> None:
    assert draw_panels(finding.panels[:1], "one").count('id="axes_') == 1

"""The report as files: one page that needs nothing, and a twin that says the same."""
# ruff: noqa: RUF001  (the minus and multiplication signs are what is tested)

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from explorer.analysis.result import Advice, Front
from explorer.errors import UsageError
from explorer.report.evidence import Evidence
from explorer.report.html import render_html, script_json
from explorer.report.markdown import render_markdown
from explorer.report.report_info import ReportInfo, design_rows, report_info
from explorer.report.writing import write_info
from explorer.spec import CandidateKind

LIMIT = 500_000


@pytest.fixture
def info(front: Front, advice: Advice, evidence: Evidence) -> ReportInfo:
    return report_info(front, advice, evidence)


class _Page(HTMLParser):
    """Collect text, attributes that fetch, and the manifest; complain about unclosed elements."""

    VOID = frozenset({"meta", "br", "input", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.fetches: list[str] = []
        self.manifest = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "data") and not (value or "").startswith(
                ("#", "data:")
            ):
                self.fetches.append(f"{tag} {name}={value}")
            if name in ("title", "aria-label"):
                self.text.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script" and data.lstrip().startswith("{"):
            self.manifest = data
        elif self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)


def read_page(page: str) -> _Page:
    parser = _Page()
    parser.feed(page)
    assert parser.open == []
    return parser


def numbers(text: str) -> set[str]:
    return set(re.findall(r"[+−]?\d[\d,]*(?:\.\d+)?", text))


def test_page_is_whole_and_fetches_nothing(info: ReportInfo) -> None:
    page = render_html(info)
    read = read_page(page)

    assert len(page.encode()) < LIMIT
    assert read.fetches == []
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page
    assert "url(" not in page.replace("url(#", "")
    assert '<html lang="en">' in page
    assert "prefers-color-scheme:dark" in page


def test_answer_comes_first(info: ReportInfo) -> None:
    page = render_html(info)

    body = page[page.index("<body>") :]
    assert body.index("<h1>Ship a cascade: 98.1% for 1.23 MMACs</h1>") < body.index("<figure>")
    assert "Cannot tell which is more accurate" in body


def test_every_number_of_the_markdown_is_in_the_page(info: ReportInfo) -> None:
    page = " ".join(read_page(render_html(info)).text)

    missing = numbers(render_markdown(info)) - numbers(page)

    assert missing == set()


def test_figures_have_their_text_alternative(info: ReportInfo) -> None:
    page = render_html(info)

    assert page.count('role="img"') == 2
    assert info.front.alt in " ".join(read_page(page).text)
    assert info.curves.alt in " ".join(read_page(page).text)


def test_table_twin_has_every_design_of_the_figure(info: ReportInfo) -> None:
    assert {row.design for row in info.rows} == {mark.design for mark in info.front.marks}
    assert [row.sort_cost for row in info.rows] == sorted(row.sort_cost for row in info.rows)
    answer = next(row for row in info.rows if row.role == "answer")
    assert (answer.accuracy, answer.select_accuracy, answer.regret) == ("98.1%", "98.5%", "+0.4")
    assert (answer.cost, answer.worst_cost, answer.reached) == ("1.23 MMACs", "3.29 MMACs", "31.9%")


def test_manifest_can_be_read_back(info: ReportInfo) -> None:
    manifest = json.loads(read_page(render_html(info)).manifest)

    assert manifest["schema_version"] == 1
    assert manifest["advice"]["question"] == "macs<=4000000.0"
    assert len(manifest["members"]) == 12
    assert manifest["members"][0]["weights"] == "cd" * 32
    assert manifest["front"]["points_of_the_front"] == 4


def test_manifest_cannot_break_out_of_its_element() -> None:
    hostile = json.dumps({"name": "</script><script>alert(1)</script>&<!--"})

    safe = script_json(hostile)

    assert "<" not in safe
    assert json.loads(safe) == json.loads(hostile)


def test_names_are_escaped(front: Front, advice: Advice, evidence: Evidence) -> None:
    pool = replace(front.pool, dataset="folder:/<b>x</b>&")
    info = report_info(
        replace(front, pool=pool, notes=("<i>note</i>",)), replace(advice, pool=pool), evidence
    )

    page = render_html(info)

    assert "<b>x</b>" not in page
    assert "<i>note</i>" not in page
    read_page(page)


def test_training_cost_is_summed(info: ReportInfo) -> None:
    assert info.training_total.startswith(
        "Making all 12 members took 1 min 28 s of training (cpu) and 859 GMACs"
    )
    assert len(info.members) == 12
    assert info.members[0].cost == "71.3 kMACs"


def test_what_was_not_counted_is_said(front: Front, advice: Advice, evidence: Evidence) -> None:
    whole = " ".join(report_info(front, advice, evidence).not_counted)
    gaps = replace(evidence, uncounted={"net@8": {"fft": 3}})
    partly = " ".join(report_info(front, advice, gaps).not_counted)

    assert "Every operator of the counted models has a formula" in whole
    assert "Operators of net@8 without a formula, so not counted: fft (3 times)." in partly
    assert "Every operator" not in partly


def test_the_largest_front_stays_under_the_limit(front: Front, advice: Advice, evidence: Evidence) -> None:
    base = front.fronts_by_kind[CandidateKind.CASCADE][-1]
    points = tuple(
        replace(
            base,
            design=replace(base.design, exits=(replace(base.design.exits[0], threshold=0.2 + i / 4000),)),
            cost=replace(base.cost, value=1e5 + 977.0 * i),
            accuracy=replace(base.accuracy, value=0.9 + i / 40_000),
        )
        for i in range(3000)
    )
    large = replace(
        front,
        points=points,
        fronts_by_kind={**front.fronts_by_kind, CandidateKind.CASCADE: points},
        cloud=front.cloud * 3,
    )

    info = report_info(large, advice, evidence)
    page = render_html(info)

    assert len(page.encode()) < LIMIT
    assert "more designs are in the JSON form" in page
    assert any(row.role == "answer" for row in info.rows)
    assert json.loads(read_page(page).manifest)["front"]["points_of_the_front"] == 3000
    assert len(json.loads(info.manifest)["front"]["points"]) == 3000
    assert len(render_markdown(info).encode()) < 64_000
    assert len(design_rows(large)) == 3000 + 7


def test_no_answer_still_makes_a_report(front: Front, advice: Advice, evidence: Evidence) -> None:
    empty = replace(
        advice, answer=None, runner_up=None, best_of_kind={}, comparisons=(), cannot_tell=False, cheaper=None
    )

    page = render_html(report_info(front, empty, evidence))

    assert "Nothing fits: at most 4.00 MMACs per example" in page


@pytest.mark.parametrize("name", ["r.html", "r.md", "r.json"])
def test_files_are_written_whole(
    tmp_path: Path, name: str, front: Front, make_advice: Callable[..., Advice], evidence: Evidence
) -> None:
    path = tmp_path / name

    write_info(path, front=front, advice=make_advice(), evidence=evidence)
    write_info(path, front=front, advice=make_advice(), evidence=evidence)

    assert path.stat().st_size > 1000
    assert list(tmp_path.iterdir()) == [path]
    assert (path.stat().st_mode & 0o777) == 0o644


def test_other_endings_and_missing_folders_are_refused(
    tmp_path: Path, front: Front, advice: Advice, evidence: Evidence
) -> None:
    with pytest.raises(UsageError, match=r"ends in \.html, \.md, \.json; got 'r\.pdf'"):
        write_info(tmp_path / "r.pdf", front=front, advice=advice, evidence=evidence)
    with pytest.raises(UsageError, match="no folder"):
        write_info(tmp_path / "none" / "r.md", front=front, advice=advice, evidence=evidence)

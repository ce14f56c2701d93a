"""Checked claims as a table, in detail, as a page."""

from explorer.analysis.claims import Basis, Checked, CheckedClaim, Outcome, judged
from explorer.data.claims import Check, Claim, Kind, Quantity, Relation
from explorer.report.claims import claims_document, claims_markdown, claims_text, found_text, summary

RATIO = Check(
    condition="here", kind=Kind.RATIO, quantity=Quantity.THROUGHPUT, workload="cpu/eager", model="a@8",
    against="b@8", published=2.0, tolerance=0.0, relation=Relation.AT_LEAST,
)  # fmt: skip
COUNT = Check(
    condition="counted", kind=Kind.VALUE, quantity=Quantity.MACS, model="a@8", published=24e6, tolerance=1e6
)


def claim(name: str, *checks: Checked, why: str = "", note: str = "") -> CheckedClaim:
    given = Claim(
        id=name,
        system="s",
        statement="it is fast",
        published="2x",
        seed="003:1",
        checks=tuple(one.check for one in checks),
        not_checkable=why,
        note=note,
    )
    return CheckedClaim(claim=given, checks=checks)


HOLDS = claim("holding", judged(COUNT, 24.4e6, basis=Basis.COUNTED, parts={"a@8": 24.4e6}))
FAILS = claim("failing", judged(RATIO, 1.5, basis=Basis.CITED, where="their table"), note="only theirs")
MIXED = claim(
    "mixed",
    judged(RATIO, 2.5, low=2.4, high=2.6, basis=Basis.MEASURED, where="a CPU, 2026-01-02"),
    judged(RATIO, 1.5, basis=Basis.CITED, where="their table"),
    judged(RATIO, 2.1, low=1.9, high=2.2, basis=Basis.MEASURED, where="a CPU, 2026-01-02"),
    Checked(check=RATIO, outcome=Outcome.NOT_CHECKED, reason="nothing kept"),
)
NEVER = claim("never", why="a very long reason " * 9)
ALL = (MIXED, NEVER, FAILS, HOLDS)


def function(unit: str) -> Check:
    return Check(condition="", kind=Kind.FUNCTION, function="f", unit=unit, published=1.0, tolerance=0.0)


def test_figures_are_written_in_their_unit() -> None:
    assert found_text(COUNT, 24.4e6) == "24.4 M MACs"
    assert found_text(COUNT, 0.0) == "0 MACs"
    assert found_text(RATIO, 2.015) == "2.02x"
    assert found_text(function("%"), 0.474) == "47.4 %"
    assert found_text(function("%"), -0.0000314) == "\N{MINUS SIGN}0.0031 %"
    assert found_text(function("x"), 600.0) == "600x"
    assert found_text(function("macs"), 2.04e8) == "204 M MACs"
    assert found_text(function("space_size"), 2.2e19) == "2.20e+19 sub-networks"
    assert found_text(function("FLOPs/B"), 48.22) == "48.2 FLOPs/B"
    assert found_text(function("networks"), 219.0) == "219 networks"


def test_the_table_is_in_order_of_verdicts() -> None:
    lines = claims_text(ALL).splitlines()
    named = [line.split()[0] for line in lines if line.split()[:1] != [] and line.split()[0] in
             {"holding", "failing", "mixed", "never"}]  # fmt: skip
    assert named == ["holding", "failing", "mixed", "never"]
    assert max(map(len, lines)) < 120
    assert summary(ALL) in lines
    assert summary(ALL) == "3 of 4 claims checked: 1 holds, 1 fails, 1 depends, 1 not checked"


def test_details_say_what_was_wanted_and_why_it_is_undecided() -> None:
    text = claims_text([MIXED], details=True)
    assert "- holds: here\n      found 2.50x (2.40x to 2.60x), wanted at least 2.00x; measured" in text
    assert "- undecided: here" in text
    assert "wanted at least 2.00x; measured; its interval reaches across the bound" in text
    assert "- not checked: here\n      nothing kept" in text


def test_the_page_marks_what_is_cited() -> None:
    page = claims_markdown(ALL)
    assert "| **failing** (s): it is fast. *only theirs* | 2x | here | 1.50x [1] | fails |" in page
    assert "| **holding** (s): it is fast | 2x | counted | 24.4 M MACs | holds |" in page
    assert "|  |  | here | 1.50x [1] | fails |" in page
    assert "2.50x (2.40x to 2.60x), measured" in page
    assert "- [1] their table" in page
    assert "Measured: a CPU, 2026-01-02." in page
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert len(headings) == 5


def test_the_document_has_its_keys() -> None:
    document = claims_document(ALL)
    assert document["summary"] == {"holds": 1, "fails": 1, "depends": 1, "not_checked": 1}
    first = document["claims"][0]
    assert {"id", "system", "verdict", "published", "found"} <= first.keys()
    assert [check["outcome"] for check in first["checks"]] == ["holds", "fails", "undecided", "not_checked"]
    assert document["claims"][1]["found"] is None
    assert document["claims"][1]["reason"].startswith("a very long reason")

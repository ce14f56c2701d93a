"""The page of claims: written, checked, and that the committed one is of the claims that ship."""

from pathlib import Path

import pytest

from analyses import claims
from explorer.data.claims import read_claims
from tests.analyses.conftest import ROOT

PAGE = ROOT / "docs" / "claims.md"
COUNTED = ("tinynet-e-macs", "xlsr-parameters")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {name: read_claims()[name] for name in COUNTED}
    monkeypatch.setattr(claims, "read_claims", lambda: chosen)


@pytest.mark.usefixtures("few")
def test_it_is_written_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "claims.md"
    assert claims.main(["--out", str(path), "--check"]) == 1
    assert claims.main(["--out", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{path}: 2 of 2 claims checked: 2 holds"
    assert claims.main(["--out", str(path), "--check"]) == 0
    path.write_text(path.read_text(encoding="utf-8").replace("24.4 M", "24.5 M"), encoding="utf-8")
    assert claims.main(["--out", str(path), "--check"]) == 1


def test_the_committed_page_has_every_claim() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.startswith(claims.HEAD)
    for claim in read_claims().values():
        assert f"| **{claim.id}** ({claim.system}): {claim.statement}" in text
        for check in claim.checks:
            assert f"| {check.condition} |" in text


@pytest.mark.slow
def test_the_committed_page_comes_out_again() -> None:
    assert claims.page()[0] == PAGE.read_text(encoding="utf-8")

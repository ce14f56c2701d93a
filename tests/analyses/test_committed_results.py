"""The answers that are committed come out again of the study that ships, to the numbers of their figures."""

import importlib

import pytest

from analyses.__main__ import NAMES
from explorer.run.analysing import NO_ANSWER, run_analysis
from tests.analyses.conftest import ROOT

RESULTS = ROOT / "analyses" / "results"


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("name", NAMES)
def test_it_comes_out_again(name: str, capsys) -> None:
    module = importlib.import_module(f"analyses.{name}")
    code = run_analysis(name, module.__doc__, module.analyse, ["--check", "--out", str(RESULTS)])
    said = capsys.readouterr()
    # A question the study cannot answer yet has no result; one it can answer must have one.
    wanted = 0 if (RESULTS / f"{name}.json").is_file() else NO_ANSWER
    assert code == wanted, said.out + said.err

"""The answers that are committed come out again of the study that ships, to the numbers of their figures."""

import importlib
import json
import math

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


def test_the_founding_claim_holds_where_networks_are_large_for_their_data() -> None:
    """The fewer examples they learn from, the cheaper the ensembles that are ahead (arXiv 2005.00570)."""
    kept = json.loads((RESULTS / "ensemble_vs_scaling.json").read_text(encoding="utf-8"))
    crossed = {
        part["training_examples"]: {end: float(part["crossover"][end]) for end in ("value", "high")}
        for part in kept["numbers"]["parts"]
        if part["axis"] == "macs" and part["family"] == "wrn"
    }
    assert sorted(crossed, reverse=True) == [55_000, 5_499, 1_375]
    by_examples = [crossed[examples]["value"] for examples in (55_000, 5_499, 1_375)]
    assert by_examples == sorted(by_examples, reverse=True)
    assert by_examples[0] == math.inf
    assert crossed[1_375]["high"] < math.inf

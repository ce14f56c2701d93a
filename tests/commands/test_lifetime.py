"""explorer lifetime on really trained members: against the ledger's own times, and bad input."""

import json
import shutil

import pytest

from explorer.analysis.training_runs import read_trainings
from explorer.store import Store

DIGITS = ("--dataset", "digits")
SMALL, LARGE = "wrn10-0.25@8#0", "wrn10-0.5@8#1"
CASCADE = f"{SMALL} -> [p>=0.9] mean(wrn10-0.25@8#0, wrn10-0.5@8#1)"


@pytest.fixture(scope="module")
def store(explorer, trained_store, tmp_path_factory):
    """The trained members, timed on this CPU."""
    copy = shutil.copytree(trained_store, tmp_path_factory.mktemp("timed") / "store")
    done = explorer("profile", *DIGITS, "--runtime", "eager", "--seconds", 0.05, "--store", copy)
    assert done.code == 0, done.err
    return copy


def lifetime(run, store, *arguments):
    return run("lifetime", *arguments, *DIGITS, "--device", "cpu/eager", "--store", store)


def test_training_is_the_ledger_s_time_and_shared_members_are_trained_once(explorer_here, store) -> None:
    done = lifetime(explorer_here, store, SMALL, CASCADE, "--price", 3, "--volume", "2M", "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    with Store.open(store, create=False) as opened:
        walls = {
            str(member).replace(f"~{member.recipe}", ""): one.record.wall_s
            for member, one in read_trainings(opened, "digits").items()
        }
        (latency,) = (c for c in opened.costs("latency", "cpu/eager") if c.model.name == "wrn10-0.25")
    by_design = {one["point"]["design"]: one for one in document["designs"]}
    small, cascade = by_design[SMALL], by_design[CASCADE]
    assert small["training_usd"]["value"] == pytest.approx(3 * walls[SMALL] / 3600)
    assert cascade["training_usd"]["value"] == pytest.approx(3 * (walls[SMALL] + walls[LARGE]) / 3600)
    serving = 3 / 3600 * latency.figure.value * 1e6
    assert small["usd_per_million"]["value"] == pytest.approx(serving)
    assert small["totals_usd"][0]["value"] == pytest.approx(3 * walls[SMALL] / 3600 + 2 * serving)
    assert document["ranges"] == [{"low": 0.0, "high": None, "design": SMALL}]
    assert document["break_evens"][0]["volume"] is None
    assert {price["source"] for price in document["prices"]} == {"given as --price"}
    assert small["point"]["accuracy"]["low"] < small["point"]["accuracy"]["high"]


def test_price_book_and_given_hours(explorer_here, store) -> None:
    refused = lifetime(explorer_here, store, SMALL)
    assert refused.code == 2
    assert "explorer devices prices set cpu" in refused.error_line
    noted = explorer_here(
        *("devices", "prices", "set", "cpu", 5, "--date", "2026-01-02", "--source", "an offer"),
        *("--store", store),
    )
    assert noted.code == 0, noted.err
    done = lifetime(explorer_here, store, SMALL, "--training-hours", f"{SMALL}=7", "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert document["designs"][0]["training_usd"]["value"] == pytest.approx(35)
    assert document["prices"][0]["date"] == "2026-01-02"
    assert document["volumes"] == [1e6, 1e8, 1e10]


def test_without_designs_the_front_s_or_those_that_reach_a_target(explorer_here, store) -> None:
    front = lifetime(explorer_here, store, "--price", 3, "--max-members", 2)
    assert front.code == 0, front.err
    assert "designs of the front" in front.out
    assert "in all" in front.out
    reached = lifetime(
        explorer_here, store, "--price", 3, "--max-members", 2, "--target", "accuracy>=50%", "--json"
    )
    assert reached.code == 0, reached.err
    document = json.loads(reached.out)
    assert document["target"] == "accuracy>=0.5"
    assert all(one["point"]["select_accuracy"] >= 0.5 for one in document["designs"])
    assert document["designs"][0]["point"]["kind"] in ("single", "cascade", "ensemble")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nonsense",), "not a member"),
        ((SMALL, "--price", -1), "above 0"),
        ((SMALL, "--price", 3, "--volume", "many"), "not an amount"),
        ((SMALL, "--price", 3, "--target", "accuracy>=0.9"), "either DESIGN or --target"),
        ((SMALL, "--price", 3, "--training-hours", f"{LARGE}=3"), "member of these designs"),
        ((SMALL, "--price", 3, "--training-hours", SMALL), "MEMBER=HOURS"),
        ((SMALL, "--price", 3, "--utilisation", 0), "utilisation"),
        (("--price", 3, "--target", "accuracy>=100%", "--max-members", 1), "no design searched reaches"),
    ],
)
def test_bad_input_is_one_line(explorer_here, store, arguments, said) -> None:
    done = lifetime(explorer_here, store, *arguments)
    assert done.code == 2
    assert said in done.error_line

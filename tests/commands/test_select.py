"""select on a store of really trained members."""

import json
import signal

import numpy as np
import pytest

from explorer.analysis.search.greedy_objectives import Objective
from explorer.commands import select
from explorer.spec import parse_design
from explorer.store import Store
from tests.plain_scoring import plain_decisions

DIGITS = ("select", "--dataset", "digits", "--store")


def plain_accuracy(path, text: str, split: str) -> float:
    with Store.open(path, create=False) as store:
        rows = store.predictions("digits", split)
        arrays = {
            str(r.member).replace(f"~{r.member.recipe}", ""): np.array(store.probabilities(r), np.float64)
            for r in rows
        }
        labels = np.array(store.labels("digits", split, rows[0].split_digest))
    return float((plain_decisions(parse_design(text), arrays)[0] == labels).mean())


def test_the_metrics_offered_are_those_there_are() -> None:
    assert tuple(Objective) == select.METRICS


def test_a_weighted_ensemble_is_chosen_on_one_split_and_quoted_on_the_other(
    explorer_here, trained_store
) -> None:
    done = explorer_here(*DIGITS, trained_store, "--beam", 5, "--rounds", 10, "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert document["answer"]["chosen_on"] == plain_accuracy(trained_store, document["design"], "select")
    assert document["answer"]["score"]["value"] == plain_accuracy(trained_store, document["design"], "report")
    single = next(a for a in document["against"] if a["what"] == "best single")
    gap = document["answer"]["score"]["value"] - single["score"]["value"]
    assert single["difference"]["value"] == pytest.approx(gap, abs=1e-12)
    assert document["search"]["rounds_done"] == 10


def test_the_text_ends_with_a_design_that_compare_takes(explorer_here, trained_store) -> None:
    done = explorer_here(*DIGITS, trained_store, "--metric", "log-loss", "--rounds", 8)
    assert done.code == 0, done.err
    design = done.out.splitlines()[-1].removeprefix("design: ")
    compared = explorer_here(
        "compare", design, "wrn10-0.5@8#0", "--dataset", "digits", "--store", trained_store
    )
    assert compared.code == 0, compared.err


def test_limits_reach_the_search(explorer_here, trained_store) -> None:
    document = json.loads(
        explorer_here(
            *DIGITS,
            trained_store,
            "--family-limit",
            "wrn10-0.25@8=1",
            "--include",
            "wrn10-0.25@8#1",
            "--exclude",
            "wrn10-0.5@8#0",
            "--max-distinct",
            2,
            "--max-parameters",
            "1G",
            "--cost-penalty",
            "0.001/1G",
            "--json",
        ).out
    )
    members = [part["member"] for part in document["weights"]]
    assert "wrn10-0.25@8#1" in members
    assert "wrn10-0.5@8#0" not in members
    assert len(members) <= 2
    assert sum(name.startswith("wrn10-0.25") for name in members) == 1
    assert document["limits"]["cost_penalty"] == 1e-12


def test_a_seed_repeats_itself(explorer_here, trained_store) -> None:
    first, second = (
        json.loads(explorer_here(*DIGITS, trained_store, "--seed", 3, "--json").out)["design"]
        for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--metric", "f1"), "'f1' is not one of"),
        (("--max-cost", "cheap"), "not an amount in MAC: 'cheap'"),
        (("--max-cost", "1"), "no member may be picked"),
        (("--cost-penalty", "much"), "not a cost penalty: 'much'"),
        (("--cost-penalty", "-1"), "not a cost penalty: '-1'"),
        (("--family-limit", "wrn"), "not a family limit: 'wrn'; wanted NAME=N"),
        (("--family-limit", "resnet=1"), "unknown model or family 'resnet'"),
        (("--include", "wrn10-0.25@8#9"), "unknown member"),
        (("--beam", "2", "--seed", "1"), "by chance"),
        (("--cost", "watts"), "watts"),
        (("--rounds", "128"), "128 is not in the range"),
    ],
)
def test_wrong_requests_are_refused_in_one_line(explorer_here, trained_store, arguments, says) -> None:
    done = explorer_here(*DIGITS, trained_store, *arguments)
    assert done.code == 2
    assert says in done.error_line
    assert done.out == ""


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("beam", [1, 3])
def test_one_interrupt_keeps_the_best_so_far(
    explorer_here, trained_store, monkeypatch, as_json, beam
) -> None:
    # called at every report of progress: after the fourth, the user presses Ctrl-C
    reports = 0

    def doing(wanted: object) -> str:
        nonlocal reports
        reports += 1
        if reports == 4:
            signal.raise_signal(signal.SIGINT)
        return "a test"

    monkeypatch.setattr(select, "doing", doing)
    handler = signal.getsignal(signal.SIGINT)
    done = explorer_here(
        *DIGITS, trained_store, "--beam", beam, "--rounds", 100, *(["--json"] if as_json else [])
    )
    assert done.code == 4
    assert "Ctrl-C again" in done.err
    assert signal.getsignal(signal.SIGINT) is handler
    if as_json:
        document = json.loads(done.out)
        assert document["search"]["stopped"] is True
        assert 1 <= document["search"]["rounds_done"] < 100
    else:
        assert done.out.startswith("STOPPED EARLY after ")
        assert done.out.splitlines()[-1].startswith("design: ")


def test_interrupted_before_anything_was_found_there_is_nothing_to_show(
    explorer_here, trained_store, monkeypatch
) -> None:
    monkeypatch.setattr(select, "doing", lambda wanted: signal.raise_signal(signal.SIGINT) or "a test")
    done = explorer_here(
        *DIGITS, trained_store, "--beam", 3, "--include", "wrn10-0.5@8#0", "--include", "wrn10-0.5@8#1"
    )
    assert done.code == 130
    assert "nothing to show" in done.err
    assert done.out == ""


def test_a_second_interrupt_ends_at_once(explorer_here, trained_store, monkeypatch) -> None:
    monkeypatch.setattr(select, "doing", lambda wanted: [signal.raise_signal(signal.SIGINT) for _ in "12"])
    done = explorer_here(*DIGITS, trained_store)
    assert done.code == 130
    assert done.out == ""


def test_a_front_over_cost_is_cheapest_first_and_quoted(explorer_here, trained_store) -> None:
    store = ("--dataset", "digits", "--store", trained_store)
    done = explorer_here("select", *store, "--front", 6, "--rounds", 5, "--json")
    document = json.loads(done.out)
    points = document["points"]
    costs = [point["point"]["cost"]["value"] for point in points]
    assert done.code == 0
    assert costs == sorted(costs)
    assert len(document["budgets"]) == 6
    assert document["stopped"] is False
    assert all(point["score"]["low"] <= point["score"]["value"] for point in points)
    text = explorer_here("select", *store, "--front", 6, "--rounds", 5, "--metric", "log-loss")
    assert text.code == 0
    assert "a heuristic" in text.out
    wrong = explorer_here("select", *store, "--front", 6, "--beam", 4)
    assert wrong.code == 2
    assert "leave out the other" in wrong.err

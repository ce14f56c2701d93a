"""`explorer front` over several costs and with --how-sure, on a store of really trained members."""

import json

import pytest

DIGITS = ("--dataset", "digits")
TWO = ("--cost", "macs", "--cost", "parameters")


@pytest.fixture
def front(explorer_here, trained_store):
    return lambda *arguments: explorer_here("front", *DIGITS, *arguments, "--store", trained_store)


def test_one_cost_is_what_it_was(front) -> None:
    by_default, named = front("--json"), front("--cost", "macs", "--json")
    assert by_default.code == 0
    assert by_default.out == named.out
    assert "how_sure" not in json.loads(named.out)
    assert front().out == front("--cost", "macs").out


def test_front_over_two_costs_holds_every_design_of_both(front) -> None:
    document = json.loads(front(*TWO, "--json").out)
    assert document["schema_version"] == 1
    assert [axis["axis"] for axis in document["costs"]] == ["macs", "parameters"]
    points = document["points"]
    assert len({point["kind"] for point in points}) > 1
    for first in points:
        for second in points:
            no_worse = (
                all(first["select_costs"][axis] <= second["select_costs"][axis] for axis in TWO[1::2])
                and first["select_accuracy"] >= second["select_accuracy"]
            )
            assert not no_worse or first["id"] == second["id"]
    for axis in TWO[1::2]:
        alone = json.loads(front("--cost", axis, "--json").out)
        assert document["searched"] == alone["searched"]
        assert document["pool"] == alone["pool"]
        of_both = {
            (point["select_accuracy"], point["select_costs"][axis]): point["accuracy"]["n"]
            for point in points
        }
        for point in alone["points"]:
            assert of_both[point["select_accuracy"], point["select_cost"]] == point["accuracy"]["n"]
    assert 0 < document["hypervolume"]["share"] < 1


def test_text_over_two_costs(front) -> None:
    said = front(*TWO).out
    assert said.startswith("front of digits: accuracy against MACs per example and parameters held\n")
    assert "hypervolume on select" in said
    kinds = ("single", "ensemble", "cascade")
    rows = [line for line in said.splitlines() if line.startswith(kinds)]
    points = json.loads(front(*TWO, "--json").out)["points"]
    assert len(rows) == min(30, len(points))
    every = [line for line in front(*TWO, "--all").out.splitlines() if line.startswith(kinds)]
    assert [line.split("  ")[-1].strip() for line in every] == [point["design"] for point in points]


def test_how_sure_in_words_and_numbers(front) -> None:
    document = json.loads(front("--how-sure", "--resamples", "200", "--json").out)
    found = document.pop("how_sure")
    assert document == json.loads(front("--json").out)
    assert found["resamples"] == 200
    assert len(found["on_front"]) == len(document["points"])
    assert all(0 <= share <= 1 for share in found["on_front"])
    assert {row["size"] for row in found["seeds"]} == {1, 2, 3}
    assert found["optimism"]["budgets"][-1]["budget"] is None
    said = front("--how-sure", "--resamples", "200").out
    assert said.startswith(front().out)
    assert "share of 200 test sets" in said
    assert "probability" not in said.partition("how sure")[2]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("--cost", "macs", "--cost", "macs"), "macs was given twice"),
        ((*TWO, "--cost", "param_bytes", "--cost", "activation_peak_bytes"), "takes 2 or 3 of them, got 4"),
        ((*TWO, "--how-sure"), "--how-sure takes one --cost, got 2: macs, parameters"),
        (("--resamples", "200"), "--resamples belongs to --how-sure"),
        (("--how-sure", "--resamples", "5"), "'--resamples'"),
        ((*TWO, "--cost", "latency@abacus"), "abacus"),
        ((*TWO, "--cost", "happiness"), "unknown cost kind 'happiness'"),
    ],
)
def test_wrong_input_is_refused_in_one_line(front, arguments, wanted) -> None:
    done = front(*arguments)
    assert (done.code, done.out) == (2, "")
    assert wanted in done.error_line

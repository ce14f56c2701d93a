"""`explorer guarantee` on really trained members, as a person uses it."""

import json

import numpy as np
import pytest

from explorer.spec import parse_design
from explorer.store import Store
from tests.plain_scoring import plain_decisions

FIRST, SECOND = "wrn10-0.25@8#0", "wrn10-0.5@8#1"
CASCADE = f"{FIRST} -> {SECOND}"


@pytest.fixture
def guarantee(explorer_here, trained_store):
    def run(*arguments: object):
        return explorer_here("guarantee", *arguments, "--dataset", "digits", "--store", trained_store)

    return run


@pytest.fixture(scope="module")
def arrays(trained_store):
    found = {}
    with Store.open(trained_store, create=False) as store:
        for split in ("select", "report"):
            records = store.predictions("digits", split)
            chance = {
                str(r.member).replace(f"~{r.member.recipe}", ""): np.array(store.probabilities(r), float)
                for r in records
            }
            found[split] = chance, np.array(store.labels("digits", split, records[0].split_digest))
    return found


def accuracy(arrays, text: str, split: str = "report") -> float:
    chance, labels = arrays[split]
    return float((plain_decisions(parse_design(text), chance)[0] == labels).mean())


def test_promise_is_found_on_select_and_quoted_on_report(guarantee, arrays) -> None:
    second = accuracy(arrays, SECOND, "select")
    result = guarantee(CASCADE, "--target", f"accuracy>={second - 0.08:.4f}", "--json")
    document = json.loads(result.out)

    assert result.code == 0
    design = document["point"]["design"]
    assert document["point"]["accuracy"]["value"] == accuracy(arrays, design)
    assert document["on_select"]["accuracy"] == accuracy(arrays, design, "select")
    assert document["on_select"]["accuracy"] >= second - 0.08
    assert document["second"]["accuracy"]["value"] == accuracy(arrays, SECOND)
    text = guarantee(CASCADE, "--target", f"accuracy>={second - 0.08:.4f}")
    assert f"explorer build '{design}' --dataset digits" in text.out


def test_given_threshold_means_nothing(guarantee) -> None:
    asked = "--budget", "macs<=200k", "--json"
    plain = json.loads(guarantee(CASCADE, *asked).out)
    given = json.loads(guarantee(f"{FIRST} -> [p>=0.123] {SECOND}", *asked).out)

    assert plain["point"] == given["point"]
    assert plain["point"]["cost"]["value"] > 0
    by_entropy = json.loads(guarantee(f"{FIRST} -> [entropy<=1] + {SECOND}", *asked).out)
    assert "[entropy<=" in by_entropy["point"]["design"]


def test_what_cannot_be_promised_ends_with_1(guarantee) -> None:
    result = guarantee(CASCADE, "--target", "accuracy>=99.99%")
    assert result.code == 1
    offer = result.out.rpartition("accuracy>=")[2].strip().rstrip(".")
    assert guarantee(CASCADE, "--target", f"accuracy>={offer}").code == 0

    result = guarantee(SECOND, "--reject", "1e-5", "--json")
    assert result.code == 1
    assert json.loads(result.out)["possible_risk"] > 1e-5


def test_refusing_keeps_the_cascades_own_threshold(guarantee, arrays) -> None:
    design = f"{FIRST} -> [p>=0.8] {SECOND}"
    result = guarantee(design, "--reject", "0.2", "--json")
    document = json.loads(result.out)
    chance, labels = arrays["report"]
    decisions, confidence = plain_decisions(parse_design(design), chance)

    assert result.code == 0
    assert document["design"] == design
    answered = confidence > (document["answer_above"] or -1)
    assert document["on_report"]["coverage"]["value"] == answered.mean()
    assert document["on_report"]["risk"]["value"] == pytest.approx((decisions != labels)[answered].mean())
    assert document["window"]["coverage"] <= 1
    assert guarantee(SECOND, "--reject", "0.2").code == 0


def test_exits_of_a_chain(guarantee, arrays) -> None:
    chain = f"{CASCADE} -> + wrn10-0.5@8#2"
    document = json.loads(guarantee(chain, "--early-exit", "macs<=200k", "--json").out)

    assert document["on_select"]["cost"] <= 200_000
    assert document["point"]["accuracy"]["value"] == accuracy(arrays, document["point"]["design"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((CASCADE,), "say what to promise"),
        ((CASCADE, "--target", "accuracy>=0.9", "--near-full", "0.1"), "one question at a time"),
        ((CASCADE, "--reject", "0.1", "--early-exit", "macs<=1M"), "got --reject and --early-exit"),
        ((CASCADE, "--budget", "macs<=1M", "--near-full", "0.1"), "got --near-full and --budget"),
        ((CASCADE, "--budget", "macs<=1M", "--cost", "parameters"), "the budget is on macs"),
        ((CASCADE, "--budget", "parameters<=1M"), "the same whoever leaves"),
        ((CASCADE, "--target", "accuracy>=100%"), "strictly between 0 and 1"),
        ((CASCADE, "--near-full", "2"), "[0, 1)"),
        ((CASCADE, "--target", "accuracy>=0.9", "--delta", "1"), "delta"),
        ((CASCADE, "--early-exit", "macs<=1"), "first stage alone costs"),
        ((CASCADE, "--reject", "0.1"), "not a cascade stage"),
        ((SECOND, "--reject", "0.1", "--budget", "macs<=1M"), "cascade of 2 stages"),
        ((SECOND, "--target", "accuracy>=0.9"), "got 1 in"),
        ((f"{CASCADE} -> {FIRST}", "--near-full", "0.1"), "got 3 in"),
        (("nothing#", "--near-full", "0.1"), "not a member"),
        ((f"{FIRST} -> wrn99@8#0", "--near-full", "0.1"), "wrn99@8#0"),
    ],
)
def test_bad_input_is_one_line_and_2(guarantee, arguments, said) -> None:
    result = guarantee(*arguments)

    assert result.code == 2
    assert said in result.error_line
    assert result.out == ""

"""`explorer cascade` on a store of really trained members."""

import json

import numpy as np
import pytest

from explorer.spec import parse_design
from explorer.store import Store
from tests.plain_scoring import plain_decisions

DIGITS = ("--dataset", "digits")
PAIR = "wrn10-0.25@8#0 -> [p>=0.4] wrn10-0.5@8#1"


def stored(path, split):
    with Store.open(path, create=False) as store:
        arrays = {
            str(r.member).replace(f"~{r.member.recipe}", ""): np.array(
                store.probabilities(r), dtype=np.float64
            )
            for r in store.predictions("digits", split)
        }
        digest = store.predictions("digits", split)[0].split_digest
        return arrays, np.array(store.labels("digits", split, digest))


def test_every_figure_can_be_recomputed(explorer_here, trained_store) -> None:
    result = explorer_here("cascade", PAIR, *DIGITS, "--json", "--store", trained_store)

    document = json.loads(result.out)
    assert result.code == 0, result.err
    assert document["picked"] == "named"
    assert document["point"]["design"] == PAIR
    report, labels = stored(trained_store, "report")
    costs = {row["design"]: row for row in (one["point"] for one in document["thresholds"])}
    assert {"wrn10-0.25@8#0", "wrn10-0.5@8#1", PAIR} <= set(costs)
    first, second = (costs[name]["cost"]["value"] for name in ("wrn10-0.25@8#0", "wrn10-0.5@8#1"))
    for row in document["thresholds"]:
        design = parse_design(row["point"]["design"])
        right = plain_decisions(design, report)[0] == labels
        assert row["point"]["accuracy"]["value"] == right.mean()
        if row["threshold"] is None:
            continue
        on = report["wrn10-0.25@8#0"].max(axis=1) < row["threshold"]
        paid = np.where(on, first + second, first)
        assert row["tail"]["mean"] == pytest.approx(paid.mean())
        assert row["tail"]["quantile"]["value"] == np.quantile(paid, 0.99, method="inverted_cdf")
        assert row["tail"]["worst"] == first + second
        assert row["tail"]["left"] == pytest.approx([1 - on.mean(), on.mean()])


def test_the_best_within_a_budget_and_the_knee(explorer_here, trained_store) -> None:
    within = explorer_here("cascade", *DIGITS, "--budget", "macs<=150k", "--json", "--store", trained_store)
    document = json.loads(within.out)
    assert document["picked"] == "budget"
    assert document["point"]["select_cost"] <= 150_000
    assert document["third_stage"]["limit"] == 150_000
    assert document["deferral_rule"]["buildable"] is False

    knee = explorer_here("cascade", *DIGITS, "--max-members", "2", "--store", trained_store)
    assert knee.code == 0, knee.err
    assert knee.out.startswith("cascade ")
    for said in ("p99", "worst case", "A fitted deferral rule is", "A third stage is", "analysis only"):
        assert said in knee.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((PAIR, "--budget", "macs<=1M"), "not both"),
        (("wrn10-0.25@8#0",), "wanted a cascade"),
        ((f"{PAIR} -> [p>=0.9] wrn10-0.5@8#2",), "two stages, got 3"),
        (("--budget", "macs<=1"), "the cheapest costs"),
        (("--no-cascades",), "leave out --no-cascades"),
        (("wrn10-9@8#0 -> [p>=0.5] wrn10-0.5@8#1",), "wrn10-9@8#0"),
        (("--cost", "coins"), "coins"),
    ],
)
def test_wrong_input_is_one_line_and_code_2(explorer_here, trained_store, arguments, said) -> None:
    result = explorer_here("cascade", *arguments, *DIGITS, "--store", trained_store)

    assert result.code == 2
    assert said in result.err
    assert result.out == ""

"""Loading from a real store: what may stand together, and what is left out and said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_store import CONDITIONS, LATENCY, MACS, add_cost, add_member

from explorer.analysis.pool import load_pool
from explorer.analysis.scoring.score import evaluate
from explorer.analysis.search.exact import search
from explorer.convention import Basis, CostAxis
from explorer.errors import ConventionError, UsageError
from explorer.spec import Member, Single
from explorer.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    with Store.open(tmp_path / "store") as opened:
        for seed in (0, 2, 10):
            add_member(opened, "wrn10-1", seed)
        add_member(opened, "wrn10-2", 0)
        add_cost(opened, "wrn10-1", 13.0)
        add_cost(opened, "wrn10-2", 29.0)
        yield opened


def test_a_plain_store_loads_whole(store: Store) -> None:
    pool, notes = load_pool(store, "toy", MACS)
    assert notes == ()
    assert pool.summary.members == ("wrn10-1@8#0", "wrn10-1@8#2", "wrn10-1@8#10", "wrn10-2@8#0")
    assert pool.summary.recipe_id == "quick-11111111"
    assert pool.summary.split_digest == "a" * 64
    assert (pool.summary.select_examples, pool.summary.report_examples, pool.summary.classes) == (5, 7, 3)
    assert pool.costs.tolist() == [13, 13, 13, 29]
    for row, record in enumerate(store.predictions("toy", "report")):
        assert np.array_equal(pool.report[row], store.probabilities(record))
    assert pool.select_labels.tolist() == [0, 1, 2, 0, 1]
    assert search(pool, MACS).points


def test_derived_kinds_come_from_the_stored_one(store: Store) -> None:
    pool, _ = load_pool(store, "toy", CostAxis.parse("flops"))
    assert pool.costs.tolist() == [26, 26, 26, 58]


def test_other_recipes_are_left_out_and_said(store: Store) -> None:
    add_member(store, "wrn10-2", 1, recipe="long-22222222")
    pool, notes = load_pool(store, "toy", MACS)
    assert len(pool.members) == 4
    assert notes == ("left out: members of other recipes: 1 of long-22222222",)
    for name in ("long", "long-22222222"):
        pool, notes = load_pool(store, "toy", MACS, recipe=name)
        assert pool.summary.members == ("wrn10-2@8#1",)
        assert notes == ("left out: members of other recipes: 4 of quick-11111111",)
    pool, notes = load_pool(store, "toy", MACS, mix_recipes=True)
    assert "wrn10-2@8~long-22222222#1" in pool.summary.members
    assert pool.summary.recipe_id == "long-22222222+quick-11111111"
    assert notes == ("recipes are mixed: long-22222222, quick-11111111",)
    evaluate(pool, Single(pool.members[-1]), MACS)


def test_unknown_recipe_and_data_set(store: Store) -> None:
    with pytest.raises(UsageError, match=r"unknown recipe 'quikc'.*known: quick-11111111"):
        load_pool(store, "toy", MACS, recipe="quikc")
    with pytest.raises(UsageError, match=r"no member of data set 'tyo'.*data sets in this store: toy"):
        load_pool(store, "tyo", MACS)
    with pytest.raises(UsageError, match="either one recipe"):
        load_pool(store, "toy", MACS, recipe="quick", mix_recipes=True)


def test_members_without_a_cost_are_left_out_and_said(store: Store) -> None:
    add_member(store, "wrn10-4", 0)
    pool, notes = load_pool(store, "toy", MACS)
    assert len(pool.members) == 4
    assert notes == ("left out: no macs for wrn10-4@8~quick-11111111#0",)


def test_no_cost_at_all_tells_what_to_run(store: Store) -> None:
    with pytest.raises(
        UsageError, match=r"latency@cpu; measure with `explorer profile MODEL --device cpu`.*macs"
    ):
        load_pool(store, "toy", LATENCY)


def test_costs_of_other_inputs_and_outputs_do_not_count(store: Store) -> None:
    add_cost(store, "wrn10-1", 999.0, channels=3)
    add_cost(store, "wrn10-1", 998.0, classes=100)
    assert load_pool(store, "toy", MACS)[0].costs.tolist() == [13, 13, 13, 29]


def test_another_split_is_never_mixed_in(store: Store) -> None:
    add_member(store, "wrn10-2", 5, split="b" * 64)
    pool, notes = load_pool(store, "toy", MACS)
    assert len(pool.members) == 4
    assert notes == ("left out: 1 members predicted under another split (bbbbbbbbbbbb)",)


def test_predicted_on_one_split_only(store: Store) -> None:
    lone = Member("wrn10-2", 8, 7, "quick-11111111")
    store.put_predictions(lone, "toy", "select", "a" * 64, np.full((5, 3), 1 / 3))
    pool, notes = load_pool(store, "toy", MACS)
    assert len(pool.members) == 4
    assert notes == ("left out: predicted on one split only: wrn10-2@8~quick-11111111#7",)


def test_bases_are_not_mixed(store: Store) -> None:
    add_member(store, "wrn10-4", 0)
    add_cost(store, "wrn10-4", 50.0, basis=Basis.PUBLISHED)
    with pytest.raises(ConventionError, match="macs is counted for 4, published for 1 of 5 members"):
        load_pool(store, "toy", MACS)
    add_cost(store, "wrn10-4", 51.0)
    pool, notes = load_pool(store, "toy", MACS)
    assert (pool.costs.tolist(), notes, pool.basis) == ([13, 13, 13, 29, 51], (), Basis.COUNTED)


def test_measurements_under_other_conditions_are_not_mixed(store: Store) -> None:
    measured = {"kind": "latency", "device": "cpu", "basis": Basis.MEASURED, "convention": "single-stream-b1"}
    add_cost(store, "wrn10-1", 0.001, conditions=CONDITIONS, **measured)
    add_cost(store, "wrn10-2", 0.002, conditions=replace(CONDITIONS, threads=2), **measured)
    pool, notes = load_pool(store, "toy", LATENCY)
    assert pool.costs.tolist() == [0.001] * 3
    assert notes == (
        "left out: latency@cpu of wrn10-2@8~quick-11111111#0 stands on other terms (threads: 2 against 1)",
    )
    add_cost(store, "wrn10-2", 0.003, conditions=CONDITIONS, **measured)
    pool, notes = load_pool(store, "toy", LATENCY)
    assert (pool.costs.tolist(), notes) == ([0.001] * 3 + [0.003], ())
    assert pool.cost_figures[3].high == pytest.approx(0.0045)


def test_a_corrected_cost_stands(store: Store) -> None:
    add_cost(store, "wrn10-1", 17.0)
    assert load_pool(store, "toy", MACS)[0].costs.tolist() == [17, 17, 17, 29]

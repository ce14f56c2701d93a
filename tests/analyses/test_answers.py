"""The scripts' own arithmetic, against plain loops over the stored arrays."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from analyses import (
    cascade_savings,
    distil_or_ensemble,
    ensemble_vs_scaling,
    macs_vs_latency,
    memory_split,
    seed_spread,
)
from explorer.analysis.pool import Pool, load_pool
from explorer.analysis.scoring.score import candidate_decisions
from explorer.analysis.statistics.seeds import Resampling, families, scales
from explorer.convention import CostAxis
from explorer.report.finding import Absent
from explorer.spec import Cascade, parse_design
from explorer.store import Store
from explorer.store.bundle import ingest_bundle, write_bundle
from tests.analyses.conftest import MadeStudy


@pytest.fixture(scope="module")
def pool(study: Path) -> Pool:
    with Store.open(study, create=False) as store:
        return load_pool(store, "fashion-mnist", CostAxis.parse("macs"))[0]


@pytest.fixture(scope="module")
def resampling(pool: Pool) -> Resampling:
    return Resampling(len(pool.report_labels), draws=200)


def accuracy(pool: Pool, texts: list[str], split: str = "report") -> float:
    probabilities, labels = pool.arrays(split)
    rows = [[str(member) for member in pool.members].index(text) for text in texts]
    return float((probabilities[rows].astype(float).mean(axis=0).argmax(axis=1) == labels).mean())


def test_pairs_are_with_the_cheapest_single_of_at_least_the_cost(pool: Pool, resampling: Resampling) -> None:
    curves = ensemble_vs_scaling.curves(pool, families(scales(pool))["wrn"], resampling)
    pairs = list(ensemble_vs_scaling.pairs(curves))
    told = {(p.small.scale.model.name, p.size, p.large.scale.model.name) for p in pairs}
    # each scale costs four of the one before
    assert told == {
        *(("wrn10-0.25", n, "wrn10-0.5") for n in (2, 3, 4)),
        *(("wrn10-0.5", n, "wrn10-1") for n in (2, 3, 4)),
        *(("wrn10-1", n, "wrn10-2") for n in (2, 3, 4)),
    }
    (pair,) = [p for p in pairs if (p.small.scale.model.name, p.size) == ("wrn10-0.5", 3)]
    ensembles = [
        accuracy(pool, [f"wrn10-0.5@28#{s}" for s in seeds]) for seeds in itertools.combinations(range(4), 3)
    ]
    singles = [accuracy(pool, [f"wrn10-1@28#{s}"]) for s in range(4)]
    assert pair.gain.value == pytest.approx(np.mean(ensembles) - np.mean(singles), abs=1e-6)
    assert pair.gain.low < pair.gain.value < pair.gain.high


def test_each_recipe_that_others_derive_from_has_its_own_comparison(make, tmp_path: Path) -> None:
    folder = make(tmp_path / "store", extras=False, select=200, report=200)
    with Store.open(folder) as store:
        added = MadeStudy(store, select=200, report=200)
        for name in ("wrn10-0.25", "wrn10-0.5"):
            for seed in range(3):
                added.member(name, seed, 1.0, recipe="tenth-76d403e6", base="")
        found = ensemble_vs_scaling.analyse(store, "fashion-mnist")
    assert not isinstance(found, Absent)
    parts = found.numbers["parts"]
    told = [(part["recipe"], part["family"], set(part["seeds"].values())) for part in parts]
    assert told == [
        ("reference-2ba43935", "mobile", {4}),
        ("reference-2ba43935", "wrn", {4}),
        ("tenth-76d403e6", "wrn", {3}),
    ]
    assert len(found.panels) == 3
    assert not any("left out" in note for note in found.notes)
    costs = [note for note in found.notes if note.startswith("MACs are the only cost of recipe")]
    assert len(costs) == 2  # nothing of either was measured


def test_snapshots_and_inner_ensembles_are_drawn_beside(pool: Pool, resampling: Resampling) -> None:
    found = {extra.method: extra for extra in ensemble_vs_scaling.extras(pool, resampling)}
    assert set(found) == {"MIMO", "snapshots of one run"}
    snapshots = found["snapshots of one run"]
    assert snapshots.cost == 2 * 4e6
    wanted = np.mean(
        [
            accuracy(pool, [f"wrn10-0.5@28~snapshot{k}of2-0000000{k}#{seed}" for k in (1, 2)])
            for seed in range(2)
        ]
    )
    assert snapshots.error.value == pytest.approx(1 - wanted, abs=1e-6)
    mimo = np.mean([accuracy(pool, [f"wrn10-0.5+mimo2@28#{seed}"]) for seed in range(2)])
    assert found["MIMO"].error.value == pytest.approx(1 - mimo, abs=1e-6)


def test_savings_are_those_of_the_cascades_named(pool: Pool, resampling: Resampling) -> None:
    family = families(scales(pool))["wrn"]
    for saving in cascade_savings.savings(pool, family, resampling):
        costs, gains = [], []
        for seed, repeat in enumerate(saving.repeats):
            design = parse_design(repeat.design)
            assert isinstance(design, Cascade)
            assert {member.seed for member in design.members} == {seed}
            decided, left = candidate_decisions(pool, design, "report")
            paid = [sum(pool.costs[pool.rows(stage.members)]) for stage in design.stages]
            costs.append(paid[0] + paid[1] * np.mean(left == 1))
            single = accuracy(pool, [f"{saving.scale.model}#{seed}"])
            gains.append(np.mean(decided == pool.report_labels) - single)
            chosen, _ = candidate_decisions(pool, design, "select")
            on_select = accuracy(pool, [f"{saving.scale.model}#{seed}"], "select")
            assert np.mean(chosen == pool.select_labels) >= on_select - 1e-9
        assert saving.saved.value == pytest.approx(1 - np.mean(costs) / saving.scale.cost, abs=1e-6)
        assert saving.gained.value == pytest.approx(np.mean(gains), abs=1e-6)
        assert saving.saved.low <= saving.saved.value <= saving.saved.high


def test_wrong_choices_are_counted_over_all_pairs_of_seeds(pool: Pool, resampling: Resampling) -> None:
    small, large = families(scales(pool))["wrn"][2:4]
    found = seed_spread.neighbours(pool, small, large, resampling)
    of = [[accuracy(pool, [f"{scale.model}#{seed}"]) for seed in range(4)] for scale in (small, large)]
    sign = 1 if np.mean(of[1]) >= np.mean(of[0]) else -1
    wrong = [
        1.0 if sign * (b - a) < -1e-9 else 0.5 if abs(b - a) < 1e-9 else 0.0 for a in of[0] for b in of[1]
    ]
    assert found.wrong.value == pytest.approx(np.mean(wrong))
    assert found.difference.value == pytest.approx(np.mean(of[1]) - np.mean(of[0]), abs=1e-6)


def test_students_stand_against_labels_teacher_and_as_much_training(
    pool: Pool, resampling: Resampling, study: Path
) -> None:
    with Store.open(study, create=False) as store:
        records = {record.member: record for record in store.members("fashion-mnist")}
    (student,) = distil_or_ensemble.students(pool, records, resampling)
    by_role = {rival.role: rival for rival in student.rivals}
    teacher = accuracy(pool, [f"wrn10-1@28#{seed}" for seed in range(3)])
    assert by_role["its teacher"].accuracy.value == pytest.approx(teacher, abs=1e-6)
    assert by_role["its teacher"].training == 3 * 3000 * 16e6
    own = np.mean([accuracy(pool, [f"wrn10-0.5@28~distilled-aaaa1111#{seed}"]) for seed in range(2)])
    plain = np.mean([accuracy(pool, [f"wrn10-0.5@28#{seed}"]) for seed in range(4)])
    ahead = student.ahead(by_role["same network, labels"])
    assert ahead.value == pytest.approx(own - plain, abs=1e-6)
    # teacher and student together: 13 units of 12 GMACs; a wrn10-2 takes 16, a wrn10-1 takes 4
    assert student.training == 13 * 12e9
    assert by_role["as much training"].name == "wrn10-1@28"
    assert "as much, teacher given" not in by_role


def test_a_student_without_its_whole_teacher_is_left_out_and_said(
    study: Path, tmp_path: Path, resampling: Resampling
) -> None:
    with Store.open(study, create=False) as store, Store.open(tmp_path / "part") as part:
        kept = [record.member for record in store.members("fashion-mnist")]
        gone = next(member for member in kept if (member.name, member.seed) == ("wrn10-1", 2))
        assert not gone.distilled
        write_bundle(store, tmp_path / "bundle", members=[m for m in kept if m != gone], weights="none")
        ingest_bundle(part, tmp_path / "bundle")
        pool, _ = load_pool(part, "fashion-mnist", CostAxis.parse("macs"))
        records = {record.member: record for record in part.members("fashion-mnist")}
        assert distil_or_ensemble.students(pool, records, resampling) == ()
        answer = distil_or_ensemble.analyse(part, "fashion-mnist")
    assert isinstance(answer, Absent)
    assert str(gone) in answer.reason


def test_splits_stand_where_their_members_fill_the_total(study: Path, resampling: Resampling) -> None:
    with Store.open(study, create=False) as store:
        pool, _ = load_pool(store, "fashion-mnist", CostAxis.parse("parameters"))
    family = families(scales(pool))["wrn"]
    curves = memory_split.curves(pool, family, resampling)
    assert memory_split.budgets(family)[0] == pytest.approx(2e4)
    assert memory_split.budgets(family)[-1] == pytest.approx(6.4e5)
    # 4 of one scale are as large as one of the next: no interpolation
    split = memory_split.best_split(curves["accuracy"], 1.6e5, more_is_better=True)
    four, one = curves["accuracy"][1].chosen[4], curves["accuracy"][2].chosen[1]
    assert curves["accuracy"][1].chosen[4] == pytest.approx(
        accuracy(pool, [f"wrn10-0.5@28#{seed}" for seed in range(4)], "select"), abs=1e-6
    )
    assert split.one.value == pytest.approx(curves["accuracy"][2].figure[1].value)
    assert (split.members == 1) <= (one >= four)
    assert sum(split.shares.values()) == pytest.approx(1)


def test_a_power_law_of_two_families_is_found_again(study: Path) -> None:
    with Store.open(study, create=False) as store:
        found = macs_vs_latency.analyse(store, "fashion-mnist")
    numbers = found.numbers
    assert numbers["factors"]["mobile"]["value"] / numbers["factors"]["wrn"]["value"] > 1.5
    assert numbers["rank correlation"]["low"] <= numbers["rank correlation"]["value"] <= 1

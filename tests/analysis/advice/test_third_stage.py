"""A third stage is recommended where it helps, and hardly ever where it brings nothing."""

from dataclasses import replace

import numpy as np
import pytest
from strategies import make_pool, simulated_pool

from explorer.analysis.advice.third_stage import ThirdStage, halves, no_cheaper, third_stage
from explorer.analysis.pool import Pool
from explorer.analysis.scoring.score import candidate_decisions, evaluate
from explorer.analysis.search.exact import search
from explorer.analysis.search.plan import Space
from explorer.analysis.search.three_stages import best_triples
from explorer.errors import UsageError
from explorer.spec import Cascade, Member, Single

ONE = Space(max_members=1)
COSTS = [1.0, 10.0, 100.0]


def tiers(
    *, select: int, report: int, seed: int, known: tuple[float, float], dull: bool, doubt: float = 0.0
) -> Pool:
    """Return a small, a middle and a large network over three classes.

    The small one knows a share ``known[0]`` of the examples and is nearly sure of those, the middle one a
    share ``known[1]``; of the others they guess. The large one is right on 95 %. ``dull``: the middle one's
    sureness says nothing and it knows no more than the small one, so that a stage of it is worth nothing.
    """
    rng = np.random.default_rng(seed)
    splits = []
    for n in (select, report):
        labels = rng.integers(0, 3, n)
        hard = rng.random(n)
        arrays = []
        for knows in known:
            knew = hard < knows
            answer = np.where(knew, labels, rng.integers(0, 3, n))
            sure = np.where(knew ^ (rng.random(n) < doubt), 0.8, 0.45) + rng.uniform(-0.05, 0.05, n)
            arrays.append(_rows(answer, sure))
        if dull:
            arrays[1] = _rows(arrays[0].argmax(axis=1), rng.uniform(0.4, 0.9, n))
        large = np.where(rng.random(n) < 0.95, labels, (labels + 1) % 3)
        arrays.append(_rows(large, rng.uniform(0.4, 0.9, n)))
        splits += [np.stack(arrays), labels]
    members = [Member(name, 8, 0) for name in ("a", "b", "c")]
    return make_pool(*splits, COSTS, members=members)


def _rows(answer: np.ndarray, sure: np.ndarray) -> np.ndarray:
    rows = np.repeat((1 - sure)[:, None] / 2, 3, axis=1)
    rows[np.arange(len(answer)), answer] = sure
    return rows


def plain_right(pool: Pool, design: Cascade | Single, split: str) -> np.ndarray:
    return candidate_decisions(pool, design, split)[0] == pool.arrays(split)[1]


def test_halves_are_every_second_example_and_never_overlap() -> None:
    pool = simulated_pool(models=2, seeds=1, select=31, report=9, seed=4)

    first, second = halves(pool)

    assert np.array_equal(np.asarray(first.select), pool.select[:, 0::2])
    assert np.array_equal(np.asarray(first.report), pool.select[:, 1::2])
    assert np.array_equal(second.select_labels, pool.select_labels[1::2])
    assert np.array_equal(np.asarray(second.report), np.asarray(first.select))
    assert (first.summary.select_examples, first.summary.report_examples) == (16, 15)


def test_a_stage_that_knows_more_for_less_is_recommended() -> None:
    pool = tiers(select=800, report=800, seed=1, known=(0.4, 0.8), dull=False)

    found = third_stage(pool, ONE)

    assert found.recommended is not None
    assert found.against_front is not None
    assert found.against_front.low > 0
    assert found.against_own is not None
    assert found.against_own.low > 0
    best = found.recommended
    assert [str(stage) for stage in best.point.design.stages] == ["a@8#0", "b@8#0", "c@8#0"]
    assert best.point == evaluate(pool, best.point.design, pool.axis)
    assert best.comparison.difference.value > 0
    assert best.rival.cost.value >= best.point.cost.value
    assert sum(best.tail.left) == pytest.approx(1)


def test_held_out_figures_are_those_of_the_other_half() -> None:
    pool = tiers(select=400, report=50, seed=2, known=(0.4, 0.7), dull=False)

    found = third_stage(pool, ONE)

    won = lost = 0
    for half, trial in zip(halves(pool), found.trials, strict=True):
        ours = plain_right(half, trial.chosen.design, "report")
        theirs = plain_right(half, trial.rival.design, "report")
        won, lost = won + int((ours & ~theirs).sum()), lost + int((theirs & ~ours).sum())
        assert len(trial.chosen.design.stages) == 3
        assert trial.chosen.accuracy.n == 200
        # a cheaper rival is let in only where there is none that costs more: the dearest of its front
        dearest = search(half, half.axis, ONE).points[-1]
        assert trial.rival.cost.value >= trial.chosen.cost.value or trial.rival.design == dearest.design
        assert max(len(trial.rival.reached), len(trial.own.reached)) <= 2
        assert set(trial.own.design.members) <= set(trial.chosen.design.members)
    assert found.against_front is not None
    assert found.against_front.value == (won - lost) / 400
    assert found.against_front.n == 400


def test_a_third_stage_that_brings_nothing_is_hardly_ever_recommended() -> None:
    """The middle network repeats the small one's answers, and how sure it is means nothing."""
    yes = 0
    for seed in range(20):
        pool = tiers(select=120, report=20, seed=100 + seed, known=(0.5, 0.5), dull=True, doubt=0.2)
        yes += third_stage(pool, ONE).recommended is not None
    # 5 % of 20
    assert yes <= 1


def test_networks_that_are_all_alike_need_no_third_stage() -> None:
    yes = 0
    for seed in range(8):
        pool = simulated_pool(models=1, seeds=3, select=120, report=20, seed=seed)
        pool = replace(
            pool,
            cost_figures=make_pool(
                pool.select, pool.select_labels, pool.report, pool.report_labels, [1.0, 3.0, 9.0]
            ).cost_figures,
        )
        yes += third_stage(pool, ONE).recommended is not None
    assert yes <= 1


def test_labels_of_report_have_no_part_in_it() -> None:
    pool = tiers(select=200, report=60, seed=3, known=(0.4, 0.7), dull=False)
    other = replace(pool, report_labels=(pool.report_labels + 1) % 3)

    one, two = third_stage(pool, ONE), third_stage(other, ONE)

    assert one.trials == two.trials
    assert one.ranges == two.ranges
    assert (one.recommended is None) == (two.recommended is None)


def test_a_limit_holds_where_the_choice_is_made() -> None:
    pool = tiers(select=400, report=50, seed=5, known=(0.4, 0.8), dull=False)

    found = third_stage(pool, ONE, limit=20.0)

    assert found.limit == 20.0
    assert found.trials
    assert all(trial.chosen.select_cost <= 20.0 for trial in found.trials)
    assert found.ranges[-1].high == 20.0


def test_gain_where_chosen_is_over_the_front_at_no_higher_cost() -> None:
    pool = tiers(select=300, report=50, seed=6, known=(0.4, 0.8), dull=False)
    found = third_stage(pool, ONE)

    for half, trial in zip(halves(pool), found.trials, strict=True):
        singles = [Single(member) for member in half.members]
        triples = best_triples(half, singles)
        assert trial.chosen.design in {triples.design(right) for right in triples.front().tolist()}
        assert trial.gain >= 0


def test_where_no_triple_can_be_made_it_says_so() -> None:
    pool = simulated_pool(models=2, seeds=1, select=60, report=20, seed=1)

    found: ThirdStage = third_stage(pool, ONE)

    assert found.recommended is None
    assert (found.trials, found.against_front, found.ranges, found.triples) == ((), None, (), 0)


def test_rival_is_the_first_that_costs_no_less_or_the_last() -> None:
    pool = simulated_pool(models=3, seeds=1, select=60, report=20, seed=1)
    points = [evaluate(pool, Single(member), pool.axis) for member in pool.members]

    assert no_cheaper(points, 0.0) is points[0]
    assert no_cheaper(points, points[1].cost.value) is points[1]
    assert no_cheaper(points, 1e12) is points[-1]


def test_too_few_examples_or_no_cascades_are_refused() -> None:
    pool = simulated_pool(models=3, seeds=1, select=3, report=3, seed=1)
    with pytest.raises(UsageError, match="4 examples"):
        third_stage(pool, ONE)
    large = simulated_pool(models=3, seeds=1, select=30, report=3, seed=1)
    with pytest.raises(UsageError, match="cascades"):
        third_stage(large, replace(ONE, cascades=False))

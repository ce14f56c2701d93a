"""How sure a front is, against draws and searches made one at a time."""

from dataclasses import replace

import numpy as np
import pytest
from strategies import make_pool, simulated_pool

from explorer.analysis.advice import sureness
from explorer.analysis.advice.sureness import FOLDS, answers_and_costs, how_sure
from explorer.analysis.pool import Pool
from explorer.analysis.result import Front
from explorer.analysis.scoring.score import evaluate
from explorer.analysis.search.exact import search
from explorer.analysis.search.plan import Space
from explorer.analysis.statistics.on_front import on_front_over_seeds
from explorer.analysis.statistics.seeds import Resampling, right_answers, scales
from explorer.convention import CostAxis
from explorer.errors import ConventionError, UsageError
from explorer.spec import Averaging

SMALL = Space(max_members=2)


@pytest.fixture(scope="module")
def pool() -> Pool:
    return simulated_pool(models=3, seeds=3, select=203, report=151, seed=7)


@pytest.fixture(scope="module")
def front(pool: Pool) -> Front:
    return search(pool, pool.axis, SMALL)


@pytest.mark.parametrize("axis", ["macs", "parameters", "activation_peak_bytes"])
@pytest.mark.parametrize("split", ["select", "report"])
def test_answers_and_costs_average_to_those_of_the_plain_way(axis: str, split: str) -> None:
    pool = simulated_pool(models=2, seeds=2, select=41, report=53, seed=1, axis=axis)
    points = search(pool, pool.axis, SMALL).fronts_by_kind
    designs = [point.design for of_kind in points.values() for point in of_kind]
    right, costs = answers_and_costs(pool, designs, split, {})
    for design, row, paid in zip(designs, right, costs, strict=True):
        plain = evaluate(pool, design, pool.axis)
        wanted = plain.select_accuracy, plain.select_cost
        if split == "report":
            wanted = plain.accuracy.value, plain.cost.value
        assert (row.mean(), paid.mean()) == pytest.approx(wanted)


def test_shares_are_those_of_test_sets_drawn_one_by_one(pool: Pool, front: Front) -> None:
    found = how_sure(pool, front, SMALL, resamples=100)
    right, costs = answers_and_costs(pool, [p.design for p in front.points], "report", {})
    random, hits = np.random.default_rng(20005), np.zeros(len(right))
    for _ in range(100):
        drawn = random.integers(0, 151, 151)
        accuracy, cost = right[:, drawn].sum(axis=1), np.round(costs[:, drawn].mean(axis=1), 9)
        no_worse = (accuracy[:, None] >= accuracy) & (cost[:, None] <= cost)
        differs = (accuracy[:, None] != accuracy) | (cost[:, None] != cost)
        hits += ~(no_worse & differs).any(axis=0)
    assert found.on_front == pytest.approx((hits / 100).tolist())
    assert min(found.on_front) < 0.5 < max(found.on_front) == 1.0
    assert (found.resamples, found.examples) == (100, 151)


def test_optimism_is_that_of_searches_without_each_part(pool: Pool, front: Front) -> None:
    found = how_sure(pool, front, SMALL, resamples=100)
    fold_of = np.random.default_rng(20005).permutation(np.arange(203) % FOLDS)
    budgets = [again.budget for again in found.chosen_again]
    assert budgets == sorted(budgets)
    assert budgets[-1] == np.inf
    chosen_on, held = np.zeros(len(budgets)), np.zeros(len(budgets))
    for fold in range(FOLDS):
        seen = fold_of != fold
        part = make_pool(
            pool.select[:, seen],
            pool.select_labels[seen],
            pool.select[:, ~seen],
            pool.select_labels[~seen],
            pool.costs.tolist(),
            members=pool.members,
        )
        for number, budget in enumerate(budgets):
            fits = [p for p in search(part, part.axis, SMALL).points if p.select_cost <= budget]
            best = max(fits, key=lambda point: point.select_accuracy)
            chosen_on[number] += best.select_accuracy / FOLDS
            held[number] += best.accuracy.value * (~seen).sum() / 203
    assert [again.chosen_on for again in found.chosen_again] == pytest.approx(chosen_on.tolist())
    assert [again.held_out.value for again in found.chosen_again] == pytest.approx(held.tolist())
    for again, on, off in zip(found.chosen_again, chosen_on, held, strict=True):
        assert again.optimism == pytest.approx(on - off)
        assert again.held_out.low < again.held_out.value < again.held_out.high
        fits = [point for point in front.points if point.select_cost <= again.budget]
        assert again.point == max(fits, key=lambda point: point.select_accuracy)
    assert sum(again.optimism for again in found.chosen_again) > 0


def test_sample_grows_to_its_limit_and_so_does_optimism(
    pool: Pool, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = how_sure(pool, front, SMALL, resamples=100)
    assert 300 < found.sampled <= 9 + len(front.cloud)
    assert [designs for designs, _ in found.growth] == [1, 10, 100, found.sampled]
    assert found.growth[0][1] == 0.0
    assert found.growth[3][1] > found.growth[1][1] > 0
    monkeypatch.setattr(sureness, "_NUMBERS", 203 * 40)
    fewer = how_sure(pool, front, SMALL, resamples=100)
    assert fewer.sampled == 40
    assert fewer.on_front == found.on_front
    monkeypatch.setattr(sureness, "_NUMBERS", 1)
    assert how_sure(pool, front, SMALL, resamples=100).sampled == 9


def test_seeds_are_drawn_again_where_there_are_several(pool: Pool, front: Front) -> None:
    found = how_sure(pool, front, SMALL, resamples=120).seeds
    wanted = {}
    of = [(scale, right_answers(pool, scale, "report"), size) for scale in scales(pool) for size in (1, 2, 3)]
    costs = [size * scale.cost for scale, _, size in of]
    drawn = Resampling(151, draws=120)
    shares = on_front_over_seeds([(values, size) for _, values, size in of], costs, drawn).on_front
    for (scale, values, size), cost, share in zip(of, costs, shares, strict=True):
        wanted[scale.model, size] = cost, values.mean(size), share
    assert {(row.model, row.size): (row.cost, row.accuracy, row.on_front) for row in found} == wanted
    assert [row.cost for row in found] == sorted(costs)


def test_no_seeds_to_draw() -> None:
    lonely = simulated_pool(models=3, seeds=1, select=40, report=30)
    assert how_sure(lonely, search(lonely, lonely.axis), resamples=100).seeds == ()
    pool = simulated_pool(models=1, seeds=3, select=40, report=30)
    space = Space(averaging=Averaging.VOTE)
    assert how_sure(pool, search(pool, pool.axis, space), space, resamples=100).seeds == ()


def test_other_examples_are_told_from_luck(pool: Pool, front: Front) -> None:
    found = how_sure(pool, front, SMALL, resamples=100)
    right = [
        np.mean([row.argmax(axis=1) == labels for row in chance])
        for chance, labels in (pool.arrays("select"), pool.arrays("report"))
    ]
    assert found.easier == pytest.approx(right[0] - right[1])
    mixed = replace(pool, report_labels=np.roll(pool.report_labels, 1))
    other = how_sure(mixed, search(mixed, mixed.axis, SMALL), SMALL, resamples=100)
    for again, there in zip(found.chosen_again, other.chosen_again, strict=True):
        assert (again.chosen_on, again.held_out, again.sampled) == (
            there.chosen_on,
            there.held_out,
            there.sampled,
        )


def test_progress_rises() -> None:
    pool = simulated_pool(models=1, seeds=2, select=20, report=10)
    seen: list[float] = []
    how_sure(pool, search(pool, pool.axis), resamples=100, update=lambda share, _: seen.append(share))
    assert seen == sorted(seen)
    assert 0 <= seen[0] < seen[-1] < 1


def test_wrong_questions_are_refused(pool: Pool, front: Front) -> None:
    with pytest.raises(UsageError, match="need 100 draws or more, got 99"):
        how_sure(pool, front, SMALL, resamples=99)
    with pytest.raises(ConventionError, match="costs of macs, not of parameters"):
        how_sure(pool, replace(front, axis=CostAxis.parse("parameters")), SMALL)
    tiny = simulated_pool(models=1, seeds=2, select=4, report=9)
    with pytest.raises(UsageError, match="needs 5 select examples or more, got 4"):
        how_sure(tiny, search(tiny, tiny.axis))

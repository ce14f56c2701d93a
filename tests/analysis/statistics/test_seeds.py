"""Means over seeds and their intervals, against plain numpy and closed forms."""

import itertools

import numpy as np
import pytest
from scipy.stats import t
from strategies import simulated_pool

from explorer.analysis.statistics.seeds import (
    Estimate,
    Resampling,
    SeedValues,
    families,
    family,
    grouped,
    percentiles,
    right_answers,
    scales,
    seed_effects,
    seed_sets,
)
from explorer.errors import UsageError


def values_of(rows: np.ndarray, *, largest: int = 1, key: str = "net") -> SeedValues:
    """Figures of single seeds ``[seed, example]``; those of larger sets are the members' mean."""
    sets = seed_sets(len(rows), largest)
    figures = [rows[chosen[chosen >= 0]].mean(axis=0) for chosen in sets]
    return SeedValues(key=key, seeds=len(rows), sets=sets, values=np.array(figures, np.float32))


def test_seed_sets_are_all_subsets() -> None:
    found = {tuple(row[row >= 0]) for row in seed_sets(4, 3)}
    assert found == {c for n in (1, 2, 3) for c in itertools.combinations(range(4), n)}
    assert seed_sets(2, 5).shape == (3, 2)


def test_right_answers_and_means_against_plain_averaging() -> None:
    pool = simulated_pool(models=2, seeds=4, select=23, report=151)
    for scale in scales(pool):
        found = right_answers(pool, scale, "report", largest=3)
        assert found.sizes == (1, 2, 3)
        for size in found.sizes:
            right = [
                (
                    pool.report[list(chosen)].astype(float).mean(axis=0).argmax(axis=1) == pool.report_labels
                ).mean()
                for chosen in itertools.combinations(scale.rows, size)
            ]
            assert found.mean(size) == pytest.approx(np.mean(right), abs=1e-7)


def test_scales_are_the_pools_own_plain_models_cheapest_first() -> None:
    pool = simulated_pool(models=3, seeds=2, select=5, report=5)
    assert [str(s.model) for s in scales(pool)] == ["net0@8", "net1@8", "net2@8"]
    assert grouped(pool) == scales(pool)
    assert list(families(scales(pool))) == ["net"]
    assert families(scales(pool)[:1]) == {}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("wrn10-0.5", "wrn"), ("mobile-x0.25", "mobile"), ("timm:resnet18.a1", "timm:resnet"), ("X1", "X1")],
)
def test_a_family_is_the_leading_letters(name: str, wanted: str) -> None:
    assert family(name) == wanted


def test_spread_over_examples_is_the_standard_error() -> None:
    right = (np.arange(400) % 4 > 0).astype(np.float32)
    estimate = Resampling(400).estimate(values_of(right[None]), 1)
    assert estimate.value == 0.75
    assert estimate.draws.std() == pytest.approx(np.sqrt(0.75 * 0.25 / 400), rel=0.06)
    interval = estimate.interval()
    assert interval.low < 0.75 < interval.high
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * np.sqrt(0.75 * 0.25 / 400), rel=0.1)


@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
def test_spread_over_seeds_is_the_standard_error_of_their_mean(seeds: int) -> None:
    """Every example alike: what is left is the interval of a textbook, by Student's t."""
    levels = np.random.default_rng(seeds).normal(0.9, 0.02, seeds)
    rows = np.repeat(levels[:, None], 50, axis=1)
    estimate = Resampling(50, draws=20_000).estimate(values_of(rows), 1)
    wanted = t.interval(0.95, seeds - 1, loc=levels.mean(), scale=levels.std(ddof=1) / np.sqrt(seeds))
    got = estimate.interval()
    # the ends are far out in the tails of few degrees of freedom, and the shrinking takes a hair
    assert (got.low - got.value, got.high - got.value) == pytest.approx(
        tuple(end - levels.mean() for end in wanted), rel=0.12 if seeds == 2 else 0.05
    )
    assert Resampling(50, over_seeds=False).estimate(values_of(rows), 1).draws.std() < 1e-6


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_intervals_hold_the_mean_of_all_seeds_as_often_as_they_say(seeds: int) -> None:
    """Seeds that do differ, few examples' luck: 400 studies, of which 95 % should hold the truth."""
    random, held = np.random.default_rng(3), 0
    for study in range(400):
        levels = random.normal(0.9, 0.02, seeds)
        rows = np.repeat(levels[:, None], 4, axis=1)
        found = Resampling(4, draws=500).estimate(values_of(rows, key=str(study)), 1).interval()
        held += found.low <= 0.9 <= found.high
    assert 0.92 <= held / 400 <= 0.98


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_ensembles_that_add_up_their_members_spread_as_the_members_mean_does(size: int) -> None:
    """With a figure that is the members' mean every ensemble size has one truth: the mean over all seeds."""
    levels = np.random.default_rng(1).normal(0.9, 0.02, 5)
    rows = np.repeat(levels[:, None], 50, axis=1)
    resampling = Resampling(50)
    one, several = (resampling.estimate(values_of(rows, largest=5), n) for n in (1, size))
    assert several.value == pytest.approx(one.value, abs=1e-6)
    assert several.draws == pytest.approx(one.draws, abs=1e-6)


def test_seed_effects_of_additive_ensembles_are_the_seeds_distances_over_the_size() -> None:
    levels = np.array([0.1, 0.5, 0.6, 0.8])
    # every example alike: no scatter over examples, nothing to shrink by
    found = values_of(np.repeat(levels[:, None], 9, axis=1), largest=4)
    for size in (1, 2, 3, 4):
        assert seed_effects(found, size) == pytest.approx((levels - levels.mean()) / size, abs=1e-6)


@pytest.mark.parametrize(("spread", "low", "high"), [(0.0, 0.9, 1.35), (0.05, 0.9, 1.6), (0.3, 1.0, 1.7)])
def test_draws_scatter_as_new_seeds_and_examples_would(spread: float, low: float, high: float) -> None:
    """Equally good seeds differ by the examples' luck alone; that is in the draws once, not twice.

    Where seeds do differ, the draws scatter 1.4 times as much: Student's t of 5 seeds over the normal z.
    """
    random = np.random.default_rng(17)
    found, drawn = [], []
    for _ in range(120):
        hard = random.normal(0.6, 1.2, 300)
        scale = []
        for mean in (0.5, 0.7):
            skill = mean + spread * random.normal(0, 1, 5)
            chance = 1 / (1 + np.exp(-2 * (skill[:, None] + hard)))
            scale.append(values_of((random.random((5, 300)) < chance).astype(np.float32), key=str(mean)))
        resampling = Resampling(300, draws=200)
        difference = resampling.estimate(scale[1], 1) - resampling.estimate(scale[0], 1)
        found.append(difference.value)
        drawn.append(difference.draws.var())
    assert low <= np.sqrt(np.mean(drawn)) / np.std(found, ddof=1) <= high


def test_seeds_that_differ_by_luck_alone_have_no_effects() -> None:
    right = np.zeros((3, 300), np.float32)
    for seed in range(3):
        right[seed, seed::3] = 1  # each as often right, elsewhere
    right[0, 1] = 1
    assert seed_effects(values_of(right), 1) == pytest.approx(np.zeros(3), abs=1e-12)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """Seeds and examples drawn anew 100 times: two-level intervals hold the truth in about 95 %."""
    random = np.random.default_rng(3)
    grid = random.normal(0, 1, 2000)[:, None] + 1.2 * random.normal(1.0, 0.12, 200)[None]
    truth = (1 / (1 + np.exp(-grid))).mean()
    examples, seeds, inside = 200, 6, 0
    for _ in range(100):
        hard, skill = random.normal(0, 1, examples), random.normal(1.0, 0.12, seeds)
        chance = 1 / (1 + np.exp(-(skill[:, None] * 1.2 + hard)))
        right = (random.random((seeds, examples)) < chance).astype(np.float32)
        interval = Resampling(examples, draws=200).estimate(values_of(right), 1).interval()
        inside += bool(interval.low <= truth <= interval.high)
    assert 87 <= inside <= 100


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_intervals_over_few_very_different_seeds_hold_the_truth_too(seeds: int) -> None:
    """By normal quantiles it would be 70, 81 and 88 % of the time."""
    random, inside = np.random.default_rng(seeds), 0
    for _ in range(300):
        levels = random.normal(0.9, 0.02, seeds)
        rows = np.repeat(levels[:, None], 4, axis=1)
        interval = Resampling(4, draws=400).estimate(values_of(rows), 1).interval()
        inside += bool(interval.low <= 0.9 <= interval.high)
    assert inside >= 0.88 * 300


def test_differences_are_paired_over_examples_and_over_seeds_of_one_model() -> None:
    rows = np.random.default_rng(2).random((4, 60)).astype(np.float32)
    resampling = Resampling(60)
    one = resampling.estimate(values_of(rows), 1)
    shifted = resampling.estimate(values_of(rows + np.float32(0.25)), 1)
    interval = (shifted - one).interval()
    assert (interval.low, interval.value, interval.high) == pytest.approx((0.25,) * 3, abs=1e-6)
    other = resampling.estimate(values_of(rows, key="another model"), 1)
    assert np.std(other.draws - one.draws) > 0.001


def test_the_same_question_gets_the_same_draws() -> None:
    rows = np.random.default_rng(2).random((4, 60))
    first, second = (Resampling(60).estimate(values_of(rows), 1).draws for _ in range(2))
    assert (first == second).all()


def test_an_infinite_draw_stays_infinite() -> None:
    assert percentiles(np.array([1.0] * 90 + [np.inf] * 10)) == (1.0, np.inf)
    assert Estimate(value=2.0, draws=np.array([1.0, 3.0]), n=5).map(lambda x: -x).value == -2.0


def test_more_members_than_seeds_are_refused() -> None:
    with pytest.raises(UsageError, match="net has 2 seeds; no ensemble of 3"):
        Resampling(5).estimate(values_of(np.ones((2, 5))), 3)
    with pytest.raises(UsageError, match="needs examples and draws"):
        Resampling(0)

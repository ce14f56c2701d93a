"""Spread over seeds, wrong choices and seeds needed, against simulation and closed forms."""

import numpy as np
import pytest
from scipy import stats

from explorer.analysis.statistics.luck import seeds_to_tell, spread, wrong_choice
from explorer.errors import UsageError


def test_spread_by_hand() -> None:
    right = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]], dtype=np.float32)
    found = spread(right)
    assert found.accuracies == (0.75, 0.5, 0.25)
    assert (found.mean, found.range) == (0.5, 0.5)
    assert found.deviation == pytest.approx(0.25)
    assert found.binomial == pytest.approx(0.25)
    low, high = (0.25 * np.sqrt(2 / stats.chi2.ppf(tail, 2)) for tail in (0.975, 0.025))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_equally_good_seeds_have_nothing_left_on_average() -> None:
    """Independent errors of equal chance: the deviation is what the examples make it."""
    random = np.random.default_rng(0)
    squares = []
    for _ in range(400):
        chance = random.random(500)
        found = spread(random.random((5, 500)) < chance)
        squares.append((found.deviation**2, found.expected**2))
    seen, expected = np.mean(squares, axis=0)
    assert seen == pytest.approx(expected, rel=0.1)
    assert expected == pytest.approx(1 / 6 / 500, rel=0.05)


def test_what_is_left_is_the_seeds_own_spread() -> None:
    random = np.random.default_rng(1)
    left = []
    for _ in range(300):
        skill = random.normal(0.7, 0.04, (6, 1))
        found = spread(random.random((6, 2000)) < skill)
        left.append(found.deviation**2 - found.expected**2)
    assert np.sqrt(np.mean(left)) == pytest.approx(0.04, rel=0.1)


def test_wrong_choice_counts_pairs_and_halves_ties() -> None:
    better, worse, even = np.array([0.9, 0.8]), np.array([0.8, 0.85]), np.array([0.5, 0.5])
    # 0.9 beats both; 0.8 ties one and loses to the other
    assert wrong_choice(better, worse, even, even) == pytest.approx((0 + 0 + 0.5 + 1) / 4)
    assert wrong_choice(better, worse, np.array([1.0, 0]), even) == 0


@pytest.mark.parametrize(("difference", "deviation"), [(0.01, 0.01), (0.01, 0.004), (0.002, 0.004)])
def test_seeds_needed_find_the_difference_in_four_of_five_cases(difference: float, deviation: float) -> None:
    seeds = seeds_to_tell(difference, deviation, deviation)
    assert seeds is not None

    def power(count: int) -> float:
        random = np.random.default_rng(4)
        first = random.normal(difference, deviation, (4000, count))
        second = random.normal(0, deviation, (4000, count))
        return float(np.mean(stats.ttest_ind(first, second, axis=1).pvalue < 0.05))

    assert power(seeds) >= 0.78
    assert seeds == 2 or power(seeds - 1) < 0.82


def test_ends_of_the_search() -> None:
    assert seeds_to_tell(0.0, 0.1, 0.1) is None
    assert seeds_to_tell(-0.1, 0.1, 0.1) is None
    assert seeds_to_tell(0.1, 0.0, 0.0) == 2
    assert seeds_to_tell(1e-6, 0.1, 0.1) is None
    assert seeds_to_tell(1.0, 1e-4, 1e-4) == 2


def test_one_seed_has_no_spread() -> None:
    with pytest.raises(UsageError, match="needs two seeds"):
        spread(np.ones((1, 10)))

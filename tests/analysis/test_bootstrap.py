import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from explorer.analysis.bootstrap import (
    examples_to_tell,
    mean_interval,
    paired_interval,
    share_interval,
    tells,
    wilson,
)

COUNTS = st.integers(2, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
PAIRS = st.integers(1, 200).flatmap(
    lambda n: st.integers(0, n).flatmap(lambda b: st.tuples(st.just(b), st.integers(0, n - b), st.just(n)))
)


@given(COUNTS)
def test_share_interval_holds_its_value_and_stays_in_the_unit_interval(case: tuple[int, int]) -> None:
    count, n = case
    found = share_interval(count, n)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert (found.method == "wilson") == (count in (0, n))
    assert found.n == n


def test_share_interval_is_the_percentile_bootstrap() -> None:
    rng = np.random.default_rng(7)
    right = np.arange(539) < 503
    draws = rng.choice(right, size=(20_000, 539)).mean(axis=1)
    found = share_interval(503, 539)
    low, high = np.quantile(draws, [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=1.5 / 539)
    assert found.high == pytest.approx(high, abs=1.5 / 539)


def test_wilson_published_figures() -> None:
    """Newcombe 1998, Statistics in Medicine 17:857, table I, method 3: 81/263, 15/148, 0/20, 1/29."""
    for (count, n), wanted in {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }.items():
        assert wilson(count, n) == pytest.approx(wanted, abs=5e-5)
    assert wilson(20, 20) == pytest.approx((1 - 0.1611, 1.0), abs=5e-5)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.97])
def test_share_interval_covers_the_truth(share: float) -> None:
    """Exact coverage: the sum over all possible counts of their chance times being covered."""
    n = 539
    counts = np.arange(n + 1)
    chance = stats.binom.pmf(counts, n, share)
    likely = counts[chance > 1e-9]
    covered = sum(
        chance[c] for c in likely if share_interval(int(c), n).low <= share <= share_interval(int(c), n).high
    )
    assert 0.93 <= covered <= 0.97


@settings(deadline=None)
@given(PAIRS)
def test_paired_interval_is_antisymmetric_and_holds_its_value(case: tuple[int, int, int]) -> None:
    b, c, n = case
    there, back = paired_interval(b, c, n), paired_interval(c, b, n)
    assert there.low <= there.value <= there.high
    assert there.value == pytest.approx((b - c) / n)
    assert there.low == pytest.approx(-back.high, abs=1e-12)
    assert there.high == pytest.approx(-back.low, abs=1e-12)
    assert -1 <= there.low <= there.high <= 1 or b + c == 0


def test_paired_interval_is_the_percentile_bootstrap_where_many_differ() -> None:
    rng = np.random.default_rng(11)
    b, c, n = 173, 131, 1009
    draws = rng.multinomial(n, [b / n, c / n, 1 - (b + c) / n], size=200_000)
    low, high = np.quantile((draws[:, 0] - draws[:, 1]) / n, [0.025, 0.975])
    found = paired_interval(b, c, n)
    # the sign test may widen it by what two ways to the same end differ
    assert found.low == pytest.approx(low, abs=3 / n)
    assert found.high == pytest.approx(high, abs=3 / n)


def test_trinomial_distribution_against_enumeration() -> None:
    from explorer.analysis.bootstrap import _trinomial_percentiles

    b, c, n = 3, 2, 11
    mass = np.zeros(2 * n + 1)
    for i in range(n + 1):
        for j in range(n + 1 - i):
            mass[i - j + n] += stats.multinomial.pmf([i, j, n - i - j], n, [b / n, c / n, 1 - (b + c) / n])
    cumulative = np.cumsum(mass)
    wanted = [(int(np.argmax(cumulative >= p)) - n) / n for p in (0.025, 0.975)]
    assert _trinomial_percentiles(b, c, n) == pytest.approx(wanted)


@settings(deadline=None, max_examples=200)
@given(PAIRS)
def test_a_difference_is_never_claimed_against_the_exact_sign_test(case: tuple[int, int, int]) -> None:
    b, c, n = case
    if tells(paired_interval(b, c, n)):
        assert stats.binomtest(b, b + c, 0.5).pvalue < 0.05


def test_four_to_none_is_not_a_win_but_six_to_none_is() -> None:
    assert not tells(paired_interval(4, 0, 100))
    assert not tells(paired_interval(5, 0, 100))
    assert tells(paired_interval(6, 0, 100))
    assert tells(paired_interval(0, 6, 100))


def test_designs_that_never_differ_could_still_differ() -> None:
    found = paired_interval(0, 0, 100)
    assert (found.value, found.method) == (0.0, "wilson")
    assert found.low == -found.high
    assert found.high == pytest.approx(wilson(0, 100)[1])


@pytest.mark.parametrize(("p_first", "p_second"), [(0.02, 0.02), (0.05, 0.03), (0.005, 0.005), (0.1, 0.02)])
def test_paired_interval_covers_the_truth_in_simulation(p_first: float, p_second: float) -> None:
    rng = np.random.default_rng(13)
    n, repeats = 539, 1500
    draws = rng.multinomial(n, [p_first, p_second, 1 - p_first - p_second], size=repeats)
    seen = [paired_interval(int(b), int(c), n) for b, c, _ in draws]
    covered = np.mean([i.low <= p_first - p_second <= i.high for i in seen])
    assert covered >= 0.93  # 0.95, less three standard errors of the simulation
    if p_first == p_second:
        assert np.mean([tells(i) for i in seen]) <= 0.05
    else:
        assert not any(i.high < 0 for i in seen)


@settings(deadline=None, max_examples=150)
@given(PAIRS)
def test_examples_to_tell_agrees_with_the_verdict(case: tuple[int, int, int]) -> None:
    b, c, n = case
    needed = examples_to_tell(b, c, n)
    if b == c:
        assert needed is None
    else:
        assert (needed <= n) == tells(paired_interval(b, c, n))


def test_examples_to_tell_near_the_normal_formula() -> None:
    b, c, n = 60, 50, 1000
    normal = 1.96**2 * (b + c) / (b - c) ** 2 * n
    assert examples_to_tell(b, c, n) == pytest.approx(normal, rel=0.1)


def test_mean_interval_of_two_values_is_the_share_interval_scaled() -> None:
    share = share_interval(40, 100)
    assert mean_interval([60, 40], [3.0, 13.0]) == pytest.approx((3 + 10 * share.low, 3 + 10 * share.high))
    assert mean_interval([100], [7.0]) == (7.0, 7.0)
    assert mean_interval([100, 0], [3.0, 13.0])[0] == 3.0
    assert mean_interval([100, 0], [3.0, 13.0])[1] > 3.0


def test_mean_interval_of_three_values_against_the_normal_and_repeatable() -> None:
    counts, values = [500, 300, 200], [1.0, 5.0, 17.0]
    every = np.repeat(values, counts)
    half = 1.96 * every.std() / np.sqrt(1000)
    low, high = mean_interval(counts, values)
    assert (low, high) == pytest.approx((every.mean() - half, every.mean() + half), abs=0.03)
    assert mean_interval(counts, values) == (low, high)

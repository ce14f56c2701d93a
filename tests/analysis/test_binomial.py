"""The distributions against scipy.stats, where they are tested themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from explorer.analysis.binomial import at_most, clopper_pearson, normal_quantile, quantile


@given(st.integers(1, 60_000), st.floats(1e-6, 1 - 1e-6), st.floats(0.001, 0.999))
def test_quantile_is_the_least_count_that_reaches_the_share(n: int, p: float, share: float) -> None:
    count = int(quantile(np.array([share]), n, p)[0])
    assert stats.binom.cdf(count, n, p) >= share * (1 - 1e-9)
    assert count == 0 or stats.binom.cdf(count - 1, n, p) < share * (1 + 1e-9)


@given(st.integers(1, 5_000), st.data())
def test_quantiles_of_a_share_are_those_of_scipy(n: int, data: st.DataObject) -> None:
    p = data.draw(st.integers(1, max(1, n - 1))) / n
    shares = np.array([0.025, 0.975])
    if p < 1:
        np.testing.assert_array_equal(quantile(shares, n, p), stats.binom.ppf(shares, n, p))


@given(st.integers(1, 5_000), st.data())
def test_clopper_pearson_is_scipys(n: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, n))
    wanted = stats.binomtest(count, n).proportion_ci(0.95, method="exact")
    assert clopper_pearson(count, n, 0.025) == pytest.approx((wanted.low, wanted.high), abs=1e-12)
    assert at_most(count, n, 0.3) == pytest.approx(stats.binom.cdf(count, n, 0.3), abs=1e-12)


def test_normal_quantile() -> None:
    assert normal_quantile(0.975) == pytest.approx(stats.norm.ppf(0.975), abs=1e-15)

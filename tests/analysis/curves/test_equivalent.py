"""Equivalents against the published ones and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.analysis.curves.equivalent import ensemble_equivalent
from explorer.analysis.statistics.seeds import Estimate
from explorer.errors import UsageError

CURVE = {1: 0.935, 5: 0.823, 10: 0.805, 50: 0.788}
"""Calibrated NLL of ResNet-50 ensembles, ImageNet: arXiv 2002.06470, bayesgroup/pytorch-ensembles."""


@pytest.mark.parametrize(("loss", "published"), [(0.865, 2.2), (0.843, 3.2), (0.830, 4.2)])
def test_snapshots_are_worth_what_was_published(loss: float, published: float) -> None:
    """The paper's curve has every size, this one four: found 2.0, 2.9 and 4.0."""
    assert ensemble_equivalent(loss, CURVE).members == pytest.approx(published, abs=0.3)


@given(st.floats(0.01, 1), st.floats(1, 40))
def test_a_loss_on_the_law_is_its_own_size(gap: float, members: float) -> None:
    curve = {n: 0.5 + gap / n for n in (1, 2, 3, 7, 40)}
    found = ensemble_equivalent(0.5 + gap / members, curve)
    assert found.members == pytest.approx(members, rel=1e-6)
    assert not found.interval_known


def test_beyond_the_end_there_is_none_and_before_the_start_one() -> None:
    end = ensemble_equivalent(0.787, CURVE)
    assert end.members is None
    assert end.most == 50
    worse, same = ensemble_equivalent(0.95, CURVE), ensemble_equivalent(0.935, CURVE)
    assert (worse.members, worse.worse_than_one) == (1.0, True)
    assert (same.members, same.worse_than_one) == (1.0, False)
    assert ensemble_equivalent(0.788, CURVE).members == pytest.approx(50)


def test_the_smallest_size_counts_where_a_curve_rises() -> None:
    curve = {1: 0.9, 2: 0.7, 3: 0.8, 4: 0.6}
    assert ensemble_equivalent(0.7, curve).members == 2
    assert 3 < ensemble_equivalent(0.65, curve).members < 4
    level = {1: 0.9, 2: 0.9, 3: 0.9}
    assert ensemble_equivalent(0.9, level).members == 1
    assert ensemble_equivalent(0.8, level).members is None


def test_an_interval_may_be_open_at_its_end() -> None:
    random = np.random.default_rng(2)
    curve = {
        n: Estimate(value=0.5 + 0.4 / n, draws=0.5 + 0.4 / n + random.normal(0, 0.001, 500), n=9)
        for n in (1, 2, 4, 8)
    }
    at = 0.5 + 0.4 / 4
    inner = ensemble_equivalent(Estimate(value=at, draws=at + random.normal(0, 0.01, 500), n=9), curve)
    assert inner.low < 3.9
    assert 4.1 < inner.high < 8
    assert inner.interval_known
    at = 0.5 + 0.4 / 8 + 0.001
    outer = ensemble_equivalent(Estimate(value=at, draws=at + random.normal(0, 0.01, 500), n=9), curve)
    assert outer.members is not None
    assert outer.high is None


def test_a_curve_without_one_member_or_draws_in_part_is_refused() -> None:
    with pytest.raises(UsageError, match="start at 1 member"):
        ensemble_equivalent(0.8, {2: 0.7})
    with pytest.raises(UsageError, match="as many draws"):
        ensemble_equivalent(Estimate(value=0.8, draws=np.ones(3), n=1), CURVE)

"""Predictions for published networks, each network foretold from the others."""

import numpy as np
import pytest

from explorer.analysis.curves.published_gain import GAINS, network_limits, predict_ensemble_accuracy
from explorer.errors import ConventionError, UsageError


def test_every_published_network_lies_in_the_interval_of_the_others() -> None:
    """Left out one network at a time, all its sizes with it: of 8 all should, or but one."""
    inside = []
    for network in {(row.network, row.dataset, row.source) for row in GAINS}:
        held = [row for row in GAINS if (row.network, row.dataset, row.source) == network]
        rest = tuple(row for row in GAINS if row not in held)
        for row in held[-1:]:
            found = predict_ensemble_accuracy(1 - row.error_one, row.members, gains=rest, outside=True)
            inside.append(found.low <= 1 - row.error_members <= found.high)
    assert len(inside) == 8
    assert sum(inside) >= 7


def test_limits_are_the_rows_own_where_there_is_one_size() -> None:
    row = next(row for row in GAINS if row.dataset == "cifar10")
    (limit,) = network_limits((row,))
    assert row.error_one * (limit + (1 - limit) / row.members) == pytest.approx(row.error_members)


def test_the_interval_holds_the_spread_between_sources() -> None:
    found = predict_ensemble_accuracy(0.80, 10)
    limits = network_limits(GAINS)
    low, high = (1 - 0.2 * (limit + (1 - limit) / 10) for limit in (limits.max(), limits.min()))
    assert found.low <= low < found.accuracy < high <= found.high
    assert found.predicted
    assert not found.extrapolated
    assert len(found.sources) == 2
    assert found.networks == 8


def test_more_members_gain_more_and_one_gains_nothing() -> None:
    accuracies = [predict_ensemble_accuracy(0.8, n).accuracy for n in (1, 2, 3, 10, 100)]
    assert accuracies[0] == pytest.approx(0.8)
    assert (np.diff(accuracies) > 0).all()
    one = predict_ensemble_accuracy(0.8, 1)
    assert one.low == pytest.approx(0.8)
    assert one.high == pytest.approx(0.8)


@pytest.mark.parametrize(("accuracy", "members"), [(0.5, 4), (0.99, 4), (0.8, 101)])
def test_outside_of_the_published_only_when_asked(accuracy: float, members: int) -> None:
    with pytest.raises(UsageError, match="ask for outside"):
        predict_ensemble_accuracy(accuracy, members)
    assert predict_ensemble_accuracy(accuracy, members, outside=True).extrapolated


def test_what_is_no_share_and_too_few_networks_are_refused() -> None:
    with pytest.raises(ConventionError, match="a share"):
        predict_ensemble_accuracy(80.0, 4)
    with pytest.raises(UsageError, match="3 published networks, got 4 and 1"):
        predict_ensemble_accuracy(0.8, 4, gains=GAINS[:3])
    with pytest.raises(UsageError, match="1 member or more"):
        predict_ensemble_accuracy(0.8, 0)


def test_every_row_has_a_source_and_gains() -> None:
    for row in GAINS:
        assert row.source
        assert 0 < row.error_members < row.error_one < 1
        assert row.members > 1

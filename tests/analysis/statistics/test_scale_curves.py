import itertools

import numpy as np
import pytest
from strategies import simulated_pool

from explorer.analysis.statistics.scale_curves import scale_curves
from explorer.spec import Averaging


def test_curves_against_all_subsets_by_plain_numpy() -> None:
    pool = simulated_pool(models=2, seeds=4, select=11, report=97)
    curves, notes = scale_curves(pool)
    assert [str(curve.model) for curve in curves] == ["net0@8", "net1@8"]
    assert notes == ()
    for number, curve in enumerate(curves):
        assert curve.sizes == (1, 2, 3, 4)
        for place, size in enumerate(curve.sizes):
            rows = range(4 * number, 4 * number + 4)
            accuracies = [
                np.mean(pool.report[list(s)].astype(float).mean(axis=0).argmax(axis=1) == pool.report_labels)
                for s in itertools.combinations(rows, size)
            ]
            assert curve.accuracies[place] == pytest.approx(np.mean(accuracies))
            assert (curve.lows[place], curve.highs[place]) == (min(accuracies), max(accuracies))
            assert curve.costs[place] == size * pool.costs[4 * number]


def test_models_with_one_seed_have_no_curve() -> None:
    assert scale_curves(simulated_pool(models=3, seeds=1, select=5, report=5)) == ((), ())


def test_a_curve_that_ends_early_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.analysis.statistics.scale_curves.MOST_SUBSETS", 5)
    pool = simulated_pool(models=1, seeds=5, select=5, report=31)
    (curve,), (note,) = scale_curves(pool, Averaging.VOTE)
    assert curve.sizes == (1,)
    assert "ends at 1 of 5 seeds" in note

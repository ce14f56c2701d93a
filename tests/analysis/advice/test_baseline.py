"""A front against an earlier one: luck is not a regression, a real loss is."""

from dataclasses import replace

import numpy as np
import pytest
from strategies import make_pool, simulated_pool

from explorer.analysis.advice.baseline import Baseline, Change, baseline_of, check_front
from explorer.analysis.pool import Pool
from explorer.analysis.result import Front
from explorer.analysis.search.exact import search
from explorer.analysis.search.plan import Space
from explorer.errors import ConventionError, UsageError
from explorer.spec import Member

SINGLES = Space(max_members=2, cascades=False)


def front_of(pool: Pool) -> Front:
    return search(pool, pool.axis, SINGLES)


def kept_of(pool: Pool) -> Baseline:
    return baseline_of(pool, front_of(pool))


def worsened(pool: Pool, share: float) -> Pool:
    """The same members, each wrong on a further share of both splits."""
    rng = np.random.default_rng(1)
    arrays = []
    for values, labels in ((pool.select, pool.select_labels), (pool.report, pool.report_labels)):
        changed = np.array(values)
        hit = np.flatnonzero(rng.random(len(labels)) < share)
        changed[:, hit] = 0
        changed[:, hit, (labels[hit] + 1) % changed.shape[2]] = 1
        arrays.append(changed)
    return replace(pool, select=arrays[0], report=arrays[1])


def test_the_same_front_is_the_same() -> None:
    pool = simulated_pool(models=3, seeds=3, select=400, report=600)
    found = check_front(pool, front_of(pool), kept_of(pool))
    assert found.passed
    assert {one.change for one in found.checked} == {Change.SAME}
    assert not any(one.retrained for one in found.checked)
    assert [one.now.design for one in found.checked if one.now] == [p.design for p in front_of(pool).points]


def test_a_real_loss_fails_and_its_inverse_is_better() -> None:
    pool = simulated_pool(models=3, seeds=3, select=400, report=2000)
    worse = worsened(pool, 0.1)
    fell = check_front(worse, front_of(worse), kept_of(pool))
    assert not fell.passed
    assert all(one.change is Change.WORSE and one.retrained for one in fell.checked)
    rose = check_front(pool, front_of(pool), kept_of(worse))
    assert rose.passed
    assert all(one.change is Change.BETTER for one in rose.checked)
    for one in fell.checked:
        assert one.now is not None
        assert one.difference is not None
        assert one.difference.value == pytest.approx(one.now.accuracy.value - one.before.accuracy)


def test_a_tolerance_above_the_loss_accepts_it() -> None:
    pool = simulated_pool(models=2, seeds=3, select=400, report=2000)
    worse = worsened(pool, 0.05)
    assert not check_front(worse, front_of(worse), kept_of(pool)).passed
    assert check_front(worse, front_of(worse), kept_of(pool), tolerance=0.08).passed


def test_other_seeds_of_the_same_networks_seldom_alarm() -> None:
    alarms = 0
    for seed in range(30):
        pool = simulated_pool(models=2, seeds=6, select=300, report=500, seed=seed)
        halves = [
            replace(
                pool,
                members=tuple(pool.members[row] for row in rows),
                select=np.asarray(pool.select)[rows],
                report=np.asarray(pool.report)[rows],
                cost_figures=tuple(pool.cost_figures[row] for row in rows),
            )
            for rows in ([0, 1, 2, 6, 7, 8], [3, 4, 5, 9, 10, 11])
        ]
        found = check_front(halves[1], front_of(halves[1]), kept_of(halves[0]))
        assert all(one.retrained for one in found.checked)
        assert found.seed_deviation is not None
        alarms += not found.passed
    assert alarms <= 4  # 30 draws at 5 %: five or more have a chance of 1.6 %


def test_dearer_members_are_a_regression_unless_accepted() -> None:
    pool = simulated_pool(models=2, seeds=2, select=200, report=200)
    kept = kept_of(pool)
    figures = tuple(
        replace(f, value=1.1 * f.value, low=1.1 * f.low, high=1.1 * f.high) for f in pool.cost_figures
    )
    dearer = replace(pool, cost_figures=figures)
    found = check_front(dearer, front_of(dearer), kept)
    assert found.checked[0].change is Change.DEARER
    assert found.checked[0].now is None
    assert not found.passed
    assert check_front(dearer, front_of(dearer), kept, cost_tolerance=0.11).passed


def test_without_right_answers_the_comparison_is_unpaired_and_said_to_be() -> None:
    pool = simulated_pool(models=2, seeds=2, select=300, report=800)
    kept = kept_of(pool)
    bare = replace(kept, points=tuple(replace(point, right=None) for point in kept.points))
    found = check_front(pool, front_of(pool), bare)
    assert found.passed
    assert "unpaired" in found.notes[0]
    worse = worsened(pool, 0.05)
    paired = check_front(worse, front_of(worse), kept).checked[0].difference
    unpaired = check_front(worse, front_of(worse), bare).checked[0].difference
    assert paired is not None
    assert unpaired is not None
    assert unpaired.value == pytest.approx(paired.value)
    assert unpaired.method.startswith("unpaired")


def test_one_seed_a_network_cannot_know_the_seeds_luck() -> None:
    rng = np.random.default_rng(0)
    values, labels = rng.dirichlet(np.ones(3), (2, 50)), rng.integers(0, 3, 50)
    members = [Member("a", 8, 0), Member("b", 8, 0)]
    before = make_pool(values, labels, values, labels, members=members)
    now = make_pool(values[::-1], labels, values[::-1], labels, members=members)
    found = check_front(now, front_of(now), kept_of(before))
    assert found.seed_deviation is None
    assert "no model of this pool has two seeds" in found.notes[0]


def test_refusals() -> None:
    pool = simulated_pool(models=2, seeds=2, select=50, report=50)
    kept, front = kept_of(pool), front_of(pool)
    for other in (replace(kept, dataset="other"), replace(kept, split_digest="1" * 64)):
        with pytest.raises(ConventionError, match="not comparable"):
            check_front(pool, front, other)
    with pytest.raises(UsageError, match="no design"):
        check_front(pool, front, replace(kept, points=()))
    with pytest.raises(UsageError, match="tolerance"):
        check_front(pool, front, kept, tolerance=1.5)

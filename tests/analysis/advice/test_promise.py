"""Promises on a pool: thresholds by brute force, what they are quoted at, and how often they hold."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from scipy import stats
from strategies import simulated_pool

from explorer.analysis.advice.promise import Promise, Terms, plain_threshold, promise
from explorer.analysis.advice.thresholds import calibration
from explorer.analysis.pool import Pool
from explorer.analysis.scoring.score import evaluate
from explorer.analysis.statistics.two_stages import TwoStages
from explorer.errors import UsageError
from explorer.spec import parse_design

POOL = simulated_pool(models=4, seeds=1, select=900, report=1200, seed=7)
CASCADE = parse_design("net0@8#0 -> [p>=0.5] net3@8#0")
BEST = evaluate(POOL, parse_design("net3@8#0"), POOL.axis).select_accuracy


def every(stages: TwoStages) -> list[tuple[float, float, float]]:
    """Threshold, accuracy, cost of every different cut, from nobody leaves to everybody."""
    found = []
    levels = sorted(set(stages.confidence.tolist()), reverse=True)
    for at in [inf, *levels[:-1], -inf]:
        leaves = stages.confidence >= at
        right = np.where(leaves, stages.first_right, stages.second_right)
        found.append((at, right.mean(), stages.costs[0] + stages.costs[1] * (1 - leaves.mean())))
    return found


def same_leavers(stages: TwoStages, one: float, other: float) -> bool:
    return np.array_equal(stages.confidence >= one, stages.confidence >= other)


def test_accuracy_promise_by_plain_binomial_tails() -> None:
    stages, target = calibration(POOL, CASCADE), BEST - 0.04
    expected = inf
    for at, accuracy, _ in every(stages):
        if stats.binom.sf(round(accuracy * stages.n) - 1, stages.n, target) > 0.05:
            break
        expected = at
    found = promise(POOL, CASCADE, Terms(target=target))

    assert found.guarantee.threshold is not None
    assert same_leavers(stages, found.guarantee.threshold, expected)
    assert found.kept is not None
    assert found.possible is None
    leave = found.kept.point.design.exits[0]
    assert same_leavers(stages, leave.threshold, expected)
    assert found.kept.point == evaluate(POOL, found.kept.point.design, POOL.axis)
    assert found.kept.point.select_accuracy == found.guarantee.accuracy
    assert found.kept.point.select_cost == pytest.approx(found.guarantee.cost)


@pytest.mark.parametrize(
    "terms",
    [
        Terms(target=BEST - 0.03),
        Terms(budget=9_000.0),
        Terms(target=BEST - 0.05, budget=20_000.0),
        Terms(near_full=0.02),
        Terms(near_full=0.0),
        Terms(target=0.999),
        Terms(budget=1.0),
        Terms(budget=1e9),
        Terms(target=1e-6),
    ],
)
def test_threshold_without_promise_by_brute_force(terms: Terms) -> None:
    stages = calibration(POOL, CASCADE)
    cuts = every(stages)
    fitting = [
        (cost, at)
        for at, accuracy, cost in cuts
        if (terms.target is None or accuracy >= terms.target)
        and (terms.budget is None or cost <= terms.budget)
        and (terms.near_full is None or accuracy >= cuts[0][1] - terms.near_full - 1e-12)
    ]
    found = plain_threshold(stages, terms)
    if not fitting:
        assert found is None
        return
    only_budget = terms.target is None and terms.near_full is None
    expected = max(fitting) if only_budget else min(fitting)
    assert found is not None
    assert same_leavers(stages, found, expected[1])


def test_extremes_answer_with_one_stage() -> None:
    nobody = promise(POOL, CASCADE, Terms(budget=1e9))
    everybody = promise(POOL, CASCADE, Terms(target=0.05))
    assert nobody.kept is not None
    assert everybody.kept is not None

    assert str(nobody.kept.point.design) == "net3@8#0"
    assert str(everybody.kept.point.design) == "net0@8#0"
    assert not nobody.second_is_cheaper
    assert everybody.kept.against_second.verdict == "worse"


def test_second_stage_that_pays_for_itself_is_said() -> None:
    # the first stage costs as much as the second, so a cascade is dearer unless most leave
    figures = tuple(replace(f, value=1000.0, low=1000.0, high=1000.0) for f in POOL.cost_figures)
    dear = replace(POOL, cost_figures=figures)
    found = promise(dear, CASCADE, Terms(target=BEST - 0.025))

    assert found.kept is not None
    assert found.kept.point.select_cost >= 1000.0
    assert found.second_is_cheaper


def test_what_cannot_be_promised_says_what_can() -> None:
    def refused(terms: Terms) -> Promise:
        found = promise(POOL, CASCADE, terms)
        assert found.kept is None
        assert found.possible is not None
        return found

    found = refused(Terms(target=BEST))
    limit = found.possible.target
    assert limit is not None
    assert BEST - 0.05 < limit < BEST
    assert promise(POOL, CASCADE, Terms(target=limit - 1e-6)).kept is not None
    assert refused(Terms(budget=900.0)).possible.budget == 1007.0
    both = Terms(target=BEST - 0.03, budget=1_500.0)
    found = refused(both)
    assert promise(POOL, CASCADE, replace(both, target=found.possible.target - 1e-6)).kept is not None
    assert promise(POOL, CASCADE, replace(both, budget=found.possible.budget + 1e-3)).kept is not None
    least = refused(Terms(near_full=1e-5)).possible.near_full
    assert promise(POOL, CASCADE, Terms(near_full=least)).kept is not None


def test_one_of_many_gets_its_share_of_delta() -> None:
    alone = promise(POOL, CASCADE, Terms(target=BEST - 0.05, delta=0.05 / 400))
    picked = promise(POOL, CASCADE, Terms(target=BEST - 0.05, picked_from=400))

    assert picked.guarantee == alone.guarantee
    assert picked.guarantee.left < promise(POOL, CASCADE, Terms(target=BEST - 0.05)).guarantee.left


def _redrawn(pool: Pool, random: np.random.Generator, n: int) -> Pool:
    rows = random.integers(0, len(pool.report_labels), n)
    return replace(pool, select=pool.report[:, rows], select_labels=pool.report_labels[rows])


def test_promise_holds_for_as_many_redrawn_sets_as_said() -> None:
    """The population is `report` itself, so that the truth is known exactly."""
    random, target = np.random.default_rng(0), 0.71
    truth = evaluate(POOL, parse_design("net3@8#0"), POOL.axis).accuracy.value
    assert truth > target + 0.02
    broken = plain_broken = answered = 0
    for _ in range(150):
        found = promise(_redrawn(POOL, random, 300), CASCADE, Terms(target=target, delta=0.1))
        if found.kept is None:
            continue
        answered += 1
        broken += found.kept.point.accuracy.value < target
        assert found.kept.plain is not None
        plain_broken += found.kept.plain.accuracy.value < target

    assert answered > 75
    assert broken / 150 <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 150)
    assert plain_broken / answered > 0.3


def test_terms_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="either an accuracy"):
        Terms(target=0.5, near_full=0.1)
    with pytest.raises(UsageError, match="either an accuracy"):
        Terms()
    with pytest.raises(UsageError, match="delta"):
        Terms(target=0.5, delta=0.0)
    with pytest.raises(UsageError, match="nearness"):
        Terms(near_full=1.0)
    with pytest.raises(UsageError, match="1 or more"):
        Terms(target=0.5, picked_from=0)

"""Risk and coverage against plain definitions, the promised risk in simulation, windows against others."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from explorer.analysis.statistics.selective import (
    ScoredStages,
    Window,
    aurc,
    evaluate_window,
    excess_aurc,
    fit_window,
    guaranteed_coverage,
    risk_coverage,
)
from explorer.errors import InputDataError, UsageError

SCORED = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        st.lists(st.sampled_from([0.1, 0.4, 0.6, 0.9]), min_size=n, max_size=n).map(np.array),
        st.lists(st.booleans(), min_size=n, max_size=n).map(np.array),
    )
)


@settings(deadline=None)
@given(SCORED)
def test_every_point_is_what_its_threshold_gives(case: tuple[np.ndarray, np.ndarray]) -> None:
    score, right = case
    curve = risk_coverage(score, right)
    assert curve.threshold.tolist() == sorted(set(score.tolist()), reverse=True)
    for coverage, risk, threshold in zip(curve.coverage, curve.risk, curve.threshold, strict=True):
        answered = score >= threshold
        assert coverage == pytest.approx(answered.mean())
        assert risk == pytest.approx((~right[answered]).mean())


@settings(deadline=None)
@given(SCORED, st.sampled_from([0.0, 0.25, 1 / 3, 1.0]))
def test_coverage_at_a_risk_is_the_best_threshold_by_brute_force(
    case: tuple[np.ndarray, np.ndarray], risk: float
) -> None:
    score, right = case
    curve = risk_coverage(score, right)
    fits = [t for t in set(score.tolist()) if (~right[score >= t]).mean() <= risk]
    assert curve.coverage_at(risk) == max(((score >= t).mean() for t in fits), default=0.0)
    assert curve.threshold_at(risk) == min(fits, default=None)


@settings(deadline=None, max_examples=40)
@given(SCORED.filter(lambda case: len(case[0]) <= 6))
def test_aurc_is_the_mean_over_all_orders_of_tied_examples(case: tuple[np.ndarray, np.ndarray]) -> None:
    score, right = case
    areas = []
    for order in itertools.permutations(range(len(score))):
        falling = score[list(order)]
        if (np.diff(falling) <= 0).all():
            wrong = np.cumsum(~right[list(order)])
            areas.append((wrong / np.arange(1, len(score) + 1)).mean())
    assert aurc(score, right) == pytest.approx(np.mean(areas))
    assert excess_aurc(score, right) >= -1e-12


def test_closed_forms() -> None:
    score, right = np.arange(10, 0, -1) / 10, np.arange(10) < 8
    curve = risk_coverage(score, right)
    assert curve.risk_at(0.8) == 0.0
    assert curve.risk_at(0.81) == pytest.approx(1 / 9)
    assert curve.risk_at(1.0) == pytest.approx(0.2)
    assert aurc(score, right) == pytest.approx((1 / 9 + 2 / 10) / 10)
    assert excess_aurc(score, right) == pytest.approx(0.0)
    assert aurc(np.ones(10), right) == pytest.approx(0.2)
    with pytest.raises(UsageError, match="coverage"):
        curve.risk_at(0.0)


def drawn(n: int, random: np.random.Generator, *, levels: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores u and answers right with chance 0.7 + 0.3 u, or with ties; not monotone at the very top."""
    score = random.random(n)
    if levels:
        score = np.ceil(score * levels) / levels
    chance = np.where(score > 0.98, 0.9, 0.7 + 0.3 * score)
    return score, random.random(n) < chance


def true_risk(threshold: float, levels: int) -> float:
    grid = (np.arange(20_000) + 0.5) / 20_000
    if levels:
        grid = np.ceil(grid * levels) / levels
    answered = grid[grid > threshold]
    return float((1 - np.where(answered > 0.98, 0.9, 0.7 + 0.3 * answered)).mean())


@pytest.mark.parametrize("levels", [0, 8])
def test_the_promised_risk_holds_as_often_as_promised_and_is_not_empty(levels: int) -> None:
    random, repeats, delta, broken, coverages = np.random.default_rng(levels), 2_000, 0.1, 0, []
    for _ in range(repeats):
        found = guaranteed_coverage(*drawn(1_500, random, levels=levels), 0.1, delta=delta)
        if found.threshold is not None:
            broken += true_risk(found.threshold, levels) > 0.1
            coverages.append(found.coverage)
    assert broken / repeats <= delta + 3 * np.sqrt(delta * (1 - delta) / repeats)
    # eight levels leave little room: answering the highest alone is already at the risk
    assert len(coverages) > (0.3 if levels else 0.5) * repeats
    assert np.mean(coverages) > 0.15


def published_sgr(score: np.ndarray, right: np.ndarray, risk: float, delta: float) -> float:
    """Algorithm 1 of Geifman and El-Yaniv: the coverage that its binary search ends at."""
    n, order = len(score), np.argsort(score, kind="stable")
    wrong, low, high = (~right)[order], 0, n - 1
    steps, found = int(np.ceil(np.log2(n))), 0.0
    for _ in range(steps + 1):
        middle = int(np.ceil((low + high) / 2))
        answered = n - middle
        if (
            stats.beta.ppf(1 - delta / steps, wrong[middle:].sum() + 1, answered - wrong[middle:].sum())
            > risk
        ):
            low = middle
        else:
            high, found = middle, answered / n
    return found


def test_coverage_is_about_that_of_the_published_search() -> None:
    random = np.random.default_rng(4)
    ours, theirs = [], []
    for _ in range(100):
        score, right = drawn(2_000, random)
        ours.append(guaranteed_coverage(score, right, 0.1).coverage)
        theirs.append(published_sgr(score, right, 0.1, 0.05))
    assert np.mean(ours) > np.mean(theirs) - 0.05


def test_an_empty_promise_says_what_it_would_need() -> None:
    found = guaranteed_coverage(np.arange(20.0), np.ones(20, bool), 0.05)
    assert found.threshold is None
    needed = found.examples_needed
    assert needed is not None
    assert stats.binom.cdf(0, needed, 0.05) <= 0.05 / 32 < stats.binom.cdf(0, needed - 1, 0.05)
    whole = guaranteed_coverage(np.arange(float(needed)), np.ones(needed, bool), 0.05)
    assert (whole.threshold, whole.coverage, whole.risk) == (-np.inf, 1.0, 0.0)
    alike = guaranteed_coverage(np.ones(needed), np.zeros(needed, bool), 0.05)
    assert alike.threshold is None


def stages(n: int, seed: int) -> ScoredStages:
    """Two networks' top probabilities on ten classes, the second one surer and more often right."""
    random = np.random.default_rng(seed)
    labels, hard = random.integers(0, 10, n), random.normal(0, 1, (n, 10))
    scores, right = [], []
    for skill in (3.0, 4.2):
        logits = hard + random.normal(0, 1, (n, 10))
        logits[np.arange(n), labels] += skill
        chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        scores.append(chance.max(axis=1))
        right.append(chance.argmax(axis=1) == labels)
    return ScoredStages(
        first_score=scores[0],
        second_score=scores[1],
        first_right=right[0],
        second_right=right[1],
        costs=(1.0, 4.0),
    )


def test_a_window_keeps_its_budget_and_most_of_the_full_models_coverage() -> None:
    select, report = stages(4_000, 1), stages(20_000, 2)
    window = fit_window(select, 0.05, 2.2)
    chosen, found = evaluate_window(window, select, 0.05), evaluate_window(window, report, 0.05)
    assert chosen.cost <= 2.2
    assert found.cost == pytest.approx(2.2, abs=0.1)
    assert found.first_coverage < found.coverage
    kept = (found.coverage - found.first_coverage) / (found.second_coverage - found.first_coverage)
    assert kept > 0.4  # by a third of the examples
    # sending on the lowest scores is for accuracy: around the operating threshold nothing is settled
    assert found.coverage > found.lowest_coverage + 0.05


def test_windows_at_the_ends_of_the_budget() -> None:
    drawn_stages = stages(500, 3)
    nobody = evaluate_window(fit_window(drawn_stages, 0.05, 1.0), drawn_stages, 0.05)
    assert (nobody.goes_on, nobody.cost) == (0.0, 1.0)
    assert nobody.coverage == nobody.first_coverage
    everybody = evaluate_window(fit_window(drawn_stages, 0.05, 5.0), drawn_stages, 0.05)
    assert (everybody.goes_on, everybody.cost) == (1.0, 5.0)
    assert everybody.coverage == everybody.second_coverage
    with pytest.raises(UsageError, match="budget"):
        fit_window(drawn_stages, 0.05, 0.5)


@settings(deadline=None)
@given(SCORED, st.sampled_from([1.0, 1.7, 3.0, 5.0]))
def test_ties_never_break_the_budget(case: tuple[np.ndarray, np.ndarray], budget: float) -> None:
    score, right = case
    tied = ScoredStages(
        first_score=score, second_score=score, first_right=right, second_right=right, costs=(1.0, 4.0)
    )
    assert evaluate_window(fit_window(tied, 0.2, budget), tied, 0.2).cost <= budget + 1e-12


def test_a_window_takes_its_lower_end_and_leaves_its_upper_one() -> None:
    goes_on = Window(low=0.2, high=0.6).goes_on(np.array([0.1, 0.2, 0.5, 0.6]))
    assert goes_on.tolist() == [False, True, True, False]


def test_bad_input_is_refused_in_one_line() -> None:
    with pytest.raises(InputDataError, match="at least 1"):
        risk_coverage(np.array([]), np.array([], bool))
    with pytest.raises(InputDataError, match="bool"):
        risk_coverage(np.ones(2), np.ones(2))
    with pytest.raises(InputDataError, match="finite"):
        aurc(np.array([np.inf]), np.ones(1, bool))
    with pytest.raises(UsageError, match="ranks"):
        guaranteed_coverage(np.ones(2), np.ones(2, bool), 0.1, ranks=0)

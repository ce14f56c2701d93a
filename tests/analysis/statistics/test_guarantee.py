"""Promises hold in simulation as often as they say, and are not empty; exact tests against brute force."""

from dataclasses import dataclass
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from explorer.analysis.statistics.guarantee import (
    Guarantee,
    TwoStages,
    accuracy_and_cost_threshold,
    accuracy_p_value,
    accuracy_threshold,
    cheapest_of,
    cost_threshold,
    fewest_right,
    holm,
    near_full_threshold,
    promisable_budget,
    promisable_epsilon,
    promisable_target,
    surely_near,
)
from explorer.errors import InputDataError, UsageError

REPEATS = 2_000
COSTS = (2.0, 7.0)


@dataclass(frozen=True)
class Population:
    """Confidence levels with their chances, and how often each stage is right there."""

    levels: np.ndarray
    first: np.ndarray
    second: np.ndarray

    def draw(self, n: int, random: np.random.Generator) -> TwoStages:
        place = random.integers(0, len(self.levels), n)
        # one random number for both stages: right answers go together, as real ones do
        luck = random.random(n)
        return TwoStages(
            confidence=self.levels[place],
            first_right=luck < self.first[place],
            second_right=np.where(random.random(n) < 0.7, luck, random.random(n)) < self.second[place],
            costs=COSTS,
        )

    def accuracy(self, threshold: float) -> float:
        return float(np.where(self.levels >= threshold, self.first, self.second).mean())

    def cost(self, threshold: float) -> float:
        return COSTS[0] + COSTS[1] * float((self.levels < threshold).mean())

    def best(self, target: float) -> float:
        """The lowest cost at which the promise is true, were the population known."""
        cuts = [inf, *self.levels]
        return min((self.cost(t) for t in cuts if self.accuracy(t) >= target), default=inf)


def population(kind: str) -> Population:
    if kind == "ties":
        levels = np.array([0.3, 0.5, 0.5, 0.8, 0.9, 0.9, 0.9, 1.0, 1.0, 1.0])
        return Population(levels, 0.35 + 0.63 * levels, np.full(10, 0.93))
    levels = (np.arange(4_000) + 0.5) / 4_000
    if kind == "monotone":
        return Population(levels, 1 - 0.45 * (1 - levels), 1 - 0.12 * (1 - levels))
    if kind == "flat":  # every threshold is equally good: the promise is at stake at each step
        return Population(levels, np.full(4_000, 0.9), np.full(4_000, 0.9))
    # overconfident: the most confident fifth is often wrong, and the rest makes up for it later
    return Population(levels, np.where(levels > 0.8, 0.86, 0.97) - 0.3 * (levels < 0.3), np.full(4_000, 0.93))


KINDS = ("monotone", "ties", "flat", "non-monotone")


def broken(kind: str, find, is_broken, *, n: int, repeats: int = REPEATS) -> tuple[float, float, list[float]]:
    """Share of repeats with a broken promise, share with an answer, and the true costs of the answers."""
    truth, random = population(kind), np.random.default_rng(sum(map(ord, kind)))
    bad, costs = 0, []
    for _ in range(repeats):
        found: Guarantee = find(truth.draw(n, random))
        if found.threshold is not None:
            costs.append(truth.cost(found.threshold))
            bad += is_broken(truth, found.threshold)
    return bad / repeats, len(costs) / repeats, costs


def allowed(delta: float, repeats: int = REPEATS) -> float:
    """Delta and three Monte Carlo standard errors."""
    return delta + 3 * np.sqrt(delta * (1 - delta) / repeats)


@pytest.mark.parametrize(
    ("kind", "target", "delta"), [*((k, 0.9, 0.1) for k in KINDS), ("ties", 0.905, 0.05)]
)
def test_accuracy_is_kept_as_often_as_promised(kind: str, target: float, delta: float) -> None:
    bad, answered, _ = broken(
        kind,
        lambda drawn: accuracy_threshold(drawn, target, delta=delta),
        lambda truth, threshold: truth.accuracy(threshold) < target,
        n=400,
    )
    assert bad <= allowed(delta)
    if kind == "monotone":
        assert answered > 0.5


def test_accuracy_promise_is_not_empty_and_nearly_as_cheap_as_the_truth_allows() -> None:
    target = 0.88
    _, answered, costs = broken(
        "monotone",
        lambda drawn: accuracy_threshold(drawn, target),
        lambda truth, threshold: False,
        n=5_000,
        repeats=100,
    )
    best = population("monotone").best(target)
    assert answered == 1.0
    assert best <= np.mean(costs) < best + 0.15 * (sum(COSTS) - best)


def test_the_test_is_exact_where_the_promise_is_just_broken() -> None:
    """At the worst case the rate of mistakes is not far under delta: no slack is left in the p-value."""
    bad, _, _ = broken(
        "flat",
        lambda drawn: accuracy_threshold(drawn, 0.9 + 1e-9, delta=0.1),
        lambda truth, threshold: True,
        n=400,
    )
    size = stats.binom.sf(fewest_right(400, 0.9, 0.1) - 1, 400, 0.9)
    assert bad == pytest.approx(size, abs=3 * np.sqrt(0.1 * 0.9 / REPEATS))


@pytest.mark.parametrize("kind", ["monotone", "ties"])
def test_cost_is_kept_as_often_as_promised_and_spent(kind: str) -> None:
    bad, answered, costs = broken(
        kind,
        lambda drawn: cost_threshold(drawn, 5.5, delta=0.1),
        lambda truth, threshold: truth.cost(threshold) > 5.5,
        n=300,
    )
    assert bad <= allowed(0.1)
    assert answered == 1.0
    if kind == "monotone":
        assert bad >= 0.06
        assert 5.2 < np.mean(costs) < 5.5


@pytest.mark.parametrize("kind", ["flat", "ties"])
def test_both_promises_hold_together(kind: str) -> None:
    bad, answered, _ = broken(
        kind,
        lambda drawn: accuracy_and_cost_threshold(drawn, 0.88, 7.5, delta=0.1),
        lambda truth, threshold: truth.accuracy(threshold) < 0.88 or truth.cost(threshold) > 7.5,
        n=400,
    )
    assert bad <= allowed(0.1)
    assert answered > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_nearness_to_the_full_model_is_kept_as_often_as_promised(kind: str) -> None:
    bad, answered, _ = broken(
        kind,
        lambda drawn: near_full_threshold(drawn, 0.03, delta=0.1),
        lambda truth, threshold: truth.accuracy(threshold) < truth.accuracy(inf) - 0.03,
        n=300,
    )
    assert bad <= allowed(0.1)
    if kind == "monotone":
        assert answered > 0.5


@pytest.mark.parametrize(
    ("lose", "win"), [(0.02, 0.0), (0.03, 0.01), (0.07, 0.05), (0.22, 0.2), (0.51, 0.49)]
)
def test_the_paired_test_is_wrong_at_most_as_often_as_it_says(lose: float, win: float) -> None:
    """Exact: the sum over all outcomes at the edge of the hypothesis."""
    n, epsilon, delta = 60, lose - win, 0.1
    rejected = 0.0
    for won in range(n + 1):
        for lost in range(n - won + 1):
            if surely_near(lost, won, n, epsilon, delta):
                rejected += stats.multinomial.pmf([lost, won, n - lost - won], n, [lose, win, 1 - lose - win])
            else:
                break
    assert rejected <= delta


def test_the_paired_test_beats_simpler_bounds_where_both_stages_win() -> None:
    """Most losses of 5,000, with 100 wins, within 0.5 %; beside Clopper-Pearson at delta / 2 each."""
    n, won, epsilon, delta = 5_000, 100, 0.005, 0.05

    def union(lost: int) -> bool:
        high = stats.beta.ppf(1 - delta / 2, lost + 1, n - lost)
        return high - stats.beta.ppf(delta / 2, won, n - won + 1) <= epsilon

    ours = max(lost for lost in range(150) if surely_near(lost, won, n, epsilon, delta))
    theirs = max(lost for lost in range(150) if union(lost))
    assert theirs + 5 <= ours < won + n * epsilon


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 80).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(0, n))))
def test_fewer_losses_never_undo_nearness(case: tuple[int, int, int]) -> None:
    n, lost, won = case
    if lost + won <= n and lost > 0 and surely_near(lost, won, n, 0.1, 0.2):
        assert surely_near(lost - 1, won, n, 0.1, 0.2)


def brute_force(cascade: TwoStages, target: float, delta: float) -> float | None:
    """Walk thresholds from above, one p-value at a time; the share that leaves, or None."""
    safe = None
    for threshold in [inf, *np.unique(cascade.confidence)[::-1]]:
        leaves = cascade.confidence >= threshold
        right = int(np.where(leaves, cascade.first_right, cascade.second_right).sum())
        if stats.binom.sf(right - 1, cascade.n, target) > delta:
            break
        safe = float(leaves.mean())
    return safe


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_thresholds_are_those_of_the_plain_walk(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 30))
    flags = st.lists(st.booleans(), min_size=n, max_size=n)
    confidence = data.draw(st.lists(st.sampled_from([0.1, 0.5, 0.7, 0.9, 1.0]), min_size=n, max_size=n))
    cascade = TwoStages(
        confidence=np.array(confidence),
        first_right=np.array(data.draw(flags)),
        second_right=np.array(data.draw(flags)),
        costs=COSTS,
    )
    target, delta = data.draw(st.sampled_from([0.2, 0.5, 0.8])), data.draw(st.sampled_from([0.05, 0.3]))
    found = accuracy_threshold(cascade, target, delta=delta)
    wanted = brute_force(cascade, target, delta)
    if wanted is None:
        assert found.threshold is None
        assert found.reason
        return
    leaves = cascade.confidence >= found.threshold
    assert found.left == wanted == leaves.mean()
    assert found.cost == pytest.approx(COSTS[0] + COSTS[1] * (1 - wanted))
    assert found.accuracy == np.where(leaves, cascade.first_right, cascade.second_right).mean()


def made(second: int, n: int, first: int | None = None) -> TwoStages:
    place = np.arange(n)
    return TwoStages(
        confidence=(place[::-1] + 1) / n,
        first_right=place < (second if first is None else first),
        second_right=place < second,
        costs=COSTS,
    )


def test_a_refusal_says_how_many_examples_would_do() -> None:
    found = accuracy_threshold(made(46, 50), 0.9)
    assert found.threshold is None
    assert "46 of 50" in found.reason
    needed = found.examples_needed
    assert needed is not None
    assert accuracy_p_value(46 * needed // 50, needed, 0.9) <= 0.05
    assert accuracy_threshold(made(46 * needed // 50, needed), 0.9).threshold == -inf
    assert accuracy_threshold(made(45, 50), 0.9).examples_needed is None


def test_nearness_refused_for_few_examples_says_how_many() -> None:
    found = near_full_threshold(made(20, 20), 0.01)
    assert found.threshold is None
    assert found.examples_needed is not None
    assert near_full_threshold(made(found.examples_needed, found.examples_needed), 0.01).threshold == -inf
    # no number of examples shows that nothing at all is lost where stages never differ
    assert near_full_threshold(made(20, 20), 0.0).examples_needed is None


def test_budgets_at_the_ends() -> None:
    cascade = made(90, 100)
    assert cost_threshold(cascade, 9.0).threshold == inf
    assert cost_threshold(cascade, 2.0).threshold == -inf
    assert cost_threshold(cascade, 1.9).threshold is None
    both = accuracy_and_cost_threshold(made(99, 100, first=10), 0.9, 3.0)
    assert both.threshold is None
    assert "sure only up to" in both.reason


def test_one_example_and_one_confidence() -> None:
    assert accuracy_threshold(made(1, 1), 0.5).threshold is None
    alike = TwoStages(
        confidence=np.full(200, 0.5),
        first_right=np.zeros(200, bool),
        second_right=np.ones(200, bool),
        costs=COSTS,
    )
    assert accuracy_threshold(alike, 0.9).threshold == inf
    assert near_full_threshold(alike, 0.1).threshold is None


def test_holm_rejects_what_the_definition_rejects() -> None:
    assert holm(np.array([0.04, 0.001, 0.02, 0.3]), 0.05).tolist() == [False, True, False, False]
    assert holm(np.array([0.01, 0.011, 0.02, 0.05]), 0.05).tolist() == [True, True, True, True]
    assert holm(np.array([])).tolist() == []


def test_the_cheapest_of_a_shortlist_keeps_its_promise() -> None:
    random, target, bad, answered, repeats = np.random.default_rng(5), 0.9, 0, 0, 500
    truths = [population(kind) for kind in KINDS]
    for _ in range(repeats):
        chosen, found = cheapest_of([truth.draw(300, random) for truth in truths], target, delta=0.1)
        if chosen is not None:
            answered += 1
            assert found[chosen].delta == 0.025
            bad += truths[chosen].accuracy(found[chosen].threshold) < target
    assert bad / repeats <= allowed(0.1, repeats)
    assert answered / repeats > 0.5


def test_bad_input_is_refused_in_one_line() -> None:
    with pytest.raises(UsageError, match="target must be strictly between 0 and 1, got 1"):
        accuracy_threshold(made(5, 9), 1.0)
    with pytest.raises(UsageError, match="epsilon"):
        near_full_threshold(made(5, 9), -0.1)
    with pytest.raises(UsageError, match="below delta"):
        accuracy_and_cost_threshold(made(5, 9), 0.5, 3.0, delta=0.1, cost_delta=0.2)
    with pytest.raises(UsageError, match="empty shortlist"):
        cheapest_of([], 0.9)
    with pytest.raises(InputDataError, match="bool"):
        TwoStages(confidence=np.ones(2), first_right=np.ones(2), second_right=np.ones(2, bool), costs=COSTS)
    with pytest.raises(InputDataError, match="one length"):
        TwoStages(
            confidence=np.ones(2), first_right=np.ones(3, bool), second_right=np.ones(2, bool), costs=COSTS
        )
    with pytest.raises(InputDataError, match="finite"):
        TwoStages(
            confidence=np.array([np.nan]),
            first_right=np.ones(1, bool),
            second_right=np.ones(1, bool),
            costs=COSTS,
        )


# ---- what could be promised ---------------------------------------------------------------------


def some_draws() -> list[TwoStages]:
    random = np.random.default_rng(11)
    return [population(kind).draw(n, random) for kind in KINDS for n in (40, 700)]


@pytest.mark.parametrize("delta", [0.05, 0.001])
def test_promisable_target_is_the_limit_of_what_is_promised(delta: float) -> None:
    for cascade in some_draws():
        limit = promisable_target(cascade, delta=delta)

        assert accuracy_threshold(cascade, limit - 1e-9, delta=delta).threshold is not None
        assert accuracy_threshold(cascade, limit + 1e-9, delta=delta).threshold is None


def test_promisable_pair_is_the_limit_of_both_promises() -> None:
    for cascade in some_draws():
        budget = COSTS[0] + 0.6 * COSTS[1]
        affordable = cost_threshold(cascade, budget, delta=0.025)
        limit = promisable_target(cascade, left=affordable.left, delta=0.025)
        if limit > 1e-6:
            assert accuracy_and_cost_threshold(cascade, limit - 1e-9, budget).threshold is not None
        assert accuracy_and_cost_threshold(cascade, limit + 1e-9, budget).threshold is None

        target = limit / 2 + 0.45
        accurate = accuracy_threshold(cascade, target, delta=0.025)
        if accurate.threshold is None:
            continue
        least = promisable_budget(cascade, accurate.left, delta=0.025)
        assert accuracy_and_cost_threshold(cascade, target, least + 1e-9).threshold is not None
        if accurate.left < 1:
            assert accuracy_and_cost_threshold(cascade, target, least - 1e-6).threshold is None


def test_promisable_epsilon_is_the_limit_of_nearness() -> None:
    for cascade in some_draws():
        least = promisable_epsilon(cascade)

        assert near_full_threshold(cascade, least).threshold is not None
        assert near_full_threshold(cascade, least - 1e-6).threshold is None


def test_nothing_right_promises_nothing() -> None:
    wrong = np.zeros(9, bool)
    cascade = TwoStages(confidence=np.arange(9.0), first_right=wrong, second_right=wrong, costs=COSTS)

    assert promisable_target(cascade) == 0.0
    assert promisable_budget(cascade, 1.0) == COSTS[0]
    assert promisable_budget(cascade, 0.0) == sum(COSTS)
    with pytest.raises(UsageError, match="delta"):
        promisable_target(cascade, delta=1.0)

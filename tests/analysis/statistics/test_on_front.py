"""Shares of draws, against draws made and judged one at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from explorer.analysis.statistics.on_front import (
    FrontShares,
    on_front_over_seeds,
    on_front_probability,
    shares_of_draws,
)
from explorer.analysis.statistics.seeds import Resampling, SeedValues, seed_sets
from explorer.errors import InputDataError, UsageError

UNTIMED = settings(deadline=None, max_examples=60)  # the first example waits for the compiler


def plainly(accuracies: np.ndarray, costs: np.ndarray, budgets: list[float]) -> dict[str, np.ndarray]:
    """Judge each draw by the definitions; accuracies and costs ``[draw, design]``."""
    draws, designs = accuracies.shape
    on_front = np.zeros(designs)
    best, affordable, regret = np.zeros((3, len(budgets), designs))
    for a, c in zip(accuracies, costs, strict=True):
        for i in range(designs):
            beaten = (c <= c[i]) & (a >= a[i]) & ((c < c[i]) | (a > a[i]))
            on_front[i] += not beaten.any()
        for b, budget in enumerate(budgets):
            can = c <= budget
            if can.any():
                top = a[can].max()
                best[b] += can * (a == top) / (can & (a == top)).sum()
                affordable[b] += can
                regret[b] += can * (top - a)
    with np.errstate(invalid="ignore"):
        regret = regret / affordable
    return {
        "on_front": on_front / draws,
        "best": best / draws,
        "affordable": affordable / draws,
        "regret": regret,
    }


def assert_equal(found: FrontShares, wanted: dict[str, np.ndarray]) -> None:
    for name, value in wanted.items():
        np.testing.assert_allclose(getattr(found, name), value, rtol=1e-12, atol=1e-12, err_msg=name)


def redrawn(examples: int, draws: int) -> np.ndarray:
    """The examples of each draw, int ``[draw, example]``, as `Resampling` draws them."""
    random = np.random.default_rng(20005)
    return np.stack([random.integers(0, examples, examples) for _ in range(draws)])


@UNTIMED
@given(st.data(), st.integers(1, 6), st.integers(1, 9), st.booleans())
def test_shares_are_those_of_plain_draws(
    data: st.DataObject, designs: int, examples: int, varying: bool
) -> None:
    right = data.draw(hnp.arrays(np.uint8, (designs, examples), elements=st.integers(0, 1)))
    shape = (designs, examples) if varying else (designs,)
    costs = data.draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([1.0, 2.0, 4.0])))
    budgets = [0.5, 2.0, 3.0]
    found = on_front_probability(right, costs, budgets=budgets, draws=17)
    picks = redrawn(examples, 17)
    accuracies = right[:, picks].sum(axis=2).T / examples
    drawn = costs[:, picks].sum(axis=2).T / examples if varying else np.tile(costs, (17, 1))
    assert_equal(found, plainly(accuracies, drawn, budgets))
    assert (found.draws, found.n, found.budgets) == (17, examples, (0.5, 2.0, 3.0))


@UNTIMED
@given(st.data(), st.integers(1, 5), st.integers(1, 6))
def test_shares_of_given_draws_are_plain(data: st.DataObject, draws: int, designs: int) -> None:
    levels = st.sampled_from([0.0, 0.25, 0.5, 1.0])
    accuracies = data.draw(hnp.arrays(np.float64, (draws, designs), elements=levels))
    costs = data.draw(hnp.arrays(np.float64, (draws, designs), elements=levels))
    assert_equal(shares_of_draws(accuracies, costs, budgets=[0.25]), plainly(accuracies, costs, [0.25]))


def test_draws_and_designs_in_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    right = (random.random((23, 101)) < 0.7).astype(np.uint8)
    costs = random.choice([1.0, 2.0, 3.5], (23, 101))
    for price in (costs, costs[:, 0]):
        whole = on_front_probability(right, price, budgets=[2.0], draws=61)
        monkeypatch.setattr("explorer.analysis.statistics.on_front._NUMBERS_A_BLOCK", 707)
        assert_equal(
            on_front_probability(right, price, budgets=[2.0], draws=61),
            {name: getattr(whole, name) for name in ("on_front", "best", "affordable", "regret")},
        )
        monkeypatch.undo()


def test_identical_designs_stand_alike_and_share_being_best() -> None:
    random = np.random.default_rng(2)
    row = (random.random(60) < 0.5).astype(np.uint8)
    costs = np.where(random.random(60) < 0.5, 0.1, 0.7)
    found = on_front_probability(np.tile(row, (5, 1)), np.tile(costs, (5, 1)), budgets=[9.0], draws=40)
    assert (found.on_front == 1).all()
    np.testing.assert_allclose(found.best, np.full((1, 5), 0.2))
    assert (found.regret == 0).all()


def test_a_constant_cost_is_within_a_budget_of_the_same_number() -> None:
    right = np.ones((2, 97), np.uint8)
    costs = np.stack([np.full(97, 0.1), np.linspace(0.1, 0.3, 97)])
    found = on_front_probability(right, costs, budgets=[0.1], draws=30)
    assert found.affordable.tolist() == [[1.0, 0.0]]
    assert np.isnan(found.regret[0, 1])


def test_one_example_leaves_no_doubt() -> None:
    found = on_front_probability(np.array([[1], [0], [1]], np.uint8), np.array([2.0, 1.0, 3.0]), draws=5)
    assert found.on_front.tolist() == [1.0, 1.0, 0.0]


def test_a_coin_between_two_designs_agrees_with_the_binomial_law() -> None:
    # 30 examples only the cheap design answers, 20 only the dear one: to be on the front it needs more
    right = np.zeros((2, 50), np.uint8)
    right[0, :30], right[1, 30:] = 1, 1
    wanted = stats.binom.cdf(24, 50, 0.6)
    draws = 20_000
    found = on_front_probability(right, np.array([1.0, 2.0]), draws=draws, seed=4)
    assert found.on_front[0] == 1.0
    assert abs(found.on_front[1] - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / draws)


def test_seeds_widen_what_examples_alone_say() -> None:
    random = np.random.default_rng(5)
    seeds, examples = 5, 4_000
    # the small model's seeds are far apart, so a single one may beat the steady, slightly better one
    skill = np.array([0.70, 0.75, 0.80, 0.85, 0.90])
    shaky = (random.random((seeds, examples)) < skill[:, None]).astype(np.float32)
    steady = (random.random((seeds, examples)) < 0.83).astype(np.float32)
    singles = seed_sets(seeds, 1)
    designs = [
        (SeedValues(key="shaky", seeds=seeds, sets=singles, values=shaky), 1),
        (SeedValues(key="steady", seeds=seeds, sets=singles, values=steady), 1),
    ]
    fixed = Resampling(examples, draws=400, over_seeds=False)
    over = Resampling(examples, draws=400)
    sure = on_front_over_seeds(designs, [1.0, 2.0], fixed, budgets=[2.0])
    unsure = on_front_over_seeds(designs, [1.0, 2.0], over, budgets=[2.0])
    assert sure.on_front.tolist() == [1.0, 1.0]
    assert 0.5 < unsure.on_front[1] < 0.97
    assert unsure.best[0, 1] == pytest.approx(unsure.on_front[1])
    assert unsure.n == examples
    accuracies = np.stack([over.estimate(found, size).draws for found, size in designs], axis=1)
    assert_equal(unsure, plainly(accuracies, np.tile([1.0, 2.0], (400, 1)), [2.0]))


def test_what_does_not_fit_is_refused() -> None:
    right, costs = np.ones((2, 3), np.uint8), np.ones(2)
    with pytest.raises(InputDataError, match="bool or uint8"):
        on_front_probability(right.astype(np.float64), costs)
    with pytest.raises(InputDataError, match="0 or 1, got 2"):
        on_front_probability(right * 2, costs)
    with pytest.raises(InputDataError, match=r"\[design\] or \[design, example\]"):
        on_front_probability(right, np.ones(3))
    with pytest.raises(InputDataError, match="1 costs are not finite"):
        on_front_probability(right, np.array([1.0, np.nan]))
    with pytest.raises(UsageError, match="needs draws"):
        on_front_probability(right, costs, draws=0)
    with pytest.raises(InputDataError, match="got none"):
        on_front_over_seeds([], [], Resampling(3, draws=2))
    with pytest.raises(InputDataError, match=r"\[draw, design\]"):
        shares_of_draws(np.ones((3, 2)), np.ones(3))
    with pytest.raises(InputDataError, match="finite"):
        shares_of_draws(np.full((3, 2), np.inf), np.ones(2))

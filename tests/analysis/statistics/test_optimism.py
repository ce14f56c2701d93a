"""Honest choice in simulation, where the truth is known, and against the procedure written out."""

import numpy as np
import pytest
from scipy import integrate, stats

from explorer.analysis.statistics import optimism
from explorer.analysis.statistics.optimism import cross_fitted, expected_optimism
from explorer.errors import InputDataError, UsageError


def null_answers(designs: int, examples: int, seed: int, *, accuracy: float = 0.8) -> np.ndarray:
    """Designs that are all equally good and err independently: whatever wins, wins by luck."""
    return (np.random.default_rng(seed).random((designs, examples)) < accuracy).astype(np.uint8)


def largest_of_normals(count: int) -> float:
    """The expected largest of ``count`` standard normal numbers."""

    def density(x: float) -> float:
        return float(x * count * stats.norm.pdf(x) * stats.norm.cdf(x) ** (count - 1))

    return float(integrate.quad(density, -8, 8)[0])


def test_held_out_is_unbiased_where_all_designs_are_equal() -> None:
    found = [cross_fitted(null_answers(30, 150, seed), np.ones(30), [1.0], draws=2)[0] for seed in range(150)]
    held_out = np.array([it.held_out.value for it in found])
    gaps = np.array([it.optimism.value for it in found])
    assert abs(held_out.mean() - 0.8) < 4 * held_out.std(ddof=1) / np.sqrt(len(found))
    # the best of 30 on 150 examples, in theory
    wanted = largest_of_normals(30) * np.sqrt(0.8 * 0.2 / 150)
    assert gaps.mean() == pytest.approx(wanted, abs=4 * gaps.std(ddof=1) / np.sqrt(len(found)) + 0.1 * wanted)


def test_intervals_hold_the_truth_where_all_designs_are_equal() -> None:
    found = [
        cross_fitted(null_answers(20, 120, seed), np.ones(20), [1.0], repeats=10, draws=60)[0]
        for seed in range(80)
    ]
    gap = largest_of_normals(20) * np.sqrt(0.8 * 0.2 / 120)
    held = np.mean([it.held_out.low <= 0.8 <= it.held_out.high for it in found])
    holds = np.mean([it.optimism.low <= gap <= it.optimism.high for it in found])
    # an interval of a share of 120 examples would hold it in about 0.75 of cases
    assert held > 0.88
    assert holds > 0.88


def test_optimism_grows_with_search_as_the_largest_of_normals_does() -> None:
    sizes = [1, 2, 8, 40]
    curves = [
        expected_optimism(null_answers(40, 400, seed), sizes, subsets=20, seed=seed).optimism
        for seed in range(60)
    ]
    found = np.mean(curves, axis=0)
    error = np.std(curves, axis=0, ddof=1) / np.sqrt(len(curves))
    wanted = np.array([largest_of_normals(size) for size in sizes]) * np.sqrt(0.8 * 0.2 / 400)
    assert found[0] == 0
    assert (np.diff(found) > 0).all()
    assert (np.abs(found - wanted)[1:] < (4 * error + 0.08 * wanted)[1:]).all()


def test_no_optimism_without_a_choice_and_with_a_clear_winner() -> None:
    right = null_answers(6, 300, 3, accuracy=0.5)
    right[4] = np.arange(300) % 10 > 0
    clear = cross_fitted(right, np.ones(6), [1.0])[0]
    assert clear.chosen == 4
    assert clear.shares.tolist() == [0, 0, 0, 0, 1, 0]
    assert clear.optimism.value == pytest.approx(0.0, abs=1e-12)
    assert clear.chosen_on == 0.9
    assert clear.held_out.value == pytest.approx(0.9)
    # nothing to choose: the standard error is that of a share of n examples
    alone = cross_fitted(right[:1], np.ones(1), [1.0], draws=1_000)[0]
    share = right[0].mean()
    half = 1.96 * np.sqrt(share * (1 - share) / 300)
    assert alone.held_out.high - alone.held_out.value == pytest.approx(half, rel=0.1)
    assert alone.optimism.value == pytest.approx(0.0, abs=1e-12)
    assert alone.optimism.low < 0 < alone.optimism.high


def test_procedure_against_itself_written_out() -> None:
    random = np.random.default_rng(7)
    designs, examples, folds = 9, 41, 5
    right = (random.random((designs, examples)) < 0.7).astype(np.uint8)
    costs = random.choice([1.0, 2.0, 5.0], (designs, examples))
    for price in (costs, costs[:, 0]):
        for budget in (2.8, np.inf):
            found = cross_fitted(right, price, [budget], folds=folds, repeats=3, draws=2, seed=11)[0]
            again = np.random.default_rng(11)
            spread = np.broadcast_to(price.reshape(designs, -1), (designs, examples))

            def choose(of: np.ndarray, spread: np.ndarray = spread, budget: float = budget) -> int:
                allowed = [d for d in range(designs) if spread[d, of].mean() <= budget]
                return min(allowed, key=lambda d: (-int(right[d, of].sum()), spread[d, of].mean(), d))

            hits, paid, picked = 0, 0.0, np.zeros(designs)
            for _ in range(3):
                fold = again.permutation(np.arange(examples) % folds)
                for k in range(folds):
                    best = choose(fold != k)
                    picked[best] += 1
                    hits += int(right[best, fold == k].sum())
                    paid += float(spread[best, fold == k].sum())
            everything = choose(np.ones(examples, bool))
            assert found.chosen == everything
            assert found.chosen_on == right[everything].mean()
            assert found.held_out.value == pytest.approx(hits / (3 * examples))
            assert found.held_out_cost == pytest.approx(paid / (3 * examples))
            assert found.shares.tolist() == (picked / 15).tolist()


def test_several_budgets_are_answered_as_each_alone() -> None:
    right, costs = null_answers(12, 90, 1), np.linspace(1, 3, 12)
    both = cross_fitted(right, costs, [1.5, 3.0], draws=20)
    for found, budget in zip(both, (1.5, 3.0), strict=True):
        alone = cross_fitted(right, costs, [budget], draws=20)[0]
        assert (found.held_out, found.optimism, found.chosen) == (
            alone.held_out,
            alone.optimism,
            alone.chosen,
        )
        assert costs[found.chosen] <= budget
        assert found.held_out_cost <= budget


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    right, costs = null_answers(12, 90, 1), np.linspace(1, 3, 12)
    whole = cross_fitted(right, costs, [2.0], draws=20)[0], expected_optimism(right, [2, 5], subsets=9)
    monkeypatch.setattr(optimism, "_NUMBERS_A_BLOCK", 2_000)
    parts = cross_fitted(right, costs, [2.0], draws=20)[0], expected_optimism(right, [2, 5], subsets=9)
    assert parts[0].held_out == whole[0].held_out
    assert parts[0].optimism == whole[0].optimism
    assert parts[1].optimism.tolist() == whole[1].optimism.tolist()


def test_equal_designs_go_to_the_cheapest_then_the_first() -> None:
    right = np.tile(null_answers(1, 50, 0), (4, 1))
    found = cross_fitted(right, np.array([3.0, 2.0, 2.0, 9.0]), [5.0], draws=5)[0]
    assert (found.chosen, found.shares.tolist()) == (1, [0, 1, 0, 0])


def test_all_right_still_has_an_interval() -> None:
    found = cross_fitted(np.ones((3, 40), np.uint8), np.ones(3), [1.0], draws=5)[0]
    assert (found.held_out.value, found.held_out.high, found.held_out.method) == (1.0, 1.0, "wilson")
    assert 0.85 < found.held_out.low < 1
    assert found.optimism.low < 0 < found.optimism.high


def test_what_cannot_be_is_refused() -> None:
    right, costs = null_answers(3, 20, 0), np.array([2.0, 3.0, 4.0])
    with pytest.raises(UsageError, match="no design costs at most 1; the cheapest one costs up to 2"):
        cross_fitted(right, costs, [1.0])
    with pytest.raises(UsageError, match="between 2 and 20 folds, got 21"):
        cross_fitted(right, costs, [5.0], folds=21)
    with pytest.raises(UsageError, match="needs repeats"):
        cross_fitted(right, costs, [])
    with pytest.raises(UsageError, match="between 1 and the 3 designs"):
        expected_optimism(right, [4])
    with pytest.raises(UsageError, match="needs 2 of them, got 1"):
        expected_optimism(right, [1], subsets=1)
    with pytest.raises(InputDataError, match="bool or uint8"):
        cross_fitted(right.astype(float), costs, [5.0])

"""What the statistics say of themselves, in simulation; the full table is `benchmarks.calibration`."""

from collections import Counter

import numpy as np
import pytest
from scipy import stats
from strategies import make_pool

from explorer.analysis.bootstrap import paired_interval, share_interval, tells
from explorer.analysis.result import Verdict
from explorer.analysis.statistics.compare import compare
from explorer.analysis.statistics.seeds import Resampling, SeedValues, seed_sets
from explorer.spec import Member, Single

REPEATS = 2_000
ROUNDING = 1e-9


def pairs(n: int, up: float, down: float, seed: int = 0) -> Counter[tuple[int, int]]:
    """How often each number of examples that one design alone answers right was drawn."""
    drawn = np.random.default_rng(seed).multinomial(n, [up, down, 1 - up - down], REPEATS)
    return Counter((int(first), int(second)) for first, second, _ in drawn)


@pytest.mark.parametrize("n", [500, 2_000])
@pytest.mark.parametrize("accuracy", [0.5, 0.8, 0.95])
def test_shares_are_covered_as_often_as_said(n: int, accuracy: float) -> None:
    """Exact: the sum over all counts of their chance."""
    counts = np.arange(n + 1)
    chances = stats.binom.pmf(counts, n, accuracy)
    covered = 0.0
    for count in counts[chances > 1e-9].tolist():
        found = share_interval(count, n)
        covered += chances[count] * (found.low - ROUNDING <= accuracy <= found.high + ROUNDING)
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize(("n", "up", "down"), [(500, 0.15, 0.15), (500, 0.2, 0.1), (1_000, 0.03, 0.02)])
def test_differences_are_covered_as_often_as_said_or_oftener(n: int, up: float, down: float) -> None:
    covered = 0
    for (first, second), times in pairs(n, up, down).items():
        found = paired_interval(first, second, n)
        covered += times * (found.low - ROUNDING <= up - down <= found.high + ROUNDING)
    # widened to the sign test: never short, at most conservative
    assert 0.935 <= covered / REPEATS <= 0.995


@pytest.mark.parametrize("n", [50, 500])
@pytest.mark.parametrize("discordance", [0.02, 0.1, 0.4])
def test_designs_of_equal_accuracy_cannot_be_told_apart(n: int, discordance: float) -> None:
    quiet = sum(
        times
        for (first, second), times in pairs(n, discordance / 2, discordance / 2).items()
        if not tells(paired_interval(first, second, n))
    )
    assert quiet / REPEATS >= 0.94


def test_compare_cannot_tell_two_networks_of_equal_skill() -> None:
    """Through the pool: two members whose answers are draws of one kind."""
    random, repeats, quiet = np.random.default_rng(8), 200, 0
    members = [Member("net0", 8, 0), Member("net1", 8, 0)]
    for _ in range(repeats):
        labels = random.integers(0, 2, 120)
        first = np.where(random.random((2, 120)) < 0.8, labels, 1 - labels)
        chance = np.where(np.arange(2) == first[..., None], 0.75, 0.25)
        pool = make_pool(chance[:, :1], labels[:1], chance, labels, members=members)
        quiet += compare(pool, Single(members[0]), Single(members[1])).verdict is Verdict.CANNOT_TELL
    assert quiet / repeats >= 0.9


@pytest.mark.parametrize("seeds", [3, 6])
def test_means_over_seeds_are_covered_about_as_often_as_said(seeds: int) -> None:
    """Examples and seeds drawn anew; the truth by Gauss-Hermite quadrature. Few seeds cover less."""
    random, n, repeats, inside = np.random.default_rng(seeds), 200, 300, 0
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    truth = weights @ (1 / (1 + np.exp(-1.5 * (1.2 + np.sqrt(1.01) * nodes)))) / weights.sum()
    resampling = Resampling(n, draws=400)
    for _ in range(repeats):
        skill = 1.2 + 0.1 * random.normal(0, 1, seeds)
        chance = 1 / (1 + np.exp(-1.5 * (skill[:, None] + random.normal(0, 1, n))))
        right = (random.random((seeds, n)) < chance).astype(np.float32)
        values = SeedValues(key="net", seeds=seeds, sets=seed_sets(seeds, 1), values=right)
        found = resampling.estimate(values, 1).interval()
        inside += found.low <= truth <= found.high
    assert 0.89 <= inside / repeats <= 0.99

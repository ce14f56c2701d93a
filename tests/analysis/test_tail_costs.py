"""What one example of a design costs: against the list of every example's cost, sorted."""

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import make_pool, pools

from explorer.analysis.pool import Pool
from explorer.analysis.scoring.score import evaluate
from explorer.analysis.tail_costs import cost_quantile, tail_costs, worst_cost
from explorer.errors import UsageError
from explorer.spec import Cascade, Exit, Member, Single


def leaving_at(shares: list[int], axis: str = "macs") -> tuple[Pool, Cascade]:
    """Return three members with costs 2, 30 and 500, and a cascade that so many examples leave by stage."""
    first, second, third = shares
    sure = np.repeat([[0.9, 0.6, 0.6], [0.6, 0.9, 0.6], [0.6, 0.6, 0.9]], [first, second, third], axis=0)
    chance = np.stack([sure.T, 1 - sure.T], axis=2)
    labels = np.zeros(sum(shares), np.int64)
    members = [Member(name, 8, 0) for name in ("a", "b", "c")]
    pool = make_pool(chance, labels, chance, labels, [2.0, 30.0, 500.0], members=members, axis=axis)
    stages = tuple(Single(member) for member in members)
    return pool, Cascade(stages, (Exit(0.8), Exit(0.8)))


def test_each_part_of_the_distribution_by_hand() -> None:
    pool, design = leaving_at([90, 9, 1])

    found = tail_costs(pool, design)

    assert found.left == (0.90, 0.09, 0.01)
    assert found.mean == 2 + 30 * 0.10 + 500 * 0.01
    assert found.mean == evaluate(pool, design, pool.axis).cost.value
    # 99 of 100 have left by the second stage
    assert found.quantile == 32
    assert found.worst == worst_cost(pool, design) == 532
    # 0 to 4 of 100 draws may well be of the 1 % that pays all
    assert (found.quantile_low, found.quantile_high) == (32, 532)
    assert cost_quantile(pool, design, 0.9) == 2
    assert cost_quantile(pool, design, 0.901) == 32
    assert cost_quantile(pool, design, 0.991) == cost_quantile(pool, design, 1.0) == 532


def test_what_is_always_paid_is_the_same_for_all() -> None:
    pool, design = leaving_at([90, 9, 1], axis="parameters")

    found = tail_costs(pool, design, q=0.5)

    assert (found.mean, found.quantile, found.quantile_high, found.worst) == (532, 532, 532, 532)


@settings(deadline=None, max_examples=60)
@given(pools(), st.fractions(Fraction(1, 100), 1), st.data())
def test_quantile_is_the_sorted_list_of_costs(pool: Pool, q: Fraction, data: st.DataObject) -> None:
    members = data.draw(st.lists(st.sampled_from(pool.members), min_size=2, max_size=3))
    exits = tuple(Exit(data.draw(st.sampled_from([0.0, 0.3, 0.5, 0.7]))) for _ in members[1:])
    design = Cascade(tuple(map(Single, members)), exits)
    costs = []
    for example in range(pool.report.shape[1]):
        paid = Fraction(0)
        for place, member in enumerate(members):
            row = pool.members.index(member)
            paid += Fraction(pool.cost_figures[row].value)
            if place < len(exits) and float(pool.report[row, example].max()) >= exits[place].threshold:
                break
        costs.append(paid)

    assert cost_quantile(pool, design, float(q)) == sorted(costs)[ceil(q * len(costs)) - 1]
    found = tail_costs(pool, design, q=float(q))
    assert found.quantile_low <= found.quantile <= found.quantile_high <= found.worst


def test_the_interval_holds_the_true_quantile_as_often_as_it_says() -> None:
    # truth: 2 % pay all, so the 0.975 quantile is the first stage and the 0.985 quantile the worst case
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        late = int(rng.binomial(500, 0.02))
        pool, design = leaving_at([500 - late, 0, late])
        found = tail_costs(pool, design, q=0.975)
        held += found.quantile_low <= 2 <= found.quantile_high
    assert held >= 185


@pytest.mark.parametrize("q", [0.0, -0.1, 1.01, float("nan")])
def test_a_quantile_that_is_none_is_refused(q: float) -> None:
    pool, design = leaving_at([1, 1, 1])
    with pytest.raises(UsageError, match="quantile"):
        cost_quantile(pool, design, q)


def test_a_member_that_is_not_there_is_refused() -> None:
    pool, _ = leaving_at([1, 1, 1])
    with pytest.raises(UsageError, match="nobody@8#0"):
        worst_cost(pool, Single(Member("nobody", 8, 0)))

"""The search of three stages against brute force: every triple and threshold, in exact fractions."""

from fractions import Fraction
from itertools import combinations, pairwise, permutations, product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import pools, simulated_pool

from explorer.analysis.pool import Pool
from explorer.analysis.scoring.score import candidate_decisions, evaluate, reached_counts
from explorer.analysis.search.exact import search
from explorer.analysis.search.plan import Space
from explorer.analysis.search.three_stages import Triples, best_triples, candidate_stages
from explorer.errors import UsageError
from explorer.spec import Averaging, Cascade, Signal, Single, Stage, ensemble

SLOW = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
LIFELIKE = simulated_pool(models=3, seeds=2, select=200, report=100, seed=3)


def every_set(pool: Pool, most: int) -> list[Stage]:
    return [ensemble(s) for size in range(1, most + 1) for s in combinations(pool.members, size)]


def averages(pool: Pool, stage: Stage) -> list[list[Fraction]]:
    """Return the mean probabilities ``[example][class]``, in fractions."""
    arrays = [pool.select[pool.members.index(member)] for member in stage.members]
    n, classes = arrays[0].shape
    return [
        [sum(Fraction(float(a[e, c])) for a in arrays) / len(arrays) for c in range(classes)]
        for e in range(n)
    ]


def paid(pool: Pool, members: tuple, rule: str) -> Fraction:
    costs = [Fraction(float(pool.costs[pool.members.index(m)])) for m in members]
    return max(costs) if rule == "activation_peak_bytes" else sum(costs, Fraction(0))


def brute_force(pool: Pool, stages: list[Stage], axis: str) -> dict[int, Fraction]:
    """Return the cheapest total cost of each number of right answers over all triples and thresholds."""
    labels = pool.select_labels.tolist()
    mean = {stage: averages(pool, stage) for stage in stages}
    right = {s: [row.index(max(row)) == y for row, y in zip(mean[s], labels, strict=True)] for s in stages}
    sure = {s: [max(row) for row in mean[s]] for s in stages}
    best: dict[int, Fraction] = {}
    for a, b, c in permutations(stages, 3):
        run = [a.members]
        for before, answers in ((a, b), (b, c)):
            inside = set(before.members) < set(answers.members)
            run.append(tuple(m for m in answers.members if not (inside and m in before.members)))
        each = [paid(pool, members, axis) for members in run]
        for low, high in product(*(list(pairwise(sorted(set(sure[s])))) for s in (a, b))):
            at = sum(low) / 2, sum(high) / 2
            first = [p >= at[0] for p in sure[a]]
            second = [not f and p >= at[1] for f, p in zip(first, sure[b], strict=True)]
            third = [not f and not s for f, s in zip(first, second, strict=True)]
            if not any(second) or not any(third):
                continue
            hits = sum(
                right[a if f else b if s else c][e]
                for e, (f, s) in enumerate(zip(first, second, strict=True))
            )
            if axis == "parameters":
                cost = paid(pool, tuple(set(a.members + b.members + c.members)), axis) * len(labels)
            elif axis == "activation_peak_bytes":
                cost = max(each) * len(labels)
            elif axis == "worst_macs":
                cost = sum(each) * len(labels)
            else:
                reach = len(labels) - sum(first)
                cost = each[0] * len(labels) + each[1] * reach + each[2] * sum(third)
            best[hits] = min(cost, best.get(hits, cost))
    return best


def check(pool: Pool, stages: list[Stage], found: Triples) -> None:
    """Each design found is scored the plain way and must be what it is said to be."""
    labels = pool.select_labels
    for right in np.flatnonzero(np.isfinite(found.cost)).tolist():
        design = found.design(right)
        point = evaluate(pool, design, pool.axis)
        assert round(point.select_accuracy * len(labels)) == right
        assert point.select_cost == pytest.approx(found.cost[right], rel=1e-12)
        left = reached_counts(candidate_decisions(pool, design, "select")[1], 3)
        assert left[0] > left[1] > left[2] > 0
        assert set(design.combined) <= set(stages)


@SLOW
@given(st.data(), st.sampled_from(["macs", "parameters", "activation_peak_bytes", "worst_macs"]))
def test_everything_that_brute_force_finds(data: st.DataObject, axis: str) -> None:
    pool = data.draw(pools(max_members=3, max_examples=7, axis=axis))
    stages = every_set(pool, 2)

    found = best_triples(pool, stages)

    expected = brute_force(pool, stages, axis)
    n = len(pool.select_labels)
    got = {r: Fraction(found.cost[r]) for r in np.flatnonzero(np.isfinite(found.cost)).tolist()}
    assert found.exact
    assert {r: pytest.approx(float(c / n)) for r, c in expected.items()} == {
        r: float(c) for r, c in got.items()
    }
    check(pool, stages, found)


@pytest.mark.parametrize("averaging", [Averaging.MEAN, Averaging.VOTE, Averaging.GEOMETRIC])
def test_every_signal_and_rule_is_scored_as_the_plain_way_does(averaging: Averaging) -> None:
    members = LIFELIKE.members
    stages = [Single(members[0]), Single(members[4]), ensemble(members[:2], averaging)]
    stages.append(ensemble(members[:4], averaging))

    found = best_triples(LIFELIKE, stages, tuple(Signal), grid=20)

    assert np.isfinite(found.cost).sum() > 20
    assert not found.exact
    check(LIFELIKE, stages, found)
    used = {leave.signal for right in found.front() for leave in found.design(right).exits}
    assert len(used) > 1


def test_a_grid_finds_less_than_every_threshold_and_nothing_else() -> None:
    stages = [Single(member) for member in LIFELIKE.members[::2]]
    exact, coarse = best_triples(LIFELIKE, stages, grid=1000), best_triples(LIFELIKE, stages, grid=12)

    assert exact.exact
    assert (exact.cost <= coarse.cost).all()
    # the grid is worth little less: its dearest point is within one in two hundred examples
    assert exact.front().max() - coarse.front().max() <= 2
    assert exact.triples == coarse.triples == 6


def test_fewer_than_three_stages_make_no_cascade() -> None:
    found = best_triples(LIFELIKE, [Single(member) for member in LIFELIKE.members[:2]])

    assert found.triples == 0
    assert len(found.front()) == 0


def test_stages_come_from_the_front_those_that_serve_most_of_it_first() -> None:
    front = search(LIFELIKE, LIFELIKE.axis, Space(max_members=2))
    on_it = set()
    for point in front.points:
        design = point.design
        on_it.update(design.combined if isinstance(design, Cascade) else (design,))

    every = candidate_stages(front, 10_000)

    assert on_it <= set(every)
    assert set(candidate_stages(front, 5)) <= on_it
    assert len(candidate_stages(front, 5)) == 5
    assert {point.design for points in front.fronts_by_kind.values() for point in points} & set(every)


def test_stages_named_twice_or_an_empty_grid_are_refused() -> None:
    stage = Single(LIFELIKE.members[0])
    with pytest.raises(UsageError, match="different stages"):
        best_triples(LIFELIKE, [stage, stage])
    with pytest.raises(UsageError, match="grid"):
        best_triples(LIFELIKE, [stage], grid=0)

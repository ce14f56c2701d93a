from itertools import combinations_with_replacement
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import probability_arrays, simulated_pool

from explorer.analysis.scoring.combine import ZERO_PROBABILITY, average, combine
from explorer.analysis.scoring.metrics import accuracy, brier, negative_log_likelihood
from explorer.analysis.search.beam import Asked, beam
from explorer.analysis.search.greedy import greedy
from explorer.analysis.search.greedy_limits import Bound, Limits
from explorer.analysis.search.greedy_objectives import Objective, Rule
from explorer.errors import UsageError

PLAIN = Rule(normalise=False, floor=ZERO_PROBABILITY)
EXACT = Rule(normalise=False, floor=ZERO_PROBABILITY, decimals=None)


def error(array: np.ndarray, labels: np.ndarray, objective: Objective) -> float:
    if objective is Objective.ACCURACY:
        return 1.0 - accuracy(combine(array)[0], labels)
    if objective is Objective.BRIER:
        return brier(average(array), labels)
    return negative_log_likelihood(average(array), labels)


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, Limits]:
    members, examples, classes = draw(st.integers(2, 4)), draw(st.integers(1, 6)), draw(st.integers(2, 4))
    array = draw(probability_arrays(members=members, examples=examples, classes=classes))
    labels = st.lists(st.integers(0, classes - 1), min_size=examples, max_size=examples)
    rows = st.integers(0, members - 1)
    must = draw(st.lists(rows, max_size=1))
    costs = np.array(draw(st.lists(st.sampled_from([1.0, 2.0, 5.0]), min_size=members, max_size=members)))
    first_two = np.where(np.arange(members) < 2, 1.0, 0.0)
    limits = Limits(
        max_distinct=draw(st.sampled_from([None, 1, 2, 3])),
        costs=costs,
        largest_cost=draw(st.booleans()),
        max_cost=draw(st.sampled_from([None, 5.0, 7.0])),
        cost_penalty=draw(st.sampled_from([0.0, 0.125])),
        must_include=tuple(must),
        exclude=tuple(row for row in draw(st.lists(rows, max_size=1)) if row not in must),
        bounds=(Bound(name="first two", amounts=first_two, most=draw(st.sampled_from([1.0, 2.0]))),),
    )
    return array, np.array(draw(labels)), limits


def cost_of(picks: tuple[int, ...], limits: Limits) -> float:
    assert limits.costs is not None
    paid = [limits.costs[m] for m in set(picks)]
    return float(max(paid) if limits.largest_cost else sum(paid))


def within(picks: tuple[int, ...], limits: Limits) -> bool:
    """Say whether a multiset is allowed, and has what must be in it."""
    (bound,) = limits.bounds
    return (
        set(limits.must_include) <= set(picks)
        and not set(limits.exclude) & set(picks)
        and (limits.max_distinct is None or len(set(picks)) <= limits.max_distinct)
        and (limits.max_cost is None or cost_of(picks, limits) <= limits.max_cost)
        and sum(bound.amounts[m] for m in set(picks)) <= bound.most
    )


OBJECTIVES = st.sampled_from([Objective.ACCURACY, Objective.LOG_LOSS, Objective.BRIER])


@settings(deadline=None, max_examples=150)
@given(problems(), OBJECTIVES, st.integers(1, 4))
def test_wide_enough_it_finds_what_a_look_at_every_multiset_finds(
    problem: tuple[np.ndarray, np.ndarray, Limits], objective: Objective, rounds: int
) -> None:
    array, labels, limits = problem
    sizes = range(1, rounds + 1)
    every = [m for size in sizes for m in combinations_with_replacement(range(len(array)), size)]
    allowed = {m for m in every if within(m, limits)}
    asked = Asked(objective=objective, width=len(every), rounds=rounds, limits=limits, rule=EXACT)
    if not allowed and not any(within((m,), limits) for m in range(len(array))):
        with pytest.raises(UsageError, match=r"no member may be picked|do not fit"):
            beam(array, labels, asked)
        return
    found = beam(array, labels, asked).found
    plain = {m: error(array[list(m)], labels, objective) for m in allowed}
    penalised = {m: plain[m] + limits.cost_penalty * cost_of(m, limits) for m in allowed}
    picks = tuple(sorted(found.picks.tolist()[: found.rounds]))
    assert picks in allowed
    assert found.compared[found.rounds - 1] == pytest.approx(min(penalised.values()), rel=1e-9, abs=1e-12)
    assert found.compared[found.rounds - 1] == pytest.approx(penalised[picks], rel=1e-9, abs=1e-12)
    if objective is Objective.ACCURACY:
        # shares are exact: the fewest picks of those that are best
        best = [m for m in allowed if penalised[m] <= penalised[picks] + 1e-12]
        assert len(picks) == min(map(len, best))
    assert found.weights.tolist() == np.bincount(picks, minlength=len(array)).tolist()


@settings(deadline=None, max_examples=80)
@given(problems(), st.sampled_from(list(Objective)), st.sampled_from([PLAIN, EXACT, Rule()]))
def test_one_wide_it_is_greedy(
    problem: tuple[np.ndarray, np.ndarray, Limits], objective: Objective, rule: Rule
) -> None:
    array, labels, limits = problem
    asked = Asked(objective=objective, rounds=5, limits=limits, rule=rule)
    try:
        plain = greedy(array, labels, objective=objective, rounds=5, limits=limits, rule=rule)
    except UsageError as refused:
        with pytest.raises(UsageError, match=str(refused)[:20]):
            beam(array, labels, asked)
        return
    for found in (beam(array, labels, asked).found, beam(array, labels, asked).greedy):
        assert found.picks.tolist() == plain.picks.tolist()
        assert found.tied.tolist() == plain.tied.tolist()
        assert found.scores == pytest.approx(plain.scores, rel=1e-12, abs=1e-15)
        assert found.compared == pytest.approx(plain.compared, rel=1e-12, abs=1e-15)
        assert found.costs.tolist() == plain.costs.tolist()
        assert (found.rounds, found.searched) == (plain.rounds, plain.searched)
        assert found.scored == plain.scored
        assert found.weights.tolist() == plain.weights.tolist()


@pytest.mark.parametrize("objective", list(Objective))
@pytest.mark.parametrize("seed", range(3))
def test_it_is_never_worse_than_greedy_however_wide(objective: Objective, seed: int) -> None:
    pool = simulated_pool(models=2, seeds=4, select=200, report=1, classes=6, seed=seed)
    plain = greedy(pool.select, pool.select_labels, objective=objective, rounds=8, rule=PLAIN)
    for width in (2, 3, 5, 9):
        for rounds in (3, 8):
            asked = Asked(objective=objective, width=width, rounds=rounds, rule=PLAIN)
            both = beam(pool.select, pool.select_labels, asked)
            assert both.greedy.picks.tolist() == plain.picks[:rounds].tolist()
            assert both.greedy.tied.tolist() == plain.tied[:rounds].tolist()
            best = both.found.compared[both.found.rounds - 1]
            assert best <= plain.compared[:rounds].min() + 1e-12


def test_it_finds_what_greedy_passes_by() -> None:
    # member 0 is the best alone; 1 and 2 together are right everywhere, and only without it
    of_true = np.array(
        [[0.9, 0.9, 0.9, 0.9, 0.01, 0.01], [0.8, 0.8, 0.8, 0.45, 0.45, 0.45], [0.45] * 3 + [0.8] * 3]
    )
    array = np.stack([of_true, 1 - of_true], axis=2).astype(np.float16)
    labels = np.zeros(6, np.int64)
    rule = Rule(second_metric=False)
    limits = Limits(max_distinct=2)
    asked = Asked(objective=Objective.ACCURACY, width=3, rounds=2, limits=limits, rule=rule)
    both = beam(array, labels, asked)
    assert both.greedy.scores.max() < 1.0
    assert both.found.scores[both.found.rounds - 1] == 1.0
    assert both.found.weights.tolist() == [0, 1, 1]
    assert both.found.picks.tolist() == [1, 2]


def test_every_multiset_is_scored_once() -> None:
    pool = simulated_pool(models=2, seeds=2, select=50, report=1, classes=4)
    asked = Asked(objective=Objective.BRIER, width=1000, rounds=4, rule=PLAIN)
    found = beam(pool.select, pool.select_labels, asked).found
    assert found.scored == sum(comb(4 + size - 1, size) for size in range(1, 5))
    assert found.searched == 4


def test_told_to_stop_it_keeps_the_rounds_that_are_whole() -> None:
    pool = simulated_pool(models=2, seeds=3, select=200, report=1, classes=5)
    asked = Asked(objective=Objective.LOG_LOSS, width=3, rounds=6, rule=PLAIN)
    told: list[float] = []
    calls = 0

    def counted() -> bool:
        nonlocal calls
        calls += 1
        return False

    whole = beam(pool.select, pool.select_labels, asked, should_stop=counted, on_progress=told.append)
    assert not whole.found.stopped
    assert told == sorted(told)
    assert told[-1] == 1.0
    answers = iter([False] * (calls - 1) + [True])
    cut = beam(pool.select, pool.select_labels, asked, should_stop=lambda: next(answers))
    assert cut.found.stopped
    assert cut.greedy.stopped
    assert cut.found.searched == 5
    shorter = beam(
        pool.select, pool.select_labels, Asked(objective=Objective.LOG_LOSS, width=3, rounds=5, rule=PLAIN)
    )
    assert cut.found.picks.tolist() == shorter.found.picks.tolist()
    for stop_at in (0, 1):
        early = iter([False] * stop_at + [True])
        none = beam(pool.select, pool.select_labels, asked, should_stop=lambda early=early: next(early))
        assert none.found.stopped
        assert (none.found.rounds, none.found.weights.sum(), none.greedy.rounds) == (0, 0, 0)


def test_a_single_member_and_identical_ones() -> None:
    pool = simulated_pool(models=1, seeds=1, select=40, report=1, classes=3)
    asked = Asked(objective=Objective.ACCURACY, width=4, rounds=5)
    assert beam(pool.select, pool.select_labels, asked).found.picks.tolist() == [0]
    same = np.stack([pool.select[0]] * 3)
    for objective in Objective:
        found = beam(same, pool.select_labels, Asked(objective=objective, width=4, rounds=3)).found
        assert found.picks[: found.rounds].tolist() == [0]


def test_wrong_requests_are_refused() -> None:
    pool = simulated_pool(models=1, seeds=2, select=40, report=1, classes=3)
    for asked, says in (
        (Asked(objective=Objective.ACCURACY, width=0), "at least 1 wide, got 0"),
        (Asked(objective=Objective.ACCURACY, rounds=128), "1 to 127, got 128"),
        (Asked(objective=Objective.ACCURACY, width=2, rule=Rule(seed=1)), "by chance"),
    ):
        with pytest.raises(UsageError, match=says):
            beam(pool.select, pool.select_labels, asked)

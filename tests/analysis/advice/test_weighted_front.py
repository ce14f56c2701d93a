"""The front by greedy selection under a ladder of budgets: what it must hold, recomputed plainly."""

from dataclasses import replace

import numpy as np
import pytest
from strategies import make_pool, simulated_pool

from explorer.analysis.advice.weighted import Wanted
from explorer.analysis.advice.weighted_front import Ladder, quote_ladder, search_ladder
from explorer.analysis.pool import Pool
from explorer.analysis.search.greedy_objectives import Objective
from explorer.errors import UsageError

POOL = simulated_pool(models=3, seeds=3, select=400, report=300, seed=3)


def plain(pool: Pool, design, split: str) -> tuple[float, float, float]:
    """Return accuracy, log loss and cost of a weighted mean in plain float64."""
    arrays, labels = pool.arrays(split)
    rows = [pool.members.index(member) for member in design.members]
    mean = np.mean([np.asarray(arrays[row], np.float64) for row in rows], axis=0)
    true = np.maximum(mean[np.arange(len(labels)), labels], 2.0**-25)
    cost = sum(pool.costs[row] for row in set(rows))
    return float((mean.argmax(axis=1) == labels).mean()), float(-np.log(true).mean()), cost


@pytest.mark.parametrize("objective", [Objective.ACCURACY, Objective.LOG_LOSS])
def test_every_point_is_what_plain_numpy_says(objective: Objective) -> None:
    wanted = Wanted(objective=objective, rounds=6)
    ladder = search_ladder([POOL], wanted, 9)
    assert not ladder.stopped
    assert len(ladder.budgets) == 9
    assert ladder.budgets[0] == POOL.costs.min()
    assert ladder.budgets[-1] == POOL.costs.sum()
    which = 0 if objective is Objective.ACCURACY else 1
    for rung in ladder.rungs:
        figures = plain(POOL, rung.design, "select")
        assert rung.score == pytest.approx(figures[which], abs=1e-6)
        assert rung.cost == figures[2]
    costs = [rung.cost for rung in ladder.rungs]
    scores = [rung.score if which == 0 else -rung.score for rung in ladder.rungs]
    assert costs == sorted(set(costs))
    assert scores == sorted(set(scores))
    quoted = quote_ladder([POOL], wanted, ladder)
    for rung, one in zip(ladder.rungs, quoted.points, strict=True):
        assert one.point.design == rung.design
        assert one.chosen_on == rung.score
        assert one.score.value == pytest.approx(plain(POOL, rung.design, "report")[which], abs=1e-6)
        assert one.score.low <= one.score.value <= one.score.high


def test_no_budget_does_worse_than_its_best_single() -> None:
    ladder = search_ladder([POOL], Wanted(rounds=5), 12)
    alone = (POOL.select.argmax(axis=2) == POOL.select_labels).mean(axis=1)
    for budget in ladder.budgets:
        best = alone[POOL.costs <= budget].max()
        assert max(rung.score for rung in ladder.rungs if rung.cost <= budget) >= best - 1e-12


def test_what_must_be_in_it_is_and_the_top_is_kept() -> None:
    first, last = (str(POOL.members[row]) for row in (0, -1))
    wanted = Wanted(rounds=5, include=(first,), exclude=(last,), max_cost=20_000.0)
    ladder = search_ladder([POOL], wanted, 6)
    assert ladder.budgets[0] == POOL.costs[0]
    assert ladder.budgets[-1] == 20_000.0
    for rung in ladder.rungs:
        assert POOL.members[0] in rung.design.members
        assert POOL.members[-1] not in rung.design.members
        assert rung.cost <= 20_000


def test_members_that_cost_nothing() -> None:
    answers = np.array([[[0.9, 0.1], [0.4, 0.6]], [[0.6, 0.4], [0.7, 0.3]]])
    pool = make_pool(answers, [0, 0], answers, [0, 0], [0.0, 5.0])
    ladder = search_ladder([pool], Wanted(rounds=2), 3)
    assert ladder.budgets == (0.0, 5.0, 5.0)
    assert [(rung.cost, rung.score) for rung in ladder.rungs] == [(0.0, 0.5), (5.0, 1.0)]


def test_told_to_stop_it_keeps_the_budgets_that_are_done() -> None:
    asked = iter([False] * 12 + [True] * 1000)
    ladder = search_ladder([POOL], Wanted(rounds=3), 9, should_stop=lambda: next(asked))
    whole = search_ladder([POOL], Wanted(rounds=3), 9)
    assert ladder.stopped
    assert 0 < len(ladder.budgets) < 9
    assert ladder.budgets == whole.budgets[: len(ladder.budgets)]
    assert search_ladder([POOL], Wanted(), 4, should_stop=lambda: True) == Ladder(
        rungs=(), budgets=(), scored=0, stopped=True
    )


def test_refusals() -> None:
    for wanted, steps, match in (
        (Wanted(width=3), 5, "leave out the other"),
        (Wanted(cost_penalty=0.1), 5, "leave out the other"),
        (Wanted(), 1, "at least 2 budgets"),
        (Wanted(rounds=0), 5, "rounds must be"),
        (replace(Wanted(), exclude=("net",)), 5, "no member may be picked"),
    ):
        with pytest.raises(UsageError, match=match):
            search_ladder([POOL], wanted, steps)

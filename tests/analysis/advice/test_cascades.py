"""One cascade from all sides: rows placed on ``select``, quoted on ``report``."""

import numpy as np
import pytest
from strategies import make_pool, simulated_pool

from explorer.analysis.advice.cascades import (
    GOES_ON,
    Picked,
    look_at,
    pick,
    signals_compared,
    threshold_curve,
    two_stages,
)
from explorer.analysis.scoring.score import candidate_decisions, evaluate
from explorer.analysis.search.exact import search
from explorer.analysis.search.pareto import knee
from explorer.analysis.search.plan import Space
from explorer.analysis.tail_costs import tail_costs
from explorer.errors import UsageError
from explorer.question import Budget
from explorer.spec import CandidateKind, Cascade, Exit, Signal, Single, ensemble

POOL = simulated_pool(models=3, seeds=2, select=400, report=300, seed=2)
SPACE = Space(max_members=2)
FRONT = search(POOL, POOL.axis, SPACE)
SMALL, LARGE = Single(POOL.members[0]), Single(POOL.members[5])
PAIR = Cascade((SMALL, LARGE), (Exit(0.7),))


def test_curve_runs_from_one_stage_alone_to_the_other() -> None:
    rows = threshold_curve(POOL, PAIR)

    assert rows[0].point.design == SMALL
    assert rows[-1].point.design == LARGE
    assert PAIR in [row.point.design for row in rows]
    assert len(rows) <= len(GOES_ON) + 3
    inner = rows[1:-1]
    goes_on = [(candidate_decisions(POOL, row.point.design, "select")[1] == 1).mean() for row in inner]
    assert goes_on == sorted(goes_on)
    for share in GOES_ON:
        # 400 examples, hardly any tie: a threshold within a quarter of a percent
        assert min(abs(np.array(goes_on) - share)) <= 0.003
    for row in rows:
        assert row.point == evaluate(POOL, row.point.design, POOL.axis)
        assert row.tail == tail_costs(POOL, row.point.design)


def test_curve_of_a_joined_cascade_ends_in_the_average() -> None:
    joined = Cascade((SMALL, LARGE), (Exit(0.7),), (True,))

    rows = threshold_curve(POOL, joined)

    assert rows[-1].point.design == ensemble([SMALL.member, LARGE.member])
    assert all(row.point.design.joined == (True,) for row in rows[1:-1])


def test_a_first_stage_that_is_always_as_sure_has_its_ends_only() -> None:
    chance = np.full((2, 5, 2), 0.5)
    chance[:, :, 0] = 0.75
    pool = make_pool(chance, [0, 1, 0, 1, 0], chance, [0, 1, 0, 1, 0])
    cascade = Cascade((Single(pool.members[0]), Single(pool.members[1])), (Exit(0.8),))

    rows = threshold_curve(pool, cascade)

    # its own threshold lets nobody leave: it stands for the end
    assert [len(row.point.reached) for row in rows] == [1, 2]


@pytest.mark.parametrize("own", [Signal.P, Signal.ENTROPY])
def test_signals_let_no_more_go_on_than_the_cascade(own: Signal) -> None:
    first = ensemble(POOL.members[:2])
    cascade = Cascade((first, LARGE), (Exit(0.7, own),))
    stays = (candidate_decisions(POOL, cascade, "select")[1] == 1).sum()

    rows = {row.signal: row for row in signals_compared(POOL, cascade)}

    assert set(rows) == set(Signal)
    assert rows[own].point == evaluate(POOL, cascade, POOL.axis)
    assert rows[own].comparison is None
    for signal, row in rows.items():
        if row.point is None:
            # two members agree or they do not: one threshold, and it lets more go on
            assert signal is Signal.AGREEMENT
            continue
        assert isinstance(row.point.design, Cascade)
        assert row.point.design.exits[0].signal is signal
        others = (candidate_decisions(POOL, row.point.design, "select")[1] == 1).sum()
        assert others <= stays
        if signal is not Signal.AGREEMENT:
            assert others >= stays - 2
        if row.comparison is not None:
            value = row.point.accuracy.value - rows[own].point.accuracy.value
            assert row.comparison.difference.value == pytest.approx(value)


def test_picked_within_a_budget_or_at_the_knee() -> None:
    points = FRONT.fronts_by_kind[CandidateKind.CASCADE]
    limit = points[len(points) // 2].select_cost

    design, why = pick(FRONT, Budget(POOL.axis, limit))

    assert why is Picked.BUDGET
    fitting = [point for point in points if point.select_cost <= limit]
    assert design == max(fitting, key=lambda point: point.select_accuracy).design
    design, why = pick(FRONT)
    place = knee([p.select_cost for p in points], [p.select_accuracy for p in points])
    assert place is not None
    assert (design, why) == (points[place].design, Picked.KNEE)


def test_nothing_to_pick_says_what_there_is() -> None:
    with pytest.raises(UsageError, match="the cheapest costs"):
        pick(FRONT, Budget(POOL.axis, 1.0))
    without = search(POOL, POOL.axis, Space(max_members=2, cascades=False))
    with pytest.raises(UsageError, match="no cascade was found"):
        pick(without)


def test_what_is_not_two_stages_is_refused() -> None:
    with pytest.raises(UsageError, match="wanted a cascade"):
        two_stages(SMALL)
    three = Cascade((SMALL, LARGE, SMALL), (Exit(0.5), Exit(0.6)))
    with pytest.raises(UsageError, match="two stages, got 3"):
        look_at(POOL, three, SPACE)


def test_everything_together_is_of_the_same_cascade() -> None:
    told = []

    found = look_at(POOL, PAIR, SPACE, limit=9000.0, update=lambda share, text: told.append(share))

    assert found.picked is Picked.NAMED
    assert found.point == evaluate(POOL, PAIR, POOL.axis)
    assert found.tail == tail_costs(POOL, PAIR)
    assert found.third.limit == 9000.0
    assert found.deferral.goes_on <= found.tail.left[1] + 0.05
    assert told == sorted(told)
    assert all(0 <= share <= 1 for share in told)

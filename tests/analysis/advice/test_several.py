"""Several budgets at once: brute force over every design, kernels against plain numpy, cases by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import every_design, make_pool, pools, simulated_pool

from explorer.analysis.advice.advise import advise
from explorer.analysis.advice.several import RELAXED, Needs, best_under, on_axis
from explorer.analysis.advice.several_search import ANY, best_pairs, no_pairs
from explorer.analysis.costs import mean_cost, stages_of
from explorer.analysis.pool import Pool
from explorer.analysis.result import Verdict
from explorer.analysis.scoring.score import candidate_decisions, reached_counts
from explorer.analysis.search.exact import search
from explorer.analysis.search.plan import Space
from explorer.analysis.search.space import design_order
from explorer.analysis.statistics.compare import compare
from explorer.convention import Basis, CostAxis
from explorer.errors import ConventionError, UsageError
from explorer.question import Budget, Target
from explorer.record import CostFigure
from explorer.spec import Candidate, CandidateKind

AXES = ("macs", "parameters", "latency@cpu", "activation_peak_bytes")


def priced(pool: Pool, axis: str, costs: Sequence[float]) -> Pool:
    """The same pool with other costs."""
    figures = tuple(CostFigure(value=c, low=c, high=c, basis=Basis.COUNTED) for c in costs)
    return replace(pool, axis=CostAxis.parse(axis), cost_figures=figures)


def budget(text: str) -> Budget:
    return Budget.parse(text)


@dataclass(frozen=True)
class Scored:
    """What of a design is known on ``select``."""

    design: Candidate
    select_accuracy: float
    select_cost: float


def scored(pool: Pool, design: Candidate) -> Scored:
    decisions, left_at = candidate_decisions(pool, design, "select")
    right = int((decisions == pool.select_labels).sum())
    reached = reached_counts(left_at, len(stages_of(design)))
    return Scored(design, right / len(decisions), mean_cost(pool, design, reached))


AMOUNTS = st.sampled_from([1.0, 2.0, 3.0, 5.0, 8.0])


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(pools(max_members=3, max_examples=6), st.data())
def test_best_of_each_kind_is_that_of_all_designs(pool: Pool, data: st.DataObject) -> None:
    size = len(pool.members)
    names = ["macs", *data.draw(st.lists(st.sampled_from(AXES[1:]), min_size=1, max_size=3, unique=True))]
    costed = [
        priced(pool, name, data.draw(st.lists(AMOUNTS, min_size=size, max_size=size))) for name in names
    ]
    limits = st.sampled_from([1.0, 2.5, 4.0, 6.5, 20.0])
    budgets = tuple(Budget(each.axis, data.draw(limits)) for each in costed)
    share = data.draw(st.none() | st.sampled_from([0.0, 1 / 3, 0.5, 1.0]))
    needs = Needs(budgets=budgets, target=None if share is None else Target(share))
    found = best_under(costed, needs, Space(max_members=2))

    points = [[scored(each, design) for each in costed] for design in every_design(pool, 2)]

    def rank(of: list) -> tuple:
        costs = [round(p.select_cost, 9) for p in of]
        accuracy = -of[0].select_accuracy
        first = (accuracy, costs[0]) if share is None else (costs[0], accuracy)
        return *first, *costs[1:]

    def fitting(limits: Sequence[float]) -> list:
        return [
            of
            for of in points
            if all(p.select_cost <= limit for p, limit in zip(of, limits, strict=True))
            and (share is None or of[0].select_accuracy >= share)
        ]

    asked = [b.limit for b in budgets]
    fits = fitting(asked)
    assert (found.answer is None) == (not fits)
    for kind in CandidateKind:
        of_kind = [of for of in fits if of[0].design.kind is kind]
        assert (kind in found.best_of_kind) == bool(of_kind)
        if of_kind:
            best = min(of_kind, key=lambda of: (*rank(of), design_order(of[0].design)[:2]))
            got = found.best_of_kind[kind]
            assert rank(list(got.points.values())) == rank(best)
            assert design_order(got.design)[:2] == design_order(best[0].design)[:2]
    for relaxed in found.relaxed:
        larger = [relaxed.budget.limit if b.axis == relaxed.budget.axis else b.limit for b in budgets]
        more = fitting(larger)
        assert (relaxed.offer is None) == (not more)
        if share is not None and more:
            assert rank(list(relaxed.offer.points.values())) == min(map(rank, more))
    for slack in found.slacks:
        unlimited = [np.inf if b == slack.budget else b.limit for b in budgets]
        if share is not None:
            better = min(map(rank, fitting(unlimited)))
            assert slack.binds or better == min(map(rank, fits))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from([ANY, 0, 3, 5]))
def test_pairs_kernel_is_its_plain_definition(seed: int, need: int) -> None:
    random = np.random.default_rng(seed)
    gates, seconds, axes, undecided, settled, asked = 2, 3, 2, 7, 1, 3
    examples = undecided + settled + 2
    gate_right = random.integers(0, 2, (gates, undecided)).astype(np.uint8)
    second_right = random.integers(0, 2, (seconds, undecided)).astype(np.uint8)
    order = np.stack([random.permutation(undecided) for _ in range(gates)]).astype(np.int32)
    steps = [np.sort(random.choice(np.arange(1, undecided + 1), k, replace=False)) for k in (0, 4)]
    leavers = [step + (step > 3) for step in steps]
    base = random.integers(1, 5, (axes, gates, seconds)).astype(float)
    slope = random.integers(0, 4, (axes, gates, seconds)).astype(float)
    key = random.permutation(gates * seconds).reshape(gates, seconds)
    limits = random.integers(2, 9, (asked, axes)) - 0.5
    best = no_pairs(asked, axes)
    best_pairs(
        (
            gate_right,
            order,
            np.concatenate(steps).astype(np.int32),
            np.concatenate(leavers).astype(np.int32),
            np.array([0, 0, 4]),
            np.array([0, 1]),
        ),
        (second_right, np.array([0, 1, 7]), key, base, slope),
        (limits, need, np.array([examples, settled])),
        best,
    )
    for question in range(asked):
        wanted = []
        for g, q in product(range(gates), range(seconds)):
            for number, step in enumerate(steps[g]):
                cost = base[:, g, q] * examples + slope[:, g, q] * (examples - leavers[g][number])
                count = (
                    settled + int(gate_right[g, :step].sum()) + int(second_right[q, order[g, step:]].sum())
                )
                if [0, 1, 7][q] == g or (cost / examples > limits[question]).any() or count < need:
                    continue
                first = (-count, cost[0]) if need == ANY else (cost[0], -count)
                wanted.append((*first, *cost[1:], key[g, q], -number, g, q))
        if not wanted:
            assert best[0][question] == -1
            continue
        *_, least, g, q = min(wanted)
        assert best[3][question].tolist() == [g, [0, 1, 7][q], -least]


LIFELIKE = simulated_pool(models=4, seeds=3, select=360, report=539, seed=1)
SIZES = [float(100 * 2 ** int(member.name[3:]) + 3) for member in LIFELIKE.members]
TIMES = [1e-3 * (1 + int(member.name[3:])) for member in LIFELIKE.members]
LATENCY = priced(LIFELIKE, "latency@cpu", TIMES)
HELD = priced(LIFELIKE, "parameters", SIZES)
COSTED = (LIFELIKE, HELD, LATENCY)


@pytest.mark.parametrize("limit", [1007.0, 12_000.0, 50_000.0])
def test_one_budget_alone_is_answered_as_by_advise(limit: float) -> None:
    question = Budget(LIFELIKE.axis, limit)
    wanted = advise(LIFELIKE, search(LIFELIKE, LIFELIKE.axis), question)
    found = best_under([LIFELIKE], Needs(budgets=(question,)))
    assert found.answer.design == wanted.answer.design
    assert {k: o.design for k, o in found.best_of_kind.items()} == {
        k: p.design for k, p in wanted.best_of_kind.items()
    }
    assert found.comparisons == wanted.comparisons
    assert found.cannot_tell == wanted.cannot_tell


def test_three_budgets_and_a_target_are_all_kept() -> None:
    needs = Needs(
        budgets=(budget("macs<=60000"), budget("parameters<=1500"), budget("latency@cpu<=6ms")),
        target=Target(0.7),
        cheapest_on=CostAxis.parse("latency@cpu"),
    )
    found = best_under(COSTED, needs, Space(max_members=3))
    assert found.answer is not None
    assert found.answer.select_accuracy >= 0.7
    assert next(iter(found.answer.points)) == CostAxis.parse("latency@cpu"), "the primary axis comes first"
    for limit in needs.budgets:
        assert found.answer.points[limit.axis].select_cost <= limit.limit
    assert len({point.accuracy for point in found.answer.points.values()}) == 1
    assert all(0 < slack.used <= 1 for slack in found.slacks)
    for comparison in found.comparisons:
        assert comparison == compare(LIFELIKE, found.answer.design, comparison.second)
    assert found.cannot_tell == (found.comparisons[0].verdict is Verdict.CANNOT_TELL)


def steps() -> tuple[Pool, Pool]:
    """Three members, 60, 30 and 0 % wrong; macs 1, 10, 100 and 7, 5, 3 parameters."""
    n = 100
    right = np.arange(n)[None, :] >= np.array([60, 30, 0])[:, None]
    chance = np.stack([0.1 + 0.8 * right, 0.9 - 0.8 * right], axis=2)
    pool = make_pool(chance, np.zeros(n), chance, np.zeros(n), [1.0, 10.0, 100.0])
    return pool, priced(pool, "parameters", [7.0, 5.0, 3.0])


def test_binding_budget_and_what_more_of_it_would_buy() -> None:
    macs, parameters = steps()
    needs = Needs(budgets=(budget("macs<=80"), budget("parameters<=6")))
    found = best_under([macs, parameters], needs, Space(max_members=1, cascades=False))
    assert str(found.answer.design) == "net01@8#0"
    assert [(s.used, s.binds) for s in found.slacks] == [(10 / 80, True), (5 / 6, False)]
    assert [r.factor for r in found.relaxed] == [*RELAXED, *RELAXED]
    bought = [str(r.offer.design) for r in found.relaxed]
    assert bought == ["net01@8#0", "net02@8#0", "net02@8#0", *["net01@8#0"] * 3]
    assert found.relaxed[0].comparison is None
    gain = found.relaxed[1].comparison
    assert (gain.verdict, gain.difference.value) == (Verdict.BETTER, pytest.approx(0.3))
    assert found.relaxed[1].budget.limit == pytest.approx(100)


def test_nothing_fits_says_which_budget_is_in_the_way() -> None:
    macs, parameters = steps()
    needs = Needs(budgets=(budget("macs<=20"), budget("parameters<=4")))
    found = best_under([macs, parameters], needs, Space(max_members=1, cascades=False))
    assert (found.answer, found.runner_up, found.slacks, found.comparisons) == (None, None, (), ())
    assert not found.best_of_kind
    (note,) = found.notes
    assert note.endswith("without macs<=20.0 or without parameters<=4.0")
    assert [r.offer and str(r.offer.design) for r in found.relaxed[-3:]] == [None, "net01@8#0", "net01@8#0"]


def test_notes_where_report_exceeds_what_select_kept_to() -> None:
    needs = Needs(budgets=(budget("macs<=5000"), budget("parameters<=2000")))
    found = best_under((LIFELIKE, HELD), needs)
    assert found.answer.design.kind is CandidateKind.CASCADE
    assert "an input that runs every stage of the answer costs more than macs<=5000.0" in found.notes


def test_pools_share_their_predictions() -> None:
    shared = on_axis(LIFELIKE, HELD)
    assert shared.select is LIFELIKE.select
    assert (shared.axis, shared.cost_figures) == (HELD.axis, HELD.cost_figures)


def test_refusals() -> None:
    macs, parameters = steps()
    with pytest.raises(UsageError, match="no budgets"):
        Needs(budgets=())
    with pytest.raises(UsageError, match="two budgets on macs"):
        Needs(budgets=(budget("macs<=1"), budget("macs<=2")))
    with pytest.raises(ConventionError, match=r"0 pools hold costs of flops.*: macs, parameters"):
        best_under([macs, parameters], Needs(budgets=(budget("flops<=3"),)))
    with pytest.raises(ConventionError, match="2 pools"):
        best_under([macs, macs], Needs(budgets=(budget("macs<=3"),)))
    with pytest.raises(UsageError, match="different members"):
        best_under([macs, HELD], Needs(budgets=(budget("macs<=3"),)))

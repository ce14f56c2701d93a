import dataclasses
from collections import Counter

import numpy as np
import pytest
from strategies import make_pool, simulated_pool

from explorer.analysis.advice.weighted import (
    Reference,
    Wanted,
    Weighted,
    members_named,
    quote_weighted,
    search_weighted,
)
from explorer.analysis.pool import Pool
from explorer.analysis.result import Verdict
from explorer.analysis.scoring.combine import average, combine
from explorer.analysis.scoring.metrics import accuracy, brier, calibration_error, negative_log_likelihood
from explorer.analysis.search.greedy_objectives import Objective
from explorer.analysis.statistics.compare import compare
from explorer.convention import CostAxis
from explorer.errors import UsageError
from explorer.spec import Candidate, Member, Single, parse_design


@pytest.fixture(scope="module")
def pool() -> Pool:
    return simulated_pool(models=3, seeds=3, select=300, report=500, classes=7, seed=5)


def selected(pool: Pool, *others: Pool, **wanted: object) -> Weighted:
    asked = Wanted(**wanted)  # type: ignore[arg-type]  # named by the test
    pools = (pool, *others)
    return quote_weighted(pools, asked, search_weighted(pools, asked))


def plain(pool: Pool, design: Candidate, split: str, objective: Objective) -> float:
    stored, labels = pool.arrays(split)
    array = np.asarray(stored)[[pool.members.index(member) for member in design.members]]
    decisions, confidence = combine(array)
    if objective is Objective.ACCURACY:
        return accuracy(decisions, labels)
    if objective is Objective.LOG_LOSS:
        return negative_log_likelihood(average(array), labels)
    if objective is Objective.BRIER:
        return brier(average(array), labels)
    if objective is Objective.ECE:
        return calibration_error(confidence, decisions, labels)
    if objective is Objective.WORST_CLASS:
        return min(float((decisions == labels)[labels == c].mean()) for c in set(labels.tolist()))
    largest = np.argsort(-average(array), axis=1, kind="stable")[:, :5]
    return float((largest == labels[:, None]).any(axis=1).mean())


@pytest.mark.parametrize("objective", list(Objective))
def test_figures_are_those_of_the_plain_definitions(pool: Pool, objective: Objective) -> None:
    found = selected(pool, objective=objective, width=3, rounds=6)
    for quoted in (found.answer, *(against.quoted for against in found.against)):
        design = quoted.point.design
        assert quoted.chosen_on == pytest.approx(plain(pool, design, "select", objective), abs=1e-9)
        assert quoted.score.value == pytest.approx(plain(pool, design, "report", objective), abs=1e-9)
        assert quoted.score.low <= quoted.score.value <= quoted.score.high
    sign = 1 if objective.metric.higher_is_better else -1
    gap = found.answer.chosen_on - found.answer.score.value
    assert found.optimism == pytest.approx(sign * gap, abs=1e-12)
    gaps = [
        plain(pool, Single(m), "select", objective) - plain(pool, Single(m), "report", objective)
        for m in pool.members
    ]
    assert found.members_optimism == pytest.approx(sign * np.mean(gaps), abs=1e-9)
    last = found.path[found.selection.rounds - 1]
    assert last.score == pytest.approx(found.answer.chosen_on, abs=1e-9)
    assert last.cost == found.answer.point.select_cost


def test_the_selection_is_compared_paired_with_each_reference(pool: Pool) -> None:
    found = selected(pool, rounds=9)
    assert {against.what for against in found.against} == {Reference.SINGLE, Reference.EQUAL}
    for against in found.against:
        paired = compare(pool, found.design, against.quoted.point.design)
        interval, plainly = against.by_accuracy.interval, paired.difference
        assert (interval.value, interval.n, interval.method) == (plainly.value, plainly.n, plainly.method)
        assert (interval.low, interval.high) == pytest.approx((plainly.low, plainly.high), abs=1e-12)
        assert against.by_accuracy.verdict is paired.verdict
        assert against.by_metric == against.by_accuracy
    single, equal = (against.quoted.point.design for against in found.against)
    scores = [plain(pool, Single(m), "select", Objective.ACCURACY) for m in pool.members]
    assert single == Single(pool.members[int(np.argmax(scores))])
    assert Counter(equal.members) == Counter(set(found.design.members))


def test_a_lower_loss_is_better(pool: Pool) -> None:
    found = selected(pool, objective=Objective.LOG_LOSS)
    single = next(against for against in found.against if against.what is Reference.SINGLE)
    assert single.by_metric.interval.high < 0
    assert single.by_metric.verdict is Verdict.BETTER


def test_weights_have_no_common_divisor_and_are_the_design(pool: Pool) -> None:
    found = selected(pool, rounds=2, max_distinct=1)
    assert list(found.weights.values()) == [1]
    assert isinstance(found.design, Single)
    assert found.against == ()
    wider = selected(pool, objective=Objective.LOG_LOSS, rounds=10)
    assert Counter(wider.design.members) == Counter(dict(wider.weights))
    assert np.gcd.reduce(list(wider.weights.values())) == 1
    assert parse_design(str(wider.design)) == wider.design


def test_limits_hold_for_the_selection_and_for_the_best_single(pool: Pool) -> None:
    dear = pool.costs.max()
    found = selected(pool, max_cost=dear - 1, rounds=6)
    assert found.answer.point.cost.value < dear
    assert found.against[0].quoted.point.cost.value < dear
    assert "net2" not in str(found.design)
    few = selected(pool, family_limits={"net2@8": 1, "net": 3}, rounds=8)
    models = Counter(member.name for member in few.weights)
    assert models["net2"] <= 1
    assert sum(models.values()) <= 3
    without = selected(pool, exclude=("net2", "net1@8#0"), include=("net0@8#2",), rounds=5)
    assert Member("net0", 8, 2) in without.weights
    assert not any(member.name == "net2" for member in without.weights)
    assert Member("net1", 8, 0) not in without.weights


def test_a_penalty_decides_between_singles_too(pool: Pool) -> None:
    found = selected(pool, cost_penalty=1.0, rounds=3)
    assert found.answer.point.cost.value == pool.costs.min()


def test_parameters_are_bounded_beside_the_cost(pool: Pool) -> None:
    sizes = [float(100 + 10 * row) for row in range(len(pool.members))]
    figures = tuple(
        dataclasses.replace(figure, value=size, low=size, high=size)
        for figure, size in zip(pool.cost_figures, sizes, strict=True)
    )
    parameters = dataclasses.replace(pool, axis=CostAxis.parse("parameters"), cost_figures=figures)
    found = selected(pool, parameters, max_parameters=250.0, rounds=5)
    assert sum(sizes[pool.members.index(member)] for member in found.weights) <= 250.0


def test_memory_is_as_large_as_its_largest_member() -> None:
    of = simulated_pool(models=2, seeds=2, select=100, report=50, classes=4)
    costs = [5.0, 5.0, 7.0, 7.0]
    pool = make_pool(
        of.select,
        of.select_labels,
        of.report,
        of.report_labels,
        costs,
        members=of.members,
        axis="activation_peak_bytes",
    )
    found = selected(pool, max_cost=7.0, rounds=6)
    assert len(found.weights) > 1
    assert found.answer.point.cost.value <= 7.0
    assert found.path[-1].cost == found.answer.point.cost.value == 7.0


def test_names_of_members_models_and_families(pool: Pool) -> None:
    assert members_named(pool, "net") == list(range(9))
    assert members_named(pool, "net1") == members_named(pool, "net1@8") == [3, 4, 5]
    assert members_named(pool, "net1@8#2") == [5]
    with pytest.raises(UsageError, match=r"unknown model or family 'nte'; did you mean net\?"):
        members_named(pool, "nte")


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"include": ("net9@8#0",)}, "unknown member"),
        ({"include": ("net0",)}, "not a member"),
        ({"include": ("net0@8#0", "net0@8#1"), "rounds": 1}, "2 members must be in it, but only 1 rounds"),
        ({"include": ("net0@8#0",), "exclude": ("net0",)}, "both"),
        ({"exclude": ("net",)}, "no member may be picked"),
        ({"width": 2, "seed": 1}, "by chance"),
    ],
)
def test_what_cannot_be_is_refused(pool: Pool, wanted: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        selected(pool, **wanted)


def test_top_5_of_five_classes_tells_nothing() -> None:
    pool = simulated_pool(models=1, seeds=2, select=30, report=30, classes=5)
    with pytest.raises(UsageError, match="top-5 of 5 classes is always right"):
        selected(pool, objective=Objective.TOP5)


def test_nothing_is_quoted_of_a_search_that_was_stopped_at_once(pool: Pool) -> None:
    asked = Wanted()
    found = search_weighted((pool,), asked, should_stop=lambda: True)
    with pytest.raises(UsageError, match="nothing was selected"):
        quote_weighted((pool,), asked, found)


def test_a_beam_is_compared_with_greedy_where_they_differ(pool: Pool) -> None:
    for objective in (Objective.ACCURACY, Objective.ECE, Objective.WORST_CLASS):
        found = selected(pool, objective=objective, width=20, rounds=8)
        differs = any(against.what is Reference.GREEDY for against in found.against)
        assert differs != ("the beam found nothing better than greedy selection" in found.notes)
        if differs:
            greedy = next(a for a in found.against if a.what is Reference.GREEDY)
            sign = 1 if objective.metric.higher_is_better else -1
            assert sign * found.answer.chosen_on >= sign * greedy.quoted.chosen_on - 1e-6

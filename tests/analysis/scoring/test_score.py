from fractions import Fraction
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import make_pool, pools, simulated_pool

from explorer.accounting.compose import cascade_cost, ensemble_cost
from explorer.analysis.costs import mean_cost, most_cost, stage_costs, stages_of
from explorer.analysis.pool import Pool
from explorer.analysis.scoring.score import candidate_decisions, evaluate, reached_counts
from explorer.convention import Basis, CostAxis
from explorer.errors import ConventionError, InputDataError, UsageError
from explorer.record import CostFigure
from explorer.spec import Cascade, Exit, Signal, Single, ensemble, parse_design

POOL = simulated_pool(models=3, seeds=2, select=101, report=211)
THREE = "net0@8#0 -> [p>=0.6] mean(net1@8#0, net1@8#1) -> [p>=0.55] net2@8#1"


RICHER = (
    "net0@8#0 -> [margin>=0.4] mean(net1@8#0, net1@8#1) -> [agreement>=1.0] net2@8#1",
    "net0@8#0 -> [entropy<=0.7] + net1@8#0 -> [margin>=0.3] + net2@8#1",
    "net0@8#0 -> [p>=0.6] + mean(net0@8#1, net0@8#1) -> [agreement>=0.9] + net1@8#0"
    " -> [entropy<=1.2] net2@8#0",
    "net2@8#0 -> [entropy<=0.3] net0@8#0 -> [p>=0.5] + mean(net0@8#0, net1@8#0)",
)


def by_example(pool: Pool, design: Cascade, split: str) -> tuple[list[int], list[int]]:
    """A cascade as a person would run it, in fractions: one example, one stage after the other."""
    chance, _ = pool.arrays(split)
    decided, left = [], []
    for e in range(chance.shape[1]):
        ran: list[list[Fraction]] = []
        for number, stage in enumerate(design.stages):
            if not (number and design.joined[number - 1]):
                ran = []
            ran += [[Fraction(float(p)) for p in chance[pool.members.index(m), e]] for m in stage.members]
            mean = [sum(column) / len(ran) for column in zip(*ran, strict=True)]
            answer = mean.index(max(mean))
            if number == len(design.exits) or sure(design.exits[number], mean, ran, answer):
                decided.append(answer)
                left.append(number)
                break
    return decided, left


def sure(leave: Exit, mean: list[Fraction], ran: list[list[Fraction]], answer: int) -> bool:
    first, second, *_ = sorted(mean, reverse=True)
    if leave.signal is Signal.ENTROPY:
        shares = [float(p / sum(mean)) for p in mean] if sum(mean) else [1 / len(mean)] * len(mean)
        entropy = -sum(p * log(p) for p in shares if p)
        assert abs(entropy - leave.threshold) > 1e-12, "too close to tell by floats: choose another threshold"
        return entropy <= leave.threshold
    value = {
        Signal.P: first,
        Signal.MARGIN: first - second,
        Signal.AGREEMENT: Fraction(sum(row.index(max(row)) == answer for row in ran), len(ran)),
    }[leave.signal]
    return float(value) >= leave.threshold


@pytest.mark.parametrize("split", ["select", "report"])
def test_three_stages_with_an_ensemble_inside_run_as_defined(split: str) -> None:
    design = parse_design(THREE)
    decisions, left = candidate_decisions(POOL, design, split)
    wanted = by_example(POOL, design, split)
    assert (decisions.tolist(), left.tolist()) == wanted
    assert set(wanted[1]) == {0, 1, 2}, "the test must use all stages"


@pytest.mark.parametrize("text", RICHER)
def test_every_signal_replacing_and_averaging_runs_as_defined(text: str) -> None:
    design = parse_design(text)
    decisions, left = candidate_decisions(POOL, design, "report")
    wanted = by_example(POOL, design, "report")
    assert (decisions.tolist(), left.tolist()) == wanted
    assert set(wanted[1]) == set(range(len(design.stages))), "the test must use all stages"


@settings(max_examples=150, deadline=None)
@given(pools(max_members=3), st.data())
def test_any_cascade_runs_as_defined_also_at_ties(pool: Pool, data: st.DataObject) -> None:
    names = st.lists(st.sampled_from(pool.members), min_size=1, max_size=3)
    stages = tuple(data.draw(st.lists(names.map(ensemble), min_size=2, max_size=3)))
    joined = tuple(data.draw(st.booleans()) for _ in stages[1:])
    design = Cascade(stages, (Exit(0.5),) * len(joined), joined)
    exits = []
    for stage in design.combined[:-1]:
        known = [s for s in Signal if s is not Signal.AGREEMENT or len(set(stage.members)) > 1]
        signal = data.draw(st.sampled_from(known))
        # entropies no mean of the drawn levels has; of the others, values that occur
        levels = (
            [0.1234567, 0.4321, 0.87654321] if signal is Signal.ENTROPY else [0, 0.25, 1 / 3, 0.5, 2 / 3, 1]
        )
        exits.append(Exit(data.draw(st.sampled_from(levels)), signal))
    design = Cascade(stages, tuple(exits), joined)
    memo = {}
    for _ in range(2):  # the second time from memory
        decisions, left = candidate_decisions(pool, design, "report", memo=memo)
        assert (decisions.tolist(), left.tolist()) == by_example(pool, design, "report")


def test_a_joined_stage_adds_its_own_members_to_the_cost() -> None:
    point = evaluate(POOL, parse_design("net0@8#0 -> [p>=0.6] + mean(net0@8#0, net1@8#0)"), POOL.axis)
    assert point.worst_cost == 1007 + 1007 + 3007, "a member of two stages runs in both, joined or not"
    assert point.cost.value == pytest.approx(1007 + (1007 + 3007) * point.reached[1])


def test_averaging_all_the_way_is_the_ensemble() -> None:
    design = parse_design("net0@8#0 -> [p>=1] + net1@8#0 -> [margin>=1] + net2@8#1")
    decisions, left = candidate_decisions(POOL, design, "report")
    whole, _ = candidate_decisions(POOL, parse_design("mean(net0@8#0, net1@8#0, net2@8#1)"), "report")
    assert np.array_equal(decisions[left == 2], whole[left == 2])
    assert (left == 2).mean() > 0.9


def test_point_of_three_stages() -> None:
    point = evaluate(POOL, parse_design(THREE), POOL.axis)
    decided, left = by_example(POOL, parse_design(THREE), "report")
    reached = [np.mean(np.array(left) >= k) for k in range(3)]
    assert point.reached == pytest.approx(reached)
    assert point.accuracy.value == np.mean(decided == POOL.report_labels)
    assert point.cost.value == pytest.approx(1007 + 2 * 3007 * reached[1] + 9007 * reached[2])
    assert point.worst_cost == 1007 + 2 * 3007 + 9007
    assert point.cost.low < point.cost.value < point.cost.high < point.worst_cost
    assert point.cost.basis is Basis.COUNTED
    assert point.regret == point.select_accuracy - point.accuracy.value


def test_the_edges_of_a_threshold() -> None:
    chance = np.array([[[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]], [[0.0, 1.0]] * 3])
    pool = make_pool(chance, [0, 0, 0], chance, [0, 0, 0], [1.0, 10.0])
    first, second = (Single(m) for m in pool.members)

    def left_at(threshold: float) -> list[int]:
        design = Cascade((first, second), (Exit(threshold),))
        return candidate_decisions(pool, design, "report")[1].tolist()

    assert left_at(0.75) == [0, 1, 0], "a confidence equal to the threshold leaves"
    assert left_at(0.7500001) == [1, 1, 1]
    assert left_at(0.0) == [0, 0, 0]


def test_degenerate_cascades_equal_their_stages() -> None:
    first, second = POOL.members[0], POOL.members[-1]
    for threshold, alone in ((0.0, first), (1.0, second)):
        design = Cascade((Single(first), Single(second)), (Exit(threshold),))
        got, want = evaluate(POOL, design, POOL.axis), evaluate(POOL, Single(alone), POOL.axis)
        assert got.accuracy.value == want.accuracy.value
    assert (
        evaluate(POOL, Cascade((Single(first), Single(second)), (Exit(0.0),)), POOL.axis).cost.value == 1007
    )


def test_a_member_twice_is_a_weight_and_runs_once() -> None:
    design = parse_design("mean(net0@8#0, net0@8#0, net1@8#0)")
    decisions, _ = candidate_decisions(POOL, design, "report")
    rows = POOL.rows(design.members)
    mean = POOL.report[rows].astype(float).mean(axis=0)
    assert np.array_equal(decisions, mean.argmax(axis=1))
    assert evaluate(POOL, design, POOL.axis).cost.value == 1007 + 3007


def test_parameters_of_a_member_in_two_stages_are_held_once() -> None:
    pool = simulated_pool(models=3, seeds=2, select=11, report=13, axis="parameters")
    point = evaluate(pool, parse_design("net0@8#0 -> [p>=0.6] mean(net0@8#0, net1@8#0)"), pool.axis)
    assert point.cost.value == point.worst_cost == point.select_cost == 1007 + 3007
    again = parse_design("mean(net0@8#0, net1@8#0) -> [p>=0.6] net0@8#0")
    assert evaluate(pool, again, pool.axis).cost.value == 1007 + 3007
    twice = evaluate(pool, parse_design("mean(net0@8#0, net0@8#0, net1@8#0)"), pool.axis)
    assert twice.cost.value == 1007 + 3007


def test_memory_is_that_of_the_largest_member() -> None:
    pool = simulated_pool(models=3, seeds=2, select=11, report=13, axis="activation_peak_bytes")
    point = evaluate(pool, parse_design(THREE), pool.axis)
    assert point.cost.value == point.worst_cost == 9007
    assert point.cost.low == point.cost.high == 9007


@settings(deadline=None)
@given(pools(max_members=3))
def test_mean_cost_is_what_the_accounting_says(pool: Pool) -> None:
    for axis in ("macs", "parameters", "activation_peak_bytes"):
        other = make_pool(
            pool.select, pool.select_labels, pool.report, pool.report_labels, pool.costs.tolist(),
            members=pool.members, axis=axis,
        )  # fmt: skip
        design = ensemble(pool.members)
        if len(pool.members) == 3:
            design = Cascade((Single(pool.members[0]), ensemble(pool.members[1:])), (Exit(0.4),))
        _, left = candidate_decisions(other, design, "select")
        reached = reached_counts(left, len(stages_of(design)))
        kind = other.axis.kind
        stages = [ensemble_cost(kind, other.costs[other.rows(s.members)]) for s in stages_of(design)]
        shares = [count / len(left) for count in reached]
        assert list(stage_costs(other, design)) == stages
        assert mean_cost(other, design, reached) == pytest.approx(cascade_cost(kind, stages, shares))
        assert mean_cost(other, design, reached) <= most_cost(other, design)


def measured_pool() -> Pool:
    base = simulated_pool(models=2, seeds=2, select=41, report=400)
    figures = [
        CostFigure(value=v, low=v * 0.9, high=v * 1.2, basis=Basis.MEASURED) for v in (1.0, 1.0, 3.0, 3.0)
    ]
    return make_pool(
        base.select,
        base.select_labels,
        base.report,
        base.report_labels,
        members=base.members,
        axis="latency@cpu",
        figures=figures,
    )


def test_measured_members_compose_and_say_so() -> None:
    pool = measured_pool()
    single = evaluate(pool, parse_design("net0@8#0"), pool.axis).cost
    assert single == CostFigure(value=1.0, low=0.9, high=1.2, basis=Basis.MEASURED)
    both = evaluate(pool, parse_design("mean(net0@8#0, net1@8#0)"), pool.axis).cost
    assert both.basis is Basis.COMPOSED
    assert both.high == pytest.approx(4 + np.hypot(0.2, 0.6)), "different models err independently"
    seeds = evaluate(pool, parse_design("mean(net0@8#0, net0@8#1)"), pool.axis).cost
    assert (seeds.low, seeds.high) == pytest.approx((1.8, 2.4)), "seeds of one model err together"


def test_a_cascade_joins_exit_and_measurement_noise() -> None:
    pool, design = measured_pool(), parse_design("net0@8#0 -> [p>=0.5] net1@8#0")
    figure = evaluate(pool, design, pool.axis).cost
    share = evaluate(pool, design, pool.axis).reached[1]
    assert 0.1 < share < 0.9
    drawn = 1.96 * 3 * np.sqrt(share * (1 - share) / 400)
    measured = np.hypot(0.2, 0.6 * share)
    assert figure.high - figure.value == pytest.approx(np.hypot(drawn, measured), rel=0.03)
    assert figure.basis is Basis.COMPOSED


def test_cost_interval_of_a_cascade_covers_in_simulation() -> None:
    """Draw report splits out of a large one: the large one's cost should be inside 95 % of the time."""
    whole = simulated_pool(models=2, seeds=1, select=11, report=20_000, seed=4)
    design = parse_design("net0@8#0 -> [p>=0.5] net1@8#0")
    truth = evaluate(whole, design, whole.axis).cost.value
    rng, inside = np.random.default_rng(5), 0
    for _ in range(300):
        rows = rng.choice(20_000, 307)
        drawn = make_pool(
            whole.select,
            whole.select_labels,
            whole.report[:, rows],
            whole.report_labels[rows],
            whole.costs.tolist(),
            members=whole.members,
        )
        figure = evaluate(drawn, design, drawn.axis).cost
        inside += figure.low <= truth <= figure.high
    assert 0.91 <= inside / 300 <= 0.985


def test_what_cannot_be_scored_is_refused() -> None:
    with pytest.raises(ConventionError, match="holds costs of macs, not of param_bytes"):
        evaluate(POOL, Single(POOL.members[0]), CostAxis.parse("param_bytes"))
    with pytest.raises(UsageError, match="unknown member 'net0@8#7'; did you mean"):
        evaluate(POOL, parse_design("mean(net0@8#0, net0@8#7)"), POOL.axis)
    with pytest.raises(UsageError, match="unknown split 'train'"):
        candidate_decisions(POOL, Single(POOL.members[0]), "train")


def test_pools_that_are_no_pools_are_refused() -> None:
    chance = np.full((2, 3, 2), 0.5)
    labels = [0, 1, 1]
    for bad, message in [
        (np.full((2, 3, 2), np.nan), "must be finite and in"),
        (np.full((2, 3, 2), 1.5), "must be finite and in"),
        (np.full((2, 3, 2), -0.5), "must be finite and in"),
        (np.full((2, 2, 2), 0.5), "labels must be 2 integers"),
        (np.full((2, 3, 1), 1.0), "at least 1 example and 2 classes"),
    ]:
        with pytest.raises(InputDataError, match=message):
            make_pool(bad, labels, chance, labels)
    with pytest.raises(InputDataError, match="select has 3 classes and report has 2"):
        make_pool(np.full((2, 3, 3), 0.25), labels, chance, labels)
    with pytest.raises(InputDataError, match="labels must be 0 to 1, got 0 to 2"):
        make_pool(chance, [0, 1, 2], chance, labels)
    with pytest.raises(InputDataError, match=r"macs of net01@8#0 must be 0 or more, got -1"):
        make_pool(chance, labels, chance, labels, [1.0, -1.0])
    with pytest.raises(UsageError, match="sorted and distinct"):
        make_pool(chance, labels, chance, labels, members=[POOL.members[1], POOL.members[0]])
    figures = [CostFigure(value=1, low=1, high=1, basis=b) for b in (Basis.COUNTED, Basis.PUBLISHED)]
    with pytest.raises(ConventionError, match="mixes costs that are counted and published"):
        make_pool(chance, labels, chance, labels, figures=figures)

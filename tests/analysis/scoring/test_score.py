import numpy as np
import pytest
from hypothesis import given, settings
from strategies import make_pool, pools, simulated_pool

from explorer.accounting.compose import cascade_cost, ensemble_cost
from explorer.analysis.costs import mean_cost, most_cost, stage_costs, stages_of
from explorer.analysis.pool import Pool
from explorer.analysis.scoring.score import candidate_decisions, evaluate, reached_counts
from explorer.convention import Basis, CostAxis
from explorer.errors import ConventionError, InputDataError, UsageError
from explorer.record import CostFigure
from explorer.spec import Cascade, Exit, Single, ensemble, parse_design

POOL = simulated_pool(models=3, seeds=2, select=101, report=211)
THREE = "net0@8#0 -> [p>=0.6] mean(net1@8#0, net1@8#1) -> [p>=0.55] net2@8#1"


def by_example(pool: Pool, design: Cascade, split: str) -> tuple[list[int], list[int]]:
    """A cascade as a person would run it: one example, one stage after the other."""
    chance, _ = pool.arrays(split)
    decided, left = [], []
    for e in range(chance.shape[1]):
        for number, stage in enumerate(design.stages):
            mean = np.mean([chance[pool.members.index(m), e].astype(float) for m in stage.members], axis=0)
            if number == len(design.exits) or mean.max() >= design.exits[number].threshold:
                decided.append(int(mean.argmax()))
                left.append(number)
                break
    return decided, left


@pytest.mark.parametrize("split", ["select", "report"])
def test_three_stages_with_an_ensemble_inside_run_as_defined(split: str) -> None:
    design = parse_design(THREE)
    decisions, left = candidate_decisions(POOL, design, split)
    wanted = by_example(POOL, design, split)
    assert (decisions.tolist(), left.tolist()) == wanted
    assert set(wanted[1]) == {0, 1, 2}, "the test must use all stages"


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

"""Costs of whole designs against distinct primes and brute force over inputs."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.accounting.design import design_cost, makespan, shared_trunk_cost
from explorer.convention import COST_KINDS
from explorer.errors import UsageError
from explorer.spec import ModelSpec, Placement, parse_design

COSTS = {ModelSpec("a", 8): 3.0, ModelSpec("b", 8): 7.0, ModelSpec("c", 8): 13.0}
MACS, LATENCY = COST_KINDS["macs"], COST_KINDS["latency"]
PARAMETERS, PEAK = COST_KINDS["parameters"], COST_KINDS["activation_peak_bytes"]
ENSEMBLE = parse_design("mean(a@8#0, b@8#0, c@8#1)")
CASCADE = parse_design("a@8#0 -> [p>=0.5] mean(b@8#0, b@8#1) -> [p>=0.9] c@8#0")


@pytest.mark.parametrize(
    ("kind", "placement", "expected"),
    [
        (MACS, "sequential", 3 + 7 + 13),
        (MACS, "parallel(2)", 3 + 7 + 13),
        (MACS, "batched", 3 + 7 + 13),
        (LATENCY, "sequential", 3 + 7 + 13),
        (LATENCY, "parallel(2)", 13),
        (LATENCY, "parallel(9)", 13),
        (PARAMETERS, "parallel(2)", 3 + 7 + 13),
        (PEAK, "sequential", 13),
        (PEAK, "parallel(2)", 13 + 7),
        (PEAK, "batched", 3 + 7 + 13),
    ],
)
def test_ensembles_under_placements(kind, placement, expected) -> None:
    cost = design_cost(ENSEMBLE, kind, COSTS, placement=Placement.parse(placement))

    assert (cost.mean, cost.worst, cost.tail(0.99)) == (expected, expected, expected)


def test_a_cascade_is_a_distribution() -> None:
    cost = design_cost(CASCADE, MACS, COSTS, reached=(1.0, 0.25, 0.01))

    assert cost.stages == (3.0, 14.0, 13.0)
    assert cost.mean == pytest.approx(3 + 0.25 * 14 + 0.01 * 13)
    assert cost.worst == 3 + 14 + 13
    assert [cost.tail(q) for q in (0.5, 0.75, 0.76, 0.99, 0.995, 1.0)] == [3, 3, 17, 17, 30, 30]


def test_memory_of_a_cascade_does_not_depend_on_who_leaves() -> None:
    assert design_cost(CASCADE, PARAMETERS, COSTS, reached=(1.0, 0.1, 0.0)).mean == 3 + 7 + 7 + 13
    assert design_cost(CASCADE, PEAK, COSTS, reached=(1.0, 0.1, 0.0)).mean == 13


def test_a_member_of_two_stages_is_held_once_and_run_twice() -> None:
    design = parse_design("a@8#0 -> [p>=0.5] mean(a@8#0, b@8#0)")

    assert design_cost(design, PARAMETERS, COSTS, reached=(1.0, 0.5)).mean == 3 + 7
    assert design_cost(design, MACS, COSTS, reached=(1.0, 0.5)).mean == 3 + 0.5 * (3 + 7)


@given(
    reached=st.lists(st.integers(0, 40), min_size=2, max_size=2).map(
        lambda x: (40, *sorted(x, reverse=True))
    ),
    share=st.integers(1, 40),
)
def test_mean_and_tail_equal_a_walk_over_inputs(reached, share) -> None:
    paid = [sum((3, 14, 13)[: sum(i < n for n in reached)]) for i in range(40)]
    cost = design_cost(CASCADE, MACS, COSTS, reached=tuple(n / 40 for n in reached))

    assert cost.mean == pytest.approx(sum(paid) / 40)
    assert cost.tail(share / 40) == sorted(paid)[share - 1]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=7), st.integers(1, 4))
def test_makespan_is_within_grahams_bound_of_the_best_schedule(times, workers) -> None:
    best = (
        min(
            max(sum(t for t, w in zip(times, dealt, strict=True) if w == k) for k in range(workers))
            for dealt in itertools.product(range(workers), repeat=len(times))
        )
        if workers ** len(times) <= 4096
        else max(max(times), math.ceil(sum(times) / workers))
    )

    found = makespan(times, workers)
    assert best <= found <= (4 / 3 - 1 / (3 * workers)) * best + 1e-9 or workers ** len(times) > 4096
    assert max(times) <= found <= sum(times)


def test_a_shared_trunk_is_paid_once() -> None:
    assert shared_trunk_cost(MACS, 11, [3, 5, 7]) == 11 + 3 + 5 + 7
    assert shared_trunk_cost(PEAK, 11, [3, 5, 7]) == 11


def test_what_cannot_be_known_is_refused() -> None:
    with pytest.raises(UsageError, match="has to be measured"):
        design_cost(ENSEMBLE, LATENCY, COSTS, placement=Placement.parse("batched"))
    with pytest.raises(UsageError, match="needs the share that reaches each of 3 stages"):
        design_cost(CASCADE, MACS, COSTS)
    with pytest.raises(UsageError, match="no macs known of d@8; known: a@8, b@8, c@8"):
        design_cost(parse_design("d@8#0"), MACS, COSTS)
    with pytest.raises(UsageError, match="unknown placement 'everywhere'"):
        Placement.parse("everywhere")
    with pytest.raises(UsageError, match="cannot have 0 workers"):
        Placement.parse("parallel(0)")

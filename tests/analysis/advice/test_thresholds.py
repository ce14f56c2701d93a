"""A design with other thresholds decides as the rule's arrays say, and idle stages change no answer."""

from math import inf

import numpy as np
import pytest
from strategies import make_pool, simulated_pool

from explorer.analysis.advice.thresholds import calibration, exit_stages, two_stages_of, with_thresholds
from explorer.analysis.scoring.score import candidate_decisions, evaluate
from explorer.errors import UsageError
from explorer.spec import Cascade, parse_design

POOL = simulated_pool(models=4, seeds=2, select=240, report=300, seed=3)
CHAINS = [
    "net0@8#0 -> [p>=0.5] net1@8#0 -> [p>=0.5] net3@8#0",
    "net0@8#0 -> [p>=0.5] + net1@8#0 -> [margin>=0.5] + net3@8#0",
    "net0@8#0 -> [entropy<=0.5] net1@8#0 -> [p>=0.5] + net3@8#0",
    "vote(net0@8#0, net0@8#1) -> [agreement>=0.5] vote(net1@8#0, net1@8#1) "
    "-> [p>=0.5] + vote(net3@8#0, net3@8#1)",
]


def answered(chain: Cascade, thresholds) -> tuple[np.ndarray, np.ndarray]:
    """Right answers and costs as the arrays of the rule say."""
    stages = exit_stages(POOL, chain)
    left = np.full(stages.scores.shape[1], len(thresholds))
    for number in reversed(range(len(thresholds))):
        left[stages.scores[number] >= thresholds[number]] = number
    return stages.right[left, np.arange(len(left))], stages.totals[left]


@pytest.mark.parametrize("text", CHAINS)
@pytest.mark.parametrize("places", [(0.3, 0.6), (-inf, 0.5), (0.4, -inf), (inf, 0.5), (0.5, inf), (inf, inf)])
def test_design_answers_as_the_thresholds_do(text: str, places) -> None:
    chain = parse_design(text)
    assert isinstance(chain, Cascade)
    stages = exit_stages(POOL, chain)
    at = [
        place if np.isinf(place) else float(np.quantile(scores, place)) - 1e-9
        for place, scores in zip(places, stages.scores, strict=False)
    ]
    design = with_thresholds(chain, at)
    right, costs = answered(chain, at)
    decisions, _ = candidate_decisions(POOL, design, "select")

    assert np.array_equal(decisions == POOL.select_labels, right)
    point = evaluate(POOL, design, POOL.axis)
    if inf not in at:
        assert point.select_cost == pytest.approx(costs.mean())
    else:  # what nobody left by is not run apart
        assert point.select_cost <= costs.mean() + 1e-9
    assert parse_design(str(design)) == design


def test_idle_stages_go() -> None:
    plain, joined = (parse_design(text) for text in CHAINS[:2])

    assert str(with_thresholds(plain, [inf, 0.7])) == "net1@8#0 -> [p>=0.7] net3@8#0"
    assert str(with_thresholds(plain, [0.7, inf])) == "net0@8#0 -> [p>=0.7] net3@8#0"
    assert str(with_thresholds(plain, [0.7, -inf])) == "net0@8#0 -> [p>=0.7] net1@8#0"
    assert str(with_thresholds(plain, [-inf, 0.2])) == "net0@8#0"
    assert str(with_thresholds(plain, [inf, inf])) == "net3@8#0"
    assert str(with_thresholds(joined, [inf, inf])) == "mean(net0@8#0, net1@8#0, net3@8#0)"
    assert str(with_thresholds(joined, [inf, 0.7])) == "mean(net0@8#0, net1@8#0) -> [margin>=0.7] + net3@8#0"
    with pytest.raises(UsageError, match="2 thresholds, got 1"):
        with_thresholds(plain, [0.5])


def test_calibration_is_the_two_stages() -> None:
    cascade = parse_design("net0@8#0 -> [entropy<=0.5] + net2@8#1")
    found = calibration(POOL, cascade, "report")
    chance = POOL.report[POOL.rows(cascade.stages[0].members)][0].astype(float)
    shares = chance / chance.sum(axis=1, keepdims=True)
    entropy = -np.sum(shares * np.log(np.maximum(shares, 1e-300)), axis=1)
    both = np.mean([POOL.report[POOL.rows((m,))][0].astype(float) for m in cascade.members], axis=0)

    assert found.confidence == pytest.approx(-entropy)
    assert np.array_equal(found.first_right, chance.argmax(1) == POOL.report_labels)
    assert np.array_equal(found.second_right, both.argmax(1) == POOL.report_labels)
    assert found.costs == (1007.0, 9007.0)


def test_what_no_threshold_changes_is_refused() -> None:
    arrays = POOL.select, POOL.select_labels, POOL.report, POOL.report_labels
    held = make_pool(*arrays, list(range(1, 9)), members=POOL.members, axis="parameters")
    with pytest.raises(UsageError, match="parameters is the same whoever leaves"):
        calibration(held, parse_design("net0@8#0 -> [p>=0.5] net1@8#0"))
    with pytest.raises(UsageError, match="got 3 in"):
        two_stages_of(parse_design(CHAINS[0]))
    with pytest.raises(UsageError, match="got 1 in net0@8#0"):
        two_stages_of(parse_design("net0@8#0"))

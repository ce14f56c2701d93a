"""Designs on every metric: values by the plain definitions, intervals against a plain bootstrap."""

import numpy as np
import pytest
from strategies import make_pool, simulated_pool

from explorer.analysis.advice.scores import of_front, score_designs
from explorer.analysis.result import Verdict
from explorer.analysis.scoring import metrics
from explorer.analysis.scoring.answers import candidate_answers
from explorer.analysis.scoring.score import evaluate
from explorer.analysis.scoring.score_parts import ScoreName
from explorer.analysis.scoring.temperature import fit_temperature, tempered_losses
from explorer.analysis.search.exact import search
from explorer.analysis.search.plan import Space
from explorer.analysis.statistics.compare import compare
from explorer.errors import UsageError
from explorer.spec import parse_design

POOL = simulated_pool(models=3, seeds=2, select=300, report=500, classes=10, seed=2)
TEXTS = ("net1@8#0", "mean(net1@8#0, net1@8#0, net2@8#1)", "net0@8#0 -> [p>=0.6] net2@8#0")
DESIGNS = tuple(map(parse_design, TEXTS))
FOUND = score_designs(POOL, DESIGNS)


def test_values_and_costs() -> None:
    for scored in FOUND.designs:
        answers = candidate_answers(POOL, scored.design, "report")
        point = evaluate(POOL, scored.design, POOL.axis)
        chosen = candidate_answers(POOL, scored.design, "select")
        temperature = fit_temperature(chosen.probabilities, POOL.select_labels)

        assert scored.scores[ScoreName.ACCURACY] == point.accuracy
        assert scored.cost == pytest.approx(point.cost.value)
        assert scored.temperature == pytest.approx(temperature)
        losses = tempered_losses(answers.probabilities, POOL.report_labels, temperature)
        assert scored.scores[ScoreName.NLL_TEMPERED].value == pytest.approx(losses.mean())
        assert scored.scores[ScoreName.BRIER].value == pytest.approx(
            metrics.brier(answers.probabilities, POOL.report_labels)
        )
        for interval in scored.scores.values():
            assert interval.low <= interval.value <= interval.high
            assert interval.n == 500


def test_worst_class_is_named() -> None:
    for scored in FOUND.designs:
        right = candidate_answers(POOL, scored.design, "report").decisions == POOL.report_labels
        of_classes = [right[POOL.report_labels == label].mean() for label in range(10)]
        worst = scored.worst_class

        assert worst.label == int(np.argmin(of_classes))
        assert worst.examples == (POOL.report_labels == worst.label).sum()
        assert worst.right / worst.examples == scored.scores[ScoreName.WORST_CLASS_ACCURACY].value


def test_intervals_are_those_of_a_plain_bootstrap() -> None:
    """Another generator, example by example: alike but for its own noise."""
    random = np.random.default_rng(99)
    one, two = (candidate_answers(POOL, design, "report") for design in DESIGNS[:2])
    rows = random.integers(0, 500, (3000, 500))
    losses = [
        -np.log(np.maximum(a.probabilities[np.arange(500), POOL.report_labels], 2.0**-25)) for a in (one, two)
    ]
    drawn, paired = losses[0][rows].mean(axis=1), (losses[1] - losses[0])[rows].mean(axis=1)
    nll = FOUND.designs[0].scores[ScoreName.NLL]
    difference = FOUND.designs[1].differences[ScoreName.NLL].interval

    width = nll.high - nll.low
    assert (nll.low, nll.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.06 * width)
    width = difference.high - difference.low
    assert (difference.low, difference.high) == pytest.approx(
        np.quantile(paired, [0.025, 0.975]), abs=0.06 * width
    )
    # paired on the same examples: much narrower than two intervals beside each other
    assert width < nll.high - nll.low


def test_differences_are_paired_and_know_which_way_is_good() -> None:
    first = FOUND.designs[0]
    assert first.differences == {}
    for scored in FOUND.designs[1:]:
        comparison = compare(POOL, scored.design, first.design)
        assert scored.differences[ScoreName.ACCURACY].interval == comparison.difference
        for name, difference in scored.differences.items():
            gain = scored.scores[name].value - first.scores[name].value
            assert difference.interval.value == pytest.approx(gain)
            if difference.verdict is not Verdict.CANNOT_TELL:
                better = gain > 0 if name.higher_is_better else gain < 0
                assert (difference.verdict is Verdict.BETTER) == better
    assert FOUND.designs[1].differences[ScoreName.NLL].verdict is Verdict.BETTER


def test_a_design_that_answers_alike_cannot_be_told() -> None:
    twice = parse_design("mean(net1@8#0, net1@8#0)")
    found = score_designs(POOL, [DESIGNS[0], twice]).designs[1]

    assert {difference.verdict for difference in found.differences.values()} == {Verdict.CANNOT_TELL}
    assert {difference.interval.value for difference in found.differences.values()} == {0.0}


def test_calibration_of_a_calibrated_design_may_be_none() -> None:
    random = np.random.default_rng(1)
    chance = random.dirichlet(np.full(4, 0.4), 3000)
    labels = (random.random(3000)[:, None] > chance.cumsum(axis=1)).sum(axis=1).clip(0, 3)
    sharper = chance**3 / (chance**3).sum(axis=1, keepdims=True)
    pool = make_pool(np.stack([chance, sharper]), labels, np.stack([chance, sharper]), labels)
    honest, sure = score_designs(pool, [parse_design("net00@8#0"), parse_design("net01@8#0")]).designs

    assert honest.scores[ScoreName.ECE].low == 0.0
    assert honest.scores[ScoreName.ECE].high < 0.04
    assert sure.scores[ScoreName.ECE].low > 0.05
    assert sure.differences[ScoreName.ECE].verdict is Verdict.WORSE
    # a power of 3 is undone by a temperature of 3
    assert sure.temperature == pytest.approx(3.0, rel=0.15)
    assert sure.scores[ScoreName.NLL_TEMPERED].value == pytest.approx(
        honest.scores[ScoreName.NLL].value, abs=0.01
    )
    assert ScoreName.TOP5 not in sure.scores


def test_select_is_said_to_flatter() -> None:
    found = score_designs(POOL, DESIGNS[:1], split="select", notes=("asked",))

    assert found.designs[0].scores[ScoreName.ACCURACY].n == 300
    assert found.notes[0] == "asked"
    assert "flatter" in found.notes[1]


def test_of_a_long_front_some_are_taken() -> None:
    front = search(POOL, POOL.axis, Space(max_members=2))
    designs = [point.design for point in front.points]
    assert len(designs) > 12

    some = of_front(front)
    assert len(some) == len(set(some)) == 12
    assert (some[0], some[-1]) == (designs[0], designs[-1])
    assert of_front(front, 1000) == tuple(designs)


def test_bad_input() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        score_designs(POOL, [])
    with pytest.raises(UsageError, match="given twice: net1@8#0"):
        score_designs(POOL, [DESIGNS[0], DESIGNS[0]])
    with pytest.raises(UsageError, match="split"):
        score_designs(POOL, DESIGNS[:1], split="test")
    with pytest.raises(UsageError, match="net9@8#0"):
        score_designs(POOL, [parse_design("net9@8#0")])

"""Answers are those of the stage each example left at, by the plain definition."""

import numpy as np
import pytest
from strategies import simulated_pool

from explorer.analysis.scoring.answers import candidate_answers
from explorer.analysis.scoring.combine import average
from explorer.analysis.scoring.score import candidate_decisions
from explorer.spec import Averaging, parse_design

POOL = simulated_pool(models=3, seeds=2, select=90, report=110, seed=4)


@pytest.mark.parametrize("split", ["select", "report"])
def test_each_example_has_the_probabilities_of_its_stage(split: str) -> None:
    design = parse_design("net0@8#0 -> [p>=0.6] + net1@8#0 -> [p>=0.6] mean(net2@8#0, net2@8#0, net2@8#1)")
    stored = np.asarray(POOL.arrays(split)[0], dtype=np.float64)
    found = candidate_answers(POOL, design, split)

    assert set(found.left_at.tolist()) == {0, 1, 2}
    for example in range(stored.shape[1]):
        rows = [[0], [0, 2], [4, 4, 5]][found.left_at[example]]
        assert found.probabilities[example] == pytest.approx(stored[rows, example].mean(axis=0))
        assert found.confidence[example] == found.probabilities[example].max()
    assert np.array_equal(found.decisions, candidate_decisions(POOL, design, split)[0])


@pytest.mark.parametrize("rule", list(Averaging))
def test_an_ensemble_answers_with_its_average(rule: Averaging) -> None:
    design = parse_design(f"{rule}(net0@8#1, net2@8#0)")
    found = candidate_answers(POOL, design, "report")

    assert np.array_equal(found.probabilities, average(np.asarray(POOL.report)[[1, 4]], rule))
    assert (found.left_at == 0).all()

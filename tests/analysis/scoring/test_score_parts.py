"""Every metric from its parts against the plain definitions, for whole sets and for resamples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import pools, simulated_pool

from explorer.analysis.pool import Pool
from explorer.analysis.scoring import metrics
from explorer.analysis.scoring.answers import Answers, candidate_answers
from explorer.analysis.scoring.losses import Metric, prepare
from explorer.analysis.scoring.score_parts import ScoreName, score_parts
from explorer.analysis.scoring.temperature import tempered_losses
from explorer.spec import Single, ensemble, parse_design

POOL = simulated_pool(models=3, seeds=2, select=90, report=400, classes=12, seed=4)


def plain(answers: Answers, labels: np.ndarray, temperature: float) -> dict[str, float]:
    chance, decisions = answers.probabilities, answers.decisions
    order = np.argsort(-chance, axis=1, kind="stable")[:, :5]
    of_classes = [(decisions == labels)[labels == label].mean() for label in np.unique(labels)]
    found = {
        "accuracy": metrics.accuracy(decisions, labels),
        "nll": metrics.negative_log_likelihood(chance, labels),
        "nll_tempered": tempered_losses(chance, labels, temperature).mean(),
        "brier": metrics.brier(chance, labels),
        "top5": (order == labels[:, None]).any(axis=1).mean(),
        "ece": metrics.calibration_error(answers.confidence, decisions, labels),
        "worst_class_accuracy": min(of_classes),
    }
    return found if chance.shape[1] > 5 else {k: v for k, v in found.items() if k != "top5"}


def taken(answers: Answers, rows: np.ndarray) -> Answers:
    return Answers(
        probabilities=answers.probabilities[rows],
        decisions=answers.decisions[rows],
        left_at=answers.left_at[rows],
    )


DESIGNS = (
    "net1@8#0",
    "mean(net1@8#0, net2@8#0, net2@8#0)",
    "vote(net0@8#0, net1@8#0, net2@8#0)",
    "geometric(net0@8#0, net2@8#1)",
    "net0@8#0 -> [p>=0.5] net2@8#1",
)


@pytest.mark.parametrize("text", DESIGNS)
def test_parts_give_the_plain_metrics(text: str) -> None:
    answers = candidate_answers(POOL, parse_design(text), "report")
    parts = score_parts(answers, POOL.report_labels, 1.7)
    found = parts.scores(np.ones((1, 400)))

    assert list(found) == list(ScoreName)
    expected = plain(answers, POOL.report_labels, 1.7)
    assert {str(name): value[0] for name, value in found.items()} == pytest.approx(expected)


def test_resamples_are_scored_as_if_drawn() -> None:
    random = np.random.default_rng(0)
    answers = candidate_answers(POOL, parse_design(DESIGNS[1]), "report")
    parts = score_parts(answers, POOL.report_labels, 0.8)
    drawn = random.integers(0, 400, (7, 400))
    found = parts.scores(np.stack([np.bincount(rows, minlength=400) for rows in drawn]).astype(float))

    for place, rows in enumerate(drawn):
        expected = plain(taken(answers, rows), POOL.report_labels[rows], 0.8)
        assert {str(name): value[place] for name, value in found.items()} == pytest.approx(expected)


@settings(deadline=None, max_examples=40)
@given(pools(), st.floats(0.3, 3.0))
def test_ties_and_few_classes(pool: Pool, temperature: float) -> None:
    for design in (Single(pool.members[0]), ensemble(pool.members)):
        answers = candidate_answers(pool, design, "report")
        found = score_parts(answers, pool.report_labels, temperature).scores(
            np.ones((1, len(pool.report_labels)))
        )
        expected = plain(answers, pool.report_labels, temperature)
        assert {str(name): value[0] for name, value in found.items()} == pytest.approx(expected, abs=1e-12)


def test_fast_scorers_agree() -> None:
    """`losses.prepare` gets there another way."""
    rows = [2, 4, 4]
    answers = candidate_answers(POOL, ensemble([POOL.members[row] for row in rows]), "report")
    found = score_parts(answers, POOL.report_labels, 1.0).scores(np.ones((1, 400)))
    for metric in Metric:
        fast = prepare(list(np.asarray(POOL.report)), POOL.report_labels, metric)
        assert found[ScoreName(metric.value)][0] == pytest.approx(fast.score_sets(np.array([rows]))[0])


def test_a_class_that_is_not_drawn_is_not_the_worst() -> None:
    answers = candidate_answers(POOL, parse_design("net0@8#0"), "report")
    parts = score_parts(answers, POOL.report_labels, 1.0)
    without = (POOL.report_labels != 3).astype(float)[None]

    assert parts.by_class(without)[3, 0] == 1.0
    assert parts.scores(without)[ScoreName.WORST_CLASS_ACCURACY][0] < 1.0

"""When to refuse: the figures on report by plain recomputation, and the promise in simulation."""

from dataclasses import replace

import numpy as np
import pytest
from strategies import simulated_pool

from explorer.analysis.advice.refusal import refusal
from explorer.analysis.statistics.selective import guaranteed_coverage
from explorer.errors import UsageError
from explorer.spec import parse_design
from tests.plain_scoring import plain_decisions

POOL = simulated_pool(models=4, seeds=1, select=900, report=1200, seed=7)
CASCADE = parse_design("net0@8#0 -> [p>=0.6] net3@8#0")
SINGLE = parse_design("net3@8#0")


def plain(split: str, design):
    stored, labels = POOL.arrays(split)
    arrays = {str(m): np.asarray(stored[row], dtype=float) for row, m in enumerate(POOL.members)}
    decisions, confidence = plain_decisions(design, arrays)
    return confidence, decisions == labels


@pytest.mark.parametrize("design", [CASCADE, SINGLE, parse_design("mean(net2@8#0, net3@8#0)")])
def test_figures_on_report(design) -> None:
    found = refusal(POOL, design, 0.15)
    confidence, right = plain("select", design)
    expected = guaranteed_coverage(confidence, right, 0.15)
    assert found.guarantee.coverage == expected.coverage
    assert found.kept is not None
    assert found.kept.risk is not None
    reported, hits = plain("report", design)
    answered = reported > expected.threshold
    assert found.kept.coverage.value == answered.mean()
    assert found.kept.risk.value == pytest.approx((~hits)[answered].mean())
    assert found.kept.risk.n == answered.sum()
    # without a promise: the widest coverage that fits, a threshold at which ties answer together
    best = max((confidence >= at).mean() for at in confidence if (~right)[confidence >= at].mean() <= 0.15)
    assert found.plain_threshold is not None
    assert (confidence >= found.plain_threshold).mean() == best
    assert best >= found.guarantee.coverage
    assert found.accuracy.value == hits.mean()


def test_window_is_for_two_stages() -> None:
    found, single = refusal(POOL, CASCADE, 0.05), refusal(POOL, SINGLE, 0.05)

    assert single.window is None
    assert found.window is not None
    assert found.window_budget is not None
    on = plain("select", parse_design("net0@8#0"))[0] < 0.6
    assert found.window_budget == pytest.approx(1007 + 27007 * on.mean())
    assert refusal(POOL, CASCADE, 0.05, budget=2_000.0).window.goes_on < found.window.goes_on
    with pytest.raises(UsageError, match="cascade of 2 stages"):
        refusal(POOL, SINGLE, 0.05, budget=2_000.0)
    with pytest.raises(UsageError, match="budget of 1007 or more"):
        refusal(POOL, CASCADE, 0.05, budget=2.0)


def test_what_cannot_be_promised_says_what_can() -> None:
    found = refusal(POOL, SINGLE, 0.0005)

    assert found.kept is None
    assert found.possible is not None
    assert refusal(POOL, SINGLE, found.possible).kept is not None
    assert refusal(POOL, SINGLE, found.possible - 1e-6).kept is None
    assert found.guarantee.examples_needed is not None


def test_promise_holds_for_as_many_redrawn_sets_as_said() -> None:
    random, broken = np.random.default_rng(3), 0
    for _ in range(150):
        rows = random.integers(0, 1200, 300)
        drawn = replace(POOL, select=POOL.report[:, rows], select_labels=POOL.report_labels[rows])
        found = refusal(drawn, SINGLE, 0.18, delta=0.1)
        broken += found.kept is not None and found.kept.risk is not None and found.kept.risk.value > 0.18
    assert broken / 150 <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 150)


def test_one_of_many_gets_its_share_of_delta() -> None:
    assert (
        refusal(POOL, SINGLE, 0.05, picked_from=50).guarantee
        == refusal(POOL, SINGLE, 0.05, delta=0.001).guarantee
    )


@pytest.mark.parametrize(("risk", "delta", "many"), [(0.0, 0.05, 1), (0.1, 1.0, 1), (0.1, 0.05, 0)])
def test_bad_input(risk: float, delta: float, many: int) -> None:
    with pytest.raises(UsageError):
        refusal(POOL, SINGLE, risk, delta=delta, picked_from=many)

"""The fitted deferral rule: the fit against a generic minimiser, the comparison by plain recomputation."""

import numpy as np
import pytest
from scipy import optimize
from strategies import make_pool, simulated_pool

from explorer.analysis.pool import Pool
from explorer.analysis.statistics.post_hoc import fit_rule, goes_on_by, plain_signals, post_hoc
from explorer.errors import InputDataError, UsageError
from explorer.spec import Cascade, Exit, Member, Signal, Single, ensemble

LIFELIKE = simulated_pool(models=3, seeds=2, select=400, report=300, seed=2)
PAIR = Cascade((Single(LIFELIKE.members[0]), Single(LIFELIKE.members[4])), (Exit(0.7),))


def specialist(*, select: int, report: int, seed: int) -> Pool:
    """Return two networks of two classes; the second knows class 0 and is hopeless at class 1.

    The first answers 0 or 1, right on 70 %, and how sure it is says nothing. Going on helps where it
    answered 0 and harms where it answered 1: only what it answered tells.
    """
    rng = np.random.default_rng(seed)
    splits = []
    for n in (select, report):
        labels = rng.integers(0, 2, n)
        first = np.where(rng.random(n) < 0.7, labels, 1 - labels)
        second = np.where(first == 0, labels, 1 - labels)
        sure = rng.uniform(0.55, 0.95, n)
        rows = []
        for answer in (first, second):
            chance = np.stack([1 - sure, 1 - sure], axis=1)
            chance[np.arange(n), answer] = sure
            rows.append(chance)
        splits += [np.stack(rows), labels]
    return make_pool(*splits, [1.0, 10.0], members=[Member("a", 8, 0), Member("b", 8, 0)])


def test_rule_is_the_minimum_of_the_penalised_loss() -> None:
    rng = np.random.default_rng(5)
    features = rng.normal(3, 2, (80, 2))
    second, first = rng.random(80) < 0.6, rng.random(80) < 0.5
    penalty = 0.7

    rule = fit_rule(features, second, first, penalty=penalty)

    given = np.c_[np.ones(80), (features - features.mean(0)) / features.std(0)]
    outcome = [0 if a == b else 1 if a else 2 for a, b in zip(second, first, strict=True)]

    def loss(flat: np.ndarray) -> float:
        weights = flat.reshape(3, 3)
        score = given @ weights
        total = sum(np.log(np.exp(row).sum()) - row[kind] for row, kind in zip(score, outcome, strict=True))
        return float(total + penalty / 2 * (weights[1:] ** 2).sum())

    slow = optimize.minimize(loss, np.zeros(9), method="BFGS", options={"gtol": 1e-6})
    assert loss(rule.weights.ravel()) == pytest.approx(slow.fun, abs=1e-4)
    chance = np.exp(given @ slow.x.reshape(3, 3))
    chance /= chance.sum(axis=1, keepdims=True)
    assert rule.scores(features) == pytest.approx(chance[:, 1] - chance[:, 2], abs=1e-3)


def test_a_feature_that_never_changes_does_no_harm() -> None:
    features = np.c_[np.ones(10), np.arange(10.0)]

    rule = fit_rule(features, np.arange(10) > 4, np.zeros(10, bool))

    assert np.isfinite(rule.scores(features)).all()
    assert (np.diff(rule.scores(features)) > 0).all()


def test_what_only_a_class_tells_is_found_and_recommended() -> None:
    pool = specialist(select=600, report=600, seed=1)
    cascade = Cascade((Single(pool.members[0]), Single(pool.members[1])), (Exit(0.75),))

    found = post_hoc(pool, cascade, class_bias=True)

    assert found.recommended
    assert found.held_out.low > 0
    assert found.on_report.low > 0
    assert found.features == ("p", "margin", "entropy", "class")
    assert found.rule_goes_on <= found.goes_on
    # 15 % of all are answered 0 wrongly; without the class the signals tell nothing of that
    assert not post_hoc(pool, cascade).recommended


def test_a_rule_of_noise_is_hardly_ever_recommended() -> None:
    yes = 0
    for seed in range(12):
        pool = simulated_pool(models=2, seeds=1, select=200, report=20, seed=seed)
        cascade = Cascade((Single(pool.members[0]), Single(pool.members[1])), (Exit(0.6),))
        yes += post_hoc(pool, cascade, class_bias=True).recommended
    assert yes <= 1


def test_where_going_on_harms_sending_the_harmless_is_no_merit() -> None:
    large_first = Cascade((Single(LIFELIKE.members[4]), Single(LIFELIKE.members[0])), (Exit(0.8),))

    found = post_hoc(LIFELIKE, large_first)

    assert not found.recommended
    assert found.goes_on < 0.1


def test_figures_are_those_of_report_recomputed() -> None:
    found = post_hoc(LIFELIKE, PAIR)

    first, second = (np.asarray(LIFELIKE.report[row], np.float64) for row in LIFELIKE.rows(PAIR.members))
    labels = LIFELIKE.report_labels
    right1, right2 = first.argmax(1) == labels, second.argmax(1) == labels
    n = len(labels)
    accuracies = {}
    for signal in plain_signals(PAIR.stages[0]):
        ranked = np.sort(first, axis=1)
        share = first / first.sum(axis=1, keepdims=True)
        sure = {
            Signal.P: ranked[:, -1],
            Signal.MARGIN: ranked[:, -1] - ranked[:, -2],
            Signal.ENTROPY: (share * np.log(np.where(share > 0, share, 1))).sum(axis=1),
        }[signal]
        goes = np.zeros(n, bool)
        goes[np.argsort(sure, kind="stable")[: round(found.goes_on * n)]] = True
        accuracies[signal] = np.where(goes, right2, right1).mean()
    assert found.plain_accuracy.value == pytest.approx(accuracies[found.plain], abs=2 / n)
    most = right1.sum() + min((right2 & ~right1).sum(), round(found.goes_on * n))
    assert found.oracle_accuracy.value == most / n
    assert found.oracle_accuracy.value >= max(found.rule_accuracy.value, found.plain_accuracy.value)
    difference = found.rule_accuracy.value - found.plain_accuracy.value
    assert found.on_report.value == pytest.approx(difference)
    assert found.held_out.n == len(LIFELIKE.select_labels)


def test_agreement_is_a_feature_of_several_members_only() -> None:
    first = ensemble(LIFELIKE.members[:2])
    found = post_hoc(LIFELIKE, Cascade((first, Single(LIFELIKE.members[4])), (Exit(0.7),)))

    assert found.features == ("p", "margin", "entropy", "agreement")


def test_who_goes_on_is_never_part_of_a_tie() -> None:
    scores = np.array([0.3, 0.9, 0.3, 0.1])

    assert goes_on_by(scores, 0).tolist() == [False] * 4
    assert goes_on_by(scores, 1).tolist() == [False, True, False, False]
    assert goes_on_by(scores, 2).tolist() == [False, True, False, False]
    assert goes_on_by(scores, 3).tolist() == [True, True, True, False]
    assert goes_on_by(scores, 4).all()


def test_bad_input_is_refused() -> None:
    with pytest.raises(UsageError, match="two stages"):
        post_hoc(LIFELIKE, Single(LIFELIKE.members[0]))
    tiny = simulated_pool(models=2, seeds=1, select=3, report=3, seed=1)
    with pytest.raises(UsageError, match="4 examples"):
        post_hoc(tiny, Cascade((Single(tiny.members[0]), Single(tiny.members[1])), (Exit(0.5),)))
    right = np.zeros(3, bool)
    with pytest.raises(UsageError, match="penalty"):
        fit_rule(np.zeros((3, 1)), right, right, penalty=0.0)
    with pytest.raises(InputDataError, match="finite"):
        fit_rule(np.full((3, 1), np.nan), right, right)
    with pytest.raises(InputDataError, match="example"):
        fit_rule(np.zeros((2, 1)), right, right)

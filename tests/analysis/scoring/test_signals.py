from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import probability_arrays

from explorer.analysis.scoring.combine import FIXED_POINT, average, class_scores, combine
from explorer.analysis.scoring.signals import agreement, leaves, score_signal, signal_values
from explorer.errors import InputDataError
from explorer.spec import Averaging, Exit, Signal


def rows(*members: list[list[float]]) -> np.ndarray:
    return np.array(members, np.float16)


CHANCES = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 4)).flatmap(
    lambda n: probability_arrays(members=n[0], examples=n[1], classes=n[2])
)


def test_values_of_one_member_by_hand() -> None:
    chance = rows([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    assert signal_values(Signal.P, chance).tolist() == [0.5, 1.0, 0.5]
    assert signal_values(Signal.MARGIN, chance).tolist() == [0.25, 1.0, 0.0]
    assert signal_values(Signal.AGREEMENT, chance).tolist() == [1.0, 1.0, 1.0]
    assert signal_values(Signal.ENTROPY, chance) == pytest.approx([1.5 * log(2), 0.0, log(2)], abs=0)


def test_a_certain_answer_has_no_entropy_and_leaves_at_zero() -> None:
    values = signal_values(Signal.ENTROPY, rows([[0.0, 1.0], [0.5, 0.5]], [[0.0, 1.0], [0.0, 1.0]]))
    assert leaves(values, Exit(0.0, Signal.ENTROPY)).tolist() == [True, False]


def test_the_margin_of_a_mean_is_that_of_its_whole_numbers() -> None:
    step = 2.0**-24  # the smallest float16; as float32 means the two would tie
    chance = rows([[0.5, 0.25]], [[0.25, 0.5 + 2**-11]], [[step, 0.0]])
    # in units of 2^-24: 12582913 and 12591104, so class 1 leads by 8191
    assert signal_values(Signal.MARGIN, chance).tolist() == [8191 / (3 * FIXED_POINT)]


def test_agreement_is_a_share_of_occurrences_that_a_threshold_can_name() -> None:
    a, b, c = [[0.9, 0.1]], [[0.4, 0.6]], [[0.8, 0.2]]
    values = signal_values(Signal.AGREEMENT, rows(a, b, c))
    assert values.tolist() == [2 / 3]
    assert leaves(values, Exit(2 / 3, Signal.AGREEMENT)).all()
    assert not leaves(values, Exit(0.67, Signal.AGREEMENT)).any()
    assert signal_values(Signal.AGREEMENT, rows(a, a, b, c)).tolist() == [0.75], "a repeat is a weight"


def test_members_may_all_differ_from_the_answer() -> None:
    chance = rows([[0.5, 0.0, 0.4]], [[0.0, 0.5, 0.4]])
    assert combine(chance)[0].tolist() == [2]
    assert signal_values(Signal.AGREEMENT, chance).tolist() == [0.0]


def test_each_signal_has_its_sure_side_and_the_threshold_is_on_it() -> None:
    values = np.array([0.25, 0.5, 0.75])
    for signal in (Signal.P, Signal.MARGIN, Signal.AGREEMENT):
        assert leaves(values, Exit(0.5, signal)).tolist() == [False, True, True]
    assert leaves(values, Exit(0.5, Signal.ENTROPY)).tolist() == [True, True, False]


def test_votes_agree_as_far_as_they_are_sure() -> None:
    rng = np.random.default_rng(3)
    chance = rng.dirichlet(np.ones(4), size=(5, 50)).astype(np.float16)
    p, agreeing = (signal_values(s, chance, Averaging.VOTE) for s in (Signal.P, Signal.AGREEMENT))
    assert np.array_equal(p, agreeing)
    assert len(set(p)) > 2


@pytest.mark.parametrize("averaging", list(Averaging))
@given(CHANCES)
def test_p_is_the_confidence_and_the_others_follow_from_the_average(averaging, chance) -> None:
    assert np.array_equal(signal_values(Signal.P, chance, averaging), combine(chance, averaging)[1])
    for e, answer in enumerate(average(chance, averaging)):
        best = [*sorted(answer.tolist(), reverse=True), 0.0]
        total = sum(answer)
        shares = [p / total for p in answer] if total else [1 / len(answer)] * len(answer)
        entropy = -sum(p * log(p) for p in shares if p)
        margin = signal_values(Signal.MARGIN, chance, averaging)[e]
        assert margin == pytest.approx(best[0] - best[1], abs=1e-12)
        assert signal_values(Signal.ENTROPY, chance, averaging)[e] == pytest.approx(entropy, abs=1e-12)
        own = [member[e].tolist() for member in chance]
        agreeing = sum(row.index(max(row)) == combine(chance, averaging)[0][e] for row in own)
        assert signal_values(Signal.AGREEMENT, chance, averaging)[e] == agreeing / len(own)


@pytest.mark.parametrize("signal", list(Signal))
@given(CHANCES)
def test_identical_members_are_as_sure_as_one(signal, chance) -> None:
    one = chance[:1]
    same = np.repeat(one, 3, axis=0)
    assert signal_values(signal, same) == pytest.approx(signal_values(signal, one), rel=1e-15, abs=1e-15)


def test_nothing_but_zeros_is_as_unsure_as_can_be() -> None:
    chance = rows([[0.0, 0.0, 0.0]])
    assert signal_values(Signal.ENTROPY, chance).tolist() == pytest.approx([log(3)])
    assert signal_values(Signal.P, chance).tolist() == [0.0]


def test_one_class_leads_by_all_it_has() -> None:
    chance = rows([[1.0], [0.5]])
    assert signal_values(Signal.MARGIN, chance).tolist() == [1.0, 0.5]
    assert signal_values(Signal.ENTROPY, chance).tolist() == [0.0, 0.0]


def test_scores_already_summed_give_the_same_values() -> None:
    rng = np.random.default_rng(4)
    chance = rng.dirichlet(np.ones(4), size=(3, 20)).astype(np.float16)
    scores = class_scores(chance, Averaging.MEAN)
    for signal in (Signal.P, Signal.MARGIN, Signal.ENTROPY):
        assert np.array_equal(score_signal(signal, scores, 3 * FIXED_POINT), signal_values(signal, chance))
    tops = chance.argmax(axis=2)
    values = signal_values(Signal.AGREEMENT, chance)
    assert np.array_equal(agreement(tops, scores.argmax(axis=1)), values)
    with pytest.raises(ValueError, match="use agreement"):
        score_signal(Signal.AGREEMENT, scores, 1)


def test_probabilities_of_another_form_are_refused() -> None:
    with pytest.raises(InputDataError, match="must be float16"):
        signal_values(Signal.ENTROPY, np.ones((1, 1, 2)))

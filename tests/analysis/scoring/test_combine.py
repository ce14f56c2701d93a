from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import probability_arrays

from explorer.analysis.scoring.combine import (
    ZERO_PROBABILITY,
    average,
    combine,
    member_values,
    near_ties,
)
from explorer.errors import InputDataError
from explorer.spec import Averaging

ARRAYS = st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(2, 5)).flatmap(
    lambda s: probability_arrays(members=s[0], examples=s[1], classes=s[2])
)


def random_array(seed: int = 0, members: int = 7, examples: int = 53, classes: int = 11) -> np.ndarray:
    rng = np.random.default_rng(seed)
    chance = rng.dirichlet(np.full(classes, 0.3), (members, examples))
    return chance.astype(np.float16)


@given(ARRAYS)
def test_mean_is_the_argmax_of_exact_fractions_lowest_index_on_ties(array: np.ndarray) -> None:
    decisions, confidence = combine(array)
    for e in range(array.shape[1]):
        sums = [sum(Fraction(float(p)) for p in array[:, e, c]) for c in range(array.shape[2])]
        assert decisions[e] == sums.index(max(sums))
        assert confidence[e] == float(max(sums) / len(array))


def test_every_float16_probability_is_an_integer_in_fixed_point() -> None:
    bits = np.arange(0x3C00 + 1, dtype=np.uint16)  # all of [0, 1], subnormals too
    every = bits.view(np.float16).reshape(1, -1, 1)
    values = member_values(every, Averaging.MEAN)
    assert values.dtype == np.int32
    assert np.array_equal(values.astype(np.float64) / 2**24, every.astype(np.float64))


def test_mean_differs_from_float16_and_float32_sums_where_those_round() -> None:
    small = 2.0**-24
    array = np.array([[[0.5, 0.5]], [[0.5, 0.5]], [[0.0, small]]], dtype=np.float16)
    assert array.sum(axis=0, dtype=np.float16).argmax() == 0
    assert array.sum(axis=0, dtype=np.float32).argmax() == 0
    assert combine(array)[0].tolist() == [1]


@given(ARRAYS)
def test_vote_counts_top_classes_lowest_index_on_ties(array: np.ndarray) -> None:
    decisions, confidence = combine(array, Averaging.VOTE)
    for e in range(array.shape[1]):
        votes = [int(np.argmax(row[e])) for row in array]
        counts = [votes.count(c) for c in range(array.shape[2])]
        assert decisions[e] == counts.index(max(counts))
        assert confidence[e] == max(counts) / len(array)


@given(ARRAYS)
def test_logit_and_geometric_decide_alike(array: np.ndarray) -> None:
    assert np.array_equal(combine(array, Averaging.LOGIT)[0], combine(array, Averaging.GEOMETRIC)[0])
    assert np.array_equal(average(array, Averaging.LOGIT), average(array, Averaging.GEOMETRIC))


@pytest.mark.parametrize("averaging", [Averaging.LOGIT, Averaging.GEOMETRIC])
def test_against_softmax_of_mean_logits_with_arbitrary_shifts(averaging: Averaging) -> None:
    array = random_array()
    clipped = np.maximum(array.astype(np.float64), ZERO_PROBABILITY)
    shift = np.random.default_rng(1).normal(0, 20, (*array.shape[:2], 1))
    logits = (np.log(clipped) + shift).mean(axis=0)
    chance = np.exp(logits - logits.max(axis=1, keepdims=True))
    chance /= chance.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(average(array, averaging), chance, rtol=1e-9)
    assert np.array_equal(combine(array, averaging)[0], chance.argmax(axis=1))


def test_geometric_against_the_product_of_probabilities() -> None:
    array = np.array([[[0.5, 0.25, 0.25]], [[0.125, 0.75, 0.125]]], dtype=np.float16)
    product = np.sqrt([0.5 * 0.125, 0.25 * 0.75, 0.25 * 0.125])
    np.testing.assert_allclose(average(array, Averaging.GEOMETRIC)[0], product / product.sum(), rtol=1e-12)


@pytest.mark.parametrize("averaging", list(Averaging))
def test_averages_sum_to_one_and_hold_the_confidence(averaging: Averaging) -> None:
    array = random_array()
    mean = average(array, averaging)
    decisions, confidence = combine(array, averaging)
    np.testing.assert_allclose(mean.sum(axis=1), 1, atol=0.01)
    assert np.array_equal(mean.max(axis=1), confidence)
    assert np.array_equal(mean[np.arange(len(mean)), decisions], confidence)


@pytest.mark.parametrize("averaging", [Averaging.MEAN, Averaging.GEOMETRIC, Averaging.LOGIT])
@settings(max_examples=50)
@given(array=ARRAYS)
def test_one_member_decides_as_itself(averaging: Averaging, array: np.ndarray) -> None:
    assert np.array_equal(combine(array[:1], averaging)[0], array[0].argmax(axis=1))


@pytest.mark.parametrize("averaging", list(Averaging))
def test_a_repeated_member_is_a_weight(averaging: Averaging) -> None:
    array = random_array(members=2)
    twice = combine(array[[0, 0, 1]], averaging)[0]
    values = member_values(array, averaging)
    assert np.array_equal(twice, (values[0] + values[0] + values[1]).argmax(axis=1))


def test_a_stored_zero_cannot_veto() -> None:
    array = np.array([[[0.0, 0.01]], [[1.0, 0.0]]], dtype=np.float16)
    # 2^-25 x 1 against 0.01 x 2^-25
    assert combine(array, Averaging.GEOMETRIC)[0].tolist() == [0]


def test_near_ties_are_counted_only_where_floats_decide() -> None:
    a, b, c = 0.3, 0.7, 0.11
    array = np.array([[[a, b]], [[b, c]], [[c, a]]], dtype=np.float16)
    assert near_ties(array, Averaging.GEOMETRIC) == 1
    assert near_ties(array, Averaging.MEAN) == near_ties(array, Averaging.VOTE) == 0
    assert near_ties(random_array(), Averaging.LOGIT) == 0


@pytest.mark.parametrize("bad", [np.zeros((1, 2, 3), np.float32), np.zeros((2, 3), np.float16)])
def test_other_arrays_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(InputDataError, match=r"must be float16 \[member, example, class\], got"):
        combine(bad)

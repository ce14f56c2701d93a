import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import probability_arrays, simulated_pool

from explorer.analysis.scoring.combine import combine
from explorer.analysis.scoring.margins import margins
from explorer.analysis.scoring.tables import answer_table, right_everywhere
from explorer.analysis.search.subsets import subset_counts
from explorer.errors import InputDataError
from explorer.spec import Averaging

ARRAYS = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 5)).flatmap(
    lambda s: probability_arrays(members=s[0], examples=s[1], classes=s[2])
)


@settings(deadline=None)
@given(ARRAYS, st.sampled_from(list(Averaging)), st.integers(0, 2**32))
def test_every_subset_is_scored_as_plainly_defined(array: np.ndarray, rule: Averaging, seed: int) -> None:
    members, examples, classes = array.shape
    labels = np.random.default_rng(seed).integers(0, classes, examples)
    table = answer_table(array, labels, rule)
    for size in range(1, members + 1):
        subsets = np.array(list(itertools.combinations(range(members), size)), dtype=np.int32)
        padded = np.concatenate([subsets, np.full((len(subsets), members - size), -1, np.int32)], axis=1)
        right = right_everywhere(table, padded)
        for row, subset in zip(right, subsets, strict=True):
            assert np.array_equal(row, combine(array[subset], rule)[0] == labels)


@pytest.mark.parametrize("rule", list(Averaging))
def test_large_random_pool_and_many_blocks(rule: Averaging, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("entries", "margins"):
        monkeypatch.setattr(f"explorer.analysis.scoring.{module}._BLOCK_BYTES", 24_691)
    pool = simulated_pool(models=2, seeds=3, select=701, report=1, classes=37)
    table = answer_table(pool.select, pool.select_labels, rule)
    subset = np.array([[0, 2, 3, 5]], dtype=np.int32)
    wanted = combine(pool.select[subset[0]], rule)[0] == pool.select_labels
    assert np.array_equal(right_everywhere(table, subset)[0], wanted)
    assert table.table.shape[1] < 701 * 37 / 3, "most classes should have been dropped"


def test_tables_grouped_in_parts_count_as_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = simulated_pool(models=2, seeds=3, select=701, report=1, classes=37)
    whole = margins(pool.select, pool.select_labels)
    monkeypatch.setattr("explorer.analysis.scoring.margins._BLOCK_BYTES", 24_691)
    monkeypatch.setattr("explorer.analysis.scoring.margins._PART_BYTES", 30_000)
    parts = margins(pool.select, pool.select_labels)
    assert len(parts.groups) > len(whole.groups), "several parts have groups of the same width"
    assert sorted(parts.undecided) == sorted(whole.undecided)
    assert np.array_equal(parts.always_right, whole.always_right)
    for size in (1, 2, 3):
        assert np.array_equal(subset_counts(parts, size), subset_counts(whole, size))
        sets = np.array(list(itertools.combinations(range(6), size)), np.int32)
        assert np.array_equal(right_everywhere(parts, sets), right_everywhere(whole, sets))


@settings(deadline=None)
@given(ARRAYS, st.sampled_from(list(Averaging)), st.integers(0, 2**32), st.data())
def test_a_member_may_count_several_times(
    array: np.ndarray, rule: Averaging, seed: int, data: st.DataObject
) -> None:
    labels = np.random.default_rng(seed).integers(0, array.shape[2], array.shape[1])
    chosen = data.draw(st.lists(st.integers(0, len(array) - 1), min_size=1, max_size=6))
    right = right_everywhere(answer_table(array, labels, rule), np.array([chosen], np.int32))
    assert np.array_equal(right[0], combine(array[chosen], rule)[0] == labels)


@settings(deadline=None)
@given(ARRAYS, st.sampled_from(list(Averaging)), st.integers(0, 2**32))
def test_what_is_settled_is_the_same_in_every_set(array: np.ndarray, rule: Averaging, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, array.shape[2], array.shape[1])
    table = answer_table(array, labels, rule)
    assert not set(table.always_right) & set(table.undecided)
    never = sorted(set(range(len(labels))) - set(table.always_right) - set(table.undecided))
    for member in range(len(array)):
        right = combine(array[[member]], rule)[0] == labels
        assert right[table.always_right].all()
        assert not right[never].any()


@pytest.mark.parametrize("rule", list(Averaging))
def test_one_class_is_always_right(rule: Averaging) -> None:
    table = answer_table(np.ones((2, 3, 1), np.float16), np.zeros(3, np.int64), rule)
    assert table.always_right.tolist() == [0, 1, 2]
    assert right_everywhere(table, np.array([[0, 1]], np.int32)).tolist() == [[1, 1, 1]]


def test_members_may_be_arrays_of_their_own() -> None:
    pool = simulated_pool(models=2, seeds=2, select=37, report=1, classes=5)
    sets = np.array(list(itertools.combinations(range(4), 2)), np.int32)
    for rule in (Averaging.MEAN, Averaging.GEOMETRIC):
        whole, apart = (answer_table(m, pool.select_labels, rule) for m in (pool.select, list(pool.select)))
        assert np.array_equal(right_everywhere(whole, sets), right_everywhere(apart, sets))


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(InputDataError, match="float16"):
        answer_table(np.zeros((2, 3, 4)), np.zeros(3, np.int64))
    for rule in (Averaging.MEAN, Averaging.LOGIT):
        with pytest.raises(InputDataError, match="wanted 3 labels, one an example, got"):
            answer_table(np.zeros((2, 3, 4), np.float16), np.zeros(2, np.int64), rule)
    with pytest.raises(InputDataError, match="member 1 must be"):
        answer_table([np.zeros((3, 4), np.float16), np.zeros((2, 4), np.float16)], np.zeros(3, np.int64))

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import probability_arrays, simulated_pool

from explorer.analysis.scoring.combine import combine, member_values
from explorer.analysis.scoring.kernels import undominated
from explorer.analysis.scoring.tables import answer_table, right_everywhere
from explorer.spec import Averaging

ARRAYS = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(2, 5)).flatmap(
    lambda s: probability_arrays(members=s[0], examples=s[1], classes=s[2])
)


def beats(values: np.ndarray, a: int, b: int) -> bool:
    return bool(np.all(values[:, a] >= values[:, b])) and (a < b or bool(np.all(values[:, a] > values[:, b])))


@settings(deadline=None)
@given(ARRAYS, st.sampled_from(list(Averaging)))
def test_undominated_keeps_exactly_the_classes_that_none_beats(array: np.ndarray, rule: Averaging) -> None:
    values = member_values(array, rule)
    offsets, kept, table = undominated(values)
    for e in range(array.shape[1]):
        part = slice(offsets[e], offsets[e + 1])
        classes = range(array.shape[2])
        wanted = [c for c in classes if not any(beats(values[:, e], o, c) for o in classes if o != c)]
        assert kept[part].tolist() == wanted
        assert np.array_equal(table[:, part], values[:, e, wanted])


@settings(deadline=None)
@given(ARRAYS)
def test_examples_on_whose_top_class_all_agree_keep_one_class(array: np.ndarray) -> None:
    offsets, kept, _ = undominated(member_values(array, Averaging.MEAN))
    tops = array.argmax(axis=2)
    for e in range(array.shape[1]):
        if len(set(tops[:, e])) == 1:
            assert kept[offsets[e] : offsets[e + 1]].tolist() == [tops[0, e]]


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


def test_different_float16_numbers_stay_apart_in_the_logarithm() -> None:
    bits = np.arange(0x3C00 + 1, dtype=np.uint16)
    every = bits.view(np.float16).reshape(1, 1, -1)
    logs = member_values(every, Averaging.GEOMETRIC)[0, 0]
    assert np.diff(logs).min() > 4.8e-4

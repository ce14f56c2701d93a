from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import probability_arrays, simulated_pool

from explorer.analysis.scoring.combine import combine
from explorer.analysis.scoring.margins import margins
from explorer.analysis.search.subsets import subset_counts
from explorer.errors import UsageError
from explorer.spec import Averaging

ARRAYS = st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 5)).flatmap(
    lambda s: probability_arrays(members=s[0], examples=s[1], classes=s[2])
)


@settings(deadline=None)
@given(ARRAYS, st.sampled_from([Averaging.MEAN, Averaging.VOTE]), st.integers(0, 2**32))
def test_counts_are_those_of_the_plain_definition_in_the_order_of_combinations(
    array: np.ndarray, rule: Averaging, seed: int
) -> None:
    labels = np.random.default_rng(seed).integers(0, array.shape[2], array.shape[1])
    table = margins(array, labels, rule)
    for size in range(1, len(array) + 1):
        sets = combinations(range(len(array)), size)
        wanted = [int((combine(array[list(chosen)], rule)[0] == labels).sum()) for chosen in sets]
        assert subset_counts(table, size).tolist() == wanted


def test_counts_of_more_examples_than_fit_in_a_chunk() -> None:
    pool = simulated_pool(models=3, seeds=3, select=5_003, report=1, classes=7)
    table = margins(pool.select, pool.select_labels)
    assert table.groups[:, 2].max() > 1024, "the test is about groups larger than a chunk"
    sets = list(combinations(range(9), 4))
    wanted = [int((combine(pool.select[list(s)])[0] == pool.select_labels).sum()) for s in sets]
    assert subset_counts(table, 4).tolist() == wanted


def test_impossible_sizes_are_refused() -> None:
    table = margins(np.ones((2, 3, 4), np.float16), np.zeros(3, np.int64))
    for size in (0, 3):
        with pytest.raises(UsageError, match="sets of 1 to 2 members"):
            subset_counts(table, size)


def test_logarithms_have_no_margins() -> None:
    with pytest.raises(UsageError, match="mean and vote only, got geometric"):
        margins(np.ones((2, 3, 4), np.float16), np.zeros(3, np.int64), Averaging.GEOMETRIC)

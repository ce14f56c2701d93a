import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.analysis.scoring.cascade import cuts, short_between

CONFIDENCES = st.lists(
    st.sampled_from([float(np.float16(v)) for v in (0.3, 0.5, 0.75, 0.8301, 0.8306, 0.9995, 1.0)]),
    min_size=1,
    max_size=12,
)


@given(CONFIDENCES)
def test_every_split_between_distinct_confidences_and_no_other(values: list[float]) -> None:
    confidence = np.array(values)
    found = cuts(confidence)
    distinct = sorted(set(values), reverse=True)
    assert found.leavers.tolist() == [sum(v >= level for v in values) for level in distinct[:-1]]
    for cut, leavers in enumerate(found.leavers):
        leaves = confidence >= found.threshold(cut)
        assert leaves.sum() == leavers
        assert set(found.order[:leavers]) == set(np.flatnonzero(leaves))
        assert not np.any(confidence == found.threshold(cut))


@given(st.floats(0, 1), st.floats(0, 1))
def test_strictly_between_for_all_floats(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    if low == high or np.nextafter(low, 1) == high:
        with pytest.raises(ValueError, match=r"no (number|float) lies strictly between"):
            short_between(low, high)
    else:
        found, quarter = short_between(low, high), (high - low) / 4
        assert low < found < high
        assert low + quarter * 0.99 <= found <= high - quarter * 0.99


@given(st.integers(1, 0x3C00))
def test_neighbouring_float16_numbers_need_few_digits(bits: int) -> None:
    low, high = np.array([bits - 1, bits], dtype=np.uint16).view(np.float16).astype(float).tolist()
    if low >= 0.01:
        assert len(repr(short_between(low, high))) <= 8


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(0.4, 0.6, 0.5), (0.2, 0.3, 0.25), (0.8301, 0.8305, 0.8303), (0.6001, 0.7002, 0.65), (0.0, 1.0, 0.5)],
)
def test_short_between_is_short_and_near_the_middle(low: float, high: float, wanted: float) -> None:
    assert short_between(low, high) == wanted


def test_one_confidence_cannot_be_cut() -> None:
    found = cuts(np.array([0.5, 0.5, 0.5]))
    assert len(found.leavers) == 0

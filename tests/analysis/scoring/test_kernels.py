import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import probability_arrays

from explorer.analysis.scoring.combine import member_values
from explorer.analysis.scoring.kernels import undominated
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


def test_different_float16_numbers_stay_apart_in_the_logarithm() -> None:
    bits = np.arange(0x3C00 + 1, dtype=np.uint16)
    every = bits.view(np.float16).reshape(1, 1, -1)
    logs = member_values(every, Averaging.GEOMETRIC)[0, 0]
    assert np.diff(logs).min() > 4.8e-4

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import probability_arrays, simulated_pool

from explorer.analysis.scoring.combine import FIXED_POINT, ZERO_PROBABILITY, average, combine
from explorer.analysis.scoring.kernels import undominated
from explorer.analysis.scoring.losses import Metric, prepare
from explorer.analysis.scoring.metrics import brier, calibration_error, negative_log_likelihood
from explorer.analysis.scoring.rank_kernels import among_largest, contenders
from explorer.errors import InputDataError, UsageError
from explorer.spec import Averaging

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 5))
ARRAYS = SHAPES.flatmap(lambda s: probability_arrays(members=s[0], examples=s[1], classes=s[2]))
RULES = st.sampled_from(list(Averaging))
METRICS = st.sampled_from(list(Metric))
SEEDS = st.integers(0, 2**32)


def plain_metric(chance: np.ndarray, labels: np.ndarray, metric: Metric, k: int) -> float:
    """Work out a metric as defined, on averaged probabilities ``[example, class]``."""
    decisions = chance.argmax(axis=1)
    if metric is Metric.NLL:
        return negative_log_likelihood(chance, labels)
    if metric is Metric.BRIER:
        return brier(chance, labels)
    if metric is Metric.ECE:
        return calibration_error(chance.max(axis=1), decisions, labels)
    if metric is Metric.TOP5:
        best = np.argsort(-chance, axis=1, kind="stable")[:, :k]
        return float((best == labels[:, None]).any(axis=1).mean())
    if metric is Metric.WORST_CLASS_ACCURACY:
        return min(float((decisions[labels == c] == c).mean()) for c in np.unique(labels))
    return float((decisions == labels).mean())


def plain_average(array: np.ndarray, weights: np.ndarray, rule: Averaging) -> np.ndarray:
    """Average with real weights, float64 throughout."""
    shares = (weights / weights.sum())[:, None, None]
    wide = array.astype(np.float64)
    if rule is Averaging.MEAN:
        return (shares * wide).sum(axis=0)
    if rule is Averaging.VOTE:
        return (shares * (array.argmax(axis=2)[:, :, None] == np.arange(array.shape[2]))).sum(axis=0)
    logs = (shares * np.log(np.maximum(wide, ZERO_PROBABILITY))).sum(axis=0)
    raised = np.exp(logs - logs.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def labels_for(array: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, array.shape[2], array.shape[1])


def all_sets(members: int, slots: int) -> np.ndarray:
    rows = [
        (*chosen, *[-1] * (slots - size))
        for size in range(1, slots + 1)
        for chosen in itertools.combinations_with_replacement(range(members), size)
    ]
    return np.array(rows, dtype=np.int32)


@settings(deadline=None, max_examples=100)
@given(ARRAYS, RULES, METRICS, SEEDS, st.integers(1, 3))
def test_every_set_scores_as_plainly_defined(
    array: np.ndarray, rule: Averaging, metric: Metric, seed: int, k: int
) -> None:
    labels, sets = labels_for(array, seed), all_sets(len(array), 3)
    scores = prepare(array, labels, metric, rule, k=k).of_sets(sets)
    for row, value, near in zip(sets, scores.values, scores.near_ties, strict=True):
        wanted = plain_metric(average(array[row[row >= 0]], rule), labels, metric, k)
        if rule in (Averaging.MEAN, Averaging.VOTE):
            assert near == 0
        if near == 0:
            assert value == pytest.approx(wanted, rel=1e-12, abs=1e-12)


@settings(deadline=None, max_examples=100)
@given(ARRAYS, RULES, METRICS, SEEDS, st.integers(1, 3), st.data())
def test_real_weights_score_as_plainly_defined_but_for_near_ties(
    array: np.ndarray, rule: Averaging, metric: Metric, seed: int, k: int, data: st.DataObject
) -> None:
    labels = labels_for(array, seed)
    level = st.sampled_from([0.0, 0.1, 0.2, 0.3, 1 / 3, 0.77, 5.0, 1e-9])
    rows = st.lists(level, min_size=len(array), max_size=len(array)).filter(any)
    weights = np.array(data.draw(st.lists(rows, min_size=1, max_size=4)))
    scores = prepare(array, labels, metric, rule, k=k).of_weights(weights)
    for row, value, near in zip(weights, scores.values, scores.near_ties, strict=True):
        equal = len(set(row[row > 0])) == 1
        if equal and rule in (Averaging.MEAN, Averaging.VOTE):
            wanted = plain_metric(average(array[row > 0], rule), labels, metric, k)
            assert near == 0
        else:
            wanted = plain_metric(plain_average(array, row, rule), labels, metric, k)
        if near == 0:
            assert value == pytest.approx(wanted, rel=1e-11, abs=1e-11)
        elif metric in (Metric.ACCURACY, Metric.TOP5):
            assert abs(value - wanted) * len(labels) <= near + 1e-9


@settings(deadline=None)
@given(ARRAYS, RULES, METRICS, SEEDS)
def test_whole_weights_are_sets_with_repeats(
    array: np.ndarray, rule: Averaging, metric: Metric, seed: int
) -> None:
    prepared = prepare(array, labels_for(array, seed), metric, rule)
    sets = all_sets(len(array), 3)
    counts = np.stack([np.bincount(row[row >= 0], minlength=len(array)) for row in sets])
    as_sets, as_weights = prepared.of_sets(sets), prepared.of_weights(counts)
    decided = as_sets.near_ties == 0
    assert as_weights.values[decided] == pytest.approx(as_sets.values[decided], rel=1e-12, abs=1e-12)
    if rule in (Averaging.MEAN, Averaging.VOTE):
        assert decided.all()
        assert not as_weights.near_ties.any()


@settings(deadline=None)
@given(ARRAYS, st.integers(1, 6))
def test_contenders_keep_exactly_the_classes_that_fewer_than_k_beat(array: np.ndarray, places: int) -> None:
    codes = array.view(np.uint16)
    offsets, kept = contenders(codes, places)
    for e in range(array.shape[1]):
        values = array[:, e]
        beaten = [
            sum(
                bool((values[:, a] >= values[:, b]).all())
                and (a < b or bool((values[:, a] > values[:, b]).all()))
                for a in range(array.shape[2])
                if a != b
            )
            for b in range(array.shape[2])
        ]
        wanted = [c for c, times in enumerate(beaten) if times < places]
        assert kept[offsets[e] : offsets[e + 1]].tolist() == wanted


@settings(deadline=None)
@given(ARRAYS)
def test_one_place_keeps_the_undominated_classes(array: np.ndarray) -> None:
    offsets, kept, _ = undominated(array.astype(np.float64))
    ours = contenders(array.view(np.uint16), 1)
    assert np.array_equal(ours[0], offsets)
    assert np.array_equal(ours[1], kept)


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0, 1.0 + 1e-12, 2.0]), min_size=1, max_size=6), st.data())
def test_among_largest_is_a_place_in_a_stable_sort(values: list[float], data: st.DataObject) -> None:
    true = data.draw(st.integers(0, len(values) - 1))
    places = data.draw(st.integers(1, 4))
    sums = np.array([values, values])
    tolerance = np.array([-1.0, 1e-9])
    right, unsure = among_largest(sums, np.array([0, len(values)]), np.array([true]), places, tolerance)
    order = np.argsort(-sums[0], kind="stable").tolist()
    assert right.tolist() == [[order.index(true) < places]] * 2
    others = [v for c, v in enumerate(values) if c != true]
    moved = {
        sum(v + shift > values[true] for v in others) < places for shift in (-1e-9, 1e-9)
    }  # does a small push of the others change the answer?
    assert unsure.tolist() == [[0], [len(moved) == 2]]


@pytest.mark.parametrize("rule", list(Averaging))
@pytest.mark.parametrize("metric", list(Metric))
def test_many_blocks_and_rows_read_again_give_the_same(
    rule: Averaging, metric: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = simulated_pool(models=2, seeds=3, select=211, report=1, classes=37)
    members, labels = pool.select, pool.select_labels
    sets = all_sets(6, 2)
    whole = prepare(members, labels, metric, rule)
    wanted = [plain_metric(average(members[s[s >= 0]], rule), labels, metric, 5) for s in sets]
    assert whole.score_sets(sets) == pytest.approx(wanted, rel=1e-11)
    for module in ("ranks", "gram"):
        monkeypatch.setattr(f"explorer.analysis.scoring.{module}._BLOCK_BYTES", 20_000)
    monkeypatch.setattr("explorer.analysis.scoring.log_averages._MEMORY_BYTES", 300_000)
    monkeypatch.setattr("explorer.analysis.scoring.true_class._EXAMPLES_AT_ONCE", 17)
    monkeypatch.setattr("explorer.analysis.scoring.weightings._SCORES_AT_ONCE", 500)
    again = prepare(members, labels, metric, rule, table_bytes=0)
    if metric in (Metric.ACCURACY, Metric.TOP5, Metric.WORST_CLASS_ACCURACY):
        assert not again.in_memory
    assert again.score_sets(sets) == pytest.approx(wanted, rel=1e-11)


def test_memory_maps_are_members(tmp_path: Path) -> None:
    pool = simulated_pool(models=1, seeds=3, select=50, report=1)
    maps = []
    for number, row in enumerate(pool.select):
        np.save(tmp_path / f"{number}.npy", row)
        maps.append(np.load(tmp_path / f"{number}.npy", mmap_mode="r"))
    for metric in Metric:
        ours = prepare(maps, pool.select_labels, metric).score(np.array([[1.0, 2.0, 0.5]]))
        wanted = prepare(pool.select, pool.select_labels, metric).score(np.array([[1.0, 2.0, 0.5]]))
        assert ours == wanted


def test_more_members_than_int32_sums_hold_are_still_exact() -> None:
    # class 1 is ahead by one unit of 2^-24 in one member of 300 only
    array = np.ones((300, 1, 2), dtype=np.float16)
    array[:, :, :] = np.float16(0.5)
    array[0, 0] = [np.float16(0.0), np.float16(2.0**-24)]
    prepared = prepare(array, np.array([1]), Metric.ACCURACY)
    assert prepared.score(np.ones((1, 300))) == [1.0]
    assert prepared.score_sets(np.arange(300, dtype=np.int32)[None]) == [1.0]
    assert combine(array)[0][0] == 1


def test_a_zero_weight_is_no_member_at_all() -> None:
    pool = simulated_pool(models=1, seeds=3, select=60, report=1)
    for rule, metric in itertools.product(Averaging, Metric):
        three = prepare(pool.select, pool.select_labels, metric, rule).score(np.array([[0.3, 0.0, 0.6]]))
        two = prepare(pool.select[[0, 2]], pool.select_labels, metric, rule).score(np.array([[0.3, 0.6]]))
        assert three == pytest.approx(two, rel=1e-12)


def test_identical_members_score_as_one_of_them_whatever_the_weights() -> None:
    pool = simulated_pool(models=1, seeds=1, select=80, report=1)
    same = np.concatenate([pool.select] * 3)
    for rule, metric in itertools.product(Averaging, Metric):
        one = prepare(pool.select, pool.select_labels, metric, rule).score(np.array([[1.0]]))
        many = prepare(same, pool.select_labels, metric, rule).score(np.array([[0.2, 0.7, 0.05], [3, 3, 3]]))
        assert many == pytest.approx(np.repeat(one, 2), rel=1e-11)


def test_brier_of_nearly_perfect_answers_does_not_cancel() -> None:
    tiny = np.float16(2.0**-24)
    array = np.array([[[1.0, tiny]], [[1.0, 0.0]]], dtype=np.float16)
    score = prepare(array, np.array([0]), Metric.BRIER).score(np.array([[1.0, 1.0]]))
    assert score == pytest.approx([(0.5 / FIXED_POINT) ** 2], rel=1e-12)


def test_tied_real_weights_of_votes_are_reported() -> None:
    votes = np.array([[[1, 0]], [[1, 0]], [[0, 1]]], dtype=np.float16)
    prepared = prepare(votes, np.array([0]), Metric.ACCURACY, Averaging.VOTE)
    assert prepared.of_weights(np.array([[0.1, 0.2, 0.3]])).near_ties.tolist() == [1]
    assert prepared.of_weights(np.array([[0.1, 0.2, 0.4]])).near_ties.tolist() == [0]


def test_accuracy_of_extreme_weights_neither_overflows_nor_vanishes() -> None:
    pool = simulated_pool(models=1, seeds=2, select=40, report=1)
    prepared = prepare(pool.select, pool.select_labels, Metric.NLL)
    wanted = prepared.score(np.array([[1.0, 2.0]]))
    assert prepared.score(np.array([[1e-310, 2e-310], [0.85e308, 1.7e308]])) == pytest.approx(
        np.repeat(wanted, 2), rel=1e-9
    )


ARRAY = np.full((2, 3, 4), 0.25, dtype=np.float16)
LABELS = np.array([0, 1, 3])


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ([[0.0, 0.0]], "all zero"),
        ([[1.0, -1.0]], "not negative"),
        ([[1.0, np.nan]], "finite"),
        ([[1.0]], "2 members"),
        ([1.0, 1.0], "2 members"),
    ],
)
def test_impossible_weights_are_refused(weights: list, says: str) -> None:
    with pytest.raises(InputDataError, match=says):
        prepare(ARRAY, LABELS, Metric.NLL).score(np.array(weights))


@pytest.mark.parametrize(
    ("sets", "says"),
    [([[0, 2]], "0 to 1"), ([[-1, 0]], "-1 only after"), ([[-1, -1]], "must have"), ([[0.0]], "integers")],
)
def test_impossible_sets_are_refused(sets: list, says: str) -> None:
    with pytest.raises(InputDataError, match=says):
        prepare(ARRAY, LABELS, Metric.NLL).score_sets(np.array(sets))


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("bad", [-0.5, np.nan, np.inf])
def test_impossible_probabilities_are_refused(metric: Metric, bad: float) -> None:
    array = ARRAY.copy()
    array[1, :, 3] = bad
    array[1, 1, 1] = bad
    with pytest.raises(InputDataError, match="finite and not negative"):
        prepare(array, LABELS, metric)


def test_impossible_labels_and_k_are_refused_and_minus_zero_is_zero() -> None:
    with pytest.raises(InputDataError, match="classes 0 to 3"):
        prepare(ARRAY, np.array([0, 1, 4]), Metric.NLL)
    with pytest.raises(InputDataError, match="3 examples"):
        prepare(ARRAY, np.array([0, 1]), Metric.NLL)
    with pytest.raises(UsageError, match="k = 0"):
        prepare(ARRAY, LABELS, Metric.TOP5, k=0)
    zeros = ARRAY.copy()
    zeros[0, 0, 1:] = -0.0
    for metric in Metric:
        wanted = prepare(np.abs(zeros), LABELS, metric).score(np.ones((1, 2)))
        assert prepare(zeros, LABELS, metric).score(np.ones((1, 2))) == wanted


def test_which_way_is_good() -> None:
    assert {m for m in Metric if m.higher_is_better} == {
        Metric.ACCURACY,
        Metric.TOP5,
        Metric.WORST_CLASS_ACCURACY,
    }

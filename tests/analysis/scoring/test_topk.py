import dataclasses
import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import probability_arrays, simulated_pool

from explorer.analysis.scoring.combine import average, combine, member_values
from explorer.analysis.scoring.metrics import negative_log_likelihood
from explorer.analysis.scoring.topk import TopKScorer, from_arrays, prepare_topk, truncate
from explorer.analysis.scoring.topk_kernels import largest
from explorer.errors import InputDataError, UsageError
from explorer.spec import Averaging

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 6))
ARRAYS = SHAPES.flatmap(lambda s: probability_arrays(members=s[0], examples=s[1], classes=s[2]))
SEEDS = st.integers(0, 2**32)


def scorer_of(array: np.ndarray, labels: np.ndarray, k: int) -> TopKScorer:
    return prepare_topk([truncate(row, labels, k) for row in array], labels)


def labels_for(array: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, array.shape[2], array.shape[1])


def sets_of(members: int) -> np.ndarray:
    rows = [
        (*chosen, *[-1] * (3 - size))
        for size in (1, 2, 3)
        for chosen in itertools.combinations_with_replacement(range(members), size)
    ]
    return np.array(rows, dtype=np.int32)


def plain_bounds(array: np.ndarray, label: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Bound each class's sum in one example as defined, from float16 ``[member, class]``."""
    lower = np.zeros(array.shape[1], dtype=np.int64)
    upper = lower.copy()
    for row in member_values(array[:, None], Averaging.MEAN)[:, 0].astype(np.int64):
        listed = np.argsort(-row, kind="stable")[:k]
        known = sorted({*listed.tolist(), label})
        cap = min(row[listed[-1]], row.sum() - row[known].sum())
        for c in range(len(row)):
            lower[c] += row[c] if c in known else 0
            upper[c] += row[c] if c in known else cap
    return lower, upper


def plain_wins(c: int, lower: np.ndarray, upper: np.ndarray) -> bool:
    return all(
        lower[c] > upper[rival] or (lower[c] == upper[rival] and c < rival)
        for rival in range(len(lower))
        if rival != c
    )


@settings(deadline=None, max_examples=100)
@given(ARRAYS, st.integers(1, 6), SEEDS)
def test_certified_answers_are_the_exact_ones_and_bounds_hold_the_accuracy(
    array: np.ndarray, k: int, seed: int
) -> None:
    labels, sets = labels_for(array, seed), sets_of(len(array))
    scorer = scorer_of(array, labels, k)
    answers, scores = scorer.answers(sets), scorer.score_sets(sets)
    for q, row in enumerate(sets):
        chosen = array[row[row >= 0]]
        exact = combine(chosen)[0]
        sure = answers.certified[q]
        assert np.array_equal(answers.decisions[q][sure], exact[sure])
        assert (exact == labels)[answers.right[q] == 1].all()
        assert (exact != labels)[answers.right[q] == 0].all()
        # who knows the answer knows whether it is right
        assert (answers.right[q][sure] >= 0).all()
        assert scores.low[q] <= np.mean(exact == labels) <= scores.high[q]
        assert scores.certified_share[q] == np.mean(sure)
        if sure.any():
            assert scores.certified_accuracy[q] == np.mean((exact == labels)[sure])
        else:
            assert np.isnan(scores.certified_accuracy[q])
        assert scores.nll[q] == pytest.approx(negative_log_likelihood(average(chosen), labels), rel=1e-12)


@settings(deadline=None, max_examples=100)
@given(ARRAYS, st.integers(1, 6), SEEDS)
def test_certificates_are_given_exactly_where_the_written_out_bounds_allow(
    array: np.ndarray, k: int, seed: int
) -> None:
    labels = labels_for(array, seed)
    everyone = np.arange(len(array), dtype=np.int32)[None]
    answers = scorer_of(array, labels, k).answers(everyone)
    for e, label in enumerate(labels):
        lower, upper = plain_bounds(array[:, e], label, min(k, array.shape[2]))
        leader = int(lower.argmax())
        assert answers.decisions[0, e] == leader
        assert answers.certified[0, e] == plain_wins(leader, lower, upper)
        wanted = 1 if plain_wins(label, lower, upper) else 0 if leader != label else -1
        assert answers.right[0, e] == wanted


@settings(deadline=None)
@given(ARRAYS, SEEDS)
def test_lists_of_all_classes_leave_nothing_open(array: np.ndarray, seed: int) -> None:
    labels, sets = labels_for(array, seed), sets_of(len(array))
    scores = scorer_of(array, labels, array.shape[2]).score_sets(sets)
    exact = [np.mean(combine(array[row[row >= 0]])[0] == labels) for row in sets]
    assert (scores.certified_share == 1).all()
    assert scores.low.tolist() == scores.high.tolist() == exact


@settings(deadline=None)
@given(ARRAYS, st.integers(1, 6), SEEDS)
def test_longer_lists_never_tell_less(array: np.ndarray, k: int, seed: int) -> None:
    labels, sets = labels_for(array, seed), sets_of(len(array))
    short, long = (scorer_of(array, labels, k + more).score_sets(sets) for more in (0, 1))
    assert (long.certified_share >= short.certified_share).all()
    assert (long.low >= short.low).all()
    assert (long.high <= short.high).all()


@settings(deadline=None)
@given(ARRAYS, st.integers(1, 6), SEEDS)
def test_a_list_holds_the_largest_by_a_stable_sort_and_what_is_left(
    array: np.ndarray, k: int, seed: int
) -> None:
    labels, k = labels_for(array, seed), min(k, array.shape[2])
    wanted = np.argsort(-array[0], axis=1, kind="stable")[:, :k]
    assert np.array_equal(largest(array[0].view(np.uint16), k), wanted)
    cut = truncate(array[0], labels, k)
    assert np.array_equal(cut.classes, wanted)
    assert np.array_equal(cut.values, np.take_along_axis(array[0], wanted, axis=1))
    assert np.array_equal(cut.true, array[0][np.arange(len(labels)), labels])
    whole = member_values(array[:1], Averaging.MEAN)[0].sum(axis=1)
    listed = member_values(cut.values[None], Averaging.MEAN)[0].sum(axis=1)
    assert np.array_equal(cut.residual, whole - listed)


def test_identical_members_are_certified_where_one_of_them_is() -> None:
    pool = simulated_pool(models=1, seeds=1, select=200, report=1, classes=30)
    array = np.concatenate([pool.select] * 3)
    scorer = scorer_of(array, pool.select_labels, 2)
    answers = scorer.answers(np.array([[0, -1, -1], [0, 1, 2], [0, 0, 0]], dtype=np.int32))
    assert (answers.certified == answers.certified[0]).all()
    assert (answers.decisions[0] == array[0].argmax(axis=1)).all()


def test_a_class_in_nobodys_list_can_win_and_is_not_overlooked() -> None:
    # class 2 is second everywhere and wins the average; with k = 1 nobody lists it
    array = np.array([[[0.5, 0.0, 0.45, 0.05]], [[0.0, 0.5, 0.45, 0.05]]], dtype=np.float16)
    pair = np.array([[0, 1]], dtype=np.int32)
    assert combine(array)[0].tolist() == [2]
    answers = scorer_of(array, np.array([0]), 1).answers(pair)
    assert answers.certified.tolist() == [[False]]
    # two members' values of the true class are known even where nobody lists it
    known = scorer_of(array, np.array([2]), 1).answers(pair)
    assert known.decisions.tolist() == [[2]]
    assert known.right.tolist() == [[1]]


def test_the_residual_bounds_what_the_last_value_does_not() -> None:
    array = np.array([[[0.5, 0.5, 0.0, 0.0]], [[0.0, 0.25, 0.25, 0.5]]], dtype=np.float16)
    answers = scorer_of(array, np.array([1]), 2).answers(np.array([[0, -1], [0, 1]], dtype=np.int32))
    assert answers.certified[0].tolist() == [True], "nothing is left for the classes outside"
    assert answers.decisions[:, 0].tolist() == [0, 1]


def test_many_sets_are_scored_in_chunks_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = simulated_pool(models=2, seeds=2, select=50, report=1, classes=20)
    scorer, sets = scorer_of(pool.select, pool.select_labels, 3), sets_of(4)
    whole = scorer.score_sets(sets)
    monkeypatch.setattr("explorer.analysis.scoring.topk._ANSWERS_AT_ONCE", 101)
    again = scorer.score_sets(sets)
    for field in dataclasses.fields(whole):
        assert np.array_equal(getattr(whole, field.name), getattr(again, field.name), equal_nan=True)


def test_arrays_come_back_from_a_file_as_they_were(tmp_path: Path) -> None:
    pool = simulated_pool(models=1, seeds=1, select=40, report=1, classes=300)
    cut = truncate(pool.select[0], pool.select_labels, 7)
    file = io.BytesIO()
    np.savez(file, **cut.to_arrays())
    file.seek(0)
    with np.load(file) as held:
        back = from_arrays(held)
    assert cut.classes.dtype == np.uint16
    assert back.class_count == 300
    assert back.nbytes == cut.nbytes == 40 * (7 * (2 + 2) + 2 + 4)
    for name, array in cut.to_arrays().items():
        assert np.array_equal(array, back.to_arrays()[name])


def damaged(name: str, made: object) -> dict[str, np.ndarray]:
    array = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]], dtype=np.float16)
    arrays = truncate(array, np.array([0, 1]), 2).to_arrays()
    return {**arrays, name: np.asarray(made)}


@pytest.mark.parametrize(
    ("name", "made", "says"),
    [
        ("true", np.zeros(3, np.float16), r"true and residual \[example\]"),
        ("true", np.array([np.nan, 0], np.float16), "finite"),
        ("values", np.array([[0.25, 0.5], [0.5, 0.25]], np.float16), "fall"),
        ("values", np.zeros((2, 2)), "float64"),
        ("classes", np.array([[0, 1], [1, 3]], np.uint8), "real classes"),
        ("classes", np.array([[0, 0], [1, 2]], np.uint8), "twice"),
        ("residual", np.array([-1, 0], np.int32), "less than 0"),
        ("class_count", 1, "1 classes"),
    ],
)
def test_damaged_arrays_are_refused(name: str, made: object, says: str) -> None:
    with pytest.raises(InputDataError, match=says):
        from_arrays(damaged(name, made))


def test_missing_arrays_other_shapes_and_other_labels_are_refused() -> None:
    arrays = damaged("class_count", 3)
    del arrays["true"]
    with pytest.raises(InputDataError, match="lacks true"):
        from_arrays(arrays)
    pool = simulated_pool(models=2, seeds=1, select=30, report=1)
    cuts = [truncate(row, pool.select_labels, k) for row, k in zip(pool.select, (2, 3), strict=True)]
    with pytest.raises(InputDataError, match="member 1 holds"):
        prepare_topk(cuts, pool.select_labels)
    with pytest.raises(InputDataError, match="other labels"):
        prepare_topk(cuts[:1], (pool.select_labels + 1) % 10)
    with pytest.raises(InputDataError, match="no members"):
        prepare_topk([], pool.select_labels)
    with pytest.raises(UsageError, match="k = 0"):
        truncate(pool.select[0], pool.select_labels, 0)
    with pytest.raises(InputDataError, match="finite"):
        truncate(-pool.select[0], pool.select_labels, 2)


def test_real_members_are_bounded_around_their_exact_accuracy(shared_dir: Path) -> None:
    path = shared_dir / "data" / "predictions" / "cifar10_train_resnet50_cv_13members.npz"
    if not path.is_file():
        pytest.skip(f"no stored predictions at {path}")
    with np.load(path) as held:
        array, labels = held["probs"][:, :5000], held["labels"][:5000]
    sets = np.array([[*range(13)], [0, 5, 12, *[-1] * 10]], dtype=np.int32)
    for k in (1, 2, 3):
        scores = scorer_of(array, labels, k).score_sets(sets)
        for q, row in enumerate(sets):
            exact = np.mean(combine(array[row[row >= 0]])[0] == labels)
            assert scores.low[q] <= exact <= scores.high[q]
            assert scores.high[q] - scores.low[q] <= 1 - scores.certified_share[q]

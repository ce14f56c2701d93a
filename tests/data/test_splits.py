import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.data.splits import (
    Assignment,
    content_fingerprint,
    hashed_order,
    split_by_class,
    split_by_counts,
    split_digest,
    split_published,
)
from explorer.errors import InputDataError


def parts(assignment: Assignment) -> tuple[set[int], set[int], set[int]]:
    return (
        set(assignment.train.tolist()),
        set(assignment.select.tolist()),
        set(assignment.report.tolist()),
    )


def assert_partition(assignment: Assignment, examples: int) -> None:
    train, select, report = parts(assignment)
    assert not train & select
    assert not train & report
    assert not select & report
    assert train | select | report == set(range(examples))
    for part in (assignment.train, assignment.select, assignment.report):
        assert part.dtype == np.int64
        assert np.all(np.diff(part) > 0)


@given(st.integers(1, 83), st.integers(1, 41), st.integers(1, 61))
def test_counts_are_kept_and_parts_cover_without_overlap(train: int, select: int, report: int) -> None:
    assignment = split_by_counts("some", train=train, select=select, report=report)

    assert_partition(assignment, train + select + report)
    assert [len(p) for p in parts(assignment)] == [train, select, report]


@given(st.integers(2, 97), st.integers(1, 53), st.data())
def test_published_test_set_is_the_report_whole_and_in_order(
    published_train: int, published_test: int, data: st.DataObject
) -> None:
    select = data.draw(st.integers(1, published_train - 1))

    assignment = split_published(
        "some", published_train=published_train, published_test=published_test, select=select
    )

    assert_partition(assignment, published_train + published_test)
    assert assignment.report.tolist() == list(range(published_train, published_train + published_test))
    assert len(assignment.select) == select


def test_first_examples_by_sha256_of_name_and_index() -> None:
    # an independent account of the rule, from its definition: order by SHA-256 of "digits/INDEX"
    ranked = sorted(range(1797), key=lambda i: hashlib.sha256(b"digits/%d" % i).hexdigest())

    assignment = split_by_counts("digits", train=898, select=360, report=539)

    assert parts(assignment) == (set(ranked[:898]), set(ranked[898:1258]), set(ranked[1258:]))


def test_another_name_gives_another_split() -> None:
    one, other = (split_by_counts(name, train=50, select=20, report=30) for name in ("one", "other"))

    assert one.select.tolist() != other.select.tolist()


def test_order_does_not_depend_on_where_a_key_stands() -> None:
    keys = [f"k{i}" for i in range(31)]
    turned = keys[::-1]

    assert [keys[i] for i in hashed_order(keys)] == [turned[i] for i in hashed_order(turned)]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_by_class_every_class_is_in_every_part(drawn: list[int]) -> None:
    labels = np.array(drawn + [label for label in set(drawn) for _ in range(2)], dtype=np.int64)
    keys = [f"{label}/{place}.png" for place, label in enumerate(labels)]

    assignment = split_by_class(keys, labels)

    assert_partition(assignment, len(labels))
    for part in (assignment.train, assignment.select, assignment.report):
        assert set(labels[part]) == set(labels)
    for label in set(drawn):
        count = int((labels == label).sum())
        for part in (assignment.select, assignment.report):
            assert int((labels[part] == label).sum()) == max(1, round(0.2 * count))


def test_by_class_given_test_examples_are_exactly_the_report() -> None:
    labels = np.array([0] * 13 + [1] * 11, dtype=np.int64)
    test = np.zeros(24, dtype=bool)
    test[[1, 5, 12, 13, 23]] = True
    keys = [f"{i}" for i in range(24)]

    assignment = split_by_class(keys, labels, test=test)

    assert_partition(assignment, 24)
    assert assignment.report.tolist() == [1, 5, 12, 13, 23]
    assert [(labels[assignment.select] == c).sum() for c in (0, 1)] == [2, 2]  # 20 % of 10 and of 9


@pytest.mark.parametrize(
    ("test", "examples", "wanted"), [(None, 2, 3), (np.array([False] + [True] * 2), 3, 2)]
)
def test_by_class_too_few_examples(test: np.ndarray | None, examples: int, wanted: int) -> None:
    keys = [f"owl/{i}.png" for i in range(examples)]

    with pytest.raises(InputDataError, match=rf"'owl/0.png' has . training examples; at least {wanted} "):
        split_by_class(keys, np.zeros(examples, dtype=np.int64), test=test)


def test_overlapping_parts_are_our_own_error() -> None:
    one = np.array([0], dtype=np.int64)

    with pytest.raises(AssertionError, match="overlap"):
        Assignment(train=one, select=one, report=np.array([2], dtype=np.int64))


IMAGES = np.arange(5 * 3 * 3, dtype=np.uint8).reshape(5, 3, 3, 1)
LABELS = np.array([0, 1, 0, 1, 1], dtype=np.int64)
CLASSES = ("a", "b")


def test_fingerprint_does_not_depend_on_memory_layout() -> None:
    other_layout = np.asfortranarray(IMAGES)

    assert content_fingerprint(other_layout, LABELS, CLASSES) == content_fingerprint(IMAGES, LABELS, CLASSES)
    assert content_fingerprint(IMAGES, LABELS.astype(">i8"), CLASSES) == content_fingerprint(
        IMAGES, LABELS, CLASSES
    )


def test_fingerprint_sees_every_pixel_label_class_and_shape() -> None:
    pixel, label = IMAGES.copy(), LABELS.copy()
    pixel[4, 2, 2, 0] ^= 1
    label[4] = 0
    seen = {
        content_fingerprint(IMAGES, LABELS, CLASSES),
        content_fingerprint(pixel, LABELS, CLASSES),
        content_fingerprint(IMAGES, label, CLASSES),
        content_fingerprint(IMAGES, LABELS, ("a", "c")),
        content_fingerprint(IMAGES.reshape(5, 9, 1, 1), LABELS, CLASSES),
        content_fingerprint(IMAGES[::-1], LABELS, CLASSES),
    }

    assert len(seen) == 6


def test_digest_sees_fingerprint_and_where_each_example_went() -> None:
    def made(train: list[int], select: list[int], report: list[int]) -> Assignment:
        return Assignment(**{k: np.array(v, dtype=np.int64) for k, v in locals().items()})

    seen = {
        split_digest("f", made([0, 1], [2], [3])),
        split_digest("g", made([0, 1], [2], [3])),
        split_digest("f", made([0, 2], [1], [3])),
        split_digest("f", made([0, 1], [3], [2])),
        split_digest("f", made([0], [1, 2], [3])),
    }

    assert len(seen) == 5
    assert all(len(digest) == 64 for digest in seen)

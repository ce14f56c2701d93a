"""Tables of predictions: which columns are what, prices by their key, and which number a class has."""

import re
from pathlib import Path

import numpy as np
import pytest

from explorer.data.class_numbers import are_numbers
from explorer.data.predictions import AnswerKind, Asked, read_predictions
from explorer.data.price_keys import looks_like_prices, price_calls
from explorer.data.probabilities import SUM_TOLERANCE, as_probabilities
from explorer.errors import InputDataError, UsageError


@pytest.fixture
def table(tmp_path: Path):
    def make(header: str, *rows: str, name: str = "t.csv") -> Path:
        (tmp_path / name).write_text("\n".join((header, *rows)) + "\n")
        return tmp_path / name

    return make


def refusal(path: Path, asked: Asked | None = None) -> str:
    with pytest.raises((InputDataError, UsageError)) as caught:
        read_predictions(path, asked)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- prices -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "calls"),
    [
        ("cost_per_10k", 10_000),
        ("price_per_1m", 1_000_000),
        ("price_usd_per1000", 1000),
        ("cost_per_1k_calls", 1000),
        ("Cost_Per_10K", 10_000),
        ("price_per_1_000_calls", 0),
        ("cost_per_1month", 0),
        ("cost_per_100calls", 0),
        ("cost_per_10kb", 0),
        ("price_per_call", 0),
    ],
)
def test_a_key_says_for_how_many_calls_or_nothing(key, calls) -> None:
    assert looks_like_prices(key)
    assert price_calls(key) == calls


def test_a_class_is_no_price() -> None:
    assert not looks_like_prices("cost_performance")


@pytest.mark.parametrize("key", ["price_per_1_000_calls", "cost_per_1month"])
def test_a_price_that_is_not_clear_is_left_out_and_said(table, key) -> None:
    found = read_predictions(table(f"label,p0,p1,{key}", "0,0.6,0.4,1.5", "1,0.3,0.7,1.5"))

    assert found.scores is not None
    assert found.scores.shape == (1, 2, 2)
    assert found.prices == ()
    assert any(note.startswith(f"left out: {key} looks like a price") for note in found.notes)
    said = read_predictions(found.path, Asked(prices=key))
    assert (said.prices, said.price_calls, said.price_key) == ((1.5,), 0.0, key)
    assert not any("looks like" in note for note in said.notes)


def test_two_prices_are_asked_about(table) -> None:
    path = table("label,pred,cost_per_10k,cost_per_1k", "a,a,2,1", "b,b,2,1")

    assert refusal(path) == "t.csv has prices under cost_per_10k and cost_per_1k; say which: --price-key KEY"
    assert read_predictions(path, Asked(prices="cost_per_1k")).prices == (1.0,)


def test_prices_that_are_given_elsewhere_are_not_read(table) -> None:
    path = table("label,p0,p1,cost_per_10k", "0,0.6,0.4,1.5", "1,0.3,0.7,2.5")

    assert "wanted a number for each of 1 members" in refusal(path)
    found = read_predictions(path, Asked(prices_given=True))
    assert (found.prices, found.price_key, found.price_calls) == ((), "", 0.0)
    assert found.shape == (1, 2)


# ---- rows of several members ------------------------------------------------------------------


@pytest.mark.parametrize(("key", "names"), [("api", "xyz"), ("Model", "xyz"), ("member", "012")])
def test_rows_of_several_members_are_refused(table, key, names) -> None:
    rows = [f"i{row},{name},a,a,0.9" for row in range(4) for name in names]
    path = table(f"id,{key},label,pred,conf", *rows)

    assert refusal(path) == (
        f"t.csv has rows of 3 members (column {key}: {', '.join(names)}); wanted one in a table: "
        "give a file for each"
    )


def test_rows_of_one_member_name_it(table) -> None:
    path = table("api,label,pred,conf", "google,a,a,0.9", "google,b,a,0.8")
    assert read_predictions(path).names == ("google",)


def test_a_column_of_names_that_is_something_else(table) -> None:
    path = table("model,pred,conf", "sedan,sedan,0.9", "truck,sedan,0.8")
    found = read_predictions(path, Asked(labels="model"))
    assert (found.names, found.class_names) == ((), ("sedan", "truck"))


# ---- labels and confidences -------------------------------------------------------------------


def test_confidences_that_are_all_whole(table, tmp_path) -> None:
    found = read_predictions(table("label,pred,conf", "a,a,1", "b,a,1", "a,b,1"))
    assert found.confidence is not None
    assert found.confidence.tolist() == [[1.0, 1.0, 1.0]]
    assert found.confidence.dtype == np.float64

    np.savez(tmp_path / "a.npz", pred=[0, 1], conf=[1, 0], labels=[0, 1])
    held = read_predictions(tmp_path / "a.npz").confidence
    assert held is not None
    assert held.tolist() == [[1.0, 0.0]]
    np.savez(tmp_path / "b.npz", mine=[0, 1], conf=[1, 0], labels=[0, 1])
    assert "in mine, conf" in read_predictions(tmp_path / "b.npz").notes[0]


def test_labels_of_another_file_leave_the_tables_own_out(table) -> None:
    labels = table("label", "0", "1", name="l.csv")
    path = table("label,target,p0,p1", "1,5,0.6,0.4", "0,5,0.3,0.7")
    found = read_predictions(path, Asked(labels=str(labels)))

    assert found.shape == (1, 2)
    assert found.scores is not None
    assert found.scores.shape[2] == 2
    assert found.labels.tolist() == [0, 1]
    assert f"left out: label, target; the true labels are in {labels}" in found.notes


# ---- which number a class has -----------------------------------------------------------------


def test_answers_that_are_no_label_come_after_the_labels(table) -> None:
    path = table("label,pred", "b,b", "d,a", "f,unknown", "b,d")
    found = read_predictions(path)

    assert found.class_names == ("b", "d", "f", "a", "unknown")
    assert found.labels.tolist() == [0, 1, 2, 0]
    assert found.answers is not None
    assert found.answers.tolist() == [[0, 3, 4, 1]]
    assert "classes that no label is, numbered after the others: a, unknown" in found.notes


def test_names_of_the_store_and_of_a_person_go_before(table) -> None:
    path = table("label,pred", "b,b", "d,b")
    known = read_predictions(path, Asked(known_classes=("d", "c", "b")))
    said = read_predictions(path, Asked(known_classes=("d", "c", "b"), class_names=("b", "d", "e")))

    assert (known.class_names, known.labels.tolist()) == (("d", "c", "b"), [2, 0])
    assert (said.class_names, said.labels.tolist()) == (("b", "d", "e"), [0, 1])


def test_texts_that_the_store_does_not_know(table) -> None:
    path = table("label,pred", "b,b", "d,x")

    assert "the label 'd' is no class of this data set in the store, which has: b, x" in refusal(
        path, Asked(known_classes=("b", "x"))
    )
    answer = refusal(path, Asked(known_classes=("b", "d")))
    assert "the answer 'x' is no class" in answer
    assert "each with --class-names b,d,x" in answer


def test_numbers_beside_texts_need_names(table) -> None:
    path = table("label,pred", "0,cat", "1,dog")

    assert "labels are numbers, predicted labels texts; name the classes" in refusal(path)
    found = read_predictions(path, Asked(class_names=("dog", "cat")))
    assert found.answers is not None
    assert (found.labels.tolist(), found.answers.tolist()) == ([0, 1], [[1, 0]])
    turned = table("label,pred", "cat,0", "dog,1")
    assert "labels are texts, predicted labels numbers" in refusal(turned)


@pytest.mark.parametrize("asked", [{"class_names": ("b", "a")}, {"known_classes": ("b", "a")}])
def test_class_columns_are_put_in_the_order_of_the_names(table, asked) -> None:
    path = table("label,a,b", "a,0.9,0.1", "b,0.2,0.8")
    found = read_predictions(path, Asked(**asked))

    assert (found.class_names, found.labels.tolist()) == (("b", "a"), [1, 0])
    assert found.scores is not None
    assert found.scores.tolist() == [[[0.1, 0.9], [0.8, 0.2]]]


def test_labels_that_are_numbers_follow_the_columns(table) -> None:
    path = table("label,a,b", "0,0.9,0.1", "1,0.2,0.8")
    assert read_predictions(path, Asked(known_classes=("b", "a"))).class_names == ("a", "b")


def test_names_for_numbered_columns_and_arrays(table, tmp_path) -> None:
    found = read_predictions(
        table("label,p1,p0", "cat,0.9,0.1", "dog,0.2,0.8"), Asked(class_names=("dog", "cat"))
    )
    assert (found.class_names, found.labels.tolist()) == (("dog", "cat"), [1, 0])
    assert found.scores is not None
    assert found.scores.tolist() == [[[0.1, 0.9], [0.8, 0.2]]]

    np.savez(tmp_path / "a.npz", probs=[[0.9, 0.1], [0.2, 0.8]], labels=["cat", "dog"])
    assert "give labels as numbers, names under the key `classes`, or --class-names" in refusal(
        tmp_path / "a.npz"
    )
    held = read_predictions(tmp_path / "a.npz", Asked(class_names=("dog", "cat")))
    assert held.labels.tolist() == [1, 0]


def test_names_that_contradict_the_file(table, tmp_path) -> None:
    path = table("label,a,b", "a,0.9,0.1", "b,0.2,0.8")
    np.savez(tmp_path / "a.npz", probs=[[0.9, 0.1]] * 2, labels=[0, 1], classes=["a", "b"])

    assert "--class-names a, c are not the class columns, which are: a, b" in refusal(
        path, Asked(class_names=("a", "c"))
    )
    assert "a.npz names the classes a, b, --class-names b, a" in refusal(
        tmp_path / "a.npz", Asked(class_names=("b", "a"))
    )


def test_bare_numbers_are_no_names() -> None:
    assert are_numbers(("0", "1", "2"))
    assert not are_numbers(("1", "0"))


# ---- rounding ---------------------------------------------------------------------------------


def test_two_decimals_that_only_rounding_takes_too_far_are_rescaled(tmp_path) -> None:
    row = np.array([0.39, 0.13, 0.04, 0.0, 0.05, 0.1, 0.23, 0.05])
    assert abs(row.sum() - 1) <= SUM_TOLERANCE + 1e-12
    assert abs(row.astype(np.float16).sum(dtype=np.float64) - 1) > SUM_TOLERANCE
    kept = np.array([0.4, 0.13, 0.04, 0.0, 0.05, 0.1, 0.2304, 0.05])
    np.savez(tmp_path / "a.npz", probs=np.stack([row * (1 + 1e-9), kept]), labels=[0, 1])
    found = read_predictions(tmp_path / "a.npz", Asked(kind=AnswerKind.PROBABILITIES))
    made, notes = as_probabilities(found, 8, ("a",))

    assert np.abs(made.sum(axis=2, dtype=np.float64) - 1).max() < 1e-3
    assert made[0, 1].tolist() == kept.astype(np.float16).tolist()
    assert re.match("1 rows add up to 1 within 0.02 only", notes[0])

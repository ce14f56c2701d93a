"""Files of predictions as other people write them: what is recognised, and what is refused."""

import io
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from explorer.data.predictions import AnswerKind, Asked, read_predictions
from explorer.data.probabilities import SUM_TOLERANCE, as_probabilities, count_classes, to_float16
from explorer.errors import InputDataError, UsageError
from explorer.store.members import SUM_TOLERANCE as STORE_TOLERANCE

RNG = np.random.default_rng(3)
PROBS = RNG.dirichlet(np.ones(3), (2, 8)).astype(np.float32)
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1])


def npz(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)
    return path


def probabilities(path: Path, asked: Asked | None = None, **count: int) -> np.ndarray:
    found = read_predictions(path, asked)
    classes, _ = count_classes(found, **count)
    return as_probabilities(found, classes, tuple(f"m{i}" for i in range(found.shape[0])))[0]


def test_the_tolerance_is_the_stores() -> None:
    assert SUM_TOLERANCE == STORE_TOLERANCE


@pytest.mark.parametrize("key", ["probs", "probabilities", "anything"])
def test_probabilities_of_several_members(tmp_path, key) -> None:
    path = npz(tmp_path / "a.npz", **{key: PROBS}, labels=LABELS, members=["x", "y"])
    found = read_predictions(path)

    assert (found.kind, found.names, found.shape) == (AnswerKind.PROBABILITIES, ("x", "y"), (2, 8))
    assert found.labels.tolist() == LABELS.tolist()
    assert f"probabilities of 2 members in {key} float32 [2, 8, 3]" in found.notes[0]
    np.testing.assert_array_equal(probabilities(path), PROBS.astype(np.float16))


def test_one_member_in_an_npy_with_labels_in_another_file(tmp_path) -> None:
    np.save(tmp_path / "p.npy", PROBS[0])
    np.save(tmp_path / "l.npy", LABELS)
    found = read_predictions(tmp_path / "p.npy", Asked(labels=str(tmp_path / "l.npy")))

    assert found.shape == (1, 8)
    assert found.labels.tolist() == LABELS.tolist()


def test_logits_go_through_a_softmax(tmp_path) -> None:
    logits = RNG.normal(0, 9, (8, 3)) + 700  # exp() would overflow
    path = npz(tmp_path / "a.npz", logits=logits, labels=LABELS)
    powers = np.exp(logits - 700)

    wanted = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities(path)[0], wanted, atol=5e-4)


def test_probabilities_called_logits_are_doubted_unless_said(tmp_path) -> None:
    path = npz(tmp_path / "a.npz", logits=PROBS, labels=LABELS)

    with pytest.raises(InputDataError, match="adds up to 1, as probabilities do"):
        probabilities(path)
    assert probabilities(path, Asked(kind=AnswerKind.PROBABILITIES)).shape == (2, 8, 3)
    assert probabilities(path, Asked(kind=AnswerKind.LOGITS)).max() < 0.6


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_with_one_column_a_class(tmp_path, suffix) -> None:
    frame = pd.DataFrame(PROBS[0].astype(float), columns=["cat", "dog", "eel"])
    frame.insert(0, "id", [f"00{i}" for i in range(8)])
    frame["label"] = [["cat", "dog", "eel"][i] for i in LABELS]
    path = tmp_path / f"t.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    found = read_predictions(path)

    assert found.class_names == ("cat", "dog", "eel")
    assert found.ids[1] == "001"
    assert found.labels.tolist() == LABELS.tolist()
    np.testing.assert_array_equal(probabilities(path)[0], PROBS[0].astype(np.float16))


def test_numbered_columns_are_taken_by_their_number(tmp_path) -> None:
    frame = pd.DataFrame({"p2": PROBS[0, :, 2], "label": LABELS, "p0": PROBS[0, :, 0], "p1": PROBS[0, :, 1]})
    frame.to_csv(tmp_path / "t.csv", index=False)

    np.testing.assert_array_equal(probabilities(tmp_path / "t.csv")[0], PROBS[0].astype(np.float16))


def test_a_table_of_answers_with_confidence(tmp_path) -> None:
    (tmp_path / "t.csv").write_text("label,pred,conf,cost_per_1k\na,a,0.75,2\nb,c,0.5,2\nc,c,1,2\n")
    found = read_predictions(tmp_path / "t.csv")

    assert (found.kind, found.class_names) == (AnswerKind.LABELS, ("a", "b", "c"))
    assert (found.prices, found.price_calls) == ((2.0,), 1000.0)
    wanted = [[0.75, 0.125, 0.125], [0.25, 0.25, 0.5], [0, 0, 1]]
    assert probabilities(tmp_path / "t.csv")[0].tolist() == wanted


@given(
    confidence=hnp.arrays(np.float32, 6, elements=st.floats(0, 1, width=32)),
    answers=hnp.arrays(np.int16, 6, elements=st.integers(0, 6)),
    classes=st.integers(7, 1000),
)
def test_a_made_vector_keeps_answer_and_order_of_confidence(
    tmp_path_factory, confidence, answers, classes
) -> None:
    path = npz(tmp_path_factory.mktemp("p") / "a.npz", pred=answers, conf=confidence, label=answers)
    made = probabilities(path, said=classes)[0]

    assert made.argmax(axis=1).tolist() == answers.tolist()
    assert ((made == made.max(axis=1, keepdims=True)).sum(axis=1) == 1).all()
    assert np.abs(made.sum(axis=1, dtype=np.float64) - 1).max() < SUM_TOLERANCE
    sure = confidence > 1 / classes + 1e-3
    np.testing.assert_array_equal(made.max(axis=1)[sure], confidence[sure].astype(np.float16))


@given(hnp.arrays(np.float64, (5, 3), elements=st.floats(0, 1)))
def test_rounding_never_ties_what_was_not_tied(values) -> None:
    rounded, moved = to_float16(values)
    plain = values.astype(np.float16)
    for row in range(5):
        best = np.flatnonzero(values[row] == values[row].max())
        if len(best) == 1:
            assert np.flatnonzero(rounded[row] == rounded[row].max()).tolist() == best.tolist()
        else:
            assert (rounded[row] == plain[row]).all()
    assert moved == (rounded != plain).any(axis=1).sum()


def test_notes_count_what_was_changed(tmp_path) -> None:
    path = npz(tmp_path / "a.npz", pred=[0, 1, 2], conf=[0.1, 1 / 3 + 1e-6, 0.9], label=[0, 1, 2])
    found = read_predictions(path)
    notes = " ".join(as_probabilities(found, 3, ("a",))[1])

    assert "1 confidences of at most 1/3 were raised" in notes
    assert "1 top classes were put one float16 step higher" in notes
    assert "log-loss" in notes
    assert count_classes(found)[1] == (
        "3 classes, after the largest label or answer; --classes says otherwise",
    )


def test_rows_slightly_off_are_rescaled_and_counted(tmp_path) -> None:
    probs = PROBS[0].astype(np.float64)
    probs[4] *= 1.015
    found = read_predictions(npz(tmp_path / "a.npz", probs=probs, labels=LABELS))
    made, notes = as_probabilities(found, 3, ("a",))

    assert "1 rows add up to 1 within 0.02 only" in notes[0]
    np.testing.assert_allclose(made[0, 4], PROBS[0, 4], atol=1e-3)


def bad(row: int, value: float) -> np.ndarray:
    changed = PROBS.copy()
    changed[1, row, 0] = value
    return changed


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"probs": bad(3, np.nan)}, "m1 holds NaN or infinity in 1 of 8 examples, first in row 3"),
        ({"probs": bad(0, -0.5)}, "m1 lies in [-0.5,"),
        ({"probs": bad(5, 1.0)}, "m1: the probabilities of row 5 add up to"),
        ({"probs": RNG.normal(0, 5, (8, 3))}, "if these are logits, say --kind logits"),
        ({"probs": PROBS[:, :7]}, "has 7 examples, the labels have 8"),
        ({"probs": PROBS.transpose(1, 0, 2)}, "the axes are [member, example, class]"),
        ({"probs": PROBS[:, :, :1]}, "has one class"),
        ({"probs": PROBS[:0]}, "none of them 0"),
        ({"labels": LABELS.astype(float)}, "labels are of dtype float64; wanted whole numbers"),
        ({"labels": LABELS - 1}, "labels: row 0 is -1; wanted 0 or more"),
        ({"labels": LABELS + 1}, "labels reach 3; wanted 0 to 2"),
        ({"labels": LABELS[:0]}, "wanted labels [example], not empty"),
        ({"labels": [str(i) for i in LABELS]}, "labels are texts, but the classes of probs float32"),
        ({"classes": ["a", "b"]}, "how many classes are there? the predictions: 3, the class names: 2"),
        ({"ids": list("abcdefga")}, "the id 'a' is there twice"),
        ({"cost_per_10k": [1.0]}, "wanted a number for each of 2 members"),
    ],
)  # fmt: skip
def test_wrong_arrays_are_refused_in_one_line(tmp_path, arrays, message) -> None:
    path = npz(tmp_path / "a.npz", **{"probs": PROBS, "labels": LABELS, **arrays})
    with pytest.raises(InputDataError, match=re.escape(message)) as caught:
        probabilities(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [-0.1, 1.2, 55.0, np.nan])
def test_confidences_are_shares(tmp_path, value) -> None:
    path = npz(tmp_path / "a.npz", pred=[0, 1], conf=[0.5, value], label=[0, 1])
    with pytest.raises(InputDataError, match="confidence of m0"):
        probabilities(path)


@pytest.mark.parametrize(
    ("arrays", "asked", "message"),
    [
        ({"a": PROBS, "b": PROBS, "labels": LABELS}, Asked(), "may be read as probabilities in a"),
        ({"probs": PROBS, "pred": LABELS, "conf": PROBS[0, :, 0].copy(), "labels": LABELS}, Asked(), "labels in pred, conf"),  # noqa: E501
        ({"probs": PROBS}, Asked(), "no true labels in a.npz: give --labels FILE or KEY"),
        ({"probs": PROBS, "label": LABELS, "target": LABELS}, Asked(), "has both label and target"),
        ({"probs": PROBS, "labels": LABELS}, Asked(key="prob"), "'prob'; did you mean probs?"),
        ({"probs": PROBS, "labels": LABELS}, Asked(kind=AnswerKind.LABELS), "no labels recognised in a.npz"),
        ({"labels": LABELS}, Asked(), "no predictions recognised in a.npz"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_asked(tmp_path, arrays, asked, message) -> None:
    path = npz(tmp_path / "a.npz", **arrays)
    with pytest.raises(UsageError, match=re.escape(message)):
        read_predictions(path, asked)


def test_a_key_settles_what_is_not_clear(tmp_path) -> None:
    path = npz(tmp_path / "a.npz", a=PROBS, b=PROBS[::-1], labels=LABELS)

    np.testing.assert_array_equal(probabilities(path, Asked(key="b")), PROBS[::-1].astype(np.float16))


def test_nothing_is_unpickled(tmp_path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "sprung",))

    np.save(tmp_path / "a.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "b.npz", probs=np.array([Trap()], dtype=object), labels=LABELS)
    (tmp_path / "c.npy").write_bytes(pickle.dumps(Trap()))
    for name, said in (("a.npy", "pickled"), ("b.npz", "pickled"), ("c.npy", "is not a .npy file")):
        with pytest.raises(InputDataError, match=said):
            read_predictions(tmp_path / name, Asked(labels="labels"))
    assert not (tmp_path / "sprung").exists()


def npy_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def zipped(**entries: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in entries.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.npy", b"", "is empty"),
        ("a.npy", zipped(a=npy_bytes(PROBS)), "is not a .npy file: it looks like .npz"),
        ("a.npz", npy_bytes(PROBS), "is not a .npz file: it looks like .npy"),
        ("a.csv", npy_bytes(PROBS), "is not a .csv file"),
        ("a.parquet", b"label,p0\n0,1\n", "is not a .parquet file"),
        ("a.parquet", b"PAR1 and then nothing", "is damaged"),
        ("a.npy", npy_bytes(PROBS)[:-4], "is damaged: its header promises"),
        ("a.npz", zipped(probs=npy_bytes(PROBS))[:-30], "is damaged"),
        ("a.npz", zipped(probs=b"text"), "probs is not an array"),
        ("a.npz", zipped(), "is not a .npz file"),
        ("a.pkl", pickle.dumps(1), "ends in '.pkl'; wanted one of .npy, .npz, .csv, .parquet"),
        ("a.csv", b"label,p0,p0\n0,1,0\n", "a column is there twice: p0"),
        ("a.csv", b"label,p0,\n0,1,0\n", "every column needs a name"),
        ("a.csv", b"label,p0,p1\n0,1,0,0\n", "cannot be read as a table"),
        ("a.csv", b"label,p0,p1\n0,1\n1,0,1\n", "holds NaN or infinity in 1 of 2"),
        ("a.csv", b"label,p0,p1\n,1,0\n1,0,1\n", "labels are of dtype float64"),
        ("a.csv", b"label,p1,p2\n0,1,0\n1,0,1\n", "numbered 1 to 2; wanted 0 to 1"),
        ("a.csv", "label,p0,p1\nä,1,0\n".encode("latin-1"), "cannot be read as a table"),
        ("a.csv", b"label,a,b\nc,1,0\n", "row 0 says 'c'; classes are: a, b"),
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path, name, data, message) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises((InputDataError, UsageError), match=re.escape(message)) as caught:
        probabilities(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_labels_of_another_file_must_have_the_same_ids_in_the_same_order(tmp_path) -> None:
    rows = [f"{name},{number}" for name, number in zip("abcdefgh", LABELS, strict=True)]
    (tmp_path / "l.csv").write_text("\n".join(["id,label", *rows]))
    (tmp_path / "turned.csv").write_text("\n".join(["id,label", *rows[::-1]]))
    path = npz(tmp_path / "a.npz", probs=PROBS, ids=list("abcdefgh"))

    found = read_predictions(path, Asked(labels=str(tmp_path / "l.csv")))
    assert found.labels.tolist() == LABELS.tolist()
    with pytest.raises(InputDataError, match=r"row 0 has the id 'a' here and 'h' there"):
        read_predictions(path, Asked(labels=str(tmp_path / "turned.csv")))


def test_text_labels_need_names_of_classes(tmp_path) -> None:
    np.save(tmp_path / "a.npy", PROBS)
    (tmp_path / "l.csv").write_text("\n".join(["label", *("abc"[label] for label in LABELS)]))
    with pytest.raises(InputDataError, match=r"the classes of its array float32 .* have no names"):
        read_predictions(tmp_path / "a.npy", Asked(labels=str(tmp_path / "l.csv")))


def test_more_than_memory_should_hold_is_not_read(tmp_path, monkeypatch) -> None:
    path = npz(tmp_path / "a.npz", probs=np.zeros((2, 8, 3)), labels=LABELS)
    np.savez_compressed(tmp_path / "packed.npz", probs=np.zeros((2, 80_000, 3)), labels=LABELS)
    monkeypatch.setattr("explorer.data.arrays.MOST_BYTES", 2**16)
    assert read_predictions(path, Asked(kind=AnswerKind.PROBABILITIES)).shape == (2, 8)
    assert (tmp_path / "packed.npz").stat().st_size < 2**16
    with pytest.raises(InputDataError, match=r"packed.npz holds .* GiB; at most"):
        read_predictions(tmp_path / "packed.npz")


def test_a_file_that_is_not_there(tmp_path) -> None:
    with pytest.raises(InputDataError, match="no such file"):
        read_predictions(tmp_path / "a.npz")

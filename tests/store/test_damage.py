"""What a store says when its disk, or somebody, has damaged it."""

import sqlite3

import numpy as np
import pytest

from explorer.errors import StoreError
from explorer.store import Store
from explorer.store import database as database_module

LABELS = np.array([0, 1, 2, 0, 1, 2, 0])


@pytest.fixture
def filled(store, make_member, make_probabilities):
    for seed in range(3):
        store.commit_member(
            make_member(seed),
            f"weights {seed}".encode(),
            {"select": make_probabilities(seed), "report": make_probabilities(10 + seed)},
            labels={"select": LABELS, "report": LABELS},
            class_names=("a", "b", "c"),
        )
    return store


def stored(store, record):
    path = next((store.root / "files").rglob(f"{record.digest}.npy"))
    path.chmod(0o644)
    return path


def test_a_truncated_prediction_is_found_on_reading_and_by_the_check(filled):
    record = filled.predictions("digits", "select")[1]
    path = stored(filled, record)
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(
        StoreError, match=rf"{record.digest}\.npy is damaged: expected 170 bytes .* found 169"
    ):
        filled.probabilities(record)
    (problem,) = filled.check().problems
    assert f"{record.digest}.npy is damaged: expected SHA-256" in problem
    assert "named by predictions row" in problem
    assert not filled.check().passed


def test_another_array_under_the_name_is_found_on_reading(filled):
    record = filled.predictions("digits", "select")[1]
    np.save(stored(filled, record), np.zeros((7, 4), dtype=np.float16))

    with pytest.raises(StoreError, match="is damaged: expected SHA-256"):
        filled.probabilities(record)


def test_a_flipped_bit_is_found_by_the_check(filled):
    record = filled.predictions("digits", "report")[0]
    path = stored(filled, record)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))

    (problem,) = filled.check().problems
    assert record.digest in problem
    with pytest.raises(StoreError, match="is damaged: expected SHA-256"):
        filled.probabilities(record)


def test_damaged_weights_are_never_returned(filled):
    digest = filled.members()[0].weights_digest
    path = next((filled.root / "files").rglob(f"{digest}.safetensors"))
    path.chmod(0o644)
    path.write_bytes(b"weights X")

    with pytest.raises(StoreError, match="damaged: expected SHA-256"):
        filled.weights(digest)


def test_a_missing_file_is_found_by_the_check_with_the_rows_that_name_it(filled):
    record = filled.predictions("digits", "report")[2]
    path = stored(filled, record)
    path.unlink()

    with pytest.raises(StoreError, match="is missing, but the ledger names it"):
        filled.probabilities(record)
    assert filled.check().problems == (f"{path} is missing; named by predictions row 6",)


def test_a_stray_file_is_found_by_the_check(filled):
    (filled.root / "files" / "ab").mkdir(exist_ok=True)
    (filled.root / "files" / "ab" / "notes.txt").write_text("mine")

    (problem,) = filled.check().problems
    assert "notes.txt is not a stored file" in problem


def test_a_ledger_changed_by_hand_is_found_by_the_check(filled):
    ledger = sqlite3.connect(filled.root / "ledger.sqlite", isolation_level=None)
    ledger.execute("UPDATE predictions SET examples = 8 WHERE id = 1")
    ledger.execute("UPDATE members SET model_id = 99 WHERE id = 1")
    ledger.execute("UPDATE members SET member = 'nonsense' WHERE id = 2")
    ledger.close()

    problems = "\n".join(filled.check().problems)

    assert "predictions row 1 says [8, 3]" in problems
    assert "members row 1 points to a row of models that is not there" in problems
    assert "members cannot be read back: not a member: 'nonsense'" in problems


def test_a_row_cannot_be_current_twice(filled):
    ledger = sqlite3.connect(filled.root / "ledger.sqlite", isolation_level=None)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        ledger.execute(
            "INSERT INTO members SELECT 77, dataset, member, model_id, recipe_id, seed, split_digest, "
            "weights_digest, training, content, created_at, NULL, weights_kept FROM members WHERE id = 1"
        )
    ledger.close()


@pytest.mark.parametrize("where", [0.3, 0.5, 0.7, 0.9])
def test_a_damaged_page_of_the_ledger_ends_in_one_line(filled, where):
    filled.close()
    ledger = filled.root / "ledger.sqlite"
    content = bytearray(ledger.read_bytes())
    page = int(len(content) * where) // 4096 * 4096
    content[page : page + 4096] = b"\xff" * 4096
    ledger.write_bytes(bytes(content))

    try:
        with Store.open(filled.root) as again:
            problems = again.check().problems
    except StoreError as error:
        problems = (str(error),)
    assert problems
    assert all("\n" not in problem for problem in problems)


def test_a_ledger_that_is_no_database(tmp_path):
    content = b"this is no database, but it is long enough to be taken for one" * 20
    (tmp_path / "ledger.sqlite").write_bytes(content)

    with pytest.raises(StoreError, match=r"ledger\.sqlite: the ledger is damaged \(file is not a database\)"):
        Store.open(tmp_path)
    assert (tmp_path / "ledger.sqlite").read_bytes() == content


@pytest.mark.parametrize("empty", [True, False])
def test_a_lost_ledger_is_not_replaced_by_an_empty_one(filled, empty):
    filled.close()
    ledger = filled.root / "ledger.sqlite"
    ledger.write_bytes(b"") if empty else ledger.unlink()

    with pytest.raises(StoreError, match=r"is missing or empty, but .*files holds stored files; restore"):
        Store.open(filled.root)
    assert ledger.exists() == empty


def test_a_full_disk_is_said_in_one_line_and_nothing_is_half_written(filled, make_cost):
    with filled._engine.connect() as connection:  # the pragma holds for the pool's one connection
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 20}")

    written = 0

    def write_until_refused():
        nonlocal written
        while written < 2000:
            filled.put_cost(make_cost(written, source="s" * 5000))
            written += 1

    with pytest.raises(StoreError, match="the disk is full"):
        write_until_refused()
    filled.close()

    with Store.open(filled.root) as again:
        assert again.check().problems == ()
        assert [cost.figure.value for cost in again.costs()] == [written - 1]
        assert again.info().superseded == written - 1 > 0


def test_a_ledger_that_stays_locked_is_said_after_the_wait(filled, make_cost, monkeypatch):
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.2)
    holder = sqlite3.connect(filled.root / "ledger.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with Store.open(filled.root) as other:
        assert len(other.members()) == 3  # readers do not wait

        with pytest.raises(StoreError, match="another process has been writing for more than"):
            other.put_cost(make_cost())
        holder.execute("ROLLBACK")
        other.put_cost(make_cost())
    holder.close()

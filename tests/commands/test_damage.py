"""A damaged or foreign store is refused in one line, and left as it was."""

import hashlib
import sqlite3

import numpy as np
import pytest

DIGITS = ("--dataset", "digits")


def fingerprint(root):
    """Content of every file that holds results; SQLite's -wal and -shm come and go with readers."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def predictions_file(root):
    """A stored array of probabilities: the largest .npy."""
    return max((root / "files").rglob("*.npy"), key=lambda path: path.stat().st_size)


@pytest.mark.parametrize("damage", ["truncated", "emptied", "bits", "nan", "other shape"])
def test_a_corrupted_array_is_named_and_nothing_changes(explorer, store_copy, damage) -> None:
    path = predictions_file(store_copy)
    path.chmod(0o644)
    data = path.read_bytes()
    array = np.load(path)
    if damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "emptied":
        path.write_bytes(b"")
    elif damage == "bits":
        path.write_bytes(data[:200] + bytes(b ^ 0x55 for b in data[200:400]) + data[400:])
    elif damage == "nan":
        np.save(path, np.full_like(array, np.nan))
    else:
        np.save(path, array[:-1])
    before = fingerprint(store_copy)

    result = explorer("front", *DIGITS, "--store", store_copy)

    assert result.code == 2, (result.out, result.err)
    assert path.name[:12] in result.error_line
    assert fingerprint(store_copy) == before
    check = explorer("db", "check", "--store", store_copy)
    assert check.code == 1
    assert path.name[:12] in check.out


def test_a_newer_store_is_refused_and_left_alone(explorer, store_copy) -> None:
    ledger = store_copy / "ledger.sqlite"
    with sqlite3.connect(ledger) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    connection.close()
    before = fingerprint(store_copy)

    for arguments in (["front", *DIGITS], ["train", "wrn10-1", *DIGITS], ["db", "migrate"], ["db", "info"]):
        result = explorer(*arguments, "--store", store_copy)
        assert result.code == 2
        assert "newer version" in result.error_line
    assert fingerprint(store_copy) == before


def test_a_ledger_that_is_no_database_is_refused(explorer, store_copy) -> None:
    (store_copy / "ledger.sqlite").write_bytes(b"not a database at all" * 100)

    result = explorer("db", "info", "--store", store_copy)

    assert result.code == 2
    assert "ledger.sqlite" in result.error_line


def test_truncated_data_files_are_refused(explorer, unpacked_data, tmp_path) -> None:
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    for path in (unpacked_data / "fashion-mnist").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    images = folder / "train-images-idx3-ubyte.gz"
    images.write_bytes(images.read_bytes()[:100_000])

    result = explorer(
        "train",
        "wrn10-0.25",
        "--dataset",
        "fashion-mnist",
        "--data-dir",
        tmp_path,
        "--store",
        tmp_path / "store",
    )

    assert result.code == 2
    assert "train-images-idx3-ubyte.gz" in result.error_line
    assert not (tmp_path / "store").exists()

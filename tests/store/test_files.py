import hashlib
import os
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from explorer.errors import InputDataError, StoreError, UsageError
from explorer.store import Store, files


@pytest.fixture
def array_file(tmp_path):
    """A stored array of shape [5, 3], its digest and its path, writable so that it can be damaged."""
    digest = files.put_array(tmp_path, np.arange(15, dtype=np.float32).reshape(5, 3))
    path = files.path_of(tmp_path, digest, "npy")
    path.chmod(0o644)
    return tmp_path, digest, path


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    array=hnp.arrays(
        st.sampled_from([np.float16, np.int64, np.uint8, np.bool_]), hnp.array_shapes(min_side=0)
    )
)
def test_arrays_come_back_as_they_went(tmp_path, array):
    digest = files.put_array(tmp_path, array)
    found = files.get_array(tmp_path, digest)

    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)
    assert not found.flags.writeable
    assert hashlib.sha256(files.path_of(tmp_path, digest, "npy").read_bytes()).hexdigest() == digest


def test_a_transposed_array_and_its_copy_are_one_file(tmp_path):
    array = np.arange(6.0).reshape(2, 3)

    assert files.put_array(tmp_path, array.T) == files.put_array(tmp_path, array.T.copy())


def test_arrays_of_objects_are_refused(tmp_path):
    with pytest.raises(InputDataError, match="dtype object"):
        files.put_array(tmp_path, np.array([{}, None]))


def test_a_file_is_not_written_twice_and_is_read_only(array_file):
    folder, digest, path = array_file
    path.chmod(0o444)
    before = path.stat()

    assert files.put_bytes(folder, path.read_bytes(), "npy") == digest
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino
    assert list((folder / "tmp").iterdir()) == []


def test_putting_again_repairs_a_damaged_file(array_file):
    folder, digest, path = array_file
    whole = path.read_bytes()
    path.write_bytes(whole[:-3] + b"xyz")

    assert files.put_bytes(folder, whole, "npy") == digest
    assert path.read_bytes() == whole


@pytest.mark.parametrize("keep", [0, 1, 5, 9, 60, 127, 128, 140, 187])
def test_a_truncated_array_is_named_with_expected_and_found(array_file, keep):
    folder, digest, path = array_file
    assert path.stat().st_size == 128 + 15 * 4
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(StoreError, match=rf"{digest}\.npy is damaged: expected .*found {keep}\b"):
        files.get_array(folder, digest)


def test_an_array_with_something_behind_it_is_damaged(array_file):
    folder, digest, path = array_file
    with path.open("ab") as stream:
        stream.write(b"\0")

    with pytest.raises(StoreError, match=r"expected 188 bytes for shape \[5, 3\], found 189"):
        files.get_array(folder, digest)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.integers(0, 187), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found_and_never_crashes_the_reader(array_file, where, bit):
    folder, digest, path = array_file
    whole = path.read_bytes()
    broken = bytearray(whole)
    broken[where] ^= 1 << bit
    path.write_bytes(bytes(broken))
    try:
        assert "is damaged: expected SHA-256" in files.damage(path)
        with pytest.raises(StoreError, match="damaged"):
            files.get_array(folder, digest)
        with pytest.raises(StoreError, match="is damaged"):
            files.get_bytes(folder, digest, "npy")
    finally:
        path.write_bytes(whole)


def test_a_large_array_is_mapped_without_reading_it(array_file, monkeypatch):
    """Hashing 50 GB to open it would defeat the mapping: `explorer db check` does that."""
    folder, digest, path = array_file
    monkeypatch.setattr(files, "HASHED_ON_READ", 187)
    broken = bytearray(path.read_bytes())
    broken[-1] ^= 1
    path.write_bytes(bytes(broken))

    assert files.get_array(folder, digest).shape == (5, 3)
    assert "is damaged" in files.damage(path)


def test_a_missing_file_says_so(tmp_path):
    for read in (
        lambda: files.get_array(tmp_path, "a" * 64),
        lambda: files.get_bytes(tmp_path, "a" * 64, "json"),
    ):
        with pytest.raises(StoreError, match=r"a{64}\.(npy|json) is missing, but the ledger names it"):
            read()


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 65])
def test_what_is_not_a_digest_never_becomes_a_path(tmp_path, digest):
    with pytest.raises(UsageError, match="not a digest"):
        files.get_array(tmp_path, digest)


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(UsageError, match="unknown file suffix 'exe'; known: npy"):
        files.put_bytes(tmp_path, b"", "exe")


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", refuse)
    with pytest.raises(StoreError, match=r"cannot write .*: No space left on device"):
        files.put_bytes(tmp_path, b"data", "json")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_content_is_flushed_before_the_rename_and_the_folder_after(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(handle):
        calls.append(os.path.basename(os.readlink(f"/proc/self/fd/{handle}")))
        fsync(handle)

    def watched_replace(source, target):
        calls.append("rename")
        replace(source, target)

    monkeypatch.setattr(files.os, "fsync", watched_fsync)
    monkeypatch.setattr(files.os, "replace", watched_replace)
    digest = files.put_bytes(tmp_path, b"data", "json")

    assert calls[0].startswith(digest[:12])
    assert calls[1:] == ["rename", digest[:2], tmp_path.name]


def test_only_old_temporary_files_are_swept_when_a_store_opens(tmp_path):
    with Store.open(tmp_path) as store:
        folder = store.root / "files" / "tmp"
        (folder / "killed").write_bytes(b"half")
        (folder / "running").write_bytes(b"half")
        long_ago = time.time() - 2 * files.ABANDONED_AFTER_S
        os.utime(folder / "killed", (long_ago, long_ago))
        (problem,) = store.check().problems
        assert "killed is a temporary file that a killed process left behind" in problem

    with Store.open(tmp_path) as store:
        assert [path.name for path in folder.iterdir()] == ["running"]
        assert store.check().problems == ()

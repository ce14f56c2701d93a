"""Bundles under kill -9, at every moment at which something reaches the disk."""

import multiprocessing
import os
import signal

import pytest

from explorer.store import Store
from explorer.store.bundle import ingest_bundle, open_bundle, write_bundle
from tests.store import bundles

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
FORK = multiprocessing.get_context("fork") if hasattr(os, "fork") else None


def _killed_at(number, work, *arguments):
    flush, calls = os.fsync, 0

    def counted(handle):
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        flush(handle)

    os.fsync = counted
    work(*arguments)


def killed_at(number, work, *arguments):
    """Run ``work`` in a process that is killed at its n-th flush; tell whether it was."""
    process = FORK.Process(target=_killed_at, args=(number, work, *arguments))
    process.start()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def export(root, path):
    with Store.open(root) as store:
        write_bundle(store, path)


def ingest(root, path):
    with Store.open(root) as store:
        ingest_bundle(store, path)


@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_a_killed_export_leaves_no_half_bundle_under_the_name(store, tmp_path, name) -> None:
    bundles.commit(store, 0)
    store.close()
    number, target, killed = 0, tmp_path / "out" / name, True
    while killed:
        number += 1
        killed = killed_at(number, export, store.root, target)
        if target.exists():  # killed between the rename and its flush
            open_bundle(target).source.close()
            write = write_bundle(store, target, overwrite=True)
            assert write.members == 1
            bundles.shutil.rmtree(target) if target.is_dir() else target.unlink()
    assert number > (5 if name == "bundle" else 2)


def test_what_a_killed_export_left_goes_with_a_later_one(store, tmp_path) -> None:
    bundles.commit(store, 0)
    store.close()
    assert killed_at(3, export, store.root, tmp_path / "out" / "bundle")
    (left,) = (tmp_path / "out").iterdir()
    assert left.name.startswith(".bundle.")
    write_bundle(store, tmp_path / "out" / "bundle")
    assert left.exists()  # it may be at work
    os.utime(left, (0, 0))
    write_bundle(store, tmp_path / "out" / "bundle", overwrite=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["bundle"]


def test_a_killed_ingest_leaves_a_clean_store_and_the_next_one_completes_it(store, tmp_path) -> None:
    bundles.commit(store, 0)
    bundles.commit(store, 1)
    write_bundle(store, tmp_path / "bundle")
    number, killed = 0, True
    while killed:
        number += 1
        root = tmp_path / f"other{number}"
        with Store.open(root) as other:
            bundles.commit(other, 7)
        killed = killed_at(number, ingest, root, tmp_path / "bundle")
        with Store.open(root) as other:
            assert other.check().problems == ()
            there = {record.member.seed for record in other.members()}
            assert there in ({7}, {0, 1, 7})  # all of the bundle's rows, or none
            ingest_bundle(other, tmp_path / "bundle")
            assert {record.member.seed for record in other.members()} == {0, 1, 7}
            assert other.check().problems == ()
            assert other.info().orphans == 0
    assert number > 6


def test_two_processes_that_ingest_one_bundle_at_once(store, tmp_path) -> None:
    for seed in range(3):
        bundles.commit(store, seed)
    write_bundle(store, tmp_path / "bundle")
    processes = [
        FORK.Process(target=ingest, args=(tmp_path / "other", tmp_path / "bundle")) for _ in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    with Store.open(tmp_path / "other") as other:
        assert bundles.content(other) == bundles.content(store)
        assert other.info().superseded == 0
        assert other.check().problems == ()

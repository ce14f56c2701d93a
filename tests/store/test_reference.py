"""The study that ships, opened as a store of the user's cache."""

import multiprocessing
import os

import pytest

from explorer.errors import InputDataError, StoreError, UsageError
from explorer.store import Store, reference
from explorer.store.bundle import write_bundle
from tests.store import bundles


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("reference")
    with Store.open(root / "store") as store:
        for seed in range(3):
            bundles.commit(store, seed)
        bundles.commit(store, 0, dataset="fashion-mnist")
        write_bundle(store, root / "reference", weights=[store.members("digits")[0].member])
    return root


@pytest.fixture
def shipped(made, tmp_path, monkeypatch):
    """A made-up study in the place of the one that ships, an empty cache, and a folder without a store."""
    monkeypatch.setattr(reference, "SHIPPED", made / "reference")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("EXPLORER_STORE", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return made / "reference"


def test_it_opens_as_a_store_and_the_second_time_at_once(shipped, made, monkeypatch) -> None:
    with Store.open("reference", create=False) as store, Store.open(made / "store") as source:
        assert store.members() == source.members()
        assert store.root.parent == reference.default_cache()
        assert store.check().problems == ()
        assert store.info().without_weights == 2  # seed 0 is named alike on both data sets
        assert reference.reading_note(store) == (
            "no store in this folder: reading the reference study that ships "
            "(3 members of digits, 1 member of fashion-mnist)"
        )
        root, stamp = store.root, store.stamp()
    monkeypatch.setattr(reference, "ingest_bundle", None)  # it is not needed again
    with Store.open("reference", create=False) as store:
        assert (store.root, store.stamp()) == (root, stamp)
    assert [path.name for path in root.parent.iterdir()] == [root.name]


def test_the_environment_may_name_it(shipped, monkeypatch) -> None:
    monkeypatch.setenv("EXPLORER_STORE", "reference")
    with Store.open(create=False) as store:
        assert len(store.members()) == 4


def test_it_is_not_made_nor_written(shipped) -> None:
    with pytest.raises(UsageError, match="explorer db ingest reference --store explorer-store"):
        Store.open("reference")
    reference.refuse_reference("./reference")
    reference.refuse_reference(None)


def test_a_folder_of_that_name_has_a_path(shipped) -> None:
    Store.open("./reference").close()
    with Store.open("./reference", create=False) as store:
        assert store.members() == ()


def test_it_stands_in_only_where_nothing_else_is_meant(shipped, tmp_path, monkeypatch) -> None:
    assert reference.store_to_read(None) == "reference"
    assert reference.store_to_read("mine") == "mine"
    with monkeypatch.context() as named:
        named.setenv("EXPLORER_STORE", "mine")
        assert reference.store_to_read(None) is None
    (tmp_path / "here" / "explorer-store").mkdir()  # perhaps one that has lost its ledger: to be told of
    assert reference.store_to_read(None) is None


def test_a_build_without_one_says_so(shipped, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(reference, "SHIPPED", tmp_path / "none")
    assert reference.store_to_read(None) is None
    with pytest.raises(StoreError, match="this build of scale-or-ensemble ships no reference study"):
        Store.open("reference", create=False)


def test_files_that_were_swept_from_the_cache_come_back(shipped) -> None:
    with Store.open("reference", create=False) as store:
        swept = sorted((store.root / "files").rglob("*.npy"))[:3]
    for path in swept:
        path.unlink()

    with Store.open("reference", create=False) as store:
        assert store.check().problems == ()
    assert all(path.is_file() for path in swept)


def test_a_cache_that_lost_its_ledger_says_what_to_do(shipped) -> None:
    with Store.open("reference", create=False) as store:
        root = store.root
    (root / "ledger.sqlite").unlink()
    with pytest.raises(StoreError, match="delete the folder: it is only a cache"):
        Store.open("reference", create=False)


def test_another_study_gets_a_folder_of_its_own(shipped, made, monkeypatch, tmp_path) -> None:
    with Store.open("reference", create=False) as store:
        first = store.root
    with Store.open(made / "store") as store:
        write_bundle(store, tmp_path / "newer", weights="none")
    monkeypatch.setattr(reference, "SHIPPED", tmp_path / "newer")
    with Store.open("reference", create=False) as store:
        assert store.root != first
        assert store.info().without_weights == 4


@pytest.mark.parametrize("place", ["file", "under a file"])
def test_a_cache_that_cannot_be_written(shipped, tmp_path, monkeypatch, place) -> None:
    (tmp_path / "file").write_text("mine")
    cache = tmp_path / "file" if place == "file" else tmp_path / "file" / "below"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    with pytest.raises(StoreError, match=r"cannot keep the reference study in .*XDG_CACHE_HOME") as caught:
        Store.open("reference", create=False)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_damaged_study_leaves_no_store(shipped, tmp_path, monkeypatch) -> None:
    broken = bundles.copied(shipped, tmp_path / "broken")
    path = next(broken.rglob("*.npy"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(reference, "SHIPPED", broken)
    with pytest.raises(InputDataError, match="is damaged"):
        Store.open("reference", create=False)
    assert list(reference.default_cache().iterdir()) == []


def _open(ready, done):
    ready.wait()
    with Store.open("reference", create=False) as store:
        done.put((len(store.members()), store.check().problems))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_processes_that_open_it_first_at_once_all_succeed(shipped) -> None:
    fork = multiprocessing.get_context("fork")
    ready, done = fork.Barrier(3), fork.Queue()
    processes = [fork.Process(target=_open, args=(ready, done)) for _ in range(3)]
    for process in processes:
        process.start()
    assert [done.get(timeout=120) for _ in processes] == [(4, ())] * 3
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert len(list(reference.default_cache().iterdir())) == 1

import dataclasses
import sqlite3

import pytest

from explorer.data.timm_results import read_results_table
from explorer.data.timm_tables import read_benchmark_table
from explorer.errors import StoreError
from explorer.store import Store, migrate
from explorer.store.published import (
    PublishedTable,
    PutOutcome,
    published_datasets,
    published_tables,
    put_published,
)
from tests.timm_folder import EAGER, write_timm


@pytest.fixture
def tables(tmp_path):
    folder = write_timm(tmp_path / "timm")
    read = (
        read_benchmark_table(folder / f"{EAGER}.csv"),
        read_results_table(folder / "results-imagenet.csv"),
        read_results_table(folder / "results-imagenet-a.csv"),
    )
    return tuple(
        PublishedTable(dataset="imagenet", digest=f"{number}" * 64, source="a test", table=table)
        for number, table in enumerate(read)
    )


def test_tables_come_back_as_they_were_put(store, tables):
    assert set(put_published(store, tables).values()) == {PutOutcome.ADDED}
    assert published_tables(store) == tables
    assert published_tables(store, "imagenet") == tables
    assert published_tables(store, "digits") == ()
    assert published_datasets(store) == ("imagenet",)
    assert store.info().counts["published"] == 3
    assert store.check().problems == ()


def test_costs_alone_are_no_data_set_with_accuracies(store, tables):
    put_published(store, tables[:1])
    assert published_datasets(store) == ()


def test_the_same_again_adds_nothing_and_a_changed_file_supersedes(store, tables):
    put_published(store, tables)
    before = store.stamp()
    assert set(put_published(store, tables).values()) == {PutOutcome.THERE}
    assert (store.stamp(), store.info().superseded) == (before, 0)

    changed = dataclasses.replace(tables[2], digest="f" * 64)
    found = put_published(store, (*tables[:2], changed))
    assert found[changed.name] is PutOutcome.REPLACED
    assert [found[one.name] for one in tables[:2]] == [PutOutcome.THERE] * 2
    assert published_tables(store)[2].digest == "f" * 64
    assert (store.info().counts["published"], store.info().superseded) == (3, 1)


def test_one_file_under_two_data_sets_is_two_tables(store, tables):
    put_published(store, tables)
    put_published(store, [dataclasses.replace(one, dataset="other") for one in tables])
    assert published_datasets(store) == ("imagenet", "other")
    assert [one.dataset for one in published_tables(store)] == ["imagenet"] * 3 + ["other"] * 3


def test_a_store_of_the_fourth_format_gets_the_table(tmp_path, monkeypatch, tables):
    with monkeypatch.context() as old:
        old.setattr(migrate, "REVISIONS", ("0001", "0002", "0003", "0004"))
        old.setattr(migrate, "HEAD", "0004")
        Store.open(tmp_path / "store").close()
    with Store.open(tmp_path / "store", create=False) as store:
        assert store.info().revision == migrate.HEAD
        put_published(store, tables)
        assert published_tables(store) == tables


def test_a_row_that_cannot_be_read_back_is_said_and_checked(store, tables):
    put_published(store, tables)
    store.close()
    connection = sqlite3.connect(store.root / "ledger.sqlite")
    connection.execute("UPDATE published SET document = '{}' WHERE name = 'results-imagenet'")
    connection.commit()
    connection.close()
    with Store.open(store.root, create=False) as again:
        with pytest.raises(StoreError, match="published table results-imagenet cannot be read back"):
            published_tables(again)
        assert any("published cannot be read back" in problem for problem in again.check().problems)

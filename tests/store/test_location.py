from pathlib import Path

import pytest

from explorer.errors import StoreError, UsageError
from explorer.store import Store
from explorer.store.location import locate, sqlite_url


def test_where_a_store_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EXPLORER_STORE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    assert locate() == tmp_path / "explorer-store"
    assert locate("a/b") == tmp_path / "a" / "b"
    assert locate(Path("a/b")) == tmp_path / "a" / "b"
    assert locate("sqlite:///a/b") == tmp_path / "a" / "b"
    assert locate(f"sqlite:///{tmp_path}/b") == tmp_path / "b"
    assert locate("sqlite:///a/ledger.sqlite") == tmp_path / "a"
    assert locate("~/b") == tmp_path / "home" / "b"
    assert locate(sqlite_url(tmp_path / "x")) == tmp_path / "x"

    monkeypatch.setenv("EXPLORER_STORE", "elsewhere")
    assert locate() == tmp_path / "elsewhere"
    assert locate("here") == tmp_path / "here"


@pytest.mark.parametrize(
    "url",
    ["postgresql+psycopg://host/db", "s3://bucket", "sqlite://", "sqlite:///:memory:", "http:x", "", "  "],
)
def test_what_is_not_supported_says_what_is(url):
    with pytest.raises(UsageError, match=r"not a store: .*; wanted a folder path or sqlite:///PATH"):
        Store.open(url)


def test_a_file_is_not_a_store(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match=r"file is a file; wanted a folder"):
        Store.open(tmp_path / "file")
    with pytest.raises(StoreError, match=r"cannot make a store at .*Not a directory"):
        Store.open(tmp_path / "file" / "below")


def test_a_missing_store_is_not_made_unasked(tmp_path):
    with pytest.raises(StoreError, match=r"no store at .*/none: .*`explorer quickstart`.*--store"):
        Store.open(tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()

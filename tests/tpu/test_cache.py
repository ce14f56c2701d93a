"""Answers are kept whole or not at all, and are asked for again when anything that shapes them changed."""

from pathlib import Path

import pytest

from explorer.tpu import cache


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    cache.write(tmp_path, "asked", "k1", {"cycles": 7})

    assert cache.read(tmp_path, "asked", "k1") == {"cycles": 7, "key": "k1"}
    assert cache.read(tmp_path, "asked", "k2") is None
    assert cache.read(tmp_path, "compiled", "k1") is None
    assert [path.name for path in (tmp_path / "asked").iterdir()] == ["k1.json"]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"cycles": 7}', '{"key": "other"}', "\0\xff"])
def test_a_damaged_entry_is_nothing(tmp_path: Path, damage: str) -> None:
    cache.write(tmp_path, "asked", "k", {"cycles": 7})
    (tmp_path / "asked" / "k.json").write_text(damage, encoding="latin-1")

    assert cache.read(tmp_path, "asked", "k") is None
    cache.write(tmp_path, "asked", "k", {"cycles": 11})
    assert cache.read(tmp_path, "asked", "k") == {"cycles": 11, "key": "k"}


def test_a_failed_write_leaves_the_old_entry(tmp_path: Path) -> None:
    cache.write(tmp_path, "asked", "k", {"cycles": 7})
    with pytest.raises(TypeError):
        cache.write(tmp_path, "asked", "k", {"cycles": object()})

    assert cache.read(tmp_path, "asked", "k") == {"cycles": 7, "key": "k"}
    assert [path.name for path in (tmp_path / "asked").iterdir()] == ["k.json"]


def test_the_key_follows_every_part_and_not_the_order() -> None:
    assert cache.key_of({"a": 1, "b": [2, 3]}) == cache.key_of({"b": [2, 3], "a": 1})
    assert cache.key_of({"a": 1}) != cache.key_of({"a": 2})


def test_our_code_has_a_digest_and_absent_packages_are_said() -> None:
    assert cache.code_digest() == cache.code_digest()
    assert cache.versions()["torch"] != "absent"
    assert set(cache.versions()) == set(cache.PACKAGES)


def test_the_default_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EXPLORER_TPU_CACHE", str(tmp_path))
    assert cache.default_folder() == tmp_path
    monkeypatch.delenv("EXPLORER_TPU_CACHE")
    assert cache.default_folder().name == "tpu"

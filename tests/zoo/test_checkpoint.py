import os
from pathlib import Path

import pytest
import torch

from zoo import checkpoint
from zoo.registry import ZooError

IDENTITY = {"model": "wrn10-1", "seed": 3}
PAYLOAD = {"weights": torch.arange(7.0), "curve": [{"loss": 0.5}]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    where = tmp_path / "work" / "member.pt"
    checkpoint.save(where, IDENTITY, PAYLOAD)
    return where


def test_what_is_saved_comes_back_and_nothing_else_is_left(path: Path) -> None:
    found = checkpoint.load(path, IDENTITY)
    assert torch.equal(found["weights"], PAYLOAD["weights"])
    assert found["curve"] == PAYLOAD["curve"]
    assert [p.name for p in path.parent.iterdir()] == ["member.pt"]


def test_what_a_checkpoint_holds_can_be_asked_without_knowing_whose_it_is(path: Path) -> None:
    assert checkpoint.stack_done(path) == ((), 1)
    assert checkpoint.epochs_done(path) == 1
    curves = [[{"loss": 0.5}, {"loss": 0.4}]] * 2
    checkpoint.save(path, {"model": "wrn10-1", "seeds": [3, 5]}, {"curves": curves})
    assert checkpoint.stack_done(path) == ((3, 5), 2)
    path.write_bytes(path.read_bytes()[:-9])
    assert checkpoint.stack_done(path) == ((), 0)
    assert checkpoint.stack_done(path.with_name("absent.pt")) == ((), 0)


def test_every_truncation_is_noticed(path: Path) -> None:
    content = path.read_bytes()
    for length in [*range(0, 120), len(content) // 2, len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(checkpoint.DamagedError, match="cut off"):
            checkpoint.load(path, IDENTITY)


def test_a_flipped_bit_is_noticed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in range(len(b"zoo-checkpoint 1\n"), len(content), 53):
        damaged = bytearray(content)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(checkpoint.DamagedError, match="cut off or altered"):
            checkpoint.load(path, IDENTITY)


def test_another_training_is_refused_and_all_differences_are_told(path: Path) -> None:
    with pytest.raises(
        ZooError,
        match=r"of another training \(seed: 3 there, 4 wanted; data: absent there, ff wanted\); name another",
    ) as caught:
        checkpoint.load(path, {"model": "wrn10-1", "seed": 4, "data": "ff"})
    assert not isinstance(caught.value, checkpoint.DamagedError)
    with pytest.raises(ZooError, match=r"\(seed: 3 there, absent wanted\)"):
        checkpoint.load(path, {"model": "wrn10-1"})


def test_a_file_of_another_kind_or_version_is_refused_not_overwritten(path: Path) -> None:
    for content, message in (
        (b"my thesis", "is not a training checkpoint; name another file or remove it"),
        (b"zoo-checkpoint 2\n...", "has format 2; this version reads 1"),
    ):
        path.write_bytes(content)
        with pytest.raises(ZooError, match=message) as caught:
            checkpoint.load(path, IDENTITY)
        assert not isinstance(caught.value, checkpoint.DamagedError)


def test_a_failed_write_leaves_the_old_checkpoint_and_no_litter(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError("no space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        checkpoint.save(path, IDENTITY, PAYLOAD)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["member.pt"]

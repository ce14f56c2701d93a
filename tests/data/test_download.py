import hashlib
import os
import socket
from pathlib import Path

import pytest

from explorer.data import download
from explorer.data.download import fetch
from explorer.errors import EnvironmentMissingError, InputDataError, UsageError

CONTENT = bytes(range(256)) * 4099  # about 1 MB: several blocks


def left_in(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob("*")]


def test_file_arrives_whole_with_progress(server, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []

    path = fetch(server.file("data.bin", CONTENT), tmp_path / "new", progress=lambda *s: seen.append(s))

    assert path == tmp_path / "new" / "data.bin"
    assert path.read_bytes() == CONTENT
    assert left_in(tmp_path / "new") == ["data.bin"]
    received = [step[1] for step in seen]
    assert received == sorted(received)
    assert len(received) > 2
    assert seen[-1] == ("data.bin", len(CONTENT), len(CONTENT))
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("name", ["md5", "sha256"])
def test_wrong_checksum_is_refused_and_removed(server, tmp_path: Path, name: str) -> None:
    wrong = hashlib.new(name, b"other").hexdigest()

    with pytest.raises(
        InputDataError, match=rf"data\.bin: {name} [0-9a-f]+, expected {wrong}; nothing was kept"
    ):
        fetch(server.file("data.bin", CONTENT, **{name: wrong}), tmp_path)

    assert left_in(tmp_path) == []


def test_wrong_checksum_leaves_an_earlier_file_alone(server, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"earlier")

    with pytest.raises(InputDataError, match="md5"):
        fetch(server.file("data.bin", CONTENT, md5="0" * 32), tmp_path)

    assert (tmp_path / "data.bin").read_bytes() == b"earlier"
    assert left_in(tmp_path) == ["data.bin"]


def test_shorter_than_published(server, tmp_path: Path) -> None:
    file = server.file("data.bin", CONTENT, size_bytes=len(CONTENT) + 1)

    with pytest.raises(InputDataError, match=rf"{len(CONTENT)} bytes of {len(CONTENT) + 1} bytes arrived"):
        fetch(file, tmp_path)
    assert left_in(tmp_path) == []


def test_longer_than_published_stops_early(server, tmp_path: Path) -> None:
    seen: list[int] = []

    with pytest.raises(InputDataError, match="more than 1000 bytes arrived"):
        fetch(
            server.file("data.bin", CONTENT, size_bytes=1000),
            tmp_path,
            progress=lambda name, received, total: seen.append(received),
        )
    assert len(seen) == 1  # one block, not the whole file
    assert left_in(tmp_path) == []


def test_transfer_breaks_off(server, tmp_path: Path) -> None:
    file = server.file("data.bin", CONTENT, size_bytes=len(CONTENT) + 999)
    server.announce["/data.bin"] = len(CONTENT) + 999

    with pytest.raises(InputDataError, match=rf"of {len(CONTENT) + 999} bytes arrived; nothing was kept"):
        fetch(file, tmp_path)
    assert left_in(tmp_path) == []


def test_server_refuses(server, tmp_path: Path) -> None:
    file = server.file("data.bin", CONTENT)
    del server.pages["/data.bin"]

    with pytest.raises(
        EnvironmentMissingError, match=r"cannot fetch http.*: the server answered 404 Not Found"
    ):
        fetch(file, tmp_path)
    assert left_in(tmp_path) == []


def test_server_not_there(server, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    file = server.file("data.bin", CONTENT, url=f"http://127.0.0.1:{port}/data.bin")

    with pytest.raises(EnvironmentMissingError, match=r"cannot fetch .*refused.*--data-dir DIR"):
        fetch(file, tmp_path)
    assert left_in(tmp_path) == []


def test_server_that_falls_silent(monkeypatch: pytest.MonkeyPatch, server, tmp_path: Path) -> None:
    monkeypatch.setattr(download, "TIMEOUT_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        file = server.file("data.bin", CONTENT, url=f"http://127.0.0.1:{silent.getsockname()[1]}/x")

        with pytest.raises(EnvironmentMissingError, match="timed out"):
            fetch(file, tmp_path)
    assert left_in(tmp_path) == []


def test_interruption_removes_the_temporary_file(server, tmp_path: Path) -> None:
    def interrupt(name: str, received: int, total: int) -> None:
        assert len(left_in(tmp_path)) == 1  # it is there while the download runs
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server.file("data.bin", CONTENT), tmp_path, progress=interrupt)
    assert left_in(tmp_path) == []


def test_full_disk_is_not_blamed_on_the_server(
    server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(UsageError, match=r"cannot write to .*: No space left on device; .*--data-dir DIR"):
        fetch(server.file("data.bin", CONTENT), tmp_path)
    assert left_in(tmp_path) == []


def test_folder_that_cannot_be_made(server, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")

    with pytest.raises(UsageError, match=r"cannot write to .*taken"):
        fetch(server.file("data.bin", CONTENT), tmp_path / "taken" / "below")
    assert server.requests == []


def test_only_web_addresses(server) -> None:
    with pytest.raises(UsageError, match="only https and http"):
        server.file("data.bin", CONTENT, url="file:///etc/hostname")

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from explorer.data import cifar10, load_images
from explorer.data.cifar10 import read_batch
from explorer.errors import InputDataError

NAMES = tuple(cifar10.FILE_SHA256)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Shrink the data set to 7 records a file; contents by file name."""
    rng = np.random.default_rng(1)
    made = {}
    for name in NAMES:
        records = rng.integers(0, 256, (7, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(7) + (3 if name == "test_batch.bin" else 0)
        made[name] = records.tobytes()
    monkeypatch.setattr(cifar10, "EXAMPLES_PER_FILE", 7)
    monkeypatch.setattr(cifar10, "SELECT", 11)
    monkeypatch.setattr(
        cifar10, "FILE_SHA256", {name: hashlib.sha256(content).hexdigest() for name, content in made.items()}
    )
    return made


def write(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def test_whole_small_set(batches: dict[str, bytes], tmp_path: Path) -> None:
    write(tmp_path / "cifar-10-batches-bin", batches)

    found = load_images("cifar10", data_dir=tmp_path)

    assert (len(found.train), len(found.select), len(found.report)) == (24, 11, 7)
    assert found.report.labels.tolist() == [3, 4, 5, 6, 7, 8, 9]
    # by hand: pixel (row 2, column 5, green) of the fourth test record
    assert found.report.images[3, 2, 5, 1] == batches["test_batch.bin"][3 * 3073 + 1 + 1024 + 2 * 32 + 5]


def test_files_directly_in_the_folder(batches: dict[str, bytes], tmp_path: Path) -> None:
    write(tmp_path, batches)

    assert len(load_images("cifar10", data_dir=tmp_path).report) == 7


@pytest.mark.parametrize("size", [0, 1, 7 * 3073 - 1, 7 * 3073 + 1, 6 * 3073])
def test_wrong_size(batches: dict[str, bytes], tmp_path: Path, size: int) -> None:
    batches["data_batch_2.bin"] = batches["data_batch_2.bin"].ljust(size, b"\0")[:size]
    write(tmp_path, batches)

    with pytest.raises(
        InputDataError, match=rf"data_batch_2\.bin: {size} bytes, expected 21511 \(7 records of 3073"
    ):
        load_images("cifar10", data_dir=tmp_path)


def test_label_out_of_range(batches: dict[str, bytes], tmp_path: Path) -> None:
    damaged = bytearray(batches["data_batch_5.bin"])
    damaged[5 * 3073] = 10
    write(tmp_path, {**batches, "data_batch_5.bin": bytes(damaged)})

    with pytest.raises(
        InputDataError, match=r"data_batch_5\.bin: label 10 of example 5 is out of range; expected 0 to 9"
    ):
        load_images("cifar10", data_dir=tmp_path)


def test_one_flipped_bit(batches: dict[str, bytes], tmp_path: Path) -> None:
    damaged = bytearray(batches["test_batch.bin"])
    damaged[20_000] ^= 1
    write(tmp_path, {**batches, "test_batch.bin": bytes(damaged)})

    with pytest.raises(InputDataError, match=r"test_batch\.bin is not the published file: .*folder:PATH"):
        load_images("cifar10", data_dir=tmp_path)


def test_files_swapped(batches: dict[str, bytes], tmp_path: Path) -> None:
    one, test = "data_batch_1.bin", "test_batch.bin"
    write(tmp_path, {**batches, one: batches[test], test: batches[one]})

    with pytest.raises(InputDataError, match=r"data_batch_1\.bin is not the published file"):
        load_images("cifar10", data_dir=tmp_path)


def test_real_file_truncated(unpacked_data: Path, tmp_path: Path) -> None:
    source = unpacked_data / "cifar-10-batches-bin" / "data_batch_3.bin"
    path = tmp_path / source.name
    path.write_bytes(source.read_bytes()[:-4096])

    with pytest.raises(
        InputDataError, match=r"30725904 bytes, expected 30730000 \(10000 records of 3073 bytes\)"
    ):
        read_batch(path, sha256=cifar10.FILE_SHA256["data_batch_3.bin"])


def archive(contents: dict[str, bytes], *, prefix: str = "cifar-10-batches-bin/") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in reversed(contents.items()):
            entry = tarfile.TarInfo(prefix + name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture
def serve(server: object, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Return a function that puts an archive on the local server as the published one."""

    def put(content: bytes, **changes: object) -> object:
        file = server.file("cifar-10-binary.tar.gz", content, **changes)  # type: ignore[attr-defined]
        monkeypatch.setattr(cifar10, "ARCHIVE", file)
        return server

    return put


def test_download_unpacks_the_files_and_keeps_nothing_else(
    batches: dict[str, bytes], serve: Callable[..., object], tmp_path: Path
) -> None:
    server = serve(archive({**batches, "readme.html": b"x", "../../escape.bin": b"x"}))
    data_dir = tmp_path / "not" / "there" / "yet"

    found = load_images("cifar10", data_dir=data_dir, download=True)

    assert len(found.train) == 24
    assert sorted(p.relative_to(data_dir).as_posix() for p in data_dir.rglob("*")) == sorted(
        ["cifar-10-batches-bin", *(f"cifar-10-batches-bin/{name}" for name in NAMES)]
    )
    load_images("cifar10", data_dir=data_dir, download=True)
    assert len(server.requests) == 1  # type: ignore[attr-defined]  # nothing missing, nothing fetched


def test_nothing_is_fetched_without_being_asked(
    batches: dict[str, bytes], serve: Callable[..., object], tmp_path: Path
) -> None:
    server = serve(archive(batches))

    with pytest.raises(InputDataError, match="not found"):
        load_images("cifar10", data_dir=tmp_path)
    assert server.requests == []  # type: ignore[attr-defined]


def test_archive_of_another_checksum_leaves_nothing(
    batches: dict[str, bytes], serve: Callable[..., object], tmp_path: Path
) -> None:
    serve(archive(batches), md5="0" * 32)

    with pytest.raises(
        InputDataError, match=r"cifar-10-binary\.tar\.gz: md5 .*, expected 0{32}; nothing was kept"
    ):
        load_images("cifar10", data_dir=tmp_path, download=True)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_archive_without_a_file(
    batches: dict[str, bytes], serve: Callable[..., object], tmp_path: Path
) -> None:
    serve(archive({name: content for name, content in batches.items() if name != "data_batch_2.bin"}))

    with pytest.raises(InputDataError, match=r"does not hold data_batch_2\.bin in cifar-10-batches-bin/"):
        load_images("cifar10", data_dir=tmp_path, download=True)


def test_links_in_an_archive_are_not_followed(
    batches: dict[str, bytes], serve: Callable[..., object], tmp_path: Path
) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        link = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    serve(out.getvalue())

    with pytest.raises(InputDataError, match=r"does not hold .*test_batch\.bin"):
        load_images("cifar10", data_dir=tmp_path, download=True)


def test_published_address() -> None:
    assert cifar10.ARCHIVE.url == "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    assert cifar10.ARCHIVE.md5 == "c32a1d4ab5d03f1284b67883e8d87530"  # as on the publisher's page

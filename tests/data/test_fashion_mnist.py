import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from explorer.data import fashion_mnist, load_images
from explorer.data.fashion_mnist import FILES, read_idx
from explorer.errors import InputDataError

IMAGES = np.arange(7 * 5 * 3, dtype=np.uint8).reshape(7, 5, 3)


def test_sound_file_is_read_as_written(idx_file: Callable[..., Path]) -> None:
    found, content = read_idx(idx_file(IMAGES), magic=2051, shape=(7, 5, 3))

    assert np.array_equal(found, IMAGES)
    assert content == struct.pack(">IIII", 2051, 7, 5, 3) + IMAGES.tobytes()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"magic": 2049}, r"some-idx\.gz: magic number 2049, expected 2051"),
        ({"magic": 0x03080000}, r"magic number 50855936, expected 2051"),  # byte order turned round
        ({"shape": (7, 3, 5)}, r"header says shape \(7, 3, 5\), expected \(7, 5, 3\)"),
        ({"cut": 1}, r"120 bytes unpacked, expected 121 for shape \(7, 5, 3\)"),
        ({"extra": b"x"}, r"more than 121 bytes unpacked, expected 121"),
        ({"cut": 121 - 15}, r"15 bytes unpacked, an IDX header alone has 16"),
        ({"cut": 121}, r"0 bytes unpacked, an IDX header alone has 16"),
    ],
)
def test_damaged_content(idx_file: Callable[..., Path], damage: dict[str, object], message: str) -> None:
    with pytest.raises(InputDataError, match=message):
        read_idx(idx_file(IMAGES, **damage), magic=2051, shape=(7, 5, 3))


def test_truncation_anywhere_is_one_clear_error(idx_file: Callable[..., Path]) -> None:
    path = idx_file(IMAGES)
    whole = path.read_bytes()

    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputDataError, match=r"some-idx\.gz"):
            read_idx(path, magic=2051, shape=(7, 5, 3))


def test_no_flipped_bit_gets_through_unseen(idx_file: Callable[..., Path]) -> None:
    path = idx_file(IMAGES)
    whole = path.read_bytes()
    harmless = 0

    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        if (found := pixels_or_error(path)) is not None:
            # gzip's time stamp and operating system, and filling bits, are no part of the content
            harmless += 1
            assert np.array_equal(found, IMAGES)
    assert harmless < 10


def pixels_or_error(path: Path) -> np.ndarray | None:
    """Return the pixels, or None after an `InputDataError` that names the file."""
    try:
        return read_idx(path, magic=2051, shape=(7, 5, 3))[0]
    except InputDataError as error:
        if str(path) not in str(error):
            raise
        return None


def test_unpacked_size_is_bounded_before_it_is_read(idx_file: Callable[..., Path], tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.gz"
    with gzip.open(bomb, "wb", 9) as file:
        file.write(struct.pack(">II", 2049, 7))
        for _ in range(64):
            file.write(bytes(1 << 20))

    with pytest.raises(InputDataError, match="more than 15 bytes unpacked, expected 15"):
        read_idx(bomb, magic=2049, shape=(7,))


def test_not_gzip(tmp_path: Path) -> None:
    path = tmp_path / "page.gz"
    path.write_text("<html>404</html>")

    with pytest.raises(InputDataError, match=r"page\.gz is not a sound gzip file: Not a gzipped file"):
        read_idx(path, magic=2049, shape=(7,))


@pytest.fixture
def small(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, idx_file: Callable[..., Path]
) -> Callable[..., Path]:
    """Shrink the data set to 11 + 5 examples, and return a function that writes its four files."""
    import hashlib

    monkeypatch.setattr(fashion_mnist, "TRAIN", 11)
    monkeypatch.setattr(fashion_mnist, "TEST", 5)
    monkeypatch.setattr(fashion_mnist, "SELECT", 3)
    rng = np.random.default_rng(0)
    arrays = {}
    for prefix, examples in (("train", 11), ("t10k", 5)):
        arrays[f"{prefix}-images-idx3-ubyte.gz"] = rng.integers(0, 256, (examples, 28, 28), dtype=np.uint8)
        arrays[f"{prefix}-labels-idx1-ubyte.gz"] = (np.arange(examples) % 10).astype(np.uint8)
    sha256 = {
        name: hashlib.sha256(
            struct.pack(f">{1 + a.ndim}I", 2048 + a.ndim, *a.shape) + a.tobytes()
        ).hexdigest()
        for name, a in arrays.items()
    }
    monkeypatch.setattr(fashion_mnist, "CONTENT_SHA256", sha256)

    def write(**changed: np.ndarray) -> Path:
        for name, array in arrays.items():
            idx_file(changed.get(name, array), name=name)
        return tmp_path

    return write


def test_whole_small_set(small: Callable[..., Path]) -> None:
    found = load_images("fashion-mnist", data_dir=small())

    assert (len(found.train), len(found.select), len(found.report)) == (8, 3, 5)
    assert found.report.labels.tolist() == [0, 1, 2, 3, 4]
    assert found.train.images.shape == (8, 28, 28, 1)


def test_label_out_of_range(small: Callable[..., Path]) -> None:
    labels = np.array([0, 1, 2, 10, 200], dtype=np.uint8)
    folder = small(**{"t10k-labels-idx1-ubyte.gz": labels})

    message = r"t10k-labels-idx1-ubyte\.gz: label 10 of example 3 is out of range; expected 0 to 9 \(2 such"
    with pytest.raises(InputDataError, match=message):
        load_images("fashion-mnist", data_dir=folder)


def test_another_data_set_under_the_same_file_names(small: Callable[..., Path]) -> None:
    # MNIST and Fashion-MNIST share names, sizes and magic numbers
    folder = small(**{"train-labels-idx1-ubyte.gz": np.zeros(11, dtype=np.uint8)})

    with pytest.raises(
        InputDataError, match=r"train-labels-idx1-ubyte\.gz is not the published file: .*sha256"
    ):
        load_images("fashion-mnist", data_dir=folder)


def test_download_fetches_only_what_is_missing(
    small: Callable[..., Path], server: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small()
    gone = "t10k-images-idx3-ubyte.gz"
    content = (folder / gone).read_bytes()
    (folder / gone).unlink()
    files = tuple(
        server.file(file.name, content) if file.name == gone else file  # type: ignore[attr-defined]
        for file in FILES
    )
    monkeypatch.setattr(fashion_mnist, "FILES", files)
    seen: list[tuple[str, int, int]] = []

    found = load_images(
        "fashion-mnist", data_dir=folder, download=True, progress=lambda *step: seen.append(step)
    )

    assert len(found.report) == 5
    assert server.requests == [f"/{gone}"]  # type: ignore[attr-defined]
    assert seen[-1] == (gone, len(content), len(content))
    assert [p.name for p in (folder / "fashion-mnist").iterdir()] == [gone]


def test_published_addresses_are_https_and_name_their_file() -> None:
    assert len(FILES) == 4
    for file in FILES:
        assert file.url.startswith("https://")
        assert file.url.endswith(f"/{file.name}")
        assert len(file.md5) == 32
        assert len(file.sha256) == 64
    assert set(fashion_mnist.CONTENT_SHA256) == {file.name for file in FILES}

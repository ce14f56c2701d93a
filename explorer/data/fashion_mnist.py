"""Fashion-MNIST from the publisher's four IDX files (arXiv 1708.07747)."""

import gzip
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from explorer.data.download import Progress, RemoteFile, fetch
from explorer.data.raw import RawImages, check_labels, check_published, find_files, missing_files
from explorer.data.splits import split_published
from explorer.errors import InputDataError

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SIDE = 28
TRAIN, TEST, SELECT = 60_000, 10_000, 5_000
SOURCE = "Fashion-MNIST (H. Xiao, K. Rasul, R. Vollgraf, arXiv 1708.07747, MIT licence)"

_BASE = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion"
_IMAGES_MAGIC = 2051
"""0x00000803: unsigned bytes, three axes (the IDX format of the MNIST page)."""
_LABELS_MAGIC = 2049
"""0x00000801: unsigned bytes, one axis."""

# MD5 from the publisher's README; SHA-256 and sizes as in TensorFlow Datasets' checksum list.
FILES = (
    RemoteFile(
        name="train-images-idx3-ubyte.gz",
        url=f"{_BASE}/train-images-idx3-ubyte.gz",
        size_bytes=26_421_880,
        md5="8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        sha256="3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    ),
    RemoteFile(
        name="train-labels-idx1-ubyte.gz",
        url=f"{_BASE}/train-labels-idx1-ubyte.gz",
        size_bytes=29_515,
        md5="25c81989df183df01b3e8a0aad5dffbe",
        sha256="a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    ),
    RemoteFile(
        name="t10k-images-idx3-ubyte.gz",
        url=f"{_BASE}/t10k-images-idx3-ubyte.gz",
        size_bytes=4_422_102,
        md5="bef4ecab320f06d8554ea6380940ec79",
        sha256="346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    ),
    RemoteFile(
        name="t10k-labels-idx1-ubyte.gz",
        url=f"{_BASE}/t10k-labels-idx1-ubyte.gz",
        size_bytes=5_148,
        md5="bb300cfdad3c16e7a12a480ee83cd310",
        sha256="67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
)

# Of the unpacked content: a recompressed file holds the same data, and is accepted.
CONTENT_SHA256 = {
    "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


def folders(data_dir: Path) -> tuple[Path, ...]:
    """Return where the files are looked for, best place first; downloads go to the first."""
    return (data_dir / "fashion-mnist", data_dir, data_dir / "FashionMNIST" / "raw")


def load_fashion_mnist(data_dir: Path, *, download: bool, progress: Progress | None = None) -> RawImages:
    """Read Fashion-MNIST from ``data_dir``, fetching what is missing when ``download`` is set.

    Raises:
        InputDataError: files are missing, damaged, or not the published ones.
        EnvironmentMissingError: the publisher's server cannot be reached.
    """
    names = [file.name for file in FILES]
    found, missing = find_files(names, folders(data_dir))
    wanted = [file for file in FILES if file.name in missing]
    if missing and not download:
        needed = sum(file.size_bytes for file in wanted)
        raise missing_files("fashion-mnist", missing, folders(data_dir), download_bytes=needed)
    for file in wanted:
        found[file.name] = fetch(file, folders(data_dir)[0], progress=progress)
    images, labels = read_fashion_mnist(found)
    return RawImages(
        classes=CLASSES,
        images=images,
        labels=labels,
        assignment=split_published(
            "fashion-mnist", published_train=TRAIN, published_test=TEST, select=SELECT
        ),
        source=SOURCE,
    )


def read_fashion_mnist(paths: Mapping[str, Path]) -> tuple[np.ndarray, np.ndarray]:
    """Read the four published files, training examples first.

    Args:
        paths: where each of the names in `FILES` is.

    Returns:
        Images uint8 [example, 28, 28, 1] and labels int64 [example].

    Raises:
        InputDataError: a file is damaged, or well formed but not the published one.
    """
    images, labels = [], []
    for prefix, examples in (("train", TRAIN), ("t10k", TEST)):
        name = f"{prefix}-images-idx3-ubyte.gz"
        pixels, content = read_idx(paths[name], magic=_IMAGES_MAGIC, shape=(examples, SIDE, SIDE))
        check_published(content, CONTENT_SHA256[name], paths[name])
        images.append(pixels)
        name = f"{prefix}-labels-idx1-ubyte.gz"
        codes, content = read_idx(paths[name], magic=_LABELS_MAGIC, shape=(examples,))
        check_labels(codes, len(CLASSES), paths[name])
        check_published(content, CONTENT_SHA256[name], paths[name])
        labels.append(codes)
    return np.concatenate(images)[..., np.newaxis], np.concatenate(labels).astype(np.int64)


def read_idx(path: Path, *, magic: int, shape: tuple[int, ...]) -> tuple[np.ndarray, bytes]:
    """Read one gzip-compressed IDX file of unsigned bytes.

    The header is big-endian: the magic number, then the length of each axis.

    Args:
        path: the file.
        magic: the expected magic number.
        shape: the expected length of each axis.

    Returns:
        The array uint8 of that shape, and the unpacked content it was read from.

    Raises:
        InputDataError: not gzip, cut short, another magic number, another shape, or bytes left over.
    """
    header = 4 * (1 + len(shape))
    expected = header + int(np.prod(shape))
    try:
        with gzip.open(path) as file:
            content = file.read(
                expected + 1
            )  # one more than expected: enough to notice, whatever is in there
    except EOFError:
        raise InputDataError(
            f"{path} is cut short: its gzip stream ends early ({path.stat().st_size} bytes on disk)"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputDataError(f"{path} is not a sound gzip file: {error}") from None
    if len(content) < header:
        raise InputDataError(f"{path}: {len(content)} bytes unpacked, an IDX header alone has {header}")
    found_magic, *found_shape = struct.unpack_from(f">{1 + len(shape)}I", content)
    if found_magic != magic:
        raise InputDataError(f"{path}: magic number {found_magic}, expected {magic}")
    if tuple(found_shape) != shape:
        raise InputDataError(f"{path}: header says shape {tuple(found_shape)}, expected {shape}")
    if len(content) != expected:
        amount = f"more than {expected}" if len(content) > expected else str(len(content))
        raise InputDataError(f"{path}: {amount} bytes unpacked, expected {expected} for shape {shape}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape), content

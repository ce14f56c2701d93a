"""CIFAR-10 from the publisher's binary version (A. Krizhevsky 2009)."""

import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from explorer.data.download import Progress, RemoteFile, fetch, writing_to
from explorer.data.raw import RawImages, check_labels, check_published, find_files, missing_files
from explorer.data.splits import split_published
from explorer.errors import InputDataError

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
SIDE, CHANNELS = 32, 3
EXAMPLES_PER_FILE = 10_000
SELECT = 5_000
SOURCE = (
    "CIFAR-10 (A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; "
    "no formal licence, research use with citation)"
)
FOLDER = "cifar-10-batches-bin"

# MD5 from https://www.cs.toronto.edu/~kriz/cifar.html, SHA-256 and size from TensorFlow Datasets' checksums.
ARCHIVE = RemoteFile(
    name="cifar-10-binary.tar.gz",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    size_bytes=170_052_171,
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)

# In the publisher's order: five training files, then the test file.
FILE_SHA256 = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}


def folders(data_dir: Path) -> tuple[Path, ...]:
    """Return where the files are looked for, best place first; downloads go to the first."""
    return (data_dir / FOLDER, data_dir)


def load_cifar10(data_dir: Path, *, download: bool, progress: Progress | None = None) -> RawImages:
    """Read CIFAR-10 from ``data_dir``, fetching it when files are missing and ``download`` is set.

    Raises:
        InputDataError: files are missing, damaged, or not the published ones.
        EnvironmentMissingError: the publisher's server cannot be reached.
    """
    found, missing = find_files(list(FILE_SHA256), folders(data_dir))
    if missing and not download:
        raise missing_files("cifar10", missing, folders(data_dir), download_bytes=ARCHIVE.size_bytes)
    if missing:
        fetch_batches(data_dir, missing, progress=progress)
        found, _ = find_files(list(FILE_SHA256), folders(data_dir))
    images, labels = read_cifar10(found)
    return RawImages(
        classes=CLASSES,
        images=images,
        labels=labels,
        assignment=split_published(
            "cifar10",
            published_train=5 * EXAMPLES_PER_FILE,
            published_test=EXAMPLES_PER_FILE,
            select=SELECT,
        ),
        source=SOURCE,
    )


def read_cifar10(paths: Mapping[str, Path]) -> tuple[np.ndarray, np.ndarray]:
    """Read the six published files, training examples first.

    Args:
        paths: where each of the names in `FILE_SHA256` is.

    Returns:
        Images uint8 [example, 32, 32, 3] and labels int64 [example].

    Raises:
        InputDataError: a file is damaged, or well formed but not the published one.
    """
    images = np.empty((len(FILE_SHA256) * EXAMPLES_PER_FILE, SIDE, SIDE, CHANNELS), dtype=np.uint8)
    labels = np.empty(len(images), dtype=np.int64)
    for number, (name, sha256) in enumerate(FILE_SHA256.items()):
        part = slice(number * EXAMPLES_PER_FILE, (number + 1) * EXAMPLES_PER_FILE)
        images[part], labels[part] = read_batch(paths[name], sha256=sha256)
    return images, labels


def read_batch(path: Path, *, sha256: str) -> tuple[np.ndarray, np.ndarray]:
    """Read one binary file: 10,000 records of a label byte and three planes (red, green, blue).

    Args:
        path: the file.
        sha256: of the published file.

    Returns:
        Images uint8 [example, 32, 32, 3] and labels uint8 [example].

    Raises:
        InputDataError: another size, labels out of range, or not the published content.
    """
    record = 1 + CHANNELS * SIDE * SIDE
    expected, size = EXAMPLES_PER_FILE * record, path.stat().st_size
    if size != expected:  # before reading: the file may be anything, of any size
        raise InputDataError(
            f"{path}: {size} bytes, expected {expected} ({EXAMPLES_PER_FILE} records of {record} bytes)"
        )
    content = path.read_bytes()
    records = np.frombuffer(content, dtype=np.uint8).reshape(EXAMPLES_PER_FILE, record)
    labels = records[:, 0]
    check_labels(labels, len(CLASSES), path)
    check_published(content, sha256, path)
    planes = records[:, 1:].reshape(EXAMPLES_PER_FILE, CHANNELS, SIDE, SIDE)
    return planes.transpose(0, 2, 3, 1), labels


def fetch_batches(data_dir: Path, missing: list[str], *, progress: Progress | None = None) -> None:
    """Download the archive and put its ``missing`` files into ``data_dir/cifar-10-batches-bin``.

    The archive is checked before it is opened and removed afterwards; each file appears under its
    name only when it is complete.

    Raises:
        InputDataError: the archive is not the published one.
        EnvironmentMissingError: the publisher's server cannot be reached.
    """
    target = folders(data_dir)[0]
    with writing_to(target), tempfile.TemporaryDirectory(prefix=".download-", dir=target) as scratch:
        archive = fetch(ARCHIVE, Path(scratch), progress=progress)
        left = set(missing)
        with tarfile.open(archive, "r:gz") as tar:
            for entry in tar:  # one pass: every step back would unpack the archive again
                name = entry.name.removeprefix(f"{FOLDER}/")
                content = tar.extractfile(entry) if entry.isreg() and name in left else None
                if content is not None:
                    # only the content is taken: paths, modes and links of the archive never reach the disk
                    with content, open(Path(scratch) / name, "wb") as out:
                        shutil.copyfileobj(content, out)
                    (Path(scratch) / name).replace(target / name)
                    left.remove(name)
        if left:
            raise InputDataError(f"{ARCHIVE.url} does not hold {', '.join(sorted(left))} in {FOLDER}/")

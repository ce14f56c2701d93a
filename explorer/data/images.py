"""Image sets ready for use: `load_images` reads, checks and splits them."""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs

from explorer.data.cifar10 import SOURCE as CIFAR10_SOURCE
from explorer.data.cifar10 import load_cifar10
from explorer.data.digits import SOURCE as DIGITS_SOURCE
from explorer.data.digits import load_digits
from explorer.data.download import Progress
from explorer.data.fashion_mnist import SOURCE as FASHION_MNIST_SOURCE
from explorer.data.fashion_mnist import load_fashion_mnist
from explorer.data.folder import load_folder
from explorer.data.raw import RawImages
from explorer.data.splits import content_fingerprint, split_digest
from explorer.errors import InputDataError, UsageError, unknown_name

_FOLDER = re.compile(r"folder:(?P<path>.+?)(?:@(?P<size>[0-9]+))?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """One part of an image set."""

    images: np.ndarray
    """uint8 [example, height, width, channel]"""
    labels: np.ndarray
    """int64 [example]"""

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise InputDataError(
                f"images must be uint8 [example, height, width, channel], got {self.images.dtype} "
                f"with shape {self.images.shape}"
            )
        if self.labels.dtype != np.int64 or self.labels.shape != self.images.shape[:1]:
            raise InputDataError(
                f"labels must be int64 [{len(self.images)}], got {self.labels.dtype} "
                f"with shape {self.labels.shape}"
            )

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageSet:
    """A data set in three disjoint parts; `explorer.data.splits` says what each is for."""

    name: str
    """As it was asked for, e.g. ``cifar10`` or ``folder:photos@32``."""
    classes: tuple[str, ...]
    """Class names; the label is the index."""
    train: Split
    select: Split
    report: Split
    split_digest: str
    """SHA-256 over the content and the assignment: equal digests, equal examples in equal order."""
    native: int
    """Height and width of the images, in pixels."""
    channels: int
    """1 for grey, 3 for colour."""
    source: str
    """Where the data come from and under which licence, one line."""
    notes: tuple[str, ...] = ()
    """What a person should know before trusting a figure from these data, a sentence each."""

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise InputDataError(f"{self.name}: a classifier needs at least 2 classes, got {self.classes}")
        wanted = (self.native, self.native, self.channels)
        for name in ("train", "select", "report"):
            split: Split = getattr(self, name)
            if not len(split) or split.images.shape[1:] != wanted:
                raise InputDataError(
                    f"{self.name}: {name} has shape {split.images.shape}; expected at least one example "
                    f"of [height, width, channel] {wanted}"
                )
            if split.labels.min() < 0 or split.labels.max() >= len(self.classes):
                raise InputDataError(
                    f"{self.name}: {name} has labels {split.labels.min()} to {split.labels.max()}, "
                    f"expected 0 to {len(self.classes) - 1}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """What a person wants to know before choosing a data set."""

    name: str
    summary: str
    native: int
    """Height and width of the images, in pixels."""
    channels: int
    classes: int
    examples: tuple[int, int, int]
    """How many in ``train``, ``select`` and ``report``."""
    needs_files: bool
    """Whether files must be there or be downloaded; False: it comes with a dependency."""
    source: str
    load: Callable[[Path, bool, Progress | None], RawImages]


DATASETS: dict[str, DatasetInfo] = {
    info.name: info
    for info in (
        DatasetInfo(
            name="digits",
            summary="handwritten digits, 8 x 8 grey; ships with scikit-learn",
            native=8,
            channels=1,
            classes=10,
            examples=(898, 360, 539),
            needs_files=False,
            source=DIGITS_SOURCE,
            load=lambda data_dir, download, progress: load_digits(),
        ),
        DatasetInfo(
            name="fashion-mnist",
            summary="articles of clothing, 28 x 28 grey",
            native=28,
            channels=1,
            classes=10,
            examples=(55_000, 5_000, 10_000),
            needs_files=True,
            source=FASHION_MNIST_SOURCE,
            load=lambda data_dir, download, progress: load_fashion_mnist(
                data_dir, download=download, progress=progress
            ),
        ),
        DatasetInfo(
            name="cifar10",
            summary="animals and vehicles, 32 x 32 colour",
            native=32,
            channels=3,
            classes=10,
            examples=(45_000, 5_000, 10_000),
            needs_files=True,
            source=CIFAR10_SOURCE,
            load=lambda data_dir, download, progress: load_cifar10(
                data_dir, download=download, progress=progress
            ),
        ),
    )
}
"""The data sets known by name; a folder of images, ``folder:PATH``, comes on top."""


def dataset_names() -> tuple[str, ...]:
    """Return what `load_images` accepts, ``folder:PATH`` last."""
    return (*DATASETS, "folder:PATH")


def default_data_dir() -> Path:
    """Return where data sets are kept: ``$EXPLORER_DATA_DIR``, or a folder in the user's cache."""
    given = os.environ.get("EXPLORER_DATA_DIR")
    return (
        Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("scale-or-ensemble")) / "data"
    )


def load_images(
    name: str,
    *,
    data_dir: Path | str | None = None,
    download: bool = False,
    progress: Progress | None = None,
) -> ImageSet:
    """Read an image set, check it, and split it in the one fixed way.

    Args:
        name: ``digits``, ``fashion-mnist``, ``cifar10``, or ``folder:PATH[@SIZE]``.
        data_dir: where the publisher's files are; default `default_data_dir`.
        download: fetch missing files from the publisher. Nothing is fetched without it.
        progress: called as (file name, bytes received, bytes in all) during a download.

    Raises:
        UsageError: no such data set.
        InputDataError: files are missing or damaged; the message names them and says what to do.
        EnvironmentMissingError: the publisher's server cannot be reached.
    """
    folder = _FOLDER.fullmatch(name)
    if folder is not None:
        size = folder["size"]
        raw = load_folder(Path(folder["path"]).expanduser(), size=int(size) if size else None)
    elif name in DATASETS:
        raw = DATASETS[name].load(Path(data_dir or default_data_dir()), download, progress)
    elif name.startswith("folder"):
        raise UsageError(f"not a folder of images: {name!r}; wanted folder:PATH or folder:PATH@SIZE")
    else:
        raise unknown_name("data set", name, dataset_names())
    return _assemble(name, raw)


def _assemble(name: str, raw: RawImages) -> ImageSet:
    fingerprint = content_fingerprint(raw.images, raw.labels, raw.classes)
    parts = {
        part: Split(images=raw.images[positions], labels=raw.labels[positions])
        for part in ("train", "select", "report")
        for positions in (getattr(raw.assignment, part),)
    }
    return ImageSet(
        name=name,
        classes=raw.classes,
        split_digest=split_digest(fingerprint, raw.assignment),
        native=raw.images.shape[1],
        channels=raw.images.shape[3],
        source=raw.source,
        notes=_shared_image_notes(parts),
        **parts,
    )


def _shared_image_notes(parts: dict[str, Split]) -> tuple[str, ...]:
    """Say how many images of one part occur, pixel for pixel, in a part that learned or chose before it."""
    notes: list[str] = []
    seen: dict[str, set[bytes]] = {}
    for name, split in parts.items():  # train, select, report
        digests = [hashlib.sha256(image.data).digest() for image in split.images]
        for earlier, known in seen.items():
            shared = sum(digest in known for digest in digests)
            if shared:
                notes.append(
                    f"{shared} of {len(split)} images of '{name}' are also in '{earlier}', pixel for pixel; "
                    "accuracies come out too high"
                )
        seen[name] = set(digests)
    return tuple(notes)

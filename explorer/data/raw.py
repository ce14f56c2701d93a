"""What every reader of a data set returns, and how files are looked for and checked."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explorer.data.splits import Assignment
from explorer.errors import InputDataError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RawImages:
    """A data set as its source holds it, with the decision which example goes where."""

    classes: tuple[str, ...]
    """Class names; the label is the index."""
    images: np.ndarray
    """uint8 [example, height, width, channel], published training examples before test examples."""
    labels: np.ndarray
    """int64 [example]"""
    assignment: Assignment
    """Positions in ``images`` of ``train``, ``select`` and ``report``."""
    source: str
    """Where the data come from and under which licence, one line."""


def find_files(names: Sequence[str], folders: Sequence[Path]) -> tuple[dict[str, Path], list[str]]:
    """Look for each name in the folders, first folder first.

    Returns:
        The path of each name that was found, and the names that were not.
    """
    found: dict[str, Path] = {}
    for name in names:
        for folder in folders:
            if (folder / name).is_file():
                found[name] = folder / name
                break
    return found, [name for name in names if name not in found]


def missing_files(
    dataset: str, missing: Sequence[str], folders: Sequence[Path], *, download_bytes: int
) -> InputDataError:
    """Return the error for files that are not there: which, looked for where, and how to get them."""
    places = ", ".join(str(folder) for folder in folders)
    return InputDataError(
        f"{dataset}: {', '.join(missing)} not found in {places}; name the folder that holds the publisher's "
        f"files with --data-dir DIR, or fetch them with --download ({download_bytes / 1e6:.0f} MB)"
    )


def check_labels(labels: np.ndarray, classes: int, path: Path) -> None:
    """Refuse labels that name no class.

    Args:
        labels: integers [example].
        classes: how many classes there are.
        path: the file that the labels were read from.

    Raises:
        InputDataError: a label is not in 0 .. classes - 1; the message gives the first one.
    """
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise InputDataError(
            f"{path}: label {int(labels[wrong[0]])} of example {int(wrong[0])} is out of range; "
            f"expected 0 to {classes - 1} ({len(wrong)} such labels)"
        )


def check_published(content: bytes, sha256: str, path: Path) -> None:
    """Refuse a file that is well formed but not the one the publisher wrote.

    A flipped label or another data set under the same file names (MNIST and Fashion-MNIST share theirs)
    would otherwise be reported on under the wrong name.

    Raises:
        InputDataError: the SHA-256 of ``content`` is another one.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise InputDataError(
            f"{path} is not the published file: its content has sha256 {found}, expected {sha256}; "
            "fetch it again, or load your own images as folder:PATH"
        )

"""Image arrays at the door of training: checks, fingerprint, channel statistics."""

import hashlib

import numpy as np

from zoo.registry import ZooError


def learned_positions(labels: np.ndarray, share: float) -> np.ndarray:
    """Return which training examples a recipe with ``train_share`` learns from, int64, ascending.

    Of each class the ``share``, rounded and at least one, that comes first by the SHA-256 of the position:
    no generator, whose stream could change between versions. A smaller share is a part of a larger one.

    Args:
        labels: int ``[example]``, all training examples in the data set's order.
        share: in (0, 1].
    """
    if share == 1:
        return np.arange(len(labels), dtype=np.int64)
    rank = np.array([hashlib.sha256(b"learned/%d" % index).digest() for index in range(len(labels))])
    chosen = []
    for label in np.unique(labels):
        positions = np.flatnonzero(labels == label)
        ordered = positions[np.argsort(rank[positions], kind="stable")]
        chosen.append(ordered[: max(1, round(share * len(positions)))])
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def learned(images: np.ndarray, labels: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels that a recipe with ``train_share`` learns from; all for a share of 1."""
    if share == 1:
        return images, labels
    positions = learned_positions(labels, share)
    return images[positions], labels[positions]


def data_fingerprint(images: np.ndarray, labels: np.ndarray) -> str:
    """Return 16 hexadecimal digits that change with any pixel, label or shape."""
    digest = hashlib.sha256(f"{images.shape} {labels.shape}".encode())
    digest.update(np.ascontiguousarray(images).data)
    digest.update(np.ascontiguousarray(labels, dtype="<i8").data)
    return digest.hexdigest()[:16]


def channel_statistics(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of each channel of uint8 images, on the scale [0, 1].

    From histograms, so exact to float64 at any size; a constant channel has standard deviation 1.
    """
    means, stds, levels = [], [], np.arange(256) / 255.0
    for channel in range(images.shape[3]):
        share = np.bincount(images[..., channel].ravel(), minlength=256) / images[..., channel].size
        mean = float(share @ levels)
        std = float(np.sqrt(share @ (levels - mean) ** 2))
        means.append(mean)
        stds.append(std or 1.0)
    return means, stds


def images_or_raise(images: np.ndarray) -> None:
    """Check that ``images`` are uint8 ``[example, height, width, channel]``, square and not empty.

    Raises:
        ZooError: they are not.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != images.shape[2] or not images.size:
        raise ZooError(
            "images must be a non-empty uint8 array [example, height, width, channel] with height = width; "
            f"got {images.dtype} {list(images.shape)}"
        )


def arrays_or_raise(images: np.ndarray, labels: np.ndarray, classes: int) -> None:
    """Check that images and labels fit each other, are enough for batch norm, and name known classes.

    Raises:
        ZooError: they do not.
    """
    images_or_raise(images)
    if labels.ndim != 1 or len(labels) != len(images) or not np.issubdtype(labels.dtype, np.integer):
        raise ZooError(
            f"labels must be integers [example] for {len(images)} images, "
            f"got {labels.dtype} {list(labels.shape)}"
        )
    if len(images) < 2:
        raise ZooError("batch norm needs at least 2 training images, got 1")
    if labels.min() < 0 or labels.max() >= classes:
        raise ZooError(
            f"labels must be from 0 to {classes - 1}, got {int(labels.min())} to {int(labels.max())}"
        )

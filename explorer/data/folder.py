"""A folder of image files as a data set: one sub-folder for each class.

    PATH/cat/001.png      PATH/dog/001.png                   no test set: split 60 / 20 / 20 in each class
    PATH/train/cat/...    PATH/test/cat/...                  the test set is ``report``

Which part an image goes to depends on its path below PATH alone: moving the folder changes nothing.
Images of one square size are taken as they are. Others need a size, ``folder:PATH@SIZE``: each image is
cropped to its central square and resized (bilinear with antialiasing). If every file is grey the set has
one channel, otherwise three; transparency is dropped.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from explorer.data.raw import RawImages
from explorer.data.splits import split_by_class
from explorer.errors import InputDataError, UsageError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".webp")
MAX_BYTES = 4 << 30
"""Most memory the decoded images may take; all are held at once, and twice while they are split."""

_GREY_MODES = ("1", "L", "LA")
_COLOUR_MODES = ("P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


def load_folder(root: Path, *, size: int | None = None) -> RawImages:
    """Read the images below ``root``.

    Args:
        root: holds a folder for each class, or ``train`` and ``test`` that do.
        size: height and width to crop and resize to, in pixels; None: all images share one square size.

    Raises:
        UsageError: ``size`` is 0.
        InputDataError: no such folder, another layout, too few images, a file that is no image,
            images of several sizes without ``size``, or more than fits in memory.
    """
    if size is not None and size < 1:
        raise UsageError(f"folder:{root}@{size}: the size must be at least 1 pixel")
    classes, files, labels, test = _list_files(root)
    assignment = split_by_class([str(file.relative_to(root).as_posix()) for file in files], labels, test=test)
    images = _read_images(files, size)
    return RawImages(
        classes=classes,
        images=images,
        labels=labels,
        assignment=assignment,
        source=f"images of the folder {root}" + (f", cropped and resized to {size} pixels" if size else ""),
    )


def _list_files(root: Path) -> tuple[tuple[str, ...], list[Path], np.ndarray, np.ndarray | None]:
    """Return class names, files, labels int64 [example], and whether each is in the given test set."""
    layout = f"wanted {root}/CLASS/*.png, or {root}/train/CLASS/*.png beside {root}/test/CLASS/*.png"
    if not root.is_dir():
        raise InputDataError(f"no folder {root}; {layout}")
    has_test = (root / "train").is_dir() and (root / "test").is_dir()
    class_folders = _subfolders(root / "train" if has_test else root)
    classes = tuple(folder.name for folder in class_folders)
    if len(classes) < 2:
        raise InputDataError(f"{root} has {len(classes)} class folders, at least 2 are needed; {layout}")
    if has_test:
        test_folders = _subfolders(root / "test")
        strange = [folder.name for folder in test_folders if folder.name not in classes]
        if strange:
            raise InputDataError(
                f"{root / 'test'} has classes that {root / 'train'} lacks: {', '.join(strange)}"
            )
        if not test_folders:
            raise InputDataError(f"{root / 'test'} has no class folders; {layout}")
        class_folders += test_folders
    files, labels, in_test = [], [], []
    for folder in class_folders:
        found = sorted(f for f in folder.iterdir() if f.is_file() and f.suffix.lower() in SUFFIXES)
        if not found:
            raise InputDataError(f"{folder} holds no images ({', '.join(SUFFIXES)}); {layout}")
        files += found
        labels += [classes.index(folder.name)] * len(found)
        in_test += [has_test and folder.parent.name == "test"] * len(found)
    return classes, files, np.array(labels, dtype=np.int64), np.array(in_test) if has_test else None


def _subfolders(folder: Path) -> list[Path]:
    """Return the folders inside ``folder`` by name, hidden ones left out."""
    return sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))


def _read_images(files: list[Path], size: int | None) -> np.ndarray:
    """Return uint8 [example, height, width, channel] of all files, in order."""
    # headers first: they decide about channels and memory before any pixel is decoded
    heads = [_read_head(file) for file in files]
    channels = 1 if all(mode in _GREY_MODES for mode, _ in heads) else 3
    if size is None:
        _check_one_size(files, [pixels for _, pixels in heads])
    side = size or heads[0][1][0]
    needed = len(files) * side * side * channels
    if needed > MAX_BYTES:
        raise InputDataError(
            f"{len(files)} images of {side} x {side} x {channels} take {needed / 2**30:.1f} GiB, "
            f"at most {MAX_BYTES / 2**30:.0f} GiB are read; give a smaller size, folder:PATH@SIZE"
        )
    images = np.empty((len(files), side, side, channels), dtype=np.uint8)
    for place, file in zip(images, files, strict=True):
        place[...] = _read_image(file, "L" if channels == 1 else "RGB", size)
    return images


def _read_head(file: Path) -> tuple[str, tuple[int, int]]:
    """Return the pixel format and (width, height) of an image file."""
    try:
        with Image.open(file) as image:
            if image.mode not in _GREY_MODES + _COLOUR_MODES:
                raise InputDataError(
                    f"{file} has pixel format {image.mode}, expected 8 bits a channel "
                    f"({', '.join(_GREY_MODES + _COLOUR_MODES)})"
                )
            return image.mode, image.size
    except UnidentifiedImageError:
        raise InputDataError(f"{file} is not an image that can be read") from None
    except (OSError, Image.DecompressionBombError) as error:
        raise InputDataError(f"{file} cannot be read: {error}") from None


def _check_one_size(files: list[Path], sizes: list[tuple[int, int]]) -> None:
    for file, (width, height) in zip(files, sizes, strict=True):
        if width != height:
            raise InputDataError(
                f"{file} is {width} x {height} pixels, not square; "
                "give a size to crop and resize to, folder:PATH@SIZE"
            )
        if width != sizes[0][0]:
            raise InputDataError(
                f"{file} is {width} x {height} pixels, {files[0]} is {sizes[0][0]} x {sizes[0][1]}; "
                "give one size for all, folder:PATH@SIZE"
            )


def _read_image(file: Path, mode: str, size: int | None) -> np.ndarray:
    """Return uint8 [height, width, channel]."""
    try:
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened).convert(mode)
            if size is not None:
                # cut first: Pillow's resize with a box (and so ImageOps.fit) mixes in pixels beyond its edge
                side = min(image.size)
                left, top = (image.width - side) // 2, (image.height - side) // 2
                image = image.crop((left, top, left + side, top + side))
                image = image.resize((size, size), Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow's decoders raise on damaged files
        raise InputDataError(f"{file} is damaged: {error}") from None
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels

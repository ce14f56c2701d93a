"""Handwritten digits, 1,797 images of 8 x 8 pixels: the data set that needs no download."""

import numpy as np

from explorer.data.raw import RawImages
from explorer.data.splits import split_by_counts
from explorer.errors import InputDataError

EXAMPLES = 1797
TRAIN, SELECT, REPORT = 898, 360, 539
"""Half of the examples train; the rest is parted 2 : 3 between choosing and reporting."""

SOURCE = (
    "Optical Recognition of Handwritten Digits, test part (E. Alpaydin, C. Kaynak, UCI 1998, "
    "doi:10.24432/C50P49, CC BY 4.0), as shipped with scikit-learn"
)
_GREY_LEVELS = 16
"""The largest value of a pixel in the source, which counts dots of a 4 x 4 block."""


def load_digits() -> RawImages:
    """Return the digits, grey values stretched from 0..16 to 0..255.

    Raises:
        InputDataError: the installed scikit-learn ships other data than expected.
    """
    # scikit-learn takes a second to import; the other data sets do not need it.
    from sklearn.datasets import load_digits as load_from_sklearn

    bunch = load_from_sklearn()
    if (
        bunch.images.shape != (EXAMPLES, 8, 8)
        or not 0 <= bunch.images.min() <= bunch.images.max() <= _GREY_LEVELS
    ):
        raise InputDataError(
            f"digits: scikit-learn returned shape {bunch.images.shape} with values up to "
            f"{bunch.images.max()}; expected {(EXAMPLES, 8, 8)} with values 0 to {_GREY_LEVELS}"
        )
    levels = bunch.images.astype(np.int64)
    # integers only, so that every platform rounds alike
    images = ((levels * 255 + _GREY_LEVELS // 2) // _GREY_LEVELS).astype(np.uint8)
    return RawImages(
        classes=tuple(str(digit) for digit in range(10)),
        images=images[..., np.newaxis],
        labels=bunch.target.astype(np.int64),
        assignment=split_by_counts("digits", train=TRAIN, select=SELECT, report=REPORT),
        source=SOURCE,
    )

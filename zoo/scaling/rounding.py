"""From real-valued channels, repeats and pixels to whole ones."""

import math


def round_channels(channels: float, step: int, *, least_share: float = 0.9) -> int:
    """Round to the nearest multiple of ``step`` (halves up), at least ``step``, never losing over 10 %.

    The rule of the MobileNet and EfficientNet reference code (``make_divisible``); EfficientNetV2's has no
    lower bound: ``least_share`` 0.
    """
    rounded = max(step, int(channels / step + 0.5) * step)
    return rounded + step if rounded < least_share * channels else rounded


def round_repeats(repeats: float) -> int:
    """Round to the nearest whole number of blocks (halves up), at least 1.

    EfficientNet rounds up; that would keep every stage of a *smaller* network at its base depth.
    """
    return max(1, int(repeats + 0.5))


def round_up_repeats(repeats: float) -> int:
    """Round up to a whole number of blocks, as the EfficientNet reference code does."""
    return math.ceil(repeats)


def round_resolution(pixels: float, step: int, least: int) -> int:
    """Round to the nearest multiple of ``step`` (halves up), at least ``least`` pixels."""
    return max(least, int(pixels / step + 0.5) * step)

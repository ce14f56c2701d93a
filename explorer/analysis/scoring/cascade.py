"""Where a cascade can be cut: the thresholds that tell the examples apart, and how they are written."""

from dataclasses import dataclass

import numpy as np

CLOSEST = 1e-12
"""Confidences that are exact differ by 2^-24 / 127 at least, so this parts rounding from all else."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cuts:
    """Every way one first stage's confidence can split the examples into leavers and stayers.

    Cuts at which nobody or everybody leaves are left out: they are the second or the first stage alone.
    """

    order: np.ndarray
    """Examples by falling confidence, int32 ``[example]``."""
    leavers: np.ndarray
    """How many examples leave at each cut, ascending, int32 ``[cut]``; a cut never splits a tie."""
    thresholds_between: np.ndarray
    """The observed confidences below and above each cut, float64 ``[cut, 2]``."""

    def threshold(self, cut: int) -> float:
        """Return the threshold of a cut, strictly between two observed confidences."""
        below, above = self.thresholds_between[cut]
        return short_between(float(below), float(above))


def cuts(confidence: np.ndarray) -> Cuts:
    """Return all cuts of ``confidence`` ``[example]``: one between each two neighbours that differ.

    Those closer than `CLOSEST` count as equal: only rounding tells them apart.
    """
    order = np.argsort(-confidence, kind="stable").astype(np.int32)
    falling = confidence[order].astype(np.float64)
    leavers = np.flatnonzero(falling[:-1] - falling[1:] > CLOSEST) + 1
    between = np.stack([falling[leavers], falling[leavers - 1]], axis=1)
    return Cuts(order=order, leavers=leavers.astype(np.int32), thresholds_between=between)


def short_between(low: float, high: float) -> float:
    """Return the decimal with the fewest digits in the middle half between ``low`` and ``high``.

    The middle half, so that another machine's rounding of a confidence does not carry it across.

    >>> short_between(0.8301, 0.8305), short_between(0.4, 0.6), short_between(0.9995, 1.0)
    (0.8303, 0.5, 0.9998)

    Raises:
        ValueError: ``low`` is not below ``high``.
    """
    if not low < high:
        raise ValueError(f"no number lies strictly between {low!r} and {high!r}")
    middle, quarter = low + (high - low) / 2, (high - low) / 4
    for digits in range(1, 18):
        shorter = round(middle, digits)
        if low + quarter <= shorter <= high - quarter and low < shorter < high:
            return shorter
    if not low < middle < high:
        raise ValueError(f"no float lies strictly between {low!r} and {high!r}")
    return middle

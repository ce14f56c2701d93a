"""Say in words what a model's time goes to, for the rows that a prediction got wrong."""

import numpy as np

from explorer.accounting.kernels import KINDS
from explorer.prediction.predictor import Sample

_UNUSUAL = {
    "attention_apart": "attention whose operands the fused kernels do not take",
    "attention_masked": "attention with a mask",
    "recurrent": "recurrent layers",
    "transposed": "transposed convolutions",
    "other": "operators of no known kind",
}
_LARGE_WINDOW = 49
"""Taps of a depthwise convolution from which few models have them."""


def largest_share(sample: Sample) -> str:
    """Return what moves most of a model's bytes and makes most of its multiply-adds, and what is rare in it.

    A description of the model, not a proof of why a figure is off.
    """
    table = sample.kernels.operators
    moved = (table["read"] + table["written"]) * table["count"] * table["per_example"]
    macs = table["macs"] * table["count"]
    words = [f"bytes: {_top(table, moved)}; multiply-adds: {_top(table, macs)}"]
    present = {KINDS[kind] for kind in np.unique(table["kind"])}
    words += [text for name, text in _UNUSUAL.items() if name in present]
    wide = (table["kind"] == KINDS.index("depthwise")) & (table["taps"] >= _LARGE_WINDOW)
    if wide.any():
        words.append(f"depthwise windows of {int(table['taps'][wide].max())} taps")
    return "; ".join(words)


def _top(table: np.ndarray, amounts: np.ndarray) -> str:
    """Return the kind with the largest share of ``amounts``, with the share."""
    sums = np.bincount(table["kind"], amounts, len(KINDS))
    if not sums.sum():
        return "none"
    best = int(np.argmax(sums))
    return f"{KINDS[best].replace('_', ' ')} {sums[best] / sums.sum():.0%}"

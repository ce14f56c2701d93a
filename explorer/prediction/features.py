"""Describe a kernel to the predictor: what it moves and computes, and what decides how well that goes.

Time is taken to be a sum over kernels, and a kernel's time a rate times its work, corrected by a small
network for what the rate cannot know. `work` gives what the rates multiply; `describe` what the network
sees: sizes on logarithmic scales, intensity, layout, precision, and how badly a product fits the tiles that
matrix units work on. None of it names a device: what a size means on one is for the fit to find.
"""

import numpy as np

from explorer.accounting.kernels import KIND, KINDS

WORK = ("macs", "bytes", "launches")
_PRODUCTS = tuple(
    KIND[name]
    for name in ("conv", "pointwise", "grouped", "depthwise", "transposed", "product", "batched_product")
)
_BATCHED = tuple(
    KIND[name] for name in ("batched_product", "attention", "attention_masked", "attention_apart")
)
_CACHE_STEPS = (16e6, 64e6, 256e6, 2e9)
"""Bytes at which a soft step tells small kernels from large: on-chip memories lie between the first three."""
_WIDE = 2**31
"""Elements from which libraries index with 64 bits."""


def work(kernels: np.ndarray, batch: int) -> np.ndarray:
    """Return multiply-adds, bytes moved and launches of each kernel, per example: [kernel, `WORK`]."""
    share = np.where(kernels["per_example"], 1.0, 1.0 / batch)
    moved = (kernels["read"] + kernels["written"]) * share + kernels["weights"] / batch
    return np.column_stack((kernels["macs"] * share, moved, np.full(len(kernels), 1.0 / batch)))


def describe(kernels: np.ndarray, batch: int) -> np.ndarray:
    """Return what the network sees of each kernel in a call of ``batch`` examples.

    float32 [kernel, feature]
    """
    times = np.where(kernels["per_example"], float(batch), 1.0)
    moved, macs = (kernels["read"] + kernels["written"]) * times, kernels["macs"] * times
    batched = np.isin(kernels["kind"], _BATCHED)
    rows = np.where(batched, kernels["rows"], kernels["rows"] * times)
    groups = np.where(batched, kernels["groups"] * times, kernels["groups"])
    columns, depth, item = kernels["columns"], kernels["depth"], kernels["item"]
    product = np.isin(kernels["kind"], _PRODUCTS)
    log = np.log1p
    sizes = (
        *(log(moved) / 5 - 4, log(macs) / 5 - 4),
        np.where(macs > 0, log(macs) - log(moved + kernels["weights"]), 0.0) / 3,
        *(log(rows) / 5 - 2, log(columns) / 5, log(depth) / 5, log(groups) / 5),
        *(log(kernels["taps"]) / 3, log(kernels["stride"]), log(kernels["weights"]) / 10),
        log(kernels["read"]) - log(kernels["written"]),
        log(kernels["steps"]) - log(kernels["written"] / item),
        log(kernels["exponentials"] / np.maximum(kernels["written"] / item, 1.0)),
        *(log(kernels["operands"].astype(float)), log(kernels["operators"].astype(float))),
    )
    layout = (
        *(kernels["strided"], kernels["channels_last"], kernels["strided_result"]),
        *(item == 4, kernels["item_in"] == 4, columns % 8 != 0, depth % 8 != 0),
        kernels["written"] * times / item > _WIDE,
    )
    waste = (_waste(columns, 64, product), _waste(depth, 32, product), _waste(rows, 128, product))
    steps = tuple(1 / (1 + np.exp(-(log(moved) - np.log(size)) / 0.25)) for size in _CACHE_STEPS)
    kind = np.eye(len(KINDS))[kernels["kind"]]
    return np.column_stack((kind, *sizes, *layout, *waste, *steps)).astype(np.float32)


def _waste(size: np.ndarray, tile: int, product: np.ndarray) -> np.ndarray:
    """Return the logarithm of how much more is computed when ``size`` is filled up to whole tiles."""
    size = np.maximum(size, 1.0)
    return np.where(product, np.log(np.ceil(size / tile) * tile / size), 0.0)

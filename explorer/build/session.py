"""Run a built file with onnxruntime."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from explorer.build.answers import Answers
from explorer.build.graph import OUTPUTS
from explorer.errors import InputDataError

_ERRORS_ONLY = 3
"""onnxruntime warns that a threshold which may be set from outside cannot be folded; that is meant."""


def open_session(model: Path | bytes, *, threads: int = 1) -> Any:
    """Open a file, or a graph's bytes, on the CPU.

    Raises:
        InputDataError: onnxruntime cannot read it.
    """
    given = model if isinstance(model, bytes) else str(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its error classes share no other base
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        what = "a graph of this process" if isinstance(model, bytes) else model
        raise InputDataError(f"onnxruntime cannot read {what}: {error}") from error


def run_batches(
    session: Any,
    images: np.ndarray,
    sizes: Iterable[int],
    *,
    thresholds: Mapping[str, float] | None = None,
) -> Answers:
    """Answer ``images`` in batches of the given sizes, which add up to all of them.

    Args:
        session: of a built file.
        images: uint8 ``[example, height, width, channel]``.
        sizes: examples of each batch.
        thresholds: exit thresholds by input name; those left out keep the file's defaults.
    """
    given = {name: np.array(value, np.float32) for name, value in (thresholds or {}).items()}
    parts, start = [], 0
    for size in sizes:
        batch = model_input(images[start : start + size])
        parts.append(session.run(list(OUTPUTS), {"images": batch, **given}))
        start += size
    if start != len(images):
        raise ValueError(f"batches hold {start} examples, there are {len(images)}")
    prob, label, stage, confidence = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Answers(prob=prob, label=label, stage=stage, confidence=confidence)


def model_input(images: np.ndarray) -> np.ndarray:
    """Turn uint8 ``[example, height, width, channel]`` into float32 ``[example, channel, ...]`` in [0, 1]."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255)


def batch_sizes(total: int, pattern: Sequence[int]) -> list[int]:
    """Cut ``total`` examples into batches, repeating ``pattern``; the last takes what is left.

    >>> batch_sizes(12, (1, 3, 5))
    [1, 3, 5, 1, 2]
    """
    sizes: list[int] = []
    for size in itertools.cycle(pattern):
        if total <= 0:
            return sizes
        sizes.append(min(size, total))
        total -= size
    return sizes

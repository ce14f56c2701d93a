"""A stored member in 8-bit integers: how accurate, how many bytes; judged, not stored.

Static quantisation after training: weights and activations in int8, ranges from training images, every
operator between quantise and dequantise steps (onnxruntime). No member of the store: its MACs are those of
the float network, so a front over MACs would call it equal.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.data import ImageSet
from explorer.report.compressing import Quantised
from explorer.run.compressing.judging import judged
from explorer.run.training import rebuilt
from explorer.run.training.pool import Update
from explorer.run.training.starting import kept_member, weights_of
from explorer.spec import Member
from explorer.store import Store

if TYPE_CHECKING:
    import onnx

BATCH = 256
"""Examples at a time."""
_ERRORS_ONLY = 3


def quantise_member(
    store: Store,
    images: ImageSet,
    member: Member,
    *,
    calibration: int = 512,
    update: Update = lambda share, text: None,
) -> Quantised:
    """Quantise a member after its training and compare it with itself.

    Args:
        store: holds the member and its weights.
        images: the member's data set.
        member: which.
        calibration: training images to take ranges from, the first ones; all where there are fewer.
        update: told the share done.

    Raises:
        UsageError: no such member of these images, or a network that ONNX cannot express.
        StoreError: its weights are not kept here.
    """
    from explorer.build.onnx_export import export_member

    record = kept_member(store, images, member)
    update(0.0, "exporting")
    model = rebuilt(record.member.model, weights_of(store, record), images=images)
    graph = export_member(model, (images.channels, images.native, images.native))
    train = images.train.images[:calibration]
    update(0.1, f"ranges from {len(train)} training images")
    whole = graph.SerializeToString()  # first: quantising moves the graph's numbers elsewhere
    small = _int8(graph, train)
    update(0.4, "running both")
    answers = [_answers(data, images.report.images) for data in (small, whole)]
    name = str(record.member)
    return Quantised(
        source=record,
        calibrated_on=len(train),
        float_bytes=len(whole),
        int8_bytes=len(small),
        results=judged(images, f"{name} in int8", answers[0], [(f"{name} in float32", answers[1])]),
    )


def _batches(images: np.ndarray) -> Iterator[np.ndarray]:
    """Yield float32 ``[example, channel, height, width]`` in [0, 1]."""
    for start in range(0, len(images), BATCH):
        part = images[start : start + BATCH].transpose(0, 3, 1, 2)
        yield np.ascontiguousarray(part, dtype=np.float32) / 255.0


def _int8(graph: "onnx.ModelProto", images: np.ndarray) -> bytes:
    """Return the graph with weights and activations in int8."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    from explorer.build.onnx_export import INPUT

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._left = _batches(images)

        def get_next(self) -> "dict[str, np.ndarray] | None":
            batch = next(self._left, None)
            return None if batch is None else {INPUT: batch}

    with TemporaryDirectory() as folder:
        target = Path(folder) / "int8.onnx"
        logging.disable(logging.WARNING)  # it advises to prepare the graph, which the export has done
        try:
            # A scale for each output channel: batch norms folded in make them differ by orders of magnitude.
            quantize_static(graph, str(target), Reader(), quant_format=QuantFormat.QDQ, per_channel=True)
        finally:
            logging.disable(logging.NOTSET)
        return target.read_bytes()


def _answers(data: bytes, images: np.ndarray) -> np.ndarray:
    """Return logits ``[example, class]`` of an ONNX file: the largest is the answer."""
    import onnxruntime

    from explorer.build.onnx_export import INPUT

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    session: Any = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {INPUT: batch})[0] for batch in _batches(images)])

"""What is profiled: a model with its images' size and channels, and how it becomes a network or a file."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from explorer.errors import UsageError
from explorer.record import MemberRecord
from explorer.spec import ModelSpec
from explorer.store import Store
from explorer.workload import Precision

if TYPE_CHECKING:
    import numpy as np

    from explorer.measure.runtime import OnnxRequest
    from zoo import Classifier

_NATIVE = 32
"""Resolution of families that have none of their own, where no data set says one."""
_ERRORS_ONLY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model as it is profiled."""

    model: ModelSpec
    """Resolution set."""
    channels: int
    classes: int

    @property
    def resolution(self) -> int:
        """Height and width of the images."""
        return self.model.resolution or 0


def subjects(
    store: Store,
    models: Sequence[ModelSpec],
    *,
    dataset: str | None,
    channels: int,
    classes: int,
    resolutions: Sequence[int] = (),
) -> tuple[Subject, ...]:
    """Return what to profile: the models named, or all of a data set's members' models.

    Args:
        store: where the data set's members are.
        models: those without a resolution get ``resolutions``, or else their default.
        dataset: takes the place of ``channels`` and ``classes``.
        channels: of the images.
        classes: told apart.
        resolutions: every model without its own at the first, then every one at the second, ...

    Raises:
        UsageError: the data set has no members in the store.
        ZooError: unknown model.
    """
    from zoo import canonical_name, default_resolution

    native = _NATIVE
    if dataset is not None:
        records = dataset_members(store, dataset)
        channels, classes = records[0].channels, records[0].classes
        native = min(record.member.resolution for record in records)
        if not models:
            models = sorted({record.member.model for record in records})
    found: dict[ModelSpec, None] = {}
    for resolution in resolutions or (None,):
        for model in models:
            name = canonical_name(model.name)
            size = model.resolution or resolution or default_resolution(model.name, native)
            found[ModelSpec(name, size)] = None
    return tuple(Subject(model=model, channels=channels, classes=classes) for model in found)


def dataset_members(store: Store, dataset: str) -> tuple[MemberRecord, ...]:
    """Return a data set's members.

    Raises:
        UsageError: there are none; the message lists the data sets that have some.
    """
    records = store.members(dataset=dataset)
    if not records:
        known = ", ".join(store.datasets()) or "none"
        raise UsageError(f"the store has no members of data set {dataset!r}; it has: {known}")
    return records


def network(subject: Subject) -> "Classifier":
    """Return the subject as it would ship, preprocessing included, with random weights.

    Time does not depend on the weights' values, but for zeros and denormals, which random ones lack.
    """
    import torch

    from zoo import build_classifier

    return build_classifier(
        subject.model.name,
        channels=subject.channels,
        classes=subject.classes,
        native=subject.resolution,
        resolution=subject.resolution,
        mean=torch.full((subject.channels,), 0.5),
        std=torch.full((subject.channels,), 0.25),
    ).eval()


def open_onnx(request: "OnnxRequest") -> "Callable[[np.ndarray], object]":
    """Write the model as ONNX, as `explorer build` does, and open it with onnxruntime on the CPU.

    Raises:
        UsageError: the network cannot be expressed, with the exporter's reason.
    """
    import onnxruntime

    from explorer.build.onnx_export import INPUT, export_member

    graph = export_member(request.model, request.images[0].shape[1:])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request.workload.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    if request.workload.precision is Precision.INT8:
        data = _in_int8(graph, INPUT, request.images)
    else:
        data = graph.SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {INPUT: images})


def _in_int8(graph: Any, name: str, images: "Sequence[np.ndarray]") -> bytes:
    """Quantise weights and activations, ranges taken from ``images``."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._left = iter(images)

        def get_next(self) -> "dict[str, np.ndarray] | None":
            batch = next(self._left, None)
            return None if batch is None else {name: batch}

    with TemporaryDirectory() as folder:
        target = Path(folder) / "int8.onnx"
        logging.disable(logging.WARNING)  # it advises on accuracy, which is not what this is for
        try:
            quantize_static(graph, str(target), Reader(), quant_format=QuantFormat.QDQ)
        finally:
            logging.disable(logging.NOTSET)
        return target.read_bytes()

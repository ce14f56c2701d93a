"""Time models on this machine, interleaved, and keep the raw samples.

On the CPU a model is timed as what would be shipped, an ONNX file run by onnxruntime (device ``cpu``),
and in eager torch (device ``cpu-eager``): the ratio of two models differs between the two, so they are
two devices and never share an axis. Weights are random: time does not depend on them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer import __version__
from explorer.errors import UsageError
from explorer.measure.environment import conditions, find_device
from explorer.measure.latency import latency_figure, measure_interleaved
from explorer.measure.model_latency import device_wait, limited_threads
from explorer.record import CostFigure, CostRecord, LatencyRun
from explorer.run.costs import counted_costs
from explorer.spec import ModelSpec
from explorer.store import Store

if TYPE_CHECKING:
    from zoo import Classifier

LATENCY_CONVENTION = "single-stream-b1"
"""One example a call, one call after the other, one thread, random images, warm."""

_SEED = 20200509
"""Of the random images; the founding paper's date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model as it is profiled."""

    model: ModelSpec
    """Resolution set."""
    channels: int
    classes: int


def subjects(
    store: Store, models: Sequence[ModelSpec], *, dataset: str | None, channels: int, classes: int
) -> tuple[Subject, ...]:
    """Return what to profile: the models named, or all of a data set's members' models.

    Raises:
        UsageError: the data set has no members in the store.
        ZooError: unknown model.
    """
    from zoo import canonical_name, default_resolution

    if dataset is not None:
        records = store.members(dataset=dataset)
        if not records:
            known = sorted({record.dataset for record in store.members()})
            raise UsageError(
                f"the store has no members of data set {dataset!r}; it has: {', '.join(known) or 'none'}"
            )
        channels, classes = records[0].channels, records[0].classes
        native = min(record.member.resolution for record in records)
        if not models:
            models = sorted({record.member.model for record in records})
    else:
        native = 32
    return tuple(
        Subject(
            model=ModelSpec(
                canonical_name(model.name), model.resolution or default_resolution(model.name, native)
            ),
            channels=channels,
            classes=classes,
        )
        for model in models
    )


def profile_models(
    store: Store,
    chosen: Sequence[Subject],
    *,
    device: str = "cpu",
    seconds: float = 2.0,
    reuse: bool = False,
    update: Callable[[float, str], None] = lambda share, text: None,
) -> tuple[tuple[LatencyRun, CostFigure], ...]:
    """Count and time every subject, store the figures, and return the runs.

    Args:
        store: gets counts, medians and raw samples.
        chosen: what to profile.
        device: ``cpu``, ``cuda``, ``cuda:1``.
        seconds: time limit for each model on each backend.
        reuse: leave out subjects that are in the store already, measured under the same conditions.
        update: called with the share done and what is going on.

    Raises:
        EnvironmentMissingError: the device is not here.
    """
    rows: list[tuple[LatencyRun, CostFigure]] = []
    for subject in chosen:
        for record in counted_costs(subject.model, channels=subject.channels, classes=subject.classes):
            store.put_cost(record, None)
    backends = ("onnxruntime", "torch-eager") if device == "cpu" else ("torch-eager",)
    for index, backend in enumerate(backends):
        label = "cpu-eager" if device == "cpu" and backend == "torch-eager" else device
        found = conditions(device, "float32", batch=1, threads=1, backend=backend)
        todo = [s for s in chosen if not (reuse and _is_there(store, s, label, found))]
        if not todo:
            continue
        calls: dict[str, Callable[[], object]] = {}
        for number, subject in enumerate(todo):
            update(
                (index + 0.5 * number / len(todo)) / len(backends),
                f"preparing {subject.model} for {backend}",
            )
            calls[str(subject.model)] = _call(subject, backend, device)
        update((index + 0.5) / len(backends), f"timing {len(calls)} models, {backend}")
        with limited_threads(1):
            runs = measure_interleaved(
                calls,
                conditions=found,
                max_seconds=seconds,
                synchronise=device_wait(find_device(device)),
            )
        for subject in todo:
            run = runs[str(subject.model)]
            figure = latency_figure(run)
            record = _latency_record(subject, label, run, figure)
            store.put_cost(record, run.samples_s, warmup=run.warmup_s)
            rows.append((run, figure))
    return tuple(rows)


def _is_there(store: Store, subject: Subject, label: str, found: Any) -> bool:
    return any(
        record.model == subject.model
        and (record.channels, record.classes) == (subject.channels, subject.classes)
        and record.conditions == found
        for record in store.costs(kind="latency", device=label)
    )


def _latency_record(subject: Subject, label: str, run: LatencyRun, figure: CostFigure) -> CostRecord:
    return CostRecord(
        model=subject.model,
        channels=subject.channels,
        classes=subject.classes,
        kind="latency",
        device=label,
        figure=figure,
        convention=LATENCY_CONVENTION,
        source=f"explorer {__version__}",
        conditions=run.conditions,
    )


def _classifier(subject: Subject) -> "Classifier":
    import torch

    from zoo import build_classifier

    resolution = subject.model.resolution or 0
    return build_classifier(
        subject.model.name,
        channels=subject.channels,
        classes=subject.classes,
        native=resolution,
        resolution=resolution,
        mean=torch.full((subject.channels,), 0.5),
        std=torch.full((subject.channels,), 0.25),
    ).eval()


def _call(subject: Subject, backend: str, device: str) -> Callable[[], object]:
    """Return a function that answers one random example on ``backend``."""
    resolution = subject.model.resolution or 0
    shape = (1, subject.channels, resolution, resolution)
    example = np.random.default_rng(_SEED).random(shape, dtype=np.float32)
    classifier = _classifier(subject)
    if backend == "onnxruntime":
        import onnxruntime

        from explorer.build.onnx_export import INPUT, export_member

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        graph = export_member(classifier, shape[1:]).SerializeToString()
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, {INPUT: example})
    import torch

    images = torch.from_numpy(example).to(device)
    classifier = classifier.to(device)

    def call() -> object:
        with torch.inference_mode():
            return classifier(images)

    return call

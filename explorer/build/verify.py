"""Does the file answer as the stored predictions say, on every route through it, and how fast is it?"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from explorer.build.answers import (
    Answers,
    Bounds,
    Probabilities,
    consistent,
    design_bounds,
    permitted,
    stored_answers,
)
from explorer.build.artefact import Artefact, load_artefact
from explorer.build.exits import extreme_thresholds
from explorer.build.graph import signals_of
from explorer.build.session import batch_sizes, model_input, open_session, run_batches
from explorer.convention import Basis
from explorer.errors import InputDataError
from explorer.measure.environment import conditions
from explorer.measure.latency import latency_figure, measure_interleaved
from explorer.record import CostFigure, LatencyRun
from explorer.spec import Candidate

LARGE_BATCH = 1024
"""Examples answered in one go at most, so that memory stays bounded."""
SINGLE_EXAMPLES = 1000
"""Examples of the route that answers them one by one."""
ODD_SIZES = (1, 3, 7, 13, 31, 61, 127)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One way through the file, compared with the stored predictions."""

    name: str
    examples: int
    mismatches: int
    """Examples answered otherwise than any reading of the stored float16 probabilities allows."""
    ties: int
    """Examples with another label or stage than stored, too close to call in float16."""
    flips: int
    """Of the ties, examples that left at another stage: float16, and the signal in float32 for exact."""
    max_probability_error: float
    """Largest difference to the stored probabilities of the stage that answered."""
    reached: tuple[float, ...]
    """Share of the examples that reached each stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The outcome of a conformance run."""

    design: Candidate
    digest: str
    """SHA-256 of the model that ran."""
    routes: tuple[Route, ...]
    accuracy_expected: float | None
    """Of the stored predictions; None where no labels were given."""
    accuracy_measured: float | None
    """Of the file, on the same examples."""
    latency_predicted_s: float | None
    """As given by the caller."""
    latency: CostFigure | None
    """Mean over the examples of the median time of the stage they leave at; None if not measured."""
    latency_runs: tuple[LatencyRun, ...]
    """One a stage at which examples leave: onnxruntime, one thread, one example a call."""

    @property
    def passed(self) -> bool:
        """Whether no example of any route was answered otherwise than stored."""
        return all(route.mismatches == 0 for route in self.routes)

    @property
    def latency_measured_s(self) -> float | None:
        """The measured latency's value."""
        return None if self.latency is None else self.latency.value


def verify_artefact(
    directory: Path,
    images: np.ndarray,
    probabilities: Probabilities,
    *,
    labels: np.ndarray | None = None,
    latency_predicted_s: float | None = None,
    measure: bool = True,
) -> Verification:
    """Run an artefact on every route and compare it with stored predictions.

    Args:
        directory: the artefact.
        images: uint8 ``[example, height, width, channel]``: the ``report`` split.
        probabilities: float16 ``[example, class]`` of each member, as
            `explorer.build.artefact.stored_predictions` returns them.
        labels: true classes ``[example]``, to compare accuracies.
        latency_predicted_s: passed on, to stand beside the measured latency.
        measure: whether to time the file.

    Raises:
        InputDataError: the artefact is damaged, or the examples do not fit it.
        StoreError: a newer version wrote the artefact.
    """
    artefact = load_artefact(directory)
    _check_examples(artefact, images, probabilities, labels)
    session = open_session(artefact.model)
    bounds = design_bounds(artefact.design, probabilities)
    compare = partial(_compared, artefact, probabilities, bounds)
    routes, everything = [], None
    for name, rows, pattern, thresholds in _routes(artefact, len(images)):
        sizes = batch_sizes(len(rows), pattern)
        answers = run_batches(session, images[rows], sizes, thresholds=thresholds)
        if everything is None:
            everything = answers
        routes.append(compare(name, rows, answers, thresholds))
    assert everything is not None
    latency, runs = _latency(artefact, session, images, everything.stage) if measure else (None, ())
    expected, _ = stored_answers(artefact.design, probabilities, tuple(artefact.thresholds.values()))
    return Verification(
        design=artefact.design,
        digest=artefact.digest,
        routes=tuple(routes),
        accuracy_expected=None if labels is None else float((expected.label == labels).mean()),
        accuracy_measured=None if labels is None else float((everything.label == labels).mean()),
        latency_predicted_s=latency_predicted_s,
        latency=latency,
        latency_runs=runs,
    )


def _routes(
    artefact: Artefact, examples: int
) -> list[tuple[str, np.ndarray, tuple[int, ...], Mapping[str, float]]]:
    """Return name, examples, batch sizes and thresholds of each route; the first runs everything."""
    rows = np.arange(examples)
    some = np.unique(np.linspace(0, examples - 1, min(examples, SINGLE_EXAMPLES)).astype(int))
    large = (LARGE_BATCH,)
    routes: list[tuple[str, np.ndarray, tuple[int, ...], Mapping[str, float]]] = [
        ("large batches", rows, large, {}),
        ("batch 1", some, (1,), {}),
        ("odd batches", rows, ODD_SIZES, {}),
    ]
    if artefact.thresholds:
        surest = [extreme_thresholds(signal) for signal in signals_of(artefact.design)]
        for name, values in zip(("none escalate", "all escalate"), zip(*surest, strict=True), strict=True):
            routes.append((name, rows, large, dict(zip(artefact.thresholds, values, strict=True))))
    return routes


def _compared(
    artefact: Artefact,
    probabilities: Probabilities,
    bounds: tuple[Bounds, ...],
    name: str,
    rows: np.ndarray,
    answers: Answers,
    overridden: Mapping[str, float],
) -> Route:
    """Compare the answers to ``rows`` with what is stored."""
    thresholds = tuple({**artefact.thresholds, **overridden}.values())
    here = {member: np.asarray(values)[rows] for member, values in probabilities.items()}
    stored, parts = stored_answers(artefact.design, here, thresholds)
    inside = tuple(bound.of(rows) for bound in bounds)
    same = (answers.label == stored.label) & (answers.stage == stored.stage)
    right = permitted(answers, inside, thresholds, signals_of(artefact.design)) & consistent(answers)
    stage = np.clip(answers.stage, 0, len(parts) - 1)
    nearest = np.stack(parts)[stage, np.arange(len(rows))]
    return Route(
        name=name,
        examples=len(rows),
        mismatches=int((~right).sum()),
        ties=int((right & ~same).sum()),
        flips=int((right & (answers.stage != stored.stage)).sum()),
        max_probability_error=float(np.abs(answers.prob - nearest).max()),
        reached=tuple(float((answers.stage >= number).mean()) for number in range(len(parts))),
    )


def _latency(
    artefact: Artefact, session: Any, images: np.ndarray, stage: np.ndarray
) -> tuple[CostFigure, tuple[LatencyRun, ...]]:
    """Time one example that leaves at each stage, and weight by how many leave there."""
    left, counts = np.unique(stage, return_counts=True)
    calls, weights = {}, {}
    for number, count in zip(left, counts, strict=True):
        image = model_input(images[[int(np.flatnonzero(stage == number)[0])]])
        subject = f"{artefact.design} | leaves at stage {number}" if len(left) > 1 else str(artefact.design)
        calls[subject] = partial(session.run, None, {"images": image})
        weights[subject] = count / len(stage)
    described = conditions("cpu", "float32", batch=1, threads=1, backend="onnxruntime")
    runs = measure_interleaved(calls, conditions=described)
    figures = {subject: latency_figure(run) for subject, run in runs.items()}
    value, low, high = (
        sum(weights[subject] * getattr(figure, end) for subject, figure in figures.items())
        for end in ("value", "low", "high")
    )
    return CostFigure(value=value, low=low, high=high, basis=Basis.MEASURED), tuple(runs.values())


def _check_examples(
    artefact: Artefact, images: np.ndarray, probabilities: Probabilities, labels: np.ndarray | None
) -> None:
    """Refuse examples that cannot be the ones the predictions were made for."""
    channels, height, width = artefact.document["input"]["shape"][1:]
    if images.dtype != np.uint8 or images.shape[1:] != (height, width, channels) or not len(images):
        raise InputDataError(
            f"{artefact.path} wants uint8 images [example, {height}, {width}, {channels}], "
            f"got {images.dtype} {list(images.shape)}"
        )
    for member in artefact.design.members:
        if member not in probabilities:
            raise InputDataError(f"no stored predictions of {member} were given")
        wanted = (len(images), len(artefact.document["classes"]))
        if probabilities[member].shape != wanted or probabilities[member].dtype != np.float16:
            raise InputDataError(
                f"predictions of {member} must be float16 {list(wanted)}, "
                f"got {probabilities[member].dtype} {list(probabilities[member].shape)}"
            )
    if labels is not None and labels.shape != (len(images),):
        raise InputDataError(f"{len(images)} images need as many labels, got {list(labels.shape)}")

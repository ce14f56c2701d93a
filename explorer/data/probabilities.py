"""From what a file of predictions holds to the float16 class probabilities that the store keeps.

An answer with a confidence says nothing about the other classes. It becomes a made vector: the confidence on
the answer, the rest spread evenly. Its top class and its confidence are the service's own, so votes and
cascades by confidence are too; its log-loss, and an average of several, are not.
"""

import numpy as np

from explorer.data.predictions import AnswerKind, Predictions
from explorer.errors import InputDataError

SUM_TOLERANCE = 1e-2
"""How far a row's probabilities may be from adding up to 1: float16 over 1,000 classes, as in the store."""
RESCALED_UP_TO = 2e-2
"""Rows off by more than `SUM_TOLERANCE`, before or after rounding, but by no more than this, are divided by
their sum and counted.

A softmax in bfloat16 is off by as much: 0.014 in one of the files this was made for."""
_RANGE_TOLERANCE = 1e-6
"""A float32 softmax may exceed 1 by a rounding error."""


def count_classes(found: Predictions, *, said: int = 0, known: int = 0) -> tuple[int, tuple[str, ...]]:
    """Return how many classes there are, and a note where that was guessed.

    Args:
        found: the file.
        said: by a person; 0 where nobody said it.
        known: of the data set in the store; 0 where it is new.

    Raises:
        InputDataError: sources disagree, a label or an answer is no class, or there are fewer than 2.
    """
    parts = [found.labels] if found.answers is None else [found.labels, found.answers.ravel()]
    largest = max(int(part.max()) for part in parts)
    sources = {
        "the predictions": found.scores.shape[2] if found.scores is not None else 0,
        "the class names": len(found.class_names),
        "--classes": said,
        "the data set in the store": known,
    }
    given = {source: count for source, count in sources.items() if count}
    if len(set(given.values())) > 1:
        listed = ", ".join(f"{source}: {count}" for source, count in given.items())
        raise InputDataError(f"{found.path.name}: how many classes are there? {listed}")
    classes = next(iter(given.values()), largest + 1)
    if classes < 2:
        raise InputDataError(f"{found.path.name} has {classes} class; a classifier tells at least 2 apart")
    for part, what in zip(parts, ("labels", "predicted labels"), strict=False):
        if part.max() >= classes:
            raise InputDataError(
                f"{found.path.name}: {what} reach {int(part.max())}; wanted 0 to {classes - 1}"
            )
    guessed = f"{classes} classes, after the largest label or answer; --classes says otherwise"
    return classes, () if given else (guessed,)


def as_probabilities(
    found: Predictions, classes: int, names: tuple[str, ...]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return float16 ``[member, example, class]``, and notes on what was changed on the way.

    Args:
        found: the file.
        classes: as `count_classes` found.
        names: of the members, for messages.

    Raises:
        InputDataError: not finite, outside [0, 1], rows that do not add up to 1, or logits that are
            probabilities.
    """
    members, examples = found.shape
    made = np.empty((members, examples, classes), dtype=np.float16)
    raised = nudged = rescaled = 0
    for place, name in enumerate(names):
        if found.scores is None:
            wide, lifted = _spread(found, place, classes, name)
            raised += lifted
        else:
            scores = found.scores[place].astype(np.float64)
            _require_finite(scores, name)
            if found.kind is AnswerKind.LOGITS:
                wide = _softmax(scores, name, sure=found.kind_said)
            else:
                wide, off = _checked(scores, name)
                rescaled += off
        made[place], moved = to_float16(wide)
        nudged += moved
    return made, _notes(found, classes, raised=raised, nudged=nudged, rescaled=rescaled)


def to_float16(probabilities: np.ndarray) -> tuple[np.ndarray, int]:
    """Round float64 ``[example, class]`` so that no top class ties where it did not before.

    Returns:
        float16 ``[example, class]``, and in how many rows the top class was put one step higher.
    """
    rounded = probabilities.astype(np.float16)
    top = probabilities.argmax(axis=1)
    # Rounding keeps the order, so a top class can be tied, never passed.
    alone = (probabilities == probabilities.max(axis=1, keepdims=True)).sum(axis=1) == 1
    tied = (rounded == rounded.max(axis=1, keepdims=True)).sum(axis=1) > 1
    rows = np.flatnonzero(alone & tied)
    rounded[rows, top[rows]] = np.nextafter(rounded[rows, top[rows]], np.float16(np.inf))
    return rounded, len(rows)


def _spread(found: Predictions, member: int, classes: int, name: str) -> tuple[np.ndarray, int]:
    """Return made vectors, float64 ``[example, class]``, and how many confidences had to be raised."""
    assert found.answers is not None  # the caller looked
    answers = found.answers[member]
    confidence = np.ones(len(answers))
    if found.confidence is not None:
        confidence = found.confidence[member].astype(np.float64)
        _require_finite(confidence[:, None], f"confidence of {name}")
        low, high = float(confidence.min()), float(confidence.max())
        if low < 0 or high > 1 + _RANGE_TOLERANCE:
            raise InputDataError(
                f"confidence of {name} lies in [{low:.6g}, {high:.6g}]; wanted shares in [0, 1]"
            )
    # One step above an even spread: below it another class would be the answer.
    least = float(np.nextafter(np.float16(1 / classes), np.float16(np.inf)))
    low_rows = confidence <= 1 / classes
    top = np.where(low_rows, least, np.minimum(confidence, 1.0))
    wide = np.repeat(((1 - top) / (classes - 1))[:, None], classes, axis=1)
    wide[np.arange(len(answers)), answers] = top
    return wide, int(low_rows.sum())


def _softmax(logits: np.ndarray, name: str, *, sure: bool) -> np.ndarray:
    sums = logits.sum(axis=1)
    if not sure and logits.min() >= 0 and float(np.abs(sums - 1).max()) <= SUM_TOLERANCE:
        raise InputDataError(
            f"{name}: every row is in [0, 1] and adds up to 1, as probabilities do, not logits; "
            "say --kind probabilities, or --kind logits if they are"
        )
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _require_finite(values: np.ndarray, name: str) -> None:
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise InputDataError(
            f"{name} holds NaN or infinity in {int((~finite).sum()):,} of {len(values):,} examples, "
            f"first in row {int(np.argmin(finite))}"
        )


def _checked(values: np.ndarray, name: str) -> tuple[np.ndarray, int]:
    """Return rows that add up to 1 within `SUM_TOLERANCE`, as float16 too, and how many were rescaled."""
    low, high = float(values.min()), float(values.max())
    if low < -_RANGE_TOLERANCE or high > 1 + _RANGE_TOLERANCE:
        raise InputDataError(
            f"{name} lies in [{low:.6g}, {high:.6g}]; wanted probabilities in [0, 1]; "
            "if these are logits, say --kind logits"
        )
    sums = values.sum(axis=1)
    error = np.abs(sums - 1)
    wrong = error > RESCALED_UP_TO
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputDataError(
            f"{name}: the probabilities of row {row} add up to {float(sums[row]):.6g}; "
            f"wanted 1 within {RESCALED_UP_TO} ({int(wrong.sum()):,} such rows)"
        )
    off = error > SUM_TOLERANCE
    # Rounding can take a row beyond that was just within: probabilities with two decimals do.
    near = np.flatnonzero(~off & (error > SUM_TOLERANCE / 2))
    rounded, _ = to_float16(values[near])
    off[near] = np.abs(rounded.sum(axis=1, dtype=np.float64) - 1) > SUM_TOLERANCE
    scaled = np.where(off[:, None], values / sums[:, None], values)
    return np.clip(scaled, 0.0, 1.0), int(off.sum())


def _notes(found: Predictions, classes: int, *, raised: int, nudged: int, rescaled: int) -> tuple[str, ...]:
    said = []
    if found.kind is AnswerKind.LABELS:
        said.append(
            "answers alone were known: the rest of each probability is spread evenly over the other classes, "
            "so log-loss and averages of members are not the services' own; votes and cascades are"
        )
        if found.confidence is None:
            said.append("no confidence was known: every answer counts as certain, and no cascade can use it")
        if raised:
            said.append(
                f"{raised:,} confidences of at most 1/{classes} were raised just above it, "
                "so that the label stays the answer"
            )
    if rescaled:
        said.append(
            f"{rescaled:,} rows add up to 1 within {RESCALED_UP_TO} only and were divided by their sum"
        )
    if nudged:
        said.append(f"{nudged:,} top classes were put one float16 step higher: rounding had tied them")
    return tuple(said)

"""What a design answers, from stored predictions or from a file, in one form that can be compared.

The store keeps probabilities as float16, the file computes in float32. Where they may differ follows
from that alone: every stored probability stands for an interval, and an answer of the file is right when
some probabilities inside the intervals give it. `stage_bounds` carries the intervals through the
averaging rule, `permitted` through the cascade.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from explorer.analysis.scoring.combine import ZERO_PROBABILITY, average, combine
from explorer.build.graph import averaging_of, stages_of
from explorer.spec import Averaging, Candidate, Member, Stage

LOGIT_ERROR = 1e-4
"""How far two float32 programs may be apart in a logit; typical is 1e-6 to 1e-5."""
ROUNDING = 1e-6
"""Room for adding members up in float32, on probabilities."""
LOG_ROUNDING = 1e-5
"""The same on logarithms, which are up to 17 in size."""

Probabilities = Mapping[Member, np.ndarray]
"""Stored float16 ``[example, class]`` of every member."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """What a design says of some examples, and where in the cascade it said it."""

    prob: np.ndarray
    """float ``[example, class]``"""
    label: np.ndarray
    """int64 ``[example]``"""
    stage: np.ndarray
    """int64 ``[example]``: index of the stage that answered."""
    confidence: np.ndarray
    """float ``[example]``: largest of ``prob``."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bounds:
    """What a stage may answer when every stored probability is anything that rounds to it."""

    score_low: np.ndarray
    """float64 ``[example, class]``: what is compared to decide; votes, probabilities or mean logs."""
    score_high: np.ndarray
    prob_low: np.ndarray
    """float64 ``[example, class]``"""
    prob_high: np.ndarray


def stored_answers(
    design: Candidate, probabilities: Probabilities, thresholds: Sequence[float]
) -> tuple[Answers, tuple[np.ndarray, ...]]:
    """Return what stored predictions say the design answers.

    Args:
        design: any candidate.
        probabilities: of all its members.
        thresholds: one an exit; may lie outside [0, 1] to let none or all through.

    Returns:
        The answers, and each stage's own probabilities float64 ``[example, class]`` for all examples.
    """
    first, *later = stages_of(design)
    stacked = _stacked(first, probabilities)
    parts = [average(stacked, averaging_of(first))]
    label, confidence = combine(stacked, averaging_of(first))
    stage = np.zeros(len(label), dtype=np.int64)
    running = np.ones(len(label), dtype=bool)
    for number, (following, threshold) in enumerate(zip(later, thresholds, strict=True), start=1):
        stacked = _stacked(following, probabilities)
        parts.append(average(stacked, averaging_of(following)))
        decisions, sure = combine(stacked, averaging_of(following))
        running &= ~(confidence >= threshold)
        label = np.where(running, decisions, label)
        confidence = np.where(running, sure, confidence)
        stage = np.where(running, number, stage)
    prob = np.stack(parts)[stage, np.arange(len(label))]
    return Answers(prob=prob, label=label, stage=stage, confidence=confidence), tuple(parts)


def stage_bounds(stage: Stage, probabilities: Probabilities) -> Bounds:
    """Carry the intervals that stored float16 probabilities stand for through a stage's averaging."""
    stacked = _stacked(stage, probabilities)
    value = stacked.astype(np.float64)
    half = np.spacing(stacked).astype(np.float64) / 2
    factor = np.exp(2 * LOGIT_ERROR)  # of a probability, when all logits are off by that much
    low = np.maximum(value - half, 0.0) / factor
    high = np.minimum((value + half) * factor, 1.0)
    averaging = averaging_of(stage)
    if averaging is Averaging.VOTE:
        sure = low > _largest_other(high)
        possible = high >= _largest_other(low)
        votes_low, votes_high = sure.mean(axis=0), possible.mean(axis=0)
        return Bounds(score_low=votes_low, score_high=votes_high, prob_low=votes_low, prob_high=votes_high)
    if averaging is Averaging.MEAN:
        mean_low, mean_high = low.mean(axis=0) - ROUNDING, high.mean(axis=0) + ROUNDING
        return Bounds(score_low=mean_low, score_high=mean_high, prob_low=mean_low, prob_high=mean_high)
    log_low = np.log(np.maximum(low, ZERO_PROBABILITY)).mean(axis=0) - LOG_ROUNDING
    log_high = np.log(np.maximum(high, ZERO_PROBABILITY)).mean(axis=0) + LOG_ROUNDING
    weight_low, weight_high = np.exp(log_low), np.exp(log_high)
    others_low = weight_low.sum(axis=1, keepdims=True) - weight_low
    others_high = weight_high.sum(axis=1, keepdims=True) - weight_high
    return Bounds(
        score_low=log_low,
        score_high=log_high,
        prob_low=weight_low / (weight_low + others_high) - ROUNDING,
        prob_high=weight_high / (weight_high + others_low) + ROUNDING,
    )


def permitted(answers: Answers, bounds: Sequence[Bounds], thresholds: Sequence[float]) -> np.ndarray:
    """Tell of every example whether stored predictions allow the file's stage, label and probabilities.

    Args:
        answers: of the file.
        bounds: one a stage, for the same examples.
        thresholds: one an exit.

    Returns:
        bool ``[example]``.
    """
    allowed = np.zeros(len(answers.label), dtype=bool)
    came = np.ones(len(answers.label), dtype=bool)
    for number, bound in enumerate(bounds):
        here = came & (answers.stage == number) & _label_possible(bound, answers.label)
        here &= _inside(answers.prob, bound)
        if number < len(thresholds):
            threshold = thresholds[number]
            here &= _reaches(bound.prob_high.max(axis=1), threshold)
            came = came & _stays_below(bound.prob_low.max(axis=1), threshold)
        allowed |= here
    return allowed


def consistent(answers: Answers) -> np.ndarray:
    """Tell of every example whether label and confidence follow from ``prob``: bool ``[example]``."""
    top, best = answers.prob.argmax(axis=1), answers.prob.max(axis=1)
    return (answers.label == top) & (answers.confidence == best)


def _stacked(stage: Stage, probabilities: Probabilities) -> np.ndarray:
    """Return float16 ``[member, example, class]``, repeated members repeated."""
    return np.stack([np.asarray(probabilities[member]) for member in stage.members])


def _largest_other(values: np.ndarray) -> np.ndarray:
    """Return for every class the largest value of any other class, along the last axis."""
    ordered = np.sort(values, axis=-1)
    top, second = ordered[..., -1:], ordered[..., -2:-1]
    is_only_top = (values == top) & ((values == top).sum(axis=-1, keepdims=True) == 1)
    return np.where(is_only_top, second, top)


def _inside(prob: np.ndarray, bound: Bounds) -> np.ndarray:
    """Tell whether all probabilities are inside; in float32, where a third is not a third."""
    low, high = bound.prob_low.astype(np.float32), bound.prob_high.astype(np.float32)
    inside: np.ndarray = (prob >= low) & (prob <= high)
    return np.asarray(inside.all(axis=1))


def _label_possible(bound: Bounds, label: np.ndarray) -> np.ndarray:
    """Tell whether each label can win; of equals the lowest class index wins."""
    best = np.take_along_axis(bound.score_high, label[:, None], axis=1)
    classes = np.arange(bound.score_low.shape[1])
    beaten = (bound.score_low > best) | ((bound.score_low == best) & (classes < label[:, None]))
    by_other: np.ndarray = beaten & (classes != label[:, None])
    return np.asarray(~by_other.any(axis=1))


def _reaches(confidence: np.ndarray, threshold: float) -> np.ndarray:
    """Compare as the file does, in float32, or as the analysis does, in float64: either is right."""
    return (confidence >= threshold) | (confidence.astype(np.float32) >= np.float32(threshold))


def _stays_below(confidence: np.ndarray, threshold: float) -> np.ndarray:
    return (confidence < threshold) | (confidence.astype(np.float32) < np.float32(threshold))

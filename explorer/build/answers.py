"""What a design answers, from stored predictions or from a file, in one form that can be compared.

The store keeps probabilities as float16, the file computes in float32. Where they may differ follows
from that alone: every stored probability stands for an interval, and an answer of the file is right when
some probabilities inside the intervals give it. `stage_bounds` carries the intervals through the
averaging rule, `signal_bounds` to the exit signals, `permitted` through the cascade.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import entr

from explorer.analysis.scoring.combine import ZERO_PROBABILITY, average, combine
from explorer.analysis.scoring.signals import reaches, signal_values
from explorer.build.graph import signals_of
from explorer.spec import Averaging, Candidate, Cascade, Member, Signal, Stage, averaging_of

LOGIT_ERROR = 1e-4
"""How far two float32 programs may be apart in a logit; typical is 1e-6 to 1e-5."""
ROUNDING = 1e-6
"""Room for adding members up in float32, on probabilities."""
LOG_ROUNDING = 1e-5
"""The same on logarithms, which are up to 17 in size, and on entropies."""

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
    agreement_low: np.ndarray | None = None
    """float64 ``[example, class]``: share of the members whose top class it is; None if not asked for."""
    agreement_high: np.ndarray | None = None

    def of(self, rows: np.ndarray) -> "Bounds":
        """Return the bounds of some examples, int ``[example]``."""
        least, most = self.agreement_low, self.agreement_high
        return Bounds(
            score_low=self.score_low[rows],
            score_high=self.score_high[rows],
            prob_low=self.prob_low[rows],
            prob_high=self.prob_high[rows],
            agreement_low=None if least is None else least[rows],
            agreement_high=None if most is None else most[rows],
        )


def combined_stages(design: Candidate) -> tuple[Stage, ...]:
    """Return what answers at each stage of any candidate: see `explorer.spec.Cascade.combined`."""
    return design.combined if isinstance(design, Cascade) else (design,)


def stored_answers(
    design: Candidate, probabilities: Probabilities, thresholds: Sequence[float]
) -> tuple[Answers, tuple[np.ndarray, ...]]:
    """Return what stored predictions say the design answers.

    Args:
        design: any candidate.
        probabilities: of all its members.
        thresholds: one an exit; may lie outside [0, 1] to let none or all through.

    Returns:
        The answers, and each stage's own probabilities float64 ``[example, class]`` for all examples;
        those of a stage that is joined to earlier ones are the average over all.
    """
    first, *later = combined_stages(design)
    stacked = _stacked(first, probabilities)
    parts = [average(stacked, averaging_of(first))]
    label, confidence = combine(stacked, averaging_of(first))
    stage = np.zeros(len(label), dtype=np.int64)
    running = np.ones(len(label), dtype=bool)
    before = averaging_of(first)
    exits = zip(later, signals_of(design), thresholds, strict=True)
    for number, (following, signal, threshold) in enumerate(exits, start=1):
        running &= ~reaches(signal_values(signal, stacked, before), signal, threshold)
        stacked, before = _stacked(following, probabilities), averaging_of(following)
        parts.append(average(stacked, before))
        decisions, sure = combine(stacked, before)
        label = np.where(running, decisions, label)
        confidence = np.where(running, sure, confidence)
        stage = np.where(running, number, stage)
    prob = np.stack(parts)[stage, np.arange(len(label))]
    return Answers(prob=prob, label=label, stage=stage, confidence=confidence), tuple(parts)


def design_bounds(design: Candidate, probabilities: Probabilities) -> tuple[Bounds, ...]:
    """Return the bounds of every stage of a design, with what its exits look at."""
    signals = (*signals_of(design), None)
    return tuple(
        stage_bounds(stage, probabilities, agreement=signal is Signal.AGREEMENT)
        for stage, signal in zip(combined_stages(design), signals, strict=True)
    )


def stage_bounds(stage: Stage, probabilities: Probabilities, *, agreement: bool = False) -> Bounds:
    """Carry the intervals that stored float16 probabilities stand for through a stage's averaging.

    Args:
        stage: all members that are averaged.
        probabilities: of all of them.
        agreement: whether to count which classes the members may be for.
    """
    stacked = _stacked(stage, probabilities)
    value = stacked.astype(np.float64)
    half = np.spacing(stacked).astype(np.float64) / 2
    factor = np.exp(2 * LOGIT_ERROR)  # of a probability, when all logits are off by that much
    low = np.maximum(value - half, 0.0) / factor
    high = np.minimum((value + half) * factor, 1.0)
    averaging = averaging_of(stage)
    votes_low = votes_high = None
    if agreement or averaging is Averaging.VOTE:
        votes_low = np.asarray((low > _largest_other(high)).mean(axis=0))
        votes_high = np.asarray((high >= _largest_other(low)).mean(axis=0))
    if averaging is Averaging.VOTE:
        assert votes_low is not None
        assert votes_high is not None
        return Bounds(
            score_low=votes_low,
            score_high=votes_high,
            prob_low=votes_low,
            prob_high=votes_high,
            agreement_low=votes_low,
            agreement_high=votes_high,
        )
    if averaging is Averaging.MEAN:
        mean_low, mean_high = low.mean(axis=0) - ROUNDING, high.mean(axis=0) + ROUNDING
        return Bounds(
            score_low=mean_low,
            score_high=mean_high,
            prob_low=mean_low,
            prob_high=mean_high,
            agreement_low=votes_low,
            agreement_high=votes_high,
        )
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
        agreement_low=votes_low,
        agreement_high=votes_high,
    )


def signal_bounds(
    signal: Signal, bounds: Bounds, label: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return how low and how high an exit signal of a stage may be, float64 ``[example]`` each.

    Args:
        signal: which.
        bounds: of the stage, with agreement where that is the signal.
        label: what the stage answered, ``[example]``; None where that is not known.
    """
    low, high = bounds.prob_low, bounds.prob_high
    if signal is Signal.P:
        return low.max(axis=1), high.max(axis=1)
    if signal is Signal.MARGIN:
        least = (low - _largest_other(high)).max(axis=1)
        return np.maximum(least, 0.0), (high - _largest_other(low)).max(axis=1)
    if signal is Signal.ENTROPY:
        ends = entr(np.clip(low, 0.0, 1.0)), entr(np.clip(high, 0.0, 1.0))
        peak = (low < 1 / np.e) & (high > 1 / np.e)  # - p log p rises up to there, then falls
        most = np.where(peak, 1 / np.e, np.maximum(*ends)).sum(axis=1)
        return np.minimum(*ends).sum(axis=1) - LOG_ROUNDING, most + LOG_ROUNDING
    assert bounds.agreement_low is not None
    assert bounds.agreement_high is not None
    if label is not None:
        rows = np.arange(len(label))
        return bounds.agreement_low[rows, label], bounds.agreement_high[rows, label]
    possible = bounds.score_high >= bounds.score_low.max(axis=1, keepdims=True)
    least = np.where(possible, bounds.agreement_low, np.inf).min(axis=1)
    return least, np.where(possible, bounds.agreement_high, -np.inf).max(axis=1)


def permitted(
    answers: Answers, bounds: Sequence[Bounds], thresholds: Sequence[float], signals: Sequence[Signal]
) -> np.ndarray:
    """Tell of every example whether stored predictions allow the file's stage, label and probabilities.

    Args:
        answers: of the file.
        bounds: one a stage, for the same examples.
        thresholds: one an exit.
        signals: what each exit compares with its threshold.

    Returns:
        bool ``[example]``.
    """
    allowed = np.zeros(len(answers.label), dtype=bool)
    came = np.ones(len(answers.label), dtype=bool)
    for number, bound in enumerate(bounds):
        here = came & (answers.stage == number) & _label_possible(bound, answers.label)
        here &= _inside(answers.prob, bound)
        if number < len(thresholds):
            threshold, signal = thresholds[number], signals[number]
            here &= _may_leave(signal_bounds(signal, bound, answers.label), signal, threshold)
            came = came & _may_stay(signal_bounds(signal, bound), signal, threshold)
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


def _may_leave(ends: tuple[np.ndarray, np.ndarray], signal: Signal, threshold: float) -> np.ndarray:
    """Compare as the file does, in float32, or as the analysis does, in float64: either is right."""
    surest = ends[0] if signal is Signal.ENTROPY else ends[1]
    here = reaches(surest, signal, threshold)
    return here | reaches(surest.astype(np.float32), signal, float(np.float32(threshold)))


def _may_stay(ends: tuple[np.ndarray, np.ndarray], signal: Signal, threshold: float) -> np.ndarray:
    unsure = ends[1] if signal is Signal.ENTROPY else ends[0]
    here = ~reaches(unsure, signal, threshold)
    return here | ~reaches(unsure.astype(np.float32), signal, float(np.float32(threshold)))

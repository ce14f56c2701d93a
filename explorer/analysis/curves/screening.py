"""Is a third seed worth training? What two trained members already tell.

Disagreement-error ratio (DER) and ensemble improvement ratio (EIR): Theisen et al., arXiv 2305.12313. For K
classes and "competent" members they bound each other: DER >= EIR >= 2 (K - 1) / K * DER - (3 K - 4) / K.
The bounds are quoted at second hand, from a summary of the paper; they are about ever more members that vote,
not about three that are averaged.

The gain of the next member comes from the law 1 / n through the members alone and their pairs: half of the
gap is gone at two members, two thirds at three, so that a third takes off a third of what the second did.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from explorer.analysis.result import Interval
from explorer.analysis.statistics.seeds import percentiles
from explorer.errors import InputDataError, UsageError

_DRAWS = 4_000
_SEED = 20005


class Worth(StrEnum):
    """Whether the next member pays."""

    YES = "worth training"
    NO = "not worth training"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """How members disagree, and what that bounds."""

    members: int
    error: Interval
    """Mean over members."""
    disagreement: Interval
    """Share of examples on which two members answer differently, mean over pairs."""
    der: Interval
    """Disagreement over mean error; above 1 an ensemble clearly gains, below it one network often does."""
    eir_low: float
    """Second-hand lower bound of the improvement ratio of ever more voting members."""
    eir_high: float
    """Its upper bound, the DER itself; an improvement ratio is 1 at most."""
    eir: Interval | None
    """Of the answers given as combined: (mean error - their error) / mean error; None: none were given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextMember:
    """What a third member is predicted to add, as share of examples: predicted, never measured."""

    second: Interval
    """What the second member brought: mean accuracy of pairs minus that of members alone."""
    third: Interval
    """Predicted gain of the third over the pair."""
    limit: Interval
    """Predicted gain of ever more members over the pair."""
    asked: float
    """The gain from which on a member is worth training."""
    verdict: Worth


def screen(
    decisions: np.ndarray, labels: np.ndarray, classes: int, *, combined: np.ndarray | None = None
) -> Screening:
    """Return how far members disagree against how often they err, with bootstrap intervals over examples.

    Args:
        decisions: class answered, integer ``[member, example]``, two members or more.
        labels: ``[example]``.
        classes: K of the bounds, two or more.
        combined: what the ensemble of these members answers, ``[example]``.

    Raises:
        InputDataError: shapes that do not fit, fewer than two members or classes.
        UsageError: the members make no mistake: there is nothing to improve.
    """
    count = len(decisions)
    if (
        decisions.ndim != 2
        or count < 2
        or labels.shape != decisions.shape[1:]
        or labels.size == 0
        or classes < 2
    ):
        raise InputDataError(
            "wanted decisions [member, example] of two members or more, a label an example and two classes "
            f"or more, got {list(decisions.shape)}, {list(labels.shape)} and {classes} classes"
        )
    if combined is not None and combined.shape != labels.shape:
        raise InputDataError(f"wanted {labels.size} combined decisions, got {list(combined.shape)}")
    wrong = (decisions != labels).sum(axis=0)
    first, second = np.triu_indices(count, 1)
    differ = sum((decisions[i] != decisions[j]).astype(np.int64) for i, j in zip(first, second, strict=True))
    missed = np.zeros_like(wrong) if combined is None else (combined != labels).astype(np.int64)
    if not wrong.any():
        raise UsageError("these members make no mistake on these examples: there is nothing to improve")
    drawn = _means(np.stack([wrong, np.asarray(differ), missed]))
    error, apart, rest = drawn[0] / count, drawn[1] / len(first), drawn[2]
    # a draw without mistakes has nothing to improve either
    base = np.where(error > 0, error, np.inf)
    der = apart / base
    examples = labels.size
    value = float(der[0])
    return Screening(
        members=count,
        error=_interval(error, examples),
        disagreement=_interval(apart, examples),
        der=_interval(der, examples),
        eir_low=2 * (classes - 1) / classes * value - (3 * classes - 4) / classes,
        eir_high=min(1.0, value),
        eir=None if combined is None else _interval((error - rest) / base, examples),
    )


def next_member(alone: np.ndarray, pairs: np.ndarray, *, asked: float = 0.0) -> NextMember:
    """Say whether a third member is worth training, from which examples are answered right.

    The interval is of the examples; another two seeds would have said something else again, and the law
    1 / n is a default for the 0-1 error, no theorem.

    Args:
        alone: right answers of each member, ``[member, example]``, two or more.
        pairs: right answers of each averaged pair of them, ``[pair, example]``, every pair.
        asked: gain in accuracy, a share, above which a member is worth training.

    Raises:
        InputDataError: shapes that do not fit.
    """
    count = len(alone)
    if alone.ndim != 2 or alone.size == 0 or pairs.shape != (count * (count - 1) // 2, alone.shape[1]):
        raise InputDataError(
            f"wanted right answers [member, example] and [pair, example] of every pair, got "
            f"{list(alone.shape)} and {list(pairs.shape)}"
        )
    if count < 2:
        raise InputDataError("wanted two members or more, got 1")
    drawn = _means(np.stack([alone.astype(np.int64).sum(axis=0), pairs.astype(np.int64).sum(axis=0)]))
    gain = drawn[1] / len(pairs) - drawn[0] / count
    examples = alone.shape[1]
    third = _interval(gain / 3, examples)
    return NextMember(
        second=_interval(gain, examples),
        third=third,
        limit=_interval(gain, examples),
        asked=asked,
        verdict=worth(third.low, third.high, asked),
    )


def worth(low: float, high: float, asked: float) -> Worth:
    """Say what an interval of a gain allows to be said against the gain that is asked."""
    if low > asked:
        return Worth.YES
    return Worth.NO if high <= asked else Worth.CANNOT_TELL


def _means(figures: np.ndarray) -> np.ndarray:
    """Return the means over examples of ``figures`` ``[figure, example]``: of all, then of every draw.

    Examples with the same figures are drawn together (a multinomial draw), which is the bootstrap exactly.

    Returns:
        float64 ``[figure, 1 + draw]``.
    """
    kinds, counts = np.unique(figures, axis=1, return_counts=True)
    examples = figures.shape[1]
    random = np.random.default_rng(_SEED)
    drawn = random.multinomial(examples, counts / examples, size=_DRAWS)
    return np.asarray(kinds @ np.vstack([counts, drawn]).T / examples)


def _interval(figure: np.ndarray, examples: int) -> Interval:
    """Return the first of ``[1 + draw]`` with the interval of the rest."""
    low, high = percentiles(figure[1:])
    value = float(figure[0])
    return Interval(value=value, low=min(low, value), high=max(high, value), n=examples, method="bootstrap")

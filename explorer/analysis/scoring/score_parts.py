"""What every metric is added up from, example by example, so that any weighting of examples can be scored.

Each metric of `explorer.analysis.scoring.metrics` is a mean over examples, a sum over bins or the worst of
several means; weights ``[draw, example]`` times these parts gives it for many resamples at once.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import sparse

from explorer.analysis.scoring.answers import Answers
from explorer.analysis.scoring.calibration import BINS
from explorer.analysis.scoring.combine import ZERO_PROBABILITY
from explorer.analysis.scoring.temperature import tempered_losses

TOP = 5
"""Classes that an answer of ``top5`` names."""


class ScoreName(StrEnum):
    """How good a design's answers are; `explorer.analysis.scoring.losses.Metric`, and one more."""

    ACCURACY = "accuracy"
    """Share of examples answered right."""
    NLL = "nll"
    """Log loss: mean negative log-likelihood in nats; a probability of zero counts as 2^-25."""
    NLL_TEMPERED = "nll_tempered"
    """The same after one temperature for the averaged answer, fitted on ``select``."""
    BRIER = "brier"
    """Mean squared distance to the one-hot truth, in [0, 2]."""
    TOP5 = "top5"
    """Share of examples whose true class is among the five likeliest."""
    ECE = "ece"
    """Expected calibration error over `BINS` bins of equal width."""
    WORST_CLASS_ACCURACY = "worst_class_accuracy"
    """Lowest accuracy over the classes that occur."""

    @property
    def higher_is_better(self) -> bool:
        """Say which way is good."""
        return self in (ScoreName.ACCURACY, ScoreName.TOP5, ScoreName.WORST_CLASS_ACCURACY)

    @property
    def is_mean(self) -> bool:
        """Say whether it is a mean over examples."""
        return self not in (ScoreName.ECE, ScoreName.WORST_CLASS_ACCURACY)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """One design's answers on one split, as what metrics are sums of."""

    names: tuple[ScoreName, ...]
    """Those that are means, in the order of ``means``."""
    means: np.ndarray
    """float64 ``[example, name]``"""
    gaps: sparse.csr_array
    """Right minus confidence, ``[example, bin]``, one entry a row."""
    hits: sparse.csr_array
    """Right, ``[example, class]``, one entry a row: under the true class."""
    truth: sparse.csr_array
    """1, ``[example, class]``, under the true class."""
    place: np.ndarray
    """Bin of each example, int ``[example]``."""

    def of(self, name: ScoreName) -> np.ndarray:
        """Return what a metric that is a mean is the mean of, float64 ``[example]``."""
        return np.asarray(self.means[:, self.names.index(name)])

    def scores(self, weights: np.ndarray) -> dict[ScoreName, np.ndarray]:
        """Return every metric for each weighting, float64 ``[draw]``.

        Args:
            weights: how often each example counts, ``[draw, example]``; adds up to n in each row.
        """
        examples = len(self.means)
        found = dict(zip(self.names, (weights @ self.means / examples).T, strict=True))
        found[ScoreName.ECE] = np.abs(self.gaps.T @ weights.T).sum(axis=0) / examples
        found[ScoreName.WORST_CLASS_ACCURACY] = self.by_class(weights).min(axis=0)
        return {name: found[name] for name in ScoreName if name in found}

    def by_class(self, weights: np.ndarray) -> np.ndarray:
        """Return the accuracy of each class, ``[class, draw]``; 1 where a class does not occur."""
        counts, hits = self.truth.T @ weights.T, self.hits.T @ weights.T
        return np.where(counts > 0, hits / np.maximum(counts, 1), 1.0)


def score_parts(answers: Answers, labels: np.ndarray, temperature: float) -> Parts:
    """Work out what the metrics of a design's answers are added up from.

    Args:
        answers: of `explorer.analysis.scoring.answers.candidate_answers`.
        labels: true classes ``[example]``.
        temperature: fitted on ``select``.
    """
    chance = answers.probabilities
    examples, classes = chance.shape
    rows = np.arange(examples)
    right = answers.decisions == labels
    true = chance[rows, labels]
    means = {
        ScoreName.ACCURACY: right.astype(np.float64),
        ScoreName.NLL: -np.log(np.maximum(true, ZERO_PROBABILITY)),
        ScoreName.NLL_TEMPERED: tempered_losses(chance, labels, temperature),
        ScoreName.BRIER: (chance**2).sum(axis=1) - 2 * true + 1,
    }
    if classes > TOP:
        means[ScoreName.TOP5] = _named(chance, labels).astype(np.float64)
    confidence = answers.confidence
    place = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)

    def spread(values: np.ndarray, columns: np.ndarray, width: int) -> sparse.csr_array:
        return sparse.csr_array((values, (rows, columns)), shape=(examples, width))

    return Parts(
        names=tuple(means),
        means=np.stack(list(means.values()), axis=1),
        gaps=spread(right - confidence, place, BINS),
        hits=spread(right.astype(np.float64), labels, classes),
        truth=spread(np.ones(examples), labels, classes),
        place=place,
    )


def _named(chance: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return whether the true class is among the first `TOP`; of equals the lower class goes first."""
    true = chance[np.arange(len(labels)), labels][:, None]
    earlier = np.arange(chance.shape[1]) < labels[:, None]
    return np.asarray(((chance > true) | ((chance == true) & earlier)).sum(axis=1) < TOP)

"""Ensembles of published models, predicted: nobody kept their predictions, so none is scored.

An ensemble of n trainings of one model, each from scratch, costs n times as much (once, where members run
side by side or reuse the same memory) and keeps a share of its error that published ensembles of other
networks suggest (`explorer.analysis.curves.published_gain`). That share is one and the same for all models:
whatever beats a model beats its ensembles likewise, so those of the front's models are all that can be on a
front.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from explorer.analysis.curves.published_gain import predict_ensemble_accuracy
from explorer.analysis.published.points import PublishedPoint, Share
from explorer.analysis.published.recipes import difference, training_data
from explorer.analysis.search.pareto import nondominated
from explorer.convention import Basis, Composition, CostKind
from explorer.record import CostFigure

ERROR, DATA, UNKNOWN = "error", "training data", "training not stated"
"""Beyond the published: its error or number of members; what it learned from besides its own images, where
that is known, or that it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedEnsemble:
    """So many trainings of one published model, their probabilities averaged: a prediction."""

    base: PublishedPoint
    members: int
    accuracy: Share
    """The interval holds the spread between published ensembles; ``n`` is that of the model."""
    costs: tuple[CostFigure, ...]
    beyond: tuple[str, ...]
    """In what the model is unlike the published ensembles, or may be: `ERROR`, `DATA`, `UNKNOWN`; empty: in
    nothing."""
    rival: PublishedPoint | None = None
    """The most accurate single that costs no more; None: there is none as cheap."""
    gain: float = 0.0
    """Over the rival."""
    low: float | None = None
    high: float | None = None

    @property
    def better(self) -> bool | None:
        """Whether it beats the rival; None: the interval of the gain holds zero, one cannot tell."""
        if self.rival is None:
            return True
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return None
        return self.low > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedEnsembles:
    """The front of published singles and predicted ensembles together."""

    most: int
    """Members."""
    predicted: int
    """Ensembles that were predicted."""
    points: tuple[PublishedPoint | PredictedEnsemble, ...]
    """By rising first cost."""
    sources: tuple[str, ...]
    """Published ensembles that were learned from."""
    networks: int

    @property
    def ensembles(self) -> tuple[PredictedEnsemble, ...]:
        """Those of the points that are predictions."""
        return tuple(point for point in self.points if isinstance(point, PredictedEnsemble))


def predict_ensembles(
    front: Sequence[PublishedPoint], kinds: Sequence[CostKind], most: int
) -> PredictedEnsembles:
    """Predict ensembles of 2 to ``most`` of each model and return the front of all together.

    Args:
        front: singles that no other single beats.
        kinds: of the cost axes.
        most: members.

    Raises:
        UsageError: fewer than one member.
    """
    made = all_ensembles(front, kinds, most)
    both: list[PublishedPoint | PredictedEnsemble] = [*front, *made]
    table = np.array([[*(cost.value for cost in one.costs), one.accuracy.value] for one in both])
    keep = nondominated(table, maximise=(*(False for _ in kinds), True))
    kept = [one for one, stays in zip(both, keep, strict=True) if stays]
    kept.sort(key=lambda one: (*(cost.value for cost in one.costs), one.accuracy.value))
    example = predict_ensemble_accuracy(0.75, 2)
    return PredictedEnsembles(
        most=most,
        predicted=len(made),
        points=tuple(with_rival(one, front) if isinstance(one, PredictedEnsemble) else one for one in kept),
        sources=example.sources,
        networks=example.networks,
    )


def all_ensembles(
    models: Sequence[PublishedPoint], kinds: Sequence[CostKind], most: int
) -> list[PredictedEnsemble]:
    """Predict ensembles of 2 to ``most`` of each model; rivals are not looked for.

    Raises:
        UsageError: fewer than one member.
    """
    return [_ensemble(model, members, kinds) for model in models for members in range(2, most + 1)]


def _ensemble(model: PublishedPoint, members: int, kinds: Sequence[CostKind]) -> PredictedEnsemble:
    one = model.accuracy
    found = predict_ensemble_accuracy(one.value, members, outside=True)
    below, above = found.accuracy - found.low, found.high - found.accuracy
    if one.low is not None and one.high is not None:
        # the model's own accuracy is known from finitely many images: the two do not depend on each other
        below, above = math.hypot(below, one.value - one.low), math.hypot(above, one.high - one.value)
    return PredictedEnsemble(
        base=model,
        members=members,
        accuracy=Share(
            value=found.accuracy,
            low=max(0.0, found.accuracy - below),
            high=min(1.0, found.accuracy + above),
            n=one.n,
        ),
        costs=tuple(
            _times(cost, 1 if kind.members_at_once or kind.composition is Composition.MAX else members)
            for cost, kind in zip(model.costs, kinds, strict=True)
        ),
        # those published were trained from scratch, without a teacher: of others nothing is known
        beyond=(*((ERROR,) if found.extrapolated else ()), *_unlike_in_training(model)),
    )


def _unlike_in_training(model: PublishedPoint) -> tuple[str, ...]:
    data = training_data(model.row.tag, model.row.architecture)
    if data is None:
        return (UNKNOWN,)
    return (DATA,) if data else ()


def _times(cost: CostFigure, members: int) -> CostFigure:
    """Return the cost of ``members`` of the same model: their errors are one and the same."""
    return CostFigure(
        value=cost.value * members, low=cost.low * members, high=cost.high * members, basis=Basis.COMPOSED
    )


def with_rival(one: PredictedEnsemble, front: Sequence[PublishedPoint]) -> PredictedEnsemble:
    """Return the ensemble with the most accurate single of ``front`` that costs no more."""
    as_cheap = [
        point
        for point in front
        if all(its.value <= own.value for its, own in zip(point.costs, one.costs, strict=True))
    ]
    if not as_cheap:
        return one
    rival = max(as_cheap, key=lambda point: point.accuracy.value)
    low, high = difference(rival.accuracy, one.accuracy)
    return replace(one, rival=rival, gain=one.accuracy.value - rival.accuracy.value, low=low, high=high)

"""What an ensemble of a published network might reach, where nobody kept its predictions.

Only the error of one network is known. What n members leave of an error is taken from published ensembles of
other networks: ``error(n) / error(1) = limit + (1 - limit) / n``, one limit for each network (`GAINS`). Their
spread is the interval: of a further network drawn from the same population, by Student's t, widened to hold
every network there is a figure of. It is a prediction of a coarse kind and never a measurement.
"""

from dataclasses import dataclass, field
from math import sqrt

import numpy as np
from scipy import stats

from explorer.analysis.bootstrap import LEVEL
from explorer.errors import ConventionError, UsageError

_PITFALLS = "arXiv 2002.06470, result tables of bayesgroup/pytorch-ensembles"
_BASELINES = "google/uncertainty-baselines, README tables"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedEnsemble:
    """Top-1 error of one network and of an ensemble of networks that differ in seed."""

    network: str
    dataset: str
    members: int
    error_one: float
    """Share."""
    error_members: float
    """Share."""
    source: str


def _row(
    network: str, dataset: str, members: int, errors: tuple[float, float], source: str
) -> PublishedEnsemble:
    """Return a row; the sources print errors in percent."""
    return PublishedEnsemble(
        network=network,
        dataset=dataset,
        members=members,
        error_one=errors[0] / 100,
        error_members=errors[1] / 100,
        source=source,
    )


GAINS = (
    _row("resnet-50", "imagenet", 5, (23.79, 21.19), _PITFALLS),
    _row("resnet-50", "imagenet", 10, (23.79, 20.90), _PITFALLS),
    _row("resnet-50", "imagenet", 50, (23.79, 20.63), _PITFALLS),
    _row("resnet-110", "cifar100", 100, (22.66, 16.97), _PITFALLS),
    _row("resnet-164", "cifar100", 100, (21.39, 16.50), _PITFALLS),
    _row("vgg-16", "cifar100", 100, (25.44, 19.88), _PITFALLS),
    _row("wrn-28-10", "cifar100", 100, (19.31, 15.77), _PITFALLS),
    _row("wrn-28-10", "cifar10", 4, (4.0, 3.4), _BASELINES),
    _row("wrn-28-10", "cifar100", 4, (20.2, 17.3), _BASELINES),
    _row("resnet-50", "imagenet", 4, (23.8, 22.1), _BASELINES),
)
"""Published ensembles of independently trained networks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedAccuracy:
    """Accuracy that an ensemble of a published network might have."""

    members: int
    accuracy: float
    low: float
    """Of the 95 % interval, which holds the spread between published networks."""
    high: float
    networks: int
    """Networks the spread was taken from."""
    sources: tuple[str, ...]
    extrapolated: bool
    """Whether the error of one network, or the number of members, is outside of the published ones."""
    predicted: bool = field(default=True, init=False)
    """Always: no ensemble was measured."""


def predict_ensemble_accuracy(
    accuracy: float,
    members: int,
    *,
    gains: tuple[PublishedEnsemble, ...] = GAINS,
    outside: bool = False,
) -> PredictedAccuracy:
    """Predict the accuracy of an ensemble of a network of which only the published accuracy is known.

    Args:
        accuracy: of one network, a share.
        members: of the ensemble, differing in seed alone.
        gains: published ensembles to learn from, of three networks or more.
        outside: allow an accuracy or a number of members beyond those published.

    Raises:
        ConventionError: an accuracy that is not a share.
        UsageError: no member, too few networks to learn from, or outside of the published and not allowed.
    """
    if not 0 <= accuracy <= 1:
        raise ConventionError(f"accuracy is a share from 0 to 1 here, got {accuracy:g}")
    limits = network_limits(gains)
    if members < 1 or len(limits) < 3:
        raise UsageError(
            f"a prediction needs 1 member or more and 3 published networks, got {members} and {len(limits)}"
        )
    error = 1 - accuracy
    errors, most = [row.error_one for row in gains], max(row.members for row in gains)
    extrapolated = not min(errors) <= error <= max(errors) or members > most
    if extrapolated and not outside:
        raise UsageError(
            f"published are ensembles of up to {most} networks of {1 - max(errors):.2%} to "
            f"{1 - min(errors):.2%} accuracy, got {members} of {accuracy:.2%}; ask for outside "
            "to predict all the same"
        )
    middle = float(limits.mean())
    reach = float(stats.t.ppf((1 + LEVEL) / 2, len(limits) - 1))
    half = reach * float(limits.std(ddof=1)) * sqrt(1 + 1 / len(limits))
    ends = (min(middle - half, float(limits.min())), middle, max(middle + half, float(limits.max())))
    best, middle, worst = (error * (limit + (1 - limit) / members) for limit in ends)
    return PredictedAccuracy(
        members=members,
        accuracy=1 - middle,
        low=max(0.0, 1 - worst),
        high=min(1.0, 1 - best),
        networks=len(limits),
        sources=tuple(sorted({row.source for row in gains})),
        extrapolated=extrapolated,
    )


def network_limits(gains: tuple[PublishedEnsemble, ...]) -> np.ndarray:
    """Return the share of its error that ever more members would leave each network, ``[network]``.

    A network is one architecture on one data set in one source; several sizes of its ensemble are fitted by
    least squares.
    """
    networks: dict[tuple[str, str, str], list[PublishedEnsemble]] = {}
    for row in gains:
        if row.members > 1:
            networks.setdefault((row.network, row.dataset, row.source), []).append(row)
    found = []
    for rows in networks.values():
        rest = np.array([1 - 1 / row.members for row in rows])
        left = np.array([row.error_members / row.error_one - 1 / row.members for row in rows])
        found.append(float(rest @ left / (rest @ rest)))
    return np.array(found)

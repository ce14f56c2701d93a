"""How loss falls with the number of members: ``floor + scale / n^exponent``.

For members that could be exchanged, averaged as probabilities, a squared loss (Brier, MSE) follows
``L_inf + (L_1 - L_inf) / n`` exactly (the gap is the members' variance: Abe et al., arXiv 2202.06985, eq. 6).
Calibrated negative log-likelihood follows a power law whose exponent is not 1 (Lobacheva et al., arXiv
2007.08483). The 0-1 error has no law that holds in general; 1 / n is a good default where members are strong.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from explorer.analysis.blocks import Members, blocks, check_members
from explorer.analysis.curves.power_law import (
    FitPoints,
    PowerLaw,
    Prediction,
    choose_power_law,
    fit_power_law,
)
from explorer.analysis.statistics.seeds import SeedValues, seed_sets
from explorer.errors import ConventionError, InputDataError, UsageError

MEMBERS = "members"
"""The quantity that points of a member law are against."""


class Loss(StrEnum):
    """A loss, by what its curve of members may look like."""

    SQUARED = "squared"
    """Brier score or mean squared error: exactly 1 / n."""
    NLL = "log loss"
    """Negative log-likelihood as the averaged probabilities say it: a free exponent."""
    CALIBRATED_NLL = "calibrated NLL"
    """Negative log-likelihood after one temperature, fitted after averaging: a free exponent."""
    ERROR = "error"
    """Share of wrong top classes: 1 / n unless the points say otherwise; may also rise."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MemberLaw:
    """A law of members, fitted to one model's ensembles."""

    loss: Loss
    law: PowerLaw
    reason: str
    """Why the exponent is what it is."""
    warnings: tuple[str, ...]
    """What must be said beside a prediction."""

    def predict(self, members: float) -> Prediction:
        """Return the loss of an ensemble of ``members``, infinity for the limit of ever more.

        Raises:
            UsageError: fewer than one member.
        """
        _refuse_fewer(members)
        return self.law.predict(members)

    def ratio(self, members: float) -> tuple[float, np.ndarray]:
        """Return the loss of ``members`` over that of one, and in every draw, ``[draw]``.

        Raises:
            UsageError: fewer than one member, or one alone has no loss to fall.
        """
        _refuse_fewer(members)
        (value, draws), (one, one_draws) = self.law.values(members), self.law.values(1.0)
        if not one > 0 or not (one_draws > 0).all():
            raise UsageError("a single member has no loss left: no share of it can be predicted")
        return value / one, draws / one_draws

    def next_gain(self, members: int) -> Prediction:
        """Return how much one more member beyond ``members`` is predicted to take off the loss.

        Raises:
            UsageError: fewer than one member.
        """
        _refuse_fewer(members)
        after = self.law.predict(members + 1)
        (here, here_draws), (there, there_draws) = self.law.values(members), self.law.values(members + 1)
        low, high = -math.inf, math.inf
        if len(here_draws):
            tail = np.quantile(here_draws - there_draws, [0.025, 0.975], method="closest_observation")
            low, high = float(tail[0]), float(tail[1])
        value = here - there
        return Prediction(
            x=after.x,
            value=value,
            low=min(low, value),
            high=max(high, value),
            extrapolated=after.extrapolated,
            factor=after.factor,
        )


def fit_member_law(points: FitPoints, loss: Loss) -> MemberLaw:
    """Fit a loss against the number of members.

    Args:
        points: by number of members; means over all ensembles of that size (`SeedValues.mean`), so that
            they are unbiased. A squared loss needs two sizes, whichever; a log loss three.
        loss: which law there can be.

    Raises:
        UsageError: the points are not by members, or too few.
        ConventionError: errors that are not shares.
    """
    if points.of.quantity != MEMBERS or points.x[0] < 1:
        got = f"{points.of.quantity} from {points.x[0]:g}"
        raise UsageError(f"a law of members needs points by {MEMBERS} from 1 on, got {got}")
    if loss is Loss.SQUARED:
        law = fit_power_law(points, exponent=1.0)
        return MemberLaw(
            loss=loss, law=law, reason="exponent 1: exact for a squared loss", warnings=law.notes
        )
    if loss in (Loss.NLL, Loss.CALIBRATED_NLL):
        law = fit_power_law(points)
        return MemberLaw(loss=loss, law=law, reason="free exponent: 1 / n is not assumed", warnings=law.notes)
    if not 0 <= min(points.y) <= max(points.y) <= 1:
        raise ConventionError(f"errors are shares from 0 to 1 here, got {list(points.y)}")
    chosen = choose_power_law(points, falling=False)
    warnings = [*chosen.law.notes, MONOTONE]
    if chosen.law.scale < 0:
        warnings.append("the error rises with members here: more of them make it worse")
    if points.y[0] >= 0.5:
        warnings.append("members are wrong on half of the examples or more: averaging may lose")
    return MemberLaw(loss=loss, law=chosen.law, reason=chosen.reason, warnings=tuple(warnings))


MONOTONE = (
    "the 0-1 error need not fall with every member: it is not convex, and on examples where members are "
    "mostly wrong more of them do harm (Mattei and Garreau)"
)
"""Said of every law of the 0-1 error."""


def squared_losses(members: Members, labels: np.ndarray, *, key: str) -> SeedValues:
    """Return the Brier score of every member and every pair of them, averaged as probabilities.

    Both sizes from all members, hence unbiased; larger ensembles follow exactly, see the module.

    Args:
        members: seeds of one model, probabilities ``[example, class]`` each.
        labels: ``[example]``.
        key: names the model, see `SeedValues`.

    Raises:
        InputDataError: fewer than two members, or another number of labels.
    """
    examples, classes = check_members(members)
    if len(members) < 2 or len(labels) != examples:
        raise InputDataError(
            f"wanted two members or more and {examples} labels, got {len(members)} members and "
            f"{len(labels)} labels"
        )
    sets = seed_sets(len(members), 2)
    first, second = sets[:, 0], np.where(sets[:, 1] < 0, sets[:, 0], sets[:, 1])
    values = np.empty((len(sets), examples), dtype=np.float32)
    one_hot = np.eye(classes)
    for part, block in blocks(members):
        missed = block.astype(np.float64) - one_hot[labels[part]]
        inner = np.einsum("iec,jec->ije", missed, missed, optimize=True)
        own = np.einsum("iie->ie", inner)
        values[:, part] = (own[first] + own[second] + 2 * inner[first, second]) / 4
    return SeedValues(key=key, seeds=len(members), sets=sets, values=values)


def _refuse_fewer(members: float) -> None:
    if not members >= 1:
        raise UsageError(f"an ensemble has one member or more, got {members:g}")

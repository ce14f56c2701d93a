"""What one model's seeds say: losses by number of members, their laws, and whether another seed pays."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import comb

import numpy as np

from explorer.analysis.curves.loss_values import calibrated_losses, log_losses
from explorer.analysis.curves.member_law import MEMBERS, Loss, MemberLaw, fit_member_law, squared_losses
from explorer.analysis.curves.overtaking import Curve, wrong_answers
from explorer.analysis.curves.power_law import CurveOf, Prediction, points_of
from explorer.analysis.curves.screening import NextMember, Screening, Worth, next_member, screen, worth
from explorer.analysis.pool import Pool
from explorer.analysis.scoring.combine import combine
from explorer.analysis.statistics.seeds import LARGEST, Estimate, Resampling, Scale
from explorer.errors import UsageError

MOST_SETS = 2_000
"""Sets of one model's seeds that are looked at; of many seeds only small ensembles are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Why there is no answer here."""

    reason: str
    """One line."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SurveyedLaw:
    """A loss by number of members: what was measured, its law, and what that foretells."""

    measured: Mapping[int, Estimate]
    """On ``report``, mean over all ensembles of that many seeds."""
    law: MemberLaw
    predictions: Mapping[int, Prediction]
    """By number of members."""
    limit: Prediction
    """Of ever more members."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnotherSeed:
    """Whether one more seed than there are is worth training: predicted by the law of the error."""

    members: int
    """There would be with it."""
    gain: Prediction
    """In accuracy, a share."""
    asked: float
    verdict: Worth


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seeds:
    """What members' disagreement says of more of them."""

    screening: Screening
    third: NextMember
    """Foretold from single members and pairs alone."""
    third_measured: Estimate | None
    """What a third seed brought, as share of examples; None with two seeds."""
    another: AnotherSeed | Missing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScaleSurvey:
    """One model of a family."""

    scale: Scale
    curve: Curve
    """Error by number of members, on both splits."""
    calibrated: Mapping[int, Estimate]
    """Negative log-likelihood after one temperature, on ``report``."""
    laws: Mapping[Loss, SurveyedLaw | Missing]
    seeds: Seeds | Missing


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleQuestion:
    """What is asked of every scale."""

    members: tuple[int, ...]
    """Numbers of members to foretell."""
    asked: float
    """Gain in accuracy, a share, that makes another seed worth training."""


def survey_scale(pool: Pool, scale: Scale, asked: ScaleQuestion, resampling: Resampling) -> ScaleSurvey:
    """Return what the seeds of one model say, on ``report``; temperatures are fitted on ``select``."""
    largest = largest_ensemble(len(scale.rows))
    chosen = wrong_answers(pool, scale, "select", largest=largest)
    wrong = wrong_answers(pool, scale, "report", largest=largest)
    curve = Curve(
        scale=scale,
        chosen={size: chosen.mean(size) for size in chosen.sizes},
        error=resampling.estimates(wrong),
    )
    calibrated = resampling.estimates(calibrated_losses(pool, scale, largest=largest)[1])
    if len(scale.rows) < 2:
        missing = Missing(reason="one seed only: what more members bring takes two or more")
        laws: dict[Loss, SurveyedLaw | Missing] = dict.fromkeys(Loss, missing)
        return ScaleSurvey(scale=scale, curve=curve, calibrated=calibrated, laws=laws, seeds=missing)
    squared = squared_losses([pool.report[row] for row in scale.rows], pool.report_labels, key=scale.key)
    measured = {
        Loss.ERROR: curve.error,
        Loss.NLL: resampling.estimates(log_losses(pool, scale, largest=largest)),
        Loss.CALIBRATED_NLL: calibrated,
        Loss.SQUARED: resampling.estimates(squared),
    }
    laws = {loss: _law(pool, scale, loss, measured[loss], asked.members) for loss in measured}
    seeds = _seeds(pool, scale, wrong.values, curve, (laws[Loss.ERROR], asked.asked))
    return ScaleSurvey(scale=scale, curve=curve, calibrated=calibrated, laws=laws, seeds=seeds)


def largest_ensemble(seeds: int) -> int:
    """Return the members of the largest ensembles of ``seeds`` seeds whose every set is looked at."""
    largest, sets = min(2, seeds), seeds + comb(seeds, 2)
    while largest < min(seeds, LARGEST) and (sets := sets + comb(seeds, largest + 1)) <= MOST_SETS:
        largest += 1
    return largest


def curve_of(pool: Pool, scale: Scale, figure: str, quantity: str) -> CurveOf:
    """Return what points of a scale's figures belong to."""
    recipe = scale.recipe or pool.summary.recipe_id
    return CurveOf(recipe=recipe, dataset=pool.summary.dataset, figure=figure, quantity=quantity)


def _law(
    pool: Pool, scale: Scale, loss: Loss, measured: Mapping[int, Estimate], members: tuple[int, ...]
) -> SurveyedLaw | Missing:
    try:
        law = fit_member_law(points_of(dict(measured), curve_of(pool, scale, loss, MEMBERS)), loss)
    except UsageError as error:  # too few sizes, or a loss without any noise: the message says which
        return Missing(reason=str(error))
    # a squared loss takes all seeds in, though its points are of one and two members
    most = len(scale.rows) if loss is Loss.SQUARED else max(measured)
    return SurveyedLaw(
        measured=measured,
        law=law,
        predictions={n: _beyond(law.predict(n), most) for n in members},
        limit=_beyond(law.predict(float("inf")), most),
    )


def _beyond(prediction: Prediction, most: int) -> Prediction:
    """Return the prediction labelled by the number of members that there were."""
    factor = max(1.0, prediction.x / most)
    return replace(prediction, extrapolated=factor > 1, factor=factor)


def _seeds(
    pool: Pool, scale: Scale, wrong: np.ndarray, curve: Curve, law: tuple[SurveyedLaw | Missing, float]
) -> Seeds | Missing:
    rows, count = list(scale.rows), len(scale.rows)
    decisions = np.stack([pool.report[row].argmax(axis=1) for row in rows])
    combined = combine(np.asarray(pool.report[rows]))[0]
    try:
        screening = screen(decisions, pool.report_labels, pool.summary.classes, combined=combined)
    except UsageError as error:  # members without a mistake
        return Missing(reason=str(error))
    right = wrong == 0
    fitted, asked = law
    if isinstance(fitted, Missing):
        another: AnotherSeed | Missing = fitted
    else:
        gain = fitted.law.next_gain(count)
        verdict = worth(gain.low, gain.high, asked)
        another = AnotherSeed(members=count + 1, gain=gain, asked=asked, verdict=verdict)
    return Seeds(
        screening=screening,
        third=next_member(right[:count], right[count : count + comb(count, 2)], asked=asked),
        third_measured=curve.error[2] - curve.error[3] if 3 in curve.error else None,
        another=another,
    )

"""What the curves of families say, as a document; infinite figures come as null."""

import math
from collections.abc import Mapping
from dataclasses import replace

from explorer.analysis.curves.member_law import Loss
from explorer.analysis.curves.overtaking import Crossing
from explorer.analysis.curves.power_law import PowerLaw, Prediction
from explorer.analysis.curves.published_gain import PredictedAccuracy
from explorer.analysis.curves.scale_survey import Missing, ScaleSurvey, Seeds, SurveyedLaw
from explorer.analysis.curves.split_budget import BudgetSplit
from explorer.analysis.curves.survey import CostLaw, DesignEquivalent, FamilySurvey, Survey
from explorer.analysis.result import Interval
from explorer.analysis.statistics.seeds import Estimate
from explorer.report.documents import (
    SCHEMA_VERSION,
    Document,
    axis_document,
    interval_document,
    pool_document,
)

LOSS_KEYS = {
    Loss.ERROR: "error",
    Loss.NLL: "log_loss",
    Loss.CALIBRATED_NLL: "calibrated_log_loss",
    Loss.SQUARED: "brier",
}
"""What each loss is called in documents and on the command line."""


def loss_interval(figure: Estimate, loss: Loss) -> Interval:
    """Return a loss with its interval, which few seeds widen, cut off at what the loss can be."""
    of = figure.interval()
    most = 1.0 if loss is Loss.ERROR else math.inf
    return replace(of, low=max(0.0, of.low), high=min(most, of.high))


def curves_document(
    found: Survey | None, notes: tuple[str, ...], published: tuple[PredictedAccuracy, ...]
) -> Document:
    """Lay out what every family's curves say, and what published networks' ensembles might reach."""
    document: Document = {"schema_version": SCHEMA_VERSION}
    if found is not None:
        document |= {
            "dataset": found.pool.dataset,
            "cost": axis_document(found.axis),
            "pool": pool_document(found.pool),
            "families": [_family(family) for family in found.families],
            "notes": list(notes),
        }
    if published:
        document["published"] = [_published(one) for one in published]
    return document


def _published(one: PredictedAccuracy) -> Document:
    return {
        "members": one.members,
        "error": {"value": 1 - one.accuracy, "low": 1 - one.high, "high": 1 - one.low},
        "basis": "predicted, not measured",
        "extrapolated": one.extrapolated,
        "networks": one.networks,
        "sources": list(one.sources),
    }


def _family(found: FamilySurvey) -> Document:
    return {
        "family": found.family,
        "error_by_cost": _missing(found.cost_law)
        if isinstance(found.cost_law, Missing)
        else _cost_law(found.cost_law),
        "crossover": _missing(found.crossing)
        if isinstance(found.crossing, Missing)
        else _crossing(found.crossing),
        "inside_one_network": _missing(found.equivalents)
        if isinstance(found.equivalents, Missing)
        else [_missing(one) if isinstance(one, Missing) else _equivalent(one) for one in found.equivalents],
        "splits": _missing(found.splits)
        if isinstance(found.splits, Missing)
        else [_split(one) for one in found.splits],
        "scales": [_scale(one) for one in found.scales],
    }


def _missing(found: Missing) -> Document:
    return {"missing": found.reason}


def _cost_law(found: CostLaw) -> Document:
    return {
        **_law(found.chosen.law),
        "reason": found.chosen.reason,
        "points": [
            {
                "model": str(scale.model),
                "cost": scale.cost,
                "seeds": len(scale.rows),
                "error": interval_document(loss_interval(error, Loss.ERROR)),
            }
            for scale, error in zip(found.scales, found.errors, strict=True)
        ],
        "predictions": [{"cost": one.x, **_prediction(one)} for one in found.predictions],
        "left_out": [str(scale.model) for scale in found.left_out],
    }


def _law(law: PowerLaw) -> Document:
    between = law.exponent_interval()
    return {
        "floor": law.floor,
        "scale": law.scale,
        "exponent": law.exponent,
        "exponent_low": None if between is None else between[0],
        "exponent_high": None if between is None else between[1],
        "exponent_given": law.fixed,
        "warnings": list(law.notes),
    }


def _prediction(one: Prediction) -> Document:
    return {
        "value": one.value,
        "low": _finite(one.low),
        "high": _finite(one.high),
        "extrapolated": one.extrapolated,
        "factor": _finite(one.factor),
    }


def _crossing(found: Crossing) -> Document:
    verdict = "crossover"
    if math.isinf(found.value):
        verdict = "single networks ahead" if found.value > 0 else "ensembles ahead"
    if found.cannot_tell:
        verdict = "cannot tell"
    return {
        "verdict": verdict,
        "value": _finite(found.value),
        "ahead_at_start": found.value == -math.inf,
        "low": _finite(found.low),
        "high": _finite(found.high),
        "start": float(found.start),
        "end": float(found.end),
        "share_of_draws_without": found.never,
    }


def _equivalent(one: DesignEquivalent) -> Document:
    same = one.equivalent
    return {
        "method": one.design.method,
        "design": one.design.label,
        "base": str(one.design.base),
        "seeds": len(one.design.groups),
        "cost": one.design.cost,
        "base_cost": one.base_cost,
        "calibrated_log_loss": interval_document(loss_interval(one.loss, Loss.CALIBRATED_NLL)),
        "members": same.members,
        "low": same.low,
        "high": same.high,
        "most": same.most,
        "worse_than_one": same.worse_than_one,
    }


def _split(found: BudgetSplit) -> Document:
    return {
        "budget": found.budget,
        "quantity": found.quantity,
        "best": found.best,
        "low": found.low,
        "high": found.high,
        "shares_of_draws": {str(members): share for members, share in found.shares.items()},
        "gain": _prediction(found.gain),
        "splits": [
            {"members": one.members, "member_size": one.member_cost, **_prediction(one.loss)}
            for one in found.splits
        ],
    }


def _scale(found: ScaleSurvey) -> Document:
    return {
        "model": str(found.scale.model),
        "recipe": found.scale.recipe or None,
        "cost": found.scale.cost,
        "seeds": len(found.scale.rows),
        "error": _measured(found.curve.error, Loss.ERROR),
        "by_members": {
            LOSS_KEYS[loss]: _missing(law) if isinstance(law, Missing) else _member_law(law)
            for loss, law in found.laws.items()
        },
        "another_seed": _missing(found.seeds) if isinstance(found.seeds, Missing) else _seeds(found.seeds),
    }


def _measured(figures: Mapping[int, Estimate], loss: Loss) -> list[Document]:
    return [{"members": n, **interval_document(loss_interval(one, loss))} for n, one in figures.items()]


def _member_law(found: SurveyedLaw) -> Document:
    return {
        **_law(found.law.law),
        "reason": found.law.reason,
        "warnings": list(found.law.warnings),
        "measured": _measured(found.measured, found.law.loss),
        "predictions": [{"members": n, **_prediction(one)} for n, one in found.predictions.items()],
        "limit": _prediction(found.limit),
    }


def _seeds(found: Seeds) -> Document:
    screening, third, another = found.screening, found.third, found.another
    return {
        "members": screening.members,
        "error": interval_document(screening.error),
        "disagreement": interval_document(screening.disagreement),
        "der": interval_document(screening.der),
        "eir": None if screening.eir is None else interval_document(screening.eir),
        "eir_low": screening.eir_low,
        "eir_high": screening.eir_high,
        "third": {
            "second_gain": interval_document(third.second),
            "predicted_gain": interval_document(third.third),
            "measured_gain": None
            if found.third_measured is None
            else interval_document(found.third_measured.interval()),
            "asked": third.asked,
            "verdict": str(third.verdict),
        },
        "next": _missing(another)
        if isinstance(another, Missing)
        else {
            "members": another.members,
            "predicted_gain": _prediction(another.gain),
            "asked": another.asked,
            "verdict": str(another.verdict),
        },
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

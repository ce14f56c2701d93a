"""What the curves of families say, on one screen: a few lines and two tables a family."""

import math

from explorer.analysis.curves.member_law import MONOTONE, Loss
from explorer.analysis.curves.overtaking import Crossing
from explorer.analysis.curves.power_law import PowerLaw, Prediction
from explorer.analysis.curves.published_gain import PredictedAccuracy
from explorer.analysis.curves.scale_survey import AnotherSeed, Missing, ScaleSurvey, Seeds, SurveyedLaw
from explorer.analysis.curves.screening import NextMember, Worth
from explorer.analysis.curves.split_budget import BudgetSplit
from explorer.analysis.curves.survey import CostLaw, DesignEquivalent, FamilySurvey, Survey
from explorer.analysis.result import Interval
from explorer.convention import CostAxis, cost_kind
from explorer.report.curves_document import loss_interval
from explorer.report.terminal import table
from explorer.report.text import (
    TIMES,
    format_amount,
    format_axis,
    format_points,
    format_pool,
    format_share,
    points_decimals,
    share_decimals,
    significant,
)

MARK = "*"
"""Behind every figure that is extrapolated."""
_LEGEND = (
    f"{MARK} extrapolated: outside of what was measured, a prediction. In brackets: 95% intervals, over\n"
    "examples and seeds; of DER, EIR and the third seed over examples alone. DER: how often two members\n"
    "differ over how often one errs; EIR: the share of its errors that the ensemble of all seeds saves."
)
_LOSSES = {
    Loss.ERROR: "error",
    Loss.NLL: "log loss",
    Loss.CALIBRATED_NLL: "log loss after one temperature",
    Loss.SQUARED: "Brier score",
}
_WORTH = {Worth.YES: "yes", Worth.NO: "no", Worth.CANNOT_TELL: "cannot tell"}
_PARAMETERS = cost_kind("parameters")


def curves_text(
    found: Survey | None,
    notes: tuple[str, ...],
    published: tuple[PredictedAccuracy, ...],
    loss: Loss = Loss.ERROR,
) -> str:
    """Write what every family's curves say; ``loss`` is what the table over members shows."""
    parts = [_published(one) for one in published]
    if found is not None:
        parts.append(
            f"{found.pool.dataset}: error against {format_axis(found.axis)}, and against members\n"
            f"{format_pool(found.pool)}"
        )
        parts += [_family(family, found.axis, loss, found.pool.report_examples) for family in found.families]
        parts.append("\n".join((_LEGEND, *(f"note: {note}" for note in notes))))
    return "\n\n".join(parts)


def _published(one: PredictedAccuracy) -> str:
    best, value, worst = (format_share(1 - end, 2) for end in (one.high, one.accuracy, one.low))
    outside = ", extrapolated beyond the published" if one.extrapolated else ""
    return (
        f"{one.members} such networks averaged: error {value} (95% interval {best} to {worst}), predicted, "
        f"not measured{outside};\nfrom published ensembles of {one.networks} networks: "
        f"{'; '.join(one.sources)}"
    )


def _family(found: FamilySurvey, axis: CostAxis, loss: Loss, examples: int) -> str:
    decimals = share_decimals(examples)
    lines = [found.family]
    sections: tuple[tuple[str, list[str]], ...] = (
        ("bigger", _cost_law(found.cost_law, axis, decimals)),
        ("or more", [_crossing(found.crossing, axis)]),
        ("inside one", _equivalents(found.equivalents)),
        ("split", _splits(found.splits)),
        ("losses", [_exponents(found.scales)]),
    )
    if isinstance(found.cost_law, Missing) and found.cost_law == found.crossing == found.splits:
        sections = (("no curves", [found.cost_law.reason]), sections[-1])
    for name, said in sections:
        lines += [f"  {name if not place else '':<12}{text}" for place, text in enumerate(said)]
    lines += ["", _members(found.scales, loss, decimals), "", _seeds(found.scales, axis, decimals)]
    return "\n".join(lines)


def _cost_law(found: CostLaw | Missing, axis: CostAxis, decimals: int) -> list[str]:
    if isinstance(found, Missing):
        return [f"no curve over cost: {found.reason}"]
    law, first = found.chosen.law, found.scales[0].cost
    drop = law.scale * first**-law.exponent
    said = [
        f"error = {format_share(law.floor, decimals)} + {format_share(drop, decimals)} {TIMES} "
        f"({format_amount(first, axis.kind)} / cost)^{significant(law.exponent, 2)}, "
        f"exponent {_exponent(law)}"
    ]
    for one in found.predictions:
        beyond = "inside the range measured"
        if one.extrapolated:
            beyond = f"extrapolated, {significant(one.factor, 2)}{TIMES} outside of the range measured"
        said.append(f"at {format_amount(one.x, axis.kind)}: error {_value(one, decimals)}, {beyond}")
    if found.left_out:
        names = ", ".join(str(scale.model) for scale in found.left_out)
        said.append(f"left out, as dear as another that was better on select: {names}")
    return said + [f"beware: {note}" for note in law.notes]


def _exponent(law: PowerLaw) -> str:
    between = law.exponent_interval()
    if between is not None:
        low, high = (significant(end, 2) for end in between)
        return f"{significant(law.exponent, 2)} ({low} to {high})"
    return f"{significant(law.exponent, 2)}, {'given' if law.fixed else 'no interval from so few points'}"


def _value(one: Prediction, decimals: int) -> str:
    """Write a predicted share with its interval, where the fit has one."""
    value = format_share(one.value, decimals)
    if not math.isfinite(one.high):
        return f"{value} (no interval)"
    return f"{value} ({format_share(one.low, decimals)} to {format_share(one.high, decimals)})"


def _crossing(found: Crossing | Missing, axis: CostAxis) -> str:
    if isinstance(found, Missing):
        return f"no crossover: {found.reason}"
    start, end = (format_amount(cost, axis.kind) for cost in (found.start, found.end))
    low, high = (
        (format_amount(cost, axis.kind) if math.isfinite(cost) else (start if cost < 0 else "never"))
        for cost in (found.low, found.high)
    )
    between = f"95% interval {low} to {high}"
    if found.low == found.high:  # both infinite: so it is in 95 % of the draws
        between = "95% of draws likewise"
    told = f"ensembles are ahead from {format_amount(max(found.value, found.start), axis.kind)} on"
    if found.value == math.inf:
        told = (
            "no ensemble comes to be ahead"
            if found.cannot_tell
            else "one bigger network stays ahead of ensembles"
        )
    elif found.value == -math.inf:
        told = "ensembles are ahead over the whole range"
    unsure = "cannot tell: " if found.cannot_tell else ""
    return f"{unsure}{told}, measured from {start} to {end} ({between})"


def _equivalents(found: tuple[DesignEquivalent | Missing, ...] | Missing) -> list[str]:
    if isinstance(found, Missing):
        return [found.reason]
    return [f"cannot tell: {one.reason}" if isinstance(one, Missing) else _equivalent(one) for one in found]


def _equivalent(one: DesignEquivalent) -> str:
    same = one.equivalent
    low, value, high = (
        f"more than {same.most}" if end is None else significant(end, 2)
        for end in (same.low, same.members, same.high)
    )
    seeds = "1 seed" if len(one.design.groups) == 1 else f"{len(one.design.groups)} seeds"
    cost = (
        f"costs {significant(one.design.cost / one.base_cost, 2)} of them"
        if one.base_cost
        else "cost unknown"
    )
    worth = f"is worth {value} ({low} to {high}) separate networks"
    if same.worse_than_one:
        worth = "is worse than one plain network"
        if same.high is None or same.high > 1:
            worth += f" (interval up to {high})"
    return f"{one.design.label} ({seeds}): {worth}, {cost}"


def _splits(found: tuple[BudgetSplit, ...] | Missing) -> list[str]:
    if isinstance(found, Missing):
        return [f"no best split: {found.reason}"]
    return [_split(one) for one in found]


def _split(one: BudgetSplit) -> str:
    amount = format_amount(one.budget, _PARAMETERS)
    mark = MARK if one.gain.extrapolated else ""
    most = one.splits[-1].members
    if one.best == 1:
        sure = "" if one.high == 1 else f" (1 to {one.high} of up to {most} are possible)"
        return f"{amount} are best kept in one network{mark}{sure}, by log loss after one temperature"
    gain = one.gain
    told = "cannot tell from one network" if gain.low <= 0 else "predicted better than one network"
    if not math.isfinite(gain.low):
        told = "no interval"
    return (
        f"{amount} are best split into {one.best}{mark} ({one.low} to {one.high}, of up to {most}): log loss "
        f"lower by {significant(gain.value, 2)}, {told}"
    )


def _exponents(scales: tuple[ScaleSurvey, ...]) -> str:
    """Say how the losses fall with members, over all scales."""
    said = []
    for loss in (Loss.NLL, Loss.CALIBRATED_NLL):
        laws = [law for one in scales if isinstance(law := one.laws[loss], SurveyedLaw)]
        if laws:
            low, high = (significant(end(law.law.law.exponent for law in laws), 2) for end in (min, max))
            said.append(f"{_LOSSES[loss]} falls with exponent {low} to {high}")
    if not said:
        return "no law of log loss over members: three seeds of a scale are needed"
    return f"over members: {'; '.join(said)}; Brier exactly as 1 / members"


def _members(scales: tuple[ScaleSurvey, ...], loss: Loss, decimals: int) -> str:
    laws = [law for one in scales if isinstance(law := one.laws[loss], SurveyedLaw)]
    sizes = list(laws[0].predictions) if laws else []
    ends = {(min(law.measured), max(law.measured)) for law in laws}
    # of scales with other numbers of seeds each row says its own
    most = f"{ends.pop()[1]} measured" if len(ends) == 1 else "most measured" if laws else "measured"
    header = (f"{_LOSSES[loss]} of", "1 network", most, *(f"{n} members" for n in sizes), "exponent")
    rows: list[tuple[str, ...]] = []
    said: dict[str, list[str]] = {}
    for one in scales:
        law = one.laws[loss]
        if isinstance(law, Missing):
            value = _between(loss_interval(one.curve.error[1], Loss.ERROR), Loss.ERROR, decimals)
            rows.append((one.scale.key, value if loss is Loss.ERROR else "", *("" for _ in sizes), "", ""))
            said.setdefault(law.reason, []).append(one.scale.key)
            continue
        size = max(law.measured)
        first, last = (_between(loss_interval(law.measured[n], loss), loss, decimals) for n in (1, size))
        last += f" at {size}" if most.startswith("most") else ""
        foretold = [_foretold(law.predictions[n], loss, decimals) for n in sizes]
        rows.append((one.scale.key, first, last, *foretold, _exponent(law.law.law)))
        for warning in law.law.warnings:
            if warning != MONOTONE and loss is not Loss.SQUARED:
                said.setdefault(warning, []).append(one.scale.key)
    beware = (f"\nbeware, {', '.join(names)}: {what}" for what, names in said.items())
    return _indented(table(header, rows) + "".join(beware))


def _figure(value: float, loss: Loss, decimals: int) -> str:
    return format_share(value, decimals) if loss is Loss.ERROR else significant(value)


def _between(of: Interval, loss: Loss, decimals: int) -> str:
    low, value, high = (_figure(end, loss, decimals) for end in (of.low, of.value, of.high))
    return f"{value} ({low.rstrip('%')} to {high.rstrip('%')})"


def _foretold(one: Prediction, loss: Loss, decimals: int) -> str:
    value = _figure(one.value, loss, decimals) + (MARK if one.extrapolated else "")
    if not math.isfinite(one.high):
        return f"{value} (no interval)"
    low, high = (_figure(end, loss, decimals).rstrip("%") for end in (one.low, one.high))
    return f"{value} ({low} to {high})"


def _seeds(scales: tuple[ScaleSurvey, ...], axis: CostAxis, decimals: int) -> str:
    """Write whether a third seed, and one more than there are, is worth training."""
    known = [one.seeds for one in scales if isinstance(one.seeds, Seeds)]
    if not known:
        reason = next(one.seeds.reason for one in scales if isinstance(one.seeds, Missing))
        return f"  another seed? cannot tell: {reason}"
    asked = format_points(known[0].third.asked, 2).lstrip("+")
    rows = [
        (one.scale.key, format_amount(one.scale.cost, axis.kind), *_worth(one, decimals)) for one in scales
    ]
    header = ("scale", "cost", "DER", "EIR", "third seed?", "one more than there are?")
    missing = dict.fromkeys(one.seeds.reason for one in scales if isinstance(one.seeds, Missing))
    return _indented(
        f"Is another seed worth it: does it bring more than {asked} points of accuracy (--worth)?\n"
        + table(header, rows)
        + "".join(f"\ncannot tell: {reason}" for reason in missing)
    )


def _worth(one: ScaleSurvey, decimals: int) -> tuple[str, str, str, str]:
    seeds = one.seeds
    if isinstance(seeds, Missing):
        return "", "", "cannot tell", "cannot tell"
    der, eir = seeds.screening.der, seeds.screening.eir
    gained = "" if eir is None else f"{format_share(eir.value, 0)} ({_ends(eir)})"
    return _ratio(der), gained, _third(seeds.third, decimals), _another(seeds.another, decimals)


def _ratio(of: Interval) -> str:
    low, value, high = (significant(end, 2) for end in (of.low, of.value, of.high))
    return f"{value} ({low} to {high})"


def _ends(of: Interval) -> str:
    return f"{format_share(of.low, 0).rstrip('%')} to {format_share(of.high, 0).rstrip('%')}"


def _third(third: NextMember, decimals: int) -> str:
    figures = (third.third.low, third.third.value, third.third.high)
    decimals = points_decimals(decimals, *figures)
    low, value, high = (format_points(figure, decimals) for figure in figures)
    return f"{_WORTH[third.verdict]}: {value} ({low} to {high})"


def _another(another: AnotherSeed | Missing, decimals: int) -> str:
    if isinstance(another, Missing):
        return another.reason
    gain, start = another.gain, f"number {another.members}, {_WORTH[another.verdict]}"
    value = format_points(gain.value, decimals)
    if not math.isfinite(gain.low):
        return f"{start}: {value}{MARK} (no interval)"
    decimals = points_decimals(decimals, gain.low, gain.value, gain.high)
    low, value, high = (format_points(end, decimals) for end in (gain.low, gain.value, gain.high))
    return f"{start}: {value}{MARK} ({low} to {high})"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))

"""Everything the curves say of each family: what bigger, more, and split would bring.

Assembles `power_law`, `member_law`, `overtaking`, `screening`, `equivalent` and `split_budget`; what does
not apply comes as `Missing`, with the reason. Figures are of ``report``; what is chosen (temperatures, the
designs that make a curve) is chosen on ``select``. A fit never mixes recipes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from explorer.analysis.curves.equivalent import Equivalent, ensemble_equivalent
from explorer.analysis.curves.inner_designs import InnerDesign, inner_designs
from explorer.analysis.curves.loss_values import calibrated_losses_of
from explorer.analysis.curves.member_law import Loss
from explorer.analysis.curves.overtaking import Crossing, overtaking
from explorer.analysis.curves.power_law import ChosenLaw, Prediction, choose_power_law, points_of
from explorer.analysis.curves.scale_survey import (
    Missing,
    ScaleQuestion,
    ScaleSurvey,
    SurveyedLaw,
    curve_of,
    survey_scale,
)
from explorer.analysis.curves.split_budget import BudgetSplit, split_budget
from explorer.analysis.pool import Pool
from explorer.analysis.result import PoolSummary
from explorer.analysis.statistics.seeds import Estimate, Resampling, Scale, grouped
from explorer.convention import Composition, CostAxis
from explorer.errors import UsageError, unknown_name

PARAMETERS = "parameters"
Tell = Callable[[float, str], None]
"""Called with the share of the work done and what is going on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvesQuestion:
    """What is asked of the curves."""

    families: tuple[str, ...] = ()
    """Empty: all there are."""
    at: tuple[float, ...] = ()
    """Costs to foretell, in the axis's unit; empty: twice the dearest scale's."""
    members: tuple[int, ...] = (10, 50)
    asked: float = 0.001
    """Gain in accuracy, a share, that makes another seed worth training."""
    budgets: tuple[float, ...] = ()
    """Parameters to split; empty: as many as the family's largest scale has."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CostLaw:
    """Error of one network of a family by its cost."""

    chosen: ChosenLaw
    scales: tuple[Scale, ...]
    """That made the points, cheapest first."""
    errors: tuple[Estimate, ...]
    """On ``report``, of one network of each."""
    predictions: tuple[Prediction, ...]
    left_out: tuple[Scale, ...]
    """Scales as dear as another one that was better on ``select``."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DesignEquivalent:
    """How many independent networks an ensemble inside one network is worth."""

    design: InnerDesign
    loss: Estimate
    """Calibrated negative log-likelihood on ``report``."""
    base_cost: float
    """Of one plain network."""
    equivalent: Equivalent


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FamilySurvey:
    """What is known of one family's curves."""

    family: str
    scales: tuple[ScaleSurvey, ...]
    cost_law: CostLaw | Missing
    crossing: Crossing | Missing
    equivalents: tuple[DesignEquivalent | Missing, ...] | Missing
    splits: tuple[BudgetSplit, ...] | Missing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Survey:
    """What is known of all families' curves."""

    pool: PoolSummary
    axis: CostAxis
    families: tuple[FamilySurvey, ...]


def survey(
    pool: Pool, parameters: Mapping[str, float] | Missing, question: CurvesQuestion, tell: Tell
) -> Survey:
    """Work out what every family's curves say.

    Args:
        pool: members with costs on the axis asked for.
        parameters: of one member of each scale, by `Scale.key`; or why there are none.
        question: what to foretell.
        tell: called as the work goes on.

    Raises:
        UsageError: a family that the pool does not have.
    """
    plain = tuple(scale for scale in grouped(pool) if "+" not in scale.model.name)
    if any(not scale.recipe for scale in plain):
        # students and snapshots are no scales; where recipes are mixed every scale names its own
        plain = tuple(scale for scale in plain if not scale.recipe)
    known = sorted({scale.family for scale in plain})
    for name in question.families:
        if name not in known:
            raise unknown_name("family", name, known)
    wanted = tuple(dict.fromkeys(question.families)) or tuple(known)
    resampling = Resampling(len(pool.report_labels))
    asked = ScaleQuestion(members=question.members, asked=question.asked)
    todo = [scale for scale in plain if scale.family in wanted]
    found: dict[str, list[ScaleSurvey]] = {name: [] for name in wanted}
    for number, scale in enumerate(todo):
        tell(number / len(todo), str(scale.model))
        found[scale.family].append(survey_scale(pool, scale, asked, resampling))
    families = tuple(_family(pool, tuple(found[name]), parameters, question, resampling) for name in wanted)
    return Survey(pool=pool.summary, axis=pool.axis, families=families)


def _family(
    pool: Pool,
    scales: tuple[ScaleSurvey, ...],
    parameters: Mapping[str, float] | Missing,
    question: CurvesQuestion,
    resampling: Resampling,
) -> FamilySurvey:
    mixed = _mixed(scales)
    return FamilySurvey(
        family=scales[0].scale.family,
        scales=scales,
        cost_law=mixed or _cost_law(pool, scales, question.at),
        crossing=mixed or _crossing(pool.axis, scales),
        equivalents=mixed or _equivalents(pool, scales, resampling),
        splits=mixed
        or (parameters if isinstance(parameters, Missing) else _splits(pool, scales, parameters, question)),
    )


def _mixed(scales: tuple[ScaleSurvey, ...]) -> Missing | None:
    recipes = sorted({one.scale.recipe for one in scales})
    if len(recipes) < 2:
        return None
    named = ", ".join(recipes[:3]) + (f" and {len(recipes) - 3} more" if len(recipes) > 3 else "")
    return Missing(
        reason=f"recipes are mixed ({named}) and a curve is valid inside one; name it with --recipe"
    )


def _cost_law(pool: Pool, scales: tuple[ScaleSurvey, ...], at: tuple[float, ...]) -> CostLaw | Missing:
    by_cost: dict[float, ScaleSurvey] = {}
    for one in scales:
        other = by_cost.get(one.scale.cost)
        if other is None or one.curve.chosen[1] < other.curve.chosen[1]:
            by_cost[one.scale.cost] = one
    points = {cost: one.curve.error[1] for cost, one in sorted(by_cost.items())}
    if len(points) < 2:
        return Missing(reason=f"a curve over cost needs two scales or more, got {len(points)}")
    of = curve_of(pool, scales[0].scale, "top-1 error", str(pool.axis))
    try:
        chosen = choose_power_law(points_of(points, of))
    except UsageError as error:  # a cost of zero, or errors without any noise: the message says which
        return Missing(reason=str(error))
    kept = tuple(by_cost[cost] for cost in points)
    return CostLaw(
        chosen=chosen,
        scales=tuple(one.scale for one in kept),
        errors=tuple(points.values()),
        predictions=tuple(chosen.law.predict(cost) for cost in at or (2 * max(points),)),
        left_out=tuple(one.scale for one in scales if one not in kept),
    )


def _crossing(axis: CostAxis, scales: tuple[ScaleSurvey, ...]) -> Crossing | Missing:
    if axis.kind.composition is Composition.MAX or axis.kind.members_at_once:
        return Missing(reason=f"several members need no more {axis} than one")
    if len(scales) < 2:
        return Missing(reason="one scale alone: there is no larger network to compare ensembles with")
    if all(len(one.scale.rows) < 2 for one in scales):
        return Missing(reason="one seed of each scale: an ensemble needs two of one")
    crossing = overtaking(tuple(one.curve for one in scales))
    return crossing or Missing(reason="no cost is covered by both single networks and ensembles")


def _equivalents(
    pool: Pool, scales: tuple[ScaleSurvey, ...], resampling: Resampling
) -> tuple[DesignEquivalent | Missing, ...] | Missing:
    family = scales[0].scale.family
    designs = [design for design in inner_designs(pool) if design.family == family]
    if not designs:
        return Missing(reason="no ensemble inside one network and no snapshots of one run in the store")
    plain = {one.scale.model: one for one in scales}
    found: list[DesignEquivalent | Missing] = []
    for design in designs:
        base = plain.get(design.base)
        if base is None or len(base.scale.rows) < 2:
            seeds = 0 if base is None else len(base.scale.rows)
            found.append(
                Missing(reason=f"{design.label}: needs two seeds of {design.base} to compare, got {seeds}")
            )
            continue
        loss = resampling.estimate(calibrated_losses_of(pool, design.groups, design.key), 1)
        equivalent = ensemble_equivalent(loss, dict(base.calibrated))
        found.append(
            DesignEquivalent(design=design, loss=loss, base_cost=base.scale.cost, equivalent=equivalent)
        )
    return tuple(found)


def _splits(
    pool: Pool, scales: tuple[ScaleSurvey, ...], parameters: Mapping[str, float], question: CurvesQuestion
) -> tuple[BudgetSplit, ...] | Missing:
    """Return splits by calibrated loss into as many members as were trained, never more."""
    sizes: dict[float, ScaleSurvey] = {}
    for one in scales:
        count = parameters.get(one.scale.key)
        # of scales with as many parameters the one that is better on select stands for them
        if count and (count not in sizes or one.curve.chosen[1] < sizes[count].curve.chosen[1]):
            sizes[count] = one
    if len(sizes) < 2:
        return Missing(reason=f"a split needs two scales that differ in parameters, got {len(sizes)}")
    laws = {
        count: law
        for count, one in sizes.items()
        if isinstance(law := one.laws[Loss.CALIBRATED_NLL], SurveyedLaw)
    }
    if not laws:
        return Missing(reason="a split needs three seeds of a scale, for its law of members")
    try:
        of = curve_of(pool, scales[0].scale, Loss.CALIBRATED_NLL, PARAMETERS)
        singles = choose_power_law(points_of({n: one.calibrated[1] for n, one in sizes.items()}, of)).law
        most = min(max(law.measured) for law in laws.values())
        budgets = question.budgets or (max(sizes),)
        by_size = {count: law.law for count, law in laws.items()}
        return tuple(split_budget(budget, singles, by_size, most=most) for budget in budgets)
    except UsageError as error:  # losses without any noise, or none left of a single member's
        return Missing(reason=str(error))

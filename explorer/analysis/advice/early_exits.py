"""Exit thresholds for a chain of stages under a budget: chosen on ``select``, quoted on ``report``."""

from dataclasses import dataclass

from explorer.analysis.advice.thresholds import exit_stages, with_thresholds
from explorer.analysis.pool import Pool
from explorer.analysis.result import Comparison, Point
from explorer.analysis.scoring.score import Memo, evaluate
from explorer.analysis.statistics.compare import compare
from explorer.analysis.statistics.early_exit import ExitPlan, fit_exits
from explorer.errors import UsageError
from explorer.spec import Candidate, Cascade


@dataclass(frozen=True, slots=True, kw_only=True)
class StageAlone:
    """One stage's answer for every example, beside the chain."""

    point: Point
    chain_against: Comparison
    """The chain's accuracy against this one's, on ``report``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyExits:
    """Thresholds of a chain under a budget."""

    cascade: Cascade
    """As it was given; its own thresholds mean nothing here."""
    budget: float
    """Mean cost allowed, in the unit of the pool's axis."""
    plan: ExitPlan
    """On ``select``."""
    point: Point
    """The design with those thresholds, idle stages left out."""
    alone: tuple[StageAlone, ...]
    """In order of execution."""


def early_exits(pool: Pool, design: Candidate, budget: float) -> EarlyExits:
    """Choose the thresholds of a chain whose mean cost is within a budget on ``select``.

    Args:
        pool: members, labels and costs.
        design: a cascade of two stages or more; its thresholds are replaced, its exit signals used.
        budget: highest mean cost, in the unit of the pool's axis.

    Raises:
        UsageError: not a cascade, a member is not in the pool, a cost that no threshold changes, or a budget
            below the first stage's cost.
    """
    if not isinstance(design, Cascade):
        raise UsageError(f"wanted a cascade, 'FIRST -> SECOND' or longer, got 1 stage: {design}")
    memo: Memo = {}
    stages = exit_stages(pool, design, memo=memo)
    if budget < stages.totals[0]:
        raise UsageError(
            f"the first stage alone costs {stages.totals[0]:g} {pool.axis.kind.unit}, over the budget of "
            f"{budget:g}; the last stage costs {stages.totals[-1]:g} with all before it"
        )
    plan = fit_exits(stages, budget)
    point = evaluate(pool, with_thresholds(design, plan.thresholds), pool.axis, memo=memo)
    return EarlyExits(
        cascade=design,
        budget=budget,
        plan=plan,
        point=point,
        alone=tuple(
            StageAlone(
                point=evaluate(pool, stage, pool.axis, memo=memo),
                chain_against=compare(pool, point.design, stage, memo=memo),
            )
            for stage in design.combined
        ),
    )

"""Work out what a whole design costs from its members' costs: a distribution, under a placement.

| kind of cost | sequential | parallel(w) | batched |
|---|---|---|---|
| work (MACs, operations) | sum | sum | sum |
| time | sum | longest worker, members dealt longest first | has to be measured |
| parameters, their bytes | each distinct member once | the same | the same |
| activation peak | largest | sum of the w largest | sum |

An input that leaves a cascade at stage k has paid stages 1 to k, so the cost is a distribution over
inputs; its mean, its tail and its worst case are different questions.
"""

import heapq
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from explorer.accounting.compose import cascade_cost
from explorer.convention import Composition, CostKind
from explorer.errors import UsageError
from explorer.spec import Candidate, Cascade, Member, ModelSpec, Placement, PlacementKind, Stage

SEQUENTIAL = Placement()


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignCost:
    """What one design costs, in the unit of the cost kind."""

    kind: CostKind
    placement: Placement
    stages: tuple[float, ...]
    """Cost of each stage on its own."""
    reached: tuple[float, ...]
    """Share of inputs that reaches each stage; the first is 1."""
    mean: float
    """Over inputs."""
    worst: float
    """Of an input that runs every stage."""

    def tail(self, share: float) -> float:
        """Return the cost that at most ``1 - share`` of the inputs exceed, e.g. 0.99.

        Raises:
            UsageError: ``share`` is not in (0, 1].
        """
        if not 0.0 < share <= 1.0:
            raise UsageError(f"a tail is asked for at a share in (0, 1], got {share!r}")
        if self.kind.composition is not Composition.EXPECTED:
            return self.worst
        for paid, beyond in zip(itertools.accumulate(self.stages), (*self.reached[1:], 0.0), strict=True):
            # rounding of 1 - share must not push an exact quantile to the next stage
            if beyond <= 1.0 - share + 1e-12:
                return paid
        return self.worst


def design_cost(
    design: Candidate,
    kind: CostKind,
    model_costs: Mapping[ModelSpec, float],
    *,
    reached: Sequence[float] = (),
    placement: Placement = SEQUENTIAL,
) -> DesignCost:
    """Return what ``design`` costs.

    Args:
        design: single, ensemble or cascade.
        kind: what is counted.
        model_costs: cost of one member of each model, in the unit of ``kind``.
        reached: share of inputs that reaches each stage, the first 1; may be left out where there is
            one stage.
        placement: how the members of a stage meet the hardware; stages always follow each other.

    Raises:
        UsageError: a model without a cost, impossible shares, or a placement that has to be measured.
    """
    stages: tuple[Stage, ...] = design.stages if isinstance(design, Cascade) else (design,)
    if not reached and len(stages) > 1:
        raise UsageError(
            f"the mean cost of a cascade needs the share that reaches each of {len(stages)} stages"
        )
    shares = tuple(float(share) for share in reached) or (1.0,)
    costs = tuple(_stage_cost(stage.members, kind, model_costs, placement) for stage in stages)
    mean = cascade_cost(kind, costs, shares)
    if kind.composition is Composition.SUM:
        # A member that two stages share is held once.
        mean = worst = sum(_cost_of(member, kind, model_costs) for member in dict.fromkeys(design.members))
    else:
        worst = max(costs) if kind.composition is Composition.MAX else sum(costs)
    return DesignCost(kind=kind, placement=placement, stages=costs, reached=shares, mean=mean, worst=worst)


def shared_trunk_cost(kind: CostKind, trunk: float, heads: Sequence[float]) -> float:
    """Return the cost of heads that share their first layers: the trunk runs, and is held, once.

    Raises:
        UsageError: no heads, or a cost that is negative or not finite.
    """
    return cascade_cost(kind, (trunk, *heads), (1.0,) * (1 + len(heads)))


def makespan(times: Sequence[float], workers: int) -> float:
    """Return when the last of ``workers`` is done, jobs dealt longest first to whoever is free.

    At most 4/3 - 1/(3 workers) of the best schedule (Graham 1969, theorem 2); exact while there are at
    least as many workers as jobs.
    """
    free = [0.0] * workers
    for time in sorted(times, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + time)
    return max(free)


def _stage_cost(
    members: Sequence[Member], kind: CostKind, model_costs: Mapping[ModelSpec, float], placement: Placement
) -> float:
    """Return the cost of members that all answer; one that is named twice runs and is held once."""
    costs = sorted((_cost_of(member, kind, model_costs) for member in dict.fromkeys(members)), reverse=True)
    together = len(costs) if placement.kind is PlacementKind.BATCHED else placement.workers
    if kind.composition is Composition.MAX:
        return sum(costs[:together])
    if kind.unit != "s" or len(costs) == 1:
        return sum(costs)
    if placement.kind is PlacementKind.BATCHED:
        raise UsageError(
            f"{kind.name} of a batched stage does not follow from its members' and has to be measured"
        )
    return makespan(costs, placement.workers)


def _cost_of(member: Member, kind: CostKind, model_costs: Mapping[ModelSpec, float]) -> float:
    if member.model not in model_costs:
        known = ", ".join(map(str, model_costs)) or "none"
        raise UsageError(f"no {kind.name} known of {member.model}; known: {known}")
    return model_costs[member.model]

"""Work out what an ensemble or a cascade costs from what its parts cost.

Costs and shares may be numbers or arrays: the last axis runs over parts, leading axes over designs
or thresholds. The rule is the cost kind's `Composition`.

| rule | ensemble | cascade | worst case of a cascade |
|---|---|---|---|
| EXPECTED | sum | sum of share reached x stage cost | sum |
| SUM | sum | sum: every stage is held | sum |
| MAX | largest | largest: memory must fit the stage that needs most | largest |
| WORST | sum | sum: what the example pays that runs every stage | sum |

Of kinds whose members run side by side (`CostKind.members_at_once`) a stage costs what its slowest member
does. A member that a design names twice is held once: pass each distinct member once for SUM kinds.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from explorer.convention import Composition, CostKind
from explorer.errors import UsageError

Costs = NDArray[np.float64]


def ensemble_costs(kind: CostKind, member_costs: ArrayLike) -> Costs:
    """Return the cost of every ensemble in ``member_costs [..., member]``, as ``[...]``.

    Raises:
        UsageError: no members, or a cost that is negative or not finite.
    """
    costs = _checked_costs(kind, member_costs, "member")
    largest = kind.composition is Composition.MAX or kind.members_at_once
    return np.asarray(costs.max(axis=-1) if largest else costs.sum(axis=-1))


def cascade_costs(kind: CostKind, stage_costs: ArrayLike, reached: ArrayLike) -> Costs:
    """Return the mean cost of every cascade, as ``[...]``.

    Args:
        kind: what is counted, and how it composes.
        stage_costs: cost of each stage, ``[..., stage]``.
        reached: share of inputs that reaches each stage, ``[..., stage]``; the first is 1, no stage
            is reached more often than the one before. Broadcast against ``stage_costs``.

    Raises:
        UsageError: shapes do not fit, a cost is negative or not finite, or shares are impossible.
    """
    costs = _checked_costs(kind, stage_costs, "stage")
    shares = np.asarray(reached, dtype=np.float64)
    if shares.ndim == 0 or shares.shape[-1] != costs.shape[-1]:
        raise UsageError(
            f"a cascade of {costs.shape[-1]} stages needs as many shares reached, got shape {shares.shape}"
        )
    if not (np.all(shares[..., 0] == 1.0) and np.all(shares >= 0.0) and np.all(np.diff(shares) <= 0.0)):
        raise UsageError(
            "shares that reach the stages must start at 1 and never rise or go below 0, got "
            f"{shares.tolist() if shares.size <= 8 else f'an array of shape {shares.shape}'}"
        )
    if kind.composition is Composition.EXPECTED:
        return np.asarray((costs * shares).sum(axis=-1))
    whole = worst_costs(kind, costs)
    return np.broadcast_to(whole, np.broadcast_shapes(whole.shape, shares.shape[:-1])).copy()


def worst_costs(kind: CostKind, stage_costs: ArrayLike) -> Costs:
    """Return the cost of an input that runs every stage, for ``stage_costs [..., stage]``.

    Raises:
        UsageError: no stages, or a cost that is negative or not finite.
    """
    costs = _checked_costs(kind, stage_costs, "stage")
    largest = kind.composition is Composition.MAX
    return np.asarray(costs.max(axis=-1) if largest else costs.sum(axis=-1))


def ensemble_cost(kind: CostKind, member_costs: ArrayLike) -> float:
    """Return the cost of one ensemble; see `ensemble_costs`."""
    return float(ensemble_costs(kind, member_costs))


def cascade_cost(kind: CostKind, stage_costs: ArrayLike, reached: ArrayLike) -> float:
    """Return the mean cost of one cascade; see `cascade_costs`."""
    return float(cascade_costs(kind, stage_costs, reached))


def worst_cost(kind: CostKind, stage_costs: ArrayLike) -> float:
    """Return the cost of an input that runs every stage of one cascade; see `worst_costs`."""
    return float(worst_costs(kind, stage_costs))


def _checked_costs(kind: CostKind, values: ArrayLike, part: str) -> Costs:
    costs = np.asarray(values, dtype=np.float64)
    if costs.ndim == 0 or costs.shape[-1] == 0:
        raise UsageError(f"composing {kind.name} needs the cost of at least 1 {part}, got {values!r}")
    if not (np.all(np.isfinite(costs)) and np.all(costs >= 0.0)):
        raise UsageError(f"{kind.name} of a {part} must be finite and 0 or more, got {costs.tolist()}")
    return costs

"""Where one curve of cost and error passes below another one."""

import math

import numpy as np

from explorer.errors import UsageError


def crossover(
    costs: np.ndarray, errors: np.ndarray, other_costs: np.ndarray, other_errors: np.ndarray
) -> np.ndarray:
    """Return the cost from which on the other curve has the lower error, to the end of what both cover.

    Both curves are straight between their points, in the logarithm of cost. Only the range of costs that
    both cover counts. Where they meet several times the last meeting is returned, so that above it nothing
    changes any more.

    Args:
        costs: of the first curve's points, ascending, ``[point]``.
        errors: ``[point]`` or, for many draws at once, ``[draw, point]``.
        other_costs: of the other curve's points, ascending, ``[point]``.
        other_errors: ``[point]`` or ``[draw, point]``.

    Returns:
        float64 ``[draw]`` (one draw where errors had one axis): minus infinity where the other curve is
        lower over the whole range, infinity where it is not lower at the end of it.

    Raises:
        UsageError: a curve has no points or costs that do not ascend from above zero, or no range is
            covered by both.
    """
    grid = common_grid(costs, other_costs)
    ahead = np.atleast_2d(along(costs, errors, grid) - along(other_costs, other_errors, grid))
    found = np.full(len(ahead), np.inf)
    for draw, gain in enumerate(ahead):
        behind = np.flatnonzero(gain <= 0)
        if len(behind) == 0:
            found[draw] = -np.inf
        elif behind[-1] < len(grid) - 1:
            last = behind[-1]
            share = gain[last] / (gain[last] - gain[last + 1])
            low, high = np.log(grid[last : last + 2])
            found[draw] = math.exp(low + share * (high - low))
    return found


def common_grid(costs: np.ndarray, other_costs: np.ndarray) -> np.ndarray:
    """Return the costs of both curves' points within the range that both cover, ascending.

    Raises:
        UsageError: see `crossover`.
    """
    for given in (costs, other_costs):
        if len(given) == 0 or np.min(given) <= 0 or np.any(np.diff(given) <= 0):
            raise UsageError(f"costs of a curve must ascend from above 0, got {list(given)}")
    low, high = max(costs[0], other_costs[0]), min(costs[-1], other_costs[-1])
    if low > high:
        raise UsageError(
            f"no cost is covered by both curves: one spans {costs[0]:g} to {costs[-1]:g}, "
            f"the other {other_costs[0]:g} to {other_costs[-1]:g}"
        )
    both = np.unique(np.concatenate([costs, other_costs, [low, high]]))
    return both[(both >= low) & (both <= high)]


def along(costs: np.ndarray, errors: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return a curve's errors at costs within its range, straight in log cost between its points.

    Args:
        costs: ascending, above zero, ``[point]``.
        errors: ``[point]`` or ``[draw, point]``.
        at: ``[place]``.

    Returns:
        ``[place]`` or ``[draw, place]``.
    """
    costs, errors = np.asarray(costs, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if len(costs) == 1:
        return np.repeat(errors, len(at), axis=-1)
    right = np.clip(np.searchsorted(costs, at), 1, len(costs) - 1)
    left = right - 1
    share = np.log(at / costs[left]) / np.log(costs[right] / costs[left])
    share = np.where(at == costs[left], 0.0, np.where(at == costs[right], 1.0, share))
    return errors[..., left] * (1 - share) + errors[..., right] * share

"""Exit thresholds that keep a promise: accuracy, mean cost, or nearness to the full model, with probability.

A two-stage cascade lets an example leave when its confidence is at least the threshold. Each threshold is
a hypothesis ("here the promise is broken"), and Learn then Test (Angelopoulos et al., arXiv 2110.01052,
fixed sequence testing) keeps those that are rejected with the chance of any mistake at most ``delta``, over
draws of the calibration examples (independent, and so exchangeable, with what comes later).

Which thresholds are tried must not depend on the examples' answers. Quantiles of the same examples'
confidence would: given a quantile, the count of right answers is no longer binomial. Here *all* real
thresholds are tried, from "everybody goes on" downwards, up to the first that is not rejected. That
sequence is fixed before any data; the first broken promise on it is a fixed threshold t*, at which the
count is exactly binomial, and a mistake means that t* was rejected: chance at most ``delta``. (Where t* is
a limit, the mistakes are growing unions of such events, each under ``delta``.) A count changes only at
observed confidences, so walking through those tests every threshold, and no split of the examples is
needed. Nothing is assumed of the curve's shape or of ties.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, log, log1p

import numpy as np
from scipy import special, stats

from explorer.analysis.statistics.two_stages import TwoStages, Walk, walk_of
from explorer.errors import UsageError

DELTA = 0.05
_NUISANCE = 0.05
"""Share of delta that the bound on the chance to win takes (Berger and Boos 1994, JASA 89:1012)."""
_LOSSES_ALONE = 0.2
"""Share of delta that the test of the losses alone takes."""
_DEEPEST = 10
"""Halvings of the range of that share; running out of them refuses, which is safe."""
_OUTSIDE = 1e-13
"""Probability left out at each end of a sum; added back to the bound."""
_MOST_EXAMPLES = 2**40


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarantee:
    """The cheapest threshold that keeps a promise, or why there is none."""

    threshold: float | None
    """An example leaves at a confidence of at least this: ``inf`` nobody leaves, ``-inf`` everybody. None: no
    threshold is safe."""
    n: int
    """Calibration examples."""
    delta: float
    """The promise is broken for at most this share of draws of the calibration examples."""
    left: float = 0.0
    """Share of the calibration examples that leave; 0 without a threshold, as the next two."""
    accuracy: float = 0.0
    """On the calibration examples: the promise is the target, not this."""
    cost: float = 0.0
    """Mean over the calibration examples."""
    reason: str = ""
    """Why there is no threshold; empty where there is one."""
    examples_needed: int | None = None
    """With how many examples, behaving as these do, there would be one; None: there is one, or no number is
    enough. At that number it is about an even chance."""


def accuracy_threshold(cascade: TwoStages, target: float, *, delta: float = DELTA) -> Guarantee:
    """Return the cheapest threshold with accuracy of at least ``target``, with probability 1 - ``delta``.

    Every threshold's p-value is the exact binomial tail of the cascade's right answers, see the module.

    Raises:
        UsageError: ``target`` or ``delta`` is not strictly between 0 and 1.
    """
    _check_shares(target=target, delta=delta)
    walk = walk_of(cascade)
    passed = walk.right >= fewest_right(cascade.n, target, delta)
    steps = _before_first_failure(passed)
    if steps:
        return _found(cascade, walk, steps - 1, delta)
    alone = int(walk.right[0])
    return _none(
        cascade.n,
        delta,
        f"the second stage alone answers {alone} of {cascade.n} right: not surely {target:g} or more",
        _examples_for_share(alone, cascade.n, target, delta),
    )


def cost_threshold(cascade: TwoStages, budget: float, *, delta: float = DELTA) -> Guarantee:
    """Return the highest threshold with mean cost within ``budget``, with probability 1 - ``delta``.

    The highest lets most examples go on. The number that goes on at a threshold is binomial, and the share
    grows with the threshold, so that the safe thresholds end at an order statistic of confidence. Everybody
    leaving costs the first stage whatever the examples, and needs no test.

    Raises:
        UsageError: ``delta`` is not strictly between 0 and 1.
    """
    _check_shares(delta=delta)
    walk = walk_of(cascade)
    first = cascade.costs[0]
    if budget < first:
        reason = f"the first stage alone costs {first:g}, over the budget of {budget:g}"
        return _none(cascade.n, delta, reason, None)
    return _found(cascade, walk, _first_affordable(cascade, walk, budget, delta), delta)


def accuracy_and_cost_threshold(
    cascade: TwoStages, target: float, budget: float, *, delta: float = DELTA, cost_delta: float | None = None
) -> Guarantee:
    """Return the cheapest threshold that keeps both promises at once, with probability 1 - ``delta``.

    Args:
        cascade: calibration examples.
        target: least accuracy.
        budget: highest mean cost.
        delta: chance of breaking either promise.
        cost_delta: the part of ``delta`` spent on cost; half unless told.

    Raises:
        UsageError: a share is not strictly between 0 and 1, or ``cost_delta`` not below ``delta``.
    """
    spent = delta / 2 if cost_delta is None else cost_delta
    _check_shares(target=target, delta=delta, cost_delta=spent)
    if spent >= delta:
        raise UsageError(f"the part of delta for cost must be below delta = {delta:g}, got {spent:g}")
    accurate = replace(accuracy_threshold(cascade, target, delta=delta - spent), delta=delta)
    affordable = cost_threshold(cascade, budget, delta=spent)
    if accurate.threshold is None:
        return accurate
    if affordable.threshold is None:
        return replace(affordable, delta=delta)
    if accurate.left >= affordable.left:
        return accurate
    return _none(
        cascade.n,
        delta,
        f"accuracy of {target:g} is sure only up to {accurate.left:.1%} leaving, "
        f"cost of {budget:g} only from {affordable.left:.1%} on",
        None,
    )


def near_full_threshold(cascade: TwoStages, epsilon: float, *, delta: float = DELTA) -> Guarantee:
    """Return the cheapest threshold at most ``epsilon`` below the second stage's accuracy, surely.

    Paired on the same examples: only leavers whom one stage alone answers right count, see `surely_near`.
    None where nobody may leave: the full model itself keeps the promise, and no cascade surely does.

    Raises:
        UsageError: ``epsilon`` is not in [0, 1), or ``delta`` not strictly between 0 and 1.
    """
    _check_shares(delta=delta)
    if not 0 <= epsilon < 1:
        raise UsageError(f"epsilon must be in [0, 1), got {epsilon!r}")
    walk = walk_of(cascade)
    step = 0
    n = cascade.n
    for lost, won in zip(walk.lost[1:].tolist(), walk.won[1:].tolist(), strict=True):
        if not surely_near(lost, won, n, epsilon, delta):
            break
        step += 1
    if step:
        return _found(cascade, walk, step, delta)
    needed = None
    if epsilon > 0 and walk.lost[1] == 0:
        needed = ceil(log(delta * _LOSSES_ALONE) / log1p(-epsilon))
    return _none(n, delta, f"not even the most confident examples surely cost {epsilon:g} or less", needed)


@lru_cache(maxsize=100_000)
def surely_near(lost: int, won: int, n: int, epsilon: float, delta: float) -> bool:
    """Say whether a loss of more than ``epsilon`` in accuracy is rejected at level ``delta``.

    Two tests share ``delta``, and one that rejects is enough. A fifth goes to the losses alone (binomial):
    strongest where hardly anybody wins. The rest goes to the net loss ``lost - won``, the exact
    unconditional test of the difference of two cells of a multinomial. The chance to win is not known: a
    twentieth of ``delta`` bounds it (Clopper and Pearson), and the test takes the worst chance
    below the bound (Berger and Boos 1994). That worst is bounded, not searched: the net loss grows with the
    chance to lose and falls with that to win, so a range of chances is covered by its two ends.

    Args:
        lost: examples on which the cascade is wrong and the full model right.
        won: the other way round.
        n: all examples.
        epsilon: the loss that is allowed.
        delta: chance of a wrong yes.
    """
    if lost < n and special.bdtr(lost, n, epsilon) <= delta * _LOSSES_ALONE:
        return True
    spent = delta * _NUISANCE
    level, net = delta * (1 - _NUISANCE - _LOSSES_ALONE), lost - won
    most = 1.0 if won == n else float(special.betaincinv(won + 1, n - won, 1 - spent))
    most = min(most, (1 - epsilon) / 2)
    if net >= n * epsilon or _net_loss_chance(net, n, most + epsilon, most) > level:
        return False
    ranges = [(0.0, most, 0)]
    while ranges:
        low, high, depth = ranges.pop()
        if _net_loss_chance(net, n, low + epsilon, high) <= level:
            continue
        if depth == _DEEPEST or _net_loss_chance(net, n, low + epsilon, low) > level:
            return False
        middle = (low + high) / 2
        ranges += [(low, middle, depth + 1), (middle, high, depth + 1)]
    return True


@lru_cache(maxsize=1_000)
def fewest_right(n: int, target: float, delta: float) -> int:
    """Return the fewest right answers of ``n`` that reject an accuracy below ``target``; n + 1: none do.

    The smallest count whose exact binomial tail at ``target`` is ``delta`` at most.
    """
    counts = np.arange(n + 2)
    tails = stats.binom.sf(counts - 1, n, target)
    return int(np.searchsorted(-tails, -delta))


def accuracy_p_value(right: int, n: int, target: float) -> float:
    """Return the exact binomial p-value of "accuracy is below ``target``" from ``right`` of ``n``."""
    return float(special.bdtrc(right - 1, n, target)) if right else 1.0


def holm(p_values: np.ndarray, delta: float = DELTA) -> np.ndarray:
    """Return which hypotheses are rejected with at most ``delta`` chance of any mistake, bool ``[design]``.

    Holm 1979, Scandinavian Journal of Statistics 6:65; valid whatever the dependence, and never weaker than
    Bonferroni's rule. For designs fixed beforehand: one p-value each.

    Raises:
        UsageError: ``delta`` is not strictly between 0 and 1.
    """
    _check_shares(delta=delta)
    order = np.argsort(p_values, kind="stable")
    allowed = delta / np.arange(len(order), 0, -1)
    kept = _before_first_failure(np.asarray(p_values)[order] <= allowed)
    rejected = np.zeros(len(order), dtype=bool)
    rejected[order[:kept]] = True
    return rejected


def cheapest_of(
    cascades: Sequence[TwoStages], target: float, *, delta: float = DELTA
) -> tuple[int | None, tuple[Guarantee, ...]]:
    """Return which of a shortlist is cheapest with ``target`` promised, and every one's guarantee.

    Each cascade gets delta / length (Bonferroni), so that all promises hold at once and the cheapest may be
    picked by calibration cost. The shortlist must not have been made on these examples.

    Raises:
        UsageError: an empty shortlist, or a share that is not strictly between 0 and 1.
    """
    if not cascades:
        raise UsageError("an empty shortlist: wanted one cascade at least")
    found = tuple(accuracy_threshold(c, target, delta=delta / len(cascades)) for c in cascades)
    safe = [place for place, guarantee in enumerate(found) if guarantee.threshold is not None]
    return min(safe, key=lambda place: found[place].cost, default=None), found


def promisable_target(cascade: TwoStages, *, left: float = 0.0, delta: float = DELTA) -> float:
    """Return the highest accuracy that can be promised, with probability 1 - ``delta``.

    Any target below it has a threshold (`accuracy_threshold`). The exact lower bound of Clopper and Pearson
    1934 (Biometrika 26:404) at the worst step of the walk from nobody to ``left``, for the tests go in order.

    Args:
        cascade: calibration examples.
        left: share of the calibration examples that has to leave, because of a budget.
        delta: chance of breaking the promise.

    Raises:
        UsageError: ``delta`` is not strictly between 0 and 1.
    """
    _check_shares(delta=delta)
    walk = walk_of(cascade)
    steps = int(np.searchsorted(walk.leavers, round(left * cascade.n))) + 1
    right = int(walk.right[:steps].min())
    return float(special.betaincinv(right, cascade.n - right + 1, delta)) if right else 0.0


def promisable_budget(cascade: TwoStages, left: float, *, delta: float = DELTA) -> float:
    """Return the lowest mean cost that can be promised where at most ``left`` may leave, because of a target.

    Raises:
        UsageError: ``delta`` is not strictly between 0 and 1.
    """
    _check_shares(delta=delta)
    first, added = cascade.costs
    on = cascade.n - round(left * cascade.n)
    if on == 0:
        return first
    return first + added * (
        1.0 if on == cascade.n else float(special.betaincinv(on + 1, cascade.n - on, 1 - delta))
    )


def promisable_epsilon(cascade: TwoStages, *, delta: float = DELTA) -> float:
    """Return the least ``epsilon`` of `near_full_threshold`, to 2^-30, at which somebody may leave.

    Raises:
        UsageError: ``delta`` is not strictly between 0 and 1.
    """
    _check_shares(delta=delta)
    walk = walk_of(cascade)
    lost, won = int(walk.lost[1]), int(walk.won[1])
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        sure = surely_near(lost, won, cascade.n, middle, delta)
        low, high = (low, middle) if sure else (middle, high)
    return high


def _before_first_failure(passed: np.ndarray) -> int:
    """Return how many hypotheses are rejected in a row from the start."""
    return len(passed) if passed.all() else int(np.argmin(passed))


def _first_affordable(cascade: TwoStages, walk: Walk, budget: float, delta: float) -> int:
    first, added = cascade.costs
    if budget >= first + added:
        return 0
    share = (budget - first) / added
    # how many may go on among the calibration examples, by the exact binomial tail: -1 is not even none
    most = (
        int(np.searchsorted(stats.binom.cdf(np.arange(cascade.n + 1), cascade.n, share), delta, "right")) - 1
    )
    affordable = cascade.n - walk.leavers <= most
    # that everybody leaves costs the first stage, whatever the examples
    return int(np.argmax(affordable)) if affordable.any() else len(walk.leavers) - 1


def _net_loss_chance(net: int, n: int, lose: float, win: float) -> float:
    """Return an upper bound, tight but for rounding, of P(losses - wins <= ``net``) among n examples."""
    fewest, most = (0, 0) if win == 0 else stats.binom.ppf([_OUTSIDE, 1 - _OUTSIDE], n, win)
    wins = np.arange(int(fewest), int(most) + 1)
    losses = np.minimum(net + wins, n - wins)
    possible = losses >= 0
    wins, losses = wins[possible], losses[possible]
    given = special.bdtr(losses, n - wins, min(1.0, lose / (1 - win))) if win < 1 else np.ones(len(wins))
    return float(stats.binom.pmf(wins, n, win) @ given) + 2 * _OUTSIDE


def _examples_for_share(right: int, n: int, target: float, delta: float) -> int | None:
    """Return with how many examples the same share of right answers would show ``target``; None: never."""
    if right <= target * n:
        return None

    def shown(examples: int) -> bool:
        return accuracy_p_value(right * examples // n, examples, target) <= delta

    low, high = n, 2 * n
    while not shown(high):
        low, high = high, 2 * high
        if high > _MOST_EXAMPLES:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if shown(middle) else (middle, high)
    return high


def _found(cascade: TwoStages, walk: Walk, step: int, delta: float) -> Guarantee:
    left = int(walk.leavers[step]) / cascade.n
    return Guarantee(
        threshold=walk.threshold(step),
        left=left,
        accuracy=int(walk.right[step]) / cascade.n,
        cost=cascade.costs[0] + cascade.costs[1] * (1 - left),
        n=cascade.n,
        delta=delta,
    )


def _none(n: int, delta: float, reason: str, examples_needed: int | None) -> Guarantee:
    return Guarantee(threshold=None, n=n, delta=delta, reason=reason, examples_needed=examples_needed)


def _check_shares(**shares: float) -> None:
    for name, value in shares.items():
        if not 0 < value < 1:
            raise UsageError(f"{name} must be strictly between 0 and 1, got {value!r}")

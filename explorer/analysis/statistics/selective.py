"""Selective prediction: answer where the score is high, else abstain; how much is answered at which risk.

A curve is worked out on one set of examples. To promise a risk for examples to come is another matter:
`guaranteed_coverage`. `fit_window` spends a second stage only on the examples near the operating
threshold (Xia and Bouganis, ICCV 2023, arXiv 2303.08010): those far above it are answered and those far below
refused, whatever the second stage would say.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from explorer.analysis.scoring.cascade import cuts, short_between
from explorer.errors import InputDataError, UsageError

_RANKS = 32
"""Coverages at which a risk is tested, unless told."""
_OFFSETS = 9
"""Ways to lay a window around the operating threshold, from all below to all above."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RiskCoverage:
    """Share answered and share of those answered wrong, at every threshold that tells examples apart.

    Ties answer together, so that each point can be had by a threshold.
    """

    coverage: np.ndarray
    """Rising to 1, float64 ``[point]``."""
    risk: np.ndarray
    """Share of the answered examples that are wrong, float64 ``[point]``."""
    threshold: np.ndarray
    """Answer where the score is at least this: the lowest answered score, float64 ``[point]``."""
    n: int
    """Examples."""

    def coverage_at(self, risk: float) -> float:
        """Return the largest share answered with at most ``risk`` wrong; 0 where there is none.

        ``coverage_at(0.05)`` is coverage@5 of Xia and Bouganis.
        """
        return float(self.coverage[self.risk <= risk].max(initial=0.0))

    def threshold_at(self, risk: float) -> float | None:
        """Return the threshold of `coverage_at`, or None where there is none."""
        allowed = np.flatnonzero(self.risk <= risk)
        return float(self.threshold[allowed[-1]]) if allowed.size else None

    def risk_at(self, coverage: float) -> float:
        """Return the share wrong at the smallest coverage of at least ``coverage``: 0.8 for risk@80.

        Raises:
            UsageError: ``coverage`` is not in (0, 1].
        """
        if not 0 < coverage <= 1:
            raise UsageError(f"a coverage must be in (0, 1], got {coverage!r}")
        # shares are counts over n: what differs by less than that is rounding
        point = int(np.searchsorted(self.coverage, coverage - 1e-12))
        return float(self.risk[point])


def risk_coverage(score: np.ndarray, right: np.ndarray) -> RiskCoverage:
    """Return the risk-coverage curve of ``score`` and ``right`` ``[example]``.

    Raises:
        InputDataError: no examples, two lengths, answers that are not bool, or a score that is not finite.
    """
    _check(score, right)
    found = cuts(score)
    answered = np.append(found.leavers, len(score)).astype(np.int64)
    wrong = np.cumsum(~right[found.order])[answered - 1]
    return RiskCoverage(
        coverage=answered / len(score),
        risk=wrong / answered,
        threshold=score[found.order][answered - 1].astype(np.float64),
        n=len(score),
    )


def aurc(score: np.ndarray, right: np.ndarray) -> float:
    """Return the area under the risk-coverage curve: the mean risk over the n coverages 1/n, 2/n, ... 1.

    Geifman, Uziel and El-Yaniv 2019 (arXiv 1805.08206). Tied examples count as answered in random order, the
    mean over all orders: the order they are stored in must not matter.

    Raises:
        InputDataError: as `risk_coverage`.
    """
    curve = risk_coverage(score, right)
    ends = np.concatenate([[0], np.rint(curve.coverage * curve.n)])
    wrong = np.concatenate([[0], np.rint(curve.risk * curve.coverage * curve.n)])
    answered = np.arange(1, curve.n + 1)
    return float((np.interp(answered, ends, wrong) / answered).mean())


def excess_aurc(score: np.ndarray, right: np.ndarray) -> float:
    """Return `aurc` minus that of the best order there is, right answers first (the paper's E-AURC)."""
    return aurc(score, right) - aurc(right.astype(np.float64), right)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectiveGuarantee:
    """The lowest threshold whose risk is promised, or why there is none."""

    threshold: float | None
    """Answer where the score is above this, an observed one; ``-inf`` answers all. None: nothing is safe."""
    coverage: float
    """Share of the calibration examples above it."""
    risk: float
    """Share of those that are wrong: the promise is the asked risk, not this."""
    n: int
    """Calibration examples."""
    delta: float
    """The promise is broken for at most this share of draws of them."""
    examples_needed: int | None
    """Examples answered without a mistake that a promise would need; None where there is one."""


def guaranteed_coverage(
    score: np.ndarray, right: np.ndarray, risk: float, *, delta: float = 0.05, ranks: int = _RANKS
) -> SelectiveGuarantee:
    """Return the lowest threshold with risk of at most ``risk``, with probability 1 - ``delta``.

    As SGR (Geifman and El-Yaniv 2017, arXiv 1705.08500, algorithm 1): the binomial tail of the wrong among
    the answered, with ``delta`` shared out evenly. SGR tests the ranks that a binary search meets, which
    depend on the answers; here ``ranks`` numbers of answered examples are fixed beforehand (equal steps), so
    that the sharing is a plain union bound: given the score just below, the examples above it are
    independent draws, and the wrong ones among them exactly binomial. Ties stay together.

    Args:
        score: higher is surer, ``[example]``.
        right: bool ``[example]``.
        risk: the share of wrong answers that is allowed.
        delta: chance that the promise is broken.
        ranks: coverages to try; more are finer, and each gets less of ``delta``.

    Raises:
        InputDataError: as `risk_coverage`.
        UsageError: a share is not strictly between 0 and 1, or no ranks.
    """
    _check(score, right)
    if not (0 < risk < 1 and 0 < delta < 1 and ranks >= 1):
        raise UsageError(
            f"risk and delta in (0, 1) and ranks >= 1 wanted, got {risk!r}, {delta!r} and {ranks!r}"
        )
    n = len(score)
    order = np.argsort(-score, kind="stable")
    falling, wrong = score[order].astype(np.float64), np.concatenate([[0], np.cumsum(~right[order])])
    tried = np.unique(np.ceil(np.arange(1, ranks + 1) * n / ranks).astype(np.int64))
    # score of the first example that is not answered, and how many are strictly above it
    limits = np.append(falling, -np.inf)[tried]
    answered = np.searchsorted(-falling, -limits, "left")
    some = answered > 0
    chance = np.where(some, special.bdtr(wrong[answered], np.maximum(answered, 1), risk), 1.0)
    safe = np.flatnonzero(chance <= delta / ranks)
    if not safe.size:
        needed = int(np.ceil(np.log(delta / ranks) / np.log1p(-risk)))
        return SelectiveGuarantee(
            threshold=None, coverage=0.0, risk=0.0, n=n, delta=delta, examples_needed=needed
        )
    last = safe[-1]
    return SelectiveGuarantee(
        threshold=float(limits[last]),
        coverage=int(answered[last]) / n,
        risk=int(wrong[answered[last]]) / int(answered[last]),
        n=n,
        delta=delta,
        examples_needed=None,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredStages:
    """Two stages' scores and answers on the same examples; scores that mean the same, as probabilities do."""

    first_score: np.ndarray
    """Float ``[example]``, higher is surer."""
    second_score: np.ndarray
    """Of the answer given when the example goes on, ``[example]``."""
    first_right: np.ndarray
    """bool ``[example]``"""
    second_right: np.ndarray
    """bool ``[example]``"""
    costs: tuple[float, float]
    """Of the first stage, and what the second adds; any one unit."""

    def __post_init__(self) -> None:
        _check(self.first_score, self.first_right)
        _check(self.second_score, self.second_right)
        if len(self.first_score) != len(self.second_score):
            counts = f"{len(self.first_score)} and {len(self.second_score)}"
            raise InputDataError(f"both stages must see the same examples, got {counts}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The first stage's scores at which an example goes on: from ``low`` to below ``high``."""

    low: float
    high: float

    def goes_on(self, first_score: np.ndarray) -> np.ndarray:
        """Return which examples go on to the second stage, bool ``[example]``."""
        return (first_score >= self.low) & (first_score < self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowReport:
    """What a window does to the coverage at a risk, on one set of examples."""

    window: Window
    goes_on: float
    """Share of the examples."""
    cost: float
    """Mean over the examples."""
    coverage: float
    """At the risk, the examples of the window scored by the second stage."""
    first_coverage: float
    second_coverage: float
    """Of the full second model, which costs both stages here."""
    lowest_coverage: float
    """Of the plain cascade that sends on as many examples (but for ties): those with the lowest scores."""


def fit_window(stages: ScoredStages, risk: float, budget: float) -> Window:
    """Return the window with the most coverage at ``risk`` whose mean cost is within ``budget``.

    The window holds as many examples as the budget allows, around the first stage's own operating threshold
    for this risk (its most confident example where it has none). The authors' code lays it evenly by
    quantiles and lets it shrink at an end; here several ways to lay it are tried, from all below to all
    above, and the most even one wins a tie. Fitted on these examples: report on others, with
    `evaluate_window`.

    Raises:
        UsageError: the budget is below the first stage's cost, or ``risk`` not in [0, 1].
    """
    first, added = stages.costs
    if budget < first or not 0 <= risk <= 1:
        raise UsageError(
            f"wanted a budget of {first:g} or more and a risk in [0, 1], got {budget!r} and {risk!r}"
        )
    rising = np.sort(stages.first_score.astype(np.float64))
    n = len(rising)
    many = n if budget >= first + added else int(np.floor(n * (budget - first) / added))
    threshold = risk_coverage(stages.first_score, stages.first_right).threshold_at(risk)
    place = n if threshold is None else int(np.searchsorted(rising, threshold))
    best, most = _between(rising, 0, 0), -1.0
    for offset in sorted(range(_OFFSETS), key=lambda offset: abs(2 * offset - _OFFSETS + 1)):
        below = round(many * offset / (_OFFSETS - 1))
        start = min(max(place - below, 0), n - many)
        window = _between(rising, start, start + many)
        coverage = _windowed(stages, window).coverage_at(risk)
        if coverage > most:
            best, most = window, coverage
    return best


def evaluate_window(window: Window, stages: ScoredStages, risk: float) -> WindowReport:
    """Return what a window, fitted on other examples, does on these."""
    goes_on = window.goes_on(stages.first_score)
    rising = np.sort(stages.first_score.astype(np.float64))
    lowest = _between(rising, 0, int(goes_on.sum()))
    share = float(goes_on.mean())
    return WindowReport(
        window=window,
        goes_on=share,
        cost=stages.costs[0] + stages.costs[1] * share,
        coverage=_windowed(stages, window).coverage_at(risk),
        first_coverage=risk_coverage(stages.first_score, stages.first_right).coverage_at(risk),
        second_coverage=risk_coverage(stages.second_score, stages.second_right).coverage_at(risk),
        lowest_coverage=_windowed(stages, lowest).coverage_at(risk),
    )


def _windowed(stages: ScoredStages, window: Window) -> RiskCoverage:
    goes_on = window.goes_on(stages.first_score)
    score = np.where(goes_on, stages.second_score, stages.first_score)
    return risk_coverage(score, np.where(goes_on, stages.second_right, stages.first_right))


def _between(rising: np.ndarray, start: int, stop: int) -> Window:
    """Return the window of the examples ``start`` to before ``stop``, less those tied with one outside."""
    n = len(rising)
    if start > 0:
        start = int(np.searchsorted(rising, rising[start - 1], "right"))
    if stop < n:
        stop = int(np.searchsorted(rising, rising[stop], "left"))
    if start >= stop:
        return Window(low=np.inf, high=np.inf)
    low = -np.inf if start == 0 else short_between(float(rising[start - 1]), float(rising[start]))
    high = np.inf if stop == n else short_between(float(rising[stop - 1]), float(rising[stop]))
    return Window(low=low, high=high)


def _check(score: np.ndarray, right: np.ndarray) -> None:
    if score.ndim != 1 or score.shape != right.shape or not score.size or right.dtype != np.bool_:
        raise InputDataError(
            f"wanted scores and bool answers [example], at least 1, got {list(score.shape)} "
            f"and {right.dtype} {list(right.shape)}"
        )
    if not np.isfinite(score).all():
        raise InputDataError("a score is not a finite number")

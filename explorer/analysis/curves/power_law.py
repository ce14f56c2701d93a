"""A power law through a few points: ``y = floor + scale * x^-exponent``, and how far it may be trusted.

Given the exponent the other two are linear (variable projection: Golub and Pereyra 1973, SIAM J. Numer.
Anal. 10:413), so that the fit is a search over one number: a grid over its whole range, then golden
sections. Nothing is started from a guess, and no local minimum is taken for the lowest.

The interval comes from fitting again what would have been seen under other draws. Where the points miss the
curve by more than their own noise, that noise is scaled up (Birge 1932, Phys. Rev. 40:207), never down.
"""

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from explorer.analysis.statistics.seeds import Estimate, percentiles
from explorer.errors import ConventionError, UsageError

EXPONENTS = (0.02, 8.0)
"""Range of the exponent: at its low end the law is a straight line in log x, at its high end a step."""
DRAWS = 1_000
"""Fits behind an interval where the points bring standard errors, not draws."""
_GRID = 48
_SECTIONS = 26
_SEED = 20005


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveOf:
    """What the points of one curve share: outside of it a fit says nothing."""

    recipe: str
    dataset: str
    figure: str
    """What ``y`` is: ``top-1 error``, ``calibrated NLL``."""
    quantity: str
    """What ``x`` counts: ``members``, ``parameters``, ``macs``."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FitPoints:
    """Points of one curve."""

    of: CurveOf
    x: tuple[float, ...]
    """Ascending, above zero, ``[point]``."""
    y: tuple[float, ...]
    """``[point]``"""
    standard_errors: tuple[float, ...] | None = None
    """Of ``y``, above zero, ``[point]``; errors are taken as independent."""
    draws: np.ndarray | None = None
    """``y`` under other draws, float64 ``[draw, point]``: keeps points that share examples paired."""

    def __post_init__(self) -> None:
        if len(self.x) == 0 or self.x[0] <= 0 or np.any(np.diff(self.x) <= 0):
            raise UsageError(f"x of a curve must ascend from above 0, got {list(self.x)}")
        if len(self.y) != len(self.x) or not np.all(np.isfinite([*self.x, *self.y])):
            raise UsageError(f"wanted {len(self.x)} finite figures, one a point, got {list(self.y)}")
        if self.standard_errors is not None and self.draws is not None:
            raise UsageError("points bring standard errors or draws, got both")
        if (se := self.standard_errors) is not None and (len(se) != len(self.x) or not min(se) > 0):
            raise UsageError(f"wanted {len(self.x)} standard errors above 0, got {list(se)}")
        if self.draws is None:
            return
        if self.draws.ndim != 2 or self.draws.shape[1] != len(self.x) or len(self.draws) < 2:
            raise UsageError(f"wanted draws [draw, {len(self.x)}], got {list(self.draws.shape)}")
        if not np.isfinite(self.draws).all() or not (np.ptp(self.draws, axis=0) > 0).all():
            raise UsageError("draws must be finite and differ at every point: without noise it has no weight")

    @property
    def noise(self) -> np.ndarray | None:
        """The standard error of each point, float64 ``[point]``, or None where none is known."""
        if self.draws is not None:
            return np.asarray(self.draws.std(axis=0, ddof=1))
        return None if self.standard_errors is None else np.asarray(self.standard_errors)

    def take(self, places: Sequence[int]) -> "FitPoints":
        """Return some of the points, in the order given."""
        errors = self.standard_errors
        return replace(
            self,
            x=tuple(self.x[place] for place in places),
            y=tuple(self.y[place] for place in places),
            standard_errors=None if errors is None else tuple(errors[place] for place in places),
            draws=None if self.draws is None else self.draws[:, list(places)],
        )


def points_of(estimates: Mapping[int, Estimate] | Mapping[float, Estimate], of: CurveOf) -> FitPoints:
    """Return figures with their draws as points, by ascending ``x``."""
    ordered = sorted(estimates.items())
    x, y = tuple(float(x) for x, _ in ordered), tuple(one.value for _, one in ordered)
    return FitPoints(of=of, x=x, y=y, draws=np.stack([one.draws for _, one in ordered], axis=1))


def joined(*parts: FitPoints) -> FitPoints:
    """Return the points of one curve that came in parts; draws are joined draw by draw.

    Raises:
        ConventionError: they differ in recipe, data set, figure or quantity.
        UsageError: some bring standard errors or draws and others do not, or two share an ``x``.
    """
    for part in parts[1:]:
        refuse_mixed(parts[0].of, part.of)
    x, y = (np.concatenate([getattr(part, name) for part in parts]) for name in ("x", "y"))
    errors = [part.standard_errors for part in parts if part.standard_errors is not None]
    draws = [part.draws for part in parts if part.draws is not None]
    if len(errors) not in (0, len(parts)) or len(draws) not in (0, len(parts)):
        raise UsageError("points to join must all bring standard errors, all draws, or all neither")
    order = np.argsort(x, kind="stable")
    return FitPoints(
        of=parts[0].of,
        x=tuple(x[order].tolist()),
        y=tuple(y[order].tolist()),
        standard_errors=tuple(np.concatenate(errors)[order].tolist()) if errors else None,
        draws=np.concatenate(draws, axis=1)[:, order] if draws else None,
    )


def refuse_mixed(first: CurveOf, second: CurveOf, *, but: tuple[str, ...] = ()) -> None:
    """Raise `ConventionError` where two curves differ in what they are of, ``but`` in these respects."""
    for name in ("recipe", "dataset", "figure", "quantity"):
        one, other = getattr(first, name), getattr(second, name)
        if name not in but and one != other:
            raise ConventionError(
                f"points of {name} {one!r} and {other!r} cannot be fitted together: a curve is valid "
                "inside one recipe, data set and figure"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """A value of a fitted curve with its 95 % interval, never a measurement."""

    x: float
    value: float
    low: float
    """Minus infinity where nothing is known of the fit's uncertainty, see `PowerLaw.draws`."""
    high: float
    extrapolated: bool
    """Whether ``x`` lies outside the points."""
    factor: float
    """How far outside: ``x`` over the largest point's, or the smallest point's over ``x``; 1 inside."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PowerLaw:
    """A fitted ``floor + scale * x^-exponent``."""

    points: FitPoints
    floor: float
    """Where the curve ends for ever larger ``x``."""
    scale: float
    """Above zero where the curve falls."""
    exponent: float
    fixed: bool
    """Whether the exponent was given, not fitted."""
    residual: float
    """Root mean square miss of the points, weighted as the fit was."""
    inflation: float
    """What the points' noise was multiplied by, 1 or more."""
    draws: np.ndarray | None
    """Floor, scale and exponent of the fits to other draws, float64 ``[draw, 3]``. None: there are as
    many points as parameters and no noise of the points is known, so nothing tells how sure the fit is."""
    notes: tuple[str, ...]

    def extrapolates(self, x: float) -> bool:
        """Say whether ``x`` lies outside the points."""
        return not self.points.x[0] <= x <= self.points.x[-1]

    def values(self, x: float) -> tuple[float, np.ndarray]:
        """Return the curve at ``x`` and in every draw, ``[draw]`` (empty without draws).

        Raises:
            UsageError: ``x`` is not above zero.
        """
        if not x > 0:
            raise UsageError(f"a power law needs x above 0, got {x:g}")
        value = self.floor + self.scale * x**-self.exponent
        if self.draws is None:
            return float(value), np.empty(0)
        return float(value), self.draws[:, 0] + self.draws[:, 1] * x ** -self.draws[:, 2]

    def predict(self, x: float, *, noise: float = 0.0) -> Prediction:
        """Return the curve at ``x``; infinity gives the floor.

        Args:
            x: above zero.
            noise: standard error of a measurement there. With it the interval is one for that
                measurement, without it one for the curve.

        Raises:
            UsageError: ``x`` is not above zero.
        """
        value, draws = self.values(x)
        low, high = -math.inf, math.inf
        if len(draws):
            around = np.random.default_rng(_SEED).normal(0, noise, len(draws)) if noise > 0 else 0.0
            low, high = percentiles(draws + around)
        first, last = self.points.x[0], self.points.x[-1]
        factor = max(1.0, x / last, first / x)
        outside = self.extrapolates(x)
        # percentiles of a skewed spread may leave the fit itself out; an interval must not
        low, high = min(low, value), max(high, value)
        return Prediction(x=x, value=value, low=low, high=high, extrapolated=outside, factor=factor)

    def exponent_interval(self) -> tuple[float, float] | None:
        """Return the exponent's 95 % interval; None where it was given or three points alone fixed it."""
        if self.fixed or self.draws is None or len(self.points.x) < 4:
            return None
        return percentiles(self.draws[:, 2])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChosenLaw:
    """A law whose exponent was kept fixed or set free by what it says of the largest point, left out."""

    law: PowerLaw
    other: PowerLaw | None
    """Fitted the other way; None where there are too few points to set the exponent free."""
    misses: tuple[float, float] | None
    """Of the largest point by the given and the free exponent fitted to the rest; None where not tried."""
    reason: str


def fit_power_law(
    points: FitPoints, *, exponent: float | None = None, least_floor: float = 0.0, falling: bool = True
) -> PowerLaw:
    """Fit ``floor + scale * x^-exponent`` by least squares, weighted where the points' noise is known.

    Args:
        points: at least two for a given exponent, three for a free one (which they then fix without
            rest: four say something of its uncertainty).
        exponent: given, above zero; None sets it free within `EXPONENTS`.
        least_floor: the floor is not below this; minus infinity where anything may be.
        falling: whether the curve may not rise; False leaves either way open.

    Raises:
        UsageError: too few points, or an exponent that is not above zero.
    """
    parameters, count = 2 if exponent is not None else 3, len(points.x)
    if count < parameters:
        kind = "free" if exponent is None else "given"
        raise UsageError(f"a power law with a {kind} exponent needs {parameters} points, got {count}")
    if exponent is not None and not exponent > 0:
        raise UsageError(f"an exponent must be above 0, got {exponent:g}")
    noise = points.noise
    shape = _Shape(points, exponent=exponent, least_floor=least_floor, falling=falling)
    y = np.asarray(points.y, dtype=np.float64)
    fitted = shape.fit(y[None])
    missed = y - shape.curve(fitted)[0]
    residual = math.sqrt(float((shape.weights * missed**2).sum()))
    freedom = count - parameters
    inflation = 1.0
    if noise is not None and freedom > 0:
        inflation = max(1.0, math.sqrt(float(((missed / noise) ** 2).sum()) / freedom))
    repeats = _repeats(points, shape.curve(fitted)[0], missed, freedom, inflation)
    floor, scale, power = (float(one) for one in fitted[0])
    notes = []
    if freedom == 0:
        notes.append(
            f"{count} points fix {count} parameters: nothing is left to tell how well the form fits; "
            "intervals hold the points' noise alone"
        )
    if exponent is None and not EXPONENTS[0] * 1.01 < power < EXPONENTS[1] / 1.01:
        notes.append(f"exponent {power:.3g} lies at the end of its range: these points do not determine it")
    return PowerLaw(
        points=points,
        floor=floor,
        scale=scale,
        exponent=power,
        fixed=exponent is not None,
        residual=residual,
        inflation=inflation,
        draws=None if repeats is None else shape.fit(repeats),
        notes=tuple(notes),
    )


def choose_power_law(
    points: FitPoints, *, exponent: float = 1.0, least_floor: float = 0.0, falling: bool = True
) -> ChosenLaw:
    """Fit with the exponent given or free, whichever foretells the largest point from the others better.

    A free exponent needs three points besides the one left out; with fewer the given one is kept.

    Raises:
        UsageError: as `fit_power_law`.
    """
    fixed = fit_power_law(points, exponent=exponent, least_floor=least_floor, falling=falling)
    if len(points.x) < 4:
        reason = f"exponent {exponent:g} assumed: {len(points.x)} points cannot test it"
        return ChosenLaw(law=fixed, other=None, misses=None, reason=reason)
    free = fit_power_law(points, least_floor=least_floor, falling=falling)
    rest = points.take(range(len(points.x) - 1))
    last, seen = points.x[-1], points.y[-1]
    held = [
        fit_power_law(rest, exponent=e, least_floor=least_floor, falling=falling) for e in (exponent, None)
    ]
    misses = [abs(law.values(last)[0] - seen) for law in held]
    wins = misses[1] < misses[0]
    reason = (
        f"{'free' if wins else 'given'} exponent: fitted without the largest point it misses that by "
        f"{min(misses):.3g}, the {'given' if wins else 'free'} one by {max(misses):.3g}"
    )
    law, other = (free, fixed) if wins else (fixed, free)
    return ChosenLaw(law=law, other=other, misses=(misses[0], misses[1]), reason=reason)


class _Shape:
    """The least squares of many draws at once: one set of ``x`` and weights, ``y`` ``[draw, point]``."""

    def __init__(
        self, points: FitPoints, *, exponent: float | None, least_floor: float, falling: bool
    ) -> None:
        noise = points.noise
        self.x = np.asarray(points.x, dtype=np.float64)
        # scaled by the middle of the points, else x^-8 of parameter counts leaves the floats' good range
        self.middle = float(np.exp(np.log(self.x).mean()))
        self.logs = np.log(self.x / self.middle)
        inverse = np.ones(len(self.x)) if noise is None else noise**-2.0
        self.weights = inverse / inverse.sum()
        self.least_floor = least_floor
        self.falling = falling
        self.exponent = exponent

    def fit(self, y: np.ndarray) -> np.ndarray:
        """Return floor, scale and exponent of each draw, ``[draw, 3]``."""
        powers = self._search(y) if self.exponent is None else np.full(len(y), self.exponent)
        floor, scale, _ = self._linear(y, powers)
        return np.stack([floor, scale * self.middle**powers, powers], axis=1)

    def curve(self, fitted: np.ndarray) -> np.ndarray:
        """Return the fitted values at the points, ``[draw, point]``."""
        floor, scale, power = fitted.T[:, :, None]
        return np.asarray(floor + scale * self.x**-power)

    def _search(self, y: np.ndarray) -> np.ndarray:
        """Return the best exponent of each draw: the best of a grid, then golden sections around it."""
        grid = np.geomspace(*EXPONENTS, _GRID)
        losses = np.stack([self._linear(y, np.array([power]))[2] for power in grid], axis=1)
        best = losses.argmin(axis=1)
        low, high = np.log(grid[np.maximum(best - 1, 0)]), np.log(grid[np.minimum(best + 1, _GRID - 1)])
        golden = (math.sqrt(5) - 1) / 2
        for _ in range(_SECTIONS):
            left, right = high - golden * (high - low), low + golden * (high - low)
            lower = self._linear(y, np.exp(left))[2] < self._linear(y, np.exp(right))[2]
            low, high = np.where(lower, low, left), np.where(lower, right, high)
        return np.asarray(np.exp((low + high) / 2))

    def _linear(self, y: np.ndarray, powers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return floor, scale (of scaled x) and weighted squares, exponents given ``[draw]`` or ``[1]``.

        Two unknowns within a convex region: where the free optimum lies outside, the best lies on an edge.
        """
        f = np.exp(-powers[:, None] * self.logs)
        w = self.weights
        f_mean, y_mean = f @ w, y @ w
        spread = ((f - f_mean[:, None]) ** 2) @ w
        slope = (((f - f_mean[:, None]) * (y - y_mean[:, None])) @ w) / spread
        level = np.maximum(y_mean, self.least_floor)
        choices = [(y_mean - slope * f_mean, slope), (level, np.zeros_like(level))]
        if math.isfinite(self.least_floor):
            edge = (f * (y - self.least_floor)) @ w / ((f * f) @ w)
            choices.append((np.full_like(level, self.least_floor), self._signed(edge)))
        floor, scale, least = choices[1][0], choices[1][1], np.full(len(y), np.inf)
        for a, b in choices:
            squares = ((y - a[:, None] - b[:, None] * f) ** 2) @ w
            allowed = (a >= self.least_floor) & (self._signed(b) == b) & (squares < least)
            floor, scale = np.where(allowed, a, floor), np.where(allowed, b, scale)
            least = np.where(allowed, squares, least)
        return floor, scale, least

    def _signed(self, scale: np.ndarray) -> np.ndarray:
        return np.maximum(scale, 0) if self.falling else scale


def _repeats(
    points: FitPoints, curve: np.ndarray, missed: np.ndarray, freedom: int, inflation: float
) -> np.ndarray | None:
    """Return ``y`` as other draws would have shown it, ``[draw, point]``."""
    y = np.asarray(points.y)
    if points.draws is not None:
        return np.asarray(y + (points.draws - points.draws.mean(axis=0)) * inflation)
    # one set of points, one set of draws: two curves' draws are independent of each other
    random = np.random.default_rng([_SEED, zlib.crc32(y.tobytes()), zlib.crc32(repr(points.of).encode())])
    if points.standard_errors is not None:
        noise = random.normal(size=(DRAWS, len(y))) * np.asarray(points.standard_errors)
        return np.asarray(y + noise * inflation)
    if freedom == 0:
        return None
    # the noise is known from the misses alone: its square is drawn as well, which gives Student's t
    variance = float((missed**2).sum()) / random.chisquare(freedom, size=DRAWS)
    return curve + random.normal(size=(DRAWS, len(y))) * np.sqrt(variance)[:, None]

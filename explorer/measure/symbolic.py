"""Write a model's count as a formula in batch, height and width: exact where it holds, refused elsewhere.

Padding, striding and windows round, so no single polynomial holds at all sizes. At sizes of one residue
modulo the model's total stride, however, every operator's output sides are affine in the sizes, and its
count is a polynomial: of degree 1 in each side for convolutions, 2 where all positions attend to all.
The polynomial is found by exact interpolation (rational arithmetic, no fitting) and accepted only where
recounts at other points agree to the last digit. The smallest step that passes is taken. It is verified, not
proven: the formula says at which sizes, and is not given below the smallest of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product, takewhile
from math import lcm
from typing import Literal

from torch import nn

from explorer.errors import UsageError
from explorer.measure.trace import count_model

Quantity = Literal["macs", "elementwise_ops"]

LADDERS = ((32, 16, 8, 4, 2, 1), (64,), (128,), (224, 112, 56, 28, 14, 7), (384, 192, 96, 48, 24, 12))
"""Steps in pixels: of the first ladder whose first passes, the last that passes is taken."""
_BATCHES = (1, 2)
_DEGREE = 2
"""In each side; in a square's side twice that."""
_LOWEST_SHARES = (0.5, 1.0)
"""The verified sizes begin near this share of the size given: the first that passes. Below its final
feature size a model with a fixed pooling grid (VGG) counts otherwise, so half may be too small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedForm:
    """A count as a polynomial with rational coefficients."""

    expression: str
    """In Python's notation, of `variables`: ``(batch*(391*height*width + 2048))//8``, without remainder."""
    variables: tuple[str, ...]
    """``batch``, ``height``, ``width``; ``side`` where a model takes squares only; else batch alone."""
    valid: str
    """Where it holds, and where that was recounted."""
    quantity: Quantity
    coefficients: Mapping[tuple[int, int, int], Fraction]
    """Exponents of (batch, height, width) -> coefficient; for squares the side counts as height."""
    step: int
    """Sides are ``remainder`` modulo this; 0 where the sides are fixed."""
    smallest: tuple[int, int]
    """[height, width]: the smallest size verified."""

    def at(self, *, batch: int, height: int, width: int) -> int:
        """Return the count.

        Raises:
            UsageError: the form does not hold there.
        """
        for side, least in zip((height, width), self.smallest, strict=True):
            fits = side == least if not self.step else side >= least and (side - least) % self.step == 0
            if not fits:
                raise UsageError(f"no closed form at {height} x {width} pixels: {self.valid}")
        if batch < 1 or ("side" in self.variables and height != width):
            raise UsageError(f"no closed form at batch {batch}, {height} x {width} pixels: {self.valid}")
        value = sum(
            (c * batch**b * height**h * width**w for (b, h, w), c in self.coefficients.items()), Fraction()
        )
        return int(value)


def closed_form(model: nn.Module, input_shape: tuple[int, ...], *, quantity: Quantity = "macs") -> ClosedForm:
    """Return ``quantity`` of ``model`` as a polynomial in batch, height and width around ``input_shape``.

    Args:
        model: any network on images; may be on meta. Left as it is.
        input_shape: ``[example, channel, height, width]``: a size it takes; those of its remainder follow.
        quantity: ``macs`` or ``elementwise_ops``. (A memory peak is a maximum, not a polynomial.)

    Raises:
        UsageError: the model does not run at ``input_shape``, or no polynomial passes at any step.
    """
    if len(input_shape) != 4:
        raise UsageError(f"a closed form is of images [example, channel, height, width], got {input_shape}")
    count = _Counter(model, input_shape[1], quantity)
    height, width = input_shape[2:]
    count(1, height, width)  # what does not run at the size given is refused with its own reason
    if not any(_runs(count, height + step, width + step) for step in (32, 224)):
        return _batch_only(count, height, width)
    square = height == width and not any(_runs(count, height + step, width) for step in (32, 224))
    for ladder, share in product(LADDERS, _LOWEST_SHARES):
        axes = [_Axes(step=step, sides=(height, width), share=share, square=square) for step in ladder]
        for passing in reversed(list(takewhile(lambda ax: _line_passes(count, ax), axes))):
            form = _form(count, passing)
            if form is not None:
                return form
    steps = sorted(step for ladder in LADDERS for step in ladder)
    raise UsageError(
        f"{type(model).__name__} has no closed form near {height} x {width} pixels: no polynomial of degree "
        f"{_DEGREE} a side agrees with recounting at any step of {', '.join(map(str, steps))} pixels"
    )


class _Counter:
    """Count a model at many sizes, each once; None where it does not run."""

    def __init__(self, model: nn.Module, channels: int, quantity: Quantity) -> None:
        self._model, self._channels, self.quantity = model, channels, quantity
        self._known: dict[tuple[int, int, int], int | UsageError] = {}

    def __call__(self, batch: int, height: int, width: int) -> int:
        """Return the count.

        Raises:
            UsageError: the model does not run there.
            UncountedError: an operator without formula: a closed form has no gaps.
        """
        key = (batch, height, width)
        if key not in self._known:
            try:
                cost = count_model(self._model, (batch, self._channels, height, width), strict=True)
                self._known[key] = getattr(cost, self.quantity)
            except UsageError as refusal:
                self._known[key] = refusal
        found = self._known[key]
        if isinstance(found, UsageError):
            raise found
        return found


def _runs(count: _Counter, height: int, width: int) -> bool:
    try:
        count(1, height, width)
    except UsageError:
        return False
    return True


# ---- interpolation and its checks ---------------------------------------------------------------


def _batch_only(count: _Counter, height: int, width: int) -> ClosedForm:
    """Return the form of a model that takes one size only."""
    slope = count(2, height, width) - count(1, height, width)
    constant = count(1, height, width) - slope
    checked = (3, 5)
    if any(count(batch, height, width) != constant + slope * batch for batch in checked):
        raise UsageError(f"the count at {height} x {width} pixels is no polynomial of degree 1 in the batch")
    coefficients = {(1, 0, 0): Fraction(slope), (0, 0, 0): Fraction(constant)}
    return ClosedForm(
        expression=_text(coefficients, ("batch", "height", "width")),
        variables=("batch",),
        valid=f"at {height} x {width} pixels, the only size near by that it takes; recounted at batch 3, 5",
        quantity=count.quantity,
        coefficients={k: c for k, c in coefficients.items() if c},
        step=0,
        smallest=(height, width),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axes:
    """The sizes one attempt works on: ``lowest + k * step``."""

    step: int
    sides: tuple[int, int]
    share: float
    square: bool

    @property
    def lowest(self) -> tuple[int, int]:
        """Return the smallest height and width verified, of the remainder of those given."""
        height, width = (side - self.step * int(side * (1 - self.share) / self.step) for side in self.sides)
        return height, width

    @property
    def far(self) -> int:
        """Return how many steps above the lowest sides the farthest checks lie: beyond the sides given."""
        return max(8, max(self.sides) // self.step)

    def size(self, h: int, w: int) -> tuple[int, int]:
        """Return height and width so many steps above the lowest; of squares ``h`` decides."""
        height = self.lowest[0] + h * self.step
        return height, height if self.square else self.lowest[1] + w * self.step


def _line_passes(count: _Counter, axes: _Axes) -> bool:
    """Whether the count along the height (of squares: the side) is a polynomial: a cheap first test."""

    def value(k: int) -> int:
        return count(1, *axes.size(k, 0))

    degree = 2 * _DEGREE if axes.square else _DEGREE
    points = range(degree + 1)
    try:
        line = _monomials(points, [Fraction(value(k)) for k in points])
        return all(_power_sum(line, k) == value(k) for k in (degree + 1, degree + 4, axes.far, axes.far + 3))
    except UsageError:
        return False  # the model does not take every size of this step


def _form(count: _Counter, axes: _Axes) -> ClosedForm | None:
    """Return the form at this step, or None where a recount disagrees or the model does not run."""
    far, low, square = axes.far, axes.lowest, axes.square
    in_height = range((2 if square else 1) * _DEGREE + 1)
    in_width = range(1 if square else _DEGREE + 1)
    checks = [(3, 5, 7), (2, far, 3), (1, 4, far + 1), (5, far + 3, far + 2)]
    try:
        values = {
            point: count(point[0], *axes.size(*point[1:])) for point in product(_BATCHES, in_height, in_width)
        }
        recounts = {(batch, *axes.size(h, w)): count(batch, *axes.size(h, w)) for batch, h, w in checks}
    except UsageError:
        return None
    positions = (
        list(_BATCHES),
        [low[0] + h * axes.step for h in in_height],
        [low[1] + w * axes.step for w in in_width],
    )
    coefficients = _interpolated(positions, [Fraction(value) for value in values.values()])
    names = ("batch", "side", "") if square else ("batch", "height", "width")
    form = ClosedForm(
        expression=_text(coefficients, names),
        variables=tuple(filter(None, names)),
        valid=_validity(axes, list(recounts)),
        quantity=count.quantity,
        coefficients=coefficients,
        step=axes.step,
        smallest=low,
    )
    agrees = all(form.at(batch=b, height=h, width=w) == n for (b, h, w), n in recounts.items())
    return form if agrees else None


def _validity(axes: _Axes, recounted: Sequence[tuple[int, ...]]) -> str:
    names = ("side",) if axes.square else ("height", "width")
    where = [
        f"{name} = {side % axes.step} mod {axes.step}, {side} or more"
        for name, side in zip(names, axes.lowest, strict=False)
    ]
    at = ", ".join("x".join(map(str, point)) for point in recounted)
    return f"{'; '.join(where)} pixels; beyond the interpolation recounted at batch x height x width {at}"


def _interpolated(
    positions: tuple[list[int], list[int], list[int]], values: list[Fraction]
) -> dict[tuple[int, int, int], Fraction]:
    """Return the monomials of the polynomial through ``values`` on the grid, last axis fastest."""
    sizes = [len(axis) for axis in positions]
    for axis in range(3):
        inner = sizes[axis + 1] * sizes[2] if axis == 0 else (sizes[2] if axis == 1 else 1)
        for start in range(len(values)):
            if (start // inner) % sizes[axis] == 0:
                places = [start + k * inner for k in range(sizes[axis])]
                line = _monomials(positions[axis], [values[place] for place in places])
                for place, coefficient in zip(places, line, strict=True):
                    values[place] = coefficient
    exponents = product(range(sizes[0]), range(sizes[1]), range(sizes[2]))
    return {powers: value for powers, value in zip(exponents, values, strict=True) if value}


def _monomials(points: Sequence[int], values: Sequence[Fraction]) -> list[Fraction]:
    """Return the coefficients, constant first, of the polynomial through the points (Newton)."""
    divided = list(values)
    for order in range(1, len(points)):
        for i in range(len(points) - 1, order - 1, -1):
            divided[i] = (divided[i] - divided[i - 1]) / (points[i] - points[i - order])
    expanded = [Fraction()] * len(points)
    for i in range(len(points) - 1, -1, -1):
        # expanded = expanded * (x - points[i]) + divided[i]
        shifted = [Fraction(), *expanded[:-1]]
        expanded = [up - points[i] * down for up, down in zip(shifted, expanded, strict=True)]
        expanded[0] += divided[i]
    return expanded


def _power_sum(coefficients: Sequence[Fraction], x: int) -> Fraction:
    return sum((c * x**power for power, c in enumerate(coefficients)), Fraction())


def _text(coefficients: Mapping[tuple[int, int, int], Fraction], names: tuple[str, str, str]) -> str:
    """Return the polynomial in Python's notation, in whole numbers over one denominator."""
    present = {powers: c for powers, c in coefficients.items() if c}
    if not present:
        return "0"
    denominator = lcm(*(c.denominator for c in present.values()))
    linear = all(powers[0] == 1 for powers in present)  # pulled out, as a rule
    terms: list[str] = []
    for powers in sorted(present, reverse=True):
        shown = (0, *powers[1:]) if linear else powers
        factors = [
            name if power == 1 else f"{name}**{power}"
            for name, power in zip(names, shown, strict=True)
            if power
        ]
        terms.append("*".join([str(int(present[powers] * denominator)), *factors]))
    joined = " + ".join(terms).replace("+ -", "- ")
    whole = joined if len(terms) == 1 else f"({joined})"
    whole = f"batch*{whole}" if linear else whole
    return whole if denominator == 1 else f"({whole})//{denominator}"

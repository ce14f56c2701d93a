"""Keep one formula per operator: registered once, found by name, never guessed."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from explorer.record import OpRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one operator call computes."""

    macs: int = 0
    """Multiply-accumulates of convolutions and matrix products."""
    elementwise_ops: int = 0
    """Everything else: one per element and step."""


Formula = Callable[[OpRecord], Work]
"""A pure function of the shapes and attributes of one operator call."""

_FORMULAS: dict[str, Formula] = {}
_IN_PLACE = re.compile(r"(?P<base>.*[^_])_")


def formula(*operators: str) -> Callable[[Formula], Formula]:
    """Register the decorated function as the formula of ``operators``.

    Raises:
        ValueError: an operator already has a formula.
    """

    def register(function: Formula) -> Formula:
        for operator in operators:
            if operator in _FORMULAS:
                raise ValueError(
                    f"operator {operator!r} already has the formula {_FORMULAS[operator].__name__}; "
                    f"{function.__name__} would replace it"
                )
            _FORMULAS[operator] = function
        return function

    return register


def find_formula(operator: str) -> Formula | None:
    """Return the formula of ``operator``, or None when it has none.

    An in-place operator (``add_``) has the formula of its twin (``add``): it computes the same.
    """
    if operator in _FORMULAS:
        return _FORMULAS[operator]
    in_place = _IN_PLACE.fullmatch(operator)
    return _FORMULAS.get(in_place["base"]) if in_place else None


def registered() -> Mapping[str, Formula]:
    """Return a read-only view of every registered formula, by operator."""
    return MappingProxyType(_FORMULAS)

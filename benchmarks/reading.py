"""What one counter said about one model, in the form that all counters are compared in."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A share of a counter's total that the counter itself gives."""

    path: str
    """Dotted path of the module it was counted in; empty where the counter names operators instead."""
    operator: str
    """Name the counter has for what it counted; empty where it names modules only."""
    macs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one counter reports for one model."""

    macs: int
    parts: tuple[Part, ...]
    """Add up to ``macs``."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """What the counter itself says it left out, and how often it met it (1 where it does not say)."""
    replaced: frozenset[str] = frozenset()
    """Modules whose own rule stands for everything inside: their children's counts are dropped."""
    biases: bool = False
    """Whether the counter's rules take the addition of a bias for a multiply-accumulate."""

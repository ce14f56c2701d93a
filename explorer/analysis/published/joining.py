"""Which row of a benchmark table is the cost of which scored weights.

A cost depends on the architecture and the image size, not on how the weights were trained: where a table
does not know the full name, ``resnet50.a1_in1k``, its row of ``resnet50`` at that size stands for it. The
numbers of parameters must agree: a benchmark run with another head timed another network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from explorer.data.timm_results import PARAMS_ROUNDING, AccuracyRow
from explorer.data.timm_tables import BenchmarkRow

_PARAMS_TOLERANCE = 0.01
"""Share by which numbers of parameters may differ, besides both being rounded."""


class JoinedBy(StrEnum):
    """What two rows were joined by; always at one image size."""

    NAME = "name"
    """Both tables have the full name."""
    ARCHITECTURE = "architecture"
    """The cost is that of the architecture, whatever the weights."""


class NotJoined(StrEnum):
    """Why scored weights have no cost."""

    ARCHITECTURE = "not in the cost table"
    SIZE = "in the cost table at other image sizes only"
    PARAMETERS = "another number of parameters: timed with another head"
    BATCH = "timed at another batch"
    FIGURE = "without this figure in the cost table"
    CATALOGUE = "of the catalogue: macs and parameters are counted, times are not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Scored weights and their cost."""

    scored: AccuracyRow
    timed: BenchmarkRow
    by: JoinedBy


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Two tables, joined."""

    joined: tuple[Joined, ...]
    left_out: Mapping[NotJoined, tuple[str, ...]]
    """Why -> ``model@size`` of the scored weights."""

    def count(self, by: JoinedBy) -> int:
        """Return how many rows were joined so."""
        return sum(one.by is by for one in self.joined)


def join(scored: Sequence[AccuracyRow], timed: Sequence[BenchmarkRow]) -> Join:
    """Give each scored row its cost, or the reason why it has none."""
    known = {row.key: row for row in timed}
    architectures = {row.model for row in timed}
    joined: list[Joined] = []
    left_out: dict[NotJoined, list[str]] = {}
    for row in scored:
        by, found = JoinedBy.NAME, known.get(row.key)
        if found is None:
            by, found = JoinedBy.ARCHITECTURE, known.get((row.architecture, row.resolution))
        if found is None:
            there = row.architecture in architectures or row.model in architectures
            why = NotJoined.SIZE if there else NotJoined.ARCHITECTURE
        elif found.params is not None and not _same_parameters(row.params, found.params):
            why = NotJoined.PARAMETERS
        else:
            joined.append(Joined(scored=row, timed=found, by=by))
            continue
        left_out.setdefault(why, []).append(f"{row.model}@{row.resolution}")
    return Join(joined=tuple(joined), left_out={why: tuple(names) for why, names in left_out.items()})


def _same_parameters(first: float, second: float) -> bool:
    """Tell whether two printed numbers, 1e6 parameters, may be of one network."""
    return abs(first - second) <= _PARAMS_TOLERANCE * max(first, second) + 2 * PARAMS_ROUNDING

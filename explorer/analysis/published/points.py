"""A published model as a point: one accuracy, one figure on each cost axis."""

from collections.abc import Mapping
from dataclasses import dataclass

from explorer.analysis.published.joining import JoinedBy
from explorer.data.catalogue import CatalogueRow
from explorer.data.timm_results import AccuracyRow
from explorer.data.timm_tables import BenchmarkRow
from explorer.record import CostFigure

TIMM = "timm:"
Scored = AccuracyRow | CatalogueRow
"""Weights with a published accuracy: of timm's table, or of the catalogue."""


def scored_name(row: Scored) -> str:
    """Return model and image size, and the source where a table has other weights of both."""
    apart = f" ({row.told_apart})" if isinstance(row, CatalogueRow) and row.told_apart else ""
    return f"{row.model}@{row.resolution}{apart}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A published accuracy and its 95 % interval."""

    value: float
    low: float | None
    """None where the number of images is not known."""
    high: float | None
    n: int | None
    """Images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPoint:
    """One set of published weights at one image size, with what it costs."""

    row: Scored
    accuracy: Share
    costs: tuple[CostFigure, ...]
    """One on each axis."""
    timed: tuple[BenchmarkRow | None, ...]
    """Where each cost stands; None: beside the accuracy."""
    joined_by: tuple[JoinedBy | None, ...]
    others: Mapping[str, Share]
    """Accuracy on the further test sets that it was scored on."""

    @property
    def design(self) -> str:
        """The model as the zoo names it, ``timm:resnet50.a1_in1k@224``, ``attentivenas-a0@192``."""
        return f"{'' if self.of_catalogue else TIMM}{self.name}"

    @property
    def name(self) -> str:
        """Model and image size in short."""
        return scored_name(self.row)

    @property
    def of_catalogue(self) -> bool:
        """Whether it is one of the zoo's networks, and not of timm's table."""
        return isinstance(self.row, CatalogueRow)

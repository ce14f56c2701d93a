"""What was published of a network: cost and accuracy, with the source and how it was counted there."""

from dataclasses import dataclass
from enum import StrEnum

PARAMETERS_TOLERANCE, MACS_TOLERANCE = 0.01, 0.03
"""Shares by which a count may be off what was published, beyond its rounding, and still agree."""


class Status(StrEnum):
    """How a figure got here. Figures merely recalled are not kept at all."""

    SEEN = "seen"
    """Read in the source named."""
    DERIVED = "derived"
    """Computed from what stands in the source, or counted on the source's own code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One row of a published table: a network at a resolution.

    Figures are those of the source, rounded as there. ``macs`` are multiply-adds counted once, whatever the
    source calls them; a source that counts each twice is halved here, and ``note`` says so.
    """

    model: str
    """A variant name that the zoo builds."""
    resolution: int
    """Pixels a side."""
    source: str
    """Paper and table, or repository and file."""
    status: Status = Status.SEEN
    parameters: float | None = None
    macs: float | None = None
    parameters_rounding: float = 0.0
    """Half of the last digit printed: 5e4 for "5.3M"."""
    macs_rounding: float = 0.0
    """Likewise, 5e6 for "0.39B"."""
    top1: float | None = None
    """Accuracy on the data set's test examples, a share."""
    dataset: str = "imagenet"
    channels: int = 3
    classes: int = 1000
    note: str = ""
    """How the source counts, where that is not plain."""
    departs: str = ""
    """Why the count here is not within 1 % (parameters) or 3 % (MACs); empty where it is. A test pins it."""

    def off(self, parameters: int, macs: int) -> dict[str, float]:
        """Return by what share a count is off this row, where that is beyond tolerance and rounding.

        Args:
            parameters: counted.
            macs: counted, of one example.
        """
        compared = (
            ("parameters", parameters, self.parameters, self.parameters_rounding, PARAMETERS_TOLERANCE),
            ("macs", macs, self.macs, self.macs_rounding, MACS_TOLERANCE),
        )
        return {
            what: here / there - 1
            for what, here, there, rounding, tolerance in compared
            if there is not None and abs(here - there) > tolerance * there + rounding
        }

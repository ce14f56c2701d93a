"""What becomes of a study's trainings, in a plan and in a run."""

from enum import StrEnum


class Fate(StrEnum):
    """What becomes of a training."""

    THERE = "there"
    """The store has its members."""
    FITS = "fits"
    """It ends within the time."""
    STARTS = "starts"
    """It gets some epochs further; the checkpoint stays."""
    LEFT = "left"
    """It is not begun."""
    DONE = "done"
    """This run made it."""
    STOPPED = "stopped"
    """This run made some epochs of it."""
    FAILED = "failed"

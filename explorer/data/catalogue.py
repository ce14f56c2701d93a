"""Published accuracies of the zoo's own networks, each with its cost as counted here.

A row is a network that the zoo builds, at one image size, with the accuracy that its source printed. How the
weights were trained the sources rarely say, so a row says nothing of it: two rows of one network are two
sets of weights, told apart by their source.
"""

import re
from dataclasses import dataclass

_TIMM_RESULTS = "timm, results/"
CATALOGUE = "catalogue"
"""Name of the table; one a data set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueRow:
    """One network at one image size: accuracy as published, cost as counted."""

    model: str
    """As the zoo names it."""
    family: str
    """What its line on a figure is called: the family, or of a supernet's sub-networks their first word."""
    subnetwork: bool
    """Whether it was found in a supernet that the zoo has."""
    resolution: int
    """Side of the square image in pixels."""
    top1: float
    """Share of images answered right, as printed."""
    macs: int
    """Multiply-adds of one example, counted here."""
    parameters: int
    """Learned numbers, counted here."""
    published_macs: float | None
    """As the source has them; None where it does not say."""
    published_parameters: float | None
    source: str
    """Who printed the accuracy, and where."""
    status: str
    """How the figure got here, e.g. ``seen``."""
    channels: int = 3
    classes: int = 1000
    macs_rounding: float = 0.0
    """Half of the last digit printed."""
    parameters_rounding: float = 0.0
    note: str = ""
    """How the source counts."""
    departs: str = ""
    """Why the count here is another one; empty where nothing is known."""
    told_apart: str = ""
    """Short name of the source, where the table has other weights of the same network and image size."""

    @property
    def architecture(self) -> str:
        """The model: a cost depends on nothing else."""
        return self.model

    @property
    def tag(self) -> str:
        """Empty: how the weights were trained is not known."""
        return ""

    @property
    def top5(self) -> None:
        """Not kept."""
        return None

    @property
    def params(self) -> float:
        """1e6 parameters."""
        return self.parameters / 1e6

    @property
    def key(self) -> tuple[str, int, float]:
        """Model, image size and accuracy: what stands once in a table."""
        return self.model, self.resolution, self.top1

    @property
    def of_timm(self) -> bool:
        """Whether the accuracy is from timm's own table."""
        return self.source.startswith(_TIMM_RESULTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueTable:
    """The rows of one data set."""

    name: str
    test_set: str
    examples: int
    """Images scored."""
    counted_by: str
    """Version and convention of the counts."""
    rows: tuple[CatalogueRow, ...]
    notes: tuple[str, ...] = ()


def short_source(source: str) -> str:
    """Return who published it: a repository, or a paper's number.

    >>> short_source("osmr/imgclsmob:pytorch/README.md"), short_source("arXiv 1905.11946, Table 2")
    ('osmr/imgclsmob', 'arXiv 1905.11946')
    >>> short_source("README of github.com/quark0/darts"), short_source("facebookresearch/AlphaNet README.md")
    ('quark0/darts', 'facebookresearch/AlphaNet')
    """
    plain = source.removeprefix("README of ").removeprefix("github.com/")
    return re.split(r"[:,;(]| README| logs", plain, maxsplit=1)[0].strip()

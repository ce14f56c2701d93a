"""Members' probabilities made ready to score many sets of them exactly."""

from typing import Protocol

import numpy as np

from explorer.analysis.blocks import Members
from explorer.analysis.scoring.combine import EXACT
from explorer.analysis.scoring.entries import entries
from explorer.analysis.scoring.margins import margins
from explorer.spec import Averaging


class AnswerTable(Protocol):
    """What `Margins` and `Entries` have in common."""

    @property
    def examples(self) -> int:
        """Of the split, the settled ones included."""

    @property
    def always_right(self) -> np.ndarray:
        """Examples that every average answers right, int64 ``[settled]``."""

    @property
    def undecided(self) -> np.ndarray:
        """Examples that some averages answer right and others wrong, int64 ``[undecided]``."""

    def right(self, sets: np.ndarray) -> np.ndarray:
        """Return which undecided examples each set of members answers right, uint8 ``[set, undecided]``."""


def answer_table(members: Members, labels: np.ndarray, averaging: Averaging = Averaging.MEAN) -> AnswerTable:
    """Prepare a split for scoring: margins in whole numbers where the rule allows, else sums of logarithms.

    Args:
        members: float16 probabilities of each member.
        labels: int ``[example]``.
        averaging: the rule.

    Raises:
        InputDataError: probabilities or labels of the wrong shape.
    """
    if averaging in EXACT:
        return margins(members, labels, averaging)
    return entries(members, labels, averaging)


def right_everywhere(table: AnswerTable, sets: np.ndarray) -> np.ndarray:
    """Return which of all examples each set of members answers right, uint8 ``[set, example]``."""
    right = np.zeros((len(sets), table.examples), np.uint8)
    right[:, table.always_right] = 1
    right[:, table.undecided] = table.right(sets)
    return right

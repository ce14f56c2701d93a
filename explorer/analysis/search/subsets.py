"""Right answers of every set of members, one vector addition and one count a set."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import comb
from typing import TypeVar

import numpy as np

from explorer.analysis.scoring.combine import MOST_MEMBERS
from explorer.analysis.scoring.margin_kernels import count_combinations
from explorer.analysis.scoring.margins import Margins
from explorer.errors import UsageError

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def subset_counts(margins: Margins, size: int) -> np.ndarray:
    """Count the right answers of every set of ``size`` distinct members, int32 ``[set]``.

    The sets are in the order of ``itertools.combinations(range(members), size)``.

    Args:
        margins: of a split.
        size: members of a set.

    Raises:
        UsageError: fewer than one member or more than there are.
    """
    members = margins.members
    if not 1 <= size <= min(members, MOST_MEMBERS):
        raise UsageError(f"sets of 1 to {min(members, MOST_MEMBERS)} members can be counted, got {size}")
    counts = np.empty(comb(members, size), np.int32)
    starts = [0]
    for first in range(members - size + 1):
        starts.append(starts[-1] + comb(members - first - 1, size - 1))
    tables = (margins.table, margins.bias, margins.groups)

    def work(first: int) -> None:
        count_combinations(first, size, tables, counts[starts[first] : starts[first + 1]])

    for _ in in_threads(work, range(members - size + 1)):
        pass
    counts += len(margins.always_right)
    return counts


def in_threads(work: Callable[[_Given], _Made], given: Sequence[_Given]) -> Iterator[_Made]:
    """Yield ``work`` of each in order, on as many threads as cores; the kernels release the lock."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads == 1 or len(given) == 1:
        yield from map(work, given)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(work, given)

"""RegNet: the widths of all blocks from three numbers (arXiv 2003.13678, section 3.3, equations 2 to 4).

Block j wants u_j = w_0 + w_a * j channels. That is rounded to w_0 * w_m^s_j with whole s_j, then to a
multiple of 8; blocks of equal width are a stage. Widths are then made multiples of the group width.
"""

import math
from collections import Counter
from dataclasses import dataclass

from zoo.registry import ZooError

QUANTUM = 8
"""Widths are multiples of this many channels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """What the quantised-linear rule gives."""

    widths: tuple[int, ...]
    """Channels of each stage."""
    depths: tuple[int, ...]
    """Blocks of each stage."""
    groups: tuple[int, ...]
    """Channels of a group of each stage's 3x3 convolutions; they divide the widths."""


def quantised_linear(
    slope: float, initial: int, ratio: float, depth: int, group_width: int, *, quantum: int = QUANTUM
) -> Stages:
    """Return widths, depths and group widths of the stages.

    Args:
        slope: w_a, channels that each block has more than the one before.
        initial: w_0, channels of the first block; a multiple of ``quantum``.
        ratio: w_m, by how much a stage is wider than the one before.
        depth: blocks.
        group_width: channels of a group; narrower stages have one group.
        quantum: widths are rounded to multiples of it.

    Raises:
        ZooError: numbers that the rule is not for.
    """
    if not (slope >= 0 and initial > 0 and ratio > 1 and depth >= 1 and group_width >= 1):
        raise ZooError(
            "quantised-linear widths need slope >= 0, first width > 0, ratio > 1, depth >= 1 and group width "
            f">= 1, got {slope}, {initial}, {ratio}, {depth}, {group_width}"
        )
    if initial % quantum:
        raise ZooError(f"the first width must be a multiple of {quantum}, got {initial}")
    counts: Counter[int] = Counter()
    for block in range(depth):
        steps = round(math.log((initial + slope * block) / initial) / math.log(ratio))
        counts[round(initial * ratio**steps / quantum) * quantum] += 1
    wanted = sorted(counts)
    groups = tuple(min(group_width, width) for width in wanted)
    widths = tuple(round(width / group) * group for width, group in zip(wanted, groups, strict=True))
    return Stages(widths=widths, depths=tuple(counts[width] for width in wanted), groups=groups)

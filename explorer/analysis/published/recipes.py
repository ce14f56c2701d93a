"""Free accuracy: one architecture at one image size costs the same whatever its training recipe.

Only recipes that saw the same training data are compared: weights that were pretrained on more images, or
that learned from a teacher, paid elsewhere. What a recipe saw stands in the tag of the weights.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from explorer.analysis.published.points import PublishedPoint, Share

NEAR = 0.01
"""Accuracy that a model may lack to the best with its training data at its cost, and still be near it."""
_DATA = re.compile(
    r"in12k|in21k|in22k|ig[0-9]+[bm]|laion[a-z0-9]*|jft[0-9a-z]*|webli|clip|openai|dfn[0-9a-z]*|datacomp[0-9a-z]*"
    r"|yfcc[0-9a-z]*|swag|seer|m30m|m38m|[0-9]+m|indomain|ns|ssl|swsl|wsl"
)
_TEACHER = re.compile(r"dist|distilled|teacher|ssld|usi")
TEACHER = "teacher"


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeAccuracy:
    """What the best recipe of an architecture has over the worst one, at one cost and on the same data."""

    before: PublishedPoint
    after: PublishedPoint
    data: tuple[str, ...]
    """What both learned from besides ImageNet-1k: empty: nothing."""
    gain: float
    low: float | None
    """Of the 95 % interval, as if scored on different images: wider than a paired one."""
    high: float | None
    near_front: bool
    """Whether the better one is on the front of all with its training data, or close under it."""


_TAUGHT = ("beitv2_",)
"""Beginnings of architectures whose tags do not say it: BEiT v2 learns to predict CLIP's features
(arXiv 2208.06366)."""


def training_data(tag: str, architecture: str = "") -> tuple[str, ...] | None:
    """Return what weights learned from besides ImageNet-1k, from their tag; None: the tag does not say.

    >>> training_data("a1_in1k"), training_data("fb_in22k_ft_in1k_384"), training_data("fb_dist_in1k")
    ((), ('in22k',), ('teacher',))
    """
    parts = tag.split("_")
    if "in1k" not in parts:
        return None
    found = {part for part in parts if _DATA.fullmatch(part)}
    if any(_TEACHER.fullmatch(part) for part in parts) or architecture.startswith(_TAUGHT):
        found.add(TEACHER)
    return tuple(sorted(found))


def free_accuracy(models: Sequence[PublishedPoint]) -> tuple[FreeAccuracy, ...]:
    """Return for every architecture, image size and training data with several recipes the whole gain.

    Args:
        models: all that have accuracy and costs.
    """
    groups: dict[tuple[str, int, tuple[str, ...]], list[PublishedPoint]] = {}
    alike: dict[tuple[str, ...], list[PublishedPoint]] = {}
    for model in models:
        data = training_data(model.row.tag, model.row.architecture)
        if data is not None:
            groups.setdefault((model.row.architecture, model.row.resolution, data), []).append(model)
            alike.setdefault(data, []).append(model)
    found = []
    for (_, _, data), members in groups.items():
        if len(members) < 2:
            continue
        before = min(members, key=lambda one: (one.accuracy.value, one.row.tag))
        after = max(members, key=lambda one: (one.accuracy.value, one.row.tag))
        gain = after.accuracy.value - before.accuracy.value
        if gain > 0:
            low, high = difference(before.accuracy, after.accuracy)
            near = _near(after, alike[data])
            found.append(
                FreeAccuracy(
                    before=before, after=after, data=data, gain=gain, low=low, high=high, near_front=near
                )
            )
    return tuple(sorted(found, key=lambda one: (-one.gain, one.after.design)))


def difference(before: Share, after: Share) -> tuple[float | None, float | None]:
    """Return the interval of ``after - before``, as if the two were scored on different images.

    Ends of the two intervals joined in quadrature (Newcombe 1998, Statistics in Medicine 17:873, method 10).
    """
    if before.low is None or before.high is None or after.low is None or after.high is None:
        return None, None
    gain = after.value - before.value
    return (
        gain - math.hypot(after.value - after.low, before.high - before.value),
        gain + math.hypot(after.high - after.value, before.value - before.low),
    )


def _near(model: PublishedPoint, others: Sequence[PublishedPoint]) -> bool:
    """Tell whether no other one that costs no more is much more accurate."""
    best = max(
        other.accuracy.value
        for other in others
        if all(own.value <= its.value for own, its in zip(other.costs, model.costs, strict=True))
    )
    return best - model.accuracy.value <= NEAR

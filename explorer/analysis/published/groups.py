"""Fronts of groups of published models side by side: what each group costs at one accuracy.

A group is of one kind (networks of the catalogue, sub-networks of supernets, timm's weights by what they
learned from) or of one family. Its ensembles are predicted from its own models, so that what the ensembles
are compared with is not trained on more than their members were.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np

from explorer.analysis.published.ensembles import PredictedEnsemble, all_ensembles, with_rival
from explorer.analysis.published.points import PublishedPoint
from explorer.analysis.published.recipes import training_data
from explorer.analysis.search.pareto import nondominated
from explorer.convention import CostKind
from explorer.data.catalogue import CatalogueRow

NETWORKS, SUBNETWORKS = "networks of the catalogue", "sub-networks of supernets"
TIMM_ALONE, TIMM_MORE = "timm, ImageNet-1k alone", "timm, more data or a teacher"
TIMM_UNKNOWN = "timm, training not stated"
_FAMILY = re.compile(r"(?:tf_)?([a-z]+?(?:v[0-9]+)?)(?=[0-9_]|$)")


class Grouping(StrEnum):
    """What models are put together by."""

    KIND = "kind"
    FAMILY = "family"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Models that belong together, and what is best among them."""

    name: str
    models: int
    points: tuple[PublishedPoint, ...]
    """Its own front, by rising cost."""
    ensembles: tuple[PredictedEnsemble, ...]
    """The front of ensembles of its own models, by rising cost; empty where none were asked for. Rivals are
    the singles of all groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """The cheapest of a group that reaches an accuracy."""

    level: float
    group: str
    point: PublishedPoint | PredictedEnsemble

    @property
    def surely(self) -> bool:
        """Whether the whole interval of its accuracy is above; otherwise one cannot tell."""
        low = self.point.accuracy.low
        return low is not None and low >= self.level

    @property
    def cost(self) -> float:
        """On the one axis that groups are laid side by side over."""
        return self.point.costs[0].value


def group_models(
    models: Sequence[PublishedPoint],
    front: Sequence[PublishedPoint],
    grouping: Grouping,
    kinds: Sequence[CostKind],
    members: int,
) -> tuple[Group, ...]:
    """Return each group's own front, groups by name.

    Args:
        models: all, with their costs.
        front: of all groups together.
        grouping: by what.
        kinds: of the cost axes.
        members: predict ensembles of 2 to so many; 0: none.

    Raises:
        UsageError: one member.
    """
    found: dict[str, list[PublishedPoint]] = {}
    for model in models:
        found.setdefault(group_of(model, grouping), []).append(model)
    groups = []
    for name, own in sorted(found.items()):
        points = _best(own)
        # what beats a model beats its ensembles likewise: those of the front's models are all that count
        made = _best(all_ensembles(points, kinds, members)) if members else ()
        ensembles = tuple(with_rival(one, front) for one in made)
        groups.append(Group(name=name, models=len(own), points=points, ensembles=ensembles))
    return tuple(groups)


def cheapest(groups: Sequence[Group], levels: Sequence[float]) -> tuple[Reached, ...]:
    """Return for each accuracy the cheapest single and ensemble of each group that reaches it.

    By rising accuracy, then cost. An accuracy counts as it is printed or predicted; its interval may
    begin below, `Reached.surely` says so.
    """
    found = []
    for level in sorted(levels):
        here = []
        for group in groups:
            for points in (group.points, group.ensembles):
                reaching = [point for point in points if point.accuracy.value >= level]
                if reaching:
                    best = min(reaching, key=lambda one: (one.costs[0].value, -one.accuracy.value))
                    here.append(Reached(level=level, group=group.name, point=best))
        found += sorted(here, key=lambda one: (one.cost, one.group))
    return tuple(found)


def group_of(model: PublishedPoint, grouping: Grouping) -> str:
    """Return the name of the group that a model is of."""
    return kind_of(model) if grouping is Grouping.KIND else family_of(model)


def kind_of(model: PublishedPoint) -> str:
    """Return which kind a model is of."""
    if isinstance(model.row, CatalogueRow):
        return SUBNETWORKS if model.row.subnetwork else NETWORKS
    data = training_data(model.row.tag, model.row.architecture)
    if data is None:
        return TIMM_UNKNOWN
    return TIMM_MORE if data else TIMM_ALONE


def family_of(model: PublishedPoint) -> str:
    """Return which family a model is of; of timm's, what its name begins with: ``timm:resnet``."""
    if isinstance(model.row, CatalogueRow):
        return model.row.family
    return f"timm:{family_of_name(model.row.architecture)}"


def family_of_name(architecture: str) -> str:
    """Return what a name of timm's begins with.

    >>> family_of_name("resnet50"), family_of_name("tf_efficientnetv2_s")
    ('resnet', 'efficientnetv2')
    """
    match = _FAMILY.match(architecture)
    return match[1] if match else architecture


_Point = TypeVar("_Point", bound=PublishedPoint | PredictedEnsemble)


def _best(points: Sequence[_Point]) -> tuple[_Point, ...]:
    """Return those that no other one beats, by rising first cost."""
    objectives = np.array([[*(cost.value for cost in one.costs), one.accuracy.value] for one in points])
    keep = nondominated(objectives, maximise=(*(False for _ in points[0].costs), True))
    kept = [one for one, stays in zip(points, keep, strict=True) if stays]
    return tuple(sorted(kept, key=lambda one: (*(cost.value for cost in one.costs), one.accuracy.value)))

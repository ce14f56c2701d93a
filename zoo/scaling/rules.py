"""The rules applied: a family, a rule and a size give the name of a network and its resolution.

A *size* is the MACs aimed at over those of the family's base network. Families with the knobs ``width`` (a
real number), ``depth`` (a real number) or blocks a stage are scaled along those; all along the resolution.
"""

import dataclasses
import math
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from zoo.registry import IMAGENET_CLASSES, Family, ZooError, family_of, registered_families
from zoo.scaling.efficientnet import BASE_RESOLUTION
from zoo.scaling.efficientnetv2 import efficientnetv2
from zoo.scaling.factors import (
    Scale,
    compound_macs,
    depth_only,
    fast,
    resolution_only,
    width_only,
)
from zoo.scaling.resnet_rs import resnet_rs
from zoo.scaling.rounding import round_channels, round_repeats, round_resolution
from zoo.scaling.tiny import LEAST_SHARE, MOST_SHARE, tiny, tiny_point

ALL_AXES = frozenset({"width", "depth", "resolution"})
SMALL_RESOLUTION = 32
"""Pixels a side of the images that small-image families are made for."""
_BLOCKS_A_STAGE = ("blocks", "repeats", "depths", "layers")
"""Knobs that are blocks a stage, whatever a family calls them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network and where it runs."""

    model: str
    """A variant name."""
    resolution: int
    """Pixels a side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalable:
    """A family with scaling knobs, seen from one base network."""

    family: Family
    base: Network
    axes: frozenset[str]
    """What can be scaled of it: width, depth, resolution."""
    joint: bool = False
    """Whether its one knob moves all three at once, by the compound rule."""

    def fit(self, scale: Scale) -> Network:
        """Return the base network times ``scale``, rounded as the family rounds.

        Raises:
            ZooError: a knob would leave its range.
        """
        config = self.family.parse(self.base.model)
        side = round_resolution(self.base.resolution * scale.resolution, 2, 8)
        config = _FITS.get(self.family.name, _fit_fields)(config, scale, side)
        return _at_default(self.family, config) if self.joint else _named(self.family, config, side)


def scalable(name: str) -> Scalable:
    """Return the family of ``name``, which is a family's, a system's key (``resnet-rs``) or a variant's.

    Raises:
        ZooError: no such name, or the family has no scaling knobs.
    """
    family = registered_families().get(name) or _of_system(name) or family_of(name)
    known = name in (family.name, *family.systems) and name not in family.variants
    text = _BASES.get(family.name, family.example) if known else name
    config = family.parse(text)
    axes = _axes(family, config)
    if axes <= {"resolution"}:
        raise ZooError(f"{family.name} has no scaling knobs; these have: {', '.join(scalable_families())}")
    joint = family.name == "mobile"
    base = _at_default(family, config)
    return Scalable(family=family, base=base, axes=axes, joint=joint)


def scalable_families() -> tuple[str, ...]:
    """Return the names of the families that have scaling knobs."""
    return tuple(
        family.name
        for family in registered_families().values()
        if family.name != "timm"  # its names take seconds to read, and hold no knobs
        and not _axes(family, family.parse(_BASES.get(family.name, family.example))) <= {"resolution"}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One way to spend MACs."""

    name: str
    summary: str
    source: str
    network: Callable[[Scalable, float], Network]
    """``(scalable, size)`` -> network.

    Raises `ZooError` where the size or a knob leaves its range."""
    axes: frozenset[str] = frozenset()
    """What a family must be scalable along."""
    families: tuple[str, ...] = ()
    """Families it is for; empty: any with the axes."""
    low: float = 1 / 1024
    high: float = 4096.0
    """Sizes it is asked for."""

    def applies(self, to: Scalable) -> bool:
        """Tell whether the rule can scale this family."""
        if to.joint:
            return self.name == "compound"
        return self.axes <= to.axes and (not self.families or to.family.name in self.families)


def rules_for(to: Scalable) -> tuple[Rule, ...]:
    """Return the rules that can scale a family."""
    return tuple(rule for rule in RULES.values() if rule.applies(to))


def knobs_of(model: str) -> dict[str, Any]:
    """Return the knobs of a variant by name."""
    config = family_of(model).parse(model)
    if not dataclasses.is_dataclass(config):
        return {}
    found = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    if "depth" not in found and hasattr(config, "depth"):
        found["depth"] = config.depth
    return found


def _of_system(name: str) -> Family | None:
    found = [family for family in registered_families().values() if name in family.systems]
    return found[0] if len(found) == 1 else None


def _at_default(family: Family, config: Any) -> Network:
    native = BASE_RESOLUTION if family.classes == IMAGENET_CLASSES else SMALL_RESOLUTION
    return _named(family, config, family.default_resolution(config, native))


def _named(family: Family, config: Any, side: int) -> Network:
    """Return the network under its published name where only the resolution differs from that."""
    if hasattr(config, "resolution"):
        for name, known in family.variants.items():
            if dataclasses.replace(config, resolution=known.resolution) == known:
                return Network(model=name, resolution=side)
    return Network(model=family.format(config), resolution=side)


_BASES = {
    "efficientnet": "efficientnet-b0",
    "tinynet": f"tinynet-width1-depth1-resolution{BASE_RESOLUTION}",
    "efficientnetv2": "efficientnetv2-b0",
    "resnet_rs": "resnetrs-50",
    "regnet": "regnetx-400mf",
    "mobile": "mobile-x1",
}
"""Family -> network that sizes are counted from; for others the family's example."""


def _axes(family: Family, config: Any) -> frozenset[str]:
    if family.name in ("regnet", "wide_resnet", "mobile", "efficientnetv2"):
        return ALL_AXES
    if not dataclasses.is_dataclass(config):
        return frozenset()
    kinds = typing.get_type_hints(type(config))
    found = {axis for axis in ("width", "depth") if kinds.get(axis) is float}
    if any(kinds.get(knob) == tuple[int, ...] for knob in _BLOCKS_A_STAGE):
        found.add("depth")
    return frozenset(found | {"resolution"})


def _fit_fields(config: Any, scale: Scale, side: int) -> Any:
    """Scale the knobs that say width, depth, blocks a stage and resolution by their names."""
    kinds = typing.get_type_hints(type(config))
    changed: dict[str, object] = {}
    for axis in ("width", "depth"):
        if kinds.get(axis) is float:
            changed[axis] = round(getattr(config, axis) * getattr(scale, axis), 4)
    for knob in _BLOCKS_A_STAGE:
        if kinds.get(knob) == tuple[int, ...]:
            changed[knob] = tuple(round_repeats(n * scale.depth) if n else 0 for n in getattr(config, knob))
    if kinds.get("resolution") is int:
        changed["resolution"] = side
    return dataclasses.replace(config, **changed)


def _fit_efficientnetv2(config: Any, scale: Scale, side: int) -> Any:
    wide = {knob: round_channels(getattr(config, knob) * scale.width, 8) for knob in ("stem", "head")}
    channels = tuple(round_channels(n * scale.width, 8) if n else 0 for n in config.channels)
    fitted = _fit_fields(config, scale, side)
    return dataclasses.replace(fitted, channels=channels, **wide)


def _fit_regnet(config: Any, scale: Scale, side: int) -> Any:
    """Scale the widths of the first and the last block, and the blocks between; the stages stay as many."""
    depth = max(2, round_repeats(config.depth * scale.depth))
    last = config.width + config.slope * (config.depth - 1)
    steps = math.log(last / config.width) / math.log(config.ratio)
    width = round_channels(config.width * scale.width, 8, least_share=0.0)
    return dataclasses.replace(
        config,
        slope=round(max(0.0, last * scale.width - width) / (depth - 1), 4),
        width=width,
        ratio=round(max(1.05, (last * scale.width / width) ** (1 / steps)), 4),
        group_width=round_channels(config.group_width * scale.width, 8, least_share=0.0),
        depth=depth,
        resolution=side,
    )


def _fit_wide_resnet(config: Any, scale: Scale, side: int) -> Any:
    """Scale the blocks of a group, and the width."""
    blocks = round_repeats(config.blocks * scale.depth)
    return dataclasses.replace(config, depth=6 * blocks + 4, width=round(config.width * scale.width, 4))


def _fit_mobile(config: Any, scale: Scale, side: int) -> Any:
    return dataclasses.replace(config, size=round(config.size * scale.macs, 4))


_FITS: Mapping[str, Callable[[Any, Scale, int], Any]] = {
    "efficientnetv2": _fit_efficientnetv2,
    "regnet": _fit_regnet,
    "wide_resnet": _fit_wide_resnet,
    "mobile": _fit_mobile,
}


def _by(scale: Callable[[float], Scale]) -> Callable[[Scalable, float], Network]:
    return lambda to, size: to.fit(scale(size))


def _tiny(to: Scalable, size: float) -> Network:
    if to.family.name != "tinynet":
        return to.fit(tiny(size))
    point = tiny_point(size)
    config = to.family.configure(width=point.width, depth=point.depth, resolution=point.resolution)
    return _at_default(to.family, config)


def _resnet_rs(to: Scalable, size: float, *, overfitting: bool) -> Network:
    found = resnet_rs(size, overfitting=overfitting)
    config = to.family.configure(
        blocks=found.blocks, width=round(found.width, 4), resolution=found.resolution
    )
    return _at_default(to.family, config)


def _efficientnetv2(to: Scalable, size: float) -> Network:
    from zoo.families.efficientnetv2 import of_network  # the families import this package

    return _at_default(to.family, of_network(efficientnetv2(size)))


RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            name="compound",
            summary="depth, width and resolution together: 1.2^phi, 1.1^phi, 1.15^phi",
            source="arXiv 1905.11946, equation 3",
            network=_by(compound_macs),
            axes=ALL_AXES,
        ),
        Rule(
            name="tiny",
            summary="downwards: keep resolution and depth, narrow instead",
            source="arXiv 2010.14819, between TinyNet-A to E",
            network=_tiny,
            axes=ALL_AXES,
            families=("efficientnet", "tinynet", "resnet_rs"),
            low=LEAST_SHARE,
            high=MOST_SHARE,
        ),
        Rule(
            name="fast",
            summary="mostly wider: depth size^0.1, width size^0.4, resolution size^0.05",
            source="arXiv 2103.06877, exponents of timm's RegNet",
            network=_by(fast),
            axes=ALL_AXES,
        ),
        Rule(
            name="resnet-rs",
            summary="deeper, resolution slowly: where overfitting is likely",
            source="arXiv 2103.07579, between the published steps",
            network=lambda to, size: _resnet_rs(to, size, overfitting=True),
            families=("resnet_rs",),
            low=1.0,
            high=34.75,
        ),
        Rule(
            name="resnet-rs-width",
            summary="wider, resolution slowly: where overfitting is unlikely",
            source="arXiv 2103.07579",
            network=lambda to, size: _resnet_rs(to, size, overfitting=False),
            families=("resnet_rs",),
            low=1.0,
            high=34.75,
        ),
        Rule(
            name="efficientnetv2",
            summary="later stages grow more, resolution at most 480",
            source="arXiv 2104.00298, between the published networks",
            network=_efficientnetv2,
            families=("efficientnetv2",),
            low=1.0,
            high=56.3 / 0.72,
        ),
        Rule(
            name="width",
            summary="every layer sqrt(size) times as wide",
            source="uniform",
            network=_by(width_only),
            axes=frozenset({"width"}),
        ),
        Rule(
            name="depth",
            summary="size times as many blocks",
            source="uniform",
            network=_by(depth_only),
            axes=frozenset({"depth"}),
        ),
        Rule(
            name="resolution",
            summary="images sqrt(size) times as large a side",
            source="uniform",
            network=_by(resolution_only),
            axes=frozenset({"resolution"}),
        ),
    )
}
"""Rules by name. ``published``, the choice among published variants, needs no size and is no rule here."""

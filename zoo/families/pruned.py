"""Any network of the zoo with a share of its channels cut out: ``NAME+prunedSHARE`` (arXiv 2301.12900).

The shape depends on the name alone, so a pruned member can be rebuilt from it and counted without its
weights. Built anew, a pruned network keeps the first channels of the initial weights: what training such
a network from scratch starts from.
"""

import difflib
import re
from dataclasses import dataclass

from torch import nn

from zoo import registry
from zoo.compress.pruning import MOST_SHARE, pruned, ratio_or_raise
from zoo.knobs import shortest
from zoo.published import Published
from zoo.registry import IMAGENET_CLASSES, SMALL_CLASSES, Family, ZooError

_NAME = re.compile(r"(?P<base>.+)\+pruned(?P<ratio>[0-9]*\.?[0-9]+)", re.IGNORECASE)
_TRACED_PIXELS = 32
"""Native size whose default resolution is traced where nobody names a resolution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedConfig:
    """A network and the share of channels that it lost."""

    base: str
    """Variant name; kept in its canonical spelling."""
    ratio: float
    """Share of the channels of each group of coupled layers that is cut."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", registry.canonical_name(self.base))
        ratio_or_raise(self.ratio)


def pruned_name(base: str, ratio: float) -> str:
    """Return the canonical name of ``base`` with the share ``ratio`` of its channels cut.

    Raises:
        ZooError: no such base, or a ratio out of range.
    """
    return _format(PrunedConfig(base=base, ratio=ratio))


def pruned_ratio(name: str, base: str) -> float | None:
    """Return the share of ``base``'s channels that the network ``name`` lacks; None where it is no cut of it.

    Raises:
        ZooError: no such network.
    """
    family = registry.family_of(name)
    config = family.parse(registry.canonical_name(name))
    if not isinstance(config, PrunedConfig) or config.base != registry.canonical_name(base):
        return None
    return config.ratio


def _parse(text: str, classes: int) -> PrunedConfig | None:
    match = _NAME.fullmatch(text)
    if match is None or registry.family_of(match["base"]).classes != classes:
        return None
    return PrunedConfig(base=match["base"], ratio=float(match["ratio"]))


def _format(config: PrunedConfig) -> str:
    return f"{config.base}+pruned{shortest(config.ratio)}"


def _build(config: PrunedConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    side = resolution or registry.default_resolution(config.base, _TRACED_PIXELS)

    def make(classes: int) -> nn.Module:
        return registry.build(
            config.base, in_channels=in_channels, num_classes=classes, resolution=resolution or side
        )

    try:
        return pruned(
            make(num_classes),
            make,
            classes=num_classes,
            ratio=config.ratio,
            shape=(in_channels, side, side),
        )
    except ZooError as error:
        raise ZooError(f"{_format(config)}: {error}") from error


def _near(text: str) -> tuple[str, ...]:
    base, plus, rest = text.rpartition("+")
    if not plus or difflib.SequenceMatcher(None, re.sub(r"[0-9.]+", "", rest), "pruned").ratio() < 0.75:
        return ()
    share = re.search(r"[0-9]*\.?[0-9]+", rest)
    try:
        return (pruned_name(base, float(share[0]) if share else 0.5),)
    except ZooError:
        return ()


PUBLISHED = (
    Published(
        model="timm:resnet18+pruned0.5",
        resolution=224,
        source="VainF/Torch-Pruning:README.md",
        parameters=3.05588e6,
        macs=0.487202536e9,
        note="all groups at half their channels, classifier kept; MACs with norms",
    ),
)


def _family(name: str, classes: int, example: str, made_for: str) -> Family:
    return Family(
        name=name,
        summary=f"any network for {made_for} with a share of its channels cut (DepGraph, arXiv 2301.12900)",
        example=example,
        pattern_help="NAME+prunedSHARE",
        knobs={
            "base": f"name of a network made for {made_for}",
            "ratio": f"share of the channels of every group of coupled layers, 0.01 to {MOST_SHARE}",
        },
        parse=lambda text: _parse(text, classes),
        configure=PrunedConfig,
        build=_build,
        format=_format,
        default_resolution=lambda config, native: registry.default_resolution(config.base, native),
        near=_near,
        systems=("depgraph",),
        published=PUBLISHED if classes == IMAGENET_CLASSES else (),
        classes=classes,
        suffix=True,
    )


FAMILIES = (
    _family("pruned", SMALL_CLASSES, "wrn16-1+pruned0.5", "small images"),
    _family("pruned_imagenet", IMAGENET_CLASSES, "timm:resnet50+pruned0.5", "ImageNet"),
)

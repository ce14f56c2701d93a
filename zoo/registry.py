"""Model families by name: one line of text says which network to build.

A *variant name* (``wrn16-4``, ``mlp64x2``, ``mobile-x0.5``, ``timm:resnet50``) or a *family name* with
knobs (``wide_resnet`` with ``depth=16, width=4``) leads to one frozen config; the config builds the module.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from torch import nn

from zoo.published import Published


class ZooError(ValueError):
    """Something the zoo refuses: an unknown name, an impossible knob, damaged or foreign input."""


SMALL_CLASSES, IMAGENET_CLASSES = 10, 1000


def _no_names(text: str) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family of networks: how its names read, and what they build. Configs are frozen values."""

    name: str
    """What a person calls the family, e.g. ``wide_resnet``."""
    summary: str
    """One line: what it is and where it comes from."""
    example: str
    """A variant name that builds."""
    pattern_help: str
    """How variant names are written, e.g. ``wrnDEPTH-WIDTH``."""
    knobs: Mapping[str, str]
    """Knob name -> one line on its meaning and range."""
    parse: Callable[[str], Any | None]
    """Variant name -> config; None when the text is not of this family.

    Raises `ZooError` when the text is of this family but asks for what cannot be built."""
    configure: Callable[..., Any]
    """Knobs as keywords -> config; usually the config class itself."""
    build: Callable[[Any, int, int, int | None], nn.Module]
    """``(config, in_channels, num_classes, resolution)`` -> module from images to logits."""
    format: Callable[[Any], str]
    """Config -> canonical variant name; ``parse(format(config)) == config``."""
    default_resolution: Callable[[Any, int], int]
    """``(config, native)`` -> pixels a side this variant wants for images of ``native`` pixels a side."""
    near: Callable[[str], tuple[str, ...]] = _no_names
    """Text no family knows -> variant names of this family that may have been meant."""
    systems: tuple[str, ...] = ()
    """Keys of the catalogue's systems that these networks are of."""
    variants: Mapping[str, Any] = field(default_factory=dict)
    """Published variant name -> config."""
    published: tuple[Published, ...] = ()
    """What was published of them."""
    classes: int = SMALL_CLASSES
    """Outputs when nobody says: of the data set the family is made for."""
    suffix: bool = False
    """Whether its names are other families' names with something behind them: then it is asked first."""
    channels: int = 3
    """Channels of its input when nobody says: 3 of colour; 1 where words or spectra stand in for images."""


_FAMILIES: dict[str, Family] = {}


def register(family: Family) -> None:
    """Add ``family`` to the registry.

    Raises:
        ZooError: a family of that name is registered already.
    """
    if family.name in _FAMILIES:
        raise ZooError(f"family {family.name!r} is registered already, as: {_FAMILIES[family.name].summary}")
    _FAMILIES[family.name] = family


def registered_families() -> Mapping[str, Family]:
    """Return the registered families by name, read-only, in the order of registration."""
    return MappingProxyType(_FAMILIES)


def build(
    name: str, *, in_channels: int = 3, num_classes: int = 10, resolution: int | None = None, **knobs: object
) -> nn.Module:
    """Build a network from images ``[example, channel, height, width]`` to logits ``[example, class]``.

    Args:
        name: a variant name (``wrn16-4``), or a family name with ``knobs`` (``wide_resnet``).
        in_channels: channels of the images.
        num_classes: logits per example.
        resolution: pixels a side of the images; only families that flatten or embed positions need it.
        knobs: the family's knobs, with a family name only.

    Raises:
        ZooError: no such name, or a knob, channel or class number that cannot be.
    """
    if resolution is not None and name in _FAMILIES and "resolution" in _FAMILIES[name].knobs:
        knobs = {**knobs, "resolution": resolution}  # a knob of the family too: it sees images of that size
    family, config = _resolve(name, knobs)
    for what, number in (("in_channels", in_channels), ("num_classes", num_classes)):
        if number < 1:
            raise ZooError(f"{what} of {name} must be at least 1, got {number}")
    if resolution is not None and resolution < 1:
        raise ZooError(f"resolution of {name} must be at least 1 pixel, got {resolution}")
    return family.build(config, in_channels, num_classes, resolution)


def canonical_name(name: str, **knobs: object) -> str:
    """Return the one spelling of a variant: ``wrn16-4.0`` and ``wide_resnet`` with knobs give ``wrn16-4``.

    Raises:
        ZooError: no such name, or knobs that cannot be.
    """
    family, config = _resolve(name, knobs)
    return family.format(config)


def family_of(name: str) -> Family:
    """Return the family of a variant name, or the family of that name.

    Raises:
        ZooError: no such name.
    """
    return _FAMILIES[name] if name in _FAMILIES else _resolve(name, {})[0]


def default_resolution(name: str, native: int, **knobs: object) -> int:
    """Return the pixels a side at which a variant wants images that are ``native`` pixels a side.

    Raises:
        ZooError: no such name, or ``native`` below 1.
    """
    if native < 1:
        raise ZooError(f"images have at least 1 pixel a side, got {native}")
    family, config = _resolve(name, knobs)
    return family.default_resolution(config, native)


def _resolve(name: str, knobs: Mapping[str, object]) -> tuple[Family, Any]:
    """Find the family and config of a variant name, or of a family name with knobs."""
    if name in _FAMILIES:
        return _FAMILIES[name], _configure(_FAMILIES[name], knobs)
    for family in sorted(_FAMILIES.values(), key=lambda one: not one.suffix):
        config = family.parse(name)
        if config is None:
            continue
        if knobs:
            raise ZooError(
                f"{name!r} already says its knobs; give {', '.join(sorted(knobs))} with the family name "
                f"{family.name!r} instead"
            )
        return family, config
    near = _near_names(name)
    hint = f"did you mean {', '.join(near)}? " if near else ""
    raise ZooError(
        f"unknown model {name!r}; {hint}there are {len(_FAMILIES)} families: explorer zoo list --families"
    )


def _configure(family: Family, knobs: Mapping[str, object]) -> Any:
    unknown, missing = sorted(knobs.keys() - family.knobs), sorted(family.knobs.keys() - knobs)
    if unknown or missing:
        came = ", ".join(sorted(knobs)) or "none"
        raise ZooError(
            f"family {family.name!r} takes the knobs {', '.join(family.knobs)}; got {came} "
            f"(a variant name such as {family.example} says them all)"
        )
    return family.configure(**knobs)


def _near_names(name: str) -> list[str]:
    """Return up to three variant names like ``name``: letters put right where numbers fit, else examples."""
    match = re.match(r"[A-Za-z_:]+", name)
    letters = match[0] if match else name
    near = [found for family in _FAMILIES.values() for found in family.near(name)]
    for family in _FAMILIES.values():
        start = re.match(r"[A-Za-z_:]+", family.example)
        words = ((start[0], 0.6) if start else (family.example, 0.6), (family.name, 0.75))
        if any(_likeness(letters, word) >= least for word, least in words):
            near.append(_repaired(family, name[len(letters) :]))
    likest = sorted(dict.fromkeys(near), key=lambda one: -_likeness(name, one.rpartition(":")[2]))
    return likest[:3]


def _likeness(letters: str, word: str) -> float:
    """Return how alike two words are, from 0 to 1."""
    return difflib.SequenceMatcher(None, letters.lower(), word).ratio()


def _repaired(family: Family, rest: str) -> str:
    start = re.match(r"[A-Za-z_:]+", family.example)
    candidate = (start[0] if start else "") + rest
    try:
        # Families may share their first letters: wrn28-10 is right for each whose examples start with wrn.
        known = any(other.parse(candidate) is not None for other in _FAMILIES.values())
        return candidate if known else family.example
    except ZooError:
        return family.example

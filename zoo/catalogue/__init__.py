"""The systems of the field as data, joined with what the registry builds.

A family or a search space names the systems its networks are of (``systems=("hardnet",)``); a system offers
``build`` or ``supernet`` when one does. Nothing is written down twice.
"""

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from zoo.catalogue.system import Offer, Role, System, read_catalogue
from zoo.registry import Family, ZooError, canonical_name, family_of, registered_families
from zoo.supernets import SearchSpace, spaces

_WRITTEN = read_catalogue(Path(__file__).parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a name stands for: a system, a family, or one network."""

    systems: tuple[System, ...]
    """The system of that name; else those the family's networks are of."""
    family: Family | None = None
    """The family of that name, or of the network of that name; None where it is a system's."""
    variant: str | None = None
    """With a family: the network named, else the family's example; in its one spelling."""
    is_network: bool = False
    """Whether the name was a network's, not a family's or a system's."""


def systems() -> Mapping[str, System]:
    """Return every system by key, with what the registry and the search spaces add to its offers."""
    built = {key for family in registered_families().values() for key in family.systems}
    searched = {key for space in spaces().values() for key in space.systems}
    joined = {}
    for key, system in _WRITTEN.items():
        more = (Offer.BUILD,) * (key in built) + (Offer.SUPERNET,) * (key in searched)
        joined[key] = dataclasses.replace(system, offers=more + system.offers) if more else system
    return MappingProxyType(joined)


def families_of(key: str) -> tuple[Family, ...]:
    """Return the families whose networks are of the system ``key``, search spaces among them.

    Raises:
        ZooError: no such system.
    """
    _checked(key)
    return tuple(family for family in registered_families().values() if key in family.systems)


def spaces_of(key: str) -> tuple[SearchSpace, ...]:
    """Return the search spaces of the system ``key``.

    Raises:
        ZooError: no such system.
    """
    _checked(key)
    return tuple(space for space in spaces().values() if key in space.systems)


def find(name: str) -> Found:
    """Return what ``name`` stands for: a system's key, name or arXiv id, a family, or a network.

    Upper and lower case do not matter. A system goes before a family and a family before a network.

    Raises:
        ZooError: nothing has that name, with those most like it; or it is a network's with a knob that
            cannot be.
    """
    wanted = name.strip().casefold()
    found = [s for s in systems().values() if wanted in (s.key, s.name.casefold(), s.arxiv)]
    family = registered_families().get(wanted.replace("-", "_")) or registered_families().get(wanted)
    if found:
        return Found(systems=tuple(found))
    if family is not None:
        return Found(systems=_systems_of(family), family=family, variant=family.example)
    try:
        variant = canonical_name(name)
    except ZooError as error:
        if str(error).startswith("unknown model"):
            raise _unknown(name) from error
        raise
    family = family_of(variant)
    return Found(systems=_systems_of(family), family=family, variant=variant, is_network=True)


def _systems_of(family: Family) -> tuple[System, ...]:
    for key in family.systems:
        _checked(key)
    return tuple(systems()[key] for key in family.systems)


def _checked(key: str) -> None:
    if key not in _WRITTEN:
        near = difflib.get_close_matches(key, _WRITTEN, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}? " if near else ""
        raise ZooError(f"unknown system {key!r}; {hint}there are {len(_WRITTEN)}: explorer zoo list")


def _unknown(name: str) -> ZooError:
    """Return the error for a name nobody has, with up to five like it, the likest first."""
    words = {
        name: name for family in registered_families().values() for name in (family.name, *family.variants)
    }
    words |= {s.key: s.key for s in _WRITTEN.values()} | {s.name.casefold(): s.key for s in _WRITTEN.values()}
    near = difflib.get_close_matches(name.strip().casefold(), words, n=5, cutoff=0.6)
    inside = [s.key for s in _WRITTEN.values() if name.strip().casefold() in s.title.casefold()]
    hint = ", ".join(dict.fromkeys([*(words[word] for word in near), *inside[:3]]))
    return ZooError(
        f"unknown system, family or model {name!r}; "
        + (f"did you mean {hint}?" if hint else "explorer zoo list names the systems and families")
    )


__all__ = ["Found", "Offer", "Role", "System", "families_of", "find", "spaces_of", "systems"]

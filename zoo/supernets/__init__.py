"""Search spaces of supernets: one file each; every space is a family of sub-networks too."""

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

from zoo.registry import Family, ZooError
from zoo.supernets.space import Choice, Piece, SearchSpace, as_family

_SPACES: dict[str, SearchSpace] = {}


def spaces() -> Mapping[str, SearchSpace]:
    """Return the search spaces by name: what each module of this package calls ``SPACES``.

    Raises:
        ZooError: two spaces have one name.
    """
    if not _SPACES:
        for module in pkgutil.iter_modules(__path__):
            loaded = importlib.import_module(f"{__name__}.{module.name}")
            for space in getattr(loaded, "SPACES", ()):
                if space.name in _SPACES:
                    raise ZooError(f"search space {space.name!r} exists twice")
                _SPACES[space.name] = space
    return MappingProxyType(_SPACES)


def all_spaces() -> tuple[Family, ...]:
    """Return every search space as a family of its sub-networks."""
    return tuple(as_family(space) for space in spaces().values())


__all__ = ["Choice", "Piece", "SearchSpace", "all_spaces", "as_family", "spaces"]

"""One entry of the catalogue: what a system is, and what is offered for it here.

The entries are TOML files beside this module, one for each main role (``family.toml``, ``nas.toml``, ...),
each a list of ``[[system]]`` tables whose keys are the fields of `System`.
"""

import re
import tomllib
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from zoo.registry import ZooError


class Role(StrEnum):
    """What a system is in the field; the first role of an entry is its main one."""

    FAMILY = "FAMILY"
    """Networks, or a building block that changes them."""
    SCALING = "SCALING"
    """A rule that says how size, data and accuracy go together."""
    SUPERNET = "SUPERNET"
    """One set of weights for many sub-networks."""
    NAS = "NAS"
    """A search for architectures."""
    COMPRESS = "COMPRESS"
    """Makes a network smaller: distilled, pruned, quantised, merged."""
    ENSEMBLE = "ENSEMBLE"
    """Answers of several networks, or of parts of one."""
    TRAIN = "TRAIN"
    """A way to train that leaves the network's cost as it is."""
    METRIC = "METRIC"
    """Another thing to measure: robustness, calibration, explanations."""
    COST = "COST"
    """About the cost itself: memory traffic, energy, hardware."""
    TASK = "TASK"
    """Another task than classification of images."""
    OUT = "OUT"
    """No honest tie to cost, accuracy or ensembles."""


class Offer(StrEnum):
    """What the explorer has for a system."""

    BUILD = "build"
    """Its networks build and count; comes from the registry."""
    SUPERNET = "supernet"
    """Its search space is a value here; comes from the registry."""
    SCALING = "scaling"
    """Its scaling rule is here."""
    RECIPE = "recipe"
    """Its way to train costs nothing at inference: an arrow on the front."""
    COMPRESS = "compress"
    """A step from one network to a smaller one."""
    CLAIM = "claim"
    """It claims an efficiency that can be checked."""
    CITED = "cited"
    """What its authors report, told with its source."""
    OUTSIDE = "outside"
    """Nothing, for a reason that is told."""


FROM_REGISTRY = (Offer.BUILD, Offer.SUPERNET)
"""Offers that are found, not written down."""

_Kind = TypeVar("_Kind", bound=StrEnum)
_KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ARXIV = re.compile(r"\d{4}\.\d{4,5}")
_PLACE = re.compile(r"\d{3}:\d+")
_FIRST_YEAR, _LAST_YEAR = 2012, 2100
_WORDS = {"key", "name", "what", "title", "arxiv", "outside_reason", "headline", "elsewhere", "not_built"}
_LISTS = {"roles", "seed", "offers"}
_NEEDED = ("key", "name", "what", "roles", "seed", "offers")


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A paper or system of the field. Facts are in our own words; figures are those of its authors."""

    key: str
    """Short, lower-case, with dashes: what families and search spaces name."""
    name: str
    """What people call it."""
    what: str
    """One line."""
    roles: tuple[Role, ...]
    """Main role first."""
    seed: tuple[str, ...]
    """Places in the lists it was found in, ``LIST:LINE``."""
    offers: tuple[Offer, ...]
    """What there is for it here; ``build`` and ``supernet`` are added by `zoo.catalogue.systems`."""
    title: str = ""
    """Of the paper, as printed."""
    year: int | None = None
    """Of the first version; None where nobody read it."""
    arxiv: str | None = None
    """Id on arXiv; None where it is not there or nobody read it."""
    block: bool = False
    """A building block or a design rule, not a network of its own."""
    outside_reason: str = ""
    """Why nothing is offered."""
    headline: str = ""
    """Figures its authors print first; points of accuracy where no unit is named."""
    elsewhere: str = ""
    """Where it is implemented, and licences that bind."""
    not_built: str = ""
    """Why a family or supernet is not built here; empty where it is."""

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise ZooError(f"system key {self.key!r} is not lower-case letters and digits with single dashes")
        if not self.name or not self.what or not self.roles or not self.seed:
            raise ZooError(f"system {self.key!r} needs a name, one line on what it is, a role and a place")
        if len(set(self.roles)) < len(self.roles) or len(set(self.offers)) < len(self.offers):
            raise ZooError(f"system {self.key!r} names a role or an offer twice")
        for place in self.seed:
            if not _PLACE.fullmatch(place):
                raise ZooError(f"system {self.key!r}: place {place!r} is not LIST:LINE, e.g. 003:195")
        if self.arxiv is not None and not _ARXIV.fullmatch(self.arxiv):
            raise ZooError(f"system {self.key!r}: {self.arxiv!r} is no arXiv id, e.g. 1905.11946")
        if self.year is not None and not _FIRST_YEAR <= self.year <= _LAST_YEAR:
            raise ZooError(f"system {self.key!r}: year {self.year} is not in {_FIRST_YEAR} to {_LAST_YEAR}")
        if self.block and Role.FAMILY not in self.roles:
            raise ZooError(f"system {self.key!r} is a block but has not the role FAMILY")
        self._check_outside()

    def _check_outside(self) -> None:
        outside = Offer.OUTSIDE in self.offers
        if outside != bool(self.outside_reason):
            raise ZooError(
                f"system {self.key!r}: the offer 'outside' and outside_reason go together; got offers "
                f"{', '.join(self.offers) or 'none'} and the reason {self.outside_reason!r}"
            )
        if outside and len(self.offers) > 1:
            raise ZooError(f"system {self.key!r} is outside, yet offers {', '.join(self.offers)}")
        if (Role.OUT in self.roles) and not (outside and len(self.roles) == 1):
            raise ZooError(f"system {self.key!r} has the role OUT: then it has no other, and is 'outside'")


def read_system(table: dict[str, Any], place: str) -> System:
    """Make one ``[[system]]`` table an entry.

    Args:
        table: as read from TOML.
        place: file it stands in, for errors.

    Raises:
        ZooError: unknown field, role or offer (with those that exist), a field missing or of a wrong type.
    """
    known = [field.name for field in fields(System)]
    label = f"{place}: system {table.get('key', '?')!r}"
    if strange := sorted(table.keys() - set(known)):
        raise ZooError(f"{label} has the unknown field {', '.join(strange)}; known: {', '.join(known)}")
    if missing := [name for name in _NEEDED if name not in table]:
        raise ZooError(f"{label} lacks {', '.join(missing)}")
    for name, value in table.items():
        _check_type(name, value, label)
    values: dict[str, Any] = {
        name: tuple(value) if name in _LISTS else value for name, value in table.items()
    }
    values["roles"] = tuple(_member(Role, text, "role", label) for text in table["roles"])
    values["offers"] = tuple(_member(Offer, text, "offer", label) for text in table["offers"])
    if typed := [offer for offer in values["offers"] if offer in FROM_REGISTRY]:
        raise ZooError(f"{label}: {', '.join(typed)} is not written down, it comes from the registry")
    return System(**values)


def _check_type(name: str, value: object, label: str) -> None:
    if name in _WORDS:
        right = isinstance(value, str)
    elif name in _LISTS:
        right = isinstance(value, list) and all(isinstance(text, str) for text in value)
    elif name == "block":
        right = isinstance(value, bool)
    else:
        right = isinstance(value, int) and not isinstance(value, bool)
    if not right:
        raise ZooError(f"{label}: {name} = {value!r} is of the wrong type")


def _member(kind: type[_Kind], text: str, what: str, label: str) -> _Kind:
    try:
        return kind(text)
    except ValueError:
        raise ZooError(f"{label}: unknown {what} {text!r}; known: {', '.join(kind)}") from None


def read_catalogue(folder: Path) -> dict[str, System]:
    """Read every TOML file of ``folder``, in the order of the roles, and refuse what stands there twice.

    Returns:
        systems by key.

    Raises:
        ZooError: a file that is no TOML, is not named for a role or holds another table than ``system``;
            an entry in the file of another main role; two entries of one key, name or arXiv id.
    """
    files = {path.stem: path for path in folder.glob("*.toml")}
    if strange := sorted(files.keys() - {role.lower() for role in Role}):
        raise ZooError(f"{strange[0]}.toml is named for no role; roles: {', '.join(Role)}")
    found: list[System] = []
    for role in Role:
        if role.lower() not in files:
            continue
        path = files[role.lower()]
        for system in _read_file(path):
            if system.roles[0] is not role:
                raise ZooError(f"{path.name}: the main role of {system.key!r} is {system.roles[0]}")
            found.append(system)
    for what in ("key", "name", "arxiv"):
        _refuse_twice(found, what)
    return {system.key: system for system in found}


def _read_file(path: Path) -> list[System]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ZooError(f"{path.name} is no TOML: {error}") from error
    tables = document.get("system", [])
    if document.keys() - {"system"} or not isinstance(tables, list):
        raise ZooError(f"{path.name} holds {', '.join(document)}; wanted [[system]] tables only")
    return [read_system(table, path.name) for table in tables]


def _refuse_twice(found: list[System], what: str) -> None:
    first: dict[str, System] = {}
    for system in found:
        value = getattr(system, what)
        if value is None:
            continue
        other = first.setdefault(value.casefold(), system)
        if other is not system:
            raise ZooError(
                f"two systems have the {what} {value!r}: {other.key!r} ({other.name}) "
                f"and {system.key!r} ({system.name})"
            )

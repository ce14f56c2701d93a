"""What authors report of their networks and recipes, told with its source: cited, not counted here.

A *point* is a network with a cost or an accuracy. An *arrow* leads from a network to what a recipe or a
compression makes of it; a *free* one costs nothing at inference and stands upright on the front. A system
without either has an honest reason. The data are the ``[[point]]``, ``[[arrow]]`` and ``[[none]]`` tables of
the TOML files in ``cited_data``; figures are those of the source, shares and plain counts, MACs counted once.
"""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from zoo.catalogue import families_of, systems
from zoo.published import Published, Status
from zoo.registry import ZooError, canonical_name, registered_families

_T = TypeVar("_T")
_DAYS_LIMIT = 1e6
"""GPU-days of a search; more is a slip of the unit."""


class Kind(StrEnum):
    """What leads from the network before to the one after."""

    RECIPE = "recipe"
    """Another way to train the same network."""
    DISTIL = "distil"
    """The network learns from other networks."""
    PRUNE = "prune"
    """Parts of it are taken away."""
    QUANTISE = "quantise"
    """Its numbers have fewer bits."""
    MERGE = "merge"
    """Several networks become one."""
    SPARSE = "sparse"
    """Single weights or activations are zero."""


SAME_NETWORK = (Kind.RECIPE, Kind.DISTIL)
"""Kinds that leave the network, and so its cost, as it is unless the figures say otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Cost and accuracy of one network, as far as the source tells them."""

    parameters: float | None = None
    macs: float | None = None
    """Multiply-adds of one example, counted once."""
    top1: float | None = None
    """Accuracy on the data set's test examples, a share."""

    def check(self, label: str) -> None:
        """Refuse figures that cannot be.

        Raises:
            ZooError: accuracy that is no share, a cost that is not above 0.
        """
        if self.top1 is not None and not 0 < self.top1 < 1:
            raise ZooError(f"{label}: top1 = {self.top1!r} is no share between 0 and 1")
        for name in ("parameters", "macs"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ZooError(f"{label}: {name} = {value!r} is not above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point(Figures):
    """A network whose cost or accuracy its authors, or others who name it, report."""

    system: str
    """Key of its system."""
    network: str
    """As the source names it."""
    source: str = ""
    """Paper and table, or repository and file, that was read; with a model, that of its family is added."""
    dataset: str = "imagenet"
    resolution: int | None = None
    """Pixels a side; None where the source does not tell."""
    search_cost: float | None = None
    """GPU-days of the search that found it."""
    model: str = ""
    """The name under which the zoo builds it: figures missing here are those published with its family."""
    training: str = ""
    """How it was trained, where the source tells: from scratch, distilled, without labels."""
    convention: str = ""
    """How the source counts, where that is not plain."""
    status: Status = Status.SEEN
    note: str = ""

    @property
    def label(self) -> str:
        """Name it for errors."""
        return f"cited point {self.system}, {self.network}"

    def __post_init__(self) -> None:
        self.check(self.label)
        if self.search_cost is not None and not 0 < self.search_cost < _DAYS_LIMIT:
            raise ZooError(f"{self.label}: search_cost = {self.search_cost!r} is not above 0 and below 1e6")
        told = (self.parameters, self.macs, self.top1, self.search_cost)
        if not self.model and all(figure is None for figure in told):
            raise ZooError(f"{self.label} has neither a cost nor an accuracy, nor a model of the zoo")
        if not self.model and not self.source:
            raise ZooError(f"{self.label} has no source")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """What a recipe or a compression makes of a network."""

    system: str
    kind: Kind
    network: str
    """The network before, as the source names it."""
    source: str
    after: Figures
    before: Figures = Figures()
    """Empty where the source does not tell."""
    setting: str = ""
    """Which of several recipes or strengths."""
    dataset: str = "imagenet"
    resolution: int | None = None
    gain: float | None = None
    """Accuracy after less accuracy before, a share, where the source tells the difference only."""
    macs_ratio: float | None = None
    """MACs after by MACs before, where the source tells the ratio only."""
    status: Status = Status.SEEN
    note: str = ""

    @property
    def label(self) -> str:
        """Name it for errors."""
        return " ".join(text for text in (f"arrow {self.system}, {self.network}", self.setting) if text)

    @property
    def free(self) -> bool:
        """Whether it costs nothing at inference: the same network at the same cost."""
        same = (self.before.parameters, self.before.macs) == (self.after.parameters, self.after.macs)
        untold = self.before.parameters is None and self.before.macs is None
        return self.kind in SAME_NETWORK and self.macs_ratio in (None, 1) and (same or untold)

    @property
    def difference(self) -> float | None:
        """Accuracy after less accuracy before, a share; None where neither is told."""
        if self.gain is None and self.before.top1 is not None and self.after.top1 is not None:
            return self.after.top1 - self.before.top1
        return self.gain

    def __post_init__(self) -> None:
        self.before.check(f"{self.label}, before")
        self.after.check(f"{self.label}, after")
        if self.gain is not None and not -1 < self.gain < 1:
            raise ZooError(f"{self.label}: gain = {self.gain!r} is no share between -1 and 1")
        if self.macs_ratio is not None and not 0 < self.macs_ratio <= 1:
            raise ZooError(f"{self.label}: macs_ratio = {self.macs_ratio!r} is not above 0 and at most 1")
        if self.gain is not None and self.before.top1 is not None:
            raise ZooError(
                f"{self.label} has both a gain and the accuracy before: one follows from the other"
            )
        if self.after.top1 is None and self.gain is None:
            raise ZooError(f"{self.label} has neither the accuracy after nor a gain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """All that is cited."""

    points: tuple[Point, ...]
    arrows: tuple[Arrow, ...]
    reasons: Mapping[str, str]
    """System key -> why there is neither point nor arrow."""


def cited_points(key: str) -> tuple[Point, ...]:
    """Return the points of the system ``key``, figures of the zoo's own networks filled in.

    Raises:
        ZooError: no such system; or a point names a model of which nothing is published.
    """
    families_of(key)  # refuses an unknown key with those like it
    return tuple(_filled(point) for point in _WRITTEN.points if point.system == key)


def arrows(key: str) -> tuple[Arrow, ...]:
    """Return the arrows of the system ``key``.

    Raises:
        ZooError: no such system.
    """
    families_of(key)
    return tuple(arrow for arrow in _WRITTEN.arrows if arrow.system == key)


def no_points_because(key: str) -> str | None:
    """Return why the system ``key`` has neither point nor arrow; None where it has, or nobody has looked.

    Raises:
        ZooError: no such system.
    """
    families_of(key)
    return _WRITTEN.reasons.get(key)


def every_point() -> tuple[Point, ...]:
    """Return all points, as `cited_points` does."""
    return tuple(_filled(point) for point in _WRITTEN.points)


def every_arrow() -> tuple[Arrow, ...]:
    """Return all arrows."""
    return _WRITTEN.arrows


def cited_counts() -> Mapping[str, tuple[int, int]]:
    """Return for every system how many points and arrows it has."""
    return MappingProxyType(
        {
            key: (
                sum(point.system == key for point in _WRITTEN.points),
                sum(arrow.system == key for arrow in _WRITTEN.arrows),
            )
            for key in systems()
        }
    )


def _filled(point: Point) -> Point:
    """Return a point with what its family published in place of the figures it lacks."""
    if not point.model:
        return point
    found = Figures(parameters=point.parameters, macs=point.macs, top1=point.top1)
    sources = [point.source]
    for row in _published(point):
        taken = {
            field.name: _tidy(field.name, getattr(row, field.name)) for field in fields(Figures)
            if getattr(found, field.name) is None and getattr(row, field.name) is not None
        }  # fmt: skip
        if taken:
            found = dataclasses.replace(found, **taken)
            sources += [row.source] * (row.source not in sources)
    if found == Figures():
        raise ZooError(
            f"{point.label}: of the model {point.model!r} nothing is published at {point.resolution}"
        )
    return dataclasses.replace(
        point, parameters=found.parameters, macs=found.macs, top1=found.top1,
        source="; ".join(source for source in sources if source),
    )  # fmt: skip


def _tidy(name: str, value: float) -> float:
    """Return a published figure without the digits that arithmetic added to it; costs are whole numbers."""
    return round(value, 6) if name == "top1" else round(value)


def _published(point: Point) -> list[Published]:
    name = canonical_name(point.model)
    return [
        row
        for family in registered_families().values()
        for row in family.published
        if row.resolution == point.resolution and canonical_name(row.model) == name
    ]


def read_cited(folder: Path) -> Cited:
    """Read every TOML file of ``folder``, and refuse what cannot be or stands there twice.

    Raises:
        ZooError: no file; a file that is no TOML or holds other tables; a field unknown, missing or of a
            wrong type; an unknown system; a point or an arrow twice; a reason beside a point or an arrow.
    """
    points: list[Point] = []
    found_arrows: list[Arrow] = []
    reasons: dict[str, str] = {}
    if not (paths := sorted(folder.glob("*.toml"))):
        raise ZooError(f"{folder} has no TOML file of cited figures: the installation is damaged")
    for path in paths:
        document = _document(path)
        points += [_point(table, path.name) for table in document.get("point", [])]
        found_arrows += [_arrow(table, path.name) for table in document.get("arrow", [])]
        for table in document.get("none", []):
            key, reason = _reason(table, path.name)
            if key in reasons:
                raise ZooError(f"{path.name}: a second reason for the system {key!r}")
            reasons[key] = reason
    _refuse_twice([(p.label, (p.system, p.network, p.dataset, p.resolution)) for p in points])
    _refuse_twice(
        [
            (a.label, (a.system, a.kind, a.network, a.setting, a.dataset, a.resolution))
            for a in found_arrows
        ]
    )  # fmt: skip
    told = {item.system: item.label for item in points} | {item.system: item.label for item in found_arrows}
    for key in {**told, **reasons}:
        families_of(key)  # refuses an unknown key with those like it
        if key in told and key in reasons:
            raise ZooError(f"{told[key]}: the system also has a reason to have neither points nor arrows")
    return Cited(points=tuple(points), arrows=tuple(found_arrows), reasons=MappingProxyType(reasons))


def _document(path: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ZooError(f"{path.name} is no TOML: {error}") from error
    if document.keys() - {"point", "arrow", "none"} or not all(
        isinstance(v, list) for v in document.values()
    ):
        raise ZooError(
            f"{path.name} holds {', '.join(document)}; wanted [[point]], [[arrow]], [[none]] tables"
        )
    return document


def _point(table: dict[str, Any], place: str) -> Point:
    values = dict(table)
    if "error" in values:
        if "top1" in values:
            raise ZooError(f"{place}: {table.get('system')!r} has both top1 and error")
        values["top1"] = _right_of_error(values.pop("error"), f"{place}: {table.get('system')!r}")
    return _made(Point, values, place)


def _right_of_error(error: object, label: str) -> float:
    """Return the accuracy that goes with an error rate, without the digits that subtraction adds."""
    if not isinstance(error, float):
        raise ZooError(f"{label}: error = {error!r} is of the wrong type")
    return round(1 - error, 6)


def _arrow(table: dict[str, Any], place: str) -> Arrow:
    values = dict(table)
    for side in ("before", "after"):
        if side in values:
            if not isinstance(values[side], dict):
                raise ZooError(f"{place}: {side} = {values[side]!r} is no table of figures")
            values[side] = _made(Figures, values[side], f"{place}: {table.get('system')!r}, {side}")
    return _made(Arrow, values, place)


def _reason(table: dict[str, Any], place: str) -> tuple[str, str]:
    if table.keys() != {"system", "reason"} or not all(isinstance(v, str) and v for v in table.values()):
        raise ZooError(f"{place}: a [[none]] table has a system and a reason; got {table!r}")
    return table["system"], table["reason"]


def _made(kind: type[_T], values: dict[str, Any], place: str) -> _T:
    """Make a TOML table a value of ``kind``, its fields checked by type."""
    label = f"{place}: {values.get('system', kind.__name__.lower())!r}"
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # a dataclass, each time
    if strange := sorted(values.keys() - known.keys()):
        raise ZooError(f"{label} has the unknown field {', '.join(strange)}; known: {', '.join(known)}")
    missing = [
        name for name, field in known.items() if field.default is dataclasses.MISSING and name not in values
    ]
    if missing:
        raise ZooError(f"{label} lacks {', '.join(missing)}")
    return kind(**{name: _value(name, value, label) for name, value in values.items()})


def _value(name: str, value: Any, label: str) -> object:
    """Return a field's value, its kind or status made one; refuse one of a wrong type."""
    if isinstance(value, Figures):
        return value
    if name in _CHOICES:
        if value not in list(_CHOICES[name]):
            raise ZooError(f"{label}: unknown {name} {value!r}; known: {', '.join(_CHOICES[name])}")
        return _CHOICES[name](value)
    if name == "resolution":
        right = isinstance(value, int) and not isinstance(value, bool) and value > 0
    elif name in _NUMBERS:
        right = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        right = isinstance(value, str)
    if not right:
        raise ZooError(f"{label}: {name} = {value!r} is of the wrong type")
    return value


_CHOICES: dict[str, type[StrEnum]] = {"kind": Kind, "status": Status}
_NUMBERS = {"parameters", "macs", "top1", "search_cost", "gain", "macs_ratio"}


def _refuse_twice(found: list[tuple[str, tuple[Any, ...]]]) -> None:
    seen: set[tuple[Any, ...]] = set()
    for label, identity in found:
        if identity in seen:
            dataset, resolution = identity[-2:]
            raise ZooError(f"{label}: there are two on {dataset} at {resolution}")
        seen.add(identity)


_WRITTEN = read_cited(Path(__file__).parent / "cited_data")

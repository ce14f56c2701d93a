"""The field's efficiency claims as data: what was said, where, and how each can be checked.

A claim is checked under one or more stated conditions: the form of the network, the device, the network it is
compared with. Each `Check` names what is counted or measured and what would make the claim hold.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from explorer.errors import InputDataError

CLAIMS_FILE = Path(__file__).parent / "tables" / "claims.toml"


class Kind(StrEnum):
    """What is made of the quantity."""

    VALUE = "value"
    """The quantity of ``model``."""
    RATIO = "ratio"
    """The quantity of ``model`` over that of ``against``."""
    CHANGE = "change"
    """That ratio minus 1."""
    DIFFERENCE = "difference"
    """The quantity of ``model`` minus that of ``against``."""
    FUNCTION = "function"
    """What a named function of `explorer.run.claims.special` returns: counts that need code."""

    def combine(self, amount: float, against: float = 1.0) -> float:
        """Return what is made of the amounts of a model and of the one it is compared with."""
        if self is Kind.VALUE:
            return amount
        if self is Kind.DIFFERENCE:
            return amount - against
        return amount / against - (self is Kind.CHANGE)


class Quantity(StrEnum):
    """What is counted, or measured, of a model."""

    MACS = "macs"
    PARAMETERS = "parameters"
    PARAM_BYTES = "param_bytes"
    ELEMENTWISE_OPS = "elementwise_ops"
    ACTIVATION_PEAK_BYTES = "activation_peak_bytes"
    SPACE_SIZE = "space_size"
    """Sub-networks of a search space."""
    LATENCY = "latency"
    """Seconds of one call, measured."""
    THROUGHPUT = "throughput"
    """Examples a second, measured."""
    TRAINING_STEP = "training_step"
    """Seconds of one training step, measured."""


MEASURED = frozenset({Quantity.LATENCY, Quantity.THROUGHPUT, Quantity.TRAINING_STEP})
"""What depends on a device."""


class Relation(StrEnum):
    """When a figure agrees with what was published."""

    ABOUT = "about"
    """Within the tolerance on both sides."""
    AT_LEAST = "at least"
    """Not below it by more than the tolerance."""
    AT_MOST = "at most"
    """Not above it by more than the tolerance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One way to check a claim."""

    condition: str
    """Form, device, comparator: what this way takes for granted, in words."""
    kind: Kind
    published: float
    """In the quantity's unit, or as a ratio, change or difference of it."""
    tolerance: float
    """In the unit of ``published``, absolute; what the published figure's rounding and words allow."""
    relation: Relation = Relation.ABOUT
    quantity: Quantity | None = None
    model: str = ""
    """``timm:dpn98@224``; for a search space its name."""
    against: str = ""
    workload: str = ""
    """For a measured quantity: ``cpu/deploy``, ``rtx4090/amp/b256``; see `explorer.workload`."""
    deploy: bool = False
    """Count both models with batch norms folded and branches merged."""
    function: str = ""
    unit: str = ""
    """Of what the function returns: ``x``, ``%`` for a share, a counted quantity's name, or as written."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Of the function."""
    amounts: tuple[float, ...] = ()
    """Of ``model`` and ``against`` where somebody else measured them; then nothing is counted or measured."""
    source: str = ""
    """Where the amounts stand."""

    def agrees(self, found: float) -> bool:
        """Tell whether ``found`` is what was published."""
        below = found < self.published - self.tolerance
        above = found > self.published + self.tolerance
        wrong = {Relation.ABOUT: below or above, Relation.AT_LEAST: below, Relation.AT_MOST: above}
        return not wrong[self.relation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim of one system."""

    id: str
    system: str
    """Key in the catalogue."""
    statement: str
    """What was claimed, in our words."""
    published: str
    """The figure as published, in words short enough for a table."""
    seed: str
    """Where it stands: number of the reading list and line."""
    checks: tuple[Check, ...] = ()
    not_checkable: str = ""
    """Why there is no way to check it here; empty where there is one."""
    note: str = ""
    """What a reader has to know beside the verdict."""


def read_claims(path: Path = CLAIMS_FILE) -> Mapping[str, Claim]:
    """Read claims by id, in the order of the file.

    Raises:
        InputDataError: no such file, not TOML, an unknown or missing field, an id that stands twice, a claim
            with neither a check nor a reason, or a check whose parts do not fit its kind.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputDataError(f"no such file: {path}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputDataError(f"{path} cannot be read as TOML: {error}") from error
    claims: dict[str, Claim] = {}
    for entry in document.get("claim", ()):
        claim = _claim(entry, path)
        if claim.id in claims:
            raise InputDataError(f"{path}: the claim {claim.id!r} stands twice")
        claims[claim.id] = claim
    if not claims:
        raise InputDataError(f"{path} holds no claims; wanted [[claim]] tables")
    return MappingProxyType(claims)


def _claim(entry: Mapping[str, Any], path: Path) -> Claim:
    where = f"{path}, claim {entry.get('id', '?')!r}"
    given = dict(entry)
    checks = tuple(_check(one, where) for one in given.pop("check", ()))
    _refuse_unknown(given, Claim, where, but=("checks",))
    claim = _made(Claim, given | {"checks": checks}, where)
    if bool(claim.checks) == bool(claim.not_checkable):
        raise InputDataError(f"{where} wants either checks or the reason why there are none")
    return claim


def _check(entry: Mapping[str, Any], where: str) -> Check:
    _refuse_unknown(entry, Check, where)
    given = dict(entry)
    for name, kind in (("kind", Kind), ("quantity", Quantity), ("relation", Relation)):
        if name in given:
            try:
                given[name] = kind(given[name])
            except ValueError:
                raise InputDataError(
                    f"{where}: {name} {given[name]!r} is unknown; there are {', '.join(kind)}"
                ) from None
    for name in ("published", "tolerance"):
        if name in given:
            given[name] = _number(given[name], f"{where}: {name}")
    given["amounts"] = tuple(_number(one, f"{where}: amounts") for one in given.get("amounts", ()))
    check = _made(Check, given, where)
    problem = _misfit(check)
    if problem:
        raise InputDataError(f"{where}, check {check.condition!r}: {problem}")
    return check


def _misfit(check: Check) -> str:
    """Return what is missing for the check's kind, or what is too much; empty when it fits."""
    if check.tolerance < 0:
        return f"tolerance must be 0 or more, got {check.tolerance}"
    compares = check.kind in (Kind.RATIO, Kind.CHANGE, Kind.DIFFERENCE)
    if check.kind is Kind.FUNCTION:
        return "" if check.function and not check.quantity else "a function check names a function alone"
    cited = bool(check.amounts and check.unit)  # what somebody else's table says may be no quantity of ours
    if check.unit and (check.quantity or not check.amounts):
        return "only a function, or amounts from elsewhere, have a unit: a quantity has its own"
    if (check.quantity is None and not cited) or not check.model:
        return f"a {check.kind} check names a quantity and a model"
    if compares != bool(check.against):
        return f"a {check.kind} check {'names' if compares else 'has no'} `against`"
    if check.amounts and (len(check.amounts) != 1 + compares or not check.source):
        return f"amounts from elsewhere are {1 + compares} in a {check.kind} check, with their source"
    if (check.quantity in MEASURED) != bool(check.workload):
        return "measured quantities, and only they, have a workload"
    return ""


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputDataError(f"{what} must be a finite number, got {value!r}")
    return float(value)


def _refuse_unknown(given: Mapping[str, Any], made: type, where: str, but: tuple[str, ...] = ()) -> None:
    known = [one.name for one in fields(made) if one.name not in but]
    unknown = sorted(given.keys() - set(known))
    if unknown:
        raise InputDataError(f"{where}: unknown field {', '.join(unknown)}; there are {', '.join(known)}")


def _made(made: Any, given: Mapping[str, Any], where: str) -> Any:
    try:
        return made(**given)
    except TypeError as error:
        raise InputDataError(f"{where}: {str(error).removeprefix(made.__name__ + '.__init__() ')}") from None

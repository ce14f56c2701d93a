"""Gather from a store what a report shows beside the answer: members, costs, provenance."""

import datetime
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata

from explorer import __version__
from explorer.analysis.axis import axis_factor
from explorer.analysis.result import Front
from explorer.convention import Basis, terms_hold_for
from explorer.record import Conditions, CostRecord, MemberRecord
from explorer.spec import Member, parse_member
from explorer.store import Store

_PACKAGES = ("numpy", "scipy", "numba", "matplotlib", "sqlalchemy")
"""Those that can change a number between members and report; the trainer's own are in its records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where and by what a report was made."""

    product: str
    """Name and version."""
    made: str
    """Date and time with zone, ISO 8601."""
    platform: str
    versions: Mapping[str, str]
    """Package -> version of this run."""
    store_revision: str
    """Of the ledger's schema."""
    command: str = ""
    """What was typed, where it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What stands behind a front."""

    members: tuple[MemberRecord, ...]
    """Those the designs were made of, as far as they were trained here."""
    costs: tuple[CostRecord, ...]
    """Those the axis was read from."""
    cost_factor: float
    """Value on the axis = factor x stored figure."""
    provenance: Provenance
    uncounted: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Model -> operator without a formula -> times it ran, where a count had gaps."""
    untrained: tuple[Member, ...] = ()
    """Those whose predictions came from elsewhere: no training record can be shown."""

    @property
    def conditions(self) -> Conditions | None:
        """Conditions of the measured costs; one, as runs under different conditions do not mix."""
        return next((record.conditions for record in self.costs if record.conditions is not None), None)


def gather_evidence(store: Store, front: Front, *, command: str = "") -> Evidence:
    """Read members' training records and the axis's cost records behind ``front`` from the store."""
    named = {_key(member, front.pool.recipe_id): member for member in map(parse_member, front.pool.members)}
    members = tuple(
        record
        for record in store.members(dataset=front.pool.dataset)
        if _key(record.member, front.pool.recipe_id) in named
        and record.split_digest == front.pool.split_digest
    )
    trained = {_key(record.member, front.pool.recipe_id) for record in members}
    untrained = tuple(member for key, member in named.items() if key not in trained)
    models = {(record.member.model, record.channels, record.classes) for record in members}
    elsewhere = {(member.model, front.pool.classes) for member in untrained}
    bases = {point.cost.basis for point in front.points}
    if Basis.COMPOSED in bases:
        bases.add(Basis.MEASURED)
    costs = tuple(
        record
        for record in store.costs(kind=front.axis.stored_kind, device=front.axis.device)
        if record.figure.basis in bases
        and terms_hold_for(record.convention, front.pool.dataset)
        and (
            (record.model, record.channels, record.classes) in models
            or (record.model, record.classes) in elsewhere
        )
    )
    factor, _ = axis_factor(store, front.axis)
    made = provenance(store, command=command)
    return Evidence(members=members, costs=costs, cost_factor=factor, provenance=made, untrained=untrained)


def provenance(store: Store, *, command: str = "") -> Provenance:
    """Say what made the report, where and when."""
    return Provenance(
        product=f"scale-or-ensemble {__version__}",
        made=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        platform=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        versions={name: metadata.version(name) for name in _PACKAGES},
        store_revision=str(store.info().revision),
        command=command,
    )


def _key(member: Member, recipe_id: str) -> tuple[str, int, int, str]:
    """Name a member with its recipe: a pool's texts leave out the recipe they all share."""
    return member.name, member.resolution, member.seed, member.recipe or recipe_id

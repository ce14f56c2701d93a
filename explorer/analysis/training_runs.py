"""Trainings as the ledger holds them: how long on what, and which of them had to be there first."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from explorer.analysis.pool import Pool
from explorer.convention import Basis
from explorer.record import CostFigure, MemberRecord, TrainingRecord
from explorer.spec import Member, parse_design
from explorer.store import Store

_OF_ONE_CYCLE = ("name", "snapshot")
"""Settings in which the recipes of one run's snapshots differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How one member came about."""

    member: Member
    """As the store names it, with recipe."""
    record: TrainingRecord
    seconds: CostFigure
    """Wall time as recorded. The interval is no 95 %: the least and the most that any seed of this network
    took under this recipe on this kind of device."""
    alike: int
    """How many trainings that range is of, this one counted."""
    teachers: tuple[Member, ...]
    """Whose answers it learned, as the store names them."""
    goes_on_from: tuple[Member, ...]
    """Earlier snapshots of its run, in order."""
    missing_cycles: tuple[int, ...]
    """Numbers of the earlier snapshots that the store does not hold."""

    @property
    def device(self) -> str:
        """Device it was trained on, cards not told apart: ``cpu``, ``cuda``."""
        return self.record.device.partition(":")[0]

    @property
    def base_recipe(self) -> str:
        """Id of the recipe that its own derives from, or of its own."""
        return str(self.record.recipe.get("base") or self.record.recipe_id)


def read_trainings(store: Store, dataset: str) -> dict[Member, Training]:
    """Return every training of a data set by its member, as the store names it.

    Members that were imported have none: they were not trained here.

    Raises:
        StoreError: the store is locked or damaged.
    """
    records = {record.member: record for record in store.members(dataset)}
    walls: dict[tuple[object, ...], list[float]] = defaultdict(list)
    for record in records.values():
        walls[_alike(record)].append(record.training.wall_s)
    found = {}
    for member, record in records.items():
        training, seen = record.training, walls[_alike(record)]
        earlier = _earlier(record, records)
        found[member] = Training(
            member=member,
            record=training,
            seconds=CostFigure(value=training.wall_s, low=min(seen), high=max(seen), basis=Basis.MEASURED),
            alike=len(seen),
            teachers=parse_design(training.teacher).members if training.teacher else (),
            goes_on_from=(*earlier.values(), *_started_from(training)),
            missing_cycles=tuple(n for n in range(1, _cycle(training)) if n not in earlier),
        )
    return found


def _started_from(training: TrainingRecord) -> tuple[Member, ...]:
    """Return the members whose weights a pruned or merged member was made of."""
    start = training.recipe.get("start")
    return parse_design(str(start)).members if start else ()


def stored_name(pool: Pool, member: Member) -> Member:
    """Return a member of the pool as the store names it: with the recipe that went without saying."""
    return member if member.recipe else replace(member, recipe=pool.summary.recipe_id)


def wall_seconds(pool: Pool, trainings: Mapping[Member, Training]) -> dict[Member, float]:
    """Return the pool's member -> seconds its training took; members without a wall time are missing."""
    found = {member: trainings.get(stored_name(pool, member)) for member in pool.members}
    return {m: one.record.wall_s for m, one in found.items() if one is not None and one.record.wall_s > 0}


def _alike(record: MemberRecord) -> tuple[object, ...]:
    """Return what two trainings must have in common for their times to tell of each other."""
    training = record.training
    stacked, device = training.stacked, training.device.partition(":")[0]
    return record.member.model, record.member.recipe, device, training.precision, training.compiled, stacked


def _cycle(training: TrainingRecord) -> int:
    """Return which snapshot of its run a member is, from 1; 0 for one that is no snapshot."""
    number = training.recipe.get("snapshot", 0)
    return number if isinstance(number, int) else 0


def _earlier(record: MemberRecord, records: Mapping[Member, MemberRecord]) -> dict[int, Member]:
    """Return the snapshots of the member's run before it, by number."""
    own = _cycle(record.training)
    found = {
        _cycle(other.training): member
        for member, other in records.items()
        if own > 1
        and (member.model, member.seed) == (record.member.model, record.member.seed)
        and 0 < _cycle(other.training) < own
        and _run_settings(other.training) == _run_settings(record.training)
    }
    return dict(sorted(found.items()))


def _run_settings(training: TrainingRecord) -> dict[str, object]:
    return {name: value for name, value in training.recipe.items() if name not in _OF_ONE_CYCLE}

"""Which of a pool's members designs may be made of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from explorer.analysis.blocks import MemberArrays
from explorer.analysis.pool import Pool
from explorer.analysis.statistics.seeds import family
from explorer.errors import UsageError, unknown_name
from explorer.spec import Member


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberChoice:
    """Members by name: ``wrn10-1@28#0``, all of ``wrn10-1@28`` or ``wrn10-1``, or the family ``wrn``."""

    only: tuple[str, ...] = ()
    """What alone may be used; empty: everything."""
    exclude: tuple[str, ...] = ()
    """What may not be used; goes before ``only``."""

    def of(self, pools: Sequence[Pool]) -> tuple[tuple[Pool, ...], tuple[str, ...]]:
        """Return the pools, which hold the same members, with the chosen ones alone, and a note.

        Raises:
            UsageError: a name that fits no member, or nothing is left.
        """
        members = pools[0].members
        if not self.only and not self.exclude:
            return tuple(pools), ()
        known = {name for member in members for name in _names(member)}
        for name in (*self.only, *self.exclude):
            if name not in known:
                # families and models: of members there are too many to list
                listed = {listed for member in members for listed in _names(member)[:2]}
                raise unknown_name("member, model or family", name, listed)
        rows = [row for row, member in enumerate(members) if self._takes(member)]
        if not rows:
            raise UsageError(f"no member is left of {len(members)} after --only and --exclude")
        note = f"{len(rows)} of {len(members)} members were asked for by --only and --exclude"
        return tuple(_with(pool, rows) for pool in pools), (note,)

    def _takes(self, member: Member) -> bool:
        names = set(_names(member))
        return not names & set(self.exclude) and (not self.only or bool(names & set(self.only)))


def _names(member: Member) -> tuple[str, ...]:
    """Return what a member may be called by, the widest name first."""
    return family(member.name), member.name, str(member.model), str(member)


def _with(pool: Pool, rows: list[int]) -> Pool:
    members = tuple(pool.members[row] for row in rows)
    return replace(
        pool,
        summary=replace(pool.summary, members=tuple(map(str, members))),
        members=members,
        select=_some(pool.select, rows),
        report=_some(pool.report, rows),
        cost_figures=tuple(pool.cost_figures[row] for row in rows),
    )


def _some(values: np.ndarray | MemberArrays, rows: list[int]) -> np.ndarray | MemberArrays:
    # memory maps stay maps: an index by a list would read them all
    return values[rows] if isinstance(values, np.ndarray) else MemberArrays([values[row] for row in rows])

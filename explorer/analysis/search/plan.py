"""What a search looks at, and how far a limit lets it go."""

from dataclasses import dataclass
from math import comb

from explorer.analysis.scoring.combine import MOST_MEMBERS
from explorer.errors import UsageError
from explorer.spec import Averaging, Signal

MAX_DESIGNS = 4_000_000_000
"""Default limit of a search: a few seconds on two idle cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """The designs to look at.

    Raises:
        UsageError: a number out of range, or no exit signal.
    """

    max_members: int = 4
    """Largest ensemble, alone or as what answers second."""
    first_members: int = 1
    """Largest first stage of a cascade."""
    signals: tuple[Signal, ...] = (Signal.P,)
    """What the examples may leave a first stage by."""
    averaging: Averaging = Averaging.MEAN
    """The rule of all ensembles."""
    cascades: bool = True
    max_designs: int = MAX_DESIGNS
    """Most designs to score; a pair of stages counts as one cascade an example, and an ensemble, which
    cannot share the work, as much."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_members <= MOST_MEMBERS:
            raise UsageError(f"max_members must be 1 to {MOST_MEMBERS}, got {self.max_members}")
        if not 1 <= self.first_members <= self.max_members:
            raise UsageError(
                f"first_members must be 1 to max_members ({self.max_members}), got {self.first_members}"
            )
        if self.max_designs < 1:
            raise UsageError(f"max_designs must be at least 1, got {self.max_designs}")
        if not self.signals or len(set(self.signals)) != len(self.signals):
            raise UsageError(f"wanted one or more different exit signals, got {list(map(str, self.signals))}")
        if self.signals == (Signal.AGREEMENT,) and self.first_members == 1:
            raise UsageError("agreement needs first stages of 2 members or more, got first_members 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How large the sets of members may be."""

    ensemble_size: int
    second_size: int
    """Of the set that answers second in a cascade; 0 means that no cascade is searched."""
    first_size: int
    """Of a cascade's first stage; 0 means that no cascade is searched."""
    notes: tuple[str, ...]


def plan_search(space: Space, members: int, examples: int) -> Plan:
    """Choose set sizes so that the search stays within its limit, and say what that leaves out.

    First stages of one member come first, then larger sets that answer second, then larger first stages.

    Args:
        space: what is asked for.
        members: members of the pool.
        examples: examples on ``select``.
    """
    wanted = min(space.max_members, members)
    ensemble_size = max(1, _largest(members, examples, wanted, space.max_designs))
    second_size = first_size = 0
    if space.cascades:
        each = len(space.signals) * examples
        second_size = _largest(members, members * each, ensemble_size, space.max_designs)
        seconds = _sets(members, second_size)
        first_size = _largest(members, seconds * each, space.first_members, space.max_designs)
        # agreement alone has no first stages of one member to count
        first_size = min(max(first_size, int(second_size > 0)), ensemble_size)
    return Plan(
        ensemble_size=ensemble_size,
        second_size=second_size,
        first_size=first_size,
        notes=_notes(space, members, wanted, (ensemble_size, second_size, first_size)),
    )


def _sets(members: int, largest: int) -> int:
    return sum(comb(members, size) for size in range(1, largest + 1))


def _largest(members: int, weight: int, wanted: int, limit: int) -> int:
    """Return the largest size at which all sets up to it, ``weight`` designs each, stay within a limit."""
    fits = 0
    while fits < wanted and _sets(members, fits + 1) * weight <= limit:
        fits += 1
    return fits


def _notes(space: Space, members: int, wanted: int, sizes: tuple[int, int, int]) -> tuple[str, ...]:
    ensemble_size, second_size, first_size = sizes
    limit = f"the limit of {space.max_designs:,} designs"
    notes = []
    if ensemble_size < wanted:
        notes.append(
            f"ensembles of at most {ensemble_size} members were searched, not {wanted}: "
            f"with {members} members more would pass {limit}"
        )
    if space.cascades and second_size == 0:
        notes.append(f"no cascades were searched: they would pass {limit}")
    elif space.cascades and second_size < ensemble_size:
        notes.append(
            f"second stages of cascades of at most {second_size} members were searched, not "
            f"{ensemble_size}: more would pass {limit}"
        )
    if 0 < first_size < min(space.first_members, ensemble_size):
        notes.append(
            f"first stages of cascades of at most {first_size} members were searched, not "
            f"{min(space.first_members, ensemble_size)}: more would pass {limit}"
        )
    return tuple(notes)

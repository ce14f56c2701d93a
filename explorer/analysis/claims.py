"""What checks of a claim say together: it holds, fails, or depends on form, device or comparator."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from explorer.data.claims import Check, Claim


class Outcome(StrEnum):
    """What became of one check."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"
    """Measured, and the interval reaches across the bound."""
    NOT_CHECKED = "not_checked"


class Verdict(StrEnum):
    """What became of a claim."""

    HOLDS = "holds"
    """In every way it was checked."""
    FAILS = "fails"
    """In every way it was checked."""
    DEPENDS = "depends"
    """On form, device or comparator: it holds in some ways and not in others."""
    NOT_CHECKED = "not_checked"
    """In no way, or in no way that decided it."""


class Basis(StrEnum):
    """What a found figure rests on."""

    COUNTED = "counted"
    MEASURED = "measured"
    CITED = "cited"
    """Somebody else's measurement, named in the check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One check and what was found."""

    check: Check
    outcome: Outcome
    found: float | None = None
    low: float | None = None
    """Of the 95 % interval of a measured figure; None where there is none."""
    high: float | None = None
    basis: Basis | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    """The figures it was computed from: model -> amount."""
    where: str = ""
    """Machine and date of a measurement, or the source of a cited figure."""
    reason: str = ""
    """Why it was not checked, or not decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedClaim:
    """A claim with all its checks."""

    claim: Claim
    checks: tuple[Checked, ...]

    @property
    def verdict(self) -> Verdict:
        """Return what the checks say together."""
        outcomes = {one.outcome for one in self.checks} - {Outcome.NOT_CHECKED}
        if outcomes <= {Outcome.UNDECIDED}:
            return Verdict.NOT_CHECKED
        if len(outcomes) > 1:
            return Verdict.DEPENDS
        return Verdict(outcomes.pop().value)


def judged(
    check: Check,
    found: float,
    *,
    basis: Basis,
    low: float | None = None,
    high: float | None = None,
    parts: Mapping[str, float] | None = None,
    where: str = "",
) -> Checked:
    """Return a check made: whether ``found``, with its whole interval, agrees with what was published.

    Args:
        check: what was asked.
        found: in the unit of ``check.published``.
        basis: what the figure rests on.
        low: of its interval, where it has one.
        high: likewise.
        parts: the figures it was computed from.
        where: machine and date, or source.
    """
    ends = [end for end in (low, high) if end is not None]
    says = {check.agrees(one) for one in (found, *ends)}
    outcome = Outcome.UNDECIDED if len(says) == 2 else Outcome.HOLDS if says == {True} else Outcome.FAILS
    return Checked(
        check=check,
        outcome=outcome,
        found=found,
        low=low,
        high=high,
        basis=basis,
        parts=parts or {},
        where=where,
        reason="its interval reaches across the bound" if outcome is Outcome.UNDECIDED else "",
    )

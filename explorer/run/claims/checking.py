"""From a claim to its checks: every check is made that can be, and says on what its figure rests."""

from collections.abc import Callable, Iterable

from explorer.analysis.claims import Basis, Checked, CheckedClaim, Outcome, judged
from explorer.data.claims import MEASURED, Check, Claim, Kind
from explorer.run.claims.counted import Counts
from explorer.run.claims.measured import Measurement, Measurements
from explorer.run.claims.special import SPECIAL


def check_claims(
    claims: Iterable[Claim],
    *,
    measurements: Measurements,
    update: Callable[[float, str], None] = lambda share, text: None,
) -> tuple[CheckedClaim, ...]:
    """Check claims in their order.

    Args:
        claims: as `explorer.data.claims.read_claims` returns them.
        measurements: those kept, or one that measures here.
        update: told the share done and which claim is next.

    Raises:
        UsageError: a check names a model, search space or function that is not there.
    """
    asked = tuple(claims)
    done = []
    with Counts() as counts:
        for number, claim in enumerate(asked):
            update(number / len(asked), claim.id)
            checks = tuple(check_one(claim, check, counts, measurements) for check in claim.checks)
            done.append(CheckedClaim(claim=claim, checks=checks))
    return tuple(done)


def check_one(claim: Claim, check: Check, counts: Counts, measurements: Measurements) -> Checked:
    """Make one check.

    Raises:
        UsageError: it names a model, search space or function that is not there.
    """
    if check.kind is Kind.FUNCTION:
        found = SPECIAL[check.function](counts, **check.arguments)
        return judged(check, found.value, basis=Basis.COUNTED, parts=found.parts)
    models = [model for model in (check.model, check.against) if model]
    if check.amounts:
        return judged(
            check,
            check.kind.combine(*check.amounts),
            basis=Basis.CITED,
            parts=dict(zip(models, check.amounts, strict=True)),
            where=check.source,
        )
    if check.quantity in MEASURED:
        measured = measurements.find(claim, check)
        if isinstance(measured, Measurement):
            return _measured(check, measured)
        return Checked(check=check, outcome=Outcome.NOT_CHECKED, reason=measured)
    assert check.quantity is not None  # the reader refuses a check without
    amounts = [counts.quantity(model, check.quantity, deploy=check.deploy) for model in models]
    found_value = check.kind.combine(*amounts)
    return judged(check, found_value, basis=Basis.COUNTED, parts=dict(zip(models, amounts, strict=True)))


def _measured(check: Check, measured: Measurement) -> Checked:
    return judged(
        check,
        measured.found,
        low=measured.low,
        high=measured.high,
        basis=Basis.MEASURED,
        parts=measured.parts,
        where=f"{measured.machine}, {measured.date}",
    )

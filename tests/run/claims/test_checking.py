import pytest

from explorer.analysis.claims import Basis, CheckedClaim, Outcome, Verdict, judged
from explorer.data.claims import Check, Claim, Kind, Quantity, Relation, read_claims
from explorer.errors import UsageError
from explorer.run.claims.checking import check_claims
from explorer.run.claims.measured import KeptMeasurements, Measurement

NOTHING = KeptMeasurements(())


def claim(*checks: Check, why: str = "") -> Claim:
    return Claim(id="a", system="s", statement="", published="", seed="", checks=checks, not_checkable=why)


def ratio(published: float, **more: object) -> Check:
    given = {"condition": f"{published}", "kind": Kind.RATIO, "quantity": Quantity.PARAMETERS}
    given |= {"model": "mlp64x1@8", "against": "mlp32x1@8", "published": published, "tolerance": 0.01}
    return Check(**(given | more))  # type: ignore[arg-type]  # test values by name


# 3 x 8 x 8 inputs: 192 h + h (bias) ... with norms of 2 h and a head of 10 (h + 1)
PARAMETERS = {hidden: 192 * hidden + 2 * hidden + 10 * (hidden + 1) for hidden in (32, 64)}


def test_verdict_is_that_of_all_checks() -> None:
    true = PARAMETERS[64] / PARAMETERS[32]
    right, wrong = ratio(true), ratio(true + 1)
    unknown = ratio(1.0, quantity=Quantity.LATENCY, workload="cpu", condition="not kept")

    def verdict(*checks: Check) -> Verdict:
        (done,) = check_claims([claim(*checks)], measurements=NOTHING)
        return done.verdict

    assert verdict(right) is verdict(right, unknown) is Verdict.HOLDS
    assert verdict(wrong) is verdict(wrong, unknown) is Verdict.FAILS
    assert verdict(right, wrong) is Verdict.DEPENDS
    assert verdict(unknown) is Verdict.NOT_CHECKED


def test_found_figures_are_counted() -> None:
    (done,) = check_claims([claim(ratio(2.0))], measurements=NOTHING)

    (checked,) = done.checks
    assert checked.parts == {"mlp64x1@8": PARAMETERS[64], "mlp32x1@8": PARAMETERS[32]}
    assert checked.found == PARAMETERS[64] / PARAMETERS[32]
    assert checked.basis is Basis.COUNTED


def test_amounts_from_elsewhere_are_cited() -> None:
    check = ratio(2.0, amounts=(3.0, 2.0), source="their table", quantity=Quantity.THROUGHPUT, workload="x")
    ((checked,),) = (one.checks for one in check_claims([claim(check)], measurements=NOTHING))

    assert (checked.found, checked.basis, checked.where) == (1.5, Basis.CITED, "their table")
    assert checked.outcome is Outcome.FAILS


def test_kept_measurements_are_found_by_claim_and_condition() -> None:
    check = ratio(1.0, quantity=Quantity.LATENCY, workload="cpu", condition="here")
    kept = Measurement(
        claim="a",
        condition="here",
        found=1.004,
        low=0.995,
        high=1.009,
        parts={},
        rounds=9,
        machine="one",
        date="2026-01-02",
        command="",
    )
    ((checked,),) = (
        one.checks for one in check_claims([claim(check)], measurements=KeptMeasurements([kept]))
    )

    assert (checked.found, checked.low, checked.high) == (1.004, 0.995, 1.009)
    assert (checked.outcome, checked.basis, checked.where) == (
        Outcome.HOLDS,
        Basis.MEASURED,
        "one, 2026-01-02",
    )


@pytest.mark.parametrize(
    ("low", "high", "outcome", "verdict"),
    [
        (1.9, 2.2, Outcome.HOLDS, Verdict.HOLDS),
        (1.0, 1.5, Outcome.FAILS, Verdict.FAILS),
        (1.7, 2.2, Outcome.UNDECIDED, Verdict.NOT_CHECKED),
    ],
)
def test_an_interval_across_the_bound_decides_nothing(
    low: float, high: float, outcome: Outcome, verdict: Verdict
) -> None:
    check = ratio(1.8, relation=Relation.AT_LEAST)
    found = judged(check, (low + high) / 2, basis=Basis.MEASURED, low=low, high=high)
    assert found.outcome is outcome
    assert bool(found.reason) is (outcome is Outcome.UNDECIDED)
    assert CheckedClaim(claim=claim(check), checks=(found,)).verdict is verdict
    if outcome is Outcome.UNDECIDED:
        other = judged(check, 2.5, basis=Basis.COUNTED)
        assert CheckedClaim(claim=claim(check), checks=(found, other)).verdict is Verdict.DEPENDS


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown model 'nothing'"):
        check_claims([claim(ratio(1.0, model="nothing@8"))], measurements=NOTHING)
    size = Check(
        condition="",
        kind=Kind.VALUE,
        quantity=Quantity.SPACE_SIZE,
        model="nowhere",
        published=1.0,
        tolerance=0.0,
    )
    with pytest.raises(UsageError, match="unknown search space 'nowhere'"):
        check_claims([claim(size)], measurements=NOTHING)


def test_known_answers() -> None:
    claims = read_claims()
    asked = ("dpn-size", "dpn-compute", "csp-compute", "tinynet-e-macs")
    done = check_claims([claims[name] for name in asked], measurements=NOTHING)

    assert {one.claim.id: one.verdict for one in done} == dict.fromkeys(asked, Verdict.HOLDS)
    found = {one.claim.id: one.checks[0].found for one in done}
    assert found["dpn-size"] == pytest.approx(-0.262, abs=5e-4)
    assert found["dpn-compute"] == pytest.approx(-0.245, abs=5e-4)
    assert found["tinynet-e-macs"] == 24_356_848

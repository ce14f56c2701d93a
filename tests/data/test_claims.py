from pathlib import Path

import pytest

from explorer.data.claims import CLAIMS_FILE, Check, Kind, Quantity, Relation, read_claims
from explorer.errors import InputDataError

CLAIM = """
[[claim]]
id = "a"
system = "dpn"
statement = "smaller"
published = "26 %"
seed = "003:174"
"""
CHECK = """
[[claim.check]]
condition = "plain"
kind = "change"
quantity = "parameters"
model = "x@32"
against = "y@32"
published = -0.26
tolerance = 0.01
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "claims.toml"
    path.write_text(text)
    return path


def test_reads_a_claim(tmp_path: Path) -> None:
    (claim,) = read_claims(written(tmp_path, CLAIM + CHECK)).values()

    assert (claim.id, claim.system, claim.seed) == ("a", "dpn", "003:174")
    assert claim.checks == (
        Check(
            condition="plain",
            kind=Kind.CHANGE,
            quantity=Quantity.PARAMETERS,
            model="x@32",
            against="y@32",
            published=-0.26,
            tolerance=0.01,
        ),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no claims"),
        ("[[claim]\n", "cannot be read as TOML"),
        (CLAIM, "wants either checks or the reason"),
        (CLAIM + 'not_checkable = "why"\n' + CHECK, "wants either checks or the reason"),
        (CLAIM + CHECK + CLAIM + CHECK, "claim 'a' stands twice"),
        (CLAIM + 'colour = "red"\n' + CHECK, "unknown field colour; there are id, system"),
        (CLAIM.replace('system = "dpn"\n', "") + CHECK, "missing 1 required keyword-only argument: 'system'"),
        (CLAIM + CHECK + "weight = 3\n", "unknown field weight"),
        (CLAIM + CHECK.replace('"change"', '"guess"'), "kind 'guess' is unknown; there are value, ratio"),
        (CLAIM + CHECK.replace('"parameters"', '"weight"'), "quantity 'weight' is unknown"),
        (CLAIM + CHECK.replace("-0.26", '"much"'), "published must be a finite number, got 'much'"),
        (CLAIM + CHECK.replace("0.01", "nan"), "tolerance must be a finite number"),
        (CLAIM + CHECK.replace("0.01", "-1"), "tolerance must be 0 or more"),
        (CLAIM + CHECK.replace('against = "y@32"\n', ""), "a change check names `against`"),
        (CLAIM + CHECK.replace('"change"', '"value"'), "a value check has no `against`"),
        (CLAIM + CHECK.replace('"parameters"', '"latency"'), "measured quantities, and only they, have"),
        (CLAIM + CHECK + 'workload = "cpu"\n', "measured quantities, and only they, have a workload"),
        (CLAIM + CHECK + "amounts = [1]\nsource = 'there'\n", "amounts from elsewhere are 2"),
        (CLAIM + CHECK + "amounts = [1, 2]\n", "with their source"),
        (CLAIM + CHECK.replace('"change"', '"function"'), "a function check names a function alone"),
        (CLAIM + CHECK + 'unit = "x"\n', "only a function, or amounts from elsewhere, have a unit"),
    ],
)
def test_refuses_what_does_not_fit(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputDataError, match=message):
        read_claims(written(tmp_path, text))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputDataError, match="no such file"):
        read_claims(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("relation", "right"),
    [
        (Relation.ABOUT, {0.9: False, 0.95: True, 1.05: True, 1.1: False}),
        (Relation.AT_LEAST, {0.9: False, 0.95: True, 1.1: True}),
        (Relation.AT_MOST, {0.5: True, 1.05: True, 1.1: False}),
    ],
)
def test_agreement_within_the_tolerance(relation: Relation, right: dict[float, bool]) -> None:
    check = Check(condition="", kind=Kind.VALUE, published=1.0, tolerance=0.05 + 1e-12, relation=relation)
    assert {found: check.agrees(found) for found in right} == right


def test_kinds_combine_amounts() -> None:
    assert Kind.VALUE.combine(3.0) == 3
    assert Kind.RATIO.combine(3.0, 4.0) == 0.75
    assert Kind.CHANGE.combine(3.0, 4.0) == -0.25
    assert Kind.DIFFERENCE.combine(3.0, 4.0) == -1


def test_shipped_claims_are_of_known_systems_and_functions() -> None:
    from explorer.run.claims.special import SPECIAL
    from zoo.catalogue import systems

    claims = read_claims(CLAIMS_FILE)

    assert {claim.system for claim in claims.values()} <= systems().keys()
    assert all(
        check.function in SPECIAL
        for claim in claims.values()
        for check in claim.checks
        if check.kind is Kind.FUNCTION
    )
    conditions = [(claim.id, check.condition) for claim in claims.values() for check in claim.checks]
    assert len(conditions) == len(set(conditions)), "measurements are kept by claim and condition"

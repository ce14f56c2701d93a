import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.convention import COST_KINDS, Basis, Composition, CostAxis, same_basis_or_raise
from explorer.errors import ConventionError, UsageError
from explorer.question import Budget, Target, parse_amount

AXES = st.sampled_from([CostAxis(k, "cpu" if k.needs_device else None) for k in COST_KINDS.values()])


@given(AXES, st.floats(1e-12, 1e18))
def test_budget_text_parses_back(axis, limit) -> None:
    budget = Budget(axis, limit)

    assert Budget.parse(str(budget)) == budget


@given(st.floats(0, 1))
def test_target_text_parses_back(share) -> None:
    assert Target.parse(str(Target(share))) == Target(share)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("macs<=4M", 4e6),
        ("macs <= 4e6", 4e6),
        ("latency@cpu<=2ms", 0.002),
        ("latency@cuda:0<=250us", 0.00025),
        ("param_bytes<=1.5MB", 1.5e6),
        ("activation_peak_bytes<=1KiB", 1024),
        ("parameters<=100k", 1e5),
    ],
)
def test_units(text, limit) -> None:
    assert Budget.parse(text).limit == pytest.approx(limit, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("macs", "not a budget: 'macs'; wanted KIND[@DEVICE]<=AMOUNT, e.g. macs<=4M"),
        ("mcas<=4M", "unknown cost kind 'mcas'; did you mean macs?"),
        ("happiness<=4", "unknown cost kind 'happiness'; known: "),
        ("macs<=0", "an amount must be above 0, got '0'"),
        ("macs<=4ms", "not an amount in MAC: '4ms'"),
        ("latency<=4ms", "cost kind 'latency' needs a device, e.g. 'latency@cpu'"),
        ("macs@cpu<=4M", "cost kind 'macs' does not depend on a device"),
        ("latency@cpu<=4M", "not an amount in s: '4M'; wanted a number, suffixes: s, ms, us, ns"),
    ],
)
def test_bad_budgets_are_refused_in_one_line(text, message) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        Budget.parse(text)


@pytest.mark.parametrize("text", ["accuracy>=1.2", "accuracy>=120%", "macs>=3", "accuracy>=good"])
def test_bad_targets_are_refused(text) -> None:
    with pytest.raises(UsageError):
        Target.parse(text)


def test_percent_and_share_are_the_same() -> None:
    assert Target.parse("accuracy>=97%") == Target.parse("accuracy >= 0.97")


def test_amounts() -> None:
    assert parse_amount("2G", "MAC") == 2e9


def test_every_cost_kind_is_complete() -> None:
    for name, kind in COST_KINDS.items():
        assert kind.name == name
        assert kind.unit
        assert kind.doc
        assert isinstance(kind.composition, Composition)
        assert kind.derived_from is None or COST_KINDS[kind.derived_from].derived_from is None


def test_bases_do_not_mix() -> None:
    same_basis_or_raise({Basis.COUNTED}, "front")

    with pytest.raises(ConventionError, match="front mixes costs that are bound and measured"):
        same_basis_or_raise({Basis.MEASURED, Basis.BOUND}, "front")

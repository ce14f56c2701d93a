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
        ("time_per_example@rtx4090/b256/amp<=3us", 3e-6),
        ("energy@cuda/b64<=2mJ", 2e-3),
        ("energy@cuda/b64 <= 5 uJ", 5e-6),
        ("energy@cpu<=7J", 7.0),
        ("energy@cpu<=0.5kJ", 500.0),
        ("money@l4/b32<=0.11USD", 0.11),
        ("money@l4/b32<=0.11", 0.11),
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
        ("energy@cpu<=4ms", "not an amount in J: '4ms'; wanted a number, suffixes: J, mJ, uJ, kJ"),
        ("energy@cpu<=4MJ", "not an amount in J: '4MJ'"),
        ("money@cpu<=4EUR", "not an amount in USD: '4EUR'; wanted a number, suffixes: USD"),
        ("money@cpu<=4M", "not an amount in USD: '4M'"),
        ("money<=4", "cost kind 'money' needs a device, e.g. 'money@cpu'"),
        ("energy<=4", "cost kind 'energy' needs a device, e.g. 'energy@cpu'"),
        ("time_per_example<=4", "cost kind 'time_per_example' needs a device"),
        ("money@cpu/b0<=4", "unknown part 'b0' in workload 'cpu/b0'"),
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


WORKLOADS = st.builds(
    "{}/b{}".format, st.sampled_from(["cpu", "cuda", "rtx4090", "tpu-v5e"]), st.integers(1, 5000)
)


@given(st.sampled_from(sorted(COST_KINDS)), WORKLOADS)
def test_the_factor_is_one_over_the_batch_for_what_one_example_pays(name, workload) -> None:
    kind = COST_KINDS[name]
    if not kind.needs_device:
        assert CostAxis(kind).factor == kind.factor
        return
    axis = CostAxis.parse(f"{name}@{workload}")
    batch = int(workload.rpartition("b")[2])
    assert axis.factor == (1 / batch if name in ("time_per_example", "money") else 1)
    of_latency = ("time_per_example", "money", "worst_latency", "parallel_latency")
    assert axis.stored_kind == ("latency" if name in of_latency else name)
    assert axis.workload.batch == batch
    assert CostAxis.parse(str(axis)) == axis


def test_what_is_derived_takes_over_how_its_source_adds_up() -> None:
    for kind in COST_KINDS.values():
        if kind.derived_from is not None:
            source = COST_KINDS[kind.derived_from]
            assert kind.needs_device == source.needs_device
            # the worst case is the one thing that is composed otherwise
            assert kind.composition in (source.composition, Composition.WORST)
        assert not (kind.per_example and kind.derived_from is None), "only a call's figure is divided"
        assert kind.per_example or not kind.needs_price

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.accounting import count, roll_up
from explorer.errors import UncountedError, UsageError
from explorer.record import Trace


@pytest.fixture
def make_trace(op):
    def make(*ops) -> Trace:
        return Trace(ops=tuple(ops), input_shape=(2, 3, 5, 5), parameters=7, param_bytes=28, buffer_bytes=11)

    return make


def in_module(record, module: str):
    return type(record)(
        op=record.op,
        module=module,
        inputs=record.inputs,
        outputs=record.outputs,
        attributes=record.attributes,
    )


def test_sums_and_both_maps(op, make_trace) -> None:
    a = in_module(op("mm", [(2, 3), (3, 5)], [(2, 5)]), "net.a")
    b = in_module(op("bmm", [(7, 2, 3), (7, 3, 5)], [(7, 2, 5)]), "net.b")
    c = in_module(op("addmm", [(5,), (2, 3), (3, 5)], [(2, 5)]), "net.a")
    relu = in_module(op("relu_", [(2, 5)], [(2, 5)]), "net.act")

    cost = count(make_trace(a, b, c, relu))

    assert cost.macs == 30 + 210 + 30
    assert cost.flops == 2 * cost.macs
    assert cost.elementwise_ops == 10 + 10
    assert cost.macs_by_op == {"mm": 30, "bmm": 210, "addmm": 30}
    assert cost.macs_by_module == {"net.a": 60, "net.b": 210}
    assert (cost.parameters, cost.param_bytes, cost.buffer_bytes, cost.batch) == (7, 28, 11, 2)
    assert cost.uncounted == {}


def test_what_has_no_formula_is_listed_with_how_often_it_ran(op, make_trace) -> None:
    sort = op("linalg_qr", [(3, 5)], [(3, 5), (3, 5)])
    custom = op("mylib::scan", [(3, 5)], [(3, 5)])

    cost = count(make_trace(sort, custom, sort, op("mm", [(2, 3), (3, 5)], [(2, 5)])))

    assert cost.uncounted == {"linalg_qr": 2, "mylib::scan": 1}
    assert cost.macs == 30


def test_strict_names_every_operator_without_formula(op, make_trace) -> None:
    trace = make_trace(
        op("linalg_qr", [(3,)], [(3,)]), op("fft_c2c", [(3,)], [(3,)]), op("linalg_qr", [(3,)], [(3,)])
    )

    with pytest.raises(UncountedError, match=r"no formula for fft_c2c \(1x\), linalg_qr \(2x\)"):
        count(trace, strict=True)


def test_strict_accepts_what_is_counted_as_zero(op, make_trace) -> None:
    assert count(make_trace(op("view", [(3, 5)], [(5, 3)])), strict=True).macs == 0


def test_a_pass_without_operators_costs_nothing(make_trace) -> None:
    cost = count(make_trace(), strict=True)

    assert (cost.macs, cost.elementwise_ops, cost.activation_peak_bytes) == (0, 0, 0)


PATHS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=4).map(".".join)


@given(st.dictionaries(PATHS, st.integers(1, 10**12)), st.integers(0, 5))
def test_roll_up_keeps_the_total(macs_by_module: dict[str, int], depth: int) -> None:
    rolled = roll_up(macs_by_module, depth)

    assert sum(rolled.values()) == sum(macs_by_module.values())
    assert all(path.count(".") < max(depth, 1) for path in rolled)


def test_roll_up_does_not_mix_siblings_that_share_a_prefix() -> None:
    assert roll_up({"conv1": 2, "conv10": 3, "conv1.a": 5}, 1) == {"conv1": 7, "conv10": 3}


def test_roll_up_refuses_a_negative_depth() -> None:
    with pytest.raises(UsageError, match="depth must be 0 or more, got -1"):
        roll_up({}, -1)

"""Breakdowns add up to the total, whatever the trace, and come in the order of the model."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.accounting import count
from explorer.accounting.views import (
    Totals,
    by_module,
    by_module_and_operator,
    by_operator,
    shortened,
    subtotals,
    total,
)
from explorer.errors import UsageError
from explorer.record import OpRecord, Trace


def trace_of(ops: list[OpRecord]) -> Trace:
    return Trace(ops=tuple(ops), input_shape=(1,), parameters=0, param_bytes=0, buffer_bytes=0)


@pytest.fixture
def small(op) -> Trace:
    product = op("mm", [(2, 3), (3, 5)], [(2, 5)])
    relu = op("relu", [(2, 5)], [(2, 5)])
    unknown = op("mylib::scan", [(7,)], [(7,)])
    return trace_of(
        [
            replace(product, module="stem"),
            replace(product, module="stages.0.block.fc"),
            replace(relu, module="stages.0.block"),
            replace(product, module="stages.0.skip"),
            replace(unknown, module="stages.10"),
            replace(relu, module=""),
            replace(relu, module="stages.2"),
            replace(relu, module="stem"),
        ]
    )


def test_by_operator(small) -> None:
    assert by_operator(small) == {
        "mm": Totals(macs=3 * 30, bytes_read=3 * 4 * 21, bytes_written=3 * 4 * 10, calls=3),
        "relu": Totals(elementwise_ops=40, bytes_read=4 * 40, bytes_written=4 * 40, calls=4),
        "mylib::scan": Totals(bytes_read=28, bytes_written=28, calls=1),
    }


def test_modules_come_as_in_the_tree_and_as_they_first_ran(small) -> None:
    assert list(by_module(small)) == [
        "",
        "stem",
        "stages.0.block",
        "stages.0.block.fc",
        "stages.0.skip",
        "stages.10",
        "stages.2",
    ]


def test_depth_gives_what_is_deeper_to_the_ancestor(small) -> None:
    shallow = by_module(small, 1)

    assert list(shallow) == ["", "stem", "stages"]
    assert shallow["stages"].macs == 60
    assert by_module(small, 0) == {"": total(small)}
    assert by_module(small, 9) == by_module(small)


def test_by_module_and_operator(small) -> None:
    both = by_module_and_operator(small, 2)

    assert list(both)[:4] == [("", "relu"), ("stem", "mm"), ("stem", "relu"), ("stages.0", "mm")]
    assert both["stages.0", "mm"].macs == 60


def test_subtotals_hold_everything_inside(small) -> None:
    tree = subtotals(by_module(small))

    assert list(tree)[:4] == ["", "stem", "stages", "stages.0"]
    assert tree[""] == total(small)
    assert tree["stages.0"].macs == 60
    assert tree["stages.0.block"] == Totals(
        macs=30, elementwise_ops=10, bytes_read=4 * 31, bytes_written=4 * 20, calls=2
    )
    assert tree["stages"].calls == 5


def test_a_name_that_starts_like_another_is_no_child(op) -> None:
    record = op("relu", [(3,)], [(3,)])
    trace = trace_of([replace(record, module="layer1"), replace(record, module="layer10.conv")])

    assert subtotals(by_module(trace))["layer1"].calls == 1


def test_negative_depth() -> None:
    with pytest.raises(UsageError, match="depth must be 0 or more, got -1"):
        shortened("a.b", -1)


PATHS = st.lists(st.sampled_from(["a", "b", "0", "1", "10"]), max_size=4).map(".".join)
OPERATORS = st.sampled_from(["mm", "relu", "view", "copy_", "mylib::scan", "native_layer_norm"])


@given(
    calls=st.lists(st.tuples(OPERATORS, PATHS, st.integers(1, 13)), max_size=20),
    depth=st.none() | st.integers(0, 5),
)
def test_every_view_adds_up(op, calls: list, depth: int | None) -> None:
    trace = trace_of(
        [replace(op(name, [(n, n), (n, n)], [(n, n)]), module=module) for name, module, n in calls]
    )
    whole = total(trace)

    for view in (by_operator(trace), by_module(trace, depth), by_module_and_operator(trace, depth)):
        assert sum(view.values(), Totals()) == whole
    assert subtotals(by_module(trace, depth))[""] == whole
    assert (whole.macs, whole.elementwise_ops) == (count(trace).macs, count(trace).elementwise_ops)
    assert whole.calls == len(calls)


@given(calls=st.lists(st.tuples(PATHS, st.integers(1, 13)), max_size=12), depth=st.integers(0, 4))
def test_parents_come_before_children_and_hold_their_sum(op, calls: list, depth: int) -> None:
    trace = trace_of([replace(op("relu", [(n,)], [(n,)]), module=module) for module, n in calls])
    own = by_module(trace, depth)
    tree = subtotals(own)
    order = list(tree)

    for at, module in enumerate(order):
        children = [m for m in order if m and module == ".".join(m.split(".")[:-1])]
        assert all(order.index(child) > at for child in children)
        assert tree[module] == sum((tree[child] for child in children), own.get(module, Totals()))

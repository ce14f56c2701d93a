"""Members by name: of one, of a model, of a family."""

import numpy as np
import pytest
from strategies import simulated_pool

from explorer.analysis.blocks import MemberArrays
from explorer.analysis.choice import MemberChoice
from explorer.errors import UsageError

POOL = simulated_pool(models=2, seeds=3, select=9, report=7)


def chosen(**options: tuple[str, ...]) -> list[str]:
    (pool,), notes = MemberChoice(**options).of([POOL])
    assert pool.summary.members == tuple(map(str, pool.members))
    rows = [POOL.members.index(member) for member in pool.members]
    np.testing.assert_array_equal(pool.select, POOL.select[rows])
    np.testing.assert_array_equal(pool.report, POOL.report[rows])
    np.testing.assert_array_equal(pool.costs, POOL.costs[rows])
    assert len(notes) == bool(options)
    return [str(member) for member in pool.members]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, ["net0@8#0", "net0@8#1", "net0@8#2", "net1@8#0", "net1@8#1", "net1@8#2"]),
        ({"only": ("net1",)}, ["net1@8#0", "net1@8#1", "net1@8#2"]),
        ({"only": ("net0@8#2", "net1@8")}, ["net0@8#2", "net1@8#0", "net1@8#1", "net1@8#2"]),
        ({"exclude": ("net1@8#1", "net0")}, ["net1@8#0", "net1@8#2"]),
        ({"only": ("net",), "exclude": ("net0",)}, ["net1@8#0", "net1@8#1", "net1@8#2"]),
    ],
)
def test_members_by_name(options, wanted) -> None:
    assert chosen(**options) == wanted


def test_memory_maps_stay_where_they_are() -> None:
    from dataclasses import replace

    arrays = MemberArrays(list(POOL.select))
    (pool,), _ = MemberChoice(only=("net1",)).of([replace(POOL, select=arrays)])
    assert isinstance(pool.select, MemberArrays)
    assert pool.select[0] is arrays[3]


def test_names_that_fit_nothing_and_choices_that_leave_nothing() -> None:
    with pytest.raises(UsageError, match=r"unknown .*family 'resnet'; did you .* known: net, net0, net1$"):
        MemberChoice(only=("resnet",)).of([POOL])
    with pytest.raises(UsageError, match="no member is left of 6"):
        MemberChoice(only=("net0",), exclude=("net",)).of([POOL])

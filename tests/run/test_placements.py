"""Ensembles of zoo models in several placements, small ones, end to end."""

import statistics

import pytest

from explorer.accounting.interference import Placement, compose_latency
from explorer.convention import Basis
from explorer.errors import UsageError
from explorer.run.placements import (
    EnsembleTimes,
    ImageShape,
    ensemble_text,
    placement_rows,
    pooled_factors,
    profile_placements,
    time_members,
)
from explorer.spec import ModelSpec
from explorer.workload import Workload

EAGER = Workload.parse("cpu/eager")
SMALL = ImageShape(native=8, channels=1, classes=10)
STOP = {"min_seconds": 0.0, "max_seconds": 0.05, "warmup": 1}
TINY, OTHER = ModelSpec("wrn10-0.25", 8), ModelSpec("mlp16x1", 8)


@pytest.fixture(scope="module")
def timed() -> tuple[EnsembleTimes, ...]:
    return profile_placements(
        [[TINY, TINY], [OTHER] * 3, [TINY, OTHER]],
        EAGER, shape=SMALL, placements=("sequential", "batched", "streams"), **STOP,
    )  # fmt: skip


def test_rows_say_what_ran_and_why_not(timed) -> None:
    rows = placement_rows(timed)

    assert len(rows) == 9
    assert [row["ensemble"] for row in rows[::3]] == [
        "2 x wrn10-0.25@8",
        "3 x mlp16x1@8",
        "wrn10-0.25@8 + mlp16x1@8",
    ]
    by_key = {(row["ensemble"], row["placement"]): row for row in rows}
    mixed = by_key["wrn10-0.25@8 + mlp16x1@8", "batched"]
    assert mixed["latency_s"] is None
    assert mixed["over_sum"] is None
    assert "one architecture" in str(mixed["refused"])
    for row in rows:
        assert set(row) == set(rows[0])
        assert (row["latency_s"] is None) == bool(row["refused"])
        assert (row["placement"] == "streams") <= (row["refused"] is not None)
        if row["latency_s"] is not None:
            assert row["over_sum_low"] <= row["over_sum"] <= row["over_sum_high"] < row["over_slowest_high"]
            assert row["slowest_s"] < row["sum_s"]


def test_members_have_weights_of_their_own(timed) -> None:
    for row in placement_rows(timed):
        if row["placement"] == "batched" and row["latency_s"] is not None:
            assert 0.0 <= row["difference"] < 1e-4


def test_factors_pool_over_the_others(timed) -> None:
    everything = pooled_factors(timed)
    assert set(everything) == {"sequential", "batched"}
    assert everything["sequential"].basis is Basis.FITTED

    without = pooled_factors(timed, left_out=lambda one: TINY in one.members)
    assert without == {}  # a single ensemble is left: nothing to pool


def test_members_timed_apart_compose() -> None:
    members, combinations = time_members([TINY, OTHER], EAGER, shape=SMALL, sizes=(2, 5), **STOP)

    assert list(members) == [TINY, OTHER]
    assert list(combinations) == [2, 5]
    whole = compose_latency(
        [members[TINY], members[OTHER]], Placement.parse("sequential"), combination=combinations[2]
    )
    assert whole.basis is Basis.COMPOSED
    parts = [members[TINY], members[OTHER], combinations[2]]
    assert whole.value == pytest.approx(statistics.fsum(part.value for part in parts))


def test_a_resolution_is_filled_in() -> None:
    (one,) = profile_placements(
        [[ModelSpec("wrn10-0.250")]], EAGER, shape=SMALL, placements=("sequential",), **STOP
    )

    assert one.members == (TINY,)


def test_members_of_other_resolutions_take_the_same_images() -> None:
    (one,) = profile_placements(
        [[TINY, ModelSpec("wrn10-0.25", 16)]], EAGER, shape=SMALL, placements=("sequential",), **STOP
    )

    assert one.runs[0].refused == ""
    assert ensemble_text(one.members) == "wrn10-0.25@8 + wrn10-0.25@16"


def test_an_unknown_placement_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown placement"):
        profile_placements([[TINY]], EAGER, shape=SMALL, placements=("paralel:2",), **STOP)


def test_timm_members_reach_their_workers() -> None:
    """Their classes import only after torchvision was made importable, in the worker too."""
    model = ModelSpec("timm:mobilenetv3_small_050", 32)
    (one,) = profile_placements(
        [[model, model]], EAGER, shape=ImageShape(native=32), placements=("parallel:2",), **STOP
    )

    assert one.runs[0].refused == ""
    assert one.runs[0].assignment in (((0,), (1,)), ((1,), (0,)))

"""Splits against the closed form of two power laws."""

import math

import numpy as np
import pytest

from explorer.analysis.curves.member_law import Loss, MemberLaw, fit_member_law
from explorer.analysis.curves.power_law import CurveOf, FitPoints, PowerLaw, fit_power_law
from explorer.analysis.curves.split_budget import split_budget
from explorer.errors import ConventionError, UsageError

COSTS = (1e4, 3e4, 1e5, 3e5, 1e6)


def curve_of(quantity: str, recipe: str = "plain") -> CurveOf:
    return CurveOf(recipe=recipe, dataset="made-up", figure="calibrated NLL", quantity=quantity)


def singles(noise: float | None = None) -> PowerLaw:
    y = 0.3 + 2.0 * np.array(COSTS) ** -0.25
    errors = None if noise is None else (noise,) * len(COSTS)
    points = FitPoints(of=curve_of("parameters"), x=COSTS, y=tuple(y.tolist()), standard_errors=errors)
    return fit_power_law(points)


def members(limit: float = 0.7, noise: float | None = None, recipe: str = "plain") -> MemberLaw:
    sizes = (1.0, 2.0, 3.0, 5.0)
    errors = None if noise is None else (noise,) * 4
    points = FitPoints(
        of=curve_of("members", recipe),
        x=sizes,
        y=tuple(limit + (1 - limit) / n for n in sizes),
        standard_errors=errors,
    )
    return fit_member_law(points, Loss.SQUARED)


def test_the_best_split_is_that_of_the_closed_form() -> None:
    found = split_budget(8e5, singles(), {1e5: members()}, most=12)
    losses = [(0.3 + 2.0 * (8e5 / n) ** -0.25) * (0.7 + 0.3 / n) for n in range(1, 13)]
    assert [split.loss.value for split in found.splits] == pytest.approx(losses, rel=1e-4)
    assert found.best == 1 + int(np.argmin(losses)) > 1
    assert found.gain.value == pytest.approx(losses[0] - min(losses), rel=1e-3)
    assert [split.member_cost * split.members for split in found.splits] == pytest.approx([8e5] * 12)


def test_members_that_gain_nothing_leave_one_network() -> None:
    found = split_budget(5e5, singles(), {1e5: members(limit=1.0)})
    assert found.best == 1
    assert found.gain.value == 0


def test_what_lies_outside_of_the_measured_is_marked() -> None:
    found = split_budget(4e4, singles(), {1e5: members()}, most=8)
    marks = [(split.loss.extrapolated, split.loss.factor) for split in found.splits]
    assert marks[:4] == [(False, 1), (False, 1), (False, 1), (False, 1)]
    # at 8 the member costs 5e3, half of the smallest measured; of members 5 were measured
    assert marks[7] == (True, pytest.approx(2.0))


def test_laws_of_several_scales_are_taken_between_them() -> None:
    laws = {1e4: members(limit=0.9), 1e6: members(limit=0.5)}
    split = split_budget(2e5, singles(), laws, most=2).splits[1]
    ratio = (0.95 + 0.75) / 2
    assert split.loss.value == pytest.approx((0.3 + 2.0 * 1e5**-0.25) * ratio, rel=1e-4)


def test_draws_give_the_optimum_an_interval() -> None:
    found = split_budget(8e5, singles(0.003), {1e5: members(noise=0.01)}, most=10)
    assert found.low <= found.best <= found.high
    assert found.low < found.high
    assert sum(found.shares.values()) == pytest.approx(1)
    best = found.splits[found.best - 1].loss
    assert best.low < best.value < best.high
    assert found.gain.low < found.gain.value < found.gain.high


def test_without_draws_any_split_might_be_best() -> None:
    points = FitPoints(of=curve_of("parameters"), x=COSTS[:3], y=(0.5, 0.41, 0.35))
    pair = FitPoints(of=curve_of("members"), x=(1.0, 2.0), y=(0.5, 0.45))
    found = split_budget(1e5, fit_power_law(points), {1e5: fit_member_law(pair, Loss.SQUARED)}, most=6)
    assert (found.low, found.high, dict(found.shares)) == (1, 6, {})
    assert found.splits[0].loss.low == -math.inf


def test_laws_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ConventionError, match="points of recipe"):
        split_budget(1e5, singles(), {1e5: members(recipe="other")})
    with pytest.raises(ConventionError, match="by cost"):
        split_budget(1e5, members().law, {1e5: members()})
    with pytest.raises(UsageError, match="0 laws"):
        split_budget(1e5, singles(), {})
    pair = FitPoints(of=curve_of("members"), x=(1.0, 2.0), y=(0.5, 0.45))
    with pytest.raises(UsageError, match="as many draws"):
        split_budget(1e5, singles(), {1e5: fit_member_law(pair, Loss.SQUARED)})

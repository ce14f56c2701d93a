"""Infos are worked out values; drawings are accessible, self-contained and repeatable."""

import itertools
import math
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from explorer.analysis.result import Advice, Front, ScaleCurve
from explorer.report.curves_info import curves_info
from explorer.report.figures import KIND_COLOURS, draw_curves, draw_front, inline_svg
from explorer.report.front_info import (
    BARS_PER_KIND,
    budget_steps,
    default_budget,
    front_info,
    nearest_step,
    stage_rows,
)
from explorer.spec import CandidateKind


def test_every_point_is_a_mark_once(front: Front, advice: Advice) -> None:
    info = front_info(front, advice)

    designs = [mark.design for mark in info.marks]
    assert len(designs) == len(set(designs)) == 10
    assert {mark.design for mark in info.marks if mark.on_front} == {str(p.design) for p in front.points}
    assert [mark.role for mark in info.marks if mark.role] == ["runner-up", "answer"]
    assert info.budget == 4e6
    assert info.target is None


def test_marks_carry_the_points_own_numbers(front: Front) -> None:
    by_design = {mark.design: mark for mark in front_info(front).marks}

    for points in front.fronts_by_kind.values():
        for point in points:
            mark = by_design[str(point.design)]
            assert (mark.cost, mark.accuracy) == (point.cost.value, point.accuracy.value)
            assert (mark.low, mark.high) == (point.accuracy.low, point.accuracy.high)


def test_alternative_text_tells_the_front(front: Front, advice: Advice) -> None:
    alt = front_info(front, advice).alt

    assert "1 single model, 3 cascades" in alt
    assert "from 91.1% at 71.3 kMACs to 98.1% at 1.23 MMACs" in alt
    assert "changes from a single model to a cascade" in alt


def test_a_long_front_draws_few_bars_and_always_the_answers(front: Front, advice: Advice) -> None:
    long = long_front(front, 300)

    info = front_info(long, advice)

    barred = [mark for mark in info.of_kind(CandidateKind.CASCADE) if mark.bar]
    assert BARS_PER_KIND <= len(barred) <= BARS_PER_KIND + 2
    assert any(mark.role == "answer" for mark in barred)


def long_front(front: Front, n: int) -> Front:
    base = front.fronts_by_kind[CandidateKind.CASCADE][-1]
    points = []
    for i in range(n):
        leave = replace(base.design.exits[0], threshold=round(0.3 + 0.6 * i / n, 6))
        cost = replace(base.cost, value=1e5 * 1.01**i, low=0.97e5 * 1.01**i, high=1.03e5 * 1.01**i)
        points.append(
            replace(base, design=replace(base.design, exits=(leave,)), cost=cost, select_cost=cost.value)
        )
    return replace(
        front,
        points=tuple(points),
        fronts_by_kind={**front.fronts_by_kind, CandidateKind.CASCADE: tuple(points)},
    )


def test_drawing_is_accessible_and_the_same_every_time(front: Front, advice: Advice) -> None:
    info = front_info(front, advice)

    svg = draw_front(info)

    assert svg == draw_front(info)
    assert svg.startswith('<svg role="img" aria-label="Scatter chart')
    for kind in info.kinds:
        assert f"var(--{kind}, {KIND_COLOURS[kind]})" in svg
    assert "single model → cascade at 131 kMACs" in svg
    assert "budget" in svg
    assert "http" not in inline_svg(svg)


def test_curves_are_ordered_by_cost_and_carry_sizes(front: Front, advice: Advice) -> None:
    info = curves_info(replace(front, curves=front.curves[::-1]), advice)

    assert [line.label for line in info.lines] == [str(curve.model) for curve in front.curves]
    assert info.lines[0].sizes == (1, 2, 3)
    assert "wrn10-2@8 from 97.2% with 1 at 3.97 MMACs to 98.4% with 3 at 11.9 MMACs" in info.alt
    assert len(re.findall("wrn10-", draw_curves(info).split(">", 1)[1])) >= 4


def test_empty_figures_are_said_to_be_empty(front: Front) -> None:
    empty = replace(front, points=(), fronts_by_kind={}, cloud=(), curves=())

    assert front_info(empty).alt.startswith("Empty chart")
    assert curves_info(empty).alt.startswith("Empty chart")
    assert budget_steps(empty) == ()
    assert default_budget(empty) is None
    draw_front(front_info(empty))
    draw_curves(curves_info(empty))


@pytest.mark.parametrize("count", [1, 2, 9])
def test_more_models_than_colours_still_draw(front: Front, count: int) -> None:
    curve: ScaleCurve = front.curves[0]
    info = curves_info(replace(front, curves=(curve,) * count))

    assert draw_curves(info).count("<svg") == 1


def test_budget_steps_span_the_costs_evenly_in_log(front: Front) -> None:
    steps = budget_steps(front)

    assert steps == tuple(sorted(set(steps)))
    assert steps[0] == 72_000.0
    assert steps[-1] == 4e6
    ratios = [math.log(b / a) for a, b in itertools.pairwise(steps)]
    assert max(ratios) < 0.2  # two significant digits are up to 10 % apart
    assert default_budget(front) == 4e6
    assert nearest_step(steps, 1.0) == steps[0]
    assert nearest_step(steps, 1e12) == steps[-1]


def test_stages_say_who_leaves_where(front: Front, make_advice: Callable[..., Advice]) -> None:
    cascade, single = front.points[-1], front.points[0]

    first, last = stage_rows(cascade)

    assert (first.reached, first.leaves) == ("100.0%", "68.1%")
    assert (last.reached, last.leaves, last.condition) == ("31.9%", "31.9%", "always")
    assert "0.97" in first.condition
    assert len(stage_rows(single)) == 1

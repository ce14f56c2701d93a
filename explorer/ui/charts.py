"""Draw the infos of `explorer.report` with Altair: the same values as the report's figures."""

from typing import Any

import altair as alt
import pandas as pd

from explorer.report.curves_info import CurvesInfo
from explorer.report.figures import KIND_COLOURS, LINE_COLOURS
from explorer.report.front_info import FrontInfo
from explorer.report.text import format_amount, format_share, kind_name
from explorer.spec import CandidateKind

PICK = "pick"
"""Name of the chart's click selection; its events carry the design's ``id``."""
_SHAPES = {
    CandidateKind.SINGLE: "circle",
    CandidateKind.ENSEMBLE: "square",
    CandidateKind.CASCADE: "triangle-up",
    CandidateKind.DISTILLED: "diamond",
}
_COST = "cost:Q"
_ACCURACY = "accuracy:Q"
_HEIGHT = 440
_UNIT_LABELS = {
    "s": "datum.value < 1e-3 ? format(datum.value * 1e6, '~r') + ' µs' : datum.value < 1 ? "
    "format(datum.value * 1e3, '~r') + ' ms' : format(datum.value, '~r') + ' s'",
    "J": "format(datum.value, '~s') + 'J'",
    "USD": "format(datum.value, '~r') + ' USD'",
}


def front_chart(info: FrontInfo, picked: str | None) -> Any:
    """Return the front: cloud, each kind's own front with intervals, the answer and the picked design.

    Args:
        info: what to draw.
        picked: id of the design whose details are shown, ringed.
    """
    marks = _marks(info)
    scales = _scales(info)
    x = alt.X(_COST, scale=scales[0], title=info.axis_label, axis=_cost_axis(info))
    y = alt.Y(_ACCURACY, scale=scales[1], title=info.accuracy_label, axis=alt.Axis(format=".1%"))
    kinds = list(info.kinds)
    colours = alt.Scale(domain=[kind_name(k) for k in kinds], range=[KIND_COLOURS[k] for k in kinds])
    colour = alt.Color(
        "kind:N",
        scale=colours,
        legend=alt.Legend(title=None, orient="top", symbolSize=110, symbolOpacity=1.0, labelLimit=260),
    )
    shape = alt.Shape(
        "kind:N",
        scale=alt.Scale(domain=[kind_name(k) for k in kinds], range=[_SHAPES[k] for k in kinds]),
        legend=alt.Legend(title=None, orient="top", symbolOpacity=1.0),
    )
    base = alt.Chart(marks).encode(x=x, y=y)
    lines = base.mark_line(strokeWidth=1.2, opacity=0.5).encode(color=colour)
    barred = base.transform_filter("datum.bar")
    up = barred.mark_rule(strokeWidth=1.6, opacity=0.5).encode(
        y=alt.Y("low:Q", scale=scales[1]), y2="high:Q", color=colour
    )
    across = barred.mark_rule(strokeWidth=1.6, opacity=0.5).encode(
        x=alt.X("cost_low:Q", scale=scales[0]), x2="cost_high:Q", color=colour
    )
    points = (
        base.mark_point(filled=True, strokeWidth=1.4)
        .encode(
            size=alt.condition("datum.bar", alt.value(95), alt.value(42)),
            color=colour,
            shape=shape,
            fillOpacity=alt.condition("datum.on_front", alt.value(1.0), alt.value(0.15)),
            opacity=alt.value(1.0),
            stroke=alt.Color("kind:N", scale=colours, legend=None),
            tooltip=[
                alt.Tooltip("kind:N", title="Kind"),
                alt.Tooltip("label:N", title="Design"),
                alt.Tooltip("accuracy_text:N", title="Accuracy"),
                alt.Tooltip("cost_text:N", title="Cost"),
                alt.Tooltip("note:N", title="Front"),
            ],
        )
        .add_params(alt.selection_point(name=PICK, fields=["id"], on="click", nearest=False))
    )
    layers = [*_cloud(info, scales), lines, up, across, *_rules(info, scales), points]
    layers += [
        _ring(base, "datum.role == 'answer'", 420, 2.0),
        _ring(base, f"datum.id == '{picked}'", 230, 1.2),
    ]
    return _finished(alt.layer(*layers), info.alt)


def curves_chart(info: CurvesInfo) -> Any:
    """Return the founding paper's view: one line a model, one mark a number of members."""
    rows = pd.DataFrame(
        [
            {
                "model": line.label,
                "members": size,
                "cost": cost,
                "accuracy": accuracy,
                "low": low,
                "high": high,
                "cost_text": format_amount(cost, info.axis.kind),
                "accuracy_text": format_share(accuracy),
            }
            for line in info.lines
            for size, cost, accuracy, low, high in zip(
                line.sizes, line.costs, line.accuracies, line.lows, line.highs, strict=True
            )
        ]
    )
    labels = [line.label for line in info.lines]
    scale = alt.Scale(domain=labels, range=list(LINE_COLOURS))
    colour = alt.Color(
        "model:N", scale=scale, legend=alt.Legend(title=None, orient="top", symbolOpacity=1.0, labelLimit=260)
    )
    x = alt.X(_COST, scale=alt.Scale(type="log", nice=False), title=info.axis_label, axis=_cost_axis(info))
    y = alt.Y(_ACCURACY, scale=alt.Scale(zero=False), title=info.accuracy_label, axis=alt.Axis(format=".1%"))
    base = alt.Chart(rows).encode(x=x, color=colour)
    band = base.mark_area(opacity=0.15, line=False).encode(
        y=alt.Y("low:Q", scale=alt.Scale(zero=False)), y2="high:Q"
    )
    line = base.mark_line(strokeWidth=2).encode(y=y)
    points = base.mark_point(filled=True, size=70).encode(
        y=y,
        shape=alt.Shape("model:N", legend=alt.Legend(title=None, orient="top", symbolOpacity=1.0)),
        tooltip=[
            alt.Tooltip("model:N", title="Model"),
            alt.Tooltip("members:Q", title="Members"),
            alt.Tooltip("accuracy_text:N", title="Accuracy"),
            alt.Tooltip("cost_text:N", title="Cost"),
        ],
    )
    counts = base.mark_text(dy=-11, fontSize=11).encode(y=y, text="members:Q")
    return _finished(alt.layer(band, line, points, counts), info.alt)


def _marks(info: FrontInfo) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "id": mark.id,
                "label": mark.label,
                "kind": kind_name(mark.kind),
                "cost": mark.cost,
                "cost_low": mark.cost_low,
                "cost_high": mark.cost_high,
                "accuracy": mark.accuracy,
                "low": mark.low,
                "high": mark.high,
                "on_front": mark.on_front,
                "bar": mark.bar,
                "role": mark.role,
                "accuracy_text": mark.accuracy_text,
                "cost_text": mark.cost_text,
                "note": "on the front" if mark.on_front else "best of its kind at its cost",
            }
            for mark in info.marks
        ]
    )


def _scales(info: FrontInfo) -> tuple[alt.Scale, alt.Scale]:
    """Show the intervals that are drawn, not the whole cloud."""
    values = [v for mark in info.marks for v in ((mark.low, mark.high) if mark.bar else (mark.accuracy,))]
    costs = [v for mark in info.marks for v in (mark.cost_low, mark.cost_high) if v > 0]
    if info.budget is not None:
        costs.append(info.budget)
    across = alt.Scale(type="log", domain=[min(costs), max(costs)], nice=False, padding=24)
    return across, alt.Scale(
        domain=[min(values), max(values)], nice=False, zero=False, padding=14, clamp=False
    )


def _cost_axis(info: FrontInfo | CurvesInfo) -> alt.Axis:
    """Write ticks as the rest of the product writes costs: SI prefixes, seconds as ms."""
    expression = _UNIT_LABELS.get(info.axis.kind.unit, "format(datum.value, '~s')")
    return alt.Axis(labelExpr=expression, tickCount=6, labelOverlap=True)


def _cloud(info: FrontInfo, scales: tuple[alt.Scale, alt.Scale]) -> list[alt.Chart]:
    low, high = scales[1].domain
    rows = [
        {"cost": design.cost, "accuracy": design.accuracy}
        for design in info.cloud
        if design.cost > 0 and low <= design.accuracy <= high
    ]
    if not rows:
        return []
    mark = alt.Chart(pd.DataFrame(rows)).mark_circle(size=9, opacity=0.22, color="#8b949e", clip=True)
    return [mark.encode(x=alt.X(_COST, scale=scales[0]), y=alt.Y(_ACCURACY, scale=scales[1]))]


def _rules(info: FrontInfo, scales: tuple[alt.Scale, alt.Scale]) -> list[alt.Chart]:
    low, high = scales[0].domain
    rows = [
        {
            "cost": c.cost,
            "text": f"{kind_name(c.before)} \N{RIGHTWARDS ARROW} {kind_name(c.after)}",
            "dash": "crossover",
            "side": "right" if index == 0 else "left",
        }
        for index, c in enumerate(c for c in info.crossovers if low < c.cost < high)
    ]
    if info.budget is not None:
        rows.append({"cost": info.budget, "text": "budget", "dash": "budget", "side": "left"})
    if not rows:
        return []
    base = alt.Chart(pd.DataFrame(rows)).encode(x=alt.X(_COST, scale=scales[0]))
    rule = base.mark_rule(color="#8b949e", strokeWidth=1.2).encode(
        strokeDash=alt.StrokeDash(
            "dash:N", scale=alt.Scale(domain=["budget", "crossover"], range=[[6, 4], [2, 3]]), legend=None
        )
    )
    # One layer a label, each a line lower: neighbouring crossovers would write over each other.
    texts = [
        alt.Chart(pd.DataFrame([row]))
        .mark_text(
            align="left" if row["side"] == "right" else "right",
            baseline="top",
            dx=5 if row["side"] == "right" else -5,
            fontSize=11,
            color="#8b949e",
        )
        .encode(x=alt.X(_COST, scale=scales[0]), y=alt.value(2 + 14 * line), text="text:N")
        for line, row in enumerate(rows)
    ]
    return [rule, *texts]


def _ring(base: alt.Chart, condition: str, size: int, width: float) -> alt.Chart:
    ring = base.transform_filter(condition).mark_point(
        filled=False, shape="circle", size=size, strokeWidth=width, color="#8b949e", opacity=1.0
    )
    return ring


def _finished(chart: Any, description: str) -> Any:
    return chart.properties(height=_HEIGHT, description=description).configure_view(strokeWidth=0)

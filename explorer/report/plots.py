"""Draw panels of curves with intervals as SVG text, for the answers in `analyses/`.

A figure is data (`Panel`, `Series`, `Rule`), so that its numbers can be written beside it. Shape and
colour both tell series apart.
"""

import html
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from explorer.convention import COST_KINDS
from explorer.report.figures import GRID, INK, LINE_COLOURS, LINE_MARKERS, MUTED, SETTINGS
from explorer.report.text import format_amount, format_points, format_share, significant

_STEPS = (
    (1.0,),
    (1.0, 3.0),
    (1.0, 2.0, 5.0),
    (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0),
    (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0),
    tuple(step / 10 for step in range(10, 100)),
)
"""Multiples of powers of ten at which a log axis may have its marks, coarse to fine."""
_MOST_MARKS = {"x": 6, "y": 9}


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points that belong together, joined by a line or not."""

    label: str
    """Empty: not in the legend."""
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    """Lower ends of the points' vertical intervals; empty for none."""
    high: tuple[float, ...] = ()
    tags: tuple[str, ...] = ()
    """A word above each point; empty for none."""
    style: int = 0
    """Which of the figure's colours and shapes."""
    joined: bool = True
    reference: bool = False
    """Drawn in ink and dashed, behind the others: what they are compared with."""
    hollow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A line across a panel, with its interval as a band."""

    at: float
    label: str
    low: float | None = None
    high: float | None = None
    vertical: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One pair of axes."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    rules: tuple[Rule, ...] = ()
    x_unit: str = ""
    """Name of a cost kind, ``share``, ``points`` (of a difference of shares) or empty for plain numbers."""
    y_unit: str = ""
    x_log: bool = True
    y_log: bool = False
    categories: tuple[str, ...] = ()
    """Names of the places 0, 1, ... of the horizontal axis, which is then not logarithmic."""


def draw_panels(panels: Sequence[Panel], alt: str, *, columns: int = 2) -> str:
    """Return the panels as one SVG, the same bytes for the same panels; ``alt`` says it in words."""
    with matplotlib.rc_context(SETTINGS):
        buffer = io.StringIO()
        _figure(panels, columns).savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    return body.replace("<svg", f'<svg role="img" aria-label="{html.escape(alt, quote=True)}"', 1)


def _figure(panels: Sequence[Panel], columns: int) -> Figure:
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    size = (6.1 * columns + (2.0 if columns == 1 else 0.0), 4.6 * rows)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasSVG(figure)
    figure.patch.set_facecolor("white")
    for place, panel in enumerate(panels):
        _paint(figure.add_subplot(rows, columns, place + 1), panel)
    return figure


def _paint(axes: Axes, panel: Panel) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.09, y=0.07)
    for rule in panel.rules:
        _paint_rule(axes, rule)
    for series in panel.series:
        _paint_series(axes, series)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    axes.set_title(panel.title, loc="left", fontsize=11, color=INK)
    if panel.categories:
        axes.set_xticks(range(len(panel.categories)), panel.categories, rotation=25, ha="right", fontsize=9)
        axes.set_xlim(-0.6, len(panel.categories) - 0.4)
    else:
        _scale(axes, "x", panel.x_unit, log=panel.x_log)
    _scale(axes, "y", panel.y_unit, log=panel.y_log)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best", fontsize=8.5, handletextpad=0.5, labelspacing=0.35)


def _paint_rule(axes: Axes, rule: Rule) -> None:
    line, band = (axes.axvline, axes.axvspan) if rule.vertical else (axes.axhline, axes.axhspan)
    line(rule.at, color=MUTED, linewidth=1.1, linestyle=":", label=rule.label or None)
    if rule.low is not None and rule.high is not None:
        band(rule.low, rule.high, color=MUTED, alpha=0.12, linewidth=0)


def _paint_series(axes: Axes, series: Series) -> None:
    colour = INK if series.reference else LINE_COLOURS[series.style % len(LINE_COLOURS)]
    marker = LINE_MARKERS[series.style % len(LINE_MARKERS)]
    if series.low:
        axes.vlines(series.x, series.low, series.high, color=colour, linewidth=1.2, alpha=0.55)
    axes.plot(
        series.x,
        series.y,
        color=colour,
        linestyle=("--" if series.reference else "-") if series.joined else "none",
        linewidth=1.2,
        marker="" if series.reference and series.joined else marker,
        markersize=5.5,
        markerfacecolor="white" if series.hollow else colour,
        label=series.label or None,
        zorder=1.5 if series.reference else 2.5,
    )
    for x, y, tag in zip(series.x, series.y, series.tags, strict=False):
        axes.annotate(
            tag, (x, y), fontsize=8, color=MUTED, xytext=(0, 6), textcoords="offset points", ha="center"
        )


def _scale(axes: Axes, which: str, unit: str, *, log: bool) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    write = _writer(unit)
    if log:
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
        low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
        steps = next((s for s in reversed(_STEPS) if _marks(low, high, s) <= _MOST_MARKS[which]), _STEPS[0])
        axis.set_major_locator(LogLocator(base=10, subs=steps))
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))


def _marks(low: float, high: float, steps: tuple[float, ...]) -> int:
    """Return how many multiples of powers of ten lie between ``low`` and ``high``."""
    return sum(low <= step * 10.0**power <= high for power in range(-18, 19) for step in steps)


def _writer(unit: str) -> Callable[[float], str]:
    """Return what writes a mark: no idle zeros, and of counts only the prefix, as the axis names the unit."""
    if unit == "share":
        return lambda value: _plain(format_share(value, 1))
    if unit == "points":
        return lambda value: f"{_plain(format_points(value, 2))} points"
    if unit in COST_KINDS:
        kind = COST_KINDS[unit]
        word = "" if kind.unit in ("s", "J") else rf"{kind.unit}s?$"
        return lambda value: re.sub(word, "", _plain(format_amount(value, kind))).rstrip()
    return lambda value: _plain(significant(value))


def _plain(text: str) -> str:
    """Drop zeros that end a decimal fraction.

    >>> _plain("1.50 MMACs"), _plain("70.0%"), _plain("0.30")
    ('1.5 MMACs', '70%', '0.3')
    """
    return re.sub(r"(\.[0-9]*?)0+(?![0-9])", r"\1", text).replace(". ", " ").replace(".%", "%").rstrip(".")

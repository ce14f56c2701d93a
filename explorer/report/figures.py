"""Draw the figures as SVG text: thin, everything is decided in the infos.

Colours are CSS variables with a fallback (``var(--single, #0072b2)``), so that one figure serves a
light page, a dark page and a file of its own. Shape and colour both tell the kind.
"""

import html
import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from explorer.analysis.result import Crossover
from explorer.convention import CostAxis
from explorer.report.curves_info import CurvesInfo
from explorer.report.front_info import FrontInfo
from explorer.report.text import format_amount, format_share, kind_name
from explorer.spec import CandidateKind

KIND_COLOURS = {
    CandidateKind.SINGLE: "#0072b2",
    CandidateKind.ENSEMBLE: "#c55a00",
    CandidateKind.CASCADE: "#00855f",
    CandidateKind.DISTILLED: "#a8518a",
}
"""After Okabe and Ito (2008), darkened to a contrast of at least 4.5 on white."""
KIND_MARKERS = {
    CandidateKind.SINGLE: "o",
    CandidateKind.ENSEMBLE: "s",
    CandidateKind.CASCADE: "^",
    CandidateKind.DISTILLED: "D",
}
LINE_COLOURS = ("#0072b2", "#c55a00", "#00855f", "#a8518a", "#8a6d00", "#3d5a98", "#b03a48", "#4f6f52")
LINE_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
VECTOR_MARKS = 200
"""More marks of one kind than this are drawn as pixels: as vectors they would fill the file."""
INK, MUTED, GRID = "#1b1f24", "#5c6670", "#dfe3e8"

# What matplotlib writes -> the CSS variable a page may set.
_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    **{colour: str(kind) for kind, colour in KIND_COLOURS.items()},
    **{colour: f"line-{i}" for i, colour in enumerate(LINE_COLOURS) if i >= len(KIND_COLOURS)},
}
SETTINGS: Any = {
    "svg.fonttype": "none",  # text stays text: searchable, small, and in the page's own type
    "svg.hashsalt": "explorer",  # the same figure is the same bytes
    "font.family": "sans-serif",
    "font.size": 10.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}


def draw_front(info: FrontInfo) -> str:
    """Return the front figure as SVG: cost in log scale, accuracy with intervals, kinds told apart."""
    return _drawn(lambda axes: _paint_front(axes, info), info.alt, (8.8, 5.1))


def draw_curves(info: CurvesInfo) -> str:
    """Return the figure of curves as SVG: one line a model, one marker a number of members."""
    return _drawn(lambda axes: _paint_curves(axes, info), info.alt, (8.8, 4.7))


def _drawn(paint: Callable[[Axes], None], alt: str, size: tuple[float, float]) -> str:
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        figure.patch.set_alpha(0.0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0.0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        paint(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", dpi=150, metadata={"Date": None})
    return _accessible(buffer.getvalue(), alt)


def _accessible(svg: str, alt: str) -> str:
    """Drop what a page does not need, add the text alternative, and name colours by variable."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    for colour, name in _VARIABLES.items():
        body = body.replace(colour, f"var(--{name}, {colour})")
    said = html.escape(alt, quote=True)
    body = re.sub(r' width="[^"]*pt"', "", re.sub(r' height="[^"]*pt"', "", body, count=1), count=1)
    return body.replace("<svg", f'<svg role="img" aria-label="{said}"', 1)


def inline_svg(svg: str) -> str:
    """Return the SVG for embedding in HTML, where namespaces are known and not written."""
    return re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", svg)


def _paint_front(axes: Axes, info: FrontInfo) -> None:
    positive = [design for design in info.cloud if design.cost > 0]
    if positive:
        axes.scatter(
            [design.cost for design in positive],
            [design.accuracy for design in positive],
            s=5,
            color="#8b949e",
            alpha=0.28,
            linewidths=0,
            rasterized=True,
            label="searched, on selection examples",
        )
    for kind in info.kinds:
        _paint_kind(axes, info, kind)
    _paint_answer(axes, info)
    if info.budget is not None:
        axes.axvline(info.budget, color=INK, linewidth=1.1, linestyle=(0, (5, 3)))
    _finish(axes, info.axis, info.axis_label, info.accuracy_label)
    _zoom(axes, [v for mark in info.marks for v in ((mark.low, mark.high) if mark.bar else (mark.accuracy,))])
    _paint_crossovers(axes, info.crossovers, info.axis)
    if info.budget is not None:
        axes.text(
            info.budget, 0.015, "budget ", transform=axes.get_xaxis_transform(), fontsize=9.5, ha="right"
        )
    if info.target is not None:
        axes.axhline(info.target, color=INK, linewidth=1.1, linestyle=(0, (5, 3)))
        axes.text(0.995, info.target, "target", transform=axes.get_yaxis_transform(), ha="right", va="bottom")
    _legend(axes)


def _paint_kind(axes: Axes, info: FrontInfo, kind: CandidateKind) -> None:
    marks = [mark for mark in info.of_kind(kind) if mark.cost > 0]
    colour, marker = KIND_COLOURS[kind], KIND_MARKERS[kind]
    axes.plot([m.cost for m in marks], [m.accuracy for m in marks], color=colour, linewidth=1.0, alpha=0.45)
    for mark in marks:
        if mark.bar:
            axes.plot([mark.cost] * 2, [mark.low, mark.high], color=colour, linewidth=1.3, alpha=0.55)
            axes.plot(
                [mark.cost_low, mark.cost_high], [mark.accuracy] * 2, color=colour, linewidth=1.3, alpha=0.55
            )
    for barred, size, alpha in ((False, 3.2, 0.6), (True, 6.5, 1.0)):
        for on_front in (False, True):
            chosen = [m for m in marks if m.bar is barred and m.on_front is on_front]
            axes.plot(
                [m.cost for m in chosen],
                [m.accuracy for m in chosen],
                linestyle="none",
                marker=marker,
                markersize=size,
                markerfacecolor=colour if on_front else "none",
                markeredgecolor=colour,
                markeredgewidth=1.2,
                alpha=alpha,
                rasterized=len(chosen) > VECTOR_MARKS,
            )
    axes.plot([], [], color=colour, marker=marker, markersize=6.5, linewidth=1.0, label=kind_name(kind))


def _paint_answer(axes: Axes, info: FrontInfo) -> None:
    for mark in info.marks:
        if mark.role == "answer":
            axes.plot(
                [mark.cost],
                [mark.accuracy],
                marker="o",
                markersize=17,
                markerfacecolor="none",
                markeredgecolor=INK,
                markeredgewidth=1.6,
                linestyle="none",
            )
            axes.plot(
                [], [], "o", markersize=9, markerfacecolor="none", markeredgecolor=INK, label="the answer"
            )


def _paint_crossovers(axes: Axes, crossovers: tuple[Crossover, ...], axis: CostAxis) -> None:
    low, high = axes.get_xlim()
    for index, crossover in enumerate(c for c in crossovers if low < c.cost < high):
        axes.axvline(crossover.cost, color=MUTED, linewidth=1.0, linestyle=":")
        axes.text(
            crossover.cost,
            0.995 - 0.06 * (index % 3),
            f" {kind_name(crossover.before)} \N{RIGHTWARDS ARROW} {kind_name(crossover.after)} "
            f"at {format_amount(crossover.cost, axis.kind)}",
            transform=axes.get_xaxis_transform(),
            fontsize=9,
            color=MUTED,
            va="top",
            ha="left" if crossover.cost < (low * high) ** 0.5 else "right",
        )


def _paint_curves(axes: Axes, info: CurvesInfo) -> None:
    for index, line in enumerate(info.lines):
        colour = LINE_COLOURS[index % len(LINE_COLOURS)]
        axes.fill_between(line.costs, line.lows, line.highs, color=colour, alpha=0.13, linewidth=0)
        axes.plot(
            line.costs,
            line.accuracies,
            color=colour,
            marker=LINE_MARKERS[index % len(LINE_MARKERS)],
            markersize=6,
            linewidth=1.6,
            label=line.label,
        )
        for size, cost, accuracy in zip(line.sizes, line.costs, line.accuracies, strict=True):
            axes.annotate(
                f"{size}",
                (cost, accuracy),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=8.5,
                color=MUTED,
            )
    _finish(axes, info.axis, info.axis_label, info.accuracy_label)
    _paint_crossovers(axes, info.crossovers, info.axis)
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Put the legend above the axes, in rows: inside it would cover marks."""
    if not axes.get_legend_handles_labels()[0]:
        return
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.005),
        ncols=5,
        fontsize=9.5,
        columnspacing=1.6,
        handletextpad=0.5,
        borderaxespad=0.2,
    )


def _finish(axes: Axes, axis: CostAxis, axis_label: str, accuracy_label: str) -> None:
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    subs = (1.0, 2.0, 5.0) if high / low < 500 else (1.0,)
    axes.set_xlabel(axis_label)
    axes.set_ylabel(accuracy_label)
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value, axis)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="minor", length=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_share(value, 1)))


def _zoom(axes: Axes, values: list[float]) -> None:
    """Show the intervals, not the whole cloud: its worst designs would press the front together."""
    if values:
        low, high = min(values), max(values)
        pad = 0.06 * (high - low) or 0.01
        axes.set_ylim(low - pad, min(high + pad, 1.0 + pad))


def tick(value: float, axis: CostAxis) -> str:
    """Write a tick of the cost axis without its unit's idle zeros: ``1 MMACs``, ``500 kMACs``."""
    text = format_amount(value, axis.kind)
    return re.sub(r"\.0+(?= )", "", text)

"""The figure of groups of published models: accuracy against cost, one line a group.

Solid lines are published singles, dashed ones predicted ensembles of the same group's models. A panel below
has arrows for what another training recipe gives at the same cost: among the lines nobody could read them.
Everything is decided in the info, drawing is thin.
"""

import html
import io
import math
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from explorer.analysis.published.front import PublishedFront
from explorer.analysis.published.groups import Group
from explorer.analysis.published.recipes import FreeAccuracy
from explorer.convention import CostAxis
from explorer.errors import UsageError
from explorer.report.figures import GRID, INK, LINE_COLOURS, LINE_MARKERS, MUTED, SETTINGS, tick
from explorer.report.published_groups import by_presence
from explorer.report.published_parts import axis_text
from explorer.report.text import format_points, format_share, share_decimals
from explorer.report.writing import write_text

ENDINGS = (".svg", ".png")
_MOST_LINES = len(LINE_COLOURS)
_MOST_ARROWS = 8
_APART = 0.1
"""Share of the cost axis between two arrows: nearer ones would cover each other's names."""
_LEAST_GAIN = 0.01
"""Smaller gains are no arrow that one could see."""
_OTHERS = "#b3bac2"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontLine:
    """The front of a group: singles as published, or ensembles as predicted."""

    label: str
    costs: tuple[float, ...]
    accuracies: tuple[float, ...]
    style: int
    predicted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeArrow:
    """One architecture at one image size: two recipes, one cost."""

    label: str
    gain: str
    """In points."""
    cost: float
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFigureInfo:
    """Everything that is drawn."""

    title: str
    axis: CostAxis
    axis_label: str
    accuracy_label: str
    lines: tuple[FrontLine, ...]
    arrows: tuple[RecipeArrow, ...]
    others: tuple[tuple[float, float], ...]
    """Cost and accuracy of the fronts of groups without a line of their own."""
    others_label: str
    best: tuple[tuple[float, float], ...]
    """Cost and accuracy of the front of all singles."""
    alt: str
    notes: tuple[str, ...]


def check_figure_file(path: Path) -> None:
    """Refuse a file that no figure can be written to.

    Raises:
        UsageError: an ending that is none of .svg, .png, or a folder that does not exist.
    """
    if path.suffix not in ENDINGS:
        raise UsageError(f"a figure ends in {' or '.join(ENDINGS)}; got {path.name!r}")
    if not path.parent.is_dir():
        raise UsageError(f"no folder {path.parent} to write {path.name} into")


def published_figure_info(front: PublishedFront) -> PublishedFigureInfo:
    """Work out the figure of a front with groups: as many lines as can be told apart, the rest as dots.

    Raises:
        UsageError: a cost of zero, which a logarithmic axis has no place for.
    """
    cost = front.costs[0]
    groups = by_presence(front)
    drawn, rest = groups[:_MOST_LINES], groups[_MOST_LINES:]
    if any(model.costs[0].value <= 0 for model in front.points):
        raise UsageError(f"{cost.axis} has figures of zero: no place on a logarithmic axis")
    lines = [line for style, group in enumerate(drawn) for line in _lines(group, style)]
    arrows = _arrows(front)
    title = f"{front.library.dataset}: accuracy on {front.table.test_set}, as published"
    notes = (f"the figure has lines for {len(drawn)} of {len(groups)} groups; --only takes families",) * bool(
        rest
    )
    return PublishedFigureInfo(
        title=title,
        axis=cost.axis,
        axis_label=axis_text(cost),
        accuracy_label=f"accuracy on {front.table.test_set}",
        lines=tuple(lines),
        arrows=arrows,
        others=tuple(
            (point.costs[0].value, point.accuracy.value) for group in rest for point in group.points
        ),
        others_label=f"fronts of {len(rest)} more groups",
        best=tuple((point.costs[0].value, point.accuracy.value) for point in front.points),
        alt=f"{title}, against {axis_text(cost)}: {_spoken(lines, arrows)}",
        notes=notes,
    )


def _lines(group: Group, style: int) -> list[FrontLine]:
    found = [
        FrontLine(
            label=group.name,
            costs=tuple(point.costs[0].value for point in group.points),
            accuracies=tuple(point.accuracy.value for point in group.points),
            style=style,
            predicted=False,
        )
    ]
    if group.ensembles:
        found.append(
            FrontLine(
                label=f"ensembles of {group.name}, predicted",
                costs=tuple(one.costs[0].value for one in group.ensembles),
                accuracies=tuple(one.accuracy.value for one in group.ensembles),
                style=style,
                predicted=True,
            )
        )
    return found


def _arrows(front: PublishedFront) -> tuple[RecipeArrow, ...]:
    """Return the largest gains, those on ImageNet-1k alone first, far enough apart to be read."""
    ends = [math.log(one.costs[0].value) for one in (front.points[0], front.points[-1])]
    chosen: dict[float, FreeAccuracy] = {}
    for found in sorted(front.recipes, key=lambda one: (one.data != (), -one.gain)):
        cost = found.after.costs[0].value
        if cost <= 0 or found.gain < _LEAST_GAIN or len(chosen) == _MOST_ARROWS:
            continue
        place = math.log(cost)
        if all(abs(place - other) >= _APART * (ends[1] - ends[0]) for other in chosen):
            chosen[place] = found
    return tuple(
        RecipeArrow(
            label=f"{found.after.row.architecture}@{found.after.row.resolution}",
            gain=_gain(found),
            cost=found.after.costs[0].value,
            before=found.before.accuracy.value,
            after=found.after.accuracy.value,
        )
        for _, found in sorted(chosen.items())
    )


def _gain(found: FreeAccuracy) -> str:
    return format_points(found.gain, min(1, share_decimals(found.after.accuracy.n or 0)))


def _spoken(lines: list[FrontLine], arrows: tuple[RecipeArrow, ...]) -> str:
    words = [
        f"{line.label}, {len(line.costs)} points to {format_share(line.accuracies[-1], 1)}" for line in lines
    ]
    return "; ".join([*words, *(f"another recipe: {arrow.label} {arrow.gain} points" for arrow in arrows)])


# ---- drawing ----------------------------------------------------------------------------------


def write_published_figure(path: Path, info: PublishedFigureInfo) -> None:
    """Draw and write; a reader never sees half a file.

    Raises:
        UsageError: an ending that is none of .svg, .png, or a folder that does not exist.
    """
    check_figure_file(path)
    if path.suffix == ".svg":
        write_text(path, draw_published_svg(info))
        return
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(draw_published_png(info))
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def draw_published_svg(info: PublishedFigureInfo) -> str:
    """Return the figure as SVG, the same bytes for the same info."""
    with matplotlib.rc_context(SETTINGS):
        figure = _figure(info)
        FigureCanvasSVG(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    return body.replace("<svg", f'<svg role="img" aria-label="{html.escape(info.alt, quote=True)}"', 1)


def draw_published_png(info: PublishedFigureInfo) -> bytes:
    """Return the figure as PNG."""
    with matplotlib.rc_context(SETTINGS):
        figure = _figure(info)
        FigureCanvasAgg(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=160, metadata={"Description": info.alt})
    return buffer.getvalue()


def _figure(info: PublishedFigureInfo) -> Figure:
    figure = Figure(figsize=(10.5, 8.6 if info.arrows else 6.2), layout="constrained")
    figure.patch.set_facecolor("white")
    if not info.arrows:
        upper = figure.add_subplot()
    else:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1.0))
        _prepare(lower, info)
        _paint_arrows(lower, info)
    _prepare(upper, info)
    if info.others:
        costs, accuracies = zip(*info.others, strict=True)
        upper.plot(costs, accuracies, ".", color=_OTHERS, markersize=5, label=info.others_label, zorder=1)
    for line in info.lines:
        _paint_line(upper, line)
    if any(line.predicted for line in info.lines):
        said = "dashed: ensembles of the same models, predicted"
        upper.plot([], [], color=MUTED, linestyle="--", marker="o", markerfacecolor="white", label=said)
    upper.set_title(info.title, loc="left", fontsize=11.5, color=INK)
    upper.legend(loc="lower right", fontsize=9.5, handlelength=2.8, labelcolor=INK)
    _scale(upper, info)
    if info.arrows:
        _scale(lower, info)
        upper.set_xlabel("")
    return figure


def _prepare(axes: Axes, info: PublishedFigureInfo) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xscale("log")
    axes.set_xlabel(info.axis_label)
    axes.set_ylabel(info.accuracy_label)
    # no marks at 77.5 %: they would be written as 78 %
    axes.yaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_share(value, 1).replace(".0", "")))


def _paint_line(axes: Axes, line: FrontLine) -> None:
    colour = LINE_COLOURS[line.style % len(LINE_COLOURS)]
    axes.plot(
        line.costs,
        line.accuracies,
        color=colour,
        linestyle="--" if line.predicted else "-",
        linewidth=1.2 if line.predicted else 1.7,
        marker=LINE_MARKERS[line.style % len(LINE_MARKERS)],
        markersize=4.0 if line.predicted else 4.8,
        markerfacecolor="white" if line.predicted else colour,
        label="" if line.predicted else line.label,
        zorder=2.2 if line.predicted else 2.6,
    )


def _paint_arrows(axes: Axes, info: PublishedFigureInfo) -> None:
    costs, accuracies = zip(*info.best, strict=True)
    axes.plot(costs, accuracies, color=_OTHERS, linewidth=1.3, label="front of all singles", zorder=1.5)
    for arrow in info.arrows:
        top, foot = (arrow.cost, arrow.after), (arrow.cost, arrow.before)
        style = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", xy=top, xytext=foot, arrowprops=style, zorder=3)
        axes.annotate(
            f"{arrow.label}\n{arrow.gain} points",
            foot,
            xytext=(0, -3),
            textcoords="offset points",
            fontsize=7.5,
            color=INK,
            ha="center",
            va="top",
        )
    # the front's own ends would press the arrows together; names need room under the lowest foot
    low, high = min(one.before for one in info.arrows), max(one.after for one in info.arrows)
    axes.set_ylim(low - 0.45 * (high - low), high + 0.15 * (high - low))
    axes.set_title(
        "free accuracy: same architecture, image size and training data, another recipe",
        loc="left",
        fontsize=11.5,
        color=INK,
    )
    axes.legend(loc="upper left", fontsize=9.5, labelcolor=INK)


def _scale(axes: Axes, info: PublishedFigureInfo) -> None:
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0) if high / low < 500 else (1.0,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: tick(value, info.axis)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="minor", length=0)

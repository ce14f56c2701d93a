"""Lay a report out as one HTML file: figures, tables, script and style inside, nothing fetched."""

import html
import json
from functools import cache
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from explorer.report.figures import (
    KIND_MARKERS,
    draw_curves,
    draw_front,
    inline_svg,
)
from explorer.report.report_info import ReportInfo

_SHAPES = {
    "o": "\N{BLACK CIRCLE}",
    "s": "\N{BLACK SQUARE}",
    "^": "\N{BLACK UP-POINTING TRIANGLE}",
    "D": "\N{BLACK DIAMOND}",
}
KIND_SHAPES = {str(kind): _SHAPES[marker] for kind, marker in KIND_MARKERS.items()}
"""The figure's markers as characters, so that tables tell kinds apart without colour."""


def render_html(info: ReportInfo) -> str:
    """Return the whole page."""
    return (
        _environment()
        .from_string(_template("report.html.j2"))
        .render(
            info=info,
            answer=_with_code(info.answer, info.designs),
            front_svg=Markup(inline_svg(draw_front(info.front))),
            curves_svg=Markup(inline_svg(draw_curves(info.curves))),
            style=Markup(_template("report.css")),
            script=Markup(_template("report.js")),
            manifest=Markup(script_json(info.embedded_manifest)),
            shapes=KIND_SHAPES,
        )
    )


def script_json(text: str) -> str:
    """Return JSON that can stand inside a script element whatever its strings hold.

    Raises:
        ValueError: ``text`` is not JSON.
    """
    json.loads(text)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _with_code(sentence: str, designs: tuple[str, ...]) -> Markup:
    """Escape the sentence and set the designs in it as code, the longest first."""
    text = html.escape(sentence)
    # A single can be part of an ensemble's text: placeholders keep it from being set twice.
    for index, design in enumerate(designs):
        text = text.replace(html.escape(design), f"\0{index}\0")
    for index, design in enumerate(designs):
        text = text.replace(f"\0{index}\0", f"<code>{html.escape(design)}</code>")
    return Markup(text)


@cache
def _template(name: str) -> str:
    return resources.files("explorer.report").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)

"""Say what was found: text, documents for machines, figures, and reports in HTML and Markdown.

The only place where a number becomes text. Every figure and table is worked out first, as a frozen
value (`front_info`, `curves_info`, `report_info`), and then drawn or laid out by a thin function,
so that the command line, the app and a report cannot disagree.
"""

from pathlib import Path

from explorer.analysis.result import Advice, Front
from explorer.store import Store

__all__ = ["report_html", "write_report"]


def report_html(store: Store, front: Front, advice: Advice, *, command: str = "") -> str:
    """Return the report as one HTML page that needs nothing else.

    Raises:
        StoreError: the store cannot be read.
    """
    from explorer.report.evidence import gather_evidence
    from explorer.report.html import render_html
    from explorer.report.report_info import report_info

    return render_html(report_info(front, advice, gather_evidence(store, front, command=command)))


def write_report(path: Path, *, store: Store, front: Front, advice: Advice, command: str = "") -> None:
    """Write the report to ``path``: HTML, Markdown, or the manifest alone; the ending says which.

    Raises:
        UsageError: an ending that is none of .html, .md, .json.
        StoreError: the store cannot be read.
    """
    from explorer.report.evidence import gather_evidence
    from explorer.report.writing import write_info

    write_info(path, front=front, advice=advice, evidence=gather_evidence(store, front, command=command))

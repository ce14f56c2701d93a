"""Write a report in the form its file name asks for."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from explorer.analysis.result import Advice, Front
from explorer.errors import UsageError
from explorer.report.evidence import Evidence
from explorer.report.html import render_html
from explorer.report.markdown import render_markdown
from explorer.report.report_info import ReportInfo, report_info

FORMS: dict[str, Callable[[ReportInfo], str]] = {
    ".html": render_html,
    ".md": render_markdown,
    ".json": lambda info: info.manifest + "\n",
}


def write_info(path: Path, *, front: Front, advice: Advice, evidence: Evidence) -> None:
    """Work the report out and write it; a reader never sees half a file.

    Raises:
        UsageError: an ending that is none of .html, .md, .json, or a folder that does not exist.
    """
    if path.suffix not in FORMS:
        raise UsageError(f"a report ends in {', '.join(FORMS)}; got {path.name!r}")
    _check_folder(path)
    write_text(path, FORMS[path.suffix](report_info(front, advice, evidence)))


def write_text(path: Path, text: str) -> None:
    """Write a file; a reader never sees half of it.

    Raises:
        UsageError: a folder that does not exist.
    """
    _check_folder(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise UsageError(f"no folder {path.parent} to write {path.name} into")

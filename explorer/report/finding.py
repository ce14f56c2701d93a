"""One question about the field, answered: in a sentence, a table, a figure, and every number of it."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from explorer.errors import UsageError
from explorer.report.plots import Panel, draw_panels
from explorer.report.terminal import table

DIGITS = 6
"""Significant digits of the numbers that are kept."""
ROUNDING = 1e-4
"""Relative difference between two runs' numbers that counts as rounding."""
_NEXT_TO_NOTHING = 1e-6
_FIGURE = re.compile(r"[+\u2212-]?\d[\d.,]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text under a header."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An answer and what it rests on."""

    question: str
    answer: str
    """One or two sentences, with intervals."""
    tables: tuple[Table, ...]
    panels: tuple[Panel, ...]
    alt: str
    """The figure in words."""
    numbers: Mapping[str, Any]
    """What the answer and the table say, as JSON values; the figure's numbers are added by themselves."""
    notes: tuple[str, ...] = ()
    """How to read the table: what was drawn again, what was left out."""
    columns: int = 2
    """Panels side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """No answer: the store holds nothing to answer from."""

    reason: str
    """One sentence, with what would change that."""


def finding_text(finding: Finding) -> str:
    """Return the finding as plain text: the answer first."""
    parts = [finding.answer, *(table(one.header, one.rows) for one in finding.tables if one.rows)]
    if finding.notes:
        parts.append("\n".join(finding.notes))
    return "\n\n".join(parts)


def finding_markdown(finding: Finding, name: str, options: str = "") -> str:
    """Return the finding as Markdown, with its figure, which is ``NAME.svg`` beside it.

    Args:
        finding: what was found.
        name: of the script.
        options: what it was given besides, for the command that makes it again.
    """
    lines = [f"# {finding.question}", "", finding.answer, "", f"![{finding.alt}]({name}.svg)"]
    for one in finding.tables:
        if one.rows:
            lines += ["", f"| {' | '.join(one.header)} |", f"|{'---|' * len(one.header)}"]
            lines += [f"| {' | '.join(row)} |" for row in one.rows]
    lines += [f"\n{note}" for note in finding.notes]
    command = f"python -m analyses.{name} {options}".rstrip()
    return "\n".join([*lines, "", f"    {command}", ""])


def finding_document(finding: Finding) -> dict[str, Any]:
    """Return every number of the finding as a JSON document, rounded to `DIGITS` significant digits.

    Numbers that are not finite become the texts ``inf``, ``-inf`` and ``nan``, which JSON lacks.
    """
    document = {"numbers": finding.numbers, "figure": [asdict(panel) for panel in finding.panels]}
    return _rounded({"question": finding.question, "answer": finding.answer, **document})


def write_finding(finding: Finding, folder: Path, name: str, options: str = "") -> tuple[Path, ...]:
    """Write ``NAME.md``, ``NAME.svg`` and ``NAME.json`` into a folder, made if it is not there.

    See `finding_markdown` for ``options``.

    Raises:
        UsageError: the folder or a file cannot be written.
    """
    texts = {
        "md": finding_markdown(finding, name, options),
        "svg": draw_panels(finding.panels, finding.alt, columns=finding.columns),
        "json": json.dumps(finding_document(finding), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
    }
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, text in texts.items():
            path = folder / f"{name}.{suffix}"
            path.write_text(text, encoding="utf-8")
            written.append(path)
    except OSError as error:
        raise UsageError(f"cannot write results to {folder}: {error.strerror or error}") from error
    return tuple(written)


def check_finding(finding: Finding, folder: Path, name: str, options: str = "") -> list[str]:
    """Return where a finding differs from the one kept in ``folder``, beyond rounding; empty: it does not.

    Numbers are compared as numbers; of the page, the words.

    Raises:
        UsageError: none is kept there, or it is damaged.
    """
    path = folder / f"{name}.json"
    if not path.is_file():
        raise UsageError(f"nothing to check against: no {path}; a run without --check writes it")
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is damaged: {error}; a run without --check writes it anew") from error
    # the sentence repeats the numbers, and a last digit may round either way
    now = {key: value for key, value in finding_document(finding).items() if key != "answer"}
    found = _differences({key: value for key, value in kept.items() if key != "answer"}, now, "")
    return [*found, *_other_words(folder / f"{name}.md", finding_markdown(finding, name, options))]


def _other_words(page: Path, now: str) -> list[str]:
    """Return the lines of a kept page whose words are not those of ``now``; figures may round otherwise."""
    kept = page.read_text(encoding="utf-8") if page.is_file() else ""
    pairs = zip_longest(kept.splitlines(), now.splitlines(), fillvalue="")
    return [
        f"{page.name} line {number}: {_short(one)} is now {_short(other)}"
        for number, (one, other) in enumerate(pairs, 1)
        if _FIGURE.sub("0", one) != _FIGURE.sub("0", other)
    ]


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        return float(f"{value:.{DIGITS}g}")
    return value


def _differences(kept: Any, now: Any, where: str) -> list[str]:
    if isinstance(kept, dict) and isinstance(now, dict) and kept.keys() == now.keys():
        return [text for key in kept for text in _differences(kept[key], now[key], f"{where}/{key}")]
    if isinstance(kept, list) and isinstance(now, list) and len(kept) == len(now):
        pairs = enumerate(zip(kept, now, strict=True))
        return [text for place, pair in pairs for text in _differences(*pair, f"{where}/{place}")]
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (kept, now))
    same = math.isclose(kept, now, rel_tol=ROUNDING, abs_tol=_NEXT_TO_NOTHING) if numbers else kept == now
    return [] if same else [f"{where or '/'}: kept {_short(kept)}, now {_short(now)}"]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."

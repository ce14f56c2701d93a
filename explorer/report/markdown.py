"""Lay a report out as Markdown: the same texts as the HTML, without figures."""

from collections.abc import Sequence

from explorer.report.report_info import KindCard, ReportInfo

TABLE_ROWS = 60
"""Rows of the table of designs; a Markdown file is read, not sorted."""


def render_markdown(info: ReportInfo) -> str:
    """Return the whole document."""
    parts = [
        f"# {_plain(info.title)}",
        f"**{_plain(info.headline)}**",
        _with_code(info.answer, info.designs),
        _plain(info.optimism),
        _bullets(info.changes),
        "## Best of each kind",
        _table(
            ("", "Accuracy", "95% interval", "Cost", "Design", "Against the answer"),
            [
                (card.title, card.accuracy, card.interval, _cost(card), f"`{card.design}`", card.verdict)
                for card in info.cards
            ],
        ),
        f"## Accuracy against {info.axis_name}",
        _plain(info.front.alt),
        f"Scored: {info.searched}.",
        _designs(info),
        "## More members of one model",
        _plain(info.curves.alt),
        "## Members and what making them took",
        _plain(info.training_total),
        _table(
            (
                "Member",
                f"Cost ({info.axis})",
                "Epochs",
                "Examples seen",
                "Training MACs",
                "Time",
                "Device",
                "Recipe",
            ),
            [
                (f"`{m.member}`", m.cost, m.epochs, m.examples, m.macs, m.wall, m.device, m.recipe)
                for m in info.members
            ],
        ),
        "## What the numbers leave out",
        _plain(info.axis_sentence),
        _bullets(info.not_counted),
        _section("## Notes", _bullets(info.notes)),
        "## Where the numbers come from",
        _table(("", ""), info.facts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _cost(card: KindCard) -> str:
    return f"{card.cost} ({card.cost_interval})" if card.cost_interval else card.cost


def _designs(info: ReportInfo) -> str:
    """Write the front's designs, and those the answer names, up to the limit."""
    chosen = [row for row in info.rows if row.on_front or row.role]
    kept = sorted(range(len(chosen)), key=lambda i: (not chosen[i].role, i))[:TABLE_ROWS]
    rows = [chosen[i] for i in sorted(kept)]
    text = _table(
        (
            "Kind",
            "Accuracy",
            "95% interval",
            "Chosen at",
            "Regret",
            "Cost",
            "Worst case",
            "Stage 2",
            "Design",
        ),
        [
            (
                f"{row.kind_name} ({row.role})" if row.role else row.kind_name,
                row.accuracy,
                row.interval,
                row.select_accuracy,
                row.regret,
                row.cost,
                row.worst_cost,
                row.reached,
                f"`{row.design}`",
            )
            for row in rows
        ],
    )
    if len(rows) < len(chosen):
        text += "\n\nThe front goes on: the HTML report and the JSON have all of it."
    return text


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [_line(header), _line(["---"] * len(header)), *(_line(row) for row in rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {_plain(sentence)}" for sentence in sentences)


def _section(heading: str, body: str) -> str:
    return f"{heading}\n\n{body}" if body else ""


def _plain(sentence: str) -> str:
    """Keep underscores and stars of names from becoming emphasis, and ``<`` from becoming a tag."""
    for character in "\\`*_<":
        sentence = sentence.replace(character, f"\\{character}")
    return sentence


def _with_code(sentence: str, designs: tuple[str, ...]) -> str:
    for index, design in enumerate(designs):
        sentence = sentence.replace(design, f"\0{index}\0")
    sentence = _plain(sentence)
    for index, design in enumerate(designs):
        sentence = sentence.replace(f"\0{index}\0", f"`{design}`")
    return sentence

"""Search spaces and their sub-networks as text, from the documents that ``--json`` prints."""

from collections.abc import Mapping, Sequence
from typing import Any

from explorer.convention import CostAxis
from explorer.report.terminal import table
from explorer.report.text import format_amount, format_macs, format_share, significant

Document = Mapping[str, Any]


def about(size: int) -> str:
    """Write a number of sub-networks in two digits.

    >>> about(21_758_655_492_572_485_851), about(15_625)
    ('2.2e19', '15,625')
    """
    if size < 1_000_000:
        return f"{size:,}"
    digits, power = f"{size:.1e}".split("e")
    return f"{digits}e{int(power)}"


def spaces_text(document: Document) -> str:
    """List all spaces: size, range of MACs, systems that search them."""
    rows = [
        (
            space["name"],
            space["size_about"],
            f"{format_macs(space['smallest']['macs'])} to {format_macs(space['largest']['macs'])}",
            str(len(space["published"])),
            ", ".join(space["systems"]),
        )
        for space in document["spaces"]
    ]
    return table(("space", "sub-networks", "smallest to largest", "published", "systems"), rows)


def space_text(document: Document) -> str:
    """Tell what one space is: size, decisions, its ends, what was published of it, and what was drawn."""
    space = document["space"]
    lines = [f"{space['name']}: {space['summary']}", f"read from {space['source']}", _size(space)]
    lines += [f"  {line}" for line in space["decisions"]]
    for end in ("smallest", "largest"):
        lines.append(f"{end}: {_subnet(space[end])}")
    if space["published"]:
        lines += ["", _published(space["published"])]
    for key, draw in (("sampled", _sampled), ("within", _within)):
        if document.get(key):
            lines += ["", draw(document[key])]
    return "\n".join(lines)


def _size(space: Document) -> str:
    size, architectures = int(space["size"]), space["architectures"]
    if architectures is None or int(architectures) == size:
        return f"{about(size)} sub-networks ({size:,})"
    return (
        f"{about(int(architectures))} sub-networks ({int(architectures):,}), "
        f"{about(size)} with their resolutions ({size:,})"
    )


def _subnet(subnet: Document) -> str:
    cost = f"{format_macs(subnet['macs'])}, {_millions(subnet['parameters'])} parameters"
    return f"{cost} at {subnet['resolution']} px: {subnet['name']}"


def _millions(number: float) -> str:
    return f"{significant(number / 1e6)} M"


def _published(subnets: Sequence[Document]) -> str:
    rows = []
    for one in subnets:
        rows.append(
            (
                one["name"] + ("*" if one["on_front"] else ""),
                str(one["resolution"]),
                format_macs(one["macs"]),
                _beside(one["published_macs"], one["macs"]),
                _millions(one["parameters"]),
                _beside(one["published_parameters"], one["parameters"]),
                "" if one["top1"] is None else format_share(one["top1"], 2),
            )
        )
    header = ("published", "px", "MACs here", "published", "parameters here", "published", "top-1")
    front = "* no other one here is as cheap and as accurate" if any(s["on_front"] for s in subnets) else ""
    return "\n".join(filter(None, (table(header, rows), front)))


def _beside(published: float | None, counted: float) -> str:
    """Write a published figure with how far the count here is from it."""
    if published is None:
        return ""
    return f"{_millions(published)} ({counted / published - 1:+.1%})"


def _sampled(document: Document) -> str:
    rows = [
        (format_macs(one["macs"]), _millions(one["parameters"]), one["name"]) for one in document["subnets"]
    ]
    return (
        f"{len(rows)} drawn at random (seed {document['seed']}):\n"
        f"{table(('MACs', 'parameters', 'sub-network'), rows)}"
    )


def _within(document: Document) -> str:
    axis = CostAxis.parse(document["axis"])
    limit = format_amount(document["limit"], axis.kind)
    head = (
        f"{len(document['subnets'])} within {axis}<={limit}, of {document['fitting']:,} that fit among "
        f"{document['drawn']:,} looked at ({document['mutated']:,} of them made by changing decisions)"
    )
    if document["basis"] != "counted":
        head += f"; times are {document['basis']} ({document['measured_pieces']} pieces)"
    rows = []
    for one in document["subnets"]:
        row = [format_amount(one["amount"], axis.kind)]
        row += [] if axis.kind.name == "macs" else [format_macs(one["macs"])]
        if document["verified"]:
            whole = one.get("measured_s")
            error = "" if whole is None else f" ({one['amount'] / whole - 1:+.0%})"
            row.append("" if whole is None else format_amount(whole, axis.kind) + error)
        rows.append((*row, one["name"]))
    header = ["predicted" if document["basis"] != "counted" else axis.kind.name]
    header += [] if axis.kind.name == "macs" else ["MACs"]
    header += ["measured whole (error of the prediction)"] if document["verified"] else []
    return f"{head}:\n{table((*header, 'sub-network'), rows)}"

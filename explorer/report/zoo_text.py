"""The catalogue as text: lists of systems and families, and all there is on one of them."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from explorer.report.text import format_macs, significant

_WIDTH = 110
_FEW = 24
"""Names told before the rest is counted."""
_MORE = "and {} more"

Document = Mapping[str, Any]


def systems_text(systems: Sequence[Document]) -> str:
    """Write systems as a table, one line each, and how many there are."""
    rows = [
        (
            system["key"],
            str(system["year"] or "-"),
            ",".join(system["roles"]) + (" (block)" if system["block"] else ""),
            ",".join(system["offers"]) or "-",
            system["what"],
        )
        for system in systems
    ]
    lines = _table((("KEY", "YEAR", "ROLES", "OFFERS", "WHAT"), *rows)) if rows else []
    count = len(systems)
    return "\n".join([*lines, f"{count} system{'' if count == 1 else 's'}"])


def families_text(families: Sequence[Document]) -> str:
    """Write the families of the registry, one line each: name, an example, what it is."""
    return "\n".join(_table([(f["name"], f["example"], f["summary"]) for f in families]))


def show_text(document: Document) -> str:
    """Write all there is on one system, family or network."""
    parts = [_system(system) for system in document["systems"]]
    parts += [_family(family) for family in document["families"]]
    parts += [_space(space) for space in document["spaces"]]
    if document["networks"]:
        parts.append(_networks(document["networks"]))
    if document["cited"]:
        parts.append(_cited(document["cited"]))
    if document["arrows"]:
        parts.append(_arrows(document["arrows"]))
    parts += _labelled(
        [("nothing cited:", f" {none['reason']}") for none in document["no_points_because"]], 0
    )
    if document["variant"]:
        parts.append(f"cost in full: explorer count {document['variant']}")
    return "\n\n".join(parts)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows with their columns under each other; the last column is as wide as it is."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    ]


def _labelled(pairs: Sequence[tuple[str, str]], width: int = 11) -> list[str]:
    """Return one paragraph a pair, its label in front; pairs without text are left out."""
    return [
        textwrap.fill(
            f"  {label:<{width}}{text}",
            _WIDTH,
            subsequent_indent=" " * (width + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for label, text in pairs
        if text
    ]


def _named(names: Sequence[str]) -> str:
    """Return names, those beyond a few counted."""
    shown = ", ".join(names[:_FEW])
    return shown + (f" {_MORE.format(len(names) - _FEW)}" if len(names) > _FEW else "")


def _system(system: Document) -> str:
    paper = ", ".join(
        text
        for text in (
            f"“{system['title']}”" if system["title"] else "",
            f"arXiv {system['arxiv']}" if system["arxiv"] else "",
            str(system["year"] or ""),
        )
        if text
    )
    roles = ", ".join(system["roles"]) + (" (a block, not a network)" if system["block"] else "")
    pairs = [
        ("paper", paper),
        ("roles", roles),
        ("offers", ", ".join(system["offers"]) or "nothing yet"),
        ("outside", system["outside_reason"] or ""),
        ("published", system["headline"] or ""),
        ("elsewhere", system["elsewhere"] or ""),
        ("not built", system["not_built"] or ""),
        ("claims", _claims(system)),
        ("listed", ", ".join(system["seed"])),
    ]
    return "\n".join([f"{system['name']} ({system['key']}): {system['what']}", *_labelled(pairs)])


def _claims(system: Document) -> str:
    if not system["claims"]:
        return ""
    return f"{', '.join(system['claims'])}: explorer claims {system['key']}"


def _family(family: Document) -> str:
    pairs = [
        ("written as", f"{family['pattern']}, e.g. {family['example']}"),
        ("variants", _named(family["variants"])),
    ]
    width = max(len(knob) for knob in family["knobs"]) + 2 if family["knobs"] else 0
    knobs = [f"    {knob:<{width}}{text}" for knob, text in family["knobs"].items()]
    return "\n".join([f"family {family['name']}: {family['summary']}", *_labelled(pairs), "  knobs", *knobs])


def _space(space: Document) -> str:
    pairs = [
        ("size", f"{_size(space['size'])} sub-networks"),
        ("source", space["source"]),
        ("published", _named(space["variants"])),
        ("smallest", space["smallest"]),
        ("largest", space["largest"]),
    ]
    return "\n".join([f"search space {space['name']}: {space['summary']}", *_labelled(pairs)])


def _size(size: int) -> str:
    """Write a number of sub-networks: in full to a million, then as a power of ten."""
    if size < 1_000_000:
        return f"{size:,}"
    power = len(str(size)) - 1
    leading = size // 10 ** (power - 3) / 1000
    return f"{leading:.2f} x 10^{power}" if round(leading, 2) < 10 else f"1.00 x 10^{power + 1}"


def _networks(networks: Sequence[Document]) -> str:
    """Write what networks cost here beside what was published, and whether both agree."""
    head = ("NETWORK", "PARAMETERS", "PUBLISHED", "MACS", "PUBLISHED", "TOP-1", "")
    rows, sources = [], []
    for network in networks:
        here, published = network["here"] or {}, network["published"] or {}
        source = published.get("source")
        if source and source not in sources:
            sources.append(source)
        rows.append(
            (
                f"{network['model']}@{network['resolution']}",
                _million(here.get("parameters")),
                _million(published.get("parameters")),
                _macs(here.get("macs")),
                _macs(published.get("macs")),
                f"{published['top1']:.2%}" if published.get("top1") is not None else "-",
                _verdict(network, sources.index(source) + 1 if source else None),
            )
        )
    lines = ["costs here, counted without weights, beside what was published", *_table((head, *rows))]
    lines += _labelled([(f"[{number}]", source) for number, source in enumerate(sources, 1)], 5)
    why = {n["model"]: n["why"] or "nobody has said why" for n in networks if n["departs"]}
    lines += _labelled([(f"{model} departs:", f" {reason}") for model, reason in why.items()], 0)
    return "\n".join(lines)


def _verdict(network: Document, source: int | None) -> str:
    here, published = network["here"], network["published"]
    if published is None:
        return "not published"
    where = f" [{source}]"
    if here is None:
        return f"not counted{where}"
    uncounted = f"; not counted: {', '.join(here['uncounted'])}" if here["uncounted"] else ""
    if not network["departs"]:
        compared = published["parameters"] is not None or published["macs"] is not None
        return ("agree" if compared else "no cost published") + uncounted + where
    off = ", ".join(
        f"{'MACs' if what == 'macs' else what} {'+' if share > 0 else ''}{significant(100 * share, 2)} %"
        for what, share in network["departs"].items()
    )
    return f"departs: {off}{uncounted}{where}"


def _million(parameters: float | None) -> str:
    return "-" if parameters is None else f"{significant(parameters / 1e6, 4)} M"


def _macs(macs: float | None) -> str:
    return "-" if macs is None else format_macs(macs)


def _cited(points: Sequence[Document]) -> str:
    """Write networks as their authors report them, with the sources."""
    sources = list(dict.fromkeys(point["source"] for point in points))
    rows = [
        (
            _at(point),
            _dataset(point),
            _million(point["parameters"]),
            _macs(point["macs"]),
            _share(point["top1"]),
            "-" if point["search_cost"] is None else f"{point['search_cost']:g} GPU-days",
            _where(point, sources),
        )
        for point in points
    ]
    head = ("NETWORK", "DATA", "PARAMETERS", "MACS", "TOP-1", "SEARCH", "")
    lines = ["networks as reported: cited, not counted here", *_table((head, *rows))]
    return "\n".join([*lines, *_sources(sources), *_remarks(points)])


def _arrows(arrows: Sequence[Document]) -> str:
    """Write what recipes and compression make of a network; free ones cost nothing at inference."""
    sources = list(dict.fromkeys(arrow["source"] for arrow in arrows))
    rows = [
        (
            arrow["kind"],
            _at(arrow) + (f", {arrow['setting']}" if arrow["setting"] else ""),
            _dataset(arrow),
            _cost_change(arrow),
            _share(arrow["before"]["top1"]),
            _share(arrow["after"]["top1"]),
            _points_of(arrow["difference"]),
            _where(arrow, sources),
        )
        for arrow in arrows
    ]
    head = ("KIND", "NETWORK", "DATA", "COST", "BEFORE", "AFTER", "POINTS", "")
    lines = ["what is made of a network, as reported: cited, not measured here", *_table((head, *rows))]
    return "\n".join([*lines, *_sources(sources), *_remarks(arrows)])


def _at(item: Document) -> str:
    return item["network"] + (f"@{item['resolution']}" if item["resolution"] else "")


def _dataset(item: Document) -> str:
    return str(item["dataset"])


def _share(top1: float | None) -> str:
    return "-" if top1 is None else f"{top1:.2%}"


def _points_of(difference: float | None) -> str:
    """Write a difference of accuracies in points, its sign in front."""
    if difference is None:
        return "-"
    sign = "+" if difference >= 0 else "\N{MINUS SIGN}"
    return f"{sign}{100 * abs(difference):.2f}"


def _cost_change(arrow: Document) -> str:
    """Write what happens to the cost: free, MACs before and after, or their ratio."""
    if arrow["free"]:
        return "free"
    if arrow["macs_ratio"] is not None:
        return f"{significant(arrow['macs_ratio'], 3)} of the MACs"
    before, after = arrow["before"]["macs"], arrow["after"]["macs"]
    return "not told" if before is None or after is None else f"{_macs(before)} to {_macs(after)}"


def _where(item: Document, sources: Sequence[str]) -> str:
    derived = "derived " if item["status"] == "derived" else ""
    return f"{derived}[{sources.index(item['source']) + 1}]"


def _sources(sources: Sequence[str]) -> list[str]:
    return _labelled([(f"[{number}]", source) for number, source in enumerate(sources, 1)], 5)


def _remarks(items: Sequence[Document]) -> list[str]:
    """Return how figures were counted and what else is told: a remark once, its networks in front."""
    remarks: dict[str, list[str]] = {}
    for item in items:
        told = "; ".join(text for text in (item.get("convention"), item["note"]) if text)
        if told:
            names = remarks.setdefault(told, [])
            names += [item["network"]] * (item["network"] not in names)
    return _labelled([(f"{_named(names)}:", f" {told}") for told, names in remarks.items()], 0)

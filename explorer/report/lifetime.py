"""What designs cost over their lives, as text and as a document."""

import math
from collections.abc import Sequence
from datetime import date

from explorer.accounting.lifetime import BreakEven, TrainingRun, VolumeRange
from explorer.analysis.planning.billing import PriceUsed
from explorer.analysis.planning.over_lifetime import Life, Lifetimes
from explorer.analysis.result import PoolSummary, Verdict
from explorer.convention import COST_KINDS
from explorer.record import CostFigure
from explorer.report.devices import price_document
from explorer.report.documents import (
    SCHEMA_VERSION,
    Document,
    axis_document,
    comparison_document,
    cost_document,
    point_document,
    pool_document,
)
from explorer.report.terminal import table
from explorer.report.text import (
    format_accuracy_interval,
    format_accuracy_value,
    format_amount,
    format_count,
    format_difference,
    format_pool,
    format_range,
    format_share,
    significant,
)

_USD = COST_KINDS["money"]
_LARGE = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_VERDICTS = {
    Verdict.BETTER: "more accurate",
    Verdict.WORSE: "less accurate",
    Verdict.CANNOT_TELL: "cannot tell",
}


def lifetime_text(found: Lifetimes, pool: PoolSummary, today: date | None = None) -> str:
    """Write the designs' costs and accuracies, the volumes at which one overtakes another, and the prices."""
    names = {life.cost.design: _letter(index) for index, life in enumerate(found.lives)}
    parts = [
        f"lifetime cost on {pool.dataset}: trained once, then served on {found.axis.device}",
        format_pool(pool),
        *(price_sentence(used, found.utilisation, today) for used in found.prices),
        "",
        _costs(found, names),
        f"cheapest at a volume: {_CHEAPEST}; cannot be told from it, since their intervals meet: {_ALIKE}",
        "",
        _accuracies(found.lives, names),
        "",
        "cheapest, by examples served:",
        *(f"  {_range_text(one, names)}" for one in found.ranges),
        *_break_even_lines(found, names),
        "",
        *_what_stands_behind(found, names),
        *(f"note: {note}" for note in found.notes),
    ]
    return "\n".join(parts)


def lifetime_document(found: Lifetimes, pool: PoolSummary, today: date | None = None) -> Document:
    """Lay out designs over their lives; an end that is open is null."""
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": pool.dataset,
        "serving": axis_document(found.axis),
        "target": None if found.target is None else str(found.target),
        "utilisation": found.utilisation,
        "volumes": list(found.volumes),
        "prices": [_price_document(used, today) for used in found.prices],
        "designs": [_life_document(life, found.volumes) for life in found.lives],
        "table": [
            {"volume": row.volume, "cheapest": row.cheapest, "cannot_tell_from": list(row.alike)}
            for row in found.table
        ],
        "ranges": [{"low": one.low, "high": _finite(one.high), "design": one.design} for one in found.ranges],
        "break_evens": [_break_even_document(one) for one in found.break_evens],
        "given_hours": list(found.given_hours),
        "pool": pool_document(pool),
        "notes": list(found.notes),
    }


def price_sentence(used: PriceUsed, utilisation: float = 1.0, today: date | None = None) -> str:
    """Say what an hour costs, since when and according to whom, and how far other sellers are from it."""
    price = used.price
    units = "" if used.units == 1 else f"{significant(used.units)} x "
    old = f", OLD: {format_count(price.age_days(today))} days" if price.is_old(today) else ""
    said = (
        f"{used.what} on {price.device}: {units}{significant(price.usd_per_hour)} USD an hour per "
        f"{price.unit} ({price.purchase}, {price.date.isoformat()}{old}, {price.source})"
    )
    if used.choice is not None and used.choice.alternatives > 1:
        low, high = significant(used.choice.low), significant(used.choice.high)
        said += f"; {format_count(used.choice.alternatives)} sellers that day: {low} to {high}"
    if used.what == "serving":
        said += ", busy all the time" if utilisation == 1 else f", busy {format_share(utilisation)} of it"
    return said


def format_volume(value: float) -> str:
    """Write a number of examples: ``12.3M``."""
    for scale, prefix in _LARGE:
        if value >= 0.9995 * scale:
            return f"{significant(value / scale)}{prefix}"
    return f"{value:.0f}"


_CHEAPEST, _ALIKE = "*", "~"


def _costs(found: Lifetimes, names: dict[str, str]) -> str:
    header = [
        "",
        "kind",
        "training",
        "serving a million",
        *(f"{format_volume(v)} in all" for v in found.volumes),
    ]
    rows = []
    for index, life in enumerate(found.lives):
        cost = life.cost
        totals = []
        for row in found.table:
            mark = _CHEAPEST if row.cheapest == cost.design else _ALIKE if cost.design in row.alike else " "
            totals.append(f"{_usd(row.totals[index].value)} {mark}")
        kind, training = str(life.point.kind), _usd(cost.training_usd.value)
        rows.append((names[cost.design], kind, training, _usd(cost.usd_per_million.value), *totals))
    return table(header, rows)


def _accuracies(lives: Sequence[Life], names: dict[str, str]) -> str:
    rows = []
    for life in lives:
        against = life.against_best
        accuracy = life.point.accuracy
        rows.append(
            (
                names[life.cost.design],
                format_accuracy_value(accuracy),
                format_accuracy_interval(accuracy),
                "the most accurate when chosen"
                if against is None
                else f"{format_difference(against.difference)}: {_VERDICTS[against.verdict]}",
                life.cost.design,
            )
        )
    best = next(names[life.cost.design] for life in lives if life.against_best is None)
    return table(("", "accuracy", "95% interval", f"against {best}, on report", "design"), rows)


def _range_text(one: VolumeRange, names: dict[str, str]) -> str:
    name = names[one.design]
    if math.isinf(one.high):
        return f"{name} from {format_volume(one.low)} on" if one.low else f"{name} at every volume"
    return f"{name} {'up' if not one.low else f'from {format_volume(one.low)}'} to {format_volume(one.high)}"


def _break_even_lines(found: Lifetimes, names: dict[str, str]) -> list[str]:
    """Say where one design overtakes another; pairs without such a volume share a line."""
    if not found.break_evens:
        return []
    lines = [_break_even_text(one, names) for one in found.break_evens if one.volume is not None]
    never = [one for one in found.break_evens if one.volume is None]
    for said, pairs in (
        ("never, the first is cheaper at every volume", [one for one in never if one.certain]),
        (
            "never by the figures, the first is cheaper, but the intervals allow one",
            [one for one in never if not one.certain and one.cheaper_below is not None],
        ),
        ("the same cost at every volume", [one for one in never if one.cheaper_below is None]),
    ):
        if pairs:
            lines.append(f"{said}: {', '.join(_pair(one, names) for one in pairs)}")
    return ["break-even:", *(f"  {line}" for line in lines)]


def _pair(one: BreakEven, names: dict[str, str]) -> str:
    """Name two designs, the cheaper one first."""
    other = one.second if one.cheaper_below == one.first else one.first
    return f"{names[one.cheaper_below or one.second]}-{names[other]}"


def _break_even_text(one: BreakEven, names: dict[str, str]) -> str:
    assert one.volume is not None
    assert one.cheaper_below is not None  # two lines that cross differ on both sides
    assert one.cheaper_above is not None
    between = f"{format_volume(one.low)} to {format_volume(one.high)}"
    if not one.certain:
        between = f"{format_volume(one.low)} or more, or never"
    return (
        f"{names[one.first]} and {names[one.second]} at {format_volume(one.volume)} ({between}): below "
        f"{names[one.cheaper_below]} is cheaper, above {names[one.cheaper_above]}"
    )


def _what_stands_behind(found: Lifetimes, names: dict[str, str]) -> list[str]:
    """Say what was paid for beside the members themselves, and what the intervals hold."""
    lines = []
    for life in found.lives:
        cost, name = life.cost, names[life.cost.design]
        for members, what in (
            (cost.taught_by, "teachers' training"),
            (cost.gone_on_from, "earlier parts of the run"),
        ):
            if members:
                usd = math.fsum(run.usd.value for run in cost.runs if run.member in members)
                lines.append(f"{name} pays {_usd(usd)} of it for its {what}: {', '.join(members)}")
    if found.ranged:
        lines.append(
            "training times are as recorded; their range, no 95 % interval, is from the fastest to the "
            "slowest seed of the same network, recipe and device; break-evens and marks hold it"
        )
    if found.given_hours:
        lines.append(f"hours of training as given, not recorded: {', '.join(found.given_hours)}")
    training = [life.cost.training_usd for life in found.lives]
    if any(figure.low < figure.high for figure in training):
        shown = (f"{names[life.cost.design]} {_range(life.cost.training_usd)}" for life in found.lives)
        lines.append(f"range of training: {'; '.join(shown)}")
    return lines


def _range(figure: CostFigure) -> str:
    return _usd(figure.value) if figure.low == figure.high else format_range(figure.low, figure.high, _USD)


def _usd(value: float) -> str:
    return format_amount(value, _USD)


def _letter(index: int) -> str:
    """Name a design in a table: A, B, ... Z, AA, AB, ..."""
    text = ""
    index += 1
    while index:
        index, digit = divmod(index - 1, 26)
        text = chr(ord("A") + digit) + text
    return text


def _price_document(used: PriceUsed, today: date | None) -> Document:
    choice = used.choice
    return {
        "for": used.what,
        "units": used.units,
        **price_document(used.price, today),
        "alternatives": None
        if choice is None
        else {"low": choice.low, "high": choice.high, "sellers": choice.alternatives},
    }


def _life_document(life: Life, volumes: Sequence[float]) -> Document:
    cost = life.cost
    return {
        "point": point_document(life.point),
        "training_usd": cost_document(cost.training_usd),
        "usd_per_million": cost_document(cost.usd_per_million),
        "totals_usd": [cost_document(cost.total(volume)) for volume in volumes],
        "trainings": [_run_document(run, life) for run in cost.runs],
        "against_most_accurate": None
        if life.against_best is None
        else comparison_document(life.against_best),
    }


def _run_document(run: TrainingRun, life: Life) -> Document:
    cost = life.cost
    why = "teacher" if run.member in cost.taught_by else "member"
    return {
        "member": run.member,
        "paid_as": "earlier snapshot" if run.member in cost.gone_on_from else why,
        "seconds": cost_document(run.seconds),
        "usd": cost_document(run.usd),
        "device": run.price.device,
        "usd_per_hour": run.price.usd_per_hour,
    }


def _break_even_document(one: BreakEven) -> Document:
    return {
        "first": one.first,
        "second": one.second,
        "volume": one.volume,
        "low": _finite(one.low),
        "high": _finite(one.high),
        "certain": one.certain,
        "cheaper_below": one.cheaper_below,
        "cheaper_above": one.cheaper_above,
    }


def _finite(value: float) -> float | None:
    return None if math.isinf(value) else value

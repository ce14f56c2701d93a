"""Lay out what the accounting engine finds beside a model's cost: for the terminal and as documents."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from explorer.accounting.design import DesignCost
from explorer.accounting.memory import eager_peak_bytes
from explorer.accounting.other_counters import CountedBy
from explorer.accounting.traffic import arithmetic_intensity, fused_traffic, unfused_traffic
from explorer.accounting.training import TrainingCost
from explorer.accounting.views import Totals, by_module, by_module_and_operator, by_operator, subtotals
from explorer.convention import COST_KINDS
from explorer.record import Trace
from explorer.report.documents import SCHEMA_VERSION, Document
from explorer.report.terminal import table
from explorer.report.text import format_amount, format_count, format_share, significant

VIEWS = ("operator", "module", "both")


def view_rows(trace: Trace, by: str, depth: int | None) -> list[tuple[str, Totals]]:
    """Return the rows of a view: by operator, by module with all that is inside it, or by both."""
    if by == "operator":
        return sorted(by_operator(trace).items(), key=lambda item: -item[1].macs)
    if by == "module":
        tree = subtotals(by_module(trace, depth))
        return [(name or "(whole model)", totals) for name, totals in tree.items()]
    pairs = by_module_and_operator(trace, depth)
    return [(f"{module or '(whole model)'}: {op}", totals) for (module, op), totals in pairs.items()]


def view_text(trace: Trace, by: str, depth: int | None) -> str:
    """Write a view as an aligned table."""
    whole = max(sum(totals.macs for totals in by_operator(trace).values()), 1)
    rows = [
        (
            name,
            format_count(totals.macs),
            format_share(totals.macs / whole),
            format_count(totals.elementwise_ops),
            format_count(totals.bytes_read + totals.bytes_written),
            format_count(totals.calls),
        )
        for name, totals in view_rows(trace, by, depth)
    ]
    return table(("by " + by.replace("both", "module and operator"), *_VIEW_COLUMNS), rows)


_VIEW_COLUMNS = ("macs", "share", "elementwise_ops", "bytes", "calls")


def view_document(trace: Trace, by: str, depth: int | None) -> list[Document]:
    """Lay out a view: one entry a row, in the order of `view_rows`."""
    return [{"name": name, **dataclasses.asdict(totals)} for name, totals in view_rows(trace, by, depth)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """Memory of one forward pass: bytes moved, multiply-accumulates a byte, and an eager run's peak."""

    unfused_bytes: int
    fused_bytes: int
    macs_per_byte_unfused: float
    macs_per_byte_fused: float
    eager_peak_bytes: int


def movement(trace: Trace) -> Movement:
    """Work out memory traffic and the peak of an eager run, once for terminal and document."""
    return Movement(
        unfused_bytes=unfused_traffic(trace).total,
        fused_bytes=fused_traffic(trace).total,
        macs_per_byte_unfused=arithmetic_intensity(trace),
        macs_per_byte_fused=arithmetic_intensity(trace, fused=True),
        eager_peak_bytes=eager_peak_bytes(trace),
    )


def movement_document(found: Movement) -> Document:
    """Lay out memory traffic and the peak of an eager run."""
    return {
        "bytes_moved": {"unfused": found.unfused_bytes, "fused": found.fused_bytes},
        "macs_per_byte": {"unfused": found.macs_per_byte_unfused, "fused": found.macs_per_byte_fused},
        "eager_peak_bytes": found.eager_peak_bytes,
    }


def movement_text(found: Movement) -> str:
    """Write memory traffic and the peak of an eager run as aligned lines."""
    bytes_kind = COST_KINDS["param_bytes"]
    rows = [
        ("eager_peak_bytes", found.eager_peak_bytes, "activations of an eager run on a CPU"),
        ("bytes moved, unfused", found.unfused_bytes, "every operator through memory"),
        ("bytes moved, fused", found.fused_bytes, "norms and activations joined to the layer before"),
    ]
    lines = [
        f"  {name:<22}{format_count(n):>20}   {format_amount(n, bytes_kind)}, {what}"
        for name, n, what in rows
    ]
    lines.append(
        f"  {'MACs a byte':<22}{significant(found.macs_per_byte_unfused):>20}   unfused; "
        f"{significant(found.macs_per_byte_fused)} fused"
    )
    return "\n".join(lines)


def counted_by_document(found: Sequence[CountedBy]) -> list[Document]:
    """Lay out what other counters would print."""
    return [dataclasses.asdict(one) | {"explanation": [_term(d) for d in one.explanation]} for one in found]


def _term(difference: object) -> Document:
    assert dataclasses.is_dataclass(difference)
    return {f.name: getattr(difference, f.name) for f in dataclasses.fields(difference)}


def counted_by_text(found: Sequence[CountedBy]) -> str:
    """Write what other counters would print, and why, term by term."""
    lines = []
    for one in found:
        lines.append(f"{one.convention} would print {format_count(one.macs_or_flops)} ({one.unit_word})")
        for term in one.explanation:
            operators = ", ".join(f"{op} {n}x" for op, n in term.operators.items())
            lines.append(f"    {term.amount:+,d}  {term.reason} ({operators})")
    return "\n".join(lines)


def training_document(cost: TrainingCost) -> Document:
    """Lay out one training step."""
    return {"macs": cost.macs, "elementwise_ops": cost.elementwise_ops, **dataclasses.asdict(cost)}


def training_text(cost: TrainingCost) -> str:
    """Write one training step as aligned lines."""
    bytes_kind = COST_KINDS["param_bytes"]
    lines = [f"one training step, batch {format_count(cost.batch)}, {cost.optimiser}"]
    for name, work in (("forward", cost.forward), ("backward", cost.backward), ("update", cost.update)):
        lines.append(
            f"  {name:<22}{format_count(work.macs):>20} MACs, {format_count(work.elementwise_ops)} operations"
        )
    for name in ("gradient_bytes", "optimiser_state_bytes", "saved_activation_bytes"):
        value = getattr(cost, name)
        lines.append(f"  {name:<22}{format_count(value):>20}   {format_amount(value, bytes_kind)}")
    if cost.uncounted:
        lines.append(
            f"  NOT COUNTED: {', '.join(f'{op} ({n}x)' for op, n in sorted(cost.uncounted.items()))}"
        )
    return "\n".join(lines)


def design_document(design: str, costs: Mapping[str, DesignCost]) -> Document:
    """Lay out what a design costs: mean, worst case and tail of each kind."""
    return {
        "schema_version": SCHEMA_VERSION,
        "design": design,
        "costs": {
            name: {
                "unit": cost.kind.unit,
                "stages": list(cost.stages),
                "mean": cost.mean,
                "worst": cost.worst,
                "p99": cost.tail(0.99),
            }
            for name, cost in costs.items()
        },
        "reached": list(next(iter(costs.values())).reached),
        "placement": str(next(iter(costs.values())).placement),
    }


def design_text(design: str, costs: Mapping[str, DesignCost]) -> str:
    """Write what a design costs as an aligned table."""
    rows = [
        (
            name,
            format_amount(cost.mean, cost.kind),
            format_amount(cost.tail(0.99), cost.kind),
            format_amount(cost.worst, cost.kind),
            ", ".join(format_amount(stage, cost.kind) for stage in cost.stages),
        )
        for name, cost in costs.items()
    ]
    first = next(iter(costs.values()))
    reached = ", ".join(format_share(share) for share in first.reached)
    return "\n".join(
        (
            f"{design}, {first.placement}; share of inputs that reaches each stage: {reached}",
            table(("kind", "mean", "p99", "worst case", "stages"), rows),
        )
    )

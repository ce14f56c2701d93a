"""The four things `explorer count` counts: a model, a sweep, a design, all of timm."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from explorer.commands.common import print_json
from explorer.convention import COST_KINDS
from explorer.errors import UncountedError, UsageError
from explorer.spec import Placement, parse_design, parse_model

_DESIGN_KINDS = ("macs", "elementwise_ops", "parameters", "param_bytes", "activation_peak_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is wanted beside a model's cost."""

    batch: int
    by: str | None
    depth: int | None
    conventions: tuple[str, ...]
    deploy: bool
    training: str | None
    closed_form: bool
    strict: bool


def count_one(model: str, channels: int | None, classes: int | None, ask: Ask, as_json: bool) -> None:
    """Count one model and print what was asked for."""
    from explorer.accounting import count
    from explorer.accounting.other_counters import COUNTED_BY, as_counted_by
    from explorer.accounting.training import training_cost
    from explorer.measure.deploy import deploy
    from explorer.measure.symbolic import closed_form
    from explorer.measure.trace import trace_model
    from explorer.report import counting as layout
    from explorer.report.documents import count_document
    from explorer.report.text import count_text
    from explorer.run.countable import countable

    found = countable(parse_model(model), channels=channels, classes=classes)
    shape, network, notes = found.input_shape(ask.batch), found.network, [found.note]
    if ask.deploy:
        deployed = deploy(network, shape)
        network = deployed.model
        notes.append(
            f"deploy form: {deployed.reparameterised} modules merged their branches, "
            f"{len(deployed.folded)} norms folded, {len(deployed.left)} stay"
        )
    trace = trace_model(network, shape)
    cost = count(trace, strict=ask.strict)
    document = count_document(found.model, cost, channels=found.channels, classes=found.classes or 0)
    movement = layout.movement(trace)
    document |= layout.movement_document(movement)
    parts = [count_text(found.model, cost), layout.movement_text(movement)]
    if ask.by:
        document["by"] = layout.view_document(trace, ask.by, ask.depth)
        parts.append(layout.view_text(trace, ask.by, ask.depth))
    if ask.conventions:
        names = list(COUNTED_BY) if "all" in ask.conventions else ask.conventions
        others = [as_counted_by(trace, name) for name in names]
        document["counted_by"] = layout.counted_by_document(others)
        parts.append(layout.counted_by_text(others))
    if ask.training:
        step = training_cost(trace_model(found.network, shape, backward=True), optimiser=ask.training)
        document["training"] = layout.training_document(step)
        parts.append(layout.training_text(step))
    if ask.closed_form:
        form = closed_form(network, shape)
        document["closed_form"] = {"macs": form.expression, "valid": form.valid}
        parts.append(f"macs = {form.expression}\n  {form.valid}")
    document["notes"] = [note for note in notes if note]
    parts += [f"note: {note}" for note in notes if note]
    if as_json:
        print_json(document)
    else:
        click.echo("\n".join(parts))


def count_sweep(
    model: str,
    channels: int | None,
    classes: int | None,
    resolutions: str | None,
    batches: str | None,
    as_json: bool,
) -> None:
    """Count one model over resolutions and batches."""
    from explorer.report.terminal import table
    from explorer.report.text import format_count
    from explorer.run.countable import NATIVE, default_channels, default_classes
    from explorer.run.sweep import sweep_model
    from zoo import default_resolution

    spec = parse_model(model)
    own = spec.resolution or default_resolution(spec.name, NATIVE)
    rows = sweep_model(
        spec,
        _numbers(resolutions) if resolutions else [own],
        _numbers(batches) if batches else [1],
        channels=channels or default_channels(spec),
        classes=classes or default_classes(spec),
    )
    if as_json:
        print_json(
            {"schema_version": 1, "model": spec.name, "rows": [dataclasses.asdict(row) for row in rows]}
        )
        return
    lines = [
        (
            str(row.resolution),
            str(row.batch),
            *(
                "-" if n is None else format_count(n)
                for n in (row.macs, row.elementwise_ops, row.activation_peak_bytes)
            ),
            row.error or row.basis,
        )
        for row in rows
    ]
    click.echo(
        table(("resolution", "batch", "macs", "elementwise_ops", "activation_peak_bytes", "basis"), lines)
    )


def count_design(
    text: str, channels: int | None, classes: int | None, reached: str | None, placement: str, as_json: bool
) -> None:
    """Count a design from its members: mean, 99th percentile and worst case."""
    from explorer.accounting.design import design_cost
    from explorer.report.counting import design_document, design_text
    from explorer.run.costs import count_zoo_model
    from explorer.run.countable import default_channels, default_classes

    design = parse_design(text)
    costs = {}
    for model in dict.fromkeys(member.model for member in design.members):
        outputs = classes or default_classes(model)
        costs[model] = count_zoo_model(model, channels=channels or default_channels(model), classes=outputs)
    missing = sorted({op for cost in costs.values() for op in cost.uncounted})
    if missing:
        raise UncountedError(f"members of {text} run operators without a formula: {', '.join(missing)}")
    shares = _shares(reached) if reached else ()
    where = Placement.parse(placement)
    found = {
        name: design_cost(
            design,
            COST_KINDS[name],
            {model: float(getattr(cost, name)) for model, cost in costs.items()},
            reached=shares,
            placement=where,
        )
        for name in _DESIGN_KINDS
    }
    if as_json:
        print_json(design_document(str(design), found))
    else:
        click.echo(design_text(str(design), found))


def count_all(out: Path, workers: int | None, as_json: bool) -> None:
    """Count every timm model into a Parquet file."""
    import time

    from explorer.report.text import format_seconds
    from explorer.run.progress import progress, say
    from explorer.run.timm_counts import count_all_timm

    if out.suffix != ".parquet":
        raise UsageError(f"--out must end in .parquet, got {out.name!r}")
    begin = time.monotonic()
    with progress("count") as update:
        rows = count_all_timm(out, workers=workers, update=update)
    failed = [row for row in rows if row.error]
    uncounted = [row for row in rows if row.uncounted != "{}"]
    say(f"took {format_seconds(time.monotonic() - begin)}")
    if as_json:
        print_json(
            {
                "schema_version": 1,
                "out": str(out),
                "models": len(rows),
                "failed": {row.model: row.error for row in failed},
                "uncounted": {row.model: row.uncounted for row in uncounted},
            }
        )
        return
    click.echo(f"{out}: {len(rows)} models, {len(failed)} failed, {len(uncounted)} with uncounted operators")
    for row in failed:
        click.echo(f"  {row.model}: {row.error}")


def _numbers(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"not a list of whole numbers: {text!r}; wanted e.g. 160,224,288")
    return [int(part) for part in parts]


def _shares(text: str) -> Sequence[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"not a list of shares: {text!r}; wanted e.g. 1,0.2") from None

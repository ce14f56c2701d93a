"""Count one model over resolutions and batches, tracing only where something changes.

A resolution changes shapes in ways that round, so each is traced; (r / 224)^2 is never used. A batch
changes them affinely in almost every model: then two traces, of one and of two examples, give every
operator's figures at any batch, and with them the totals and the memory peak. That it is so is checked on
the model at hand, by a third trace at the largest batch asked for; where it is not, every batch is traced.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from explorer.accounting import count, live_bytes
from explorer.errors import UsageError
from explorer.record import Trace
from explorer.run.timm_counts import ModelCount, count_all_timm, count_timm_model, read_counts
from explorer.spec import ModelSpec

__all__ = ["ModelCount", "SweepRow", "count_all_timm", "count_timm_model", "read_counts", "sweep_model"]

Tracer = Callable[[int], Trace]
"""Batch -> trace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRow:
    """What one pass costs at one resolution and batch."""

    model: str
    resolution: int
    batch: int
    macs: int | None = None
    elementwise_ops: int | None = None
    activation_peak_bytes: int | None = None
    parameters: int | None = None
    param_bytes: int | None = None
    buffer_bytes: int | None = None
    basis: str = ""
    """``traced`` at this batch, or ``affine in batch`` from two traces and checked by a third."""
    uncounted: tuple[str, ...] = ()
    """Operators without a formula."""
    error: str = ""
    """Why there are no figures: the model does not take this resolution. Empty where there are."""


def sweep_model(
    model: ModelSpec,
    resolutions: Sequence[int],
    batches: Sequence[int] = (1,),
    *,
    channels: int = 3,
    classes: int = 1000,
    update: Callable[[float, str], None] = lambda share, text: None,
) -> tuple[SweepRow, ...]:
    """Return one row a resolution and batch, in the order given.

    Args:
        model: name of a zoo model; its own resolution is not used.
        resolutions: sides of the square input, in pixels.
        batches: examples in the pass.
        channels: of the input.
        classes: of the output.
        update: told the share of resolutions done.

    Raises:
        UsageError: nothing to sweep over, an impossible size, or no resolution works.
        ZooError: no such model.
    """
    if not resolutions or not batches or min((*resolutions, *batches)) < 1:
        raise UsageError(
            f"resolutions and batches are positive whole numbers, got {list(resolutions)} and {list(batches)}"
        )
    from zoo import canonical_name

    name = canonical_name(model.name)
    found: dict[tuple[int, int], SweepRow] = {}
    for done, resolution in enumerate(dict.fromkeys(resolutions)):
        update(done / len(set(resolutions)), f"{name}@{resolution}")
        for row in _at_resolution(name, resolution, batches, channels=channels, classes=classes):
            found[row.resolution, row.batch] = row
    if all(row.error for row in found.values()):
        raise UsageError(next(iter(found.values())).error)
    return tuple(found[key] for key in product(resolutions, batches))


def _at_resolution(
    name: str, resolution: int, batches: Sequence[int], *, channels: int, classes: int
) -> list[SweepRow]:
    from explorer.measure.meta_speed import KernelsOnce, blank_weights
    from explorer.measure.trace import trace_model
    from zoo import ZooError, build

    kernels, wanted = KernelsOnce(), sorted(set(batches))
    try:
        # Built anew: some models are another network at another resolution (their embeddings are).
        with blank_weights():
            network = build(name, in_channels=channels, num_classes=classes, resolution=resolution)

        def trace(batch: int) -> Trace:
            with kernels:
                return trace_model(network, (batch, channels, resolution, resolution))

        return _at_batches(name, resolution, wanted, trace)
    except (UsageError, ZooError) as error:
        return [
            SweepRow(model=name, resolution=resolution, batch=batch, error=str(error)) for batch in wanted
        ]


def _at_batches(name: str, resolution: int, batches: Sequence[int], trace: Tracer) -> list[SweepRow]:
    """Return a row a batch: from three traces where the model is affine in the batch, else from one each."""
    if len(batches) > 3:
        one, two, largest = trace(1), trace(2), trace(batches[-1])
        rows = [_derived(name, resolution, batch, one, two) for batch in batches]
        check = _traced(name, resolution, largest)
        if _figures(rows[-1]) == _figures(check) and _same_operators(one, two, largest):
            return [*rows[:-1], check]
    return [_traced(name, resolution, trace(batch)) for batch in batches]


def _same_operators(*traces: Trace) -> bool:
    orders = {tuple((op.op, op.module) for op in trace.ops) for trace in traces}
    return len(orders) == 1


def _figures(row: SweepRow) -> tuple[int | None, ...]:
    return row.macs, row.elementwise_ops, row.activation_peak_bytes


def _traced(name: str, resolution: int, trace: Trace) -> SweepRow:
    cost = count(trace)
    return SweepRow(
        model=name,
        resolution=resolution,
        batch=cost.batch,
        macs=cost.macs,
        elementwise_ops=cost.elementwise_ops,
        activation_peak_bytes=cost.activation_peak_bytes,
        parameters=cost.parameters,
        param_bytes=cost.param_bytes,
        buffer_bytes=cost.buffer_bytes,
        basis="traced",
        uncounted=tuple(sorted(cost.uncounted)),
    )


def _derived(name: str, resolution: int, batch: int, one: Trace, two: Trace) -> SweepRow:
    """Return the row at ``batch`` from the traces of one and two examples, every operator affine in it."""
    first, second = count(one), count(two)

    def at(a: int, b: int) -> int:
        return a + (batch - 1) * (b - a)

    # The peak is the largest of affine functions, one a moment of the pass: not itself affine.
    moments = zip(live_bytes(one), live_bytes(two), strict=False)
    return SweepRow(
        model=name,
        resolution=resolution,
        batch=batch,
        macs=at(first.macs, second.macs),
        elementwise_ops=at(first.elementwise_ops, second.elementwise_ops),
        activation_peak_bytes=max((at(a, b) for a, b in moments), default=0),
        parameters=first.parameters,
        param_bytes=first.param_bytes,
        buffer_bytes=first.buffer_bytes,
        basis="affine in batch",
        uncounted=tuple(sorted(first.uncounted)),
    )

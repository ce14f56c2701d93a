"""Cost records of zoo models: counted on meta tensors, and timed on this machine."""

from explorer import __version__
from explorer.accounting import COUNT_CONVENTION
from explorer.convention import Basis
from explorer.errors import UsageError
from explorer.measure.trace import build_on_meta, count_model
from explorer.record import Cost, CostFigure, CostRecord
from explorer.spec import ModelSpec

_COUNTED = ("macs", "elementwise_ops", "parameters", "param_bytes", "activation_peak_bytes")


def count_zoo_model(model: ModelSpec, *, channels: int, classes: int, strict: bool = False) -> Cost:
    """Count one example through a zoo model without allocating its weights.

    Raises:
        UsageError: the resolution is missing or does not fit the model.
        UncountedError: ``strict`` and an operator without formula.
    """
    from zoo import build

    if model.resolution is None:
        raise UsageError(f"model {model} needs a resolution to be counted, e.g. {model}@32")
    network, _ = build_on_meta(
        lambda: build(model.name, in_channels=channels, num_classes=classes, resolution=model.resolution)
    )
    shape = (1, channels, model.resolution, model.resolution)
    return count_model(network, shape, strict=strict, own=True)


def counted_costs(model: ModelSpec, *, channels: int, classes: int) -> tuple[CostRecord, ...]:
    """Return one record a counted cost kind of ``model``.

    Raises:
        UncountedError: an operator without formula: what is stored has no gaps.
    """
    cost = count_zoo_model(model, channels=channels, classes=classes, strict=True)
    return tuple(
        CostRecord(
            model=model,
            channels=channels,
            classes=classes,
            kind=kind,
            device=None,
            figure=_exact(getattr(cost, kind)),
            convention=COUNT_CONVENTION,
            source=f"explorer {__version__}",
        )
        for kind in _COUNTED
    )


def _exact(value: int) -> CostFigure:
    return CostFigure(value=float(value), low=float(value), high=float(value), basis=Basis.COUNTED)

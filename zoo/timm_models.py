"""What families built through timm share: its networks without weights, knob checks, published tables.

timm is imported when a network is built, never when a module of the zoo is. A family here names the published
variants and turns its knobs into the arguments of timm's own class, so a variant is exactly timm's network.
"""

import functools
import importlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from torch import nn

from zoo.families.timm_bridge import declare_torchvision_ops
from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.published import Published, Status
from zoo.registry import IMAGENET_CLASSES, Family, ZooError

TIMM_TABLE = "huggingface/pytorch-image-models:results/benchmark-infer-amp-nhwc-pt240-cu124-rtx3090.csv"
TIMM_NOTE = "counted by fvcore there, which adds batch norms and pooling: up to 3 % above convolutions alone"

IMGCLSMOB = "osmr/imgclsmob:pytorch/README.md"
IMGCLSMOB_NOTE = "FLOPs/2 there, norms and activations at half an operation each"

Row = tuple[int, float | None, float | None, float | None]
"""Resolution, parameters in millions, multiply-adds in billions, top-1 in per cent; None where not given."""

_REFUSALS = (TypeError, ValueError, ArithmeticError, AssertionError, RuntimeError)
"""What timm raises for arguments it cannot build."""


@functools.cache
def timm_module(name: str) -> ModuleType:
    """Import and return ``timm.models.NAME``, or ``timm`` itself for an empty name."""
    declare_torchvision_ops()
    importlib.import_module("timm")  # its registry is filled by the package, not by one module of it
    return importlib.import_module(f"timm.models.{name}" if name else "timm")


def create(entry: str, in_channels: int, num_classes: int, **arguments: object) -> nn.Module:
    """Build timm's ``entry``, untrained, with ``arguments`` in place of its own.

    Raises:
        ZooError: timm cannot build that.
    """
    return made(
        lambda: timm_module("").create_model(
            entry, pretrained=False, in_chans=in_channels, num_classes=num_classes, **arguments
        ),
        f"{entry} with {_listed(arguments)}",
    )


def made(make: Callable[[], nn.Module], what: str) -> nn.Module:
    """Return what ``make`` builds.

    Raises:
        ZooError: timm cannot build that; the message says ``what`` was asked for, and timm's reason.
    """
    try:
        return make()
    except _REFUSALS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ZooError(f"timm cannot build {what}: {reason}") from error


def _listed(arguments: Mapping[str, object]) -> str:
    plain = (int, float, str, bool, tuple, list)
    return ", ".join(f"{key}={value}" for key, value in arguments.items() if isinstance(value, plain))


def timm_family(
    *,
    summary: str,
    names: Names,
    knobs: Mapping[str, str],
    build: Callable[[Any, int, int, int | None], nn.Module],
    systems: tuple[str, ...],
    published: tuple[Published, ...],
    resolution: int | Callable[[Any], int] = 224,
) -> Family:
    """Return the family of ``names``, for ImageNet.

    Args:
        summary: one line, with the paper.
        names: prefix, config class and published variants; the first variant is the example.
        knobs: every field of the config class -> one line.
        build: as `Family.build`.
        systems: keys of the catalogue.
        published: rows of published costs.
        resolution: pixels a side, one for all or by config.
    """
    fixed = resolution if isinstance(resolution, int) else None
    return Family(
        name=names.prefix,
        summary=summary,
        example=next(iter(names.variants)),
        pattern_help=f"a published name, or {names.prefix}-KNOBVALUE-...",
        knobs=knobs,
        parse=names.parse,
        configure=names.config_class,
        build=build,
        format=names.format,
        default_resolution=lambda config, native: (
            fixed if fixed is not None else resolution(config)  # type: ignore[operator]  # int is fixed
        ),
        near=names.near,
        systems=systems,
        variants=names.variants,
        published=published,
        classes=IMAGENET_CLASSES,
    )


def table(
    source: str,
    rows: Mapping[str, Row],
    *,
    digits: tuple[int, int] = (2, 2),
    note: str = "",
    departs: Mapping[str, str] | None = None,
    status: Status = Status.SEEN,
) -> tuple[Published, ...]:
    """Return the rows of one published table.

    Args:
        source: paper and table, or repository and file.
        rows: variant -> resolution, parameters in millions, multiply-adds in billions, top-1 in per cent.
        digits: decimals printed of millions of parameters, and of billions of multiply-adds.
        note: how the source counts.
        departs: variant -> why the count here is another.
        status: how the figures got here.
    """
    parameters_rounding, macs_rounding = 0.5e6 * 10.0 ** -digits[0], 0.5e9 * 10.0 ** -digits[1]
    return tuple(
        Published(
            model=model,
            resolution=resolution,
            source=source,
            status=status,
            parameters=None if millions is None else millions * 1e6,
            macs=None if billions is None else billions * 1e9,
            parameters_rounding=parameters_rounding,
            macs_rounding=macs_rounding,
            top1=None if per_cent is None else per_cent / 100,
            note=note,
            departs=(departs or {}).get(model, ""),
        )
        for model, (resolution, millions, billions, per_cent) in rows.items()
    )


def timm_table(
    rows: Mapping[str, tuple[int, float, float]], *, departs: Mapping[str, str] | None = None
) -> tuple[Published, ...]:
    """Return rows of timm's own benchmark table: resolution, millions of parameters, GMACs."""
    return table(
        TIMM_TABLE,
        {model: (side, millions, billions, None) for model, (side, millions, billions) in rows.items()},
        note=TIMM_NOTE,
        departs=departs,
    )


def integers_knob(what: str, values: object, *, count: int | None, low: int, high: int) -> tuple[int, ...]:
    """Return ``values`` when they are a tuple of ``count`` (any number: None) integers in ``[low, high]``.

    Raises:
        ZooError: they are not.
    """
    if not isinstance(values, tuple) or not values or (count is not None and len(values) != count):
        wanted = "whole numbers" if count is None else f"{count} whole numbers"
        raise ZooError(f"{what} must be a tuple of {wanted}, got {values!r}")
    return tuple(integer_knob(what, value, low=low, high=high) for value in values)


def reals_knob(what: str, values: object, *, count: int, low: float, high: float) -> tuple[float, ...]:
    """Return ``values`` when they are a tuple of ``count`` finite numbers in ``[low, high]``.

    Raises:
        ZooError: they are not.
    """
    if not isinstance(values, tuple) or len(values) != count:
        raise ZooError(f"{what} must be a tuple of {count} numbers, got {values!r}")
    return tuple(real_knob(what, value, low=low, high=high) for value in values)


def word_knob(what: str, value: str, known: tuple[str, ...]) -> str:
    """Return ``value`` when it is one of ``known``.

    Raises:
        ZooError: it is not.
    """
    if value not in known:
        raise ZooError(f"{what} must be one of {', '.join(known)}, got {value!r}")
    return value


def switch_knob(what: str, value: bool) -> bool:
    """Return ``value`` when it is True or False.

    Raises:
        ZooError: it is not.
    """
    if not isinstance(value, bool):
        raise ZooError(f"{what} must be True or False, got {value!r}")
    return value


def depths_knob(family: str, values: object, *, count: int = 4, high: int = 200) -> tuple[int, ...]:
    """Return ``values`` when they are blocks of each of ``count`` stages, at least 1 each.

    Raises:
        ZooError: they are not.
    """
    return integers_knob(f"depths of {family}", values, count=count, low=1, high=high)

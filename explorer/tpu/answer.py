"""A figure for a TPU whatever is installed: the compiler's estimate, or the published peaks' bound."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.accounting.roofline import bound
from explorer.errors import EnvironmentMissingError
from explorer.record import CostFigure
from explorer.tpu.chips import find_chip
from explorer.tpu.compiling import CompileError, Limits, Progress
from explorer.tpu.estimate import TpuEstimate, TpuRequest, tpu_estimate
from explorer.workload import Precision

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class TpuAnswer:
    """A figure for a TPU, whatever could be had: the compiler's, or the bound and why it is only that."""

    figure: CostFigure
    """Seconds of one call; `Basis.COMPILED` or `Basis.BOUND`."""
    estimate: TpuEstimate | None
    reason: str
    """Why it is only a bound; empty otherwise."""


def tpu_latency(
    make: "Callable[[], nn.Module]",
    request: TpuRequest,
    *,
    macs: float | Callable[[], float],
    cache_folder: Path | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> TpuAnswer:
    """Return the compiler's estimate, or without the compiler the roofline bound, labelled so.

    Args:
        make: as for `tpu_estimate`.
        request: what is asked.
        macs: multiply-accumulates of one call of one network, or what counts them: only the bound asks.
        cache_folder: as for `tpu_estimate`.
        limits: as for `tpu_estimate`.
        progress: as for `tpu_estimate`.

    Raises:
        CompileError: as `tpu_estimate`; only a missing compiler is answered with the bound.
        UsageError: as `tpu_estimate`.
    """
    try:
        found = tpu_estimate(make, request, cache_folder=cache_folder, limits=limits, progress=progress)
    except CompileError:
        raise  # the compiler is here and said no: its reason, not a bound
    except EnvironmentMissingError as error:
        figure = spec_bound(make, request, macs=macs() if callable(macs) else macs)
        return TpuAnswer(figure=figure, estimate=None, reason=str(error))
    return TpuAnswer(figure=found.figure, estimate=found, reason="")


def spec_bound(make: "Callable[[], nn.Module]", request: TpuRequest, *, macs: float) -> CostFigure:
    """Return the least time of a call by the published peaks: its products, reading weights and input.

    Raises:
        UsageError: no peak is known at the precision.
    """
    model = make()
    size = 2 if request.precision is Precision.BF16 else 4
    # Vectors are left out: the deploy form folds some of them away.
    numbers = sum(parameter.numel() for parameter in model.parameters() if parameter.dim() > 1)
    moved = size * (request.members * numbers + math.prod(request.input_shape))
    # Matrix units multiply in bfloat16: what float32 takes is at least that.
    return bound(find_chip(request.device).device, Precision.BF16, request.members * macs, moved)

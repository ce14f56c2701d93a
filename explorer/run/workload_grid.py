"""From a device and lists of settings to the workloads that are asked for; needs no torch."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from explorer.workload import Precision, Runtime, Workload


def grid(
    device: str,
    *,
    batches: Sequence[int] = (),
    precisions: Sequence[Precision] = (),
    runtimes: Sequence[Runtime] = (),
    threads: Sequence[int] = (),
    channels_last: bool = False,
) -> tuple[Workload, ...]:
    """Return every combination, most informative first: one change from the first, then two, ...

    Args:
        device: a device, or a workload's text; what an option does not say, it says.
        batches: examples a call.
        precisions: of weights and activations.
        runtimes: left out on the CPU: onnxruntime and eager torch, because the ratio of two models differs
            between the two; eager alone where onnxruntime does not have the precision.
        threads: for one operator.
        channels_last: memory format of them all.

    Raises:
        UsageError: not a workload.
    """
    base = Workload.parse(device)
    said = any(part in list(Runtime) for part in device.lower().split("/"))
    both = base.device == "cpu" and not runtimes and not said
    axes = (
        batches or (base.batch,),
        precisions or (base.precision,),
        (Runtime.ONNXRUNTIME, Runtime.EAGER) if both else (runtimes or (base.runtime,)),
        threads or (base.threads,),
    )
    found = []
    for batch, precision, runtime, thread in _main_effects_first(axes):
        if both and runtime is Runtime.ONNXRUNTIME and precision not in (Precision.FP32, Precision.INT8):
            continue
        workload = replace(
            base,
            batch=batch,
            precision=precision,
            runtime=runtime,
            threads=thread,
            channels_last=channels_last or base.channels_last,
        )
        found.append(workload)
    return tuple(dict.fromkeys(found))


def convention(workload: Workload) -> str:
    """Name how a workload's calls follow one another: one after the other, ``batch`` examples each."""
    return f"single-stream-b{workload.batch}"


def _main_effects_first(axes: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    places = itertools.product(*(range(len(axis)) for axis in axes))
    ordered = sorted(places, key=lambda place: (sum(map(bool, place)), sum(place), place))
    return [tuple(axis[i] for axis, i in zip(axes, place, strict=True)) for place in ordered]

"""Make a model ready to be timed under a workload: device, batch, precision, runtime, memory format.

`prepare` returns one call of the workload's batch on random images, how to time it, and the conditions;
or says that it does not fit. Time it inside `explorer.measure.precision.measuring`, or let
`explorer.measure.model_latency.measure_prepared` do all of it.
"""

import gc
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from explorer.errors import ExplorerError, UsageError
from explorer.measure.cuda_runtime import event_timer, peak_bytes, settle
from explorer.measure.environment import conditions, find_device
from explorer.measure.latency import Call, HostTimer, Step, Timer
from explorer.measure.memory_limits import OutOfMemory, is_out_of_memory, lacking_memory, out_of_memory
from explorer.measure.precision import dtype_text, measuring, one_line, refuse_impossible
from explorer.measure.runtime_making import (
    OnnxRequest,
    OpenOnnx,
    Request,
    onnx_running,
    random_images,
    torch_running,
)
from explorer.record import Conditions
from explorer.workload import Runtime, Workload

__all__ = ["OnnxRequest", "OpenOnnx", "OutOfMemory", "Prepared", "prepare"]

_BACKENDS = {
    Runtime.EAGER: "torch-eager",
    Runtime.DEPLOY: "torch-eager",
    Runtime.COMPILED: "torch-compiled",
    Runtime.GRAPH: "torch-cuda-graph",
    Runtime.ONNXRUNTIME: "onnxruntime",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A model that is ready to be timed."""

    workload: Workload
    call: Call
    """Runs one batch; each time the next of the random ones. Waits for no device."""
    before: Call | None
    """To be called before each call, outside the timed span; None where there is nothing to do."""
    timer: Timer
    """Host clock, or device events."""
    conditions: Conditions
    prepare_s: float
    """Copying, casting, folding, quantising, exporting, compiling, capturing; for compiled models the
    call that triggers compilation is in it. A compiler's cache of an earlier process shortens it."""
    first_call_s: float
    """The first call after that: allocators fill, libraries try algorithms."""
    memory_bytes: int | None
    """Peak device memory of one call: weights, one batch, activations, and workspace that is not the
    libraries' own for good. None: unknown."""
    observations: Mapping[str, object]
    """What has to be said beside its times: inputs, cache, quantisation, compilation. JSON values."""
    _release: Callable[[], None] = field(repr=False)

    @property
    def step(self) -> Step:
        """What `explorer.measure.latency.measure_interleaved` times."""
        return Step(self.call, self.before)

    def wait(self) -> None:
        """Wait until the device has finished; nothing to do on CPUs."""
        if self.conditions.device != "cpu":
            torch.cuda.synchronize(torch.device(self.conditions.device))

    def close(self) -> None:
        """Free the model's memory; ``call`` is refused afterwards."""
        self._release()


def prepare(
    model: nn.Module,
    workload: Workload,
    *,
    channels: int,
    resolution: int,
    seed: int = 0,
    open_onnx: OpenOnnx | None = None,
) -> Prepared | OutOfMemory:
    """Make a copy of ``model`` ready to be timed under ``workload``, and call it once.

    Args:
        model: with weights; left as it is.
        workload: device, batch, precision, runtime, memory format and threads.
        channels: of the images.
        resolution: height and width of the images.
        seed: of the random images, uniform in [0, 1).
        open_onnx: exports and opens the model for the runtime onnxruntime.

    Returns:
        What is ready, or that it does not fit; then its memory has been freed.

    Raises:
        UsageError: the workload is impossible, or the model cannot run under it, with the reason.
        EnvironmentMissingError: the device or a package is not here.
    """
    device = find_device(workload.device)
    _refuse(model, workload, device, open_onnx)
    shape = (workload.batch, channels, resolution, resolution)
    if device.type == "cpu" and (reason := lacking_memory(model, shape)):
        return OutOfMemory(workload=workload, reason=reason)
    try:
        # Tracing and quantising draw random numbers: the caller's random state stays as it was.
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            return _prepared(model, Request(workload, device, shape, seed), open_onnx)
    except Exception as error:
        # The model's code, compilers and drivers run here: each raises classes of its own.
        if not is_out_of_memory(error):
            if isinstance(error, ExplorerError):
                raise
            raise UsageError(f"{type(model).__name__} cannot run as {workload}: {one_line(error)}") from error
        failed = out_of_memory(workload, error)
    # Only here are the error and the frames that held its tensors gone.
    _free(device)
    return failed


def _prepared(model: nn.Module, request: Request, open_onnx: OpenOnnx | None) -> Prepared:
    workload, device, _, _ = request
    described = conditions(
        str(device),
        dtype_text(workload.precision, device),
        batch=workload.batch,
        threads=workload.threads,
        backend=_BACKENDS[workload.runtime],
        memory_format="channels_last" if workload.channels_last else "contiguous",
        form="deploy" if workload.runtime is Runtime.DEPLOY else "as-built",
    )
    observations: dict[str, object] = {"images": f"uniform noise, seed {request.seed}"}
    with measuring(workload):
        held = _held_bytes(device)
        start = time.perf_counter()
        if open_onnx is not None and workload.runtime is Runtime.ONNXRUNTIME:
            running = onnx_running(model, request, open_onnx, observations)
        else:
            running = torch_running(model, request, held, observations)
        _wait(device)
        ready = time.perf_counter()
        before = running.before()
        if before is not None:
            before()
        running()
        _wait(device)
        first_call_s = time.perf_counter() - ready
        if device.type == "cuda" and running.memory_bytes is None:
            running.memory_bytes = peak_bytes(running, device, held)
        images = random_images(request)
        running.inputs = itertools.cycle(
            [one.numpy() for one in images] if workload.runtime is Runtime.ONNXRUNTIME else images
        )
    observations |= {"image_batches": len(images)} | _timing_notes(device)

    def release() -> None:
        running.close()
        _free(device)

    return Prepared(
        workload=workload,
        call=running,
        before=before,
        timer=event_timer(device) if device.type == "cuda" else HostTimer(),
        conditions=described,
        prepare_s=ready - start,
        first_call_s=first_call_s,
        memory_bytes=running.memory_bytes,
        observations=observations,
        _release=release,
    )


def _refuse(model: nn.Module, workload: Workload, device: torch.device, open_onnx: OpenOnnx | None) -> None:
    """Raise for what cannot be measured, before anything is copied."""
    if any(tensor.is_meta for tensor in itertools.chain(model.parameters(), model.buffers())):
        raise UsageError(
            f"{type(model).__name__} has no weights (it was built on meta): it can be counted, not timed"
        )
    reason = ""
    if workload.runtime not in _BACKENDS:
        reason = f"{workload.runtime} does not run torch models on a {device.type.upper()} device"
    elif workload.runtime is Runtime.GRAPH and device.type != "cuda":
        reason = "graph is a runtime of CUDA devices"
    elif workload.runtime is Runtime.ONNXRUNTIME and device.type != "cpu":
        reason = "onnxruntime is measured on CPUs only"
    elif workload.runtime is Runtime.ONNXRUNTIME and open_onnx is None:
        reason = "no exporter was given for onnxruntime"
    elif workload.runtime is Runtime.ONNXRUNTIME and workload.channels_last:
        reason = "onnxruntime chooses the memory format itself"
    if reason:
        raise UsageError(f"{workload} cannot be measured: {reason}")
    refuse_impossible(workload, device)


def _timing_notes(device: torch.device) -> dict[str, object]:
    if device.type == "cpu":
        return {"timing": "host clock"}
    return {
        "timing": "device events, each call from a device at rest",
        "cache": "second-level cache overwritten before each call, outside the timed span",
    }


def _held_bytes(device: torch.device) -> int:
    """Return the device memory in use before a model comes: other models' and the libraries' own."""
    if device.type == "cpu":
        return 0
    settle(device)
    return torch.cuda.memory_allocated(device)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _free(device: torch.device) -> None:
    """Return memory that nothing holds any more to the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()

"""Turn a model into something that can be called again and again, by each torch runtime or onnxruntime."""

import contextlib
import copy
import itertools
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from explorer.errors import UsageError
from explorer.measure.cuda_runtime import captured, peak_bytes
from explorer.measure.deploy import deploy_form
from explorer.measure.latency import Call
from explorer.measure.precision import INT8_NOTE, Forward, autocasting, quantised, storage_dtype
from explorer.workload import Precision, Runtime, Workload

_BATCHES = 4
"""Different batches of images that calls take in turn."""
_BATCHES_BYTES = 256 * 2**20
"""Most memory for them, unless one batch alone takes more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxRequest:
    """What is asked of the caller for the runtime onnxruntime, which this room does not import."""

    model: nn.Module
    """A copy of the model, on the CPU, float32, in evaluation mode."""
    images: tuple[np.ndarray, ...]
    """Batches like those it will be called with, float32 ``[example, channel, height, width]``; for int8,
    also what ranges are calibrated on."""
    workload: Workload
    """Says threads, and precision: fp32 or int8. The device is the CPU."""


OpenOnnx = Callable[[OnnxRequest], Callable[[np.ndarray], object]]
"""Exports a model and opens it; returns what runs one batch."""


class Request(NamedTuple):
    """What is to be prepared."""

    workload: Workload
    device: torch.device
    shape: tuple[int, int, int, int]
    """``[example, channel, height, width]``"""
    seed: int


@dataclass(slots=True)
class Running:
    """A function and the inputs it takes in turn; emptied on close, whoever still holds the call."""

    function: Callable[[Any], object]
    inputs: Iterator[Any]
    static: Tensor | None = None
    """Where a captured graph reads its images: filled before each call."""
    free: Call | None = None
    """Frees what is not freed by being forgotten."""
    memory_bytes: int | None = None

    def __call__(self) -> object:
        """Run the next batch."""
        return self.function(self.static if self.static is not None else next(self.inputs))

    def before(self) -> Call | None:
        """Return what puts the next images where a graph reads them; None for other runtimes."""
        return None if self.static is None else self._fill

    def _fill(self) -> None:
        if self.static is not None:
            self.static.copy_(next(self.inputs))

    def close(self) -> None:
        """Let go of everything; calls are refused from now on."""
        if self.free is not None:
            self.free()
        self.function, self.inputs = _closed, itertools.repeat(None)
        self.static = self.free = None


def _closed(_: object) -> object:
    raise UsageError("this model's runtime was closed; prepare it again")


def random_images(request: Request, count: int = _BATCHES) -> list[Tensor]:
    """Return batches of uniform noise in [0, 1) on the device: at least one, then as memory allows.

    Noise, since products of zeros draw less power and run faster. The caller's random state stays as it is.
    """
    workload, device, shape, seed = request
    generator = torch.Generator().manual_seed(seed)
    dtype = storage_dtype(workload.precision)
    size = int(np.prod(shape)) * dtype.itemsize
    layout = torch.channels_last if workload.channels_last else torch.contiguous_format
    with torch.inference_mode(False):
        return [
            torch.rand(shape, generator=generator).to(device, dtype).contiguous(memory_format=layout)
            for _ in range(max(1, min(count, _BATCHES_BYTES // size)))
        ]


# ---- torch ------------------------------------------------------------------------------------


def torch_running(
    model: nn.Module, request: Request, held_bytes: int, observations: dict[str, object]
) -> Running:
    """Return a copy of ``model`` as the workload's torch runtime runs it.

    Args:
        model: left as it is.
        request: workload, device and shape.
        held_bytes: device memory in use before, left out of this model's.
        observations: gets what has to be said beside the times.
    """
    workload, device, _, _ = request
    first = random_images(request, 1)
    forward = _forward(_twin(model, request, observations), workload, device)
    if workload.runtime is Runtime.COMPILED:
        forward = _compiled(forward, first[0], observations)
    running = Running(forward, itertools.cycle(first))
    if workload.runtime is Runtime.GRAPH:
        _capture(running, first[0], device, held_bytes)
    return running


def _twin(model: nn.Module, request: Request, observations: dict[str, object]) -> nn.Module:
    """Return a copy in evaluation mode, in the workload's form, precision and memory format."""
    workload, device, shape, _ = request
    # Not in inference mode: what is made there cannot be changed later, which folding and tracing do.
    with torch.inference_mode(False), torch.no_grad():
        if workload.runtime is Runtime.DEPLOY:
            twin = deploy_form(model, (1, *shape[1:]))
        else:
            try:
                twin = copy.deepcopy(model).eval()
            except (TypeError, RuntimeError) as error:
                raise UsageError(f"{type(model).__name__} cannot be copied for timing: {error}") from error
        twin = twin.to(device, storage_dtype(workload.precision)).requires_grad_(False)
        if workload.channels_last:
            twin = twin.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if workload.precision is Precision.INT8:
            twin = quantised(twin, random_images(request))
            observations["quantisation"] = INT8_NOTE
    return twin


def _forward(twin: nn.Module, workload: Workload, device: torch.device) -> Forward:
    if workload.precision is Precision.AMP:
        return autocasting(twin, device, cache=workload.runtime is not Runtime.GRAPH)
    return twin


def _compiled(forward: Forward, images: Tensor, observations: dict[str, object]) -> Forward:
    """Return ``forward`` compiled for the shape of ``images``, by the call that triggers it.

    torch keeps what it compiled with the Python code it compiled, and after some models of one class it
    silently stops compiling that code. A function of the model's own has code of its own; and where a
    model's parts are compiled apart, reaching the limit is an error here.
    """
    import torch._dynamo as dynamo

    def run(images: Tensor) -> object:
        return forward(images)

    own = types.FunctionType(
        run.__code__.replace(co_name="forward"), run.__globals__, "forward", None, run.__closure__
    )
    counters = dynamo.utils.counters
    breaks, graphs = sum(counters["graph_break"].values()), counters["stats"]["unique_graphs"]
    with _strict_limit(dynamo.config):
        compiled = torch.compile(own, dynamic=False)
        compiled(images)
    observations |= {
        "compile_mode": "default",
        "graph_breaks": sum(counters["graph_break"].values()) - breaks,
        "graphs": counters["stats"]["unique_graphs"] - graphs,
    }
    return compiled


def _strict_limit(config: Any) -> contextlib.AbstractContextManager[Any]:
    return config.patch(fail_on_recompile_limit_hit=True, suppress_errors=False)


def _capture(running: Running, images: Tensor, device: torch.device, held_bytes: int) -> None:
    """Turn ``running`` into the replay of a CUDA graph."""
    static, forward = images.clone(), running.function

    def make() -> None:
        replay, running.free = captured(lambda: forward(static), device)
        running.function, running.static = lambda _: replay(), static

    running.memory_bytes = peak_bytes(make, device, held_bytes)


# ---- onnxruntime ------------------------------------------------------------------------------


def onnx_running(
    model: nn.Module, request: Request, open_onnx: OpenOnnx, observations: dict[str, object]
) -> Running:
    """Return a copy of ``model`` as the caller's exporter opens it; its images are numpy arrays."""
    workload, _, shape, seed = request
    here = Request(workload, torch.device("cpu"), shape, seed)
    twin = _twin(model, here._replace(workload=_eager(workload)), observations)
    images = tuple(one.numpy() for one in random_images(here))
    if workload.precision is Precision.INT8:
        observations["quantisation"] = INT8_NOTE
    run = open_onnx(OnnxRequest(model=twin, images=images, workload=workload))
    return Running(run, itertools.cycle(images))


def _eager(workload: Workload) -> Workload:
    """Return the workload whose copy is the plain model: the exporter quantises by itself."""
    return Workload(device="cpu", batch=workload.batch)

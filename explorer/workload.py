"""How a model is run when its cost on a device is asked: batch, precision, runtime, memory format.

A workload is written after the device it runs on, in one text that names an axis of a front, a column
of the store and an option of the command line alike:

    cpu                       one example a call, float32, the device's own runtime, one thread
    cpu/eager                 the same in eager torch
    cuda/b64/bf16/graph       64 examples a call, bfloat16, captured as a CUDA graph
    rtx4090/b256/amp          a device that need not be here
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from explorer.errors import UsageError


class Precision(StrEnum):
    """What weights and activations are held in, by the field's short names."""

    FP32 = "fp32"
    TF32 = "tf32"
    """float32 weights and activations; matrix products may round their inputs to 19 bits."""
    FP16 = "fp16"
    BF16 = "bf16"
    AMP = "amp"
    """Automatic mixed precision: float32 weights, matrix products in float16, norms in float32."""
    INT8 = "int8"
    """Weights and products in 8-bit integers; what stays in float32 is the runtime's choice."""


class Runtime(StrEnum):
    """What executes the model."""

    ONNXRUNTIME = "onnxruntime"
    """The exported ONNX file: what ships."""
    EAGER = "eager"
    """torch, operator by operator."""
    DEPLOY = "deploy"
    """Eager torch, batch norms folded and branches merged (`explorer.measure.deploy`)."""
    COMPILED = "compiled"
    """torch.compile."""
    GRAPH = "graph"
    """Eager torch captured once and replayed as a CUDA graph."""
    XLA = "xla"
    """One XLA program."""


_BATCH = re.compile(r"b([1-9][0-9]{0,8})")
_THREADS = re.compile(r"t([1-9][0-9]{0,8})")
_DEVICE = re.compile(r"[a-z0-9][a-z0-9._-]*(:[0-9]+)?")
_CHANNELS_LAST = "nhwc"
_KNOWN = f"bN, tN, {', '.join(Precision)}, {', '.join(Runtime)}, {_CHANNELS_LAST}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Workload:
    """A device and how a model runs on it.

    >>> str(Workload.parse("cuda/bf16/b64")), Workload.parse("cpu").runtime
    ('cuda/b64/bf16', <Runtime.ONNXRUNTIME: 'onnxruntime'>)
    """

    device: str
    """``cpu``, ``cuda``, ``cuda:1``, or a device's key in the device table, ``rtx4090``."""
    batch: int = 1
    """Examples a call."""
    precision: Precision = Precision.FP32
    runtime: Runtime = Runtime.EAGER
    channels_last: bool = False
    threads: int = 1
    """Threads one operator may use; CPUs only."""

    @staticmethod
    def parse(text: str) -> "Workload":
        """Read ``DEVICE[/bN][/PRECISION][/RUNTIME][/nhwc][/tN]``, the parts after the device in any order.

        Raises:
            UsageError: not a device's name, an unknown part, or one said twice.
        """
        device, *parts = text.strip().lower().split("/")
        if _DEVICE.fullmatch(device) is None:
            raise UsageError(f"not a device: {device!r} in {text!r}; wanted e.g. cpu, cuda, rtx4090/b64/bf16")
        found: dict[str, object] = {}
        for part in parts:
            name, value = _read(part, text)
            if name in found:
                raise UsageError(f"{text!r} says its {name} twice")
            found[name] = value
        found.setdefault("runtime", default_runtime(device))
        return Workload(device=device, **found)  # type: ignore[arg-type]

    def __str__(self) -> str:
        parts = [self.device]
        if self.batch != 1:
            parts.append(f"b{self.batch}")
        if self.precision is not Precision.FP32:
            parts.append(str(self.precision))
        if self.runtime is not default_runtime(self.device):
            parts.append(str(self.runtime))
        if self.channels_last:
            parts.append(_CHANNELS_LAST)
        if self.threads != 1:
            parts.append(f"t{self.threads}")
        return "/".join(parts)


def default_runtime(device: str) -> Runtime:
    """Return what runs a model on ``device`` unless said otherwise: on CPUs the file that ships."""
    if device == "cpu":
        return Runtime.ONNXRUNTIME
    return Runtime.XLA if device.startswith("tpu") else Runtime.EAGER


def _read(part: str, text: str) -> tuple[str, object]:
    if match := _BATCH.fullmatch(part):
        return "batch", int(match[1])
    if match := _THREADS.fullmatch(part):
        return "threads", int(match[1])
    if part in list(Precision):
        return "precision", Precision(part)
    if part in list(Runtime):
        return "runtime", Runtime(part)
    if part == _CHANNELS_LAST:
        return "channels_last", True
    raise UsageError(f"unknown part {part!r} in workload {text!r}; known: {_KNOWN}")

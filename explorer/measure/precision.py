"""Put a model, and torch's global switches, into the precision a workload asks for; and back.

What float32 means depends on switches of the whole process: on NVIDIA GPUs torch lets convolutions round
their inputs to TF32 unless told otherwise. `measuring` sets them for a measurement and restores them.
"""

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from explorer.errors import UsageError
from explorer.measure.environment import find_device
from explorer.workload import Precision, Runtime, Workload

Forward = Callable[[Tensor], object]

_DTYPES = {Precision.FP16: torch.float16, Precision.BF16: torch.bfloat16}
_AMP_DTYPES = {"cpu": torch.bfloat16, "cuda": torch.float16}
"""What torch.autocast takes by default on each kind of device."""
INT8_NOTE = (
    "static int8, calibrated on random images: its time is right, its answers are not; for timing only"
)


def storage_dtype(precision: Precision) -> torch.dtype:
    """Return what weights and images are held in before any quantisation."""
    return _DTYPES.get(precision, torch.float32)


def dtype_text(precision: Precision, device: torch.device) -> str:
    """Return how conditions name the precision: torch's name where there is one.

    >>> dtype_text(Precision.AMP, torch.device("cpu"))
    'amp-bfloat16'
    """
    if precision is Precision.AMP:
        return "amp-" + _plain(_AMP_DTYPES[device.type])
    if precision in (Precision.TF32, Precision.INT8):
        return str(precision)
    return _plain(storage_dtype(precision))


def refuse_impossible(workload: Workload, device: torch.device) -> None:
    """Raise for a precision that the device or the runtime does not have.

    Raises:
        UsageError: with the reason.
    """
    precision, runtime = workload.precision, workload.runtime
    reason = ""
    if precision is Precision.TF32 and device.type != "cuda":
        reason = "tf32 is a mode of CUDA devices"
    elif precision is Precision.INT8 and device.type == "cuda":
        reason = "torch has no int8 convolutions on CUDA without a compiler of the vendor's"
    elif precision is Precision.INT8 and runtime not in (
        Runtime.EAGER,
        Runtime.DEPLOY,
        Runtime.ONNXRUNTIME,
    ):
        reason = "int8 runs by eager, deploy or onnxruntime"
    elif runtime is Runtime.ONNXRUNTIME and precision not in (Precision.FP32, Precision.INT8):
        reason = "onnxruntime runs fp32 or int8 here"
    if reason:
        raise UsageError(f"{workload} cannot be measured: {reason}")


def autocasting(forward: Forward, device: torch.device, *, cache: bool = True) -> Forward:
    """Return ``forward`` under automatic mixed precision.

    Args:
        forward: takes images.
        device: where it runs; float16 on CUDA, bfloat16 on CPUs.
        cache: keep cast weights within a call; must be off where the call is captured as a CUDA graph.
    """
    dtype = _AMP_DTYPES[device.type]

    def cast(images: Tensor) -> object:
        with torch.autocast(device.type, dtype=dtype, cache_enabled=cache):
            return forward(images)

    return cast


def quantised(model: nn.Module, images: Sequence[Tensor]) -> nn.Module:
    """Return ``model`` with weights and activations in int8, ranges taken from ``images``; CPU only.

    Post-training static quantisation by torch's FX graph mode, with the defaults of this processor's
    quantisation engine. Operators without an int8 kernel stay in float32.

    Raises:
        UsageError: the model cannot be traced or converted.
    """
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # that this module moves to another package one day
        try:
            mapping = get_default_qconfig_mapping(torch.backends.quantized.engine)
            observed = prepare_fx(copy.deepcopy(model).eval(), mapping, (images[0],))
            for one in images:
                observed(one)
            return convert_fx(observed)
        except Exception as error:
            # Tracing runs the model's own code on stand-ins: whatever that raises is the reason.
            raise UsageError(
                f"{type(model).__name__} cannot be quantised by torch: {one_line(error)}; "
                "int8 by onnxruntime may work"
            ) from error


@contextmanager
def measuring(workload: Workload) -> Iterator[None]:
    """Set the process up for ``workload`` inside, and restore it after.

    Inference mode, the device made current, threads (CPU), TF32 on only where asked, and cuDNN's trial
    of algorithms on.

    Raises:
        UsageError: not a device that could be here.
        EnvironmentMissingError: the device is not here.
    """
    device = find_device(workload.device)
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        stack.enter_context(_float32_products("high" if workload.precision is Precision.TF32 else "highest"))
        if device.type == "cuda":
            stack.enter_context(torch.cuda.device(device))
        stack.enter_context(limited_threads(workload.threads))
        benchmark = torch.backends.cudnn.benchmark
        stack.callback(setattr, torch.backends.cudnn, "benchmark", benchmark)
        torch.backends.cudnn.benchmark = True
        yield


@contextmanager
def limited_threads(number: int) -> Iterator[None]:
    """Let one operator use ``number`` threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _float32_products(precision: str) -> Iterator[None]:
    """Set how float32 products are computed: ``highest`` in float32, ``high`` in TF32 where there is such.

    torch has an older and a newer set of switches, and raises where one is read after the other was
    written; its compiler reads both. So the older are written (which sets both), and what was there is
    remembered through both, the older ones where they can be read.
    """
    cudnn = torch.backends.cudnn
    # Any: the modules are replaced by objects whose attributes type checkers cannot see.
    backends: Any = torch.backends
    switches = (backends.cuda.matmul, backends.mkldnn.matmul, backends.cudnn.conv, backends.cudnn.rnn)
    newer = [switch.fp32_precision for switch in switches]
    older_matmul = _readable(torch.get_float32_matmul_precision)
    older_cudnn = _readable(lambda: cudnn.allow_tf32)
    torch.set_float32_matmul_precision(precision)
    cudnn.allow_tf32 = precision != "highest"
    try:
        yield
    finally:
        if older_matmul is not None:
            torch.set_float32_matmul_precision(older_matmul)
        if older_cudnn is not None:
            cudnn.allow_tf32 = older_cudnn
        for switch, value in zip(switches, newer, strict=True):
            switch.fp32_precision = value


def _readable(read: Callable[[], Any]) -> Any | None:
    """Return what an older switch says; None where torch refuses, since a newer one says otherwise."""
    try:
        return read()
    except RuntimeError:
        return None


def one_line(error: BaseException) -> str:
    """Return the first line an error has to say, with the next where it only leads to that.

    >>> one_line(RuntimeError("backend='inductor' raised:\\nno C++ compiler\\nsee ..."))
    "backend='inductor' raised: no C++ compiler"
    >>> one_line(ValueError())
    'ValueError'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith(":"):
        return f"{lines[0]} {lines[1]}"
    return lines[0] if lines else type(error).__name__


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")

"""Trace one forward pass on meta tensors: every ATen operator with its shapes, nothing computed.

The model given is never run. A copy of its structure is (`explorer.measure.meta_copy`), in
evaluation mode without gradients, so counts do not depend on the device, the kernels picked there,
or the weights. Attention is recorded as the one fused operator that devices run, where it is
reached through ``torch.nn.functional.scaled_dot_product_attention``; inside
``nn.MultiheadAttention`` it is seen taken apart: equal multiply-accumulates, more memory.
"""

from contextlib import AbstractContextManager, nullcontext
from textwrap import shorten

import torch
from torch import Tensor, nn

from explorer.accounting import count
from explorer.errors import UsageError
from explorer.measure.meta_copy import meta_copy
from explorer.measure.recorder import FusedAttention, Recorder, modules_followed
from explorer.record import Cost, Trace

_VALUE_DEPENDENT = frozenset(
    ("_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "allclose", "unique_dim")
) | {"_unique", "_unique2", "unique_consecutive", "bincount"}
"""Operators whose result, or its shape, cannot be known without the values."""
_NEEDS_VALUES = ("meta tensor; no data", "meta device type tensor", "torch.nonzero()")
"""What torch says where an empty tensor is read outside of an operator, or inside another one."""


def trace_model(model: nn.Module, input_shape: tuple[int, ...]) -> Trace:
    """Return all operator calls of one forward pass of ``model`` on an input of ``input_shape``.

    Args:
        model: any network that takes one tensor; may have been built on the meta device. Left as it is.
        input_shape: ``[example, channel, height, width]``, or what the model takes, example first.

    Raises:
        UsageError: the shape is impossible, the model does not accept it, or its path depends on
            the values of the input, so that no single count exists.
    """
    if not input_shape or any(not isinstance(n, int) or n < 1 for n in input_shape):
        raise UsageError(f"an input shape is positive integers, example first; got {input_shape!r}")
    model = getattr(model, "_orig_mod", model)  # torch.compile wraps; what it wraps is counted
    # In inference mode torch would hand over composite operators (linear, dropout) whole: the caller's
    # mode must not decide what is recorded.
    with torch.inference_mode(False), torch.no_grad():
        try:
            return _traced(meta_copy(model), input_shape, nullcontext())
        except UsageError as refusal:
            # A forward that makes tensors without naming a device (torch.arange(n)) would mix CPU and meta.
            # With meta as the default they match; not tried first, as some only compute sizes with them.
            try:
                return _traced(meta_copy(model), input_shape, torch.device("meta"))
            except UsageError:
                raise refusal from refusal.__cause__


def _traced(twin: nn.Module, input_shape: tuple[int, ...], factories: AbstractContextManager) -> Trace:
    """Run ``twin``, a meta copy, and return what ran; ``factories`` sets where new tensors are made.

    Raises:
        UsageError: the model raised an error.
    """
    parameters = list(twin.parameters())
    images = torch.empty(input_shape, dtype=_input_dtype(twin), device="meta")
    recorder = Recorder(persistent=[images, *parameters, *twin.buffers()])
    try:
        with factories, modules_followed(twin, recorder), FusedAttention(recorder), recorder:
            result = twin(images)
    except Exception as error:
        # Whatever the model's own code raises is the caller's to know, with the reason in one line.
        raise _refusal(twin, input_shape, recorder, error) from error
    return Trace(
        ops=tuple(recorder.ops),
        input_shape=tuple(input_shape),
        parameters=sum(p.numel() for p in parameters),
        param_bytes=sum(p.numel() * p.element_size() for p in parameters),
        buffer_bytes=sum(b.numel() * b.element_size() for b in twin.buffers()),
        result_storages=recorder.activation_storages(result),
    )


def count_model(model: nn.Module, input_shape: tuple[int, ...], *, strict: bool = False) -> Cost:
    """Return what one forward pass of ``model`` costs; `trace_model` and `explorer.accounting.count`.

    Raises:
        UsageError: the model cannot be traced at this shape.
        UncountedError: ``strict`` and an operator has no formula.
    """
    return count(trace_model(model, input_shape), strict=strict)


def _input_dtype(model: nn.Module) -> torch.dtype:
    """Return the dtype of the model's first floating-point parameter or buffer, else float32."""
    tensors: list[Tensor] = [*model.parameters(), *model.buffers()]
    return next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)


def _refusal(
    model: nn.Module, input_shape: tuple[int, ...], recorder: Recorder, error: Exception
) -> UsageError:
    name, last = type(model).__name__, recorder.entered
    where = f" in module {recorder.failing!r}" if recorder.failing else ""
    reason = shorten(str(error), 200) or type(error).__name__
    named = last in _VALUE_DEPENDENT
    if named or any(sign in reason for sign in _NEEDS_VALUES):
        return UsageError(
            f"{name} cannot be counted: what it does depends on the values of its input "
            f"({last if named else 'values are read'}{where}), so no single count exists: {reason}"
        )
    return UsageError(f"{name} does not run on an input of shape {input_shape}{where}: {reason}")

"""Trace one pass on meta tensors: every ATen operator with its shapes, nothing computed.

The model given is never run. A copy of its structure is (`explorer.measure.meta_copy`), in
evaluation mode without gradients, so counts do not depend on the device, the kernels picked there,
or the weights. Attention and recurrent layers are recorded as the one fused operator that devices run
(`explorer.measure.fused`), where attention is reached through
``torch.nn.functional.scaled_dot_product_attention``; inside ``nn.MultiheadAttention`` it is seen taken
apart: equal multiply-accumulates forward, more memory. With the backward pass recurrent layers are taken
apart too, and the copy is in training mode: batch statistics, dropout.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from textwrap import shorten

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from explorer.accounting import count
from explorer.errors import UsageError
from explorer.measure.autocast import Autocast
from explorer.measure.fused import FusedOperators
from explorer.measure.meta_copy import copy_on_meta, meta_copy
from explorer.measure.meta_speed import KernelsOnce, blank_weights
from explorer.measure.recorder import Recorder, modules_followed
from explorer.record import Cost, Trace

_VALUE_DEPENDENT = frozenset(
    ("_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "allclose", "unique_dim")
) | {"_unique", "_unique2", "unique_consecutive", "bincount"}
"""Operators whose result, or its shape, cannot be known without the values."""
_NEEDS_VALUES = ("meta tensor; no data", "meta device type tensor", "torch.nonzero()")
"""What torch says where an empty tensor is read outside of an operator, or inside another one."""


def trace_model(
    model: nn.Module,
    input_shape: tuple[int, ...],
    *,
    backward: bool = False,
    own: bool = False,
    autocast: bool = False,
) -> Trace:
    """Return all operator calls of one forward pass of ``model`` on an input of ``input_shape``.

    Args:
        model: any network that takes one tensor; may have been built on the meta device. Left as it is.
        input_shape: ``[example, channel, height, width]``, or what the model takes, example first.
        backward: trace a step of training instead: the forward pass in training mode into ``ops``, then the
            backward pass from the gradients of all results into ``backward_ops``. Gradients are made for
            the parameters that ask for them (``requires_grad``), none for the input. Loss and optimiser
            are not part of it.
        own: the model is not needed any more: a forward pass may then use it instead of a copy of it.
        autocast: under automatic mixed precision, as on a CUDA device (`explorer.measure.autocast`).

    Raises:
        UsageError: the shape is impossible, the model does not accept it, its path depends on the values of
            the input, so that no single count exists, or no result depends on a parameter to be trained.
    """
    if not input_shape or any(not isinstance(n, int) or n < 1 for n in input_shape):
        raise UsageError(f"an input shape is positive integers, example first; got {input_shape!r}")
    model = getattr(model, "_orig_mod", model)  # torch.compile wraps; what it wraps is counted
    # In inference mode torch would hand over composite operators (linear, dropout) whole: the caller's
    # mode must not decide what is recorded.
    with (
        torch.inference_mode(False),
        torch.set_grad_enabled(backward),
        torch.random.fork_rng((), enabled=backward),
        _without_collector(),
    ):
        usable = own and not backward and all(tensor.is_meta for tensor in _tensors_of(model))
        try:
            twin = model.eval().requires_grad_(False) if usable else meta_copy(model, training=backward)
            return _traced(twin, input_shape, nullcontext(), autocast)
        except UsageError as refusal:
            # A forward that makes tensors without naming a device (torch.arange(n)) would mix CPU and meta.
            # With meta as the default they match; not tried first, as some only compute sizes with them.
            try:
                twin = meta_copy(model, training=backward)
                return _traced(twin, input_shape, torch.device("meta"), autocast)
            except UsageError:
                raise refusal from refusal.__cause__


def _traced(
    twin: nn.Module, input_shape: tuple[int, ...], factories: AbstractContextManager, autocast: bool
) -> Trace:
    """Run ``twin``, a meta copy, and return what ran; ``factories`` sets where new tensors are made.

    Where gradients are enabled the backward pass follows.

    Raises:
        UsageError: the model raised an error, or has nothing to be trained.
    """
    parameters = list(twin.parameters())
    images = torch.empty(input_shape, dtype=_input_dtype(twin), device="meta")
    recorder = Recorder(persistent=[images, *parameters, *twin.buffers()])
    try:
        # Innermost, under the recorder, which sees every call: only torch's own work is saved.
        kernels = nullcontext() if torch.is_grad_enabled() or KernelsOnce.is_active() else KernelsOnce()
        followed, fused = modules_followed(twin, recorder), FusedOperators(recorder)
        casts = Autocast() if autocast else nullcontext()  # entered after the fused: it sees them first
        with factories, kernels, followed, fused, casts, recorder:
            result = twin(images)
            forward = len(recorder.ops)
            trained = _with_gradient(result)
            with recorder.paused():
                gradients = [torch.empty_like(tensor) for tensor in trained]
            if trained:
                torch.autograd.backward(trained, gradients)
    except Exception as error:
        # Whatever the model's own code raises is the caller's to know, with the reason in one line.
        raise _refusal(twin, input_shape, recorder, error) from error
    if torch.is_grad_enabled() and not trained:
        raise UsageError("nothing to train: no result depends on a parameter with requires_grad")
    return Trace(
        ops=tuple(recorder.ops[:forward]),
        input_shape=tuple(input_shape),
        parameters=sum(p.numel() for p in parameters),
        param_bytes=sum(p.numel() * p.element_size() for p in parameters),
        buffer_bytes=sum(b.numel() * b.element_size() for b in twin.buffers()),
        result_storages=recorder.activation_storages(result),
        input_storage=recorder.storages.number(images),
        freed=dict(recorder.storages.freed),
        backward_ops=tuple(recorder.ops[forward:]),
    )


def _with_gradient(result: object) -> list[Tensor]:
    """Return the tensors in ``result`` that a backward pass can start from."""
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor) and leaf.requires_grad]


def build_on_meta(factory: Callable[[], nn.Module]) -> tuple[nn.Module, str]:
    """Return the model that ``factory`` makes, without its numbers, and a note on how it was made.

    Constructors run with meta as the default device, so no weight takes memory. One that reads numbers
    of its own (``linspace(...).tolist()``) cannot: it runs again on the CPU, where its weights take
    memory until they are dropped, and the note says so. Else the note is empty. What the factory raises
    on the CPU, the caller gets.
    """
    try:
        with blank_weights():
            return factory(), ""
    except Exception as error:
        # Any constructor's failure may be meta's fault; the CPU tells whether it was.
        reason = shorten(str(error), 120) or type(error).__name__
        model = copy_on_meta(factory())
    return model, f"built on the CPU, as its constructor does not run without numbers: {reason}"


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keep Python's garbage collector off inside: a trace makes many objects and no garbage to speak of."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def count_model(
    model: nn.Module, input_shape: tuple[int, ...], *, strict: bool = False, own: bool = False
) -> Cost:
    """Return what one forward pass of ``model`` costs; `trace_model` and `explorer.accounting.count`.

    Raises:
        UsageError: the model cannot be traced at this shape.
        UncountedError: ``strict`` and an operator has no formula.
    """
    return count(trace_model(model, input_shape, own=own), strict=strict)


def _input_dtype(model: nn.Module) -> torch.dtype:
    """Return the dtype of the model's first floating-point parameter or buffer, else float32."""
    return next((t.dtype for t in _tensors_of(model) if t.is_floating_point()), torch.float32)


def _tensors_of(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


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
    if "more than 1 value per channel when training" in reason:
        reason += "; batch statistics need a larger batch"
    return UsageError(f"{name} does not run on an input of shape {input_shape}{where}: {reason}")

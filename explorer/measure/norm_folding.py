"""Fold batch norms into the convolution or linear layer beside them, where a pass proves it harmless.

With running mean m, variance v, weight g and bias b a batch norm in evaluation mode is the affine map
``y = s x + t`` of every channel, ``s = g / sqrt(v + eps)`` and ``t = b - m s``. After a layer ``W x + c`` it
makes ``(s W) x + (s c + t)``; before an unpadded one, ``(W s) x + (W t + c)``.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from explorer.measure.data_flow import DataFlow, observe
from explorer.measure.meta_copy import meta_copy

_CONTRACTIONS = frozenset(("convolution", "addmm", "mm", "linear", "bmm", "baddbmm"))
Modules = dict[str, Any]
"""Modules by path; norms and layers among them are told apart by their class."""
_UNPADDED_KINDS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def fold_norms(model: nn.Module, input_shape: tuple[int, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Fold every batch norm of ``model``, in evaluation mode, that can be; in place.

    Returns:
        Paths of the norms folded, and of those left.

    Raises:
        UsageError: the model does not run on an input of this shape.
    """
    modules: Modules = dict(model.named_modules())
    norms = [path for path, module in modules.items() if isinstance(module, _BatchNorm)]
    folded: list[str] = []
    if norms:
        twin = meta_copy(model)
        flow, ghosts = observe(twin, input_shape), dict(twin.named_modules())
        for path in norms:
            rest = _after_normalising(path, ghosts, flow)
            if rest is None:
                continue
            layer = _layer_before(path, ghosts, flow)
            if layer is not None:
                _scale_output(modules[layer], modules[path])
            else:
                layer = None if rest else _layer_after(path, ghosts, flow)
                if layer is None:
                    continue
                _scale_input(modules[layer], modules[path])
            _replace(model, modules[path], [modules[child] for child in rest])
            folded.append(path)
    return tuple(folded), tuple(path for path in norms if path not in folded)


# ---- what the pass proves -----------------------------------------------------------------------


def _after_normalising(path: str, ghosts: Modules, flow: DataFlow) -> list[str] | None:
    """Return the children that a norm runs on what it normalised (dropout, activation), in order.

    None where the norm cannot be taken out: it runs not once, by batch statistics, with hooks, on
    parameters that others use, or it does anything else itself.
    """
    norm, call = ghosts[path], flow.calls[path]
    if call.times != 1 or call.taken is None or norm.running_mean is None or norm.running_var is None:
        return None
    if _hooked(norm) or len(call.operators) != 1 or not _used_only_by(norm, call.operators, flow):
        return None
    rest = call.children
    if any(flow.calls[child].times != 1 for child in rest):
        return None
    outputs = [flow.calls[child].given for child in rest]
    inputs = [flow.calls[child].taken for child in rest]
    if any(given is not taken for given, taken in zip(outputs, inputs[1:], strict=False)):
        return None
    normalised = inputs[0] if rest else call.given
    if normalised is None or flow.writer_of(normalised) != call.operators[0]:
        return None
    return rest if not rest or outputs[-1] is call.given else None


def _layer_before(path: str, ghosts: Modules, flow: DataFlow) -> str | None:
    """Return the layer whose output, as it is, only the norm at ``path`` reads."""
    call = flow.calls[path]
    if call.taken is None or flow.readers_of(call.taken) != call.operators:
        return None
    for layer, other in flow.calls.items():
        if other.given is not call.taken or not _plain_layer(layer, ghosts, flow):
            continue
        module = ghosts[layer]
        if isinstance(module, _ConvTransposeNd) and module.groups > 1:
            return None
        # A linear layer's outputs are the norm's channels only without axes between.
        channels_second = isinstance(module, _ConvNd) or call.taken.dim() == 2
        own = flow.writer_of(call.taken) == other.operators[-1]
        return layer if channels_second and own else None
    return None


def _layer_after(path: str, ghosts: Modules, flow: DataFlow) -> str | None:
    """Return the layer that alone reads the norm's output; never one that pads it, with other zeros."""
    call = flow.calls[path]
    if call.given is None:
        return None
    readers = flow.readers_of(call.given)
    for layer, other in flow.calls.items():
        module = ghosts[layer]
        if other.taken is not call.given or not _plain_layer(layer, ghosts, flow):
            continue
        linear = type(module) is nn.Linear and call.given.dim() == 2
        unpadded = type(module) in _UNPADDED_KINDS and not _pads(module)
        return layer if (linear or unpadded) and readers == other.operators else None
    return None


def _plain_layer(path: str, ghosts: Modules, flow: DataFlow) -> bool:
    """Whether a convolution or linear layer runs once, on its own weight as it is, that nothing else uses."""
    module, call = ghosts[path], flow.calls[path]
    if not isinstance(module, nn.Linear | _ConvNd) or _hooked(module) or call.children or call.times != 1:
        return False
    weight = module._parameters.get("weight")  # a parametrised weight is none
    if weight is None or not call.operators:
        return False
    last = call.operators[-1]
    return (
        flow.names[last] in _CONTRACTIONS
        and flow.readers_of(weight) == [last]
        and (module.bias is None or flow.readers_of(module.bias) == [last])
    )


def _used_only_by(norm: _BatchNorm, operators: list[int], flow: DataFlow) -> bool:
    own = [norm.running_mean, norm.running_var, norm.weight, norm.bias]
    return all(tensor is None or flow.readers_of(tensor) == operators for tensor in own)


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _pads(conv: _ConvNd) -> bool:
    padding = conv.padding
    return padding != "valid" if isinstance(padding, str) else any(padding)


# ---- the arithmetic -----------------------------------------------------------------------------


def _affine(norm: Any) -> tuple[Tensor, Tensor]:
    """Return scale and shift [channel] of a batch norm, in double precision."""
    scale = torch.rsqrt(norm.running_var.double() + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double() * scale
    return scale, shift if norm.bias is None else shift + norm.bias.double()


def _scale_output(layer: Any, norm: Any) -> None:
    """Make ``layer`` do what ``norm`` did after it."""
    scale, shift = _affine(norm)
    axis = 1 if isinstance(layer, _ConvTransposeNd) else 0
    shape = [1] * layer.weight.dim()
    shape[axis] = -1
    bias = shift if layer.bias is None else layer.bias.double() * scale + shift
    _set(layer, layer.weight.double() * scale.reshape(shape), bias)


def _scale_input(layer: Any, norm: Any) -> None:
    """Make ``layer`` do what ``norm`` did before it."""
    scale, shift = _affine(norm)
    groups = getattr(layer, "groups", 1)
    weight = layer.weight.double()
    # [group, output of the group, input of the group, kernel...]
    grouped = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
    by_input = (groups, 1, weight.shape[1], 1)
    bias = (grouped * shift.reshape(by_input)).sum((2, 3)).flatten()
    if layer.bias is not None:
        bias = bias + layer.bias.double()
    _set(layer, (grouped * scale.reshape(by_input)).reshape(weight.shape), bias)


def _set(layer: Any, weight: Tensor, bias: Tensor) -> None:
    like, learned = layer.weight, layer.weight.requires_grad
    layer.weight = nn.Parameter(weight.to(like.dtype), requires_grad=learned)
    layer.bias = nn.Parameter(bias.to(like.dtype), requires_grad=learned)


def _replace(model: nn.Module, norm: nn.Module, rest: list[nn.Module]) -> None:
    """Put what remains of ``norm`` in its place, under all of its names."""
    rest = [module for module in rest if not isinstance(module, nn.Identity)]
    remains = rest[0] if len(rest) == 1 else nn.Sequential(*rest) if rest else nn.Identity()
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if child is norm:
                parent._modules[name] = remains

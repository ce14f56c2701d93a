"""Make the form of a model that is shipped: branches merged, batch norms folded; a copy, same outputs.

Two steps. First the model's own re-parameterisation, wherever one of its modules offers it (RepVGG,
MobileOne, FastViT, RepViT, GhostNetV3, LeViT, ...). Then every batch norm is folded into the convolution or
linear layer beside it, where a traced pass proves that nothing else sees what lies between them: the
layer runs once, with its own parameters as they are, and the only operator that reads its output is
the norm, on the very tensor. Where that is not so the norm stays.
"""

import copy
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from explorer.errors import UsageError
from explorer.measure.norm_folding import fold_norms

_METHODS = ("fuse", "reparameterize", "switch_to_deploy", "convert_to_deploy")
"""Methods that merge a module's branches: the first that a module has is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """The deploy form of a model, and what became of its parts."""

    model: nn.Module
    reparameterised: int
    """Modules that merged their own branches."""
    folded: tuple[str, ...]
    """Paths of the batch norms that went into a layer beside them."""
    left: tuple[str, ...]
    """Paths of the batch norms that stay: no layer was provably alone beside them."""


def deploy_form(model: nn.Module, input_shape: tuple[int, ...]) -> nn.Module:
    """Return the deploy form of ``model`` as a copy in evaluation mode; see `deploy`."""
    return deploy(model, input_shape).model


def deploy(model: nn.Module, input_shape: tuple[int, ...]) -> Deployed:
    """Return the deploy form of ``model`` and what was merged on the way.

    Args:
        model: with weights, or built on meta: then the form has shapes only. Left as it is.
        input_shape: ``[example, channel, height, width]``: what the pass that proves the order is run on.

    Raises:
        UsageError: the model cannot be copied, its own re-parameterisation fails, or it does not run.
    """
    model = getattr(model, "_orig_mod", model)  # torch.compile wraps; what it wraps is deployed
    # Weights that a hook works out on every pass (weight norm) hang on a graph, which cannot be copied.
    held = [value for module in model.modules() for value in vars(module).values()]
    memo: dict[int, Any] = {
        id(value): value.detach().clone() for value in held if isinstance(value, Tensor) and not value.is_leaf
    }
    try:
        # Inside a holder, so that the model itself may be replaced by what its own method returns.
        holder = nn.ModuleDict({"model": copy.deepcopy(model, memo).eval()})
    except (TypeError, RuntimeError) as error:
        raise UsageError(f"{type(model).__name__} cannot be copied for deployment: {error}") from error
    with torch.no_grad(), _factories_on(holder):
        merged = _reparameterise(holder)
        holder.eval()
        folded, left = fold_norms(holder["model"], input_shape)
    return Deployed(model=holder["model"], reparameterised=merged, folded=folded, left=left)


# ---- the model's own methods ------------------------------------------------------------------


def _factories_on(model: nn.Module) -> AbstractContextManager[Any]:
    """Return what makes new tensors on the model's device: such methods often name none."""
    first = next((t for t in (*model.parameters(), *model.buffers())), None)
    return nullcontext() if first is None else first.device


def _reparameterise(parent: nn.Module) -> int:
    """Merge the branches of all modules below ``parent``, outermost first; return how many did."""
    merged = 0
    for name, child in list(parent.named_children()):
        method = _own_method(child)
        if method is not None:
            try:
                result = method()
            except Exception as error:
                # Code of the model's authors: whatever it raises is the caller's to know.
                raise UsageError(f"{type(child).__name__}.{method.__name__}() failed: {error}") from error
            merged += 1
            if isinstance(result, nn.Module) and result is not child:
                # Not setattr: a container may hold it under a number.
                parent._modules[name] = child = result
        merged += _reparameterise(child)
    return merged


def _own_method(module: nn.Module) -> Callable[[], Any] | None:
    for name in _METHODS:
        method = getattr(type(module), name, None)
        if inspect.isfunction(method) and _callable_alone(method):
            return getattr(module, name)
    return None


def _callable_alone(method: Callable[..., Any]) -> bool:
    parameters = list(inspect.signature(method).parameters.values())[1:]
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return all(p.default is not p.empty or p.kind in optional for p in parameters)

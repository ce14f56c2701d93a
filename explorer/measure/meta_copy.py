"""Copy a model's structure without its numbers, leaving the model as it is."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from explorer.errors import UsageError

_META = torch.device("meta")


def meta_copy(model: nn.Module, *, training: bool = False) -> nn.Module:
    """Return a copy of ``model`` on the meta device, in evaluation mode, without gradients.

    With ``training`` it is in training mode, and its parameters ask for the gradients that the model's do.

    Raises:
        UsageError: as `copy_on_meta`.
    """
    twin = copy_on_meta(model)
    return twin.train() if training else twin.eval().requires_grad_(False)


def copy_on_meta(model: nn.Module) -> nn.Module:
    """Return a copy of ``model`` on the meta device, otherwise as it is.

    Shared parameters stay shared; hooks come along, as some compute weights (weight norm). The
    model's tensors are neither copied nor touched, so a network larger than memory can be copied.

    Raises:
        UsageError: a lazy module has no shapes yet, or a part of the model cannot be copied.
    """
    if isinstance(model, torch.jit.ScriptModule):
        raise UsageError("a TorchScript module cannot be counted; give the nn.Module that it was made from")
    lazy = [name for name, tensor in _named_tensors(model) if is_lazy(tensor)]
    if lazy:
        raise UsageError(
            f"{type(model).__name__} has parameters without a shape yet ({', '.join(lazy[:3])}); "
            "run it once on an example before counting it"
        )
    # deepcopy takes what its memo holds for an object instead of copying the object.
    memo: dict[int, Any] = {id(tensor): _on_meta(tensor) for _, tensor in _named_tensors(model)}
    try:
        with _CopiesOnMeta():
            return copy.deepcopy(model, memo)
    except (TypeError, RuntimeError) as error:
        raise UsageError(f"{type(model).__name__} cannot be copied for counting: {error}") from error


def _named_tensors(model: nn.Module) -> list[tuple[str, Tensor]]:
    return [*model.named_parameters(), *model.named_buffers()]


def _on_meta(tensor: Tensor) -> Tensor:
    """Return an empty meta tensor of the same shape, strides and dtype; a parameter stays one."""
    twin = torch.empty_like(tensor, device=_META, requires_grad=False)
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(twin, requires_grad=tensor.requires_grad)
    return twin


class _CopiesOnMeta(TorchFunctionMode):
    """While active, deep copies of tensors (plain attributes, in any container) land on meta."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is Tensor.__deepcopy__:
            tensor, memo = args
            return memo.setdefault(id(tensor), _on_meta(tensor.detach()))
        return func(*args, **(kwargs or {}))

"""Save what repeats when many models are built and traced on meta; what is recorded stays the same.

Two contexts, each for one half of the time: `blank_weights` builds without running initialisers, whose
results meta tensors throw away; `kernels_once` asks torch for the output shapes of an operator once, as
a network calls the same operator on the same shapes block after block. Both end with their block and
leave nothing behind.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack

_META = torch.device("meta")
_IN_PLACE_FILLS = (
    *("fill_", "zero_", "copy_", "normal_", "uniform_", "exponential_", "bernoulli_", "random_"),
    *("erfinv_", "mul_", "add_", "sub_", "div_", "clamp_", "log_normal_", "trunc_normal_"),
)
"""Tensor methods that initialisers are made of: on a meta tensor they change nothing."""
_INITIALISERS: frozenset[Callable[..., Any]] = frozenset(
    [getattr(Tensor, name) for name in _IN_PLACE_FILLS if hasattr(Tensor, name)]
    + [
        function
        for name, function in vars(nn.init).items()
        if name.endswith("_") and not name.startswith("_") and callable(function)
    ]
)


class _SkipInitialisers(TorchFunctionMode):
    """Return the tensor as it is where an initialiser is called on meta."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _INITIALISERS:
            target = args[0] if args else (kwargs or {}).get("tensor")
            if isinstance(target, Tensor) and target.device == _META:
                return target
        return func(*args, **(kwargs or {}))


class blank_weights:  # noqa: N801  (used as a function: `with blank_weights():`)
    """Build on meta inside, without running initialisers: shapes and dtypes, no numbers.

    Constructors that read values (``linspace(...).tolist()``) fail here as under ``torch.device("meta")``.
    """

    def __enter__(self) -> None:
        """Make meta the default device and skip initialisers."""
        self._device = torch.device("meta")
        self._device.__enter__()
        self._skip = _SkipInitialisers()
        self._skip.__enter__()

    def __exit__(self, *error: Any) -> None:
        """Restore the default device."""
        self._skip.__exit__(*error)
        self._device.__exit__(*error)


class KernelsOnce(TorchDispatchMode):
    """While active, remember the outputs' shapes of operators on meta tensors and make them directly.

    Only operators whose outputs are new, dense-from-offset-0 memory are remembered, and in-place ones
    that leave their tensor's shape alone; views, and whatever raises, always run. One object may be entered
    again and again: what it remembers holds for the process.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[Any, tuple[bool, Any]] = {}

    @staticmethod
    def is_active() -> bool:
        """Tell whether one is active already, so that a second would only ask the first."""
        return any(isinstance(mode, KernelsOnce) for mode in _get_current_dispatch_mode_stack())

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Return remembered outputs, or run the operator and remember them."""
        key = _key(func, args, kwargs)
        found = self._known.get(key) if key is not None else None
        if found is not None:
            in_place, blueprint = found
            return args[0] if in_place else _made(blueprint)
        result = func(*args, **(kwargs or {}))
        if key is not None:
            if args and result is args[0]:
                # The key was taken before the call: an operator that reshapes its tensor is not remembered.
                if _key(func, args, kwargs) == key:
                    self._known[key] = (True, None)
            else:
                blueprint = _blueprint(result, args)
                if blueprint is not None:
                    self._known[key] = (False, blueprint)
        return result


class _UnkeyedError(Exception):
    """An argument that cannot be part of a key."""


def _key(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> Any:
    """Return what decides the outputs' shapes, or None where that is more than shapes and numbers."""
    try:
        named = tuple((name, _part(value)) for name, value in kwargs.items()) if kwargs else ()
        return func, tuple(map(_part, args)), named
    except _UnkeyedError:
        return None


def _part(value: Any) -> Any:
    if isinstance(value, Tensor):
        if value.device != _META or value.requires_grad:
            raise _UnkeyedError
        return Tensor, value.shape, value.stride(), value.dtype
    if isinstance(value, list | tuple):
        return tuple(map(_part, value))
    if value is None or isinstance(value, bool | int | float | str):
        return type(value), value  # 1, 1.0 and True are equal but promote differently
    if isinstance(value, torch.dtype | torch.layout | torch.device | torch.memory_format):
        return value
    raise _UnkeyedError


def _blueprint(result: Any, args: Sequence[Any]) -> Any:
    """Return shapes, strides and dtypes of ``result``; None where it is not new memory throughout."""
    tensors = [result] if isinstance(result, Tensor) else result
    if not isinstance(tensors, list | tuple) or not all(isinstance(t, Tensor) for t in tensors):
        return None
    taken = {leaf.untyped_storage()._cdata for leaf in _leaves(args)}
    for tensor in tensors:
        storage = tensor.untyped_storage()
        if storage._cdata in taken or tensor.device != _META or tensor.storage_offset():
            return None
        if (
            storage.nbytes()
            != torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=_META)
            .untyped_storage()
            .nbytes()
        ):
            return None
        taken.add(storage._cdata)
    plans = tuple((t.shape, t.stride(), t.dtype) for t in tensors)
    return type(result) if not isinstance(result, Tensor) else None, plans


def _leaves(values: Any) -> list[Tensor]:
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, list | tuple):
        return [leaf for value in values for leaf in _leaves(value)]
    return []


def _made(blueprint: Any) -> Any:
    container, plans = blueprint
    made = [torch.empty_strided(shape, stride, dtype=dtype, device=_META) for shape, stride, dtype in plans]
    return made[0] if container is None else container(made)

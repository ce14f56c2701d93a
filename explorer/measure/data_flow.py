"""Observe which module hands what to which: one pass on meta, every operator's reads and writes."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from explorer.errors import UsageError
from explorer.measure.recorder import operator_name

RESULT = -1
"""Stands for the caller among the readers of what the model returns."""


@dataclass(slots=True)
class ModuleCall:
    """What one module did in the pass."""

    times: int = 0
    taken: Tensor | None = None
    """Its input, where it is a single tensor."""
    given: Tensor | None = None
    """Its output, where it is a single tensor."""
    children: list[str] = field(default_factory=list)
    """Paths of the modules it called itself, in order."""
    operators: list[int] = field(default_factory=list)
    """Operators that it ran itself and that read something; views left out."""


@dataclass(slots=True)
class DataFlow:
    """One pass: modules by path, and operators by number, with what they read and write."""

    calls: dict[str, ModuleCall]
    names: list[str] = field(default_factory=list)
    readers: dict[int, list[int]] = field(default_factory=dict)
    """Storage -> operators that read it, views left out: they only pass it on."""
    writer: dict[int, int] = field(default_factory=dict)
    """Storage -> the operator that wrote it first."""

    def readers_of(self, tensor: Tensor) -> list[int]:
        """Return the operators that read the memory of ``tensor``, through any view."""
        return self.readers.get(storage_of(tensor), [])

    def writer_of(self, tensor: Tensor) -> int | None:
        """Return the operator that made the memory of ``tensor``; None for what was there before."""
        return self.writer.get(storage_of(tensor))


def storage_of(tensor: Tensor) -> int:
    """Return the address of the memory ``tensor`` lives in."""
    return tensor.untyped_storage()._cdata


def observe(twin: nn.Module, input_shape: tuple[int, ...]) -> DataFlow:
    """Run ``twin``, a meta copy, once and return how data flowed.

    Raises:
        UsageError: it does not run on an input of this shape.
    """
    flow = DataFlow(calls={path: ModuleCall() for path, _ in twin.named_modules()})
    watcher = _Watcher(flow)
    first = next((p.dtype for p in twin.parameters() if p.is_floating_point()), torch.float32)
    images = torch.empty(input_shape, dtype=first, device="meta")
    with ExitStack() as hooks:
        for path, module in twin.named_modules():
            hooks.callback(module.register_forward_pre_hook(watcher.entering(path), prepend=True).remove)
            hooks.callback(module.register_forward_hook(watcher.leaving).remove)
        try:
            with torch.inference_mode(False), torch.no_grad(), watcher:
                result = twin(images)
        except Exception as error:
            # Whatever the model's own code raises is the caller's to know.
            raise UsageError(
                f"{type(twin).__name__} does not run on an input of shape {input_shape}: {error}"
            ) from error
    for tensor in _tensors(result):
        flow.readers.setdefault(storage_of(tensor), []).append(RESULT)
    return flow


class _Watcher(TorchDispatchMode):
    """Fill in a `DataFlow` while active."""

    def __init__(self, flow: DataFlow) -> None:
        super().__init__()
        self._flow = flow
        self._running: list[str] = []
        self._kept: list[Any] = []

    def entering(self, path: str) -> Callable[..., None]:
        """Return the hook that notes a call of the module at ``path``."""

        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            if self._running:
                self._flow.calls[self._running[-1]].children.append(path)
            self._running.append(path)
            call = self._flow.calls[path]
            call.times += 1
            single = len(inputs) == 1 and isinstance(inputs[0], Tensor)
            call.taken = inputs[0] if single else None

        return hook

    def leaving(self, module: nn.Module, inputs: object, output: object) -> None:
        """Note what a module returns: a forward hook."""
        self._flow.calls[self._running.pop()].given = output if isinstance(output, Tensor) else None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        taken, made = _tensors((args, kwargs)), _tensors(result)
        self._kept += (taken, made)  # so that no address is used twice within the pass
        read = frozenset(map(storage_of, taken))
        written = set(map(storage_of, made))
        if not read or (made and written <= read and not func._schema.is_mutable):
            # It makes something from nothing; or a view, whose readers read the same memory.
            return result
        flow, number = self._flow, len(self._flow.names)
        flow.names.append(operator_name(func))
        for storage in read:
            flow.readers.setdefault(storage, []).append(number)
        for storage in written - read:
            flow.writer.setdefault(storage, number)
        if self._running:
            flow.calls[self._running[-1]].operators.append(number)
        return result


def _tensors(value: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]

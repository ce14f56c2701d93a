"""Record operator calls as values: which operator, in which module, on which memory."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from explorer.measure.lifetimes import Storages, layout
from explorer.record import OpRecord, TensorRecord


class Recorder(TorchDispatchMode):
    """While active, append an `OpRecord` for every ATen operator that runs.

    Args:
        persistent: tensors that exist before the pass: parameters, buffers, the input.
    """

    def __init__(self, persistent: Iterable[Tensor]) -> None:
        super().__init__()
        self.ops: list[OpRecord] = []
        self.module = ""
        """Dotted path of the module that runs now; `modules_followed` keeps it."""
        self.entered = ""
        """The operator entered last: the one to blame when the pass fails."""
        self.failing = ""
        """The module to blame when the pass fails; as ``module``, but kept while an error passes up."""
        self._paused = False
        # Paths of the modules whose operators made the autograd nodes, from number `_first_node` on.
        self._makers: list[str] = []
        self._first_node = torch.autograd._get_sequence_nr()
        self.storages = Storages(clock=lambda: len(self.ops))
        self._persistent = {self.storages.number(tensor) for tensor in persistent}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operator and record it."""
        kwargs = kwargs or {}
        if self._paused:
            return func(*args, **kwargs)
        self.entered, self.failing = operator_name(func), self.module
        result = func(*args, **kwargs)
        attributes, tensors = _bound(func, args, kwargs)
        outputs = [result] if isinstance(result, Tensor) else _tensors(result)
        self.append(self.entered, tensors, outputs, attributes)
        return result

    def append(
        self, op: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], attributes: Mapping[str, object]
    ) -> None:
        """Append one operator call in the module that runs now; backward, in that of the forward call."""
        module = self._module_now()
        # What is read before any operator wrote it was there before the pass: a constant that the model
        # holds as a plain attribute.
        for tensor in inputs:
            if tensor not in self.storages:
                self._persistent.add(self.storages.number(tensor))
        self.ops.append(
            OpRecord(
                op=op,
                module=module,
                inputs=tuple([self._record(tensor) for tensor in inputs]),
                outputs=tuple([self._record(tensor) for tensor in outputs]),
                attributes=attributes,
            )
        )

    def activation_storages(self, result: object) -> tuple[int, ...]:
        """Return the storages of the tensors in ``result`` that the pass allocated, each once."""
        numbers = dict.fromkeys(map(self.storages.number, _tensors(result)))
        return tuple(number for number in numbers if number not in self._persistent)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Record nothing inside."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    def _module_now(self) -> str:
        """Return the path of the module that runs, or whose forward call the running node belongs to."""
        node = torch._C._current_autograd_node()
        if node is not None and not self.module:  # a module may be run once more inside the backward pass
            number = node._sequence_nr() - self._first_node
            return self._makers[number] if 0 <= number < len(self._makers) else ""
        # Torch numbers a node just before it runs the operator of that node; numbers without operator
        # (a view's history rewritten) were given since the one before.
        made = torch.autograd._get_sequence_nr() - self._first_node
        if len(self._makers) < made:
            before = self._makers[-1] if self._makers else self.module
            self._makers += [before] * (made - 1 - len(self._makers))
            self._makers.append(self.module)
        return self.module

    def _record(self, tensor: Tensor) -> TensorRecord:
        number = self.storages.number(tensor)
        return TensorRecord(
            storage=number,
            shape=tuple(tensor.shape),
            dtype=str(tensor.dtype).removeprefix("torch."),
            itemsize=tensor.element_size(),
            storage_bytes=tensor.untyped_storage().nbytes(),
            persistent=number in self._persistent,
            layout=layout(tensor),
        )


@contextmanager
def modules_followed(model: nn.Module, recorder: Recorder) -> Iterator[None]:
    """Keep ``recorder.module`` at the path of the module that runs, by hooks that leave with the context.

    A module that occurs under two names is known by the first.
    """
    running: list[str] = []

    def enter(path: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            running.append(path)
            recorder.module = recorder.failing = path

        return hook

    def leave(module: nn.Module, inputs: object, output: object) -> None:
        running.pop()
        recorder.module = running[-1] if running else ""
        if output is not None:  # torch passes None for a module that raised an error
            recorder.failing = recorder.module

    with ExitStack() as hooks:
        for path, module in model.named_modules():
            # First in and last out, so that what the model's own hooks compute belongs to their module.
            entering = module.register_forward_pre_hook(enter(path), prepend=True)
            hooks.callback(entering.remove)
            hooks.callback(module.register_forward_hook(leave, always_call=True).remove)
        yield


@cache
def operator_name(func: Any) -> str:
    """Return the operator's name without overload; outside ATen with its namespace, ``mylib::scan``.

    >>> operator_name(torch.ops.aten.add.Tensor)
    'add'
    """
    namespace, _, name = func._schema.name.partition("::")
    return name if namespace == "aten" else f"{namespace}::{name}"


@cache
def _parameters(func: Any) -> tuple[tuple[str, Any], ...]:
    """Return the names and defaults of the operator's schema."""
    return tuple(
        (argument.name, argument.default_value if argument.has_default_value() else None)
        for argument in func._schema.arguments
    )


def _bound(
    func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[dict[str, object], list[Tensor]]:
    """Split the call into attributes by schema name, defaults included, and tensors in schema order."""
    attributes: dict[str, object] = {}
    tensors: list[Tensor] = []
    for position, (name, default) in enumerate(_parameters(func)):
        value = args[position] if position < len(args) else kwargs.get(name, default)
        if isinstance(value, Tensor):
            tensors.append(value)
        elif value is None or type(value) in _PLAIN:
            attributes[name] = value
        else:
            found = _tensors(value)
            tensors += found
            if not found:
                attributes[name] = _plain(value)
    return attributes, tensors


_PLAIN = frozenset((bool, int, float, str))


def _tensors(value: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _plain(value: object) -> object:
    """Return ``value`` as something that outlives torch: numbers, texts, tuples of them."""
    if isinstance(value, list | tuple):
        return tuple([_plain(item) for item in value])
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value).removeprefix("torch.")

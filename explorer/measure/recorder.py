"""Record operator calls as values: which operator, in which module, on which memory."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from explorer.record import OpRecord, TensorRecord

ATTENTION = "scaled_dot_product_attention"


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
        # Address of a storage -> its number. The storages themselves are kept, so that no address is
        # used twice within the trace; on meta they hold no memory.
        self._numbers: dict[int, int] = {}
        self._kept: list[torch.UntypedStorage] = []
        self._persistent = {self._number(tensor) for tensor in persistent}

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
        self.append(self.entered, tensors, _tensors(result), attributes)
        return result

    def append(
        self, op: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], attributes: Mapping[str, object]
    ) -> None:
        """Append one operator call in the module that runs now."""
        # What is read before any operator wrote it was there before the pass: a constant that the model
        # holds as a plain attribute.
        for tensor in inputs:
            if tensor.untyped_storage()._cdata not in self._numbers:
                self._persistent.add(self._number(tensor))
        self.ops.append(
            OpRecord(
                op=op,
                module=self.module,
                inputs=tuple(map(self._record, inputs)),
                outputs=tuple(map(self._record, outputs)),
                attributes=attributes,
            )
        )

    def activation_storages(self, result: object) -> tuple[int, ...]:
        """Return the storages of the tensors in ``result`` that the pass allocated, each once."""
        numbers = dict.fromkeys(map(self._number, _tensors(result)))
        return tuple(number for number in numbers if number not in self._persistent)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Record nothing inside."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    def _number(self, tensor: Tensor) -> int:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._numbers:
            self._numbers[storage._cdata] = len(self._kept)
            self._kept.append(storage)
        return self._numbers[storage._cdata]

    def _record(self, tensor: Tensor) -> TensorRecord:
        number = self._number(tensor)
        return TensorRecord(
            storage=number,
            shape=tuple(tensor.shape),
            dtype=str(tensor.dtype).removeprefix("torch."),
            itemsize=tensor.element_size(),
            storage_bytes=tensor.untyped_storage().nbytes(),
            persistent=number in self._persistent,
        )


class FusedAttention(TorchFunctionMode):
    """While active, record fused attention as one operator instead of the parts meta takes it into.

    What a device picks for it (one kernel, or several) then changes neither count nor trace.
    """

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the function; append one record for attention."""
        kwargs = kwargs or {}
        if func is not F.scaled_dot_product_attention:
            return func(*args, **kwargs)
        self._recorder.entered, self._recorder.failing = ATTENTION, self._recorder.module
        with self._recorder.paused():
            result = func(*args, **kwargs)
        names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        attributes = {name: value for name, value in given.items() if not isinstance(value, Tensor)}
        inputs = [given[name] for name in names[:4] if isinstance(given.get(name), Tensor)]
        self._recorder.append(ATTENTION, inputs, [result], attributes)
        return result


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


def operator_name(func: Any) -> str:
    """Return the operator's name without overload; outside ATen with its namespace, ``mylib::scan``.

    >>> operator_name(torch.ops.aten.add.Tensor)
    'add'
    """
    namespace, _, name = func._schema.name.partition("::")
    return name if namespace == "aten" else f"{namespace}::{name}"


def _bound(
    func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[dict[str, object], list[Tensor]]:
    """Split the call into attributes by schema name, defaults included, and tensors in schema order."""
    attributes: dict[str, object] = {}
    tensors: list[Tensor] = []
    for position, argument in enumerate(func._schema.arguments):
        if position < len(args):
            value = args[position]
        elif argument.name in kwargs:
            value = kwargs[argument.name]
        else:
            value = argument.default_value if argument.has_default_value() else None
        found = _tensors(value)
        tensors += found
        if not found:
            attributes[argument.name] = _plain(value)
    return attributes, tensors


def _tensors(value: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _plain(value: object) -> object:
    """Return ``value`` as something that outlives torch: numbers, texts, tuples of them."""
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value).removeprefix("torch.")

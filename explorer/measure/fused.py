"""Record as one operator what devices run as one: attention, and recurrent layers.

On meta tensors torch takes both apart, an LSTM into thousands of steps. Recorded whole, what a device
picks for them (one kernel, or several) changes neither count nor trace.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from explorer.measure.recorder import Recorder

ATTENTION = "scaled_dot_product_attention"
ATTENTION_BACKWARD = f"{ATTENTION}_backward"

_ATTENTION_ARGUMENTS = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
_ATTENTION_DEFAULTS = {"attn_mask": None, "dropout_p": 0.0, "is_causal": False}
_RECURRENT = {torch.lstm: "lstm", torch.gru: "gru", torch.rnn_tanh: "rnn_tanh", torch.rnn_relu: "rnn_relu"}
_RECURRENT_ARGUMENTS = (
    *("input", "hx", "params", "has_biases", "num_layers", "dropout", "train"),
    *("bidirectional", "batch_first"),
)


class FusedOperators(TorchFunctionMode):
    """While active, append one record for attention and, without gradients, for a recurrent layer."""

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
        """Run the function, or record it whole."""
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            positional = dict(zip(_ATTENTION_ARGUMENTS, args, strict=False))
            return self._attention({**_ATTENTION_DEFAULTS, **positional, **kwargs})
        if func in _RECURRENT and not torch.is_grad_enabled():
            given = {**dict(zip(_RECURRENT_ARGUMENTS, args, strict=False)), **kwargs}
            if _fits(_RECURRENT[func], given):
                return self._recurrent(_RECURRENT[func], given)
        return func(*args, **kwargs)

    def _attention(self, given: Mapping[str, Any]) -> Any:
        self._recorder.entered, self._recorder.failing = ATTENTION, self._recorder.module
        tensors = [given.get(name) for name in _ATTENTION_ARGUMENTS[:4]]
        attributes = {name: value for name, value in given.items() if not isinstance(value, Tensor)}
        if torch.is_grad_enabled():
            return _Attention.apply(self._recorder, attributes, *tensors)
        return _attend(self._recorder, attributes, *tensors)

    def _recurrent(self, name: str, given: Mapping[str, Any]) -> tuple[Tensor, ...]:
        sequence, weights = given["input"], list(given["params"])
        states = list(given["hx"]) if name == "lstm" else [given["hx"]]
        self._recorder.entered, self._recorder.failing = name, self._recorder.module
        with self._recorder.paused():
            # Every step puts out the state of the last layer, both directions side by side.
            width = states[0].shape[-1] * (2 if given["bidirectional"] else 1)
            output = sequence.new_empty((*sequence.shape[:-1], width))
            after = [torch.empty_like(state, memory_format=torch.contiguous_format) for state in states]
        attributes = {key: given[key] for key in _RECURRENT_ARGUMENTS[3:]}
        self._recorder.append(name, [sequence, *states, *weights], [output, *after], attributes)
        return output, *after


def _fits(name: str, given: Mapping[str, Any]) -> bool:
    """Tell whether a recurrent call is of a plain sequence whose sizes fit; torch takes the others.

    A packed sequence has its lengths where a plain one has the state, and its weights later. Sizes that
    do not fit are for torch to refuse, in its own words.
    """
    states, weights = given.get("hx"), given.get("params")
    if not isinstance(weights, list | tuple) or isinstance(states, Tensor) == (name == "lstm"):
        return False
    sequence, first = given["input"], given["hx"][0] if name == "lstm" else given["hx"]
    return (
        sequence.dim() == 3
        and weights[0].shape[-1] == sequence.shape[-1]
        and first.shape[1] == sequence.shape[0 if given["batch_first"] else 1]
    )


class _Attention(torch.autograd.Function):
    """Attention whose backward pass is one operator as well, as in the kernels that keep no scores."""

    @staticmethod
    def forward(
        ctx: Any,
        recorder: Recorder,
        attributes: Mapping[str, Any],
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        """Run it and keep what the backward pass reads."""
        result = _attend(recorder, attributes, query, key, value, mask)
        ctx.save_for_backward(query, key, value, mask, result)
        ctx.recorder, ctx.attributes = recorder, attributes
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        """Append one record and return the gradients asked for."""
        query, key, value, mask, result = ctx.saved_tensors
        masked = mask is not None and ctx.needs_input_grad[5]
        with ctx.recorder.paused():
            made = [torch.empty_like(tensor) for tensor in (query, key, value)]
            for_mask = torch.empty_like(mask) if masked else None
        inputs = [*gradients, query, key, value, result, *([] if mask is None else [mask])]
        outputs = made if for_mask is None else [*made, for_mask]
        ctx.recorder.append(ATTENTION_BACKWARD, inputs, outputs, ctx.attributes)
        return None, None, *made, for_mask


def _attend(recorder: Recorder, attributes: Mapping[str, Any], *tensors: Tensor | None) -> Tensor:
    """Run attention on ``query, key, value, mask`` unrecorded, and append one record."""
    options = {name: value for name, value in attributes.items() if name != "attn_mask"}
    with recorder.paused():
        # Only the mask, the fourth, may be None; the types cannot say so.
        result = F.scaled_dot_product_attention(*tensors, **options)  # type: ignore[arg-type]
    recorder.append(ATTENTION, [tensor for tensor in tensors if tensor is not None], [result], attributes)
    return result

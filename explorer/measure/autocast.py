"""Follow automatic mixed precision on meta tensors: which operator runs in which precision.

``torch.autocast`` looks at the device of its operands and leaves meta tensors alone. This mode casts what
it would cast on a CUDA device, by the operator lists of PyTorch's automatic mixed precision package
(docs.pytorch.org, "CUDA Op-Specific Behavior"; ``ATen/autocast_mode.cpp``): products and convolutions in
half precision; norms, powers and resizing in float32; softmax and sums from half to float32 in one
kernel; everything else in the widest type among its operands, which is torch's own promotion. Casts are
traced like any operator, those of weights too: autocast makes them anew on every pass.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

_HALF = frozenset(
    (
        *("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
        *("_conv_forward", "linear", "matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "mv"),
        *("addmm", "addmv", "addr", "addbmm", "baddbmm", "chain_matmul", "einsum"),
        *("linalg_multi_dot", "linalg_vecdot", "conv_tbc"),
        *("scaled_dot_product_attention", "multi_head_attention_forward", "prelu"),
        *("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"),
    )
)
_FLOAT = frozenset(
    (
        *("__pow__", "__rpow__", "__rdiv__", "__rtruediv__", "pow", "reciprocal", "rsqrt"),
        *("acos", "asin", "cosh", "sinh", "tan", "erfinv", "exp", "expm1", "log", "log10", "log1p", "log2"),
        *("renorm", "dist", "cdist", "pdist", "cosine_similarity", "logsumexp"),
        *("layer_norm", "group_norm", "rms_norm", "norm", "normalize"),
        *("softmax", "log_softmax", "softmin", "softplus", "interpolate", "upsample"),
    )
)
_FLOAT_RESULT = frozenset(("cumprod", "cumsum", "prod", "sum", "linalg_vector_norm", "linalg_matrix_norm"))
"""Read in half, where no type is asked for, and put out in float32."""
_SOFTMAX = {"softmax": torch._softmax, "log_softmax": torch._log_softmax}
"""The same; CUDA's kernels do it for float16 alone."""
_PROMOTED = frozenset(
    (
        *("addcdiv", "addcmul", "atan2", "bilinear", "cross", "dot", "vdot", "grid_sample", "grid_sampler"),
        *("index_put", "tensordot", "scatter_add"),
    )
)


class Autocast(TorchFunctionMode):
    """While active, cast operands as ``torch.autocast("cuda")`` does."""

    def __init__(self, half: torch.dtype = torch.float16) -> None:
        super().__init__()
        self._half = half

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the function on operands of the type that autocast would choose."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in _HALF:
            return func(*_cast(args, self._half), **_cast(kwargs, self._half))
        in_half = bool(args) and isinstance(args[0], Tensor) and args[0].dtype is self._half
        if in_half and kwargs.get("dtype") is None:
            if name in _FLOAT_RESULT:
                return func(*args, **{**kwargs, "dtype": torch.float32})
            axis = args[1] if len(args) == 2 else kwargs.get("dim")
            if name in _SOFTMAX and len(args) <= 2 and self._half is torch.float16 and isinstance(axis, int):
                return _SOFTMAX[name](args[0], axis, True)
        promoted = name in _PROMOTED and _has_float32((args, kwargs))
        if promoted or name in _FLOAT:
            return func(*_cast(args, torch.float32), **_cast(kwargs, torch.float32))
        return func(*args, **kwargs)


def _has_float32(values: Any) -> bool:
    return any(isinstance(leaf, Tensor) and leaf.dtype is torch.float32 for leaf in tree_leaves(values))


def _cast(values: Any, dtype: torch.dtype) -> Any:
    def cast(value: Any) -> Any:
        if isinstance(value, Tensor) and value.is_floating_point() and value.dtype is not torch.float64:
            return value.to(dtype)
        return value

    return tree_map(cast, values)

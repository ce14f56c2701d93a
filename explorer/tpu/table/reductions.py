"""Operators that bring an axis down, norms and softmax among them: summed in float32 whatever comes in."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from explorer.errors import UsageError
from explorer.tpu.table.registry import operator

Array = Any
Axes = Sequence[int] | int | None


def _axes(dim: Axes) -> tuple[int, ...] | int | None:
    """Return torch's axes as JAX has them: no axes named means all."""
    if dim is None or isinstance(dim, int):
        return dim
    return tuple(dim) or None


@operator("mean")
def mean(*, self: Array, dim: Axes = None, keepdim: bool = False, dtype: Any = None) -> Array:
    """Average over axes."""
    return jnp.mean(self.astype(jnp.float32), axis=_axes(dim), keepdims=keepdim).astype(dtype or self.dtype)


@operator("sum")
def total(*, self: Array, dim: Axes = None, keepdim: bool = False, dtype: Any = None) -> Array:
    """Sum over axes."""
    return jnp.sum(self, axis=_axes(dim), keepdims=keepdim, dtype=dtype)


@operator("amax")
def amax(*, self: Array, dim: Axes = None, keepdim: bool = False) -> Array:
    """Largest over axes."""
    return jnp.max(self, axis=_axes(dim), keepdims=keepdim)


@operator("amin")
def amin(*, self: Array, dim: Axes = None, keepdim: bool = False) -> Array:
    """Smallest over axes."""
    return jnp.min(self, axis=_axes(dim), keepdims=keepdim)


@operator("argmax")
def argmax(*, self: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    """Where the largest is."""
    return jnp.argmax(self, axis=dim, keepdims=keepdim)


@operator("max")
def largest(*, self: Array, dim: int | None = None, keepdim: bool = False) -> Any:
    """Largest of all, or along one axis with where it is."""
    if dim is None:
        return jnp.max(self)
    return jnp.max(self, axis=dim, keepdims=keepdim), jnp.argmax(self, axis=dim, keepdims=keepdim)


@operator("var")
def variance(
    *, self: Array, dim: Axes = None, correction: float | None = None, keepdim: bool = False
) -> Array:
    """Variance over axes; torch's correction is 1 unless said otherwise."""
    ddof = 1 if correction is None else correction
    return jnp.var(self.astype(jnp.float32), axis=_axes(dim), ddof=ddof, keepdims=keepdim).astype(self.dtype)


@operator("var_mean")
def variance_and_mean(
    *, self: Array, dim: Axes = None, correction: float | None = None, keepdim: bool = False
) -> tuple[Array, Array]:
    """Variance and average over axes."""
    spread = variance(self=self, dim=dim, correction=correction, keepdim=keepdim)
    return spread, mean(self=self, dim=dim, keepdim=keepdim)


@operator("linalg_vector_norm")
def vector_norm(
    *, self: Array, ord: float = 2, dim: Axes = None, keepdim: bool = False, dtype: Any = None
) -> Array:
    """Length by powers of ``ord``, any but 0 and infinity."""
    raised = jnp.sum(jnp.abs(self.astype(jnp.float32)) ** ord, axis=_axes(dim), keepdims=keepdim)
    return (raised ** (1 / ord)).astype(dtype or self.dtype)


@operator("cumsum")
def cumsum(*, self: Array, dim: int, dtype: Any = None) -> Array:
    """Running sum along an axis."""
    return jnp.cumsum(self, axis=dim, dtype=dtype)


@operator("_softmax")
def softmax(*, self: Array, dim: int, **_: object) -> Array:
    """Softmax along an axis."""
    return jax.nn.softmax(self.astype(jnp.float32), axis=dim).astype(self.dtype)


@operator("_log_softmax")
def log_softmax(*, self: Array, dim: int, **_: object) -> Array:
    """Logarithm of softmax along an axis."""
    return jax.nn.log_softmax(self.astype(jnp.float32), axis=dim).astype(self.dtype)


# ---- norms --------------------------------------------------------------------------------------


def _standardised(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Array, Array]:
    """Return x in float32 with average 0 and variance 1 over ``axes``, that average, 1 / deviation."""
    x = x.astype(jnp.float32)
    average = x.mean(axes, keepdims=True)
    inverse = jax.lax.rsqrt(((x - average) ** 2).mean(axes, keepdims=True) + eps)
    return (x - average) * inverse, average, inverse


@operator("layer_norm")
def layer_norm(
    *,
    input: Array,
    normalized_shape: Sequence[int],
    weight: Array | None,
    bias: Array | None,
    eps: float,
    **_: object,
) -> Array:
    """Standardise the last axes, then scale and shift."""
    y, _average, _inverse = _standardised(input, tuple(range(-len(normalized_shape), 0)), eps)
    y = y if weight is None else y * weight
    return (y if bias is None else y + bias).astype(input.dtype)


@operator("native_layer_norm")
def native_layer_norm(
    *, input: Array, normalized_shape: Sequence[int], weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """Layer norm with the average and the inverse deviation that it used."""
    _y, average, inverse = _standardised(input, tuple(range(-len(normalized_shape), 0)), eps)
    y = layer_norm(input=input, normalized_shape=normalized_shape, weight=weight, bias=bias, eps=eps)
    return y, average, inverse


@operator("group_norm")
def group_norm(
    *, input: Array, num_groups: int, weight: Array | None, bias: Array | None, eps: float, **_: object
) -> Array:
    """Standardise groups of channels, then scale and shift each channel."""
    grouped = input.reshape(input.shape[0], num_groups, -1)
    y = _standardised(grouped, (2,), eps)[0].reshape(input.shape)
    shape = (1, -1, *[1] * (input.ndim - 2))
    y = y if weight is None else y * weight.reshape(shape)
    return (y if bias is None else y + bias.reshape(shape)).astype(input.dtype)


@operator("native_group_norm")
def native_group_norm(
    *, input: Array, weight: Array | None, bias: Array | None, group: int, eps: float, **_: object
) -> tuple[Array, Array, Array]:
    """Group norm with the average and the inverse deviation that it used, ``[example, group]``."""
    y = group_norm(input=input, num_groups=group, weight=weight, bias=bias, eps=eps)
    _y, average, inverse = _standardised(input.reshape(input.shape[0], group, -1), (2,), eps)
    return y, average[..., 0], inverse[..., 0]


@operator("_native_batch_norm_legit_no_training")
def batch_norm(
    *,
    input: Array,
    weight: Array | None,
    bias: Array | None,
    running_mean: Array,
    running_var: Array,
    eps: float,
    **_: object,
) -> tuple[Array, Array, Array]:
    """Scale and shift every channel by running statistics; nothing to save, as torch has it."""
    shape = (1, -1, *[1] * (input.ndim - 2))
    scale = jax.lax.rsqrt(running_var.astype(jnp.float32) + eps)
    scale = scale if weight is None else scale * weight
    shift = -running_mean.astype(jnp.float32) * scale
    shift = shift if bias is None else shift + bias
    y = input.astype(jnp.float32) * scale.reshape(shape) + shift.reshape(shape)
    nothing = jnp.zeros((0,), input.dtype)
    return y.astype(input.dtype), nothing, nothing


@operator("_native_batch_norm_legit")
def batch_norm_of_batch(
    *,
    input: Array,
    weight: Array | None,
    bias: Array | None,
    training: bool,
    eps: float,
    running_mean: Array | None = None,
    **_: object,
) -> tuple[Array]:
    """Standardise every channel by the batch's own statistics; instance norm comes as this.

    Raises:
        UsageError: it also updates running statistics.
    """
    if running_mean is not None or not training:
        raise UsageError("a batch norm that updates running statistics is not a pure function")
    y = _standardised(input, (0, *range(2, input.ndim)), eps)[0]
    shape = (1, -1, *[1] * (input.ndim - 2))
    y = y if weight is None else y * weight.reshape(shape)
    return ((y if bias is None else y + bias.reshape(shape)).astype(input.dtype),)

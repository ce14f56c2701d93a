"""Matrix products, convolutions and attention."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from explorer.tpu.table.registry import operator

Array = Any
_SPATIAL = "DHW"


@operator("mm", "bmm", "matmul")
def matmul(*, self: Array, mat2: Array | None = None, other: Array | None = None) -> Array:
    """Matrix product."""
    return jnp.matmul(self, mat2 if mat2 is not None else other)


@operator("addmm")
def addmm(*, self: Array, mat1: Array, mat2: Array, beta: float = 1, alpha: float = 1) -> Array:
    """Beta self + alpha mat1 mat2."""
    product = jnp.matmul(mat1, mat2)
    return (self if beta == 1 else beta * self) + (product if alpha == 1 else alpha * product)


@operator("baddbmm")
def baddbmm(*, self: Array, batch1: Array, batch2: Array, beta: float = 1, alpha: float = 1) -> Array:
    """Beta self + alpha batch1 batch2, batch by batch."""
    return addmm(self=self, mat1=batch1, mat2=batch2, beta=beta, alpha=alpha)


@operator("linear")
def linear(*, input: Array, weight: Array, bias: Array | None = None) -> Array:
    """Input times the weight's transpose, plus bias."""
    product = jax.lax.dot_general(input, weight, (((input.ndim - 1,), (1,)), ((), ())))
    return product if bias is None else product + bias


@operator("scaled_dot_product_attention")
def attention(
    *,
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    **_: object,
) -> Array:
    """softmax(query key^T scale + mask) value, ``[..., head, place, channel]``."""
    if enable_gqa:
        repeats = query.shape[-3] // key.shape[-3]
        key, value = jnp.repeat(key, repeats, axis=-3), jnp.repeat(value, repeats, axis=-3)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = jnp.matmul(query * factor, jnp.swapaxes(key, -1, -2)).astype(jnp.float32)
    if is_causal:
        attn_mask = jnp.tril(jnp.ones(scores.shape[-2:], bool))
    if attn_mask is not None:
        masked = attn_mask.dtype == jnp.bool_
        scores = jnp.where(attn_mask, scores, -jnp.inf) if masked else scores + attn_mask
    return jnp.matmul(jax.nn.softmax(scores, axis=-1).astype(query.dtype), value)


@operator("convolution")
def convolution(
    *,
    input: Array,
    weight: Array,
    bias: Array | None,
    transposed: bool,
    groups: int,
    **window: Sequence[int],
) -> Array:
    """Convolution of 1 to 3 spatial axes, or its transpose; ``[example, channel, space...]``.

    ``window`` has the schema's numbers for each axis: stride, padding, dilation, output_padding.
    """
    count = input.ndim - 2
    space = _SPATIAL[-count:]
    stride, padding, dilation, extra = (
        _each(window[name], count) for name in ("stride", "padding", "dilation", "output_padding")
    )
    if transposed:
        weight = _transposed_weight(weight, groups)
        reach = [d * (size - 1) for d, size in zip(dilation, weight.shape[2:], strict=True)]
        margins = [(r - p, r - p + e) for r, p, e in zip(reach, padding, extra, strict=True)]
        steps, spread = (1,) * count, stride
    else:
        margins, steps, spread = [(p, p) for p in padding], stride, (1,) * count
    result = jax.lax.conv_general_dilated(
        input,
        weight,
        window_strides=steps,
        padding=margins,
        lhs_dilation=spread,
        rhs_dilation=dilation,
        dimension_numbers=(f"NC{space}", f"OI{space}", f"NC{space}"),
        feature_group_count=groups,
    )
    return result if bias is None else result + bias.reshape(1, -1, *[1] * count)


def _each(values: Sequence[int], count: int) -> tuple[int, ...]:
    """Return one number an axis: torch lets one stand for all."""
    return tuple(values) * count if len(values) == 1 else tuple(values)


def _transposed_weight(weight: Array, groups: int) -> Array:
    """Turn ``[in, out of group, space...]`` into ``[out, in of group, space...]``, space backwards."""
    given, per_group, *space = weight.shape
    grouped = weight.reshape(groups, given // groups, per_group, *space)
    swapped = jnp.swapaxes(grouped, 1, 2).reshape(groups * per_group, given // groups, *space)
    return jnp.flip(swapped, tuple(range(2, swapped.ndim)))

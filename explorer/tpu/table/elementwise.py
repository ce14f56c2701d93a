"""Operators that work on every element by itself."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from explorer.tpu.table.registry import operator

Array = Any


def _unary(name: str, function: Callable[[Array], Array]) -> None:
    def apply(*, self: Array, **_: object) -> Array:
        return function(self)

    operator(name)(apply)


for _name, _function in {
    "relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "exp": jnp.exp, "expm1": jnp.expm1,
    "log": jnp.log, "log1p": jnp.log1p, "sqrt": jnp.sqrt, "rsqrt": jax.lax.rsqrt, "erf": jax.lax.erf,
    "neg": jnp.negative, "abs": jnp.abs, "sign": jnp.sign, "floor": jnp.floor, "ceil": jnp.ceil,
    "round": jnp.round, "trunc": jnp.trunc, "sin": jnp.sin, "cos": jnp.cos, "reciprocal": jnp.reciprocal,
    "silu": jax.nn.silu, "hardswish": jax.nn.hard_swish, "hardsigmoid": jax.nn.hard_sigmoid,
    "mish": jax.nn.mish, "log_sigmoid_forward": jax.nn.log_sigmoid, "logical_not": jnp.logical_not,
    "bitwise_not": jnp.invert, "isinf": jnp.isinf, "isnan": jnp.isnan,
    "clone": lambda x: x, "alias": lambda x: x, "detach": lambda x: x, "lift_fresh_copy": lambda x: x,
    "contiguous": lambda x: x,
}.items():  # fmt: skip
    _unary(_name, _function)


def _binary(name: str, function: Callable[[Array, Array], Array]) -> None:
    def apply(*, self: Array, other: Array, **_: object) -> Array:
        return function(self, other)

    operator(name)(apply)


for _name, _function in {
    "mul": jnp.multiply, "maximum": jnp.maximum, "minimum": jnp.minimum, "eq": jnp.equal,
    "ne": jnp.not_equal, "lt": jnp.less, "le": jnp.less_equal, "gt": jnp.greater, "ge": jnp.greater_equal,
    "remainder": jnp.remainder, "fmod": jnp.fmod, "logical_and": jnp.logical_and,
    "logical_or": jnp.logical_or, "bitwise_and": jnp.bitwise_and, "bitwise_or": jnp.bitwise_or,
    "bitwise_xor": jnp.bitwise_xor, "logical_xor": jnp.logical_xor,
    "atan2": jnp.arctan2,
}.items():  # fmt: skip
    _binary(_name, _function)


@operator("add")
def add(*, self: Array, other: Array, alpha: float = 1) -> Array:
    """Return self + alpha other."""
    return jnp.add(self, other if alpha == 1 else other * alpha)


@operator("sub")
def sub(*, self: Array, other: Array, alpha: float = 1) -> Array:
    """Return self - alpha other."""
    return jnp.subtract(self, other if alpha == 1 else other * alpha)


@operator("rsub")
def rsub(*, self: Array, other: Array, alpha: float = 1) -> Array:
    """Return other - alpha self."""
    return jnp.subtract(other, self if alpha == 1 else self * alpha)


@operator("div")
def div(*, self: Array, other: Array, rounding_mode: str | None = None) -> Array:
    """Return self / other, rounded as asked."""
    if rounding_mode == "floor":
        return jnp.floor_divide(self, other)
    quotient = jnp.true_divide(self, other)
    return jnp.trunc(quotient) if rounding_mode == "trunc" else quotient


@operator("pow")
def power(*, self: Array, exponent: Array) -> Array:
    """Return self to the exponent."""
    return jnp.power(self, exponent)


@operator("clamp", "clamp_min", "clamp_max")
def clamp(*, self: Array, min: Array | None = None, max: Array | None = None) -> Array:
    """Self, held between two bounds."""
    return jnp.clip(self, min, max)


@operator("hardtanh")
def hardtanh(*, self: Array, min_val: float = -1, max_val: float = 1) -> Array:
    """Self, held between two bounds; ReLU6 comes as this."""
    return jnp.clip(self, min_val, max_val)


@operator("gelu")
def gelu(*, self: Array, approximate: str = "none") -> Array:
    """Return x Phi(x), with Phi in closed form or by tanh."""
    if approximate == "tanh":
        return jax.nn.gelu(self, approximate=True)
    # As torch has it; jax.nn.gelu would take the dearer erfc.
    return 0.5 * self * (1 + jax.lax.erf(self * math.sqrt(0.5)))


@operator("leaky_relu")
def leaky_relu(*, self: Array, negative_slope: float = 0.01) -> Array:
    """Keep what is positive, and a share of it elsewhere."""
    return jax.nn.leaky_relu(self, negative_slope)


@operator("elu")
def elu(*, self: Array, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Array:
    """Scale (x where positive, alpha (exp(input_scale x) - 1) elsewhere); SELU comes as this."""
    return scale * jnp.where(self > 0, self, alpha * jnp.expm1(input_scale * self))


@operator("softplus")
def softplus(*, self: Array, beta: float = 1, threshold: float = 20) -> Array:
    """log(1 + exp(beta x)) / beta, and x itself beyond the threshold."""
    return jnp.where(self * beta > threshold, self, jax.nn.softplus(self * beta) / beta)


@operator("prelu", "_prelu_kernel")
def prelu(*, self: Array, weight: Array) -> Array:
    """Keep what is positive, and a learned share of it elsewhere."""
    if weight.ndim == 1 and self.ndim > 1:
        weight = weight.reshape(1, -1, *[1] * (self.ndim - 2))
    return jnp.where(self > 0, self, weight * self)


@operator("where")
def where(*, condition: Array, self: Array, other: Array) -> Array:
    """Choose by condition."""
    return jnp.where(condition, self, other)


@operator("masked_fill")
def masked_fill(*, self: Array, mask: Array, value: Array) -> Array:
    """Put a value where the mask is true."""
    return jnp.where(mask, value, self)


@operator("_to_copy", "to", "_to_dtype")
def to_copy(*, self: Array, dtype: Any = None, **_: object) -> Array:
    """Self in another dtype."""
    return self if dtype is None else self.astype(dtype)


@operator("scalar_tensor")
def scalar_tensor(*, s: float, dtype: Any = None, **_: object) -> Array:
    """A number as an array without axes."""
    return jnp.asarray(s, dtype=dtype)


@operator("full")
def full(*, size: list[int], fill_value: float, dtype: Any = None, **_: object) -> Array:
    """One number everywhere."""
    return jnp.full(size, fill_value, dtype=dtype)


@operator("full_like")
def full_like(*, self: Array, fill_value: float, dtype: Any = None, **_: object) -> Array:
    """One number everywhere, in the shape of another array."""
    return jnp.full_like(self, fill_value, dtype=dtype)


@operator("arange")
def arange(*, end: float, start: float = 0, step: float = 1, dtype: Any = None, **_: object) -> Array:
    """Numbers from start up to, not with, end."""
    return jnp.arange(start, end, step, dtype=dtype)

"""Pooling and resizing, ``[example, channel, height, width]``."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from explorer.tpu.table.registry import operator

Array = Any
Margins = list[tuple[int, int]]


def _pair(values: Sequence[int], otherwise: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Return a number for height and for width."""
    if not values:
        return otherwise
    return (values[0], values[0]) if len(values) == 1 else (values[0], values[1])


def _margins(
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
) -> Margins:
    """Return the margins on both sides of height and width; rounding up adds to the far one.

    As torch has it, the last window must start inside the image or its near margin.
    """
    margins = []
    for size, reach, step, near in zip(sizes, kernel, stride, padding, strict=True):
        far = near
        if ceil_mode:
            count = math.ceil((size + 2 * near - reach) / step) + 1
            count -= (count - 1) * step >= size + near
            far = max(near, (count - 1) * step + reach - size - near)
        margins.append((near, far))
    return margins


@operator("max_pool2d_with_indices")
def max_pool(
    *,
    self: Array,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> tuple[Array]:
    """Largest of every window; where it was is not asked in evaluation mode."""
    kernel = _pair(kernel_size)
    step, spread = _pair(stride, kernel), _pair(dilation)
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, spread, strict=True)]
    margins = _margins(self.shape[-2:], reach, step, _pair(padding), ceil_mode)
    lead = self.ndim - 2
    result = jax.lax.reduce_window(
        self,
        jnp.asarray(-jnp.inf, self.dtype),
        jax.lax.max,
        (1,) * lead + kernel,
        (1,) * lead + step,
        [(0, 0)] * lead + margins,
        window_dilation=(1,) * lead + spread,
    )
    return (result,)


@operator("avg_pool2d")
def avg_pool(
    *,
    self: Array,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """Average of every window, over what torch says belongs to it."""
    kernel = _pair(kernel_size)
    step, near = _pair(stride, kernel), _pair(padding)
    margins = _margins(self.shape[-2:], kernel, step, near, ceil_mode)
    summed = _window_sum(self.astype(jnp.float32), kernel, step, margins)
    if divisor_override is not None:
        return (summed / divisor_override).astype(self.dtype)
    # What counts is the image, with its margin where that is included; never what rounding up added.
    counted = np.ones(self.shape[-2:], np.float32)
    rest = margins
    if count_include_pad:
        counted = np.pad(counted, [(p, p) for p in near], constant_values=1)
        rest = [(0, far - p) for (_, far), p in zip(margins, near, strict=True)]
    return (summed / _window_sum(jnp.asarray(counted), kernel, step, rest)).astype(self.dtype)


def _window_sum(x: Array, kernel: tuple[int, ...], stride: tuple[int, ...], margins: Margins) -> Array:
    lead = x.ndim - 2
    window, step = (1,) * lead + kernel, (1,) * lead + stride
    return jax.lax.reduce_window(x, 0.0, jax.lax.add, window, step, [(0, 0)] * lead + margins)


@operator("_adaptive_avg_pool2d", "adaptive_avg_pool2d")
def adaptive_avg_pool(*, self: Array, output_size: Sequence[int]) -> Array:
    """Average of ``output_size`` windows that cover the image, of torch's unequal sizes."""
    height, width = (
        _adaptive_matrix(have, want) for have, want in zip(self.shape[-2:], output_size, strict=True)
    )
    return _along_both_axes(self, height, width)


def _adaptive_matrix(have: int, want: int) -> np.ndarray:
    matrix = np.zeros((want, have), np.float32)
    for place in range(want):
        start, end = place * have // want, -(-(place + 1) * have // want)
        matrix[place, start:end] = 1 / (end - start)
    return matrix


@operator("adaptive_max_pool2d")
def adaptive_max_pool(*, self: Array, output_size: Sequence[int]) -> tuple[Array]:
    """Largest of ``output_size`` windows that cover the image, of torch's unequal sizes."""
    for axis, want in zip((-2, -1), output_size, strict=True):
        have = self.shape[axis]
        parts = [
            jax.lax.slice_in_dim(self, place * have // want, -(-(place + 1) * have // want), axis=axis)
            for place in range(want)
        ]
        self = jnp.concatenate([part.max(axis, keepdims=True) for part in parts], axis=axis)
    return (self,)


@operator("upsample_bilinear2d")
def bilinear(
    *,
    input: Array | None = None,
    self: Array | None = None,
    output_size: Sequence[int] | None = None,
    align_corners: bool = False,
    scale_factors: Sequence[float] | None = None,
    **_: object,
) -> Array:
    """Resize between the four nearest pixels, without smoothing."""
    images = input if input is not None else self
    assert images is not None
    sizes = images.shape[-2:]
    wanted = output_size or [
        int(size * factor) for size, factor in zip(sizes, scale_factors or (), strict=True)
    ]
    steps = scale_factors or (None, None)
    height, width = (
        _bilinear_matrix(have, want, align_corners, factor)
        for have, want, factor in zip(sizes, wanted, steps, strict=True)
    )
    return _along_both_axes(images, height, width)


def _bilinear_matrix(have: int, want: int, align_corners: bool, factor: float | None) -> np.ndarray:
    places = np.arange(want, dtype=np.float64)
    if align_corners:
        at = places * (have - 1) / max(want - 1, 1)
    else:
        step = 1 / factor if factor else have / want
        at = np.maximum((places + 0.5) * step - 0.5, 0)
    low = np.minimum(np.floor(at).astype(int), have - 1)
    high = np.minimum(low + 1, have - 1)
    matrix = np.zeros((want, have), np.float32)
    np.add.at(matrix, (np.arange(want), low), 1 - (at - low))
    np.add.at(matrix, (np.arange(want), high), at - low)
    return matrix


@operator("upsample_nearest2d")
def nearest(
    *,
    input: Array | None = None,
    self: Array | None = None,
    output_size: Sequence[int] | None = None,
    scale_factors: Sequence[float] | None = None,
    **_: object,
) -> Array:
    """Resize by the pixel at the rounded-down place."""
    images = input if input is not None else self
    assert images is not None
    sizes = images.shape[-2:]
    wanted = output_size or [
        int(size * factor) for size, factor in zip(sizes, scale_factors or (), strict=True)
    ]
    steps = (
        [1 / f for f in scale_factors]
        if scale_factors
        else [h / w for h, w in zip(sizes, wanted, strict=True)]
    )
    rows, columns = (
        np.minimum((np.arange(want) * step).astype(int), have - 1)
        for have, want, step in zip(sizes, wanted, steps, strict=True)
    )
    return images[..., rows, :][..., columns]


def _along_both_axes(images: Array, height: np.ndarray, width: np.ndarray) -> Array:
    """Multiply ``[want, have]`` matrices onto height and width."""
    rows = jnp.einsum("...hw,yh->...yw", images.astype(jnp.float32), jnp.asarray(height))
    return jnp.einsum("...yw,xw->...yx", rows, jnp.asarray(width)).astype(images.dtype)

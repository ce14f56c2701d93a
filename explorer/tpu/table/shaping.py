"""Operators that move elements and compute nothing."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from explorer.tpu.table.registry import operator

Array = Any


@operator("view", "reshape", "_unsafe_view", "_reshape_alias")
def view(
    *, self: Array, size: Sequence[int] | None = None, shape: Sequence[int] | None = None, **_: object
) -> Array:
    """The same elements in another shape."""
    return jnp.reshape(self, tuple(size if size is not None else shape or ()))


@operator("as_strided")
def as_strided(
    *, self: Array, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Array:
    """Elements of a contiguous array at strides; a reshape where the strides are those of one."""
    offset = storage_offset or 0
    places = np.full(tuple(size), offset)
    for axis, (length, step) in enumerate(zip(size, stride, strict=True)):
        places = places + np.arange(length).reshape(-1, *[1] * (len(size) - axis - 1)) * step
    flat = self.reshape(-1)
    if places.size == flat.size and np.array_equal(places.reshape(-1), np.arange(flat.size)):
        return flat.reshape(tuple(size))
    return flat[places]


@operator("permute")
def permute(*, self: Array, dims: Sequence[int]) -> Array:
    """Axes in another order."""
    return jnp.transpose(self, tuple(dim % self.ndim for dim in dims))


@operator("transpose")
def transpose(*, self: Array, dim0: int, dim1: int) -> Array:
    """Two axes exchanged."""
    return jnp.swapaxes(self, dim0, dim1)


@operator("t")
def matrix_transpose(*, self: Array) -> Array:
    """A matrix transposed."""
    return self.T


@operator("expand")
def expand(*, self: Array, size: Sequence[int], **_: object) -> Array:
    """Axes of length 1 repeated; -1 leaves an axis as it is."""
    own = (1,) * (len(size) - self.ndim) + tuple(self.shape)
    wanted = tuple(have if want == -1 else want for want, have in zip(size, own, strict=True))
    return jnp.broadcast_to(self, wanted)


@operator("repeat")
def repeat(*, self: Array, repeats: Sequence[int]) -> Array:
    """The whole array, several times along each axis."""
    return jnp.tile(self, tuple(repeats))


@operator("unsqueeze")
def unsqueeze(*, self: Array, dim: int) -> Array:
    """A new axis of length 1."""
    return jnp.expand_dims(self, dim)


@operator("squeeze")
def squeeze(*, self: Array, dim: Sequence[int] | int | None = None) -> Array:
    """Axes of length 1 taken out; longer ones among those named stay."""
    if dim is None:
        return jnp.squeeze(self)
    named = (dim,) if isinstance(dim, int) else tuple(dim)
    return jnp.squeeze(self, tuple(axis for axis in named if self.shape[axis] == 1))


@operator("cat")
def cat(*, tensors: Sequence[Array], dim: int = 0) -> Array:
    """Arrays one after the other along an axis; torch lets an empty one of one axis pass."""
    return jnp.concatenate([tensor for tensor in tensors if tensor.shape != (0,)], axis=dim)


@operator("stack")
def stack(*, tensors: Sequence[Array], dim: int = 0) -> Array:
    """Arrays along a new axis."""
    return jnp.stack(tensors, axis=dim)


@operator("slice")
def take_slice(
    *, self: Array, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Array:
    """Part of an axis."""
    places: list[Any] = [slice(None)] * self.ndim
    places[dim] = slice(start, end, step)
    return self[tuple(places)]


@operator("select")
def select(*, self: Array, dim: int, index: int) -> Array:
    """One place of an axis."""
    return jax.lax.index_in_dim(self, index % self.shape[dim], dim % self.ndim, keepdims=False)


@operator("split_with_sizes")
def split_with_sizes(*, self: Array, split_sizes: Sequence[int], dim: int = 0) -> tuple[Array, ...]:
    """An axis cut into lengths."""
    return tuple(jnp.split(self, np.cumsum(split_sizes)[:-1].tolist(), axis=dim))


@operator("split")
def split(*, self: Array, split_size: int, dim: int = 0) -> tuple[Array, ...]:
    """An axis cut into equal lengths, a shorter one last."""
    return tuple(jnp.split(self, list(range(split_size, self.shape[dim], split_size)), axis=dim))


@operator("unbind")
def unbind(*, self: Array, dim: int = 0) -> tuple[Array, ...]:
    """Every place of an axis by itself."""
    return tuple(jnp.moveaxis(self, dim, 0)[place] for place in range(self.shape[dim]))


@operator("index", "_unsafe_index")
def index(*, self: Array, indices: Sequence[Array | None]) -> Array:
    """Elements at places of the leading axes; None takes an axis whole."""
    return self[tuple(slice(None) if places is None else places for places in indices)]


@operator("index_select")
def index_select(*, self: Array, dim: int, index: Array) -> Array:
    """Places of one axis."""
    return jnp.take(self, index, axis=dim)


@operator("gather")
def gather(*, self: Array, dim: int, index: Array, **_: object) -> Array:
    """One element of an axis for every place of the index, which may be smaller than the array."""
    within = [
        slice(None) if axis == dim % self.ndim else slice(size) for axis, size in enumerate(index.shape)
    ]
    self = self[tuple(within)]
    return jnp.take_along_axis(self, index, axis=dim)


@operator("embedding")
def embedding(*, weight: Array, indices: Array, **_: object) -> Array:
    """Rows of a matrix."""
    return jnp.take(weight, indices, axis=0)


@operator("flip")
def flip(*, self: Array, dims: Sequence[int]) -> Array:
    """Axes backwards."""
    return jnp.flip(self, tuple(dims))


@operator("roll")
def roll(*, self: Array, shifts: Sequence[int], dims: Sequence[int] = ()) -> Array:
    """Axes turned round."""
    return jnp.roll(self, tuple(shifts), tuple(dims)) if dims else jnp.roll(self, shifts[0])


@operator("unfold")
def unfold(*, self: Array, dimension: int, size: int, step: int) -> Array:
    """Windows along an axis, what is in them as a new last axis."""
    count = (self.shape[dimension] - size) // step + 1
    places = np.arange(count)[:, None] * step + np.arange(size)
    windows = jnp.take(jnp.moveaxis(self, dimension, -1), places, axis=-1)
    return jnp.moveaxis(windows, -2, dimension % self.ndim)


@operator("constant_pad_nd")
def pad(*, self: Array, pad: Sequence[int], value: float = 0) -> Array:
    """A margin of one number round the last axes; negative widths cut."""
    widths = [(0, 0, 0)] * self.ndim
    for place in range(len(pad) // 2):
        widths[self.ndim - 1 - place] = (int(pad[2 * place]), int(pad[2 * place + 1]), 0)
    return jax.lax.pad(self, jnp.asarray(value or 0, self.dtype), widths)


@operator("pixel_shuffle")
def pixel_shuffle(*, self: Array, upscale_factor: int) -> Array:
    """Channels to space, ``[example, channel, height, width]``."""
    r, (n, c, h, w) = upscale_factor, self.shape
    split_up = self.reshape(n, c // r**2, r, r, h, w)
    return split_up.transpose(0, 1, 4, 2, 5, 3).reshape(n, c // r**2, h * r, w * r)


@operator("pixel_unshuffle")
def pixel_unshuffle(*, self: Array, downscale_factor: int) -> Array:
    """Space to channels, ``[example, channel, height, width]``."""
    r, (n, c, h, w) = downscale_factor, self.shape
    split_up = self.reshape(n, c, h // r, r, w // r, r)
    return split_up.transpose(0, 1, 3, 5, 2, 4).reshape(n, c * r**2, h // r, w // r)

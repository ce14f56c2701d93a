"""Name the operators that compute nothing: views, copies, rearrangements, allocation.

They are counted, and they are zero. What they cost is memory traffic, which is another figure.
"""

from explorer.accounting.formulas.registry import Work, formula
from explorer.record import OpRecord

VIEWS = (
    *("view", "_unsafe_view", "_reshape_alias", "reshape", "view_as", "flatten", "unflatten"),
    *("permute", "transpose", "t", "numpy_T", "movedim", "swapaxes", "expand", "expand_as", "broadcast_to"),
    *("squeeze", "unsqueeze", "select", "slice", "narrow", "split", "split_with_sizes", "unsafe_split"),
    *("unsafe_split_with_sizes", "chunk", "unsafe_chunk", "tensor_split", "unbind", "unfold", "diagonal"),
    *("as_strided", "alias", "detach", "view_as_real", "view_as_complex", "real", "imag", "lift_fresh"),
    *("_conj", "_neg_view", "swapdims", "moveaxis", "ravel", "adjoint", "mT", "mH"),
)
"""Operators that give another shape to the same memory."""

COPIES = (
    *("clone", "copy", "_to_copy", "contiguous", "to", "cat", "stack", "repeat", "repeat_interleave"),
    *("tile", "roll", "flip", "rot90", "constant_pad_nd", "pad"),
    *("reflection_pad1d", "reflection_pad2d", "reflection_pad3d"),
    *("replication_pad1d", "replication_pad2d", "replication_pad3d"),
    *("pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle"),
    *("im2col", "tril", "triu", "meshgrid", "diag_embed", "lift", "lift_fresh_copy"),
    *("slice_scatter", "select_scatter", "as_strided_scatter", "resolve_conj", "resolve_neg"),
    *("diag", "hstack", "vstack", "dstack", "column_stack", "block_diag", "masked_scatter", "put"),
)
"""Operators that move elements without changing them."""

LOOKUPS = (
    *("embedding", "index", "index_select", "gather", "take", "_unsafe_index", "_unsafe_masked_index"),
    *("scatter", "index_copy", "index_fill", "_local_scalar_dense"),
    *("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d"),
    *("_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d"),
)
"""Operators that read or write at given places; nearest-neighbour resizing is one of them."""

ALLOCATIONS = (
    *("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "scalar_tensor"),
    *("zeros", "zeros_like", "new_zeros", "ones", "ones_like", "new_ones", "full", "full_like", "new_full"),
    *("arange", "linspace", "eye", "fill", "zero", "resize", "set"),
    *("resize_as", "empty_permuted", "logspace", "range", "tril_indices", "triu_indices"),
    *("_efficientzerotensor", "_assert_async", "_functional_assert_async", "_assert_tensor_metadata"),
)
"""Operators that make or fill memory."""


@formula(*VIEWS, *COPIES, *LOOKUPS, *ALLOCATIONS)
def movement(op: OpRecord) -> Work:
    """Count nothing: no element is computed."""
    return Work()

"""Model the memory that CPU kernels take beside their inputs and outputs.

Read off the allocations of PyTorch 2.13 in float32 on x86 with AVX-512, and off its choice of
convolution kernels (``ConvParams::use_mkldnn`` in ``aten/src/ATen/native/Convolution.cpp``):

| convolution | workspace at its peak |
|---|---|
| oneDNN | the weight reordered; unless channels-last, also input and output in blocks of channels |
| 1x1, stride 1, no padding | none: a matrix product |
| other (im2col) | a column of window x c_in an output position |

oneDNN reorders at every call, since eager mode keeps no reordered weight: a late 3x3 convolution of a
network takes more memory for its weight than for its images. It is freed when the operator returns.
Other operators copy an input that does not lie contiguously before they run.
"""

from math import prod

from explorer.accounting.formulas.shapes import elements, integers
from explorer.record import OpRecord, TensorRecord

BLOCK = 16
"""Channels that oneDNN keeps side by side: one AVX-512 register of float32."""
_FEW_CHANNELS = 3
"""A first convolution reads images of up to this many channels as they are."""
_SMALL_INPUT = 20_480
"""Input elements up to which one ungrouped example is convolved without oneDNN."""
_SMALL_BATCH = 16
"""Examples from which on a pointwise convolution goes to oneDNN even on one thread."""
_QUERY_BLOCKS = ((768, 256), (192, 64), (0, 32))
"""Queries from which on -> queries that the CPU's fused attention takes at a time."""
_KEY_BLOCK = 512

_CONVOLUTIONS = frozenset(("convolution", "_convolution", "conv1d", "conv2d", "conv3d"))
_ATTENTION = frozenset(("scaled_dot_product_attention", "_scaled_dot_product_flash_attention_for_cpu"))
_WANTS_CONTIGUOUS = frozenset(
    (
        *("native_layer_norm", "_softmax", "_log_softmax", "roll", "glu", "_fused_rms_norm"),
        *("_adaptive_avg_pool2d", "avg_pool2d", "max_pool2d_with_indices", "native_group_norm"),
        *("upsample_bilinear2d", "upsample_bicubic2d", "upsample_nearest2d", "linalg_vector_norm"),
    )
)
_KEEPS_CHANNELS_LAST = frozenset(
    (
        *("_adaptive_avg_pool2d", "avg_pool2d", "max_pool2d_with_indices", "native_group_norm"),
        *("upsample_bilinear2d", "upsample_nearest2d"),
    )
)


def workspace_bytes(op: OpRecord, *, threads: int = 1) -> int:
    """Return the bytes that an eager CPU kernel of ``op`` takes beside its inputs and outputs.

    Args:
        op: one operator call.
        threads: of one operator; with more than one, pointwise convolutions go to oneDNN as well.
    """
    if op.op in _CONVOLUTIONS:
        return _convolution_workspace(op, threads)
    if op.op in _ATTENTION:
        return _attention_workspace(op, threads)
    if op.op in _WANTS_CONTIGUOUS:
        return _contiguous_copy(op)
    return 0


def _convolution_workspace(op: OpRecord, threads: int) -> int:
    images, weight = op.inputs[:2]
    copied = _bytes(images) if images.layout == "strided" else 0
    if uses_onednn(op, threads):
        return copied + _onednn_workspace(op)
    if images.layout == "channels_last":
        copied = _bytes(images)
    window = prod(weight.shape[2:])
    if window == 1 and not _strided(op) and not any(integers(op.attributes.get("padding"))):
        return copied
    columns = images.shape[1] * window * prod(op.outputs[0].shape[2:])
    # Only the dilated kernel takes one example at a time.
    return copied + columns * images.itemsize * (1 if _dilated(op) else images.shape[0])


def uses_onednn(op: OpRecord, threads: int = 1) -> bool:
    """Tell whether PyTorch gives this convolution to oneDNN on a CPU."""
    images, weight = op.inputs[:2]
    if images.dtype != "float32":
        return images.dtype in ("bfloat16", "float16")
    if op.attributes.get("transposed"):
        return True
    window = weight.shape[2:]
    groups = op.attributes.get("groups", 1)
    worth_a_reorder = (
        _strided(op)
        or _dilated(op)
        or images.shape[0] >= _SMALL_BATCH
        or any(side != 1 for side in window[-2:])
        or threads > 1
    )
    large = (
        groups != 1
        or min(window[-2:]) > _FEW_CHANNELS
        or images.shape[0] > 1
        or elements(images) > _SMALL_INPUT
    )
    return worth_a_reorder and large


def _onednn_workspace(op: OpRecord) -> int:
    images, weight = op.inputs[:2]
    (output,) = op.outputs[:1]
    groups = int(str(op.attributes.get("groups", 1)))
    depthwise = weight.shape[1] == 1 and groups == weight.shape[0]
    padded = groups == 1 or depthwise
    window = prod(weight.shape[2:])
    first = images.shape[1] <= _FEW_CHANNELS and not (window == 1 and groups == 1)
    c_out = _blocked(weight.shape[0]) if padded else weight.shape[0]
    c_in = weight.shape[1] if first or depthwise or not padded else _blocked(weight.shape[1])
    reordered = c_out * c_in * window * weight.itemsize
    if "channels_last" in (images.layout, weight.layout):
        return reordered
    source = 0 if first else _blocked_bytes(images, padded)
    target = _blocked_bytes(output, padded)
    # A strided pointwise convolution first gathers the positions that it reads.
    gathered = source * elements(output) * images.shape[1] // (elements(images) * output.shape[1])
    subsampled = gathered if window == 1 and _strided(op) else 0
    # The output leaves its blocks when the input and the weight have been let go.
    return max(source + subsampled + reordered + target - _bytes(output), target)


def _attention_workspace(op: OpRecord, threads: int) -> int:
    """Return the scores of one block of queries a thread, its sums, and its output."""
    query, key, value = op.inputs[:3]
    queries, keys = query.shape[-2], key.shape[-2]
    block = min(queries, next(size for start, size in _QUERY_BLOCKS if queries >= start))
    return threads * 4 * block * (min(keys, _KEY_BLOCK) + 2 + value.shape[-1])


def _contiguous_copy(op: OpRecord) -> int:
    images = op.inputs[0]
    kept = ("contiguous", "channels_last") if op.op in _KEEPS_CHANNELS_LAST else ("contiguous",)
    return 0 if images.layout in kept else _bytes(images)


def _blocked(channels: int) -> int:
    return -(-channels // BLOCK) * BLOCK


def _blocked_bytes(tensor: TensorRecord, padded: bool) -> int:
    """Return the bytes of ``tensor [example, channel, ...]`` with its channels in whole blocks."""
    channels = tensor.shape[1]
    whole = _blocked(channels) if padded else channels
    return _bytes(tensor) // channels * whole


def _bytes(tensor: TensorRecord) -> int:
    return elements(tensor) * tensor.itemsize


def _strided(op: OpRecord) -> bool:
    return any(step != 1 for step in integers(op.attributes.get("stride", 1)))


def _dilated(op: OpRecord) -> bool:
    return any(step != 1 for step in integers(op.attributes.get("dilation", 1)))

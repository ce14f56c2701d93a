"""Count the operators that only a backward pass has; products in it (``mm``, ``bmm``) are ordinary ones.

Where ``output_mask`` says that a gradient is not asked for, it is not counted: the first layer of a
network makes none for its input. Inputs of an operator come in the order of its schema, the gradient
that arrives first; absent optional tensors are left out and stand in the attributes as None.
"""

from math import prod

from explorer.accounting.formulas.contraction import score_elements
from explorer.accounting.formulas.reduction import window, window_elements
from explorer.accounting.formulas.registry import Work, formula
from explorer.accounting.formulas.sampling import TAPS
from explorer.accounting.formulas.shapes import elements, input_elements, output_elements
from explorer.record import OpRecord

MASKED = (
    *("threshold_backward", "hardtanh_backward", "hardshrink_backward", "softshrink_backward"),
    *("leaky_relu_backward", "relu_backward"),
)
"""Activation functions whose derivative is 0 or a constant: 1 an element."""

DERIVED = (
    *("gelu_backward", "silu_backward", "mish_backward", "sigmoid_backward", "tanh_backward"),
    *("hardswish_backward", "hardsigmoid_backward", "elu_backward", "softplus_backward"),
    *("log_sigmoid_backward", "glu_backward", "_prelu_kernel_backward", "rrelu_with_noise_backward"),
    *("native_dropout_backward", "_masked_scale"),
)
"""2 an element: the derivative, and its product with the gradient that arrives."""

ADDING = (
    *(
        "embedding_dense_backward",
        "embedding_backward",
        "unfold_backward",
        "_unsafe_masked_index_put_accumulate",
    ),
    *("reflection_pad1d_backward", "reflection_pad2d_backward", "reflection_pad3d_backward"),
    *("replication_pad1d_backward", "replication_pad2d_backward", "replication_pad3d_backward"),
    *("max_pool2d_with_indices_backward", "max_pool3d_with_indices_backward"),
    *("adaptive_max_pool2d_backward", "adaptive_max_pool3d_backward"),
    *("upsample_nearest1d_backward", "upsample_nearest2d_backward", "upsample_nearest3d_backward"),
    *("_upsample_nearest_exact1d_backward", "_upsample_nearest_exact2d_backward"),
    "_upsample_nearest_exact3d_backward",
)
"""Operators that add each element of the gradient that arrives to one place: 1 each."""

PLACING = ("select_backward", "slice_backward", "diagonal_backward", "masked_select_backward")
"""Operators that put the gradient that arrives into zeros: nothing is computed."""


@formula(*MASKED)
def masked_derivative(op: OpRecord) -> Work:
    """Count 1 an element of the gradient that leaves."""
    return Work(elementwise_ops=output_elements(op))


@formula(*DERIVED)
def derivative(op: OpRecord) -> Work:
    """Count 2 an element of the gradient that leaves."""
    return Work(elementwise_ops=2 * output_elements(op))


@formula(*ADDING)
def scattered_sum(op: OpRecord) -> Work:
    """Count 1 an element of the gradient that arrives."""
    return Work(elementwise_ops=input_elements(op))


@formula(*PLACING)
def placing(op: OpRecord) -> Work:
    """Count nothing."""
    return Work()


# ---- contractions ---------------------------------------------------------------------------------


@formula("convolution_backward", "convolution_backward_overrideable", "mkldnn_convolution_backward")
def convolution_backward(op: OpRecord) -> Work:
    """Count the forward pass's multiply-accumulates once for each of the two gradients asked for.

    Both the gradient of the input (a transposed convolution) and that of the weight pair every output
    element with every element of its window. That of the bias sums the gradient that arrives.
    """
    gradient, images, weight = op.inputs[:3]
    for_input, for_weight, for_bias = _mask(op, 3)
    positions = elements(images) if op.attributes.get("transposed") else elements(gradient)
    return Work(
        macs=(for_input + for_weight) * positions * prod(weight.shape[1:]),
        elementwise_ops=for_bias * elements(gradient),
    )


@formula("linear_backward", "mkldnn_linear_backward")
def linear_backward(op: OpRecord) -> Work:
    """Count the forward pass's multiply-accumulates once for each of the two gradients asked for."""
    features, gradient, _ = op.inputs
    for_input, for_weight, for_bias = _mask(op, 3)
    return Work(
        macs=(for_input + for_weight) * elements(gradient) * features.shape[-1],
        elementwise_ops=for_bias * elements(gradient),
    )


_MASK = {
    "scaled_dot_product_attention_backward": "attn_mask",
    "_scaled_dot_product_flash_attention_for_cpu_backward": "attn_mask",
    "_scaled_dot_product_efficient_attention_backward": "attn_bias",
    "_scaled_dot_product_cudnn_attention_backward": "attn_bias",
    "_scaled_dot_product_fused_attention_overrideable_backward": "attn_bias",
}
"""Back ends that take a mask, and the argument's name: absent it stands in the attributes as None."""


@formula(*_MASK, "_scaled_dot_product_flash_attention_backward")
def attention_backward(op: OpRecord) -> Work:
    """Count what a fused kernel does, which keeps no scores: twice the forward products, scores once more.

    With d the width of keys and e that of values, every score costs d to recompute, e for the
    gradient of the values, e for its own gradient, d each for those of queries and keys: 3 d + 2 e
    multiply-accumulates, 2.5 x the forward pass where d = e. Source: T. Dao et al., FlashAttention
    (arXiv 2205.14135), algorithm 4. Elementwise: 5 a score (scale and exponential once more,
    subtraction, product, scale; a sixth with a mask) and 2 an element of the result (row sums).
    """
    _, query, key, value = op.inputs[:4]
    scores = score_elements(query, key, value)
    mask = _MASK.get(op.op)
    masked = mask is not None and op.attributes.get(mask, "a tensor") is not None
    return Work(
        macs=scores * (3 * query.shape[-1] + 2 * value.shape[-1]),
        elementwise_ops=scores * (5 + masked) + 2 * input_elements(op),
    )


# ---- normalisation --------------------------------------------------------------------------------


@formula("native_batch_norm_backward", "batch_norm_backward", "cudnn_batch_norm_backward")
def batch_norm_backward(op: OpRecord) -> Work:
    """Count 8 per element with batch statistics: 4 for two sums, 4 to put them together.

    The sums are those of the gradient and of its product with the centred input; they are the
    gradients of shift and scale as well. With running statistics there is 1 (the scale) for the input,
    and 4 for scale and shift where they are learned and asked for.
    """
    for_input, for_scale, for_shift = _mask(op, 3)
    if op.attributes.get("train", True):
        steps = 8
    else:
        steps = for_input + 3 * for_scale + for_shift
    return Work(elementwise_ops=steps * input_elements(op))


@formula("native_layer_norm_backward", "native_group_norm_backward")
def layer_norm_backward(op: OpRecord) -> Work:
    """Count 8 per element as batch norm does; 1 more to scale, 2 for scale's gradient, 1 for shift's."""
    _, for_scale, for_shift = _mask(op, 3)
    scaled = op.attributes.get("weight", "") is not None
    return Work(elementwise_ops=(8 + scaled + 2 * for_scale + for_shift) * input_elements(op))


@formula("_fused_rms_norm_backward")
def rms_norm_backward(op: OpRecord) -> Work:
    """Count 5 per element: product with the input, sum; scaled input, subtraction, inverse root.

    1 more to scale, and 2 for the scale's gradient.
    """
    _, for_scale = _mask(op, 2)
    scaled = op.attributes.get("weight", "") is not None
    return Work(elementwise_ops=(5 + scaled + 2 * for_scale) * input_elements(op))


@formula("_weight_norm_interface_backward", "_weight_norm_differentiable_backward")
def weight_norm_backward(op: OpRecord) -> Work:
    """Count 5 per element of the weight, as `rms_norm_backward` without a scale."""
    return Work(elementwise_ops=5 * input_elements(op))


@formula("_softmax_backward_data", "_log_softmax_backward_data")
def softmax_backward(op: OpRecord) -> Work:
    """Count 4 per element: product, sum, subtraction, product (for the logarithm an exponential)."""
    return Work(elementwise_ops=4 * input_elements(op))


# ---- pooling and interpolation --------------------------------------------------------------------


@formula("avg_pool2d_backward", "avg_pool3d_backward")
def average_pooling_backward(op: OpRecord) -> Work:
    """Count an addition for every place of every window, as the forward pass."""
    return Work(elementwise_ops=input_elements(op) * window(op))


@formula("_adaptive_avg_pool2d_backward", "_adaptive_avg_pool3d_backward")
def adaptive_pooling_backward(op: OpRecord) -> Work:
    """Count an addition for every place of every window, as the forward pass."""
    gradient, images = op.inputs[:2]
    return Work(elementwise_ops=window_elements(op.op, images, gradient))


@formula(*(f"{name}_backward" for name in TAPS))
def interpolation_backward(op: OpRecord) -> Work:
    """Count the neighbours that each element of the gradient that arrives is spread over."""
    return Work(elementwise_ops=TAPS[op.op.removesuffix("_backward")] * input_elements(op))


def _mask(op: OpRecord, gradients: int) -> tuple[bool, ...]:
    """Return which gradients are asked for; all, where the operator has no say in it.

    Raises:
        TypeError: ``output_mask`` is not one truth value a gradient; the trace does not follow the schema.
    """
    mask = op.attributes.get("output_mask", (True,) * gradients)
    if not isinstance(mask, tuple) or len(mask) != gradients:
        raise TypeError(f"{op.op}: wanted an output_mask of {gradients} truth values, got {mask!r}")
    return tuple(map(bool, mask))

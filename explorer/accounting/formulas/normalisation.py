"""Count normalisation layers and softmax, in elementwise operations."""

from explorer.accounting.formulas.registry import Work, formula
from explorer.accounting.formulas.shapes import input_elements
from explorer.record import OpRecord

STATISTICS = 4
"""Operations per element to normalise by its own statistics: add to the mean, subtract it, add the
square to the variance, multiply by the inverse deviation."""
SCALE_AND_SHIFT = 2
"""A fixed multiplication and addition per element: statistics known, learned scale folded in."""


@formula("_native_batch_norm_legit_no_training", "batch_norm_inference")
def batch_norm_in_evaluation(op: OpRecord) -> Work:
    """Count 2 per element: running statistics and learned scale are one scale and one shift."""
    return Work(elementwise_ops=SCALE_AND_SHIFT * input_elements(op))


@formula("native_batch_norm", "batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit")
def batch_norm(op: OpRecord) -> Work:
    """Count 2 per element in evaluation; with batch statistics (instance norm) theirs on top."""
    training = bool(op.attributes.get("training", False))
    steps = SCALE_AND_SHIFT + (STATISTICS if training else 0)
    return Work(elementwise_ops=steps * input_elements(op))


@formula("native_layer_norm", "native_group_norm", "layer_norm", "group_norm")
def layer_norm(op: OpRecord) -> Work:
    """Count 4 per element, 6 with a learned scale and shift."""
    steps = STATISTICS + (SCALE_AND_SHIFT if len(op.inputs) > 1 else 0)
    return Work(elementwise_ops=steps * input_elements(op))


@formula("rms_norm", "_fused_rms_norm")
def rms_norm(op: OpRecord) -> Work:
    """Count 2 per element (add the square, multiply by the inverse root), 3 with a learned scale."""
    return Work(elementwise_ops=(2 + (len(op.inputs) > 1)) * input_elements(op))


@formula("_weight_norm_interface", "_weight_norm")
def weight_norm(op: OpRecord) -> Work:
    """Count 3 per element of the weight: power, sum, multiplication by the scaled inverse."""
    return Work(elementwise_ops=3 * input_elements(op))


@formula("_softmax", "softmax", "_safe_softmax", "_log_softmax", "log_softmax")
def softmax(op: OpRecord) -> Work:
    """Count 3 per element: exponential, sum, division (for the logarithm: subtraction)."""
    return Work(elementwise_ops=3 * input_elements(op))

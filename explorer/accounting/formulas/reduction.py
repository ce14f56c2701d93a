"""Count pooling, reductions and interpolation: one operation for every input element touched."""

from math import prod

from explorer.accounting.formulas.registry import Work, formula
from explorer.accounting.formulas.shapes import input_elements, integers, output_elements
from explorer.record import OpRecord


@formula(
    *("mean", "sum", "nansum", "prod", "amax", "amin", "max", "min", "aminmax", "argmax", "argmin"),
    *("any", "all", "cumsum", "cumprod", "logcumsumexp", "count_nonzero"),
)
def reduction(op: OpRecord) -> Work:
    """Count 1 an input element; of two tensors (the elementwise ``max``), 1 an output element."""
    return Work(elementwise_ops=output_elements(op) if len(op.inputs) > 1 else input_elements(op))


@formula("linalg_vector_norm", "norm", "logsumexp")
def two_step_reduction(op: OpRecord) -> Work:
    """Count 2 an input element: power or exponential, and sum."""
    return Work(elementwise_ops=2 * input_elements(op))


@formula("var", "std", "var_mean", "std_mean")
def variance(op: OpRecord) -> Work:
    """Count 3 an input element: add to the mean, subtract it, add the square."""
    return Work(elementwise_ops=3 * input_elements(op))


@formula(
    *("max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices"),
    *("avg_pool1d", "avg_pool2d", "avg_pool3d"),
)
def pooling(op: OpRecord) -> Work:
    """Count the window at every output element; positions in the padding count like any other."""
    axes = {"1": 1, "2": 2, "3": 3}[op.op.split("pool")[1][0]]
    kernel = integers(op.attributes["kernel_size"])
    window = kernel[0] ** axes if len(kernel) == 1 else prod(kernel)
    return Work(elementwise_ops=output_elements(op) * window)


@formula(
    *("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
    *("adaptive_avg_pool1d", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"),
)
def adaptive_pooling(op: OpRecord) -> Work:
    """Count the elements in each window: output i reads ``[floor(i n / m), ceil((i + 1) n / m))``.

    Windows overlap where m does not divide n, so this can exceed the input's elements.
    """
    axes = {"1": 1, "2": 2, "3": 3}[op.op.split("pool")[1][0]]
    lead = prod(op.inputs[0].shape[:-axes])
    sizes = zip(op.inputs[0].shape[-axes:], op.outputs[0].shape[-axes:], strict=True)
    return Work(elementwise_ops=lead * prod(_window_elements(n, m) for n, m in sizes))


def _window_elements(n: int, m: int) -> int:
    """Return the summed lengths of the m windows over n elements."""
    return sum(-(-(i + 1) * n // m) - i * n // m for i in range(m))


_TAPS = {
    "upsample_linear1d": 2,
    "upsample_bilinear2d": 4,
    "upsample_trilinear3d": 8,
    "upsample_bicubic2d": 16,
}


@formula(*_TAPS)
def interpolation(op: OpRecord) -> Work:
    """Count the neighbours that each output element weighs: 2, 4 or 8 linear, 16 bicubic."""
    return Work(elementwise_ops=_TAPS[op.op] * output_elements(op))

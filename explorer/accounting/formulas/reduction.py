"""Count pooling and reductions: one operation for every input element touched."""

from math import prod

from explorer.accounting.formulas.registry import Work, formula
from explorer.accounting.formulas.shapes import elements, input_elements, integers, output_elements
from explorer.record import OpRecord, TensorRecord


@formula(
    *("mean", "sum", "nansum", "prod", "amax", "amin", "max", "min", "aminmax", "argmax", "argmin"),
    *("any", "all", "cumsum", "cumprod", "count_nonzero"),
    *("cummax", "cummin", "trace", "nanmean"),
)
def reduction(op: OpRecord) -> Work:
    """Count 1 an input element; of two tensors (the elementwise ``max``), 1 an output element."""
    return Work(elementwise_ops=output_elements(op) if len(op.inputs) > 1 else input_elements(op))


@formula("linalg_vector_norm", "norm", "logsumexp", "logcumsumexp")
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
    return Work(elementwise_ops=output_elements(op) * window(op))


def window(op: OpRecord) -> int:
    """Return the elements of a pooling operator's window, whether it runs forward or backward."""
    kernel = integers(op.attributes["kernel_size"])
    return kernel[0] ** _axes(op.op) if len(kernel) == 1 else prod(kernel)


def _axes(operator: str) -> int:
    """Return over how many axes a pooling operator runs: the digit in its name."""
    return int(operator.split("pool")[1][0])


@formula(
    *("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
    *("adaptive_avg_pool1d", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"),
)
def adaptive_pooling(op: OpRecord) -> Work:
    """Count the elements in each window: output i reads ``[floor(i n / m), ceil((i + 1) n / m))``.

    Windows overlap where m does not divide n, so this can exceed the input's elements.
    """
    return Work(elementwise_ops=window_elements(op.op, op.inputs[0], op.outputs[0]))


def window_elements(operator: str, images: TensorRecord, pooled: TensorRecord) -> int:
    """Return the summed sizes of the windows with which adaptive pooling goes over ``images``."""
    axes = _axes(operator)
    sizes = zip(images.shape[-axes:], pooled.shape[-axes:], strict=True)
    return prod(images.shape[:-axes]) * prod(_lengths(n, m) for n, m in sizes)


def _lengths(n: int, m: int) -> int:
    """Return the summed lengths of the m windows over n elements."""
    return sum(-(-(i + 1) * n // m) - i * n // m for i in range(m))


@formula("cdist", "_cdist_forward", "_pdist_forward")
def distances(op: OpRecord) -> Work:
    """Count 3 for each feature of each pair: subtraction, power, sum."""
    return Work(elementwise_ops=3 * output_elements(op) * op.inputs[0].shape[-1])


@formula(
    *("index_add", "scatter_add", "scatter_reduce", "index_reduce", "_index_put_impl", "_unsafe_index_put"),
    *("index_put", "col2im"),
)
def scattered_reduction(op: OpRecord) -> Work:
    """Count 1 an element that is added to another; ``index_put`` that replaces computes nothing."""
    if "index_put" in op.op and not op.attributes.get("accumulate", False):
        return Work()
    return Work(elementwise_ops=input_elements(op) if op.op == "col2im" else elements(op.inputs[-1]))

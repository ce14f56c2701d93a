"""Count the multiply-accumulates of convolutions, matrix products and attention.

Sources: the definitions in the PyTorch operator reference; ResNet-50, EfficientNet-B0 and ViT-S/16
come out to the last multiply-accumulate as their papers' layer tables (tests/oracles.py).
A bias is one elementwise operation per output element, never a multiply-accumulate.
"""

from math import prod

from explorer.accounting.formulas.registry import Work, formula
from explorer.accounting.formulas.shapes import elements, integers, output_elements
from explorer.record import OpRecord, TensorRecord


@formula(
    "convolution",
    "_convolution",
    "convolution_overrideable",
    "mkldnn_convolution",
    "_slow_conv2d_forward",
    "_conv_depthwise2d",
    "conv1d",
    "conv2d",
    "conv3d",
)
def convolution(op: OpRecord) -> Work:
    """Count a convolution: every output element sums c_in / groups x window products.

    A transposed one scatters instead: every *input* element goes to c_out / groups x window outputs.
    The weight is ``[c_out, c_in / groups, *window]``, transposed ``[c_in, c_out / groups, *window]``.
    """
    images, weight = op.inputs[:2]
    positions = elements(images) if op.attributes.get("transposed") else output_elements(op)
    return Work(
        macs=positions * prod(weight.shape[1:]),
        elementwise_ops=output_elements(op) if len(op.inputs) > 2 else 0,
    )


@formula("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def transposed_convolution(op: OpRecord) -> Work:
    """Count a transposed convolution by its input elements; see `convolution`."""
    images, weight = op.inputs[:2]
    return Work(
        macs=elements(images) * prod(weight.shape[1:]),
        elementwise_ops=output_elements(op) if len(op.inputs) > 2 else 0,
    )


@formula("linear", "mkldnn_linear")
def linear(op: OpRecord) -> Work:
    """Count ``[..., k] x [n, k]``: k products for every output element."""
    *_, k = op.inputs[0].shape
    return Work(
        macs=output_elements(op) * k,
        elementwise_ops=output_elements(op) if len(op.inputs) > 2 else 0,
    )


@formula("mm", "bmm", "mv", "dot", "vdot", "matmul", "inner")
def product(op: OpRecord) -> Work:
    """Count a product of vectors, matrices or batches: k, the shared length, for every output element."""
    *_, k = op.inputs[0].shape
    return Work(macs=output_elements(op) * k)


@formula("addmm", "baddbmm", "addmv", "_addmm_activation")
def product_and_add(op: OpRecord) -> Work:
    """Count ``beta * c + alpha * a @ b``: the product, and the addition of c unless beta is 0.

    ``_addmm_activation`` puts an activation function on top: 1 more an output element.
    """
    _, a, _ = op.inputs
    *_, k = a.shape
    steps = (op.attributes.get("beta", 1) != 0) + (op.op == "_addmm_activation")
    return Work(macs=output_elements(op) * k, elementwise_ops=output_elements(op) * steps)


@formula("addr", "ger", "outer")
def outer_product(op: OpRecord) -> Work:
    """Count an outer product, 1 for every output element; ``addr`` adds it to a matrix."""
    return Work(macs=output_elements(op), elementwise_ops=output_elements(op) if op.op == "addr" else 0)


@formula("_trilinear")
def trilinear(op: OpRecord) -> Work:
    """Count ``nn.Bilinear``: the first two tensors multiplied and summed, their result with the third.

    Axes are those of the result before it is summed; ``expand1`` to ``expand3`` name the ones that each
    tensor lacks. The first product sums the axes of ``sumdim`` that the third tensor lacks.
    """
    ranks = range(len(op.inputs[0].shape) + len(integers(op.attributes["expand1"])))
    first = [max(_sides(op, axis, (1, 2)), default=1) for axis in ranks]
    both = [max(_sides(op, axis, (1, 2, 3))) for axis in ranks]
    gone = set(integers(op.attributes["sumdim"])) & set(integers(op.attributes["expand3"]))
    return Work(macs=prod(first) + prod(side for axis, side in enumerate(both) if axis not in gone))


def _sides(op: OpRecord, axis: int, tensors: tuple[int, ...]) -> list[int]:
    """Return the lengths of ``axis`` in those of the ``tensors`` of `trilinear` that have it."""
    found = []
    for number in tensors:
        added = integers(op.attributes[f"expand{number}"])
        if axis not in added:
            found.append(op.inputs[number - 1].shape[axis - sum(other < axis for other in added)])
    return found


@formula("addbmm")
def sum_of_products_and_add(op: OpRecord) -> Work:
    """Count ``c + sum over b of a[b] @ d[b]``: every output element sums b x k products."""
    _, a, _ = op.inputs
    b, _, k = a.shape
    return Work(macs=output_elements(op) * b * k, elementwise_ops=output_elements(op))


@formula(
    "scaled_dot_product_attention",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable",
)
def attention(op: OpRecord) -> Work:
    """Count softmax(q k^T / sqrt(d)) v over ``q [..., s, d]``, ``k [..., t, d]``, ``v [..., t, e]``.

    Every one of ``[..., s, t]`` scores costs d multiply-accumulates before the softmax and e after it,
    and 4 elementwise operations: scale, exponential, sum, division; 1 more with a mask, 2 with dropout. A
    causal mask saves nothing in this convention (kernels differ); grouped keys are repeated, not saved.
    """
    query, key, value = op.inputs[:3]
    scores = score_elements(query, key, value)
    steps = 4 + _masked(op) + 2 * (op.attributes.get("dropout_p", 0.0) != 0.0)
    return Work(macs=scores * (query.shape[-1] + value.shape[-1]), elementwise_ops=scores * steps)


def score_elements(query: TensorRecord, key: TensorRecord, value: TensorRecord) -> int:
    """Return how many scores attention forms: every query with every key, in every head and example.

    Keys may have fewer heads (grouped) and any of the three may be broadcast; the longest shape leads.
    """
    lead = max((x.shape[:-2] for x in (query, key, value)), key=prod)
    return prod(lead) * query.shape[-2] * key.shape[-2]


def _masked(op: OpRecord) -> bool:
    """Tell whether a mask is among the inputs: it is the fourth, ahead of no other tensor."""
    return len(op.inputs) > 3

"""Count the multiply-accumulates of convolutions, matrix products and attention.

Sources: the definitions in the PyTorch operator reference; ResNet-50, EfficientNet-B0 and ViT-S/16
come out to the last multiply-accumulate as their papers' layer tables (tests/oracles.py).
A bias is one elementwise operation per output element, never a multiply-accumulate.
"""

from math import prod

from explorer.accounting.formulas.registry import Work, formula
from explorer.accounting.formulas.shapes import elements, output_elements
from explorer.record import OpRecord


@formula(
    "convolution",
    "_convolution",
    "convolution_overrideable",
    "mkldnn_convolution",
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


@formula("linear")
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


@formula("addmm", "baddbmm", "addmv")
def product_and_add(op: OpRecord) -> Work:
    """Count ``beta * c + alpha * a @ b``: the product, and the addition of c unless beta is 0."""
    _, a, _ = op.inputs
    *_, k = a.shape
    return Work(
        macs=output_elements(op) * k,
        elementwise_ops=output_elements(op) if op.attributes.get("beta", 1) != 0 else 0,
    )


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
    and 4 elementwise operations: scale, exponential, sum, division; a fifth with a mask. A causal mask
    saves nothing in this convention (kernels differ), and grouped keys are repeated, not saved.
    """
    query, key, value = op.inputs[:3]
    (s, d), (t, e) = query.shape[-2:], value.shape[-2:]
    # Keys may have fewer heads (grouped) and any of the three may be broadcast; the longest shape leads.
    lead = max((x.shape[:-2] for x in (query, key, value)), key=prod)
    scores = prod(lead) * s * t
    return Work(macs=scores * (d + e), elementwise_ops=scores * (5 if _masked(op) else 4))


def _masked(op: OpRecord) -> bool:
    """Tell whether a mask is among the inputs: it is the fourth, ahead of no other tensor."""
    return len(op.inputs) > 3

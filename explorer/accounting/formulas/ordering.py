"""Count Fourier transforms and what puts elements in order: n log n operators."""

from math import ceil, log2, prod

from explorer.accounting.formulas.registry import Work, formula
from explorer.accounting.formulas.shapes import elements, input_elements, integers
from explorer.record import OpRecord


@formula("_fft_c2c", "_fft_r2c", "_fft_c2r")
def fourier_transform(op: OpRecord) -> Work:
    """Count 5 n log2 n real operations a complex transform of n numbers, half as many a real one.

    n is the product of the transformed lengths (of the real side, where one side is real): the
    radix-2 count, n / 2 log2 n butterflies of 10 operations. Source: M. Frigo and S. G. Johnson, The
    Design and Implementation of FFTW3, Proc. IEEE 93 (2005), section VIII. Never multiply-accumulates.
    """
    real_side = op.outputs[0] if op.op == "_fft_c2r" else op.inputs[0]
    n = prod(real_side.shape[axis] for axis in integers(op.attributes["dim"]))
    if n == 0:
        return Work()
    one = ceil(5 * n * log2(n) / (1 if op.op == "_fft_c2c" else 2))
    return Work(elementwise_ops=elements(real_side) // n * one)


@formula("sort", "argsort", "msort")
def sort(op: OpRecord) -> Work:
    """Count ceil(log2 n) comparisons an element, n elements in each row: merge sort's bound."""
    shape = op.inputs[0].shape
    axis = op.attributes.get("dim", -1) if op.op != "msort" else 0
    n = shape[axis] if shape and isinstance(axis, int) else 1
    return Work(elementwise_ops=input_elements(op) * _levels(n))


@formula("topk")
def topk(op: OpRecord) -> Work:
    """Count 1 + ceil(log2 k) comparisons an element: with the smallest kept, and its way into a heap of k."""
    k = op.attributes["k"]
    if not isinstance(k, int):
        raise TypeError(f"topk: wanted an integer k, got {k!r}")
    return Work(elementwise_ops=input_elements(op) * (1 + _levels(k)))


@formula("kthvalue", "median", "nanmedian", "mode")
def selection(op: OpRecord) -> Work:
    """Count 1 an element, as a reduction: selection needs no order."""
    return Work(elementwise_ops=input_elements(op))


@formula("searchsorted", "bucketize")
def binary_search(op: OpRecord) -> Work:
    """Count ceil(log2(n + 1)) comparisons a value searched for among n."""
    first = op.inputs[0]
    table, values = (first, op.outputs[0]) if op.op == "searchsorted" else (op.inputs[-1], op.outputs[0])
    n = table.shape[-1] if table.shape else 1
    return Work(elementwise_ops=elements(values) * _levels(n + 1))


def _levels(n: int) -> int:
    """Return ceil(log2 n), 0 for n below 2."""
    return max(n - 1, 0).bit_length()

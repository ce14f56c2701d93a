"""Say what each operator computes: one small pure formula of shapes an operator.

| what | elementwise operations | file |
|---|---|---|
| bias of a convolution or linear layer | 1 an output element | contraction |
| attention (fused) | 4 a score (scale, exponential, sum, division), 5 with a mask | contraction |
| arithmetic, comparison, activation function | 1 an output element | pointwise |
| addcmul, addcdiv; lerp | 2; 3 an output element | pointwise |
| batch norm in evaluation | 2 an element; with batch statistics 6 | normalisation |
| layer norm, group norm | 4 an element, 6 with scale and shift | normalisation |
| RMS norm | 2 an element, 3 with a scale | normalisation |
| weight norm | 3 an element of the weight | normalisation |
| softmax, log-softmax | 3 an element | normalisation |
| pooling | the window at every output element | reduction |
| sum, mean, max, cumulative sum | 1 an input element | reduction |
| vector norm; variance | 2; 3 an input element | reduction |
| linear, cubic interpolation | the neighbours weighed at every output element | reduction |
| views, copies, look-ups, allocation | 0 | movement |

Multiply-accumulates come from convolutions and matrix products alone (contraction). An operator
without a formula is reported as uncounted, never taken as zero. Limits: recurrent layers arrive
taken apart into matrix products; sparse, quantised, Fourier and sorting operators have no formula.
"""

# Importing a family registers its formulas.
from explorer.accounting.formulas import contraction, movement, normalisation, pointwise, reduction
from explorer.accounting.formulas.registry import Formula, Work, find_formula, formula, registered

__all__ = [
    "Formula",
    "Work",
    "contraction",
    "find_formula",
    "formula",
    "movement",
    "normalisation",
    "pointwise",
    "reduction",
    "registered",
]

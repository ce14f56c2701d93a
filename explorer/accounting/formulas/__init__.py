"""Say what each operator computes: one small pure formula of shapes an operator.

| what | elementwise operations | file |
|---|---|---|
| bias of a convolution or linear layer | 1 an output element | contraction |
| attention (fused) | 4 a score (scale, exponential, sum, division), 1 more with a mask | contraction |
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
| `index_add`, `col2im`, accumulating `index_put` | 1 an added element | reduction |
| linear, cubic interpolation | the neighbours weighed at every output element | sampling |
| the same with antialiasing | the neighbours weighed in each of two passes | sampling |
| LSTM, GRU, RNN | 13, 10, 2 a hidden unit and step, and biases | recurrent |
| Fourier transform of n numbers | 5 n log2 n complex, half as many real | ordering |
| sort of n; the largest k | log2 n; 1 + log2 k an element, rounded up | ordering |
| random number; dropout | 1; 3 an output element | pointwise |
| views, copies, look-ups, allocation | 0 | movement |
| backward: activation function | 2 an element, 1 where the derivative is constant | backward |
| backward: batch, layer, group norm | 8 an element, up to 12 with scale and shift | backward |
| backward: softmax | 4 an element | backward |
| backward: attention (fused) | 5 a score, 6 with a mask; 2 an element of the result | backward |
| backward: pooling, interpolation | as forward | backward |

Multiply-accumulates come from convolutions, matrix products and recurrent layers alone (contraction,
recurrent; backward for their gradients). An operator without a formula is reported as uncounted,
never taken as zero; `formula` registers one for an operator of your own:

    @explorer.accounting.formulas.formula("mylib::scan")
    def scan(op: OpRecord) -> Work:
        return Work(macs=..., elementwise_ops=...)

Limits: sparse and quantised operators, decompositions of matrices and losses have no formula.
"""

# Importing a family registers its formulas.
from explorer.accounting.formulas import (
    backward,
    contraction,
    movement,
    normalisation,
    ordering,
    pointwise,
    recurrent,
    reduction,
    sampling,
)
from explorer.accounting.formulas.registry import Formula, Work, find_formula, formula, registered

__all__ = [
    "Formula",
    "Work",
    "backward",
    "contraction",
    "find_formula",
    "formula",
    "movement",
    "normalisation",
    "ordering",
    "pointwise",
    "recurrent",
    "reduction",
    "registered",
    "sampling",
]

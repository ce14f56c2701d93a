"""State what the counted figures mean, in words that travel with every count.

A change in any of these sentences is a change of every stored number: raise `COUNT_CONVENTION`.
"""

from collections.abc import Mapping

COUNT_CONVENTION = "macs-v1"
"""Name under which counted figures are stored.

History:
- ``macs-v1``: first version.
"""

CONVENTIONS: Mapping[str, str] = {
    "version": COUNT_CONVENTION,
    "macs": (
        "one multiply-accumulate of a convolution, linear layer or matrix product counts once; "
        "padding positions and causally masked attention scores count like any other"
    ),
    "elementwise_ops": (
        "biases, additions, arithmetic, activations, norms, softmax, pooling, interpolation, sorting and "
        "Fourier transforms: "
        "one per element and step, never part of macs"
    ),
    "parameters": "learned numbers, shared ones once; buffers are not parameters",
    "param_bytes": "bytes of the parameters in the dtype they were traced in",
    "activation_peak_bytes": (
        "largest sum of live storages from first write to last read; parameters, buffers, the model's input "
        "and by-products that nothing reads (pooling indices) are left out; attention is one fused operator; "
        "kernel workspace is not seen, so a lower bound"
    ),
    "form": "the model in evaluation mode, as given: nothing is folded or re-parameterised",
}
"""What each counted figure means, by name."""

"""Count recurrent layers recorded as the one operator that devices run."""

from math import prod

from explorer.accounting.formulas.registry import Work, formula
from explorer.accounting.formulas.shapes import elements
from explorer.record import OpRecord

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
"""Rows of a weight matrix over the hidden width."""

STEPS = {"lstm": 13, "gru": 10, "rnn_tanh": 2, "rnn_relu": 2}
"""Elementwise operations a hidden unit and step, biases left out.

LSTM: 4 sums of the two products, 4 gates, and for the cell 2 products, a sum, tanh, a product. GRU: 2
sums and 2 gates; product, sum and tanh of the candidate; subtraction, product, sum. RNN: sum, function.
"""


@formula(*GATES)
def recurrent(op: OpRecord) -> Work:
    """Count each weight matrix once a step and example, in every layer and direction.

    Inputs are the sequence ``[..., feature]``, the state (two tensors for the LSTM), then the
    weights of each layer and direction: input, hidden, their biases, and a projection if there is one.
    """
    sequence, *_ = op.inputs
    weights = op.inputs[3 if op.op == "lstm" else 2 :]
    tokens = prod(sequence.shape[:-1])
    matrices = [weight for weight in weights if len(weight.shape) == 2]
    biases = [weight for weight in weights if len(weight.shape) == 1]
    # A gate matrix has gates x hidden rows; a projection has fewer, so the first matrix tells.
    hidden = matrices[0].shape[0] // GATES[op.op]
    layers = _integer(op, "num_layers") * (2 if op.attributes["bidirectional"] else 1)
    return Work(
        macs=tokens * sum(map(elements, matrices)),
        elementwise_ops=tokens * (layers * hidden * STEPS[op.op] + sum(map(elements, biases))),
    )


def _integer(op: OpRecord, name: str) -> int:
    value = op.attributes[name]
    if not isinstance(value, int):
        raise TypeError(f"{op.op}: wanted an integer {name}, got {value!r}")
    return value

"""Count a training step: forward, backward, the optimiser's update, and what has to be held for them.

The update costs elementwise operations a parameter, by the optimisers' definitions (weight decay, at 2
more, left out):

| optimiser | operations | numbers of state | definition |
|---|---|---|---|
| sgd | 2 | 0 | p - a g |
| momentum | 4 | 1 | v = m v + g; p - a v |
| adam | 12 | 2 | arXiv 1412.6980, algorithm 1 in the order of its section 2 (corrections in the step size) |

adam: 3 for the first moment, 4 for the second, root, epsilon, division, step size, subtraction.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from explorer.accounting.formulas import Work, find_formula
from explorer.errors import UsageError
from explorer.record import OpRecord, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimiser:
    """What an optimiser does and keeps for each parameter."""

    steps: int
    """Elementwise operations of one update."""
    states: int
    """Numbers kept between updates, in the parameter's dtype."""


OPTIMISERS: Mapping[str, Optimiser] = {
    "sgd": Optimiser(steps=2, states=0),
    "momentum": Optimiser(steps=4, states=1),
    "adam": Optimiser(steps=12, states=2),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCost:
    """What one training step of one batch costs; all parameters are trained."""

    batch: int
    optimiser: str
    forward: Work
    """In training mode: batch norms use the batch's statistics."""
    backward: Work
    update: Work
    """Once a step, whatever the batch."""
    gradient_bytes: int
    """One gradient a parameter."""
    optimiser_state_bytes: int
    saved_activation_bytes: int
    """Memory that the forward pass writes and the backward pass reads; parameters and input left out."""
    uncounted: Mapping[str, int] = field(default_factory=dict)
    """Operators without a formula, forward and backward, and how often they ran."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole step."""
        return self.forward.macs + self.backward.macs + self.update.macs

    @property
    def elementwise_ops(self) -> int:
        """Elementwise operations of the whole step."""
        return self.forward.elementwise_ops + self.backward.elementwise_ops + self.update.elementwise_ops


def training_cost(trace: Trace, *, optimiser: str = "sgd") -> TrainingCost:
    """Return what one training step costs.

    Args:
        trace: of a forward and a backward pass.
        optimiser: a name in `OPTIMISERS`.

    Raises:
        UsageError: the trace has no backward pass, or the optimiser is unknown.
    """
    if not trace.backward_ops:
        raise UsageError("this trace has no backward pass; trace the model with backward=True")
    if optimiser not in OPTIMISERS:
        raise UsageError(f"unknown optimiser {optimiser!r}; there are {', '.join(OPTIMISERS)}")
    rule = OPTIMISERS[optimiser]
    uncounted: Counter[str] = Counter()
    return TrainingCost(
        batch=trace.input_shape[0],
        optimiser=optimiser,
        forward=_work(trace.ops, uncounted),
        backward=_work(trace.backward_ops, uncounted),
        update=Work(elementwise_ops=rule.steps * trace.parameters),
        gradient_bytes=trace.param_bytes,
        optimiser_state_bytes=rule.states * trace.param_bytes,
        saved_activation_bytes=saved_activation_bytes(trace),
        uncounted=dict(uncounted),
    )


def saved_activation_bytes(trace: Trace) -> int:
    """Return the bytes of activations that the forward pass must keep for the backward pass.

    Whole storages, each once: those that a forward operator touches and a backward operator reads.
    """
    size: dict[int, int] = {}
    for op in trace.ops:
        for tensor in (*op.inputs, *op.outputs):
            if not tensor.persistent:
                size[tensor.storage] = max(size.get(tensor.storage, 0), tensor.storage_bytes)
    read = {tensor.storage for op in trace.backward_ops for tensor in op.inputs}
    return sum(amount for storage, amount in size.items() if storage in read)


def _work(ops: Sequence[OpRecord], uncounted: Counter[str]) -> Work:
    """Sum the operators' formulas; count in ``uncounted`` those that have none."""
    macs = elementwise_ops = 0
    for op in ops:
        formula = find_formula(op.op)
        if formula is None:
            uncounted[op.op] += 1
            continue
        work = formula(op)
        macs += work.macs
        elementwise_ops += work.elementwise_ops
    return Work(macs=macs, elementwise_ops=elementwise_ops)

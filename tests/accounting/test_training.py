"""Training cost by hand: one linear layer with ReLU, in floats that can be counted on paper."""

from dataclasses import replace

import pytest

from explorer.accounting.formulas import Work
from explorer.accounting.training import OPTIMISERS, saved_activation_bytes, training_cost
from explorer.errors import UsageError
from explorer.record import OpRecord, Trace


@pytest.fixture
def step(tensor) -> Trace:
    """Y = relu(x w), 2 x 3 times 3 x 5; backward masks the gradient by y and multiplies by x."""
    x, weight = tensor(0, 2, 3, persistent=True), tensor(1, 3, 5, persistent=True)
    product, active = tensor(2, 2, 5), tensor(3, 2, 5)
    given, masked, gradient = tensor(4, 2, 5), tensor(5, 2, 5), tensor(6, 3, 5)
    return Trace(
        ops=(
            OpRecord(op="mm", module="", inputs=(x, weight), outputs=(product,)),
            OpRecord(op="relu", module="", inputs=(product,), outputs=(active,)),
        ),
        backward_ops=(
            OpRecord(op="threshold_backward", module="", inputs=(given, active), outputs=(masked,)),
            OpRecord(
                op="mm", module="", inputs=(tensor(0, 3, 2, persistent=True), masked), outputs=(gradient,)
            ),
        ),
        input_shape=(2, 3),
        parameters=15,
        param_bytes=60,
        buffer_bytes=0,
        result_storages=(3,),
    )


def test_a_step_by_hand(step) -> None:
    cost = training_cost(step, optimiser="adam")

    assert cost.batch == 2
    assert cost.forward == Work(macs=30, elementwise_ops=10)
    assert cost.backward.macs == 30
    assert cost.update == Work(elementwise_ops=12 * 15)
    assert cost.gradient_bytes == 60
    assert cost.optimiser_state_bytes == 2 * 60
    assert cost.saved_activation_bytes == 40  # y; x is the input, x w is not needed
    assert cost.macs == 60
    assert cost.elementwise_ops == 10 + cost.backward.elementwise_ops + 180


@pytest.mark.parametrize(("name", "states"), [("sgd", 0), ("momentum", 1), ("adam", 2)])
def test_state_of_each_optimiser(step, name: str, states: int) -> None:
    assert training_cost(step, optimiser=name).optimiser_state_bytes == 60 * states


def test_updates_count_the_signs_of_the_definition() -> None:
    """One parameter's update written out with a number that counts its operations."""

    class Counted:
        used = 0

        def __init__(self, value: float) -> None:
            self.value = value

        def _of(self, value: float) -> "Counted":
            Counted.used += 1
            return Counted(value)

        def __add__(self, other):
            return self._of(self.value + getattr(other, "value", other))

        def __sub__(self, other):
            return self._of(self.value - getattr(other, "value", other))

        def __mul__(self, other):
            return self._of(self.value * getattr(other, "value", other))

        def __truediv__(self, other):
            return self._of(self.value / getattr(other, "value", other))

        def root(self):
            return self._of(self.value**0.5)

    def used_by(update) -> int:
        Counted.used = 0
        update(Counted(1.0), Counted(0.5), Counted(0.25), Counted(0.125))
        return Counted.used

    def adam(p, g, m, v):
        m = m * 0.9 + g * 0.1
        v = v * 0.99 + g * g * 0.01
        return p - m / (v.root() + 1e-8) * 0.001

    assert used_by(lambda p, g, m, v: p - g * 0.1) == OPTIMISERS["sgd"].steps
    assert used_by(lambda p, g, m, v: p - (m * 0.9 + g) * 0.1) == OPTIMISERS["momentum"].steps
    assert used_by(adam) == OPTIMISERS["adam"].steps


def test_a_shared_storage_is_saved_once(step, tensor) -> None:
    again = OpRecord(op="mul", module="", inputs=(tensor(3, 2, 5), tensor(3, 10)), outputs=(tensor(7, 2, 5),))

    assert saved_activation_bytes(replace(step, backward_ops=(*step.backward_ops, again))) == 40


def test_operators_without_a_formula_are_listed(step, tensor) -> None:
    unknown = OpRecord(op="mylib::scan", module="", inputs=(tensor(3, 2),), outputs=(tensor(8, 2),))
    both = replace(step, ops=(*step.ops, unknown), backward_ops=(*step.backward_ops, unknown))

    assert training_cost(both).uncounted["mylib::scan"] == 2


def test_without_a_backward_pass(step) -> None:
    with pytest.raises(UsageError, match="no backward pass; trace the model with backward=True"):
        training_cost(replace(step, backward_ops=()))


def test_unknown_optimiser(step) -> None:
    with pytest.raises(UsageError, match="unknown optimiser 'lion'; there are sgd, momentum, adam"):
        training_cost(step, optimiser="lion")

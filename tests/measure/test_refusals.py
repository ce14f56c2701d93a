"""Which models and shapes cannot be counted, and what the refusal says."""

import pytest
import torch
from torch import nn

from explorer.errors import UsageError
from explorer.measure.trace import trace_model


class Apply(nn.Module):
    """A model of one function."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(self, x)


@pytest.mark.parametrize(
    "function",
    [
        lambda self, x: x * 2 if x.sum() > 0 else x,
        lambda self, x: x * x.sum().item(),
        lambda self, x: x[x > 0],
        lambda self, x: x[: int(x.max())],
        lambda self, x: torch.nonzero(x),
        lambda self, x: torch.unique(x),
        lambda self, x: x if torch.equal(x, x) else -x,
        lambda self, x: x + len(x.tolist()),
        lambda self, x: torch.from_numpy(x.numpy()),
        lambda self, x: torch.masked_select(x, x > 0),
    ],
)
def test_a_model_that_branches_on_values_is_refused(function) -> None:
    with pytest.raises(
        UsageError, match="cannot be counted: what it does depends on the values of its input"
    ):
        trace_model(Apply(function), (2, 3))


def test_the_refusal_names_the_module() -> None:
    model = nn.Sequential(nn.Linear(3, 5), Apply(lambda self, x: x if x.sum() > 0 else -x))

    with pytest.raises(UsageError, match=r"Sequential .*\(_local_scalar_dense in module '1'\)"):
        trace_model(model, (2, 3))


def test_a_shape_that_the_model_does_not_accept() -> None:
    model = nn.Sequential(nn.Linear(3, 5), nn.Linear(7, 2))

    with pytest.raises(
        UsageError, match=r"Sequential does not run on an input of shape \(2, 3\) in module '1'"
    ):
        trace_model(model, (2, 3))


@pytest.mark.parametrize("shape", [(), (0, 3), (2, -1), (2.0, 3)])
def test_impossible_shapes_are_refused(shape: tuple) -> None:
    with pytest.raises(UsageError, match="an input shape is positive integers, example first"):
        trace_model(nn.ReLU(), shape)


def test_a_lazy_model_is_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"without a shape yet \(weight, bias\); run it once"):
        trace_model(nn.LazyLinear(3), (2, 5))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"TorchScript module cannot be counted; give the nn\.Module"):
        trace_model(torch.jit.script(nn.Linear(5, 3)), (2, 5))


def test_errors_are_one_line() -> None:
    def fail(self, x):
        raise ValueError("first\nsecond\n  third")

    with pytest.raises(UsageError) as caught:
        trace_model(Apply(fail), (2, 3))

    assert "first second third" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)

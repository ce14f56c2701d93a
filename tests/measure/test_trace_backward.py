"""A step of training: what the backward pass runs, and that it is twice the forward pass but one layer."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

import zoo
from explorer.accounting import count
from explorer.accounting.formulas import find_formula
from explorer.errors import UsageError
from explorer.measure.trace import trace_model
from explorer.record import Cost, Trace


def backward_cost(trace: Trace) -> Cost:
    return count(replace(trace, ops=trace.backward_ops), strict=True)


def forward_cost(trace: Trace) -> Cost:
    return count(trace, strict=True)


class Apply(nn.Module):
    """A model of one function behind a layer that is trained."""

    def __init__(self, function, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width, bias=False)
        self.function = function

    def forward(self, x):
        return self.function(self.layer(x))


# ---- closed forms -----------------------------------------------------------------------------------


def test_a_chain_of_linear_layers_by_hand() -> None:
    chain = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 11))

    trace = trace_model(chain, (2, 3), backward=True)

    assert forward_cost(trace).macs == 2 * (15 + 35 + 77)
    assert backward_cost(trace).macs_by_module == {"0": 2 * 15, "2": 2 * 2 * 35, "4": 2 * 2 * 77}
    # each ReLU masks its gradient, each bias sums its own
    assert backward_cost(trace).elementwise_ops == 2 * (5 + 7) + 2 * (5 + 7 + 11)


@settings(max_examples=40, deadline=None)
@given(
    st.permutations((2, 3, 5, 7)),
    st.integers(1, 3),
    st.integers(0, 2),
    st.sampled_from([nn.Conv2d, nn.ConvTranspose2d]),
    st.sampled_from([1, 2]),
    st.booleans(),
)
def test_a_convolution_costs_twice_backward_and_once_without_its_inputs_gradient(
    sizes: list[int], stride: int, padding: int, kind: type, groups: int, bias: bool
) -> None:
    b, c_in, c_out, c_last = sizes
    c_in, c_out, c_last = groups * c_in, groups * c_out, groups * c_last
    options = {"stride": stride, "padding": padding, "groups": groups, "bias": bias}
    model = nn.Sequential(kind(c_in, c_out, (3, 4), **options), kind(c_out, c_last, (3, 4), **options))

    trace = trace_model(model, (b, c_in, 23, 29), backward=True)

    forward = forward_cost(trace).macs_by_module
    assert backward_cost(trace).macs_by_module == {"0": forward["0"], "1": 2 * forward["1"]}
    sums = sum(b * t.shape[1] * t.shape[2] * t.shape[3] for op in trace.ops for t in op.outputs[:1])
    assert backward_cost(trace).elementwise_ops == sums * bias


def test_resnet50_costs_twice_backward_but_for_the_stem() -> None:
    with torch.device("meta"):
        model = zoo.build("timm:resnet50", num_classes=1000)

    trace = trace_model(model, (3, 3, 224, 224), backward=True)

    stem = 3 * 112 * 112 * 64 * 3 * 49
    assert forward_cost(trace).macs == 3 * 4_089_184_256
    assert backward_cost(trace).macs == 2 * 3 * 4_089_184_256 - stem
    assert backward_cost(trace).macs_by_module["conv1"] == stem


def test_every_layer_has_its_own_backward_pass() -> None:
    with torch.device("meta"):
        model = zoo.build("timm:efficientnet_b0", num_classes=1000)

    trace = trace_model(model, (2, 3, 64, 64), backward=True)

    forward = forward_cost(trace).macs_by_module
    expected = {path: 2 * macs for path, macs in forward.items()}
    expected["conv_stem"] //= 2
    assert backward_cost(trace).macs_by_module == expected


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_100", "convnext_atto", "regnetx_002"])
def test_torchs_own_counter_agrees_but_for_groups(name: str) -> None:
    """It counts two operations a multiply-accumulate, of a real pass on real numbers.

    Of a grouped convolution's weight it counts the gradient as if every channel met every other: groups
    times what is computed (torch 2.13, flop_counter.conv_backward_flop).
    """
    model = zoo.build(f"timm:{name}", num_classes=1000).train()
    with FlopCounterMode(display=False) as counter:
        model(torch.rand(2, 3, 64, 64)).sum().backward()

    trace = trace_model(model, (2, 3, 64, 64), backward=True)

    too_much = 0
    for op in trace.ops:
        if op.op == "convolution" and op.attributes["groups"] > 1:
            too_much += (op.attributes["groups"] - 1) * find_formula("convolution")(op).macs
    ours = forward_cost(trace).macs + backward_cost(trace).macs
    assert 2 * (ours + too_much) == counter.get_total_flops()
    assert (too_much == 0) == (name == "resnet18")


@pytest.mark.parametrize("batch", [2, 7])
def test_a_step_is_linear_in_the_batch(batch: int) -> None:
    with torch.device("meta"):
        model = zoo.build("timm:vit_tiny_patch16_224", num_classes=10)
    one, many = (trace_model(model, (n, 3, 224, 224), backward=True) for n in (1, batch))

    assert forward_cost(many).macs == batch * forward_cost(one).macs
    assert backward_cost(many).macs == batch * backward_cost(one).macs


# ---- attention ---------------------------------------------------------------------------------------


def test_fused_attention_backward_is_one_operator_that_computes_the_scores_again() -> None:
    def attend(y):
        return F.scaled_dot_product_attention(y, y[..., :5, :], y[..., :5, :])

    trace = trace_model(Apply(attend, 11), (2, 3, 7, 11), backward=True)

    scores, d = 2 * 3 * 7 * 5, 11
    assert [op.op for op in trace.backward_ops].count("scaled_dot_product_attention_backward") == 1
    by_op = backward_cost(trace).macs_by_op
    assert forward_cost(trace).macs_by_op["scaled_dot_product_attention"] == 2 * scores * d
    assert by_op["scaled_dot_product_attention_backward"] == 5 * scores * d


def test_attention_taken_apart_costs_twice_backward() -> None:
    def attend(y):
        return (y @ y.transpose(-2, -1)).softmax(-1) @ y

    trace = trace_model(Apply(attend, 11), (2, 3, 7, 11), backward=True)

    attention = 2 * 2 * 3 * 7 * 7 * 11
    layer = 2 * 3 * 7 * 11 * 11
    assert forward_cost(trace).macs == layer + attention
    assert backward_cost(trace).macs == layer + 2 * attention


def test_a_learned_mask_gets_a_gradient() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(3, 7, 7))

        def forward(self, x):
            return F.scaled_dot_product_attention(x, x, x, attn_mask=self.bias)

    trace = trace_model(Net(), (2, 3, 7, 11), backward=True)

    attention = next(op for op in trace.backward_ops if op.op == "scaled_dot_product_attention_backward")
    assert [t.shape for t in attention.outputs][3:] == [(3, 7, 7)]
    assert forward_cost(trace).elementwise_ops == 5 * 2 * 3 * 49
    assert backward_cost(trace).elementwise_ops >= 6 * 2 * 3 * 49


def test_the_backward_pass_of_attention_belongs_to_its_module() -> None:
    with torch.device("meta"):
        model = zoo.build("timm:vit_tiny_patch16_224", num_classes=10)

    trace = trace_model(model, (1, 3, 224, 224), backward=True)

    def places(ops) -> list[str]:
        return [op.module for op in ops if op.op.startswith("scaled_dot_product_attention")]

    assert places(trace.ops) == [f"blocks.{i}.attn" for i in range(12)]
    assert places(trace.backward_ops) == places(trace.ops)[::-1]


# ---- training mode -----------------------------------------------------------------------------------


def test_norms_and_dropout_run_as_in_training() -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5), nn.Dropout(0.5)).eval()

    trace = trace_model(model, (2, 3, 7, 7), backward=True)

    (norm,) = (op for op in trace.ops if op.op == "native_batch_norm")
    (back,) = (op for op in trace.backward_ops if op.op == "native_batch_norm_backward")
    assert norm.attributes["training"] is True
    assert back.attributes["train"] is True
    n = 2 * 5 * 49
    # convolution's bias; statistics, scale and shift, one added to the number of batches; draw, scale, apply
    assert forward_cost(trace).elementwise_ops == n + 6 * n + 1 + 2 * n + n
    assert backward_cost(trace).elementwise_ops == n + 8 * n + n


def test_frozen_parameters_get_no_gradient() -> None:
    model = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 7), nn.Linear(7, 11))
    model[0].requires_grad_(False)
    model[1].requires_grad_(False)

    assert backward_cost(trace_model(model, (2, 3), backward=True)).macs_by_module == {"2": 2 * 77}


def test_a_model_without_anything_to_train_is_refused() -> None:
    model = nn.Linear(3, 5).requires_grad_(False)

    with pytest.raises(UsageError, match="nothing to train: no result depends on a parameter"):
        trace_model(model, (2, 3), backward=True)
    with pytest.raises(UsageError, match="nothing to train"):
        trace_model(nn.ReLU(), (2, 3), backward=True)


def test_batch_statistics_of_one_number_are_refused_with_what_to_do() -> None:
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5))

    with pytest.raises(UsageError, match=r"in module '1'.*batch statistics need a larger batch"):
        trace_model(model, (1, 3), backward=True)
    assert trace_model(model, (1, 3)).ops


def test_all_results_are_trained() -> None:
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 5), nn.Linear(3, 7)

        def forward(self, x):
            return {"a": self.a(x), "b": [self.b(x), x.argmax(-1)]}

    trace = trace_model(Heads(), (2, 3), backward=True)

    assert backward_cost(trace).macs_by_module == {"a": 2 * 15, "b": 2 * 21}


def test_checkpointed_layers_run_forward_once_more() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.inner = (
                nn.Linear(3, 5),
                nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 2)),
            )

        def forward(self, x):
            return checkpoint(self.inner, self.stem(x), use_reentrant=False)

    trace = trace_model(Net(), (2, 3), backward=True)

    assert forward_cost(trace).macs_by_module == {"stem": 30, "inner.0": 70, "inner.2": 28}
    # The last layer's result is not needed: torch stops before it.
    assert backward_cost(trace).macs_by_module == {"stem": 30, "inner.0": 3 * 70, "inner.2": 2 * 28}


def test_an_autograd_function_of_the_models_own() -> None:
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            return 2 * x * gradient

    trace = trace_model(Apply(Square.apply, 5), (3, 5), backward=True)

    assert backward_cost(trace).elementwise_ops == 2 * 15
    assert backward_cost(trace).macs == 75


def test_recurrent_layers_are_taken_apart() -> None:
    trace = trace_model(nn.LSTM(5, 3, batch_first=True), (2, 7, 5), backward=True)

    # The last output alone feeds nothing on: the backward pass has every product but those of the start.
    products = 2 * 7 * 4 * 3 * (5 + 3)
    assert forward_cost(trace).macs == products
    # weights' gradients of both products, states' gradients of the hidden one but at the first step
    assert backward_cost(trace).macs == products + 2 * 6 * 4 * 3 * 3


def test_the_forward_pass_alone_has_no_backward_pass() -> None:
    trace = trace_model(nn.Linear(3, 5), (2, 3))

    assert trace.backward_ops == ()

"""Recurrent layers recorded whole against the same taken apart; operators that meta cannot hide."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import zoo
from explorer.accounting import count
from explorer.measure.trace import count_model, trace_model

KINDS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn_tanh": nn.RNN, "rnn_relu": nn.RNN}


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([*KINDS]),
    st.permutations((2, 3, 5, 7)),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 2]),
)
def test_whole_and_taken_apart_compute_the_same(
    kind: str, sizes: list[int], layers: int, bias: bool, bidirectional: bool, projection: int
) -> None:
    """With the backward pass torch takes the layer apart into its steps; the forward pass is the same."""
    batch, steps, features, hidden = sizes
    options: dict = {"nonlinearity": kind[4:]} if kind.startswith("rnn") else {}
    if kind == "lstm" and projection < hidden:
        options["proj_size"] = projection
    layer = KINDS[kind](
        features, hidden, layers, bias=bias, bidirectional=bidirectional, batch_first=True, **options
    )

    whole = trace_model(layer, (batch, steps, features))
    apart = trace_model(layer, (batch, steps, features), backward=True)

    assert [op.op for op in whole.ops if op.op not in ("zeros", "transpose")] == [kind]
    assert len(apart.ops) > 10
    ours, theirs = count(whole, strict=True), count(apart, strict=True)
    assert ours.macs == theirs.macs
    assert ours.elementwise_ops == theirs.elementwise_ops
    with torch.no_grad():
        real, states = layer(torch.rand(batch, steps, features))
    recorded = [tensor.shape for tensor in whole.ops[-1].outputs]
    states = states if isinstance(states, tuple) else (states,)
    assert recorded == [tuple(tensor.shape) for tensor in (real, *states)]


def test_a_sequence_that_does_not_fit_is_refused_in_torchs_words() -> None:
    from explorer.errors import UsageError

    with pytest.raises(UsageError, match="does not run on an input of shape"):
        count_model(nn.LSTM(5, 3), (2, 7, 11))


def test_a_packed_sequence_is_not_taken_for_a_plain_one() -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.LSTM(5, 3)

        def forward(self, x):
            lengths = torch.tensor([4, 2], device="cpu")
            packed = nn.utils.rnn.PackedSequence(
                x.reshape(-1, 5)[:6], torch.tensor([2, 2, 1, 1], device="cpu")
            )
            assert lengths.sum() == packed.data.shape[0]
            return self.layer(packed)[0].data

    assert count_model(Packed(), (4, 2, 5), strict=True).macs == 6 * 4 * 3 * (5 + 3)


def test_an_unbatched_sequence() -> None:
    assert count_model(nn.LSTM(5, 3), (7, 5), strict=True).macs == 7 * 4 * 3 * (5 + 3)


def test_a_recurrent_network_is_a_few_records() -> None:
    with torch.device("meta"):
        model = zoo.build("timm:sequencer2d_s", num_classes=1000)

    trace = trace_model(model, (1, 3, 224, 224))

    assert len(trace.ops) < 1000
    assert count(trace, strict=True).macs == 8_334_007_296


class Apply(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    ("function", "operations"),
    [
        (lambda x: torch.fft.fft(x.to(torch.complex64)).real, 2 * 3 * 5 * 8 * 3),
        (lambda x: torch.fft.irfft(torch.fft.rfft(x)), 2 * 3 * 5 * 8 * 3),
        (lambda x: x.sort(dim=-1)[0], 6 * 8 * 3),
        (lambda x: x.topk(4)[0], 6 * 8 * 3),
        (lambda x: x.roll(1, -1), 0),
        (lambda x: F.unfold(x[:, None], (3, 3), padding=1), 0),
        (lambda x: torch.einsum("bij,bkj->bik", x, x), 0),
    ],
)
def test_what_used_to_lack_a_formula(function, operations: int) -> None:
    cost = count_model(Apply(function), (2, 3, 8), strict=True)

    assert cost.elementwise_ops == operations


def test_einsum_of_many_operands_is_its_products() -> None:
    cost = count_model(Apply(lambda x: torch.einsum("bij,bjk,bkl->bil", x, x, x)), (2, 7, 7), strict=True)

    assert cost.macs == 2 * 2 * 7**3


# timm models whose preprocessing of position tables once lacked formulas, or that are odd in another way
@pytest.mark.parametrize(
    "name",
    ["naflexvit_base_patch16_gap", "sam2_hiera_tiny", "volo_d1_224", "lambda_resnet26t", "coat_lite_tiny",
     "mvitv2_tiny", "swinv2_tiny_window8_256", "eva02_tiny_patch14_224", "nest_tiny", "crossvit_tiny_240"],
)  # fmt: skip
def test_odd_models_are_counted_whole(name: str) -> None:
    with torch.device("meta"):
        model = zoo.build(f"timm:{name}", num_classes=10)
    side = zoo.default_resolution(f"timm:{name}", 224)

    assert count_model(model, (1, 3, side, side), strict=True).macs > 0

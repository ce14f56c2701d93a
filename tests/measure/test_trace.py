"""What a trace holds: operators, memory, modules."""

import gc

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from explorer.accounting import activation_peak_bytes
from explorer.measure.trace import count_model, trace_model


class Apply(nn.Module):
    """A model of one function and the parameters it is given."""

    def __init__(self, function, **tensors: torch.Tensor) -> None:
        super().__init__()
        self.function = function
        for name, tensor in tensors.items():
            self.register_parameter(name, nn.Parameter(tensor))

    def forward(self, x):
        return self.function(self, x)


def operators(function, *shape: int, **tensors) -> list[str]:
    return [op.op for op in trace_model(Apply(function, **tensors), shape).ops]


# ---- what is recorded ---------------------------------------------------------------------------


def test_a_convolution_carries_its_attributes() -> None:
    model = nn.Conv2d(6, 9, (3, 5), stride=2, padding=(1, 2), groups=3)

    (op,) = trace_model(model, (2, 6, 11, 13)).ops

    assert op.op == "convolution"
    assert [t.shape for t in op.inputs] == [(2, 6, 11, 13), (9, 2, 3, 5), (9,)]
    assert [t.shape for t in op.outputs] == [(2, 9, 6, 7)]
    assert (op.attributes["groups"], op.attributes["transposed"]) == (3, False)
    assert (op.attributes["stride"], op.attributes["padding"]) == ((2, 2), (1, 2))
    assert [t.persistent for t in (*op.inputs, *op.outputs)] == [True, True, True, False]


def test_records_hold_plain_values_only() -> None:
    def everything(self, x):
        y = x.to(torch.float64).sum(dim=(1, 2), keepdim=True)
        return torch.cat([y, y.contiguous(memory_format=torch.channels_last)]) * 2.5

    plain = (type(None), bool, int, float, str, tuple)
    for op in trace_model(Apply(everything), (2, 3, 5, 7)).ops:
        assert all(isinstance(value, plain) for value in op.attributes.values()), op


def test_bytes_follow_the_dtype() -> None:
    (double,) = trace_model(nn.Linear(3, 5, bias=False).double(), (2, 3)).ops[-1].outputs
    (half,) = trace_model(nn.Linear(3, 5, bias=False).bfloat16(), (2, 3)).ops[-1].outputs

    assert (double.dtype, double.itemsize, double.storage_bytes) == ("float64", 8, 80)
    assert (half.dtype, half.itemsize, half.storage_bytes) == ("bfloat16", 2, 20)


def test_views_share_a_storage_and_in_place_work_stays_in_it() -> None:
    def function(self, x):
        y = torch.exp(x)
        corner = y[:, 1:]
        corner.add_(1.0)
        return torch.sin(y)

    ops = {op.op: op for op in trace_model(Apply(function), (2, 3)).ops}
    storage = ops["exp"].outputs[0].storage

    assert ops["slice"].outputs[0].storage == storage
    assert ops["slice"].outputs[0].storage_bytes == 24
    assert {t.storage for t in (*ops["add_"].inputs, *ops["add_"].outputs)} == {storage}
    assert ops["sin"].outputs[0].storage != storage


def test_a_freed_address_is_not_taken_for_an_old_storage() -> None:
    def function(self, x):
        for _ in range(50):
            x = torch.exp(x)  # each drops the one before: its address may be handed out again
        return x

    outputs = [op.outputs[0].storage for op in trace_model(Apply(function), (2, 3)).ops]

    assert len(set(outputs)) == 50


def test_operators_outside_aten_keep_their_namespace() -> None:
    library = torch.library.Library("explorer_test", "FRAGMENT")
    library.define("add(Tensor x) -> Tensor")
    library.impl("add", torch.empty_like, "Meta")

    cost = count_model(Apply(lambda self, x: torch.ops.explorer_test.add(x)), (2, 3))

    assert cost.uncounted == {"explorer_test::add": 1}


# ---- modules ------------------------------------------------------------------------------------


def test_each_module_has_what_ran_in_it() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Linear(3, 5)
            self.body = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 5))
            self.free = nn.Parameter(torch.ones(5, 11))

        def forward(self, x):
            return self.body(self.stem(x)) @ self.free

    cost = count_model(Net(), (2, 3))

    assert cost.macs_by_module == {"stem": 2 * 15, "body.0": 2 * 35, "body.2": 2 * 35, "": 2 * 55}
    assert sum(cost.macs_by_module.values()) == sum(cost.macs_by_op.values()) == cost.macs


def test_a_module_used_twice_is_counted_twice_and_its_parameters_once() -> None:
    shared = nn.Linear(5, 5)

    cost = count_model(nn.Sequential(shared, nn.ReLU(), shared), (2, 5))

    assert cost.macs_by_module == {"0": 2 * 2 * 25}
    assert cost.parameters == 30


def test_tied_parameters_count_once() -> None:
    model = nn.Sequential(nn.Linear(5, 5, bias=False), nn.Linear(5, 5, bias=False))
    model[1].weight = model[0].weight

    cost = count_model(model, (2, 5))

    assert (cost.parameters, cost.param_bytes, cost.macs) == (25, 100, 100)


def test_buffers_are_no_parameters() -> None:
    cost = count_model(nn.BatchNorm2d(7), (2, 7, 3, 3))

    assert (cost.parameters, cost.param_bytes) == (14, 56)
    assert cost.buffer_bytes == 2 * 7 * 4 + 8  # running mean and variance; an int64 counter


def test_an_error_that_the_model_catches_does_not_confuse_modules() -> None:
    class Fallible(nn.Module):
        def forward(self, x):
            raise ValueError("not for this input")

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fallible = nn.Sequential(Fallible())
            self.after = nn.Linear(3, 5)

        def forward(self, x):
            try:
                x = self.fallible(x)
            except ValueError:
                x = x.exp()
            return self.after(x) @ torch.ones(5, 2, device=x.device)

    assert count_model(Net(), (2, 3)).macs_by_module == {"after": 30, "": 20}


# ---- what is counted ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "product",
    [
        lambda self, x: F.linear(x, self.w.T),
        lambda self, x: x @ self.w,
        lambda self, x: torch.einsum("bnk,km->bnm", x, self.w),
        lambda self, x: torch.matmul(x.reshape(-1, 5), self.w),
        lambda self, x: torch.baddbmm(x.new_zeros(2, 3, 7), x, self.w.expand(2, 5, 7), beta=0),
        lambda self, x: torch.tensordot(x, self.w, dims=1),
    ],
)
def test_one_product_in_many_notations(product) -> None:
    assert count_model(Apply(product, w=torch.ones(5, 7)), (2, 3, 5), strict=True).macs == 2 * 3 * 5 * 7


def test_fused_attention_is_one_operator() -> None:
    def attend(self, x):
        return F.scaled_dot_product_attention(x, x[..., :5, :], x[..., :5, :])

    trace = trace_model(Apply(attend), (2, 3, 7, 11))
    cost = count_model(Apply(attend), (2, 3, 7, 11), strict=True)

    assert [op.op for op in trace.ops if op.op != "slice"] == ["scaled_dot_product_attention"]
    assert cost.macs == 2 * 3 * 7 * 5 * (11 + 11)
    assert cost.activation_peak_bytes == 4 * 2 * 3 * 7 * 11  # the result; no 7 x 5 scores in memory


def test_fused_attention_with_mask_scale_and_keywords() -> None:
    def attend(self, x):
        mask = x.new_ones(7, 7)
        return F.scaled_dot_product_attention(query=x, key=x, value=x, attn_mask=mask, scale=0.5)

    cost = count_model(Apply(attend), (2, 3, 7, 11), strict=True)

    assert (cost.macs, cost.elementwise_ops) == (2 * 3 * 49 * 22, 5 * 2 * 3 * 49)


def test_grouped_attention() -> None:
    def attend(self, x):
        return F.scaled_dot_product_attention(x, x[:, :2], x[:, :2], is_causal=True, enable_gqa=True)

    assert count_model(Apply(attend), (2, 6, 7, 11), strict=True).macs == 2 * 6 * 49 * 22


@pytest.mark.parametrize("need_weights", [True, False])
def test_multi_head_attention_is_counted_on_every_path(need_weights: bool) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(12, 3, batch_first=True)

        def forward(self, x):
            return self.attention(x, x, x, need_weights=need_weights)[0]

    tokens, dim = 7, 12

    assert count_model(Net(), (2, tokens, dim), strict=True).macs == 2 * (
        tokens * dim * 4 * dim + 2 * tokens * tokens * dim
    )


def test_the_encoder_layer_that_counters_see_as_zero() -> None:
    """In evaluation without gradients a real CPU takes one opaque fast path here."""
    layer = nn.TransformerEncoderLayer(12, 3, 23, batch_first=True)
    tokens, dim = 7, 12

    cost = count_model(layer, (2, tokens, dim), strict=True)

    assert cost.macs == 2 * (tokens * dim * 4 * dim + 2 * tokens * tokens * dim + 2 * tokens * dim * 23)


def test_recurrent_layers_are_counted_step_by_step() -> None:
    cost = count_model(nn.LSTM(5, 3, batch_first=True), (2, 7, 5), strict=True)

    assert cost.macs == 2 * 7 * 4 * 3 * (5 + 3)


def test_dropout_is_off() -> None:
    assert operators(lambda self, x: nn.functional.dropout(x, 0.5, self.training).exp(), 2, 3) == ["exp"]


def test_weight_norm_is_counted_with_its_module() -> None:
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(5, 3)))

    cost = count_model(model, (2, 5), strict=True)

    assert cost.macs == 30
    assert cost.elementwise_ops == 2 * 3 + 3 * 15  # bias; norm of the weight


def test_an_unknown_operator_is_named_never_zero() -> None:
    cost = count_model(Apply(lambda self, x: torch.linalg.qr(x @ self.w)[0], w=torch.ones(3, 5)), (2, 3))

    assert cost.macs == 30
    assert cost.uncounted == {"linalg_qr": 1}


# ---- memory -----------------------------------------------------------------------------------------


def test_a_model_held_as_a_constant_is_no_activation() -> None:
    model = Apply(lambda self, x: x + self.table)
    model.table = torch.ones(3, 5)  # neither parameter nor buffer

    cost = count_model(model, (2, 3, 5))

    assert cost.activation_peak_bytes == 4 * 30


def test_results_in_a_list_or_dictionary_are_held_to_the_end() -> None:
    def features(self, x):
        first = x.exp()
        second = first.sin()
        return {"maps": [first, second], "logits": second.mean(1).sin().exp()}

    assert activation_peak_bytes(trace_model(Apply(features), (2, 13))) == 4 * (26 + 26 + 2 + 2)


@pytest.mark.parametrize(
    ("function", "numbers"),
    [
        (lambda self, x: x.exp().sin().cos(), 2),  # two neighbours
        (lambda self, x: x.exp().sin_().cos_(), 1),  # in place
        (lambda self, x: (lambda y: y + y.sin().cos())(x.exp()), 3),  # a residual
        (lambda self, x: x.exp().view(-1).sin(), 2),  # a view
        (lambda self, x: torch.cat([x.exp(), x.sin()]), 4),
    ],
)
def test_peak_equals_what_the_allocator_sees(function, numbers: int) -> None:
    """The prediction against the world: allocations of the same pass on real tensors."""
    from torch.profiler import ProfilerActivity, profile

    n = 2**16
    x = torch.rand(1, n)
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        result = function(None, x)
    events = [e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]
    live = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    del result

    predicted = activation_peak_bytes(trace_model(Apply(function), (1, n)))

    assert predicted == 4 * n * numbers
    assert peak == predicted


# ---- tensors made during the pass ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda self, x: x + torch.arange(3),
        lambda self, x: x + torch.arange(3, device=x.device),
        lambda self, x: x.view(int(torch.tensor(x.shape).prod()) // 3, 3) + torch.ones(()),
    ],
)
def test_tensors_made_during_the_pass_may_be_on_any_device(function) -> None:
    assert count_model(Apply(function), (2, 3), strict=True).elementwise_ops in (6, 8)


def test_a_compiled_model_is_counted_as_what_it_was_made_from() -> None:
    model = nn.Sequential(nn.Linear(3, 5))

    assert count_model(torch.compile(model), (2, 3)).macs_by_module == {"0": 30}


def test_a_model_given_away_is_counted_the_same_and_a_kept_one_is_left_alone() -> None:
    def make() -> nn.Module:
        with torch.device("meta"):
            return nn.Sequential(
                nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5), nn.ReLU(inplace=True)
            ).train()

    kept, given = make(), make()

    assert trace_model(kept, (2, 3, 7, 7)).ops == trace_model(given, (2, 3, 7, 7), own=True).ops
    assert kept.training
    assert all(parameter.requires_grad for parameter in kept.parameters())


def test_a_model_with_weights_is_copied_even_if_given_away() -> None:
    model = nn.Linear(3, 5)

    trace_model(model, (2, 3), own=True)

    assert model.training
    assert model.weight.requires_grad
    assert not model.weight.is_meta


def test_the_collector_is_as_it_was() -> None:
    for before in (True, False):
        (gc.enable if before else gc.disable)()
        try:
            trace_model(nn.Linear(3, 5), (2, 3))
            assert gc.isenabled() == before
        finally:
            gc.enable()

"""Kernels of a pass against pencil and paper, the other counters, and a second way to fuse."""

from collections import defaultdict
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from explorer.accounting import count
from explorer.accounting.kernels import KERNEL, KIND, KINDS, TRACE_BATCH, kernel_table, kernels
from explorer.accounting.traffic import unfused_traffic
from explorer.measure.trace import build_on_meta, trace_model
from explorer.record import OpRecord, TensorRecord, Trace
from zoo import build

F32 = 4


class Apply(nn.Module):
    """A model of one function and the modules it is given."""

    def __init__(self, function: Callable, **modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x):
        return self.function(self, x)


def traced(function: Callable, *shape: int, autocast: bool = False, **modules: nn.Module) -> Trace:
    return trace_model(Apply(function, **modules), (TRACE_BATCH, *shape), autocast=autocast)


def rows(table: np.ndarray) -> list[dict]:
    return [
        dict(zip(KERNEL.names, row.tolist(), strict=True)) | {"kind": KINDS[row["kind"]]} for row in table
    ]


def only(table: np.ndarray, kind: str) -> dict:
    (row,) = [row for row in rows(table) if row["kind"] == kind]
    return row


def call_totals(table: np.ndarray, name: str, batch: int = TRACE_BATCH) -> float:
    times = np.where(table["per_example"], batch, 1)
    return float((table[name] * table["count"] * times).sum())


def moved(table: np.ndarray) -> float:
    weights = float((table["weights"] * table["count"]).sum())
    return call_totals(table, "read") + call_totals(table, "written") + weights


# ---- by hand ------------------------------------------------------------------------------------

PIXELS = 7 * 11


@pytest.fixture(scope="module")
def conv_norm_relu() -> Trace:
    modules = {"conv": nn.Conv2d(3, 5, 3, padding=1, bias=False), "norm": nn.BatchNorm2d(5)}
    return traced(lambda m, x: F.relu(m.norm(m.conv(x))), 3, 7, 11, **modules)


def test_a_convolution_as_a_kernel(conv_norm_relu) -> None:
    conv = only(kernels(conv_norm_relu), "conv")

    assert (conv["count"], conv["per_example"], conv["macs"]) == (1, True, PIXELS * 5 * 3 * 9)
    assert (conv["read"], conv["written"]) == (F32 * 3 * PIXELS, F32 * 5 * PIXELS)
    assert conv["weights"] == F32 * 5 * 3 * 9  # once a call, though the trace is of two examples
    assert (conv["rows"], conv["columns"], conv["depth"]) == (PIXELS, 5, 27)
    assert (conv["groups"], conv["taps"], conv["stride"]) == (1, 9, 1)
    assert (conv["item"], conv["item_in"], conv["operators"]) == (4, 4, 1)
    assert not any(conv[name] for name in ("strided", "channels_last", "strided_result"))


def test_what_follows_it_operator_by_operator(conv_norm_relu) -> None:
    table = kernels(conv_norm_relu)
    norm, relu = only(table, "batch_norm"), only(table, "activation")
    image = F32 * 5 * PIXELS

    assert (norm["read"], norm["weights"]) == (image, F32 * 4 * 5)
    # Torch's operator also gives back mean and deviation of the call, dealt out to the examples here.
    assert norm["written"] == image + F32 * 2 * 5 / TRACE_BATCH
    assert (relu["read"], relu["written"], relu["weights"]) == (image, image, 0)
    assert (norm["steps"], relu["steps"]) == (2 * 5 * PIXELS, 5 * PIXELS)
    assert norm["macs"] == relu["macs"] == norm["exponentials"] == relu["exponentials"] == 0


def test_what_follows_it_fused(conv_norm_relu) -> None:
    table = kernels(conv_norm_relu, fused=True)
    fused = only(table, "fused_elementwise")
    image = F32 * 5 * PIXELS

    assert len(table) == 2
    alone, apart = (only(form, "conv") for form in (table, kernels(conv_norm_relu)))
    assert alone | {"operands": 0} == apart, "the images are an operand of fused kernels only"
    assert (fused["read"], fused["written"], fused["weights"]) == (image, image, F32 * 4 * 5)
    assert (fused["steps"], fused["operators"], fused["operands"]) == (3 * 5 * PIXELS, 2, 1)


def test_a_residual_is_read_by_the_fused_kernel() -> None:
    def residual(m, x):
        y = m.first(x)
        return F.relu(m.norm(m.second(y)) + y)

    parts = {"first": nn.Conv2d(3, 5, 1), "second": nn.Conv2d(5, 5, 3, padding=1), "norm": nn.BatchNorm2d(5)}
    table = kernels(traced(residual, 3, 7, 11, **parts), fused=True)
    fused = only(table, "fused_elementwise")
    image = F32 * 5 * PIXELS

    assert (fused["read"], fused["written"], fused["operands"]) == (2 * image, image, 2)
    assert fused["operators"] == 3
    assert only(table, "pointwise")["written"] == only(table, "conv")["written"] == image


def test_what_the_model_returns_is_written_even_when_it_is_read_on() -> None:
    def both(m, x):
        y = torch.sigmoid(m.conv(x))
        return y, y * 2

    def one(m, x):
        return torch.sigmoid(m.conv(x)) * 2

    conv = nn.Conv2d(3, 5, 1)
    image = F32 * 5 * PIXELS

    for function, written in ((both, 2 * image), (one, image)):
        fused = only(kernels(traced(function, 3, 7, 11, conv=conv), fused=True), "fused_elementwise")
        assert (fused["read"], fused["written"], fused["operators"]) == (image, written, 2)
        assert fused["exponentials"] == 5 * PIXELS


def test_a_branch_that_another_kernel_reads_is_written() -> None:
    def branches(m, x):
        y = F.relu(m.conv(x))
        return m.conv2(y) + y

    table = kernels(traced(branches, 3, 7, 11, conv=nn.Conv2d(3, 5, 1), conv2=nn.Conv2d(5, 5, 1)), fused=True)
    image = F32 * 5 * PIXELS
    by_kind = {row["kind"]: row for row in rows(table) if row["kind"] != "pointwise"}

    assert by_kind["activation"]["written"] == image
    assert (by_kind["elementwise"]["read"], by_kind["elementwise"]["written"]) == (2 * image, image)


def test_equal_kernels_are_one_with_their_count() -> None:
    layers = nn.Sequential(*(nn.Conv2d(5, 5, 3, padding=1, bias=False) for _ in range(7)))
    table = kernels(traced(lambda m, x: m.layers(x), 5, 7, 11, layers=layers))

    assert [row["count"] for row in rows(table)] == [1, 6]
    assert [row["operands"] for row in rows(table)] == [0, 1], "all the same but for the images"


@pytest.mark.parametrize(
    ("layer", "shape", "kind", "sizes"),
    [
        (nn.Conv2d(6, 10, 3, stride=2, padding=1), (6, 8, 8), "conv", (16, 10, 54, 1, 9, 2)),
        (nn.Conv2d(6, 10, 1), (6, 8, 8), "pointwise", (64, 10, 6, 1, 1, 1)),
        (nn.Conv2d(6, 10, 3, groups=2), (6, 8, 8), "grouped", (36, 5, 27, 2, 9, 1)),
        (nn.Conv2d(6, 6, 5, groups=6), (6, 8, 8), "depthwise", (16, 1, 25, 6, 25, 1)),
        (nn.ConvTranspose2d(6, 10, 2, stride=2), (6, 8, 8), "transposed", (256, 10, 6, 1, 4, 1)),
        (nn.Linear(6, 10), (6,), "product", (1, 10, 6, 1, 1, 1)),
        (nn.Linear(6, 10), (13, 6), "product", (13, 10, 6, 1, 1, 1)),
    ],
)
def test_the_product_that_a_layer_is(layer, shape, kind, sizes) -> None:
    row = only(kernels(traced(lambda m, x: m.layer(x), *shape, layer=layer)), kind)

    assert tuple(row[name] for name in ("rows", "columns", "depth", "groups", "taps", "stride")) == sizes
    if kind != "transposed":
        assert row["macs"] == row["rows"] * row["columns"] * row["depth"] * row["groups"]


def test_attention_in_four_axes_masked_and_in_three() -> None:
    def attend(mask, axes):
        def forward(m, x):
            y = x if axes == 4 else x[:, 0]
            return F.scaled_dot_product_attention(y, y, y, attn_mask=m.mask.weight if mask else None)

        return kernels(traced(forward, 3, 7, 16, mask=nn.Linear(7, 7, bias=False)))

    plain = only(attend(False, 4), "attention")
    assert (plain["rows"], plain["columns"], plain["depth"], plain["groups"]) == (7, 7, 16, 3)
    assert plain["macs"] == 2 * 3 * 7 * 7 * 16
    masked = only(attend(True, 4), "attention_masked")
    assert (masked["macs"], masked["weights"]) == (plain["macs"], F32 * 49)
    assert only(attend(False, 3), "attention_apart")["groups"] == 1


def test_batched_products_count_their_groups_per_example() -> None:
    row = only(kernels(traced(lambda m, x: x @ x.transpose(-1, -2), 5, 7, 3)), "batched_product")

    assert (row["rows"], row["columns"], row["depth"], row["groups"]) == (7, 7, 3, 5)
    assert row["macs"] == 5 * 7 * 7 * 3


def test_a_sliced_batch_lies_strided() -> None:
    """One example's half of the channels is contiguous, two examples' halves are not."""

    def gate(m, x):
        left, right = m.conv(x).chunk(2, dim=1)
        return torch.sigmoid(left) * right

    conv = nn.Conv2d(3, 10, 1)
    table = kernels(traced(gate, 3, 7, 11, conv=conv))

    assert only(table, "activation_exp")["strided"]
    assert only(table, "elementwise")["strided"]
    assert not only(table, "pointwise")["strided"]
    single = kernels(trace_model(Apply(gate, conv=conv), (1, 3, 7, 11)))
    assert not any(row["strided"] for row in rows(single)), "what TRACE_BATCH is for"


def test_only_half_of_a_sliced_storage_is_read() -> None:
    table = kernels(traced(lambda m, x: torch.tanh(m.conv(x)[:, :2]), 3, 7, 11, conv=nn.Conv2d(3, 10, 1)))

    assert only(table, "activation_exp")["read"] == F32 * 2 * PIXELS


def test_work_on_weights_alone_is_per_call() -> None:
    def standardised(m, x):
        weight = m.conv.weight
        return F.conv2d(x, (weight - weight.mean((1, 2, 3), keepdim=True)) * 3)

    for fused in (False, True):
        table = kernels(traced(standardised, 3, 7, 11, conv=nn.Conv2d(3, 5, 3, bias=False)), fused=fused)
        weight = F32 * 5 * 27
        conv = only(table, "conv")
        assert (conv["weights"], conv["read"]) == (weight, F32 * 3 * PIXELS)
        apart = [row for row in rows(table) if row["kind"] == "weight_work"]
        assert all(not row["per_example"] for row in apart)
        assert len(apart) == (1 if fused else 3)
        assert sum(row["written"] for row in apart) == (weight if fused else 2 * weight + F32 * 5)
        if not fused:
            assert sum(row["read"] + row["weights"] for row in apart) == 3 * weight + F32 * 5


def test_a_fused_kernel_reads_the_weights_that_it_works_on_itself() -> None:
    """A bias looked up and scaled just before it is added: what passes inside is not read."""

    def biased(m, x):
        scores = x @ x.transpose(-1, -2)
        return (scores + m.bias.weight.exp() * 2).softmax(-1)

    trace = traced(biased, 7, 3, bias=nn.Linear(7, 7, bias=False))
    fused = only(kernels(trace, fused=True), "fused_reduction")

    assert (fused["per_example"], fused["operators"]) == (True, 4)
    assert (fused["read"], fused["written"], fused["weights"]) == (F32 * 49, F32 * 49, F32 * 49)
    assert only(kernels(trace), "elementwise")["weights"] == F32 * 49, "unfused it reads the result of that"


def test_a_weight_used_twice_in_a_fused_kernel_is_read_once() -> None:
    fused = only(
        kernels(
            traced(lambda m, x: torch.tanh(x) * m.w.weight + m.w.weight, 7, w=nn.Linear(7, 1)), fused=True
        ),
        "fused_elementwise",
    )

    assert (fused["operators"], fused["weights"]) == (3, F32 * 7)


@pytest.mark.parametrize("fused", [False, True])
def test_casting_a_weight_reads_it_and_writes_half(fused) -> None:
    table = kernels(traced(lambda m, x: m.fc(x), 13, autocast=True, fc=nn.Linear(13, 7, False)), fused=fused)
    cast, product = only(table, "weight_cast"), only(table, "product")

    assert not cast["per_example"]
    assert cast["read"] + cast["weights"] == F32 * 13 * 7
    assert cast["written"] == 2 * 13 * 7
    assert (product["weights"], product["read"], product["written"]) == (2 * 13 * 7, 2 * 13, 2 * 7)
    assert (product["item"], product["item_in"]) == (2, 2)


def test_views_and_reservations_are_no_kernels() -> None:
    assert len(kernels(traced(lambda m, x: x.view(2, -1).unsqueeze(0).expand(3, -1, -1), 3, 5))) == 0


# ---- real models --------------------------------------------------------------------------------

MODELS = (
    ("timm:resnet18", 64),
    ("timm:efficientnet_b0", 64),
    ("timm:vit_tiny_patch16_224", 224),
    ("timm:convnext_atto", 64),
    ("timm:swin_tiny_patch4_window7_224", 224),
    ("timm:resnetv2_50x1_bit", 64),
    ("timm:tresnet_m", 64),
    ("timm:mixer_s32_224", 224),
    ("wrn10-0.5", 8),
)
PLAIN = ("timm:resnet18", "timm:vit_tiny_patch16_224", "timm:mixer_s32_224", "wrn10-0.5")


@cache
def trace_of(name: str, batch: int = TRACE_BATCH) -> Trace:
    resolution = dict(MODELS)[name]
    model, _ = build_on_meta(
        lambda: build(name, in_channels=3, num_classes=17, resolution=resolution)  # type: ignore[arg-type]
    )
    return trace_model(model, (batch, 3, resolution, resolution), own=True)


@pytest.mark.parametrize("name", [name for name, _ in MODELS])
def test_sums_over_kernels_are_what_the_other_counters_say(name) -> None:
    trace = trace_of(name)
    cost, table = count(trace), kernel_table(trace)

    for form in (table.operators, table.fused):
        assert call_totals(form, "macs") == cost.macs
        assert call_totals(form, "steps") == cost.elementwise_ops
    assert moved(table.operators) == unfused_traffic(trace).total
    assert (table.fused["count"] * table.fused["operators"]).sum() == table.operators["count"].sum()


@pytest.mark.parametrize("name", [name for name, _ in MODELS])
def test_fusing_moves_fewer_bytes_and_loses_no_weights(name) -> None:
    table = kernel_table(trace_of(name))

    assert 0.2 * moved(table.operators) < moved(table.fused) < moved(table.operators)
    assert call_totals(table.fused, "exponentials") == call_totals(table.operators, "exponentials")
    own = [KIND[kind] for kind in ("conv", "pointwise", "depthwise", "product", "attention", "pool")]
    for kind in own:
        alone, fused = (np.sort(t[t["kind"] == kind]) for t in (table.operators, table.fused))
        assert (alone["macs"] == fused["macs"]).all()
        assert (alone["read"] == fused["read"]).all()


@pytest.mark.parametrize("name", [name for name, _ in MODELS])
def test_a_trace_of_two_examples_tells_of_five(name) -> None:
    """Figures are of one example, or of the call; nothing in between."""

    def told(batch: int, fused: bool) -> list[tuple]:
        table = kernels(trace_of(name, batch), fused=fused)
        # A norm's operator gives back statistics of the call: the only bytes dealt out to the examples.
        table["written"][table["kind"] == KIND["batch_norm"]] = 0
        return sorted(map(tuple, table.tolist()))

    for fused in (False, True):
        assert told(TRACE_BATCH, fused) == told(5, fused)


@pytest.mark.parametrize("name", PLAIN)
def test_models_without_standardised_weights_work_on_images_alone(name) -> None:
    assert kernels(trace_of(name))["per_example"].all()


def test_standardised_weights_are_worked_out_once_a_call() -> None:
    table = kernels(trace_of("timm:resnetv2_50x1_bit"))
    apart = table[~table["per_example"]]

    assert set(apart["kind"]) == {KIND["weight_work"]}
    parameters = trace_of("timm:resnetv2_50x1_bit").param_bytes
    written = (apart["written"] * apart["count"]).sum()
    assert 0.95 * parameters < written < 1.1 * parameters  # all weights of convolutions
    assert not np.isin(table["kind"][~table["per_example"]], [KIND["conv"], KIND["pointwise"]]).any()


def test_space_to_depth_of_the_images_is_of_every_example() -> None:
    table = kernels(trace_of("timm:tresnet_m"))
    first = rows(table)[0]

    assert table["per_example"].all()
    assert (first["kind"], first["read"], first["written"]) == ("copy", *[F32 * 3 * 64 * 64] * 2)


# ---- another way to fuse ------------------------------------------------------------------------


def tensor(storage: int, persistent: bool = False) -> TensorRecord:
    return TensorRecord(
        storage=storage,
        shape=(TRACE_BATCH, 3 + storage),
        dtype="float32",
        itemsize=F32,
        storage_bytes=F32 * TRACE_BATCH * (3 + storage),
        persistent=persistent,
    )


@st.composite
def graphs(draw) -> Trace:
    """Random passes without in-place work: op ``n`` makes storage ``n``; 0 are the images."""
    ops = []
    for place in range(1, draw(st.integers(1, 12)) + 1):
        name = draw(st.sampled_from(["add", "add", "mul", "relu", "cat", "_softmax"]))
        width = 1 if name in ("relu", "_softmax") else 2
        chosen = [draw(st.integers(max(0, place - 5), place - 1)) for _ in range(width)]
        ops.append(
            OpRecord(
                op=name,
                module="",
                inputs=tuple(tensor(storage, storage == 0) for storage in chosen),
                outputs=(tensor(place),),
            )
        )
    returned = draw(st.sets(st.integers(1, len(ops)), min_size=1))
    return Trace(
        ops=tuple(ops),
        input_shape=(TRACE_BATCH, 3),
        parameters=0,
        param_bytes=0,
        buffer_bytes=0,
        result_storages=tuple(returned),
        input_storage=0,
    )


def fused_by_colouring(trace: Trace) -> tuple[float, float, int]:
    """Colour the operators by the documented rule; bytes cross where the colours differ."""
    colour: dict[int, int] = {}
    alone: set[int] = set()
    for place, op in enumerate(trace.ops, start=1):
        made = [colour[t.storage] for t in op.inputs if t.storage]
        if op.op == "cat":
            colour[place] = place
            alone.add(place)
        else:
            colour[place] = max(made) if made and max(made) not in alone else place
    takes: dict[int, set[int]] = defaultdict(set)
    leaves = set(trace.result_storages)
    for place, op in enumerate(trace.ops, start=1):
        for given_ in op.inputs:
            if not given_.storage or colour[given_.storage] != colour[place]:
                takes[colour[place]].add(given_.storage)
                leaves.add(given_.storage)
    size = {storage: F32 * (3 + storage) for storage in range(len(trace.ops) + 1)}
    read = sum(size[storage] for taken in takes.values() for storage in taken)
    return read, sum(size[storage] for storage in leaves if storage), len(set(colour.values()))


@settings(deadline=None)
@given(trace=graphs())
def test_fusion_against_colouring(trace) -> None:
    # Nothing here is worked out from weights: each operator depends on the images or on such a one.
    table = kernels(trace, fused=True)

    read, written, number = fused_by_colouring(trace)
    assert (table["read"] * table["count"]).sum() == read
    assert (table["written"] * table["count"]).sum() == written
    assert table["count"].sum() == number
    assert (table["operators"] * table["count"]).sum() == len(trace.ops)

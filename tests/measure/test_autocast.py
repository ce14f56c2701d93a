"""Mixed precision on meta tensors against torch's own autocast on real ones, and its list for CUDA."""

import re
from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from explorer.accounting import count
from explorer.measure.autocast import Autocast
from explorer.measure.trace import build_on_meta, trace_model
from zoo import build

HALF, WIDE = torch.bfloat16, torch.float32


class Apply(nn.Module):
    def __init__(self, function, **modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x):
        return self.function(self, x)


# Functions that the CPU's and CUDA's lists agree on, each of two tensors of the shapes named.
AGREED = {
    "linear": (F.linear, (4, 6), (5, 6)),
    "matmul": (torch.matmul, (4, 6), (6, 5)),
    "at": (lambda a, b: a @ b, (2, 4, 6), (6, 5)),
    "method": (lambda a, b: a.matmul(b), (4, 6), (6, 5)),
    "mm": (torch.mm, (4, 6), (6, 5)),
    "bmm": (torch.bmm, (3, 4, 6), (3, 6, 5)),
    "baddbmm": (lambda a, b: torch.baddbmm(a[:, :, :1], a, b), (3, 4, 6), (3, 6, 5)),
    "addmm": (lambda a, b: torch.addmm(b[0], a, b), (4, 6), (6, 5)),
    "einsum": (lambda a, b: torch.einsum("nc,ck->nk", a, b), (4, 6), (6, 5)),
    "conv2d": (F.conv2d, (2, 3, 5, 5), (4, 3, 3, 3)),
    "conv1d": (F.conv1d, (2, 3, 5), (4, 3, 3)),
    "conv_transpose2d": (F.conv_transpose2d, (2, 3, 5, 5), (3, 4, 2, 2)),
    "prelu": (lambda a, b: F.prelu(a, b[:1, 0]), (2, 3), (2, 1)),
    "attention": (lambda a, b: F.scaled_dot_product_attention(a, b, b), (2, 3, 4, 8), (2, 3, 4, 8)),
    "add": (torch.add, (4, 6), (4, 6)),
    "mul": (lambda a, b: a * b, (4, 6), (6,)),
    "cat": (lambda a, b: torch.cat([a, b]), (4, 6), (2, 6)),
    "stack": (lambda a, b: torch.stack([a, b]), (4, 6), (4, 6)),
    "prod": (lambda a, b: a.prod(), (4, 6), (1,)),
    "prod of an axis": (lambda a, b: torch.prod(a, 1), (4, 6), (1,)),
    "relu": (lambda a, b: F.relu(a), (4, 6), (1,)),
    "gelu": (lambda a, b: F.gelu(a), (4, 6), (1,)),
    "sigmoid": (lambda a, b: a.sigmoid(), (4, 6), (1,)),
    "mean": (lambda a, b: a.mean(0), (4, 6), (1,)),
    "pool": (lambda a, b: F.max_pool2d(a, 2), (2, 3, 6, 6), (1,)),
    "adaptive pool": (lambda a, b: F.adaptive_avg_pool2d(a, 1), (2, 3, 6, 6), (1,)),
    "asked for": (lambda a, b: torch.mm(a, b).to(a.dtype), (4, 6), (6, 5)),
    "added in place": (lambda a, b: torch.zeros_like(a).add_(b), (4, 6), (4, 6)),
    "slice": (lambda a, b: a[:, ::2], (4, 6), (1,)),
    "double": (lambda a, b: a.double() * 2, (4, 6), (1,)),
    "double product": (lambda a, b: torch.add(a.double(), b.double()), (4, 6), (4, 6)),
    "integers": (lambda a, b: a.argmax(1).cumsum(0), (4, 6), (1,)),
    "bools": (lambda a, b: (a > 0).sum(), (4, 6), (1,)),
}


@pytest.mark.parametrize("first", [HALF, WIDE])
@pytest.mark.parametrize("second", [HALF, WIDE])
@pytest.mark.parametrize("name", AGREED)
def test_results_have_the_type_that_torch_gives(name, first, second) -> None:
    function, left, right = AGREED[name]

    with torch.no_grad(), torch.autocast("cpu", dtype=HALF):
        real = function(torch.ones(left, dtype=first), torch.ones(right, dtype=second))
    with torch.no_grad(), Autocast(HALF):
        meta = function(
            torch.empty(left, dtype=first, device="meta"), torch.empty(right, dtype=second, device="meta")
        )

    assert (meta.dtype, meta.shape) == (real.dtype, real.shape)


# What CUDA keeps in float32 and the CPU does not: by the lists alone.
FLOAT32 = {
    "acos": torch.acos,
    "asin": torch.asin,
    "cosh": torch.cosh,
    "sinh": torch.sinh,
    "tan": torch.tan,
    "erfinv": torch.erfinv,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": torch.log,
    "log10": torch.log10,
    "log2": torch.log2,
    "log1p": torch.log1p,
    "reciprocal": torch.reciprocal,
    "rsqrt": torch.rsqrt,
    "pow": lambda x: x**2,
    "rpow": lambda x: 2**x,
    "rdiv": lambda x: 1 / x,
    "softplus": F.softplus,
    "layer_norm": lambda x: F.layer_norm(x, (8,)),
    "rms_norm": lambda x: F.rms_norm(x, (8,)),
    "group_norm": lambda x: F.group_norm(x, 2),
    "cosine_similarity": lambda x: F.cosine_similarity(x, x),
    "dist": lambda x: torch.dist(x, x),
    "pdist": F.pdist,
    "cdist": lambda x: torch.cdist(x, x),
    "renorm": lambda x: torch.renorm(x, 2, 0, 1.0),
    "logsumexp": lambda x: torch.logsumexp(x, 1),
    "prod": torch.prod,
    "sum": lambda x: x.sum(1),
    "softmax": lambda x: x.softmax(1),
    "log_softmax": lambda x: F.log_softmax(x, 1),
    "cumsum": lambda x: x.cumsum(1),
    "cumprod": lambda x: x.cumprod(1),
    "linalg_vector_norm": lambda x: torch.linalg.vector_norm(x, dim=1),
    "norm": lambda x: x.norm(dim=1),
    "normalize": F.normalize,
    "upsample_nearest1d": lambda x: F.interpolate(x[None], scale_factor=2),
    "upsample_bilinear2d": lambda x: F.interpolate(x[None, None], scale_factor=2, mode="bilinear"),
    "_upsample_bicubic2d_aa": lambda x: F.interpolate(
        x[None, None], scale_factor=2, mode="bicubic", antialias=True
    ),
}


@pytest.mark.parametrize("name", FLOAT32)
def test_kept_in_float32(name) -> None:
    with Autocast():
        result = FLOAT32[name](torch.empty(4, 8, dtype=torch.float16, device="meta"))

    assert result.dtype is torch.float32


HALVED = {
    "conv_tbc": lambda x: torch.conv_tbc(x[None], x.new_empty(1, 8, 3), x.new_empty(3)),
    "conv3d": lambda x: F.conv3d(x[None, None, None], x.new_empty(2, 1, 1, 2, 2)),
    "conv_transpose1d": lambda x: F.conv_transpose1d(x, x.new_empty(4, 3, 2)),
    "conv_transpose3d": lambda x: F.conv_transpose3d(x[None, None, None], x.new_empty(1, 2, 1, 2, 2)),
    "addmv": lambda x: torch.addmv(x[:, 0], x, x[0]),
    "addr": lambda x: torch.addr(x, x[:, 0], x[0]),
    "mv": lambda x: torch.mv(x, x[0]),
    "addbmm": lambda x: torch.addbmm(x[:, :4], x[None], x[None].mT),
    "chain_matmul": lambda x: torch.linalg.multi_dot([x, x.T, x]),
    "linalg_vecdot": lambda x: torch.linalg.vecdot(x, x),
    "linalg_multi_dot": lambda x: torch.linalg.multi_dot([x, x.T]),
    "lstm_cell": lambda x: nn.LSTMCell(8, 4, device="meta")(x)[0],
    "gru_cell": lambda x: nn.GRUCell(8, 4, device="meta")(x),
    "rnn_tanh_cell": lambda x: nn.RNNCell(8, 4, device="meta")(x),
    "rnn_relu_cell": lambda x: nn.RNNCell(8, 4, nonlinearity="relu", device="meta")(x),
}


@pytest.mark.parametrize("name", HALVED)
def test_run_in_half(name) -> None:
    with Autocast():
        assert HALVED[name](torch.empty(4, 8, device="meta")).dtype is torch.float16


_PROMOTED = {"addcdiv", "addcmul", "atan2", "bilinear", "cross", "dot", "vdot", "grid_sampler", "index_put"}
_ELSEWHERE = {*AGREED, *_PROMOTED, "tensordot", "scatter_add", "scaled_dot_product_attention"}
_LEFT_OUT = re.compile(
    r".*_loss|binary_cross_entropy.*|kl_div|nll_loss2d|nuclear_norm|frobenius_norm|linalg_matrix_norm"
    r"|_?upsample_.*|native_layer_norm|_?convolution|cudnn_.*|_thnn_.*|_scaled_dot_product_.*"
)
"""Losses are for training; resizing is one function; the others are what functions named here become."""


def test_all_that_this_torch_registers_for_cuda_is_checked_here() -> None:
    """The dispatcher's own list, which is there in builds without CUDA as well."""
    registered = torch._C._dispatch_get_registrations_for_dispatch_key("AutocastCUDA")
    names = {name.removeprefix("aten::").partition(".")[0] for name in registered}

    assert len(names) > 100
    unknown = {name for name in names if not _LEFT_OUT.fullmatch(name)}
    assert unknown <= {*FLOAT32, *HALVED, *_ELSEWHERE}
    assert {*FLOAT32, *HALVED} - {"rpow", "rdiv", "normalize"} <= names
    assert not names & {"cat", "stack", "mean", "var", "relu", "gelu", "batch_norm"}, "left to promotion"


def test_operands_in_place_and_doubles_are_left_alone() -> None:
    x = torch.empty(4, 8, dtype=torch.float16, device="meta")
    with Autocast():
        assert torch.exp_(x).dtype is torch.float16
        assert x.exp_().dtype is torch.float16
        assert torch.mm(x.double(), x.double().T).dtype is torch.float64
        assert F.softmax(x, 1, dtype=torch.float64).dtype is torch.float64
        assert x.sum(dtype=torch.float64).dtype is torch.float64


def test_it_ends_with_its_block() -> None:
    x = torch.empty(4, 8, device="meta")
    with Autocast():
        pass

    assert (x @ x.T).dtype is torch.float32


# ---- traced models ------------------------------------------------------------------------------


def traced(name: str, resolution: int, *, autocast: bool):
    model, _ = build_on_meta(
        lambda: build(name, in_channels=3, num_classes=17, resolution=resolution)  # type: ignore[arg-type]
    )
    return trace_model(model, (2, 3, resolution, resolution), own=True, autocast=autocast)


@pytest.fixture(scope="module")
def vit():
    return traced("timm:vit_tiny_patch16_224", 224, autocast=True)


def dtypes(trace, operator: str) -> set[tuple[str, ...]]:
    found = {tuple(t.dtype for t in (*op.inputs, *op.outputs[:1])) for op in trace.ops if op.op == operator}
    assert found, operator
    return found


def test_a_vision_transformer_multiplies_in_half_and_adds_in_float32(vit) -> None:
    half, wide = ("float16",), ("float32",)

    assert dtypes(vit, "convolution") == {half * 4}
    assert dtypes(vit, "addmm") == {half * 4}
    assert dtypes(vit, "scaled_dot_product_attention") == {half * 4}
    assert dtypes(vit, "native_layer_norm") == {wide * 4}
    assert dtypes(vit, "gelu") == {half * 2}
    residual = [op for op in vit.ops if op.op in ("add", "add_")]
    assert len(residual) == 1 + 2 * 12
    assert {op.outputs[0].dtype for op in residual} == {"float32"}
    assert {op.inputs[0].dtype for op in residual[1:]} == {"float32"}
    assert {op.inputs[1].dtype for op in residual[1:]} == {"float16"}, "what a block adds"


def test_weights_are_cast_one_by_one(vit) -> None:
    casts = [op for op in vit.ops if op.op == "_to_copy" and op.inputs[0].persistent]
    weights = [op for op in casts if op.inputs[0].storage != vit.input_storage]

    # Patches, four layers a block, the classifier: weight and bias each.
    assert len(weights) == 2 * (1 + 4 * 12 + 1)
    assert len(casts) == len(weights) + 1, "the images"
    assert {(op.inputs[0].dtype, op.outputs[0].dtype) for op in casts} == {("float32", "float16")}


def test_a_half_result_and_a_float32_one_concatenate_to_float32() -> None:
    def forward(m, x):
        return torch.cat([m.fc(x), x], dim=1)

    trace = trace_model(Apply(forward, fc=nn.Linear(5, 3)), (2, 5), autocast=True)

    assert [op.outputs[0].dtype for op in trace.ops if op.op == "cat"] == ["float32"]


def test_a_cast_that_the_model_asks_for_stays() -> None:
    def forward(m, x):
        return m.fc(x).to(x.dtype) * 2

    trace = trace_model(Apply(forward, fc=nn.Linear(5, 3)), (2, 5), autocast=True)

    assert trace.ops[-2].op == "_to_copy"
    assert trace.ops[-1].outputs[0].dtype == "float32"


HALF_TO_FLOAT = {
    "softmax": ("_softmax", lambda x: x.half().softmax(1)),
    "functional softmax": ("_softmax", lambda x: F.softmax(x.half(), dim=-1)),
    "log_softmax": ("_log_softmax", lambda x: torch.log_softmax(x.half(), 0)),
    "sum": ("sum", lambda x: x.half().sum(dim=1)),
    "whole sum": ("sum", lambda x: torch.sum(x.half())),
    "cumsum": ("cumsum", lambda x: x.half().cumsum(0)),
    "vector_norm": ("linalg_vector_norm", lambda x: torch.linalg.vector_norm(x.half(), dim=1)),
    "cat": ("cat", lambda x: torch.cat([x.half(), x])),
}


@pytest.mark.parametrize("name", HALF_TO_FLOAT)
def test_what_reads_half_and_writes_float32_needs_no_cast(name) -> None:
    """On CUDA one kernel each: these are on the lists of operators whose result's type is set."""
    operator, function = HALF_TO_FLOAT[name]
    trace = trace_model(Apply(lambda m, x: function(x)), (2, 5), autocast=True)

    assert [op.op for op in trace.ops] == ["_to_copy", operator], "the model's own cast alone"
    assert (trace.ops[1].inputs[0].dtype, trace.ops[1].outputs[0].dtype) == ("float16", "float32")


def test_a_softmax_that_gives_its_type_keeps_it() -> None:
    x = torch.empty(4, 8, dtype=torch.float16, device="meta")
    with Autocast():
        assert F.softmax(x, 1, dtype=torch.float16).dtype is torch.float16
        assert torch.sum(x, 1, dtype=torch.float16).dtype is torch.float16
        assert F.softmax(x, dim=1, _stacklevel=5).dtype is torch.float32
    with Autocast(HALF):
        assert F.softmax(x.to(HALF), 1).dtype is torch.float32


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: F.grid_sample(x[None, None], y[None, :, None, :2], align_corners=False),
        lambda x, y: torch.tensordot(x, y, dims=2),
        lambda x, y: torch.addcmul(x, x, y),
        lambda x, y: torch.dot(x[0], y[0]),
    ],
)
def test_operands_that_torch_would_not_mix_are_promoted(function) -> None:
    half, wide = (torch.empty(4, 8, dtype=dtype, device="meta") for dtype in (torch.float16, WIDE))
    with Autocast():
        assert function(half, wide).dtype is torch.float32
        assert function(half, half).dtype is torch.float16


def test_a_cast_that_casts_nothing_is_no_operator() -> None:
    trace = trace_model(Apply(lambda m, x: F.layer_norm(F.relu(x), (5,))), (2, 5), autocast=True)

    assert [op.op for op in trace.ops] == ["relu", "native_layer_norm"]


def test_recurrent_layers_run_in_half() -> None:
    trace = trace_model(
        Apply(lambda m, x: m.lstm(x)[0], lstm=nn.LSTM(5, 7, batch_first=True)), (2, 3, 5), autocast=True
    )
    (lstm,) = [op for op in trace.ops if op.op == "lstm"]

    assert {t.dtype for t in (*lstm.inputs, *lstm.outputs)} == {"float16"}


@pytest.mark.parametrize(
    ("name", "resolution"), [("timm:resnet18", 64), ("timm:hrnet_w18_small", 64), ("wrn10-0.5", 8)]
)
def test_precision_changes_types_not_counts(name, resolution) -> None:
    mixed, plain = (traced(name, resolution, autocast=autocast) for autocast in (True, False))

    assert count(mixed).macs == count(plain).macs
    assert mixed.param_bytes == plain.param_bytes
    assert Counter(op.op for op in mixed.ops if op.op != "_to_copy") == Counter(op.op for op in plain.ops)
    assert not any(t.dtype == "float16" for op in plain.ops for t in (*op.inputs, *op.outputs))
    assert {op.outputs[0].dtype for op in mixed.ops if op.op == "convolution"} == {"float16"}


def test_the_model_keeps_its_weights_types() -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5))
    trace_model(model, (2, 3, 8, 8), autocast=True)

    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model(torch.ones(2, 3, 8, 8)).dtype is torch.float32


# ---- the images' storage ------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"autocast": True}, {"backward": True}])
def test_the_images_have_a_storage_of_their_own(options) -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Flatten(), nn.Linear(5 * 36, 2))
    trace = trace_model(model, (2, 3, 8, 8), **options)
    first = next(op for op in trace.ops if op.inputs)

    assert first.inputs[0].storage == trace.input_storage
    assert first.inputs[0].shape == (2, 3, 8, 8)
    read = [t for op in trace.ops for t in op.inputs if t.storage == trace.input_storage]
    assert all(t.persistent and t.storage_bytes == 4 * 2 * 3 * 64 for t in read)


def test_the_images_storage_where_factories_had_to_be_on_meta() -> None:
    def forward(m, x):
        return x + torch.arange(5)

    trace = trace_model(Apply(forward), (2, 5))

    (add,) = [op for op in trace.ops if op.op == "add"]
    assert [t.storage == trace.input_storage for t in add.inputs] == [True, False]

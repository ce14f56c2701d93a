"""Every operator of the table gives what torch gives, on odd sizes."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


ELEMENTWISE = {
    "relu": F.relu, "relu6": F.relu6, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "silu": F.silu,
    "mish": F.mish, "gelu": F.gelu, "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
    "hardswish": F.hardswish, "hardsigmoid": F.hardsigmoid, "hardtanh": F.hardtanh, "elu": F.elu,
    "selu": F.selu, "celu": lambda x: F.celu(x, 1.3), "leaky": lambda x: F.leaky_relu(x, 0.2),
    "softplus": lambda x: F.softplus(x * 30, beta=1.5), "logsigmoid": F.logsigmoid,
    "exp": torch.exp, "expm1": torch.expm1, "log": lambda x: torch.log(x.abs() + 1),
    "log1p": lambda x: torch.log1p(x.abs()), "sqrt": lambda x: x.abs().sqrt(),
    "rsqrt": lambda x: (x.abs() + 1).rsqrt(), "erf": torch.erf, "neg": lambda x: -x, "sign": torch.sign,
    "floor": torch.floor, "ceil": torch.ceil, "round": torch.round, "trunc": torch.trunc, "sin": torch.sin,
    "cos": torch.cos, "reciprocal": lambda x: 1 / (x.abs() + 1), "power": lambda x: x.abs() ** 1.7,
    "square": lambda x: x**2, "add": lambda x: torch.add(x, x, alpha=3),
    "sub": lambda x: torch.sub(x, x * x, alpha=2),
    "rsub": lambda x: 2 - x, "div": lambda x: x / 3,
    "div floor": lambda x: torch.div(x, 0.7, rounding_mode="floor"),
    "div trunc": lambda x: torch.div(x, 0.7, rounding_mode="trunc"),
    "remainder": lambda x: torch.remainder(x, 0.7),
    "fmod": lambda x: torch.fmod(x, 0.7), "clamp": lambda x: x.clamp(-0.5, 0.7),
    "clamp min": lambda x: x.clamp(min=0.1),
    "maximum": lambda x: torch.maximum(x, x * x), "where": lambda x: torch.where(x > 0, x, 2 * x),
    "masked fill": lambda x: x.masked_fill(x < 0.1, -7.0), "compare": lambda x: ((x > 0) & (x < 1)).float(),
    "not": lambda x: (~(x > 0)).float(), "bfloat16": lambda x: x.bfloat16().float(),
    "whole numbers": lambda x: (x * 10).to(torch.int64).float(), "glu": lambda x: F.glu(x, dim=3),
    "atan2": lambda x: torch.atan2(x, x + 1), "xor": lambda x: torch.logical_xor(x > 0, x > 1).float(),
}  # fmt: skip

REDUCTIONS = {
    "mean": lambda x: x.mean((2, 3)), "mean kept": lambda x: x.mean(-1, keepdim=True),
    "mean all": lambda x: x.mean()[None],
    "sum": lambda x: x.sum((1, -1)), "amax": lambda x: x.amax((2, 3)), "amin": lambda x: x.amin(1),
    "max": lambda x: x.max(dim=2).values, "argmax": lambda x: x.argmax(1).float(),
    "var": lambda x: x.var((2, 3)),
    "var biased": lambda x: x.var(1, unbiased=False, keepdim=True), "std": lambda x: x.std(1),
    "var mean": lambda x: torch.var_mean(x, 1)[0] + torch.var_mean(x, 1)[1],
    "norm": lambda x: F.normalize(x, dim=1),
    "norm 1": lambda x: x.norm(1, dim=1), "cumsum": lambda x: x.cumsum(3), "softmax": lambda x: x.softmax(1),
    "log softmax": lambda x: x.log_softmax(-1), "layer norm": lambda x: F.layer_norm(x, (9, 10)),
    "group norm": lambda x: F.group_norm(x, 2, eps=1e-3), "instance norm": F.instance_norm,
    "rms norm": lambda x: F.rms_norm(x, (10,)),
}  # fmt: skip

SHAPING = {
    "view": lambda x: x.view(3, -1), "flatten": lambda x: x.permute(0, 2, 3, 1).flatten(1),
    "permute": lambda x: x.permute(0, -1, 1, 2), "transpose": lambda x: x.transpose(1, -1),
    "expand": lambda x: x[:, :1].expand(-1, 5, -1, -1),
    "repeat": lambda x: x.repeat(2, 1, 1, 3), "unsqueeze": lambda x: x.unsqueeze(-1) * 2,
    "squeeze": lambda x: x[:, :1].squeeze(1),
    "squeeze nothing": lambda x: x.squeeze(1), "cat": lambda x: torch.cat([x, 2 * x], -1),
    "stack": lambda x: torch.stack([x, 2 * x], 2),
    "slice": lambda x: x[:, 1:-1, ::3, -4:], "select": lambda x: x[:, -2],
    "chunk": lambda x: x.chunk(4, -1)[3],
    "split": lambda x: x.split([1, 4, 5], -1)[1], "split equal": lambda x: x.split(4, -1)[2],
    "unbind": lambda x: x.unbind(1)[3],
    "index": lambda x: x[:, [3, 1, 1]], "index two": lambda x: x[:, [3, 1], :, [2, 5]],
    "index select": lambda x: x.index_select(2, torch.tensor([8, 0, 8])),
    "gather": lambda x: x.gather(3, torch.arange(4).expand(3, 6, 9, 4)),
    "gather fewer": lambda x: x.gather(3, torch.arange(4).expand(2, 3, 5, 4)),
    "flip": lambda x: x.flip(2, 3), "roll": lambda x: x.roll((2, -3), (2, 3)),
    "pad": lambda x: F.pad(x, (1, 2, 3, 0), value=7.0),
    "pad cut": lambda x: F.pad(x, (-1, 2)), "reflect": lambda x: F.pad(x, (1, 2, 3, 0), mode="reflect"),
    "as strided": lambda x: x.as_strided((3, 4, 2), (50, 7, 3), 11),
    "full": lambda x: x + torch.full((9, 1), 3.0),
    "arange": lambda x: x * torch.arange(1, 20, 2), "ones": lambda x: x + torch.ones_like(x),
    "unfold": lambda x: F.unfold(x, 3, stride=2),
    "window": lambda x: x.unfold(2, 3, 2), "shuffle": lambda x: F.channel_shuffle(x, 3),
    "embedding": lambda x: F.embedding(torch.tensor([[2, 0]]), x[0, 0]),
    "pixel unshuffle": lambda x: F.pixel_unshuffle(x[:, :, :8], 2),
    "pixel shuffle": lambda x: F.pixel_shuffle(x[:, :4], 2),
}  # fmt: skip

CONTRACTIONS = {
    "matmul": lambda x: x @ x.transpose(-1, -2), "mm": lambda x: x[0, 0] @ x[0, 0].T,
    "einsum": lambda x: torch.einsum("bchw,bdhw->bcd", x, x),
    "addmm": lambda x: torch.addmm(x[0, 0, :9, :9], x[0, 0], x[0, 1].T, beta=0.5, alpha=2),
    "baddbmm": lambda x: torch.baddbmm(x[0, :, :9, :9], x[0], x[1].mT, beta=0.5, alpha=2),
    "attention": lambda x: F.scaled_dot_product_attention(x, 2 * x, x + 1),
    "attention causal": lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
    "attention masked": lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=torch.eye(9) > 0),
    "attention biased": lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=torch.eye(9), scale=0.3),
    "attention grouped": lambda x: F.scaled_dot_product_attention(x, x[:, :3], x[:, 3:], enable_gqa=True),
}  # fmt: skip

POOLS = {
    "max": lambda x: F.max_pool2d(x, 3, 2, 1), "max ceil": lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
    "max ceil margin": lambda x: F.max_pool2d(x, 2, 3, 1, ceil_mode=True),
    "max dilated": lambda x: F.max_pool2d(x, (2, 3), 1, (1, 0), dilation=2),
    "avg": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "avg inside": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "avg ceil": lambda x: F.avg_pool2d(x, 2, 2, ceil_mode=True),
    "avg ceil margin": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
    "avg ceil inside": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
    "avg override": lambda x: F.avg_pool2d(x, 3, divisor_override=5),
    "adaptive 1": lambda x: F.adaptive_avg_pool2d(x, 1),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, (4, 7)),
    "adaptive max": lambda x: F.adaptive_max_pool2d(x, (4, 7)),
    "bilinear": lambda x: F.interpolate(x, (13, 7), mode="bilinear"),
    "bilinear corners": lambda x: F.interpolate(x, (13, 7), mode="bilinear", align_corners=True),
    "bilinear factor": lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear"),
    "nearest": lambda x: F.interpolate(x, (13, 7)),
    "nearest factor": lambda x: F.interpolate(x, scale_factor=2.0),
    "bicubic": lambda x: F.interpolate(x, (13, 7), mode="bicubic"),
}  # fmt: skip

GROUPS = {
    "elementwise": ELEMENTWISE,
    "reductions": REDUCTIONS,
    "shaping": SHAPING,
    "contractions": CONTRACTIONS,
    "pools": POOLS,
}


@pytest.mark.parametrize("group", GROUPS)
def test_as_torch(through_jax, group: str) -> None:
    """A group is one program, its results end to end: exporting each by itself would take minutes."""
    functions = GROUPS[group]
    module = Apply(lambda x: torch.cat([function(x).reshape(-1).float() for function in functions.values()]))
    wanted, found = through_jax(module, 3, 6, 9, 10)
    example = torch.randn(3, 6, 9, 10, generator=torch.Generator().manual_seed(7))
    start = 0
    for name, function in functions.items():
        end = start + function(example).numel()
        np.testing.assert_allclose(found[start:end], wanted[start:end], rtol=1e-4, atol=2e-5, err_msg=name)
        start = end
    assert start == len(wanted)


LAYERS = {
    "convolution": nn.Conv2d(6, 5, 3, stride=2, padding=1),
    "grouped": nn.Conv2d(6, 4, (3, 1), groups=2, dilation=(2, 1), padding=(2, 0), bias=False),
    "depthwise": nn.Conv2d(6, 12, 5, groups=6, padding="same"),
    "valid": nn.Conv2d(6, 5, 3, padding="valid"),
    "transposed": nn.ConvTranspose2d(6, 5, 3, stride=2, padding=1, output_padding=1),
    "transposed grouped": nn.ConvTranspose2d(6, 4, (2, 3), stride=3, groups=2, dilation=2, bias=False),
    "batch norm": nn.BatchNorm2d(6),
    "batch norm plain": nn.BatchNorm2d(6, affine=False),
    "group norm": nn.GroupNorm(3, 6),
    "layer norm": nn.LayerNorm(10),
    "layer norm plain": nn.LayerNorm((9, 10), elementwise_affine=False),
    "prelu": nn.PReLU(6),
    "linear": nn.Linear(10, 7),
    "sequence": nn.Sequential(nn.Flatten(1, 2), nn.Conv1d(54, 5, 3, padding=1, groups=1)),
    "volume": nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Conv3d(2, 4, (2, 3, 3), padding=(0, 1, 1))),
}


class Beside(nn.Module):
    """Several modules on one input, their results end to end."""

    def __init__(self, modules: dict[str, nn.Module]) -> None:
        super().__init__()
        self.each = nn.ModuleDict(modules)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([module(x).reshape(-1) for module in self.each.values()])


def test_layers_as_torch(through_jax) -> None:
    generator = torch.Generator().manual_seed(11)
    module = Beside(LAYERS).eval()
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    wanted, found = through_jax(module, 3, 6, 9, 10)
    start = 0
    for name, layer in LAYERS.items():
        end = start + layer(torch.zeros(3, 6, 9, 10)).numel()
        np.testing.assert_allclose(found[start:end], wanted[start:end], rtol=1e-4, atol=1e-4, err_msg=name)
        start = end


def test_several_heads_as_torch(through_jax) -> None:
    torch.manual_seed(3)
    heads = nn.MultiheadAttention(10, 5, batch_first=True)
    wanted, found = through_jax(SelfAttention(heads), 3, 9, 10)

    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


class SelfAttention(nn.Module):
    """Attention of a sequence to itself."""

    def __init__(self, heads: nn.MultiheadAttention) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        return self.heads(x, x, x)[0]


def test_an_operator_without_a_jax_form_is_named(jax) -> None:
    from explorer.errors import UsageError
    from explorer.tpu.table import registry
    from explorer.tpu.torch_export import export, program_of

    program = program_of(export(Apply(lambda x: torch.special.bessel_j0(x)), (3, 2), torch.float32))
    assert registry.missing(program) == ("special_bessel_j0.default",)
    with pytest.raises(UsageError, match="special_bessel_j0"):
        registry.run(program, [], np.zeros((3, 2), np.float32))


def test_a_name_is_registered_once(jax) -> None:
    from explorer.tpu.table import registry

    registry.load()
    with pytest.raises(ValueError, match="'relu' is in the table already"):
        registry.operator("relu")(lambda **_: None)

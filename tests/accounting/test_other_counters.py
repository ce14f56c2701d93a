"""What other counters print: predicted from a trace, compared with what they really print."""

import re
import warnings

import pytest
import torch
from torch import Tensor, nn

import zoo
from explorer.accounting.other_counters import COUNTED_BY, as_counted_by
from explorer.errors import UsageError
from explorer.measure.trace import trace_model
from explorer.record import Trace

SAMPLE = [
    ("resnet18", 64),  # batch norm, adaptive pooling
    ("efficientnet_b0", 64),  # a mean that is no adaptive pooling, biased convolutions
    ("convnext_atto", 64),  # layer norm on channels first and last
    ("resnetv2_50d_gn", 64),  # group norm
    ("test_nfnet", 64),  # standardised weights
    ("test_byobnet", 64),
    ("densenet121", 64),
    ("hrnet_w18_small", 64),  # interpolation
    ("mobilenetv4_hybrid_medium", 64),  # attention with fewer keys' heads than queries'
    ("lambda_resnet26t", 64),  # convolution over three axes, matrix products
    ("vit_tiny_patch16_224", 224),  # fused attention without mask
    ("swin_tiny_patch4_window7_224", 224),  # fused attention with a learned mask
    ("cait_xxs24_224", 224),
    ("pit_ti_224", 224),
    ("xcit_nano_12_p16_224", 224),
    ("mixer_s32_224", 224),
    ("repvgg_a0", 64),
]


@pytest.fixture(scope="module", params=SAMPLE, ids=lambda item: item[0])
def pair(request) -> tuple[nn.Module, Tensor, Trace]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    name, resolution = request.param
    model = zoo.build(f"timm:{name}", num_classes=1000).eval()
    images = torch.rand(1, 3, resolution, resolution)
    yield model, images, trace_model(model, (1, 3, resolution, resolution))
    torch.set_num_threads(before)


def fvcore_prints(model: nn.Module, images: Tensor) -> int:
    from fvcore.nn import FlopCountAnalysis

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(model, images)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        return analysis.total()


def torch_prints(model: nn.Module, images: Tensor) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        model(images)
    return counter.get_total_flops()


def test_fvcore_to_the_last_flop(pair) -> None:
    model, images, trace = pair

    assert as_counted_by(trace, "fvcore").macs_or_flops == fvcore_prints(model, images)


def test_torchs_counter_to_the_last_flop(pair) -> None:
    model, images, trace = pair

    assert as_counted_by(trace, "torch").macs_or_flops == torch_prints(model, images)


@pytest.mark.parametrize("convention", COUNTED_BY)
def test_macs_and_differences_add_up(pair, convention: str) -> None:
    _, _, trace = pair

    found = as_counted_by(trace, convention)

    assert found.macs_or_flops == found.macs + sum(term.amount for term in found.explanation)
    assert all(term.amount and term.reason and sum(term.operators.values()) for term in found.explanation)
    sizes = [abs(term.amount) for term in found.explanation]
    assert sizes == sorted(sizes, reverse=True)


# ---- by hand ----------------------------------------------------------------------------------------------


def traced(model: nn.Module, *shape: int) -> Trace:
    return trace_model(model, shape)


class Small(nn.Module):
    """One of everything that some counter adds: 3 x 11 x 13 in, 5 channels, 7 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, padding=1, bias=True)
        self.norm = nn.BatchNorm2d(5)
        self.act = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(5, 7)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.act(self.norm(self.conv(x)))).flatten(1))


B, H, W = 2, 11, 13
CONV, HEAD = B * 5 * H * W * 27, B * 5 * 7
MAP = B * 5 * H * W
EXPECTED = {
    "macs": CONV + HEAD,
    "2xmacs": 2 * (CONV + HEAD),
    "pycls": CONV + HEAD + B * 5 + B * 7,
    "fvcore": CONV + HEAD + 2 * MAP + MAP,
    "torch": 2 * (CONV + HEAD),
    "timm": CONV + HEAD + 2 * MAP + MAP,
    "mmpretrain": CONV + MAP + 2 * MAP + MAP + MAP,
    "mmpretrain-fvcore": CONV + 5 * MAP + MAP,
}


@pytest.mark.parametrize("convention", COUNTED_BY)
def test_every_convention_by_hand(convention: str) -> None:
    assert as_counted_by(traced(Small(), B, 3, H, W), convention).macs_or_flops == EXPECTED[convention]


def test_an_instance_norm_and_a_norm_without_scale() -> None:
    model = nn.Sequential(nn.InstanceNorm2d(3, affine=True), nn.BatchNorm2d(3, affine=False))

    trace = traced(model, 2, 3, 5, 7)

    assert as_counted_by(trace, "fvcore").macs_or_flops == 5 * 210 + 1 * 210
    assert fvcore_prints(model.eval(), torch.rand(2, 3, 5, 7)) == 6 * 210


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers(layer: type[nn.RNNBase]) -> None:
    class Sequence(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.project = nn.Linear(7, 11)
            self.cells = layer(11, 13, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.cells(self.project(x))[0]

    model, x = Sequence().eval(), torch.rand(2, 5, 7)
    trace = traced(model, 2, 5, 7)

    assert as_counted_by(trace, "macs").macs > 2 * 5 * 7 * 11
    assert as_counted_by(trace, "fvcore").macs_or_flops == fvcore_prints(model, x) == 2 * 5 * 7 * 11
    assert as_counted_by(trace, "torch").macs_or_flops == torch_prints(model, x)


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(UsageError, match=re.escape("unknown convention 'fvcor'; did you mean fvcore?")):
        as_counted_by(traced(nn.Linear(3, 5), 1, 3), "fvcor")

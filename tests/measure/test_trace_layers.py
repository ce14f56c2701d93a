"""Layers of torch.nn that a vision network may hold: all are counted whole, forward and backward."""

import warnings
from dataclasses import replace

import pytest
import torch
from torch import nn

from explorer.accounting import count
from explorer.measure.trace import trace_model

MAP, LINE, BOX = (2, 6, 12, 14), (2, 6, 14), (2, 6, 8, 6, 10)

LAYERS = [
    (nn.Conv1d(6, 4, 3), LINE),
    (nn.Conv3d(6, 4, 3), BOX),
    (nn.ConvTranspose1d(6, 4, 3), LINE),
    (nn.ConvTranspose2d(6, 4, 3, groups=2, output_padding=1, stride=2), MAP),
    (nn.ConvTranspose3d(6, 4, 3), BOX),
    (nn.Unfold(3), MAP),
    (nn.Fold((4, 5), (3, 3)), (2, 18, 6)),
    (nn.MaxPool1d(2), LINE),
    (nn.MaxPool2d(2, return_indices=True), MAP),
    (nn.MaxPool3d(2), BOX),
    (nn.AvgPool1d(2), LINE),
    (nn.AvgPool2d(2), MAP),
    (nn.AvgPool3d(2), BOX),
    (nn.LPPool2d(2, 3), MAP),
    (nn.AdaptiveMaxPool1d(3), LINE),
    (nn.AdaptiveMaxPool2d(3), MAP),
    (nn.AdaptiveMaxPool3d(3), BOX),
    (nn.AdaptiveAvgPool1d(5), LINE),
    (nn.AdaptiveAvgPool2d(5), MAP),
    (nn.AdaptiveAvgPool3d(5), BOX),
    (nn.ReflectionPad1d(2), LINE),
    (nn.ReflectionPad2d(2), MAP),
    (nn.ReflectionPad3d(2), BOX),
    (nn.ReplicationPad1d(2), LINE),
    (nn.ReplicationPad2d(2), MAP),
    (nn.ReplicationPad3d(2), BOX),
    (nn.ZeroPad2d(2), MAP),
    (nn.CircularPad2d(2), MAP),
    *((activation(), MAP) for activation in (
        nn.ELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardtanh, nn.Hardswish, nn.LeakyReLU, nn.LogSigmoid,
        nn.PReLU, nn.ReLU, nn.ReLU6, nn.RReLU, nn.SELU, nn.CELU, nn.GELU, nn.Sigmoid, nn.SiLU, nn.Mish,
        nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink, nn.GLU, nn.Softmax2d,
    )),
    (nn.Threshold(0.1, 2.0), MAP),
    (nn.LogSoftmax(1), MAP),
    (nn.Softmin(1), MAP),
    (nn.BatchNorm1d(6), LINE),
    (nn.BatchNorm2d(6), MAP),
    (nn.BatchNorm3d(6), BOX),
    (nn.BatchNorm2d(6, affine=False, track_running_stats=False), MAP),
    (nn.GroupNorm(3, 6), MAP),
    (nn.InstanceNorm2d(6, affine=True), MAP),
    (nn.LayerNorm(14), MAP),
    (nn.LayerNorm(14, elementwise_affine=False), MAP),
    (nn.LayerNorm(14, bias=False), MAP),
    (nn.LocalResponseNorm(2), MAP),
    (nn.RMSNorm(14), MAP),
    (nn.RNN(14, 5), LINE),
    (nn.LSTM(14, 5, bidirectional=True), LINE),
    (nn.GRU(14, 5), LINE),
    (nn.MultiheadAttention(14, 2), None),
    (nn.TransformerEncoderLayer(14, 2, 8), LINE),
    (nn.Linear(14, 5), MAP),
    (nn.Bilinear(14, 14, 5), None),
    (nn.Dropout(), MAP),
    (nn.Dropout2d(), MAP),
    (nn.AlphaDropout(), MAP),
    (nn.FeatureAlphaDropout(), MAP),
    (nn.CosineSimilarity(), None),
    (nn.PairwiseDistance(), None),
    (nn.PixelShuffle(1), MAP),
    (nn.PixelUnshuffle(2), MAP),
    (nn.ChannelShuffle(3), MAP),
    *((nn.Upsample(scale_factor=2, mode=mode), MAP) for mode in ("nearest", "bilinear", "bicubic")),
    (nn.Upsample(scale_factor=2, mode="nearest-exact"), MAP),
    (nn.Upsample(scale_factor=2, mode="linear"), LINE),
    (nn.Upsample(scale_factor=2, mode="trilinear"), BOX),
    (nn.Flatten(), MAP),
    (nn.Unflatten(1, (2, 3)), MAP),
    (nn.utils.parametrizations.weight_norm(nn.Conv2d(6, 4, 3)), MAP),
    (nn.utils.parametrizations.spectral_norm(nn.Conv2d(6, 4, 3)), MAP),
]  # fmt: skip


class Behind(nn.Module):
    """The layer behind one that is trained; one that takes several tensors gets the same each time."""

    def __init__(self, layer: nn.Module, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.layer = layer
        self.inputs = {nn.MultiheadAttention: 3, nn.Bilinear: 2}.get(type(layer), 1)
        if isinstance(layer, nn.CosineSimilarity | nn.PairwiseDistance):
            self.inputs = 2

    def forward(self, x):
        return self.layer(*(x * self.scale.reshape(-1, *(1,) * (x.dim() - 2)),) * self.inputs)


@pytest.mark.parametrize(
    ("layer", "shape"), LAYERS, ids=[f"{i}-{type(layer).__name__}" for i, (layer, _) in enumerate(LAYERS)]
)
def test_every_layer_is_counted_whole(layer: nn.Module, shape: tuple[int, ...] | None) -> None:
    model = Behind(layer, (shape or LINE)[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        forward = trace_model(model, shape or LINE)
        step = trace_model(model, shape or LINE, backward=True)

    for ops in (forward.ops, step.ops, step.backward_ops):
        assert count(replace(forward, ops=ops)).uncounted == {}
    assert step.backward_ops

"""VoVNet: one-shot aggregation, all features of a block concatenated once at its end.

First version arXiv 1904.09730; the second adds shortcuts and effective squeeze-excitation (arXiv 1911.06667).
"""

from dataclasses import dataclass, replace

from torch import nn

from zoo.knobs import integer_knob
from zoo.naming import Names
from zoo.published import Status
from zoo.timm_models import (
    create,
    depths_knob,
    integers_knob,
    switch_knob,
    table,
    timm_family,
    timm_table,
    word_knob,
)

ATTENTION = ("none", "ese", "eca")


@dataclass(frozen=True, slots=True, kw_only=True)
class VoVNetConfig:
    """VoVNet of four stages; the base is VoVNet-39, first version."""

    depths: tuple[int, ...] = (1, 1, 2, 2)
    """Blocks of each of the four stages."""
    channels: tuple[int, ...] = (128, 160, 192, 224)
    """Channels of the convolutions inside a block, by stage."""
    outputs: tuple[int, ...] = (256, 512, 768, 1024)
    """Channels after the aggregation, by stage."""
    layers: int = 5
    """Convolutions of a block whose outputs are aggregated."""
    stem: tuple[int, ...] = (64, 64, 128)
    """Channels of the three convolutions of the stem."""
    residual: bool = False
    """A shortcut around every block but the first of a stage."""
    depthwise: bool = False
    """Separable convolutions in the blocks."""
    attention: str = "none"
    """Channel attention of the last block of a stage: none, ese or eca."""

    def __post_init__(self) -> None:
        depths_knob("VoVNet", self.depths)
        integers_knob("channels of VoVNet", self.channels, count=4, low=8, high=4096)
        integers_knob("outputs of VoVNet", self.outputs, count=4, low=8, high=4096)
        integer_knob("layers of VoVNet", self.layers, low=1, high=64)
        integers_knob("stem of VoVNet", self.stem, count=3, low=1, high=1024)
        switch_knob("residual of VoVNet", self.residual)
        switch_knob("depthwise of VoVNet", self.depthwise)
        word_knob("attention of VoVNet", self.attention, ATTENTION)


_SECOND = VoVNetConfig(residual=True, attention="ese")
_SECOND_19 = replace(_SECOND, depths=(1, 1, 1, 1), layers=3)
_SLIM_19 = replace(_SECOND_19, channels=(64, 80, 96, 112), outputs=(112, 256, 384, 512))

VARIANTS = {
    "vovnet-39a": VoVNetConfig(),
    "vovnet-57a": VoVNetConfig(depths=(1, 1, 4, 3)),
    "vovnet-27-slim": VoVNetConfig(
        depths=(1, 1, 1, 1), channels=(64, 80, 96, 112), outputs=(128, 256, 384, 512)
    ),
    "ese-vovnet-19b": _SECOND_19,
    "ese-vovnet-19b-dw": replace(_SECOND_19, stem=(64, 64, 64), depthwise=True),
    "ese-vovnet-19b-slim": _SLIM_19,
    "ese-vovnet-19b-slim-dw": replace(_SLIM_19, stem=(64, 64, 64), depthwise=True),
    "ese-vovnet-39b": _SECOND,
    "ese-vovnet-57b": replace(_SECOND, depths=(1, 1, 4, 3)),
    "ese-vovnet-99b": replace(_SECOND, depths=(1, 3, 9, 3)),
    "eca-vovnet-39b": replace(_SECOND, attention="eca"),
}

TIMM_NAMES = {
    "vovnet-39a": "vovnet39a",
    "vovnet-57a": "vovnet57a",
    "ese-vovnet-19b-dw": "ese_vovnet19b_dw",
    "ese-vovnet-19b-slim": "ese_vovnet19b_slim",
    "ese-vovnet-19b-slim-dw": "ese_vovnet19b_slim_dw",
    "ese-vovnet-39b": "ese_vovnet39b",
    "ese-vovnet-57b": "ese_vovnet57b",
    "ese-vovnet-99b": "ese_vovnet99b",
    "eca-vovnet-39b": "eca_vovnet39b",
}
"""Variant -> timm's name of the same network."""

PUBLISHED = (
    *table(
        "pytorchcv 0.0.74, pytorchcv/models/vovnet.py",
        {
            "vovnet-27-slim": (224, 3.525736, 2.176695296, None),
            "vovnet-39a": (224, 22.600296, 7.072227328, None),
            "vovnet-57a": (224, 36.640296, 8.930144256, None),
        },
        digits=(6, 9),
        note="counted on that code: convolutions and linear layers",
        status=Status.DERIVED,
    ),
    *table(
        "stigma0617/VoVNet.pytorch:README.md",
        {"vovnet-39a": (224, None, None, 76.77), "vovnet-57a": (224, None, None, 77.73)},
        note="accuracies only",
    ),
    *timm_table(
        {
            "ese-vovnet-19b-dw": (224, 6.54, 1.34),
            "ese-vovnet-19b-slim": (224, 3.17, 1.69),
            "ese-vovnet-19b-slim-dw": (224, 1.9, 0.4),
            "ese-vovnet-39b": (224, 24.57, 7.09),
            "ese-vovnet-57b": (224, 38.61, 8.95),
            "ese-vovnet-99b": (224, 63.2, 16.51),
            "eca-vovnet-39b": (224, 22.6, 7.09),
        }
    ),
)


def _build(config: VoVNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    return create(
        "vovnet39a",
        in_channels,
        num_classes,
        block_per_stage=list(config.depths),
        stage_conv_chs=list(config.channels),
        stage_out_chs=list(config.outputs),
        layer_per_block=config.layers,
        stem_chs=list(config.stem),
        residual=config.residual,
        depthwise=config.depthwise,
        attn="" if config.attention == "none" else config.attention,
    )


FAMILY = timm_family(
    summary="one-shot aggregation of a block's features (arXiv 1904.09730, 1911.06667)",
    names=Names(prefix="vovnet", config_class=VoVNetConfig, variants=VARIANTS),
    knobs={
        "depths": "blocks of each of four stages, 1 to 200",
        "channels": "channels of the convolutions of a block, by stage, 8 to 4096",
        "outputs": "channels after the aggregation, by stage, 8 to 4096",
        "layers": "convolutions of a block, 1 to 64",
        "stem": "channels of the three convolutions of the stem, 1 to 1024",
        "residual": "a shortcut around every block but the first of a stage",
        "depthwise": "separable convolutions in the blocks",
        "attention": "channel attention of a stage's last block: none, ese, eca",
    },
    build=_build,
    systems=("vovnet",),
    published=PUBLISHED,
)

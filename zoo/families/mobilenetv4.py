"""MobileNetV4: universal inverted bottlenecks, the hybrids with multi-query attention (arXiv 2404.10518)."""

from dataclasses import dataclass, replace

from torch import nn

from zoo.knobs import real_knob
from zoo.naming import Names
from zoo.timm_models import made, timm_family, timm_module, timm_table, word_knob

FORMS = ("conv_small", "conv_medium", "conv_large", "hybrid_medium", "hybrid_large")
DOWNSAMPLING = {"none": None, "avg": "avg", "blur": "blurpc"}
"""Word -> timm's anti-aliasing layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileNetV4Config:
    """One of the searched networks, at any width."""

    form: str = "conv_small"
    """The searched network: conv_small, conv_medium, conv_large, hybrid_medium or hybrid_large."""
    width: float = 1.0
    """Multiplier of all channels but the last layer's 1,280, in multiples of 8; below 1 the stem stays."""
    smoothing: str = "none"
    """What strides are done by: none (the convolution itself), avg or blur."""

    def __post_init__(self) -> None:
        word_knob("form of MobileNetV4", self.form, FORMS)
        real_knob("width of MobileNetV4", self.width, low=0.1, high=8.0)
        word_knob("smoothing of MobileNetV4", self.smoothing, tuple(DOWNSAMPLING))


_PLAIN = {f"mobilenetv4-{form.replace('_', '-')}": MobileNetV4Config(form=form) for form in FORMS}
VARIANTS = _PLAIN | {
    "mobilenetv4-conv-small-035": MobileNetV4Config(width=0.35),
    "mobilenetv4-conv-small-050": MobileNetV4Config(width=0.5),
    "mobilenetv4-conv-aa-medium": MobileNetV4Config(form="conv_medium", smoothing="avg"),
    "mobilenetv4-conv-blur-medium": MobileNetV4Config(form="conv_medium", smoothing="blur"),
    "mobilenetv4-conv-aa-large": MobileNetV4Config(form="conv_large", smoothing="avg"),
    "mobilenetv4-hybrid-medium-075": replace(_PLAIN["mobilenetv4-hybrid-medium"], width=0.75),
    "mobilenetv4-hybrid-large-075": replace(_PLAIN["mobilenetv4-hybrid-large"], width=0.75),
}

TIMM_NAMES = {name: name.replace("-", "_") for name in VARIANTS}
"""Variant -> timm's name of the same network."""

RESOLUTIONS = {
    "conv_small": 224,
    "conv_medium": 256,
    "hybrid_medium": 256,
    "conv_large": 384,
    "hybrid_large": 384,
}
"""The paper's, by form."""

PUBLISHED = timm_table(
    {
        "mobilenetv4-conv-small": (224, 3.77, 0.19),
        "mobilenetv4-conv-medium": (256, 9.72, 1.1),
        "mobilenetv4-conv-large": (384, 32.59, 6.43),
        "mobilenetv4-hybrid-medium": (256, 11.07, 1.29),
        "mobilenetv4-hybrid-large": (384, 37.76, 7.77),
        "mobilenetv4-conv-aa-medium": (256, 9.72, 1.58),
        "mobilenetv4-conv-blur-medium": (224, 9.72, 1.22),
        "mobilenetv4-conv-aa-large": (384, 32.59, 7.07),
        "mobilenetv4-hybrid-medium-075": (224, 7.31, 0.66),
        "mobilenetv4-hybrid-large-075": (256, 22.75, 2.06),
    }
)


def _build(
    config: MobileNetV4Config, in_channels: int, num_classes: int, resolution: int | None
) -> nn.Module:
    # timm's entries fix the multiplier; what they call takes any.
    generate = timm_module("mobilenetv3")._gen_mobilenet_v4
    smoothing = DOWNSAMPLING[config.smoothing]
    return made(
        lambda: generate(
            f"mobilenetv4_{config.form}",
            config.width,
            in_chans=in_channels,
            num_classes=num_classes,
            **({"aa_layer": smoothing} if smoothing else {}),
        ),
        f"mobilenetv4_{config.form} of width {config.width}",
    )


FAMILY = timm_family(
    summary="universal inverted bottlenecks for all mobile hardware (arXiv 2404.10518)",
    names=Names(prefix="mobilenetv4", config_class=MobileNetV4Config, variants=VARIANTS),
    knobs={
        "form": "the searched network: " + ", ".join(FORMS),
        "width": "multiplier of all channels but the last layer's, 0.1 to 8",
        "smoothing": "what strides are done by: none, avg, blur",
    },
    build=_build,
    systems=("mobilenetv4",),
    published=PUBLISHED,
    resolution=lambda config: RESOLUTIONS[config.form],
)

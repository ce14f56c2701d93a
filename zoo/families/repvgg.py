"""RepVGG: three branches while training, one 3x3 convolution when shipped (arXiv 2101.03697).

A name with ``-deploy`` is the shipped form, built as training leaves it; the deploy form that is made of a
trained network has the same parameters and multiply-adds.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn

from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.registry import ZooError
from zoo.timm_models import create, depths_knob, switch_knob, table, timm_family, timm_module, timm_table

STAGE_CHANNELS = (64, 128, 256, 512)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepVGGConfig:
    """RepVGG; the base is A0."""

    depths: tuple[int, ...] = (2, 4, 14, 1)
    """Blocks of the four stages after the stem's one."""
    a: float = 0.75
    """Multiplier of the first three stages' 64, 128 and 256 channels; the stem has min(64, 64a)."""
    b: float = 2.5
    """Multiplier of the last stage's 512 channels."""
    groups: int = 1
    """Groups of the convolutions of every second block of a stage (the ``g``)."""
    attention: bool = False
    """Squeeze-excitation after each block (D2se)."""
    deploy: bool = False
    """One convolution for the three branches."""

    def __post_init__(self) -> None:
        depths_knob("RepVGG", self.depths)
        real_knob("a of RepVGG", self.a, low=0.125, high=8.0)
        real_knob("b of RepVGG", self.b, low=0.125, high=16.0)
        integer_knob("groups of RepVGG", self.groups, low=1, high=64)
        switch_knob("attention of RepVGG", self.attention)
        switch_knob("deploy of RepVGG", self.deploy)
        if any(channels % self.groups for channels in self.channels):
            raise ZooError(
                f"channels of RepVGG must be multiples of its groups, got {self.channels} and {self.groups}"
            )

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the four stages."""
        factors = (self.a, self.a, self.a, self.b)
        return tuple(int(base * factor) for base, factor in zip(STAGE_CHANNELS, factors, strict=True))


_B = RepVGGConfig(depths=(4, 6, 16, 1), a=1.0)
_TRAINED = {
    "repvgg-a0": RepVGGConfig(),
    "repvgg-a1": RepVGGConfig(a=1.0),
    "repvgg-a2": RepVGGConfig(a=1.5, b=2.75),
    "repvgg-b0": _B,
    **{
        f"repvgg-b{size}{f'g{groups}' if groups > 1 else ''}": replace(_B, a=a, b=b, groups=groups)
        for size, a, b in ((1, 2.0, 4.0), (2, 2.5, 5.0), (3, 3.0, 5.0))
        for groups in (1, 2, 4)
    },
    "repvgg-d2se": RepVGGConfig(depths=(8, 14, 24, 1), a=2.5, b=5.0, attention=True),
}
VARIANTS = _TRAINED | {f"{name}-deploy": replace(config, deploy=True) for name, config in _TRAINED.items()}

TIMM_NAMES = {
    f"repvgg-{size}": f"repvgg_{size}"
    for size in ("a0", "a1", "a2", "b0", "b1", "b1g4", "b2", "b2g4", "b3", "b3g4", "d2se")
}
"""Variant -> timm's name of the same network."""

_MMPRETRAIN = "open-mmlab/mmpretrain:configs/repvgg/README.md"

PUBLISHED = (
    *table(
        _MMPRETRAIN,
        {
            "repvgg-a0": (224, 9.11, 1.52, 72.41),
            "repvgg-a1": (224, 14.09, 2.64, 74.47),
            "repvgg-a2": (224, 28.21, 5.70, 76.48),
            "repvgg-b0": (224, 15.82, 3.42, 75.14),
            "repvgg-b1": (224, 57.42, 13.16, 78.37),
            "repvgg-b1g2": (224, 45.78, 9.82, 77.79),
            "repvgg-b1g4": (224, 39.97, 8.15, 77.58),
            "repvgg-b2": (224, 89.02, 20.46, 78.78),
            "repvgg-b2g4": (224, 61.76, 12.63, 79.38),
            "repvgg-b3": (224, 123.09, 29.17, 80.52),
            "repvgg-b3g4": (224, 83.83, 17.90, 80.22),
            "repvgg-d2se": (224, 133.33, 36.56, 81.81),
        },
        note="the columns for training; FLOPs there are multiply-adds",
    ),
    *table(
        _MMPRETRAIN,
        {
            "repvgg-a0-deploy": (224, 8.31, 1.36, 72.41),
            "repvgg-a1-deploy": (224, 12.79, 2.37, 74.47),
            "repvgg-a2-deploy": (224, 25.50, 5.12, 76.48),
            "repvgg-b0-deploy": (224, 14.34, 3.06, 75.14),
            "repvgg-b1-deploy": (224, 51.83, 11.82, 78.37),
            "repvgg-b1g2-deploy": (224, 41.36, 8.82, 77.79),
            "repvgg-b1g4-deploy": (224, 36.13, 7.32, 77.58),
            "repvgg-b2-deploy": (224, 80.32, 18.39, 78.78),
            "repvgg-b2g4-deploy": (224, 55.78, 11.34, 79.38),
            "repvgg-b3-deploy": (224, 110.96, 26.22, 80.52),
            "repvgg-b3g4-deploy": (224, 75.63, 16.08, 80.22),
            "repvgg-d2se-deploy": (224, 120.39, 32.85, 81.81),
        },
        note="the columns for deployment; FLOPs there are multiply-adds",
    ),
    *table(
        "openvinotoolkit/open_model_zoo:models/public/repvgg-a0/README.md",
        {"repvgg-a0-deploy": (224, 8.3094, 1.3643, 72.40)},
        digits=(4, 5),
        note="GFLOPs there count a multiply-add as two: 2.7286",
    ),
    *timm_table(
        {
            "repvgg-a0": (224, 9.11, 1.52),
            "repvgg-a1": (224, 14.09, 2.64),
            "repvgg-a2": (224, 28.21, 5.7),
            "repvgg-b0": (224, 15.82, 3.41),
            "repvgg-b1": (224, 57.42, 13.16),
            "repvgg-b1g4": (224, 39.97, 8.15),
            "repvgg-b2": (224, 89.02, 20.45),
            "repvgg-b2g4": (224, 61.76, 12.63),
            "repvgg-b3": (224, 123.09, 29.16),
            "repvgg-b3g4": (224, 83.83, 17.89),
            "repvgg-d2se": (320, 133.33, 74.57),
        }
    ),
)


def _group_size(groups: int) -> Callable[[int, int], int]:
    """Return timm's rule ``(channels, index of the block) -> channels of a group``; 0 is one group."""
    return lambda channels, index: channels // groups if (index + 1) % 2 == 0 else 0


def _build(config: RepVGGConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    blocks = timm_module("byobnet")
    attention = {"attn_layer": "se", "attn_kwargs": {"rd_ratio": 0.0625, "rd_divisor": 1}}
    model = create(
        "repvgg_a0",
        in_channels,
        num_classes,
        blocks=tuple(
            blocks.ByoBlockCfg(
                type="rep", d=depth, c=channels, gs=_group_size(config.groups) if config.groups > 1 else 0
            )
            for depth, channels in zip(config.depths, config.channels, strict=True)
        ),
        stem_chs=min(64, int(64 * config.a)),
        **(attention if config.attention else {}),
    )
    if config.deploy:
        device = next(model.parameters()).device
        with device:  # what merges the branches makes its convolution where the default device says
            for module in list(model.modules()):
                if isinstance(module, blocks.RepVggBlock):
                    module.reparameterize()
        model.requires_grad_(True)
    return model


FAMILY = timm_family(
    summary="three branches to train, plain 3x3 convolutions to ship (arXiv 2101.03697)",
    names=Names(prefix="repvgg", config_class=RepVGGConfig, variants=VARIANTS),
    knobs={
        "depths": "blocks of the four stages after the stem, 1 to 200",
        "a": "multiplier of the first three stages' channels, 0.125 to 8",
        "b": "multiplier of the last stage's channels, 0.125 to 16",
        "groups": "groups of every second block's convolutions, 1 to 64",
        "attention": "squeeze-excitation after each block",
        "deploy": "the shipped form: one convolution for three branches",
    },
    build=_build,
    systems=("repvgg",),
    published=PUBLISHED,
    resolution=lambda config: 320 if config.attention else 224,
)

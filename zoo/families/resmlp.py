"""ResMLP: linear layers across patches and MLPs across channels, nothing else (arXiv 2105.03404)."""

import functools
from dataclasses import dataclass

from torch import nn

from zoo.knobs import integer_knob
from zoo.naming import Names
from zoo.registry import ZooError
from zoo.timm_models import made, table, timm_family, timm_module, timm_table


@dataclass(frozen=True, slots=True, kw_only=True)
class ResMLPConfig:
    """ResMLP; the base is ResMLP-S24."""

    depth: int = 24
    """Residual blocks."""
    width: int = 384
    """Channels of a patch's embedding."""
    patch: int = 16
    """Pixels a side of a patch; the network is made for one resolution, a multiple of it."""
    expansion: int = 4
    """Hidden channels of the MLP over the embedding's."""

    def __post_init__(self) -> None:
        integer_knob("depth of ResMLP", self.depth, low=1, high=200)
        integer_knob("width of ResMLP", self.width, low=8, high=8192)
        integer_knob("patch of ResMLP", self.patch, low=1, high=64)
        integer_knob("expansion of ResMLP", self.expansion, low=1, high=16)

    @property
    def layer_scale(self) -> float:
        """Initial factor of each branch, as timm has it: smaller for deeper and wider networks."""
        if self.depth >= 36 or self.width >= 768:
            return 1e-6
        return 1e-5 if self.depth >= 24 else 1e-4


VARIANTS = {
    "resmlp-24": ResMLPConfig(),
    "resmlp-12": ResMLPConfig(depth=12),
    "resmlp-36": ResMLPConfig(depth=36),
    "resmlp-big-24": ResMLPConfig(width=768, patch=8),
}

TIMM_NAMES = {name: f"{name.replace('-', '_')}_224" for name in VARIANTS}
"""Variant -> timm's name of the same network."""

PUBLISHED = (
    *table(
        "facebookresearch/deit:README_resmlp.md",
        {
            "resmlp-12": (224, 15.0, 3.0, 77.8),
            "resmlp-24": (224, 30.0, 6.0, 80.8),
            "resmlp-36": (224, 116.0, 23.0, 81.1),
            "resmlp-big-24": (224, 129.0, 100.0, 83.6),
        },
        digits=(0, 0),
        note="with distillation",
        departs={
            "resmlp-36": "the row's 116 M and 23 G are of another network than the released S36: timm's "
            "table gives 44.69 M and 8.91 G for it, as counted here"
        },
    ),
    *timm_table(
        {
            "resmlp-12": (224, 15.35, 3.01),
            "resmlp-24": (224, 30.02, 5.96),
            "resmlp-36": (224, 44.69, 8.91),
            "resmlp-big-24": (224, 129.14, 100.23),
        }
    ),
)


def _build(config: ResMLPConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    side = resolution or 224
    if side % config.patch:
        raise ZooError(f"resolution of ResMLP must be a multiple of its patch {config.patch}, got {side}")
    layers = timm_module("mlp_mixer")
    return made(
        lambda: layers.MlpMixer(
            img_size=side,
            in_chans=in_channels,
            num_classes=num_classes,
            patch_size=config.patch,
            num_blocks=config.depth,
            embed_dim=config.width,
            mlp_ratio=config.expansion,
            block_layer=functools.partial(layers.ResBlock, init_values=config.layer_scale),
            norm_layer=layers.Affine,
        ),
        f"ResMLP of {config}",
    )


FAMILY = timm_family(
    summary="all-MLP residual classifier of patches (arXiv 2105.03404)",
    names=Names(prefix="resmlp", config_class=ResMLPConfig, variants=VARIANTS),
    knobs={
        "depth": "residual blocks, 1 to 200",
        "width": "channels of a patch's embedding, 8 to 8192",
        "patch": "pixels a side of a patch, 1 to 64",
        "expansion": "hidden channels of the MLP over the embedding's, 1 to 16",
    },
    build=_build,
    systems=("resmlp",),
    published=PUBLISHED,
)

"""EfficientNet at any width, depth and resolution, or at any phi of the compound rule (arXiv 1905.11946).

``efficientnet-b0`` to ``-b8`` and ``-l2`` have the published coefficients; ``efficientnet-phi2.5`` those of
the rule itself, alpha^phi, beta^phi, gamma^phi. The network is timm's.
"""

import functools
import math
import re
from dataclasses import dataclass
from typing import Any

from torch import nn

from zoo.families.timm_bridge import declare_torchvision_ops
from zoo.knobs import integer_knob, real_knob, shortest
from zoo.naming import Names
from zoo.published import Published
from zoo.registry import IMAGENET_CLASSES, Family
from zoo.scaling import ALPHA, compound, round_resolution
from zoo.scaling.efficientnet import BASE_RESOLUTION, COEFFICIENTS, Coefficients

LOWEST_PHI, HIGHEST_PHI = -6.0, 14.0
BLOCKS = (
    "ds_r1_k3_s1_e1_c16_se0.25",
    "ir_r2_k3_s2_e6_c24_se0.25",
    "ir_r2_k5_s2_e6_c40_se0.25",
    "ir_r3_k3_s2_e6_c80_se0.25",
    "ir_r3_k5_s1_e6_c112_se0.25",
    "ir_r4_k5_s2_e6_c192_se0.25",
    "ir_r1_k3_s1_e6_c320_se0.25",
)
"""EfficientNet-B0's stages (arXiv 1905.11946, Table 1) as timm writes them."""

_PHI = re.compile(r"efficientnet-phi(?P<phi>-?[0-9]+(?:\.[0-9]+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficientNetConfig:
    """EfficientNet-B0 scaled along three axes."""

    width: float = 1.0
    """Multiplier of the channels, which are rounded to multiples of 8."""
    depth: float = 1.0
    """Multiplier of the blocks of each stage, which are rounded up."""
    resolution: int = BASE_RESOLUTION
    """Pixels a side it is made for; any other works."""

    def __post_init__(self) -> None:
        real_knob("width of an EfficientNet", self.width, low=0.1, high=8.0)
        real_knob("depth of an EfficientNet", self.depth, low=0.1, high=16.0)
        integer_knob("resolution of an EfficientNet", self.resolution, low=32, high=4096)


def of_phi(phi: float) -> EfficientNetConfig:
    """Return the network of the compound rule itself at ``phi``, coefficients to 4 digits.

    Raises:
        ZooError: ``phi`` is outside -6 to 14.
    """
    scale = compound(real_knob("phi of an EfficientNet", phi, low=LOWEST_PHI, high=HIGHEST_PHI))
    return EfficientNetConfig(
        width=round(scale.width, 4),
        depth=round(scale.depth, 4),
        resolution=round_resolution(BASE_RESOLUTION * scale.resolution, 2, 32),
    )


def _of(coefficients: Coefficients) -> EfficientNetConfig:
    return EfficientNetConfig(
        width=coefficients.width, depth=coefficients.depth, resolution=coefficients.resolution
    )


VARIANTS = {f"efficientnet-{name}": _of(found) for name, found in COEFFICIENTS.items()}

NAMES = Names(prefix="efficientnet", config_class=EfficientNetConfig, variants=VARIANTS)


def _parse(text: str) -> EfficientNetConfig | None:
    match = _PHI.fullmatch(text.lower())
    return of_phi(float(match["phi"])) if match else NAMES.parse(text)


def _format(config: EfficientNetConfig) -> str:
    if config not in VARIANTS.values():
        phi = round(math.log(config.depth) / math.log(ALPHA), 3)
        for digits in (0, 1, 2, 3):
            short = round(phi, digits)
            if LOWEST_PHI <= short <= HIGHEST_PHI and of_phi(short) == config:
                return f"efficientnet-phi{shortest(short)}"
    return NAMES.format(config)


def build_efficientnet(
    blocks: list[list[str]],
    *,
    depth: float,
    rounding: str,
    in_channels: int,
    num_classes: int,
    **made: Any,
) -> nn.Module:
    """Return timm's EfficientNet of ``blocks``, each a stage's list of timm's block texts.

    Args:
        blocks: stages from the stem to the head.
        depth: multiplier of each stage's blocks.
        rounding: ``ceil`` or ``round``: how blocks become whole.
        in_channels: of the images.
        num_classes: of the answer.
        made: further arguments of timm's class.
    """
    declare_torchvision_ops()
    from timm.models._efficientnet_builder import decode_arch_def
    from timm.models.efficientnet import EfficientNet

    return EfficientNet(
        block_args=decode_arch_def(blocks, depth, depth_trunc=rounding),
        in_chans=in_channels,
        num_classes=num_classes,
        act_layer=nn.SiLU,
        **made,
    )


def channel_rounding(width: float) -> functools.partial[int]:
    """Return timm's rounding of channels times ``width`` to multiples of 8."""
    declare_torchvision_ops()
    from timm.models._efficientnet_builder import round_channels

    return functools.partial(round_channels, multiplier=width)


def _build(
    config: EfficientNetConfig, in_channels: int, num_classes: int, resolution: int | None
) -> nn.Module:
    wide = channel_rounding(config.width)
    return build_efficientnet(
        [[block] for block in BLOCKS],
        depth=config.depth,
        rounding="ceil",
        in_channels=in_channels,
        num_classes=num_classes,
        num_features=wide(1280),
        stem_size=32,
        round_chs_fn=wide,
    )


_PAPER = "arXiv 1905.11946, Table 2"
_PYCLS = "facebookresearch/pycls: dev/model_complexity.json"
_TIMM = "timm: results/benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv"
_BIAS = "counts one more MAC for each output with a bias"

_TABLE_2 = (
    ("b0", 5.3e6, 5e4, 0.39e9, 5e6, 0.771),
    ("b1", 7.8e6, 5e4, 0.70e9, 5e6, 0.791),
    ("b2", 9.2e6, 5e4, 1.0e9, 5e7, 0.801),
    ("b3", 12e6, 5e5, 1.8e9, 5e7, 0.816),
    ("b4", 19e6, 5e5, 4.2e9, 5e7, 0.829),
    ("b5", 30e6, 5e5, 9.9e9, 5e7, 0.836),
    ("b6", 43e6, 5e5, 19e9, 5e8, 0.840),
    ("b7", 66e6, 5e5, 37e9, 5e8, 0.843),
)
_DEPARTS = {
    "b4": "the reference code at the table's own resolution costs 4.6 % more; pycls counts 4.394 G too",
    "b5": "the reference code at the table's own resolution costs 3.7 % more; pycls counts 10.266 G too",
}
_EXACT = (
    ("b0", 5288548, 385825092),
    ("b1", 7794184, 686817992),
    ("b2", 9109994, 993578282),
    ("b3", 12233232, 1827162472),
    ("b4", 19341616, 4393801064),
    ("b5", 30389784, 10266426072),
)

PUBLISHED = (
    *(
        Published(
            model=f"efficientnet-{name}",
            resolution=COEFFICIENTS[name].resolution,
            source=_PAPER,
            parameters=parameters,
            parameters_rounding=half,
            macs=macs,
            macs_rounding=macs_half,
            top1=top1,
            departs=_DEPARTS.get(name, ""),
        )
        for name, parameters, half, macs, macs_half, top1 in _TABLE_2
    ),
    *(
        Published(
            model=f"efficientnet-{name}",
            resolution=COEFFICIENTS[name].resolution,
            source=_PYCLS,
            parameters=parameters,
            macs=macs,
            note=_BIAS,
        )
        for name, parameters, macs in _EXACT
    ),
    *(
        Published(
            model=f"efficientnet-{name}",
            resolution=COEFFICIENTS[name].resolution,
            source=_TIMM,
            parameters=parameters,
            parameters_rounding=5e3,
            macs=macs,
            macs_rounding=5e6,
            note="counts batch norms as well",
        )
        for name, parameters, macs in (("b8", 87.41e6, 63.48e9), ("l2", 480.31e6, 479.12e9))
    ),
)

FAMILY = Family(
    name="efficientnet",
    summary="EfficientNet at any width, depth and resolution, or phi (arXiv 1905.11946)",
    example="efficientnet-b0",
    pattern_help="efficientnet-bN, efficientnet-phiPHI or efficientnet-widthW-depthD-resolutionR",
    knobs={
        "width": "multiplier of the channels, 0.1 to 8",
        "depth": "multiplier of the blocks a stage, 0.1 to 16",
        "resolution": "pixels a side it is made for, 32 to 4096",
    },
    parse=_parse,
    configure=EfficientNetConfig,
    build=_build,
    format=_format,
    default_resolution=lambda config, native: config.resolution,
    near=NAMES.near,
    systems=("efficientnet",),
    variants=VARIANTS,
    published=PUBLISHED,
    classes=IMAGENET_CLASSES,
)

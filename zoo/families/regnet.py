"""RegNetX and RegNetY: all widths from slope, first width and ratio (arXiv 2003.13678, section 3.3).

RegNetY is RegNetX with squeeze-excite. The paper's w_a, w_0 and w_m are called slope, width and ratio here,
as names of variants hold numbers. The network is timm's; ``zoo.scaling.regnet`` has the rule.
"""

from dataclasses import dataclass

from torch import nn

from zoo.families.timm_bridge import declare_torchvision_ops
from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.published import Published
from zoo.registry import IMAGENET_CLASSES, Family, ZooError
from zoo.scaling.regnet import Stages, quantised_linear

STAGES = 4
"""As many as all published RegNets have, and the paper's design space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegNetConfig:
    """The numbers of the quantised-linear rule; RegNetX-400MF unless said otherwise."""

    slope: float = 24.48
    """w_a: channels each block has more than the one before, before rounding."""
    width: int = 24
    """w_0: channels of the first block, a multiple of 8."""
    ratio: float = 2.54
    """w_m: by how much a stage is wider than the one before."""
    depth: int = 22
    """Blocks."""
    group_width: int = 16
    """Channels of a group of the 3x3 convolutions."""
    se: float = 0.0
    """Squeeze-excite: its channels over those at a block's input; 0.25 in RegNetY, 0 in RegNetX."""
    resolution: int = 224
    """Pixels a side it is made for; any other works."""

    def __post_init__(self) -> None:
        real_knob("slope of a RegNet", self.slope, low=0.0, high=1024.0)
        integer_knob("width of a RegNet", self.width, low=8, high=4096)
        real_knob("ratio of a RegNet", self.ratio, low=1.05, high=8.0)
        integer_knob("depth of a RegNet", self.depth, low=1, high=256)
        integer_knob("group_width of a RegNet", self.group_width, low=1, high=4096)
        real_knob("se of a RegNet", self.se, low=0.0, high=1.0)
        integer_knob("resolution of a RegNet", self.resolution, low=32, high=1024)
        widths = self.stages.widths
        if len(widths) != STAGES:
            raise ZooError(
                f"a RegNet has {STAGES} stages: slope {self.slope:g}, width {self.width}, ratio "
                f"{self.ratio:g} and depth {self.depth} give widths of {', '.join(map(str, widths))}"
            )

    @property
    def stages(self) -> Stages:
        """Widths, depths and group widths of the stages."""
        return quantised_linear(self.slope, self.width, self.ratio, self.depth, self.group_width)


_X = (
    ("200mf", 36.44, 24, 2.49, 13, 8),
    ("400mf", 24.48, 24, 2.54, 22, 16),
    ("600mf", 36.97, 48, 2.24, 16, 24),
    ("800mf", 35.73, 56, 2.28, 16, 16),
    ("1.6gf", 34.01, 80, 2.25, 18, 24),
    ("3.2gf", 26.31, 88, 2.25, 25, 48),
    ("4.0gf", 38.65, 96, 2.43, 23, 40),
    ("6.4gf", 60.83, 184, 2.07, 17, 56),
    ("8.0gf", 49.56, 80, 2.88, 23, 120),
    ("12gf", 73.36, 168, 2.37, 19, 112),
    ("16gf", 55.59, 216, 2.1, 22, 128),
    ("32gf", 69.86, 320, 2.0, 23, 168),
)
_Y = (
    ("200mf", 36.44, 24, 2.49, 13, 8),
    ("400mf", 27.89, 48, 2.09, 16, 8),
    ("600mf", 32.54, 48, 2.32, 15, 16),
    ("800mf", 38.84, 56, 2.4, 14, 16),
    ("1.6gf", 20.71, 48, 2.65, 27, 24),
    ("3.2gf", 42.63, 80, 2.66, 21, 24),
    ("4.0gf", 31.41, 96, 2.24, 22, 64),
    ("6.4gf", 33.22, 112, 2.27, 25, 72),
    ("8.0gf", 76.82, 192, 2.19, 17, 56),
    ("12gf", 73.36, 168, 2.37, 19, 112),
    ("16gf", 106.23, 200, 2.48, 18, 112),
    ("32gf", 115.89, 232, 2.53, 20, 232),
)
"""Name, w_a, w_0, w_m, depth, group width (timm 1.0: timm/models/regnet.py, ``model_cfgs``, after pycls)."""

VARIANTS = {
    f"regnet{letter}-{name}": RegNetConfig(
        slope=slope, width=width, ratio=ratio, depth=depth, group_width=group_width, se=se
    )
    for letter, se, table in (("x", 0.0, _X), ("y", 0.25, _Y))
    for name, slope, width, ratio, depth, group_width in table
}

NAMES = Names(prefix="regnet", config_class=RegNetConfig, variants=VARIANTS)


def _build(config: RegNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    declare_torchvision_ops()
    from timm.models.regnet import RegNet, RegNetCfg

    plan = RegNetCfg(
        depth=config.depth,
        w0=config.width,
        wa=config.slope,
        wm=config.ratio,
        group_size=config.group_width,
        se_ratio=config.se,
    )
    return RegNet(plan, in_chans=in_channels, num_classes=num_classes)


_PYCLS = "facebookresearch/pycls: dev/model_complexity.json, dev/model_error.json"
_COUNTED = (
    ("x-200mf", 2684792, 199040872, 0.68912),
    ("x-400mf", 5157512, 397678568, 0.72618),
    ("x-600mf", 6196040, 600891112, 0.74136),
    ("x-800mf", 7259656, 799700712, 0.75154),
    ("x-1.6gf", 9190136, 1602850792, 0.76962),
    ("x-3.2gf", 15296552, 3176622952, 0.78264),
    ("x-4.0gf", 22118248, 3964499816, 0.78644),
    ("x-6.4gf", 26209256, 6460292264, 0.79156),
    ("x-8.0gf", 39572648, 7995133416, 0.79272),
    ("x-12gf", 46106056, 12086679016, 0.79712),
    ("x-16gf", 54278536, 15940756456, 0.80044),
    ("x-32gf", 107811560, 31735930792, 0.80502),
    ("y-200mf", 3162996, 199519076, 0.70342),
    ("y-400mf", 4344144, 401849056, 0.74102),
    ("y-600mf", 6055160, 601227608, 0.7546),
    ("y-800mf", 6263168, 797183328, 0.76316),
    ("y-1.6gf", 11202430, 1612087326, 0.77934),
    ("y-3.2gf", 19436338, 3176496162, 0.78926),
    ("y-4.0gf", 20646656, 3973301344, 0.7936),
    ("y-6.4gf", 30583252, 6355221876, 0.7989),
    ("y-8.0gf", 39180068, 7963074196, 0.79948),
    ("y-12gf", 51822544, 12092395504, 0.8033),
    ("y-16gf", 83590140, 15911534044, 0.80392),
    ("y-32gf", 145046770, 32279583362, 0.80934),
)

PUBLISHED = tuple(
    Published(
        model=f"regnet{name}",
        resolution=224,
        source=_PYCLS,
        parameters=parameters,
        macs=macs,
        top1=top1,
        note="counts one more MAC for each output with a bias; trained for 100 epochs without extras",
    )
    for name, parameters, macs, top1 in _COUNTED
)

FAMILY = Family(
    name="regnet",
    summary="RegNetX and RegNetY with quantised-linear widths (arXiv 2003.13678)",
    example="regnetx-400mf",
    pattern_help="regnetx-400mf, regnety-1.6gf, ... or regnet-slopeA-widthB-ratioC-depthD-group_widthG-seS",
    knobs={
        "slope": "w_a, channels more a block, 0 to 1024",
        "width": "w_0, channels of the first block, a multiple of 8",
        "ratio": "w_m, a stage's channels over the one before, 1.05 to 8",
        "depth": "blocks, 1 to 256",
        "group_width": "channels of a group, 1 to 4096",
        "se": "squeeze-excite's share of the channels, 0.25 in RegNetY, 0 in RegNetX",
        "resolution": "pixels a side it is made for, 32 to 1024",
    },
    parse=NAMES.parse,
    configure=RegNetConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: config.resolution,
    near=NAMES.near,
    systems=("regnet",),
    variants=VARIANTS,
    published=PUBLISHED,
    classes=IMAGENET_CLASSES,
)

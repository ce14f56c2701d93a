"""The four published ProxylessNAS networks, and any like them (arXiv 1812.00332, section 4).

A network is a row of 21 blocks, four in each of five stages and one in the last; each has a kernel and an
expansion of its own, and an expansion of 0 leaves the block out. Networks found for different hardware differ
in channels too.
"""

from dataclasses import dataclass

from torch import nn

from zoo.knobs import integer_knob
from zoo.naming import Names
from zoo.published import Published, Status
from zoo.registry import IMAGENET_CLASSES, Family, ZooError
from zoo.supernets.ofa import chain
from zoo.supernets.proxyless import DEPTHS

_BLOCKS = sum(DEPTHS)
_FIRST = tuple(sum(DEPTHS[:stage]) for stage in range(len(DEPTHS)))
"""Blocks that change shape: they cannot be left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxylessConfig:
    """One network; the defaults are the one found for mobile phones."""

    kernels: tuple[int, ...] = (5, 3, 3, 3, 7, 3, 5, 5, 7, 5, 5, 5, 5, 5, 5, 5, 7, 7, 7, 7, 7)
    expansions: tuple[int, ...] = (3, 3, 0, 0, 3, 3, 3, 3, 6, 3, 3, 3, 6, 3, 3, 3, 6, 6, 3, 3, 6)
    widths: tuple[int, ...] = (32, 40, 80, 96, 192, 320)
    stem: int = 32
    first: int = 16
    last: int = 1280

    def __post_init__(self) -> None:
        for what, values, count in (
            ("kernels", self.kernels, _BLOCKS),
            ("expansions", self.expansions, _BLOCKS),
            ("widths", self.widths, len(DEPTHS)),
        ):
            if len(values) != count:
                raise ZooError(f"{what} of proxylessnas are {count} numbers, got {len(values)}")
        for kernel in self.kernels:
            if integer_knob("a kernel of proxylessnas", kernel, low=1, high=15) % 2 == 0:
                raise ZooError(f"a kernel of proxylessnas must be odd, got {kernel}")
        for index, expansion in enumerate(self.expansions):
            low = 1 if index in _FIRST else 0
            integer_knob(f"expansion {index + 1} of proxylessnas", expansion, low=low, high=12)
        for width in (*self.widths, self.stem, self.first, self.last):
            if integer_knob("channels of proxylessnas", width, low=8, high=8192) % 8:
                raise ZooError(f"channels of proxylessnas must be multiples of 8, got {width}")


def _build(config: ProxylessConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    blocks = tuple(zip(config.kernels, config.expansions, strict=True))
    stages = tuple(
        tuple(block for block in blocks[start : start + depth] if block[1])
        for start, depth in zip(_FIRST, DEPTHS, strict=True)
    )
    channels = (config.stem, config.first, *config.widths, config.last)
    return nn.Sequential(*(part.make() for part in chain(stages, in_channels, num_classes, channels)))


_MOBILE = ProxylessConfig()
VARIANTS = {
    "proxylessnas-mobile": _MOBILE,
    "proxylessnas-mobile14": ProxylessConfig(
        widths=(40, 56, 112, 136, 256, 448), stem=48, first=24, last=1792
    ),
    "proxylessnas-gpu": ProxylessConfig(
        kernels=(5, 3, 3, 3, 7, 3, 3, 3, 7, 5, 5, 5, 5, 3, 3, 5, 7, 7, 7, 5, 7),
        expansions=(3, 0, 0, 0, 3, 0, 0, 3, 6, 0, 0, 3, 6, 0, 3, 3, 6, 6, 6, 6, 6),
        widths=(32, 56, 112, 128, 256, 432),
        stem=40,
        first=24,
        last=1728,
    ),
    "proxylessnas-cpu": ProxylessConfig(
        kernels=(3, 3, 3, 3, 3, 3, 3, 5, 3, 3, 3, 3, 5, 3, 3, 3, 5, 5, 5, 3, 5),
        expansions=(6, 3, 3, 3, 6, 3, 3, 3, 6, 0, 0, 3, 6, 3, 3, 3, 6, 3, 3, 3, 6),
        widths=(32, 48, 88, 104, 216, 360),
        stem=40,
        first=24,
        last=1432,
    ),
}
_LOG = "mit-han-lab/proxylessnas logs/imagenet_{}_log.txt"


def _logged(target: str, parameters: float, macs: float, top1: float) -> Published:
    return Published(
        model=f"proxylessnas-{target}",
        resolution=224,
        source=_LOG.format(target),
        parameters=parameters,
        parameters_rounding=5e3,
        macs=macs,
        macs_rounding=5e4,
        top1=top1,
    )


PUBLISHED = (
    _logged("mobile", 4.08e6, 320.4e6, 0.74594),
    _logged("gpu", 7.12e6, 465.3e6, 0.75084),
    _logged("cpu", 4.36e6, 439.2e6, 0.75290),
    Published(
        model="proxylessnas-mobile14",
        resolution=224,
        source="mit-han-lab/proxylessnas README.md, mobile settings, as of 2019",
        macs=581e6,
        macs_rounding=5e5,
        top1=0.767,
    ),
    Published(
        model="proxylessnas-mobile14",
        resolution=224,
        source="PyPI pytorchcv 0.0.74, pytorchcv/models/proxylessnas.py, _test",
        status=Status.DERIVED,
        parameters=6_857_568,
    ),
)
NAMES = Names(prefix="proxylessnas", config_class=ProxylessConfig, variants=VARIANTS)
FAMILY = Family(
    name="proxylessnas",
    summary="networks found directly on their hardware: mobile, GPU, CPU (arXiv 1812.00332)",
    example="proxylessnas-mobile",
    pattern_help="proxylessnas-TARGET, or proxylessnas-expansionsN+N+...-widthsN+N+...",
    knobs={
        "kernels": "of the 21 blocks, odd",
        "expansions": "of the 21 blocks, 1 to 12; 0 leaves a block out",
        "widths": "channels of the six stages, multiples of 8",
        "stem": "channels of the first convolution, a multiple of 8",
        "first": "channels of the first block, a multiple of 8",
        "last": "channels of the last convolution, a multiple of 8",
    },
    parse=NAMES.parse,
    configure=ProxylessConfig,
    build=_build,
    format=NAMES.format,
    near=NAMES.near,
    default_resolution=lambda config, native: 224,
    systems=("proxylessnas",),
    variants=VARIANTS,
    published=PUBLISHED,
    classes=IMAGENET_CLASSES,
)

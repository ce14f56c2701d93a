"""Once-for-all: the MobileNetV3 and ProxylessNAS supernets (arXiv 1908.09791, section 4.1).

Five stages of 2, 3 or 4 inverted bottlenecks; each block has its own kernel and expansion. Without
resolutions the MobileNetV3 space has (9^2 + 9^3 + 9^4)^5 sub-networks, which the paper rounds to 2 x 10^19.
"""

from dataclasses import dataclass

from zoo.published import Published, Status
from zoo.supernets.elastic import Blocks, Dimension, ElasticSpace, Field, Part, resolution_dimension
from zoo.supernets.mobile import Conv, Head, Inverted, Shortcut, expanded, round_channels, squeezed
from zoo.supernets.space import Choice

KERNELS, EXPANSIONS, DEPTHS = (3, 5, 7), (3, 4, 6), (2, 3, 4)
SEARCHED_BY = (
    "once-for-all",
    "shiftnas",
    "hw-aware-system-for-sub-network-search",
    "hw-aware-nas-framework-across-modalities",
)
"""Systems that train, or search in, the MobileNetV3 space."""
_README = "mit-han-lab/once-for-all README.md, table of OFA specialized sub-nets"
_CONFIGS = "; architecture: net.config of that network"


def _stage(number: int, depths: tuple[int, ...] = DEPTHS) -> Dimension:
    return Dimension(
        what=f"stage {number}",
        fields=(
            Field(label="k", what="kernel", values=KERNELS),
            Field(label="e", what="expansion", values=EXPANSIONS),
        ),
        depths=depths,
    )


def _choice(resolution: int, *stages: str) -> Choice:
    """Read stages written as kernel and expansion digits: ``33 54`` is two blocks, k3e3 and k5e4."""
    blocks = (tuple((int(word[0]), int(word[1])) for word in stage.split()) for stage in stages)
    return (((resolution,),), *blocks)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OfaMobileNetV3(ElasticSpace):
    """Sub-networks of the MobileNetV3 supernet."""

    width: float = 1.0
    """Multiplier of all channels."""

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Part, ...]:
        """Return what runs one after the other, from images to logits."""
        stem, *widths, before, after = (
            round_channels(base * self.width) for base in (16, 24, 40, 80, 112, 160, 960, 1280)
        )
        found: list[Part] = [
            Conv(in_channels, stem, stride=2, activation="hard_swish"),
            Inverted(stem, stem, stem, activation="relu", shortcut="identity", expands=False),
        ]
        channels = stem
        for index, (blocks, out) in enumerate(zip(choice[1:], widths, strict=True)):
            stride = 1 if index == 3 else 2
            for number, (kernel, expansion) in enumerate(blocks):
                middle = expanded(channels, expansion)
                found.append(
                    Inverted(
                        channels,
                        middle,
                        out,
                        kernel,
                        stride if number == 0 else 1,
                        "relu" if index < 2 else "hard_swish",
                        squeezed(middle) if index in (1, 3, 4) else 0,
                        "identity" if number else "none",
                    )
                )
                channels = out
        found.append(Head(channels, before, after, num_classes, "hard_swish"))
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OfaProxylessNas(ElasticSpace):
    """Sub-networks of the ProxylessNAS supernet; its sixth stage is one block."""

    width: float = 1.3
    """Multiplier of all channels."""

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Part, ...]:
        """Return what runs one after the other, from images to logits."""
        stem, first, *widths, last = (
            round_channels(base * self.width) for base in (32, 16, 24, 40, 80, 96, 192, 320, 1280)
        )
        return chain(choice[1:], in_channels, num_classes, (stem, first, *widths, last))


def chain(
    stages: tuple[Blocks, ...], in_channels: int, num_classes: int, channels: tuple[int, ...]
) -> tuple[Part, ...]:
    """Return the parts of a ProxylessNAS network: ReLU6, no gates, strides 2, 2, 2, 1, 2 and 1.

    Args:
        stages: kernel and expansion of each block, stage by stage.
        in_channels: channels of the images.
        num_classes: logits.
        channels: of the stem, the first block, the stages, the last convolution.
    """
    stem, first, *widths, last = channels
    found: list[Part] = [
        Conv(in_channels, stem, stride=2, activation="relu6"),
        Inverted(stem, stem, first, expands=False),
    ]
    here = first
    for blocks, out, first_stride in zip(stages, widths, (2, 2, 2, 1, 2, 1), strict=True):
        for number, (kernel, expansion) in enumerate(blocks):
            middle, stride = expanded(here, expansion), 1 if number else first_stride
            shortcut: Shortcut = "identity" if number else "none"
            found.append(Inverted(here, middle, out, int(kernel), stride, "relu6", shortcut=shortcut))
            here = out
    found.append(Head(here, last, 0, num_classes, "relu6"))
    return tuple(found)


def _figure(model: str, resolution: int, parameters: float, macs: float, top1: float) -> Published:
    return Published(
        model=model,
        resolution=resolution,
        source=_README + _CONFIGS,
        parameters=parameters,
        macs=macs,
        parameters_rounding=5e4,
        macs_rounding=5e5,
        top1=top1,
        status=Status.SEEN,
    )


_V3_STAGES = tuple(_stage(number) for number in range(1, 6))

MOBILENETV3 = OfaMobileNetV3(
    name="ofa_mobilenetv3",
    summary="once-for-all MobileNetV3 supernet, width 1.0 (arXiv 1908.09791)",
    source="PyPI ofa 0.1.0, model_zoo.py: ofa_mbv3_d234_e346_k357_w1.0; README.md: resolutions 128 to 224",
    systems=SEARCHED_BY,
    dimensions=(resolution_dimension(range(128, 225, 4)), *_V3_STAGES),
    known={
        "ofa-note8-22ms": _choice(140, "33 33", "53 53", "74 33", "53 34", "36 76"),
        "ofa-note8-31ms": _choice(152, "53 33", "54 53", "34 34 54", "34 53 74", "36 33 53 53"),
    },
    rows=(
        _figure("ofa-note8-22ms", 140, 4.3e6, 67e6, 0.704),
        _figure("ofa-note8-31ms", 152, 4.6e6, 101e6, 0.728),
    ),
)

MOBILENETV3_WIDE = OfaMobileNetV3(
    name="ofa_mobilenetv3_w1.2",
    summary="once-for-all MobileNetV3 supernet, width 1.2 (arXiv 1908.09791)",
    source="PyPI ofa 0.1.0, model_zoo.py: ofa_mbv3_d234_e346_k357_w1.2; README.md: resolutions 160 to 224",
    systems=("once-for-all",),
    width=1.2,
    # The README ends at 224; the published network of 595 M runs at 236, so that the space has to reach it.
    dimensions=(resolution_dimension(range(160, 237, 4)), *_V3_STAGES),
    known={
        "ofa-595m": _choice(236, "33 54 33", "54 54 36 53", "76 56 33 54", "36 56 76 34", "36 36 56 33"),
    },
    rows=(_figure("ofa-595m", 236, 9.1e6, 595e6, 0.800),),
)

PROXYLESS = OfaProxylessNas(
    name="ofa_proxylessnas",
    summary="once-for-all ProxylessNAS supernet, width 1.3 (arXiv 1908.09791)",
    source="PyPI ofa 0.1.0, model_zoo.py: ofa_proxyless_d234_e346_k357_w1.3; README.md: 128 to 224 px",
    systems=("once-for-all",),
    dimensions=(
        resolution_dimension(range(128, 225, 4)),
        *(_stage(number) for number in range(1, 6)),
        _stage(6, depths=(1,)),
    ),
    known={
        "ofa-tx2-96ms": _choice(172, "33 34 36", "73 54", "34 54 54 53", "54 73 73 36", "36 36 56 34", "53"),
        "ofa-1080ti-12ms": _choice(128, "33 33", "36 54 54", "56 53 73", "34 73 36 34", "76 54 73 53", "36"),
    },
    rows=(
        _figure("ofa-tx2-96ms", 172, 6.2e6, 349e6, 0.758),
        _figure("ofa-1080ti-12ms", 128, 5.9e6, 165e6, 0.726),
    ),
)

SPACES = (MOBILENETV3, MOBILENETV3_WIDE, PROXYLESS)

"""Spaces decided stage by stage: AttentiveNAS with AlphaNet, and BigNAS.

All blocks of a stage share depth, kernel, expansion and width. Every block has a shortcut: where it halves
the image, an average pooling; where channels change, a 1x1 convolution without norm. Numbers of the space and
of the published sub-networks are those of the configurations named in ``source``.
"""

from dataclasses import dataclass

from zoo.published import Published
from zoo.supernets.elastic import Dimension, ElasticSpace, Field, Part, resolution_dimension
from zoo.supernets.mobile import Activation, Conv, Head, Inverted, expanded, squeezed
from zoo.supernets.space import Choice

STRIDES = (1, 2, 2, 2, 1, 2, 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StagewiseSpace(ElasticSpace):
    """Seven stages of equal blocks; what is decided is the depth, kernel, expansion and width of each."""

    gated: tuple[bool, ...]
    """Which stages have gates."""
    wide_head: bool
    """Whether features are expanded six times before the global mean (MobileNetV3), or convolved once."""

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Part, ...]:
        """Return what runs one after the other, from images to logits."""
        activation: Activation = "swish"
        _resolution, ((stem,),), *stages, ((last,),) = choice
        found: list[Part] = [Conv(in_channels, stem, stride=2, activation=activation)]
        channels = stem
        for ((depth, kernel, expansion, out),), first_stride, gate in zip(
            stages, STRIDES, self.gated, strict=True
        ):
            for number in range(int(depth)):
                middle, stride = expanded(channels, expansion), 1 if number else first_stride
                found.append(
                    Inverted(
                        channels,
                        middle,
                        out,
                        kernel,
                        stride,
                        activation,
                        squeezed(middle) if gate else 0,
                        "identity" if channels == out else "conv",
                        expansion != 1,
                    )
                )
                channels = out
        before, after = (6 * channels, last) if self.wide_head else (last, 0)
        found.append(Head(channels, before, after, num_classes, activation))
        return tuple(found)


def stage(
    number: int,
    *,
    channels: tuple[int, ...],
    depths: tuple[int, ...],
    kernels: tuple[int, ...],
    expansions: tuple[int, ...],
) -> Dimension:
    """Return the dimension of one stage, as a configuration lists it."""
    return Dimension(
        what=f"stage {number}",
        fields=(
            Field(label="d", what="depth", values=depths),
            Field(label="k", what="kernel", values=kernels),
            Field(label="e", what="expansion", values=expansions),
            Field(label="c", what="channels", values=channels),
        ),
    )


def channel_dimension(what: str, values: tuple[int, ...]) -> Dimension:
    """Return the dimension of the stem or of the last convolution."""
    return Dimension(what=what, fields=(Field(label="c", what="channels", values=values),))


def _choice(resolution: int, widths: str, kernels: str, depths: str, expansions: str) -> Choice:
    """Read the rows of a published configuration: nine widths, and a digit a stage of the others."""
    stem, *channels, last = (int(width) for width in widths.split())
    rows = zip(depths, kernels, expansions, channels, strict=True)
    stages = (((int(depth), int(kernel), int(ratio), out),) for depth, kernel, ratio, out in rows)
    return (((resolution,),), ((stem,),), *stages, ((last,),))


_PUBLISHED = {
    "attentivenas-a0": _choice(192, "16 16 24 32 64 112 192 216 1792", "3333333", "1333331", "1444466"),
    "attentivenas-a1": _choice(224, "16 16 24 32 64 112 192 216 1984", "3335353", "1333331", "1444466"),
    "attentivenas-a2": _choice(224, "16 16 24 32 64 112 200 224 1984", "3333353", "1333341", "1454466"),
    "attentivenas-a3": _choice(224, "16 16 24 32 64 112 208 224 1984", "3335333", "2334351", "1444466"),
    "attentivenas-a4": _choice(256, "16 16 24 32 64 112 192 216 1984", "3335353", "1334351", "1445466"),
    "attentivenas-a5": _choice(256, "16 16 24 32 72 112 192 216 1792", "3335333", "1333461", "1454466"),
    "attentivenas-a6": _choice(288, "16 16 24 32 64 112 216 224 1984", "3333353", "1334461", "1465466"),
    "alphanet-a5": _choice(256, "16 16 24 32 64 112 208 216 1984", "3333353", "1334451", "1445466"),
    "alphanet-a5.1": _choice(288, "16 16 24 32 64 112 200 216 1984", "3355333", "2343351", "1444566"),
}
_SAME = {f"alphanet-a{n}": _PUBLISHED[f"attentivenas-a{n}"] for n in (0, 1, 2, 3, 4, 6)}
"""Architectures that both papers publish, with weights of their own."""
_MFLOPS = {"a0": 203, "a1": 279, "a2": 317, "a3": 357, "a4": 444, "a5": 491, "a5.1": 596, "a6": 709}
_TOP1 = {
    "attentivenas": {
        "a0": 0.773,
        "a1": 0.784,
        "a2": 0.788,
        "a3": 0.791,
        "a4": 0.798,
        "a5": 0.801,
        "a6": 0.807,
    },
    "alphanet": {
        **{"a0": 0.7787, "a1": 0.7894, "a2": 0.7920, "a3": 0.7941},
        **{"a4": 0.8001, "a5": 0.8029, "a5.1": 0.8062, "a6": 0.8078},
    },
}
_REPOSITORIES = {
    "attentivenas": "facebookresearch/AttentiveNAS README.md; configs/eval_attentive_nas_models.yml",
    "alphanet": "facebookresearch/AlphaNet README.md; configs/eval_alphanet_models.yml",
}


def _figures() -> tuple[Published, ...]:
    known = {**_PUBLISHED, **_SAME}
    return tuple(
        Published(
            model=f"{family}-{name}",
            resolution=known[f"{family}-{name}"][0][0][0],
            source=_REPOSITORIES[family],
            macs=_MFLOPS[name] * 1e6,
            macs_rounding=5e5,
            top1=top1,
        )
        for family, rows in _TOP1.items()
        for name, top1 in rows.items()
    )


ATTENTIVENAS = StagewiseSpace(
    name="attentivenas",
    summary="the space of AttentiveNAS (arXiv 2011.09011) and AlphaNet (arXiv 2102.07954)",
    source="facebookresearch/AttentiveNAS configs/train_attentive_nas_models.yml: supernet_config",
    systems=("attentivenas", "alphanet"),
    dimensions=(
        resolution_dimension((192, 224, 256, 288)),
        channel_dimension("stem", (16, 24)),
        stage(1, channels=(16, 24), depths=(1, 2), kernels=(3, 5), expansions=(1,)),
        stage(2, channels=(24, 32), depths=(3, 4, 5), kernels=(3, 5), expansions=(4, 5, 6)),
        stage(3, channels=(32, 40), depths=(3, 4, 5, 6), kernels=(3, 5), expansions=(4, 5, 6)),
        stage(4, channels=(64, 72), depths=(3, 4, 5, 6), kernels=(3, 5), expansions=(4, 5, 6)),
        stage(5, channels=(112, 120, 128), depths=(3, 4, 5, 6, 7, 8), kernels=(3, 5), expansions=(4, 5, 6)),
        stage(6, channels=(192, 200, 208, 216), depths=(3, 4, 5, 6, 7, 8), kernels=(3, 5), expansions=(6,)),
        stage(7, channels=(216, 224), depths=(1, 2), kernels=(3, 5), expansions=(6,)),
        channel_dimension("last convolution", (1792, 1984)),
    ),
    known={**_PUBLISHED, **_SAME},
    rows=_figures(),
    gated=(False, False, True, False, True, True, True),
    wide_head=True,
)

SPACES = (ATTENTIVENAS,)

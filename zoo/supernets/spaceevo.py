"""SpaceEvo: two spaces found for quantised inference, on a phone's CPU and on a server's (arXiv 2303.08308).

Each space is one point of a larger one: six stages, each with one kind of block and a window of widths; block
by block the kernel, width and expansion are decided. Sub-networks are built in floating point: the steps of
the quantiser are no part of them. The repository gives the published sub-networks, not their costs.
"""

from dataclasses import dataclass
from typing import Literal

from zoo.supernets.elastic import Dimension, ElasticSpace, Field, Part, resolution_dimension
from zoo.supernets.mobile import (
    Activation,
    Bottleneck,
    Conv,
    Fused,
    Head,
    Inverted,
    Shortcut,
    round_channels,
    squeezed,
)
from zoo.supernets.space import Choice

Kind = Literal["plain", "inverted", "gated", "fused", "bottleneck"]
STRIDES = (1, 2, 2, 2, 1, 2, 1)
_EXPANDED, _MIXED = 1280, 1920


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What the blocks of one stage are, and what is decided of each."""

    kind: Kind
    activation: Activation
    kernels: tuple[int, ...]
    expansions: tuple[float, ...]
    widths: tuple[int, ...]
    depths: tuple[int, ...]

    def dimension(self, number: int) -> Dimension:
        """Return what is decided."""
        return Dimension(
            what=f"stage {number}",
            fields=(
                Field(label="k", what="kernel", values=self.kernels),
                Field(label="w", what="width", values=self.widths),
                Field(label="e", what="expansion", values=self.expansions),
            ),
            depths=self.depths,
        )

    def part(self, channels: int, out: int, kernel: int, expansion: float, stride: int) -> Part:
        """Return one block."""
        if self.kind == "bottleneck":
            middle = round_channels(out * expansion)
            return Bottleneck(channels, middle, out, kernel, stride, pooled=False)
        middle = round_channels(channels * expansion)
        same = stride == 1 and channels == out
        shortcut: Shortcut = "identity" if same else "none" if self.kind == "plain" else "conv_norm"
        if self.kind == "fused":
            return Fused(channels, middle, out, kernel, stride, self.activation, shortcut)
        gate = squeezed(middle) if self.kind == "gated" else 0
        return Inverted(
            channels, middle, out, kernel, stride, self.activation, gate, shortcut, middle != channels
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpaceEvoSpace(ElasticSpace):
    """Sub-networks of one space: stem, stage 0, six stages, head."""

    stages: tuple[Stage, ...]
    head_activation: Activation

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Part, ...]:
        """Return what runs one after the other, from images to logits."""
        _resolution, ((channels,),), *rows = choice
        found: list[Part] = [Conv(in_channels, channels, stride=2, activation="relu")]
        for blocks, stage, first_stride in zip(rows, self.stages, STRIDES, strict=True):
            for number, (kernel, out, expansion) in enumerate(blocks):
                found.append(stage.part(channels, out, kernel, expansion, 1 if number else first_stride))
                channels = out
        found.append(Head(channels, _EXPANDED, _MIXED, num_classes, self.head_activation, after_norm=True))
        return tuple(found)


def _space(
    *,
    name: str,
    where: str,
    source: str,
    stem: tuple[int, ...],
    stages: tuple[Stage, ...],
    head: Activation,
    known: dict[str, Choice],
) -> SpaceEvoSpace:
    return SpaceEvoSpace(
        name=name,
        summary=f"the space that SpaceEvo found for {where} (arXiv 2303.08308)",
        source=source,
        systems=("spaceevo",),
        dimensions=(
            resolution_dimension((160, 176, 192, 208, 224)),
            Dimension(what="stem", fields=(Field(label="c", what="channels", values=stem),)),
            *(stage.dimension(number) for number, stage in enumerate(stages)),
        ),
        known=known,
        stages=stages,
        head_activation=head,
    )


def _choice(resolution: int, depths: str, kernels: str, widths: str, expansions: str) -> Choice:
    """Read a published encoding: depths of stem and stages, then each block's numbers; the stem has none."""
    rows = iter(
        zip(
            (int(kernel) for kernel in kernels),
            (int(width) for width in widths.split()),
            (0.5 if ratio == "h" else int(ratio) for ratio in expansions),
            strict=True,
        )
    )
    _kernel, stem, _ratio = next(rows)
    stages = tuple(tuple(next(rows) for _ in range(int(depth))) for depth in depths[1:])
    return (((resolution,),), ((stem,),), *stages)


def _mobile(kind: Kind, activation: Activation, widths: tuple[int, ...], depths: range) -> Stage:
    return Stage(
        kind=kind,
        activation=activation,
        kernels=(3, 5, 7),
        expansions=(3, 6, 8),
        widths=widths,
        depths=tuple(depths),
    )


def _server(kind: Kind, activation: Activation, widths: tuple[int, ...], depths: range) -> Stage:
    fused = kind == "fused"
    return Stage(
        kind=kind,
        activation=activation,
        kernels=(3, 5, 7) if fused else (3, 5),
        expansions=(1, 2, 3, 4) if fused else (4, 6, 8),
        widths=widths,
        depths=tuple(depths),
    )


_RESULTS = "xudoong/SpaceEvo data/search_result.yaml, modules/search_space"

PIXEL4 = _space(
    name="spaceevo_pixel4",
    where="the CPU of a Pixel 4",
    source=f"{_RESULTS}: mobilew-122222-155400",
    stem=(16, 24, 32),
    stages=(
        Stage(
            kind="plain",
            activation="relu",
            kernels=(3,),
            expansions=(1,),
            widths=(16, 24, 32),
            depths=(1, 2),
        ),
        _mobile("inverted", "relu6", (32, 40), range(2, 5)),
        _mobile("gated", "swish", (64, 72), range(2, 5)),
        _mobile("gated", "swish", (96, 104, 112), range(2, 7)),
        _mobile("gated", "swish", (144, 152, 160), range(2, 9)),
        _mobile("gated", "swish", (192, 200, 208, 216, 224), range(2, 9)),
        _mobile("gated", "swish", (216, 232, 248, 264, 280, 296, 312), range(1, 3)),
    ),
    head="swish",
    known={
        "seqnet-pixel4-a0": _choice(
            160, "11222221", "3" * 13, "16 16 32 32 64 64 96 96 144 144 192 192 216", "01" + "3" * 11
        ),
        "seqnet-pixel4-a1": _choice(
            208,
            "11222241",
            "333333733333533",
            "16 16 32 32 64 64 96 96 144 144 224 192 208 192 232",
            "013333333366633",
        ),
    },
)

VNNI = _space(
    name="spaceevo_vnni",
    where="a server CPU with VNNI",
    source=f"{_RESULTS}: onnxw-151122-023231",
    stem=(16, 32),
    stages=(
        Stage(
            kind="bottleneck",
            activation="relu",
            kernels=(3,),
            expansions=(0.5,),
            widths=(16, 32),
            depths=(1, 2),
        ),
        _server("inverted", "relu6", (32, 48), range(2, 5)),
        _server("fused", "swish", (64, 80), range(2, 5)),
        _server("inverted", "relu6", (112, 128, 144), range(2, 7)),
        _server("inverted", "relu6", (144, 160, 176), range(2, 7)),
        _server("gated", "hard_swish", (240, 256, 272, 288, 304), range(2, 7)),
        _server("gated", "hard_swish", tuple(range(320, 417, 16)), range(1, 3)),
    ),
    head="hard_swish",
    known={
        "seqnet-vnni-a0": _choice(
            160, "11222221", "3" * 13, "16 16 32 32 64 64 112 112 144 144 240 240 320", "0h4411444444" + "4"
        ),
        "seqnet-vnni-a1": _choice(
            192,
            "11223231",
            "333333353333335",
            "16 16 32 32 64 80 128 112 112 144 176 304 304 256 368",
            "0h4421464444644",
        ),
    },
)

SPACES = (PIXEL4, VNNI)

"""Once-for-all ResNet50-D: depth, expansion of each block, width of each stage.

The supernet of the once-for-all repository: four stages of 2, 2, 4 and 2 blocks and up to two more each,
three width multipliers for the stem and each stage, three expansions for each block; the second convolution
of the stem is left out where the stem's depth says so.
"""

from dataclasses import dataclass

from zoo.supernets.elastic import Dimension, ElasticSpace, Field, Part, resolution_dimension
from zoo.supernets.mobile import Bottleneck, Conv, Head, round_channels
from zoo.supernets.space import Choice

MULTIPLIERS, EXPANSIONS = (0.65, 0.8, 1.0), (0.2, 0.25, 0.35)
_DEPTHS, _CHANNELS = (2, 2, 4, 2), (256, 512, 1024, 2048)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OfaResNet(ElasticSpace):
    """Sub-networks of the ResNet50-D supernet."""

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Part, ...]:
        """Return what runs one after the other, from images to logits."""
        _resolution, ((has_second, inside, outside),), *stages = choice
        narrow = round_channels(round_channels(64 * inside) // 2)
        channels = round_channels(64 * outside)
        found: list[Part] = [Conv(in_channels, narrow, stride=2)]
        if has_second:
            found.append(Conv(narrow, narrow, residual=True))
        found.append(Conv(narrow, channels, pool=True))
        for index, base in enumerate(_CHANNELS):
            ((multiplier,),), blocks = stages[2 * index : 2 * index + 2]
            out = round_channels(base * multiplier)
            for number, (expansion,) in enumerate(blocks):
                middle = round_channels(round(out * expansion))
                stride = 2 if index and number == 0 else 1
                # between stages widths might differ, so that the supernet has a convolution there
                found.append(Bottleneck(channels, middle, out, stride=stride, projects=number == 0))
                channels = out
        found.append(Head(channels, 0, 0, num_classes))
        return tuple(found)


def _stages() -> tuple[Dimension, ...]:
    width = Field(label="w", what="width", values=MULTIPLIERS)
    expansion = Field(label="e", what="expansion", values=EXPANSIONS)
    found: list[Dimension] = []
    for number, depth in enumerate(_DEPTHS, start=1):
        found.append(Dimension(what=f"stage {number}", fields=(width,)))
        depths = (depth, depth + 1, depth + 2)
        found.append(Dimension(what=f"stage {number}", fields=(expansion,), depths=depths))
    return tuple(found)


RESNET50 = OfaResNet(
    name="ofa_resnet50",
    summary="once-for-all ResNet50-D supernet (mit-han-lab/once-for-all)",
    source="PyPI ofa 0.1.0, model_zoo.py: ofa_resnet50; README.md: resolutions 128 to 224",
    systems=(
        "once-for-all",
        "hw-aware-system-for-sub-network-search",
        "hw-aware-nas-framework-across-modalities",
    ),
    dimensions=(
        resolution_dimension(range(128, 225, 4)),
        Dimension(
            what="stem",
            fields=(
                Field(label="d", what="second convolution", values=(0, 1)),
                Field(label="i", what="width inside", values=MULTIPLIERS),
                Field(label="o", what="width outside", values=MULTIPLIERS),
            ),
        ),
        *_stages(),
    ),
)

SPACES = (RESNET50,)

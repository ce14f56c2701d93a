"""The search space of ProxylessNAS: 21 blocks of six operators, or none (arXiv 1812.00332, section 4).

Six stages of four blocks, the last of one; where shapes agree a block may be skipped: 6^6 x 7^15
sub-networks.
"""

from dataclasses import dataclass

from zoo.supernets.elastic import Dimension, ElasticSpace, Field, Part, resolution_dimension
from zoo.supernets.ofa import chain
from zoo.supernets.space import Choice

DEPTHS = (4, 4, 4, 4, 4, 1)
CHANNELS = (32, 16, 24, 40, 80, 96, 192, 320, 1280)
"""Of the stem, the first block, the stages, the last convolution."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProxylessSpace(ElasticSpace):
    """Sub-networks at width 1.0 and 224 pixels a side."""

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Part, ...]:
        """Return what runs one after the other, from images to logits."""
        blocks, stages, start = choice[1:], [], 0
        for depth in DEPTHS:
            stages.append(tuple(block for found in blocks[start : start + depth] for block in found))
            start += depth
        return chain(tuple(stages), in_channels, num_classes, CHANNELS)


def _block(stage: int, number: int) -> Dimension:
    return Dimension(
        what=f"stage {stage} block {number}",
        fields=(
            Field(label="k", what="kernel", values=(3, 5, 7)),
            Field(label="e", what="expansion", values=(3, 6)),
        ),
        depths=(1,) if number == 1 else (0, 1),
        uniform_over_blocks=True,
    )


SPACE = ProxylessSpace(
    name="proxylessnas_space",
    summary="the search space of ProxylessNAS for ImageNet (arXiv 1812.00332)",
    source="mit-han-lab/proxylessnas search/imagenet_arch_search.py, models/super_nets/super_proxyless.py",
    systems=("proxylessnas",),
    dimensions=(
        resolution_dimension((224,)),
        *(
            _block(stage, number)
            for stage, depth in enumerate(DEPTHS, start=1)
            for number in range(1, depth + 1)
        ),
    ),
)

SPACES = (SPACE,)

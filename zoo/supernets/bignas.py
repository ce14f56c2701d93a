"""BigNAS: EfficientNet-like stages of elastic depth, width and kernel (arXiv 2003.11142).

The children that the paper publishes (242 to 1,040 million multiply-adds) are drawn as figures there, not
given as configurations, so that none has a name here; the space reaches all of them.
"""

from zoo.supernets.attentive import StagewiseSpace, channel_dimension, stage
from zoo.supernets.elastic import resolution_dimension

BIGNAS = StagewiseSpace(
    name="bignas",
    summary="the space of BigNAS (arXiv 2003.11142)",
    source="xfey/pytorch-BigNAS configs/train.yaml: SUPERNET_CFG (a reimplementation by others)",
    systems=("bignas",),
    dimensions=(
        resolution_dimension((192, 224, 288, 320)),
        channel_dimension("stem", (32, 40)),
        stage(1, channels=(16, 24), depths=(1, 2), kernels=(3,), expansions=(1,)),
        stage(2, channels=(24, 32), depths=(2, 3), kernels=(3,), expansions=(6,)),
        stage(3, channels=(40, 48), depths=(2, 3), kernels=(3, 5), expansions=(6,)),
        stage(4, channels=(80, 88), depths=(2, 3, 4), kernels=(3, 5), expansions=(6,)),
        stage(5, channels=(112, 120, 128), depths=(2, 3, 4, 5, 6), kernels=(3, 5), expansions=(6,)),
        stage(6, channels=(192, 200, 208, 216), depths=(2, 3, 4, 5, 6), kernels=(3, 5), expansions=(6,)),
        stage(7, channels=(320, 352), depths=(1, 2), kernels=(3, 5), expansions=(6,)),
        channel_dimension("last convolution", (1280, 1408)),
    ),
    gated=(True,) * 7,
    wide_head=False,
)

SPACES = (BIGNAS,)

"""Pure rules that turn a size into depth, width and resolution, and the rounding that follows.

| rule | what it says | module |
|---|---|---|
| compound | depth, width and resolution grow together (arXiv 1905.11946, equation 3) | `factors` |
| fast | mostly width (arXiv 2103.06877) | `factors` |
| width, depth, resolution | one axis alone, for comparison | `factors` |
| published EfficientNet | the rounded coefficients of B0 to B8 and L2 | `efficientnet` |
| tiny | resolution and depth of small networks; width fills the budget (arXiv 2010.14819) | `tiny` |
| ResNet-RS | depth and, slowly, resolution; or width (arXiv 2103.07579) | `resnet_rs` |
| RegNet | quantised-linear widths (arXiv 2003.13678, section 3.3) | `regnet` |
| EfficientNetV2 | later stages grow more, resolution is capped (arXiv 2104.00298) | `efficientnetv2` |

`zoo.scaling.rules` applies them to families by name; it is not imported here, as families import this.
"""

from zoo.scaling.factors import (
    ALPHA,
    BETA,
    GAMMA,
    MACS_PER_STEP,
    Scale,
    compound,
    compound_macs,
    depth_only,
    fast,
    phi_of,
    resolution_only,
    width_only,
)
from zoo.scaling.rounding import (
    round_channels,
    round_repeats,
    round_resolution,
    round_up_repeats,
)

__all__ = [
    "ALPHA",
    "BETA",
    "GAMMA",
    "MACS_PER_STEP",
    "Scale",
    "compound",
    "compound_macs",
    "depth_only",
    "fast",
    "phi_of",
    "resolution_only",
    "round_channels",
    "round_repeats",
    "round_resolution",
    "round_up_repeats",
    "width_only",
]

"""The published architectures of FBNetV3 as rows (arXiv 2006.02049).

Read in the authors' repository: facebookresearch/mobile-vision,
mobile_cv/arch/fbnet_v2/fbnet_modeldef_cls_fbnetv3.py. A and B are one architecture at two input sizes there.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """Blocks of one shape, before scaling."""

    kernel: int
    channels: int
    stride: int
    repeats: int
    expand: int
    """Channels inside over channels at the block's input."""
    gated: bool = False
    padding: int | None = None
    """Pixels around the filter's input where the definition says so; None keeps the size over stride."""
    per_group: int = 1
    """Channels per group of the filter; 1 is depthwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One published architecture."""

    resolution: int
    stem: int
    rows: tuple[Row, ...]
    head_expand: int
    """Channels before the global average over channels of the last block."""
    head: int
    """Channels after it."""


_A = Definition(
    resolution=224,
    stem=16,
    rows=(
        Row(3, 16, 1, 2, 1),
        Row(5, 24, 2, 1, 4),
        Row(5, 24, 1, 3, 2),
        Row(5, 40, 2, 1, 5, True),
        Row(5, 40, 1, 4, 3, True),
        Row(5, 72, 2, 1, 5, False, 1),
        Row(3, 72, 1, 4, 3),
        Row(3, 120, 1, 1, 5, True),
        Row(5, 120, 1, 5, 3, True),
        Row(3, 184, 2, 1, 6, True, 0),
        Row(5, 184, 1, 5, 4, True),
        Row(5, 224, 1, 1, 6, True),
    ),
    head_expand=6,
    head=1984,
)

DEFINITIONS: Mapping[str, Definition] = {
    "a0": Definition(
        resolution=224,
        stem=12,
        rows=(
            Row(3, 12, 1, 1, 1),
            Row(3, 24, 2, 1, 4),
            Row(3, 24, 1, 2, 2),
            Row(3, 40, 2, 1, 4, True),
            Row(3, 40, 1, 2, 2, True),
            Row(5, 72, 2, 1, 4),
            Row(3, 72, 1, 2, 3),
            Row(3, 104, 1, 1, 4, True),
            Row(5, 104, 1, 3, 3, True),
            Row(3, 176, 2, 1, 4, True),
            Row(3, 176, 1, 3, 4, True),
            Row(3, 208, 1, 1, 5, True),
        ),
        head_expand=5,
        head=1984,
    ),
    "a": _A,
    "b": Definition(resolution=248, stem=_A.stem, rows=_A.rows, head_expand=6, head=1984),
    "c": Definition(
        resolution=248,
        stem=16,
        rows=(
            Row(3, 16, 1, 2, 1),
            Row(5, 24, 2, 1, 5),
            Row(3, 24, 1, 4, 3),
            Row(5, 48, 2, 1, 5, True),
            Row(5, 48, 1, 4, 2, True),
            Row(5, 88, 2, 1, 4, False, 1),
            Row(3, 88, 1, 4, 3),
            Row(3, 120, 1, 1, 4, True),
            Row(5, 120, 1, 5, 3, True),
            Row(5, 216, 2, 1, 5, True, 1),
            Row(5, 216, 1, 5, 5, True),
            Row(5, 216, 1, 1, 6, True),
        ),
        head_expand=6,
        head=1984,
    ),
    "d": Definition(
        resolution=248,
        stem=24,
        rows=(
            Row(3, 16, 1, 2, 1),
            Row(3, 24, 2, 1, 5),
            Row(3, 24, 1, 5, 2),
            Row(5, 40, 2, 1, 4, True),
            Row(3, 40, 1, 4, 3, True),
            Row(3, 72, 2, 1, 5),
            Row(3, 72, 1, 4, 3),
            Row(3, 128, 1, 1, 5, True),
            Row(5, 128, 1, 6, 3, True),
            Row(3, 208, 2, 1, 6, True),
            Row(5, 208, 1, 5, 5, True),
            Row(5, 240, 1, 1, 6, True),
        ),
        head_expand=6,
        head=1984,
    ),
    "e": Definition(
        resolution=264,
        stem=24,
        rows=(
            Row(3, 16, 1, 3, 1),
            Row(5, 24, 2, 1, 4),
            Row(5, 24, 1, 4, 2),
            Row(5, 48, 2, 1, 4, True),
            Row(5, 48, 1, 4, 3, True),
            Row(5, 80, 2, 1, 5, False, 1),
            Row(3, 80, 1, 4, 3),
            Row(3, 128, 1, 1, 5, True),
            Row(5, 128, 1, 7, 3, True),
            Row(3, 216, 2, 1, 6, True),
            Row(5, 216, 1, 5, 5, True),
            Row(5, 240, 1, 1, 6, True),
        ),
        head_expand=6,
        head=1984,
    ),
    "f": Definition(
        resolution=272,
        stem=24,
        rows=(
            Row(3, 24, 1, 3, 1),
            Row(5, 32, 2, 1, 4),
            Row(5, 32, 1, 4, 2),
            Row(5, 56, 2, 1, 4, True),
            Row(5, 56, 1, 4, 3, True),
            Row(5, 88, 2, 1, 5),
            Row(3, 88, 1, 4, 3),
            Row(3, 144, 1, 1, 5, True),
            Row(5, 144, 1, 8, 3, True),
            Row(3, 248, 2, 1, 6, True, 0),
            Row(5, 248, 1, 6, 5, True),
            Row(5, 272, 1, 1, 6, True),
        ),
        head_expand=6,
        head=1984,
    ),
    "g": Definition(
        resolution=320,
        stem=32,
        rows=(
            Row(3, 24, 1, 3, 1),
            Row(5, 40, 2, 1, 4),
            Row(5, 40, 1, 4, 2),
            Row(5, 56, 2, 1, 4, True),
            Row(5, 56, 1, 4, 3, True),
            Row(5, 104, 2, 1, 5),
            Row(3, 104, 1, 4, 3),
            Row(3, 160, 1, 1, 5, True),
            Row(5, 160, 1, 8, 3, True),
            Row(3, 264, 2, 1, 6, True),
            Row(5, 264, 1, 6, 5, True),
            Row(5, 288, 1, 2, 6, True),
        ),
        head_expand=6,
        head=1984,
    ),
    "20g": Definition(
        resolution=256,
        stem=32,
        rows=(
            Row(3, 32, 1, 2, 1, False, None, 32),
            Row(5, 108, 2, 1, 4, False, None, 64),
            Row(5, 108, 1, 5, 1, False, None, 54),
            Row(5, 160, 2, 1, 2, True, None, 108),
            Row(5, 160, 1, 5, 2, True, None, 80),
            Row(5, 256, 2, 1, 2, False, None, 80),
            Row(3, 256, 1, 6, 2, False, None, 128),
            Row(3, 348, 1, 1, 2, True, None, 116),
            Row(5, 348, 1, 9, 2, True, None, 116),
            Row(3, 580, 2, 1, 2, True, None, 116),
            Row(5, 580, 1, 7, 2, True, None, 116),
            Row(5, 580, 1, 3, 2, True, None, 116),
        ),
        head_expand=6,
        head=3200,
    ),
}

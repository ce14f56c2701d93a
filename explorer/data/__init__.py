"""Image sets from outside, checked, in fixed splits: `load_images` is the way in.

Everything is numpy: uint8 images ``[example, height, width, channel]`` and int64 labels ``[example]``.
"""

from explorer.data.images import DATASETS, DatasetInfo, ImageSet, Split, dataset_names, load_images

__all__ = ["DATASETS", "DatasetInfo", "ImageSet", "Split", "dataset_names", "load_images"]

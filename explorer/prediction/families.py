"""Model families, and the folds that hold whole families out.

A predictor that has seen ResNet-50 knows ResNet-101: only models of families it never saw tell how well
it does on a new one.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

FOLDS = 5

_PREFIXES = re.compile(r"(tf_|legacy_|gluon_|sk|ese_|cs3?|ig_|eca_|test_)")
_LETTERS = re.compile(r"[a-z]+")


def family(model: str) -> str:
    """Return the family of a timm model: its leading letters, without the prefix of a port or variant.

    >>> family("tf_efficientnet_b0.ns_jft_in1k"), family("timm:cs3darknet_l"), family("vit_base_patch16_224")
    ('efficientnet', 'darknet', 'vit')
    """
    name = model.lower().removeprefix("timm:")
    match = _LETTERS.match(_PREFIXES.sub("", name, count=1) if _PREFIXES.match(name) else name)
    return match[0] if match else name


def folds(families: Sequence[str], *, count: int = FOLDS) -> np.ndarray:
    """Return the fold of each row [row], 0 to ``count`` - 1: one family, one fold; much the same sizes.

    Families are taken in the order of a hash of their names and go to the fold with fewest rows so far,
    those of more than a tenth of a fold first. The same names give the same folds on every machine.

    Raises:
        ValueError: fewer families than folds.
    """
    sizes = Counter(families)
    if len(sizes) < count:
        raise ValueError(f"{len(sizes)} families do not fill {count} folds: {', '.join(sorted(sizes)[:10])}")
    large = len(families) / count / 10
    order = sorted(sizes, key=lambda name: (sizes[name] <= large, _hash(name)))
    filled = [0] * count
    place: dict[str, int] = {}
    for name in order:
        place[name] = min(range(count), key=lambda fold: (filled[fold], fold))
        filled[place[name]] += sizes[name]
    return np.array([place[name] for name in families])


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()

"""HardCoRe-NAS: mobile networks searched under a hard latency constraint (arXiv 2102.11646)."""

import functools
from dataclasses import dataclass

from torch import nn

from zoo.knobs import real_knob
from zoo.naming import Names
from zoo.timm_models import create, timm_family, timm_module, timm_table, word_knob

FORMS = ("a", "b", "c", "d", "e", "f")


@dataclass(frozen=True, slots=True, kw_only=True)
class HardCoReNasConfig:
    """One of the searched networks, at any width."""

    form: str = "a"
    """The searched network, a (fastest) to f."""
    width: float = 1.0
    """Multiplier of all channels but the last linear layer's 1,280, rounded to multiples of 8."""

    def __post_init__(self) -> None:
        word_knob("form of HardCoRe-NAS", self.form, FORMS)
        real_knob("width of HardCoRe-NAS", self.width, low=0.1, high=8.0)


VARIANTS = {f"hardcorenas-{form}": HardCoReNasConfig(form=form) for form in FORMS}

TIMM_NAMES = {name: name.replace("-", "_") for name in VARIANTS}
"""Variant -> timm's name of the same network."""

PUBLISHED = timm_table(
    {
        "hardcorenas-a": (224, 5.26, 0.23),
        "hardcorenas-b": (224, 5.18, 0.26),
        "hardcorenas-c": (224, 5.52, 0.28),
        "hardcorenas-d": (224, 7.5, 0.3),
        "hardcorenas-e": (224, 8.07, 0.35),
        "hardcorenas-f": (224, 8.2, 0.35),
    }
)


def _build(
    config: HardCoReNasConfig, in_channels: int, num_classes: int, resolution: int | None
) -> nn.Module:
    rounded = functools.partial(timm_module("hardcorenas").round_channels, multiplier=config.width)
    return create(f"hardcorenas_{config.form}", in_channels, num_classes, round_chs_fn=rounded)


FAMILY = timm_family(
    summary="mobile networks searched under hard constraints (arXiv 2102.11646)",
    names=Names(prefix="hardcorenas", config_class=HardCoReNasConfig, variants=VARIANTS),
    knobs={
        "form": "the searched network: " + ", ".join(FORMS),
        "width": "multiplier of all channels but the last layer's, 0.1 to 8",
    },
    build=_build,
    systems=("hardcore-nas",),
    published=PUBLISHED,
)

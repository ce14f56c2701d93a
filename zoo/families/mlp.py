"""Multilayer perceptron on flattened images: the smallest baseline, fully connected."""

import math
import re
from dataclasses import dataclass

from torch import nn

from zoo.knobs import integer_knob
from zoo.registry import Family, ZooError

_NAME = re.compile(r"mlp(?P<hidden>[0-9]+)x(?P<layers>[0-9]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class MlpConfig:
    """``layers`` hidden layers of ``hidden`` units."""

    hidden: int
    """Units of every hidden layer."""
    layers: int
    """Hidden layers; the output layer comes on top."""

    def __post_init__(self) -> None:
        integer_knob("hidden units of an MLP", self.hidden, low=1, high=65_536)
        integer_knob("hidden layers of an MLP", self.layers, low=1, high=64)


def _parse(text: str) -> MlpConfig | None:
    match = _NAME.fullmatch(text)
    return match and MlpConfig(hidden=int(match["hidden"]), layers=int(match["layers"]))


def _build(config: MlpConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    """Return flatten, (linear, batch norm, ReLU) x layers, linear; He initialisation."""
    if resolution is None:
        raise ZooError(
            f"mlp{config.hidden}x{config.layers} flattens its input, so it needs resolution=PIXELS; got None"
        )
    inputs = in_channels * math.prod((resolution, resolution))
    stack: list[nn.Module] = [nn.Flatten()]
    for _ in range(config.layers):
        stack += [nn.Linear(inputs, config.hidden, bias=False), nn.BatchNorm1d(config.hidden), nn.ReLU()]
        inputs = config.hidden
    head = nn.Linear(inputs, num_classes)
    for module in stack:
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    nn.init.zeros_(head.bias)
    return nn.Sequential(*stack, head)


FAMILY = Family(
    name="mlp",
    summary="multilayer perceptron on flattened images, with batch norm",
    example="mlp64x2",
    pattern_help="mlpHIDDENxLAYERS",
    knobs={"hidden": "units of every hidden layer, 1 to 65536", "layers": "hidden layers, 1 to 64"},
    parse=_parse,
    configure=MlpConfig,
    build=_build,
    format=lambda config: f"mlp{config.hidden}x{config.layers}",
    default_resolution=lambda config, native: native,
)

"""VanillaNet: a plain network whose pairs of layers merge into one after training (arXiv 2305.12972).

In training every layer is a pair of pointwise convolutions with a leaky ReLU between them, whose slope goes
from 0 to 1 over the epochs ("deep training"): at 1 it does nothing, and the pair is one
convolution. The activation is a ReLU whose outputs a depthwise convolution of side 2n + 1 sums up (series
informed activation). Published parameters and multiply-adds are those of the merged form,
``deploy``; the training form costs about twice. ``switch_to_deploy`` of each pair merges its weights, so a
deploy step that calls such methods and folds batch norms turns the one form into the other.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.published import Published
from zoo.registry import IMAGENET_CLASSES, Family, ZooError

_SOURCE = "huawei-noah/VanillaNet, README.md (ImageNet-1K trained models)"
_EPSILON = 1e-6
_STEM_STRIDE = 4
_UNIT = 512
"""Channels of the stem at width 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VanillaNetConfig:
    """One VanillaNet; the defaults are VanillaNet-5 as it is trained."""

    depth: int = 5
    """Layers with an activation on the main path, the classifier one of them."""
    width: float = 1.0
    """Multiplier of all channels."""
    series: int = 3
    """n of the series activation: its depthwise convolution has the side 2n + 1."""
    adaptive: bool = False
    """Whether the resolution goes down to 40, 20 and 10 pixels instead of by halves (the row marked with a
    dagger); depth 7 at least."""
    deploy: bool = False
    """Whether the network is built merged: what is shipped, and not to be trained."""

    def __post_init__(self) -> None:
        depth = integer_knob("depth of a VanillaNet", self.depth, low=5, high=200)
        real_knob("width of a VanillaNet", self.width, low=1 / 128, high=16.0)
        integer_knob("series of a VanillaNet", self.series, low=0, high=8)
        if self.adaptive and depth < 7:
            raise ZooError(f"an adaptive VanillaNet is 7 deep at least, got depth {depth}")

    @property
    def blocks(self) -> tuple[tuple[int, int], ...]:
        """Output channels and stride of each block behind the stem."""
        if self.depth < 7:
            plan = [(2, 2), (4, 2), (8, 2), (8, 1)][: self.depth - 2]
        else:
            plan = [(1, 1), (2, 2), (4, 2), *[(4, 1)] * (self.depth - 7), (8, 2), (8, 1)]
        return tuple((self._channels(times), stride) for times, stride in plan)

    @property
    def stem(self) -> int:
        """Channels of the stem."""
        return self._channels(1)

    @property
    def least_resolution(self) -> int:
        """Pixels a side below which nothing would be left."""
        return 40 * _STEM_STRIDE if self.adaptive else 8 * _STEM_STRIDE

    def _channels(self, times: int) -> int:
        return max(1, round(_UNIT * times * self.width))


def _conv(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    """Return a convolution that maps patches of its own size (kernel 1: pointwise)."""
    return nn.Conv2d(inputs, outputs, kernel, stride=kernel)


class Pair(nn.Module):
    """Two convolutions with a leaky ReLU between them that fades away; one convolution once it has.

    The second is pointwise, so that their product is a convolution of the first one's size.
    """

    def __init__(
        self, inputs: int, middle: int, outputs: int, kernel: int = 1, *, last: bool = False
    ) -> None:
        super().__init__()
        self.slope = 1.0
        """Of the leaky ReLU: 0 cuts off what is negative, 1 lets everything pass."""
        self.first = _conv(inputs, middle, kernel)
        self.first_norm = nn.BatchNorm2d(middle, eps=_EPSILON)
        self.second = _conv(middle, outputs, 1)
        self.second_norm = None if last else nn.BatchNorm2d(outputs, eps=_EPSILON)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the outputs' channels, smaller by the kernel."""
        middle = self.first_norm(self.first(images))
        if self.slope != 1.0:
            middle = F.leaky_relu(middle, self.slope)
        made = self.second(middle)
        return made if self.second_norm is None else self.second_norm(made)

    @torch.no_grad()
    def switch_to_deploy(self) -> nn.Conv2d:
        """Return the one convolution that does what the pair does in evaluation mode.

        Raises:
            ZooError: the slope is not 1, so that the pair is no linear map.
        """
        if self.slope != 1.0:
            raise ZooError(
                f"a pair of VanillaNet merges at slope 1 only, got {self.slope}; end the training first"
            )
        weight, bias = _folded(self.first, self.first_norm)
        outer, outer_bias = _folded(self.second, self.second_norm)
        outer = outer[:, :, 0, 0]
        merged = nn.Conv2d(
            self.first.in_channels,
            self.second.out_channels,
            self.first.kernel_size[0],
            stride=self.first.stride[0],
            device=weight.device,
            dtype=weight.dtype,
        )
        merged.weight.copy_(torch.einsum("om,mikl->oikl", outer, weight))
        merged.bias.copy_(outer @ bias + outer_bias)  # type: ignore[union-attr]  # made with a bias above
        return merged


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight and bias of a convolution and the batch norm behind it, in evaluation mode."""
    if conv.bias is None:
        raise ZooError("a convolution of a VanillaNet pair has lost its bias")
    if norm is None:
        return conv.weight, conv.bias
    if norm.running_var is None or norm.running_mean is None:
        raise ZooError("a batch norm of a VanillaNet pair has no running statistics to merge")
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return conv.weight * scale.view(-1, 1, 1, 1), (conv.bias - norm.running_mean) * scale + norm.bias


def _series(channels: int, config: VanillaNetConfig) -> nn.Sequential:
    """Return the series activation: ReLU, then a depthwise convolution over it."""
    side = 2 * config.series + 1
    conv = nn.Conv2d(channels, channels, side, padding=config.series, groups=channels, bias=config.deploy)
    nn.init.trunc_normal_(conv.weight, std=0.02)
    layers: list[nn.Module] = [nn.ReLU(), conv]
    if not config.deploy:
        layers.append(nn.BatchNorm2d(channels, eps=_EPSILON))
    return nn.Sequential(*layers)


def set_slope(network: nn.Module, slope: float) -> None:
    """Set the slope of the leaky ReLUs of a network in training: 0 at first, 1 from a set epoch on.

    Networks are built with slope 1, and a checkpoint does not hold it: what is loaded answers at slope 1.

    Raises:
        ZooError: the slope is not from 0 to 1.
    """
    real_knob("slope of a VanillaNet", slope, low=0.0, high=1.0)
    for module in network.modules():
        if isinstance(module, Pair):
            module.slope = float(slope)


class VanillaNet(nn.Module):
    """Patch stem, blocks of a pair, a pool and an activation, global average, a last pair as classifier."""

    def __init__(self, config: VanillaNetConfig, in_channels: int, num_classes: int) -> None:
        super().__init__()

        def layer(inputs: int, middle: int, outputs: int, kernel: int = 1, last: bool = False) -> nn.Module:
            if config.deploy:
                return _conv(inputs, outputs, kernel)
            return Pair(inputs, middle, outputs, kernel, last=last)

        self.stem = nn.Sequential(
            layer(in_channels, config.stem, config.stem, _STEM_STRIDE), _series(config.stem, config)
        )
        blocks: list[nn.Module] = []
        inputs, sides = config.stem, iter((40, 20, 10))
        for channels, stride in config.blocks:
            blocks.append(layer(inputs, inputs, channels))
            if stride > 1:
                blocks.append(nn.AdaptiveMaxPool2d(next(sides)) if config.adaptive else nn.MaxPool2d(stride))
            blocks.append(_series(channels, config))
            inputs = channels
        self.blocks = nn.Sequential(*blocks)
        self.head = layer(inputs, num_classes, num_classes, last=True)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to logits ``[example, class]``."""
        means = self.blocks(self.stem(images)).mean(dim=(2, 3), keepdim=True)
        return self.head(means).flatten(1)


def _build(config: VanillaNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    if resolution is not None and resolution < config.least_resolution:
        raise ZooError(
            f"{NAMES.format(config)} needs at least {config.least_resolution} pixels a side, got {resolution}"
        )
    return VanillaNet(config, in_channels, num_classes)


_TRAINED = {
    **{f"vanillanet-{depth}": VanillaNetConfig(depth=depth) for depth in range(5, 14)},
    "vanillanet-13-x1.5": VanillaNetConfig(depth=13, width=1.5),
    "vanillanet-13-x1.5-ada": VanillaNetConfig(depth=13, width=1.5, adaptive=True),
}
VARIANTS: dict[str, VanillaNetConfig] = {
    **_TRAINED,
    **{f"{name}-deploy": replace(config, deploy=True) for name, config in _TRAINED.items()},
}


def _row(model: str, parameters: float, macs: float, top1: float) -> Published:
    return Published(
        model=f"vanillanet-{model}-deploy",
        resolution=224,
        source=_SOURCE,
        parameters=parameters * 1e6,
        parameters_rounding=5e4,
        macs=macs * 1e9,
        macs_rounding=5e7,
        top1=top1,
        note="of the merged form; the source's FLOPs are multiply-adds",
    )


PUBLISHED: tuple[Published, ...] = (
    _row("5", 15.5, 5.2, 0.7249),
    _row("6", 32.5, 6.0, 0.7636),
    _row("7", 32.8, 6.9, 0.7798),
    _row("8", 37.1, 7.7, 0.7913),
    _row("9", 41.4, 8.6, 0.7987),
    _row("10", 45.7, 9.4, 0.8057),
    _row("11", 50.0, 10.3, 0.8108),
    _row("12", 54.3, 11.1, 0.8155),
    _row("13", 58.6, 11.9, 0.8205),
    _row("13-x1.5", 127.8, 26.5, 0.8253),
    _row("13-x1.5-ada", 127.8, 48.9, 0.8311),
)

NAMES = Names(prefix="vanillanet", config_class=VanillaNetConfig, variants=VARIANTS)

FAMILY = Family(
    name="vanillanet",
    summary="shallow plain network that merges after training (arXiv 2305.12972)",
    example="vanillanet-6",
    pattern_help="vanillanet-DEPTH (5 to 13), with -deploy merged, or vanillanet-KNOBVALUE...",
    knobs={
        "depth": "layers with an activation and the classifier, 5 to 200",
        "width": "multiplier of the channels, 1/128 to 16",
        "series": "n of the series activation, side 2n + 1, 0 to 8",
        "adaptive": "whether pools go to 40, 20, 10 pixels",
        "deploy": "whether it is built merged, as it is shipped",
    },
    parse=NAMES.parse,
    configure=VanillaNetConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: 224,
    near=NAMES.near,
    systems=("vanillanet",),
    variants=VARIANTS,
    published=PUBLISHED,
    classes=IMAGENET_CLASSES,
)

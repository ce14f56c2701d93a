"""FractalNet for small images: columns of doubling depth that join, with sub-paths of any depth.

A block of C columns has 2^(C-1) steps; column k (1 the shallowest) has a convolution every 2^(C-k) steps, and
where columns end together they join by their mean (arXiv 1605.07648). Training drops
paths: for half of the examples one column is alone in every block ("global"), for the rest each
path into a join goes with a probability, one always staying ("local"). So each column can answer alone
("anytime"): ``column`` builds that sub-path with the names of the whole network's weights, so that it loads
them.
"""

from dataclasses import dataclass

import torch
from torch import nn

from zoo.knobs import integer_knob, real_knob
from zoo.naming import Names
from zoo.published import Published, Status
from zoo.registry import SMALL_CLASSES, Family, ZooError

_PYTORCHCV = (
    "pytorchcv 0.0.74, models/fractalnet_cifar.py: weight counts asserted there, macs counted on its module"
)
_PAPER = "arXiv 1605.07648, as quoted in khanrc/pt.fractalnet, exp-note-kor.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class FractalNetConfig:
    """One FractalNet; the defaults are the CIFAR network of 5 blocks and 3 columns (20 layers)."""

    columns: int = 3
    """C of each block; the deepest has 2^(C-1) convolutions."""
    channels: tuple[int, ...] = (64, 128, 256, 512, 512)
    """Of each block; a 2x2 max pool follows each."""
    column: int = 0
    """The only column that is built, 1 the shallowest; 0 builds all."""
    dropout: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4)
    """Share of the channels that training drops behind each convolution of a block."""
    local_drop: float = 0.15
    """Probability that training drops a path into a join."""
    global_share: float = 0.5
    """Share of the examples for which training keeps one column alone."""

    def __post_init__(self) -> None:
        integer_knob("columns of a FractalNet", self.columns, low=1, high=8)
        integer_knob("column of a FractalNet", self.column, low=0, high=self.columns)
        if not 1 <= len(self.channels) <= 10 or len(self.dropout) != len(self.channels):
            raise ZooError(
                "a FractalNet needs channels and dropout of one length, 1 to 10 blocks; got "
                f"{len(self.channels)} and {len(self.dropout)}"
            )
        for channels, dropped in zip(self.channels, self.dropout, strict=True):
            integer_knob("channels of a FractalNet block", channels, low=1, high=16_384)
            real_knob("dropout of a FractalNet block", dropped, low=0.0, high=0.9)
        real_knob("local_drop of a FractalNet", self.local_drop, low=0.0, high=0.9)
        real_knob("global_share of a FractalNet", self.global_share, low=0.0, high=1.0)

    @property
    def stride(self) -> int:
        """Pixels of the image for one of the last feature map, a side."""
        return int(2 ** len(self.channels))

    @property
    def built(self) -> tuple[int, ...]:
        """Columns that are built, from the deepest."""
        return (self.column,) if self.column else tuple(range(self.columns, 0, -1))


def _conv(inputs: int, outputs: int, dropped: float) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]
    if dropped:
        layers.append(nn.Dropout2d(dropped))
    return nn.Sequential(*layers)


class Block(nn.Module):
    """The columns of one block and their joins."""

    def __init__(self, config: FractalNetConfig, inputs: int, outputs: int, dropped: float) -> None:
        super().__init__()
        self.steps = 2 ** (config.columns - 1)
        self.built = config.built
        self.every = {column: 2 ** (config.columns - column) for column in self.built}
        """Steps of the block that one convolution of each column spans."""
        self.local_drop = config.local_drop
        self.columns = nn.ModuleDict()
        for column in self.built:
            count = self.steps // self.every[column]
            self.columns[str(column)] = nn.ModuleList(
                _conv(inputs if i == 0 else outputs, outputs, dropped) for i in range(count)
            )

    def forward(self, images: torch.Tensor, alone: torch.Tensor | None) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to the block's channels at the same size.

        Args:
            images: the block's input.
            alone: ``[example]``, the column that is alone for the first examples of the batch, while the
                others lose paths one by one; None drops nothing.
        """
        paths = dict.fromkeys(self.built, images)
        for step in range(1, self.steps + 1):
            ended = [column for column in self.built if step % self.every[column] == 0]
            if not ended:
                continue
            made = []
            for column in ended:
                convs = list(self.columns[str(column)].children())
                made.append(convs[step // self.every[column] - 1](paths[column]))
            paths.update(dict.fromkeys(ended, self._join(made, ended, alone)))
        return paths[self.built[0]]

    def _join(self, made: list[torch.Tensor], columns: list[int], alone: torch.Tensor | None) -> torch.Tensor:
        """Return the mean over the paths that are kept."""
        if len(made) == 1:
            return made[0]
        stacked = torch.stack(made)
        if alone is None:
            return stacked.mean(dim=0)
        kept = self._kept(columns, alone, stacked.shape[1])
        return (stacked * kept[..., None, None, None]).sum(dim=0) / kept.sum(dim=0)[:, None, None, None]

    def _kept(self, columns: list[int], alone: torch.Tensor, examples: int) -> torch.Tensor:
        """Draw ``[path, example]``, 1 where a path into this join is kept; one at least of each example.

        An example whose lone column does not end here takes the mean: what it makes here is never read.
        """
        ours = torch.tensor(columns, device=alone.device)
        lone = (ours[:, None] == alone[None, :]).float()
        lone[:, lone.sum(dim=0) == 0] = 1.0
        rest = examples - len(alone)
        local = (torch.rand(len(columns), rest, device=alone.device) >= self.local_drop).float()
        saved = torch.randint(len(columns), (rest,), device=alone.device)
        dead = local.sum(dim=0) == 0
        local[saved[dead], dead.nonzero()[:, 0]] = 1.0
        return torch.cat([lone, local], dim=1)


class FractalNet(nn.Module):
    """Blocks with a max pool behind each, mean over what is left of the image, linear layer."""

    def __init__(self, config: FractalNetConfig, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.ModuleList()
        inputs = in_channels
        for outputs, dropped in zip(config.channels, config.dropout, strict=True):
            self.blocks.append(Block(config, inputs, outputs, dropped))
            inputs = outputs
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(inputs, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to logits ``[example, class]``."""
        alone = None
        if self.training:
            lone = int(len(images) * self.config.global_share)
            alone = torch.randint(1, self.config.columns + 1, (lone,), device=images.device)
        for block in self.blocks:
            images = self.pool(block(images, alone))
        return self.head(images.mean(dim=(2, 3)))


def _build(config: FractalNetConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    if resolution is not None and resolution < config.stride:
        raise ZooError(
            f"{NAMES.format(config)} needs at least {config.stride} pixels a side, got {resolution}"
        )
    return FractalNet(config, in_channels, num_classes)


VARIANTS: dict[str, FractalNetConfig] = {
    "fractalnet-cifar": FractalNetConfig(),
    **{f"fractalnet-cifar-column{k}": FractalNetConfig(column=k) for k in (1, 2, 3)},
}

PUBLISHED: tuple[Published, ...] = (
    Published(
        model="fractalnet-cifar",
        resolution=32,
        source=_PYTORCHCV,
        status=Status.DERIVED,
        parameters=33_724_618,
        macs=845_222_912,
        dataset="cifar10",
        classes=10,
    ),
    Published(
        model="fractalnet-cifar",
        resolution=32,
        source=_PYTORCHCV,
        status=Status.DERIVED,
        parameters=33_770_788,
        dataset="cifar100",
        classes=100,
    ),
    Published(
        model="fractalnet-cifar",
        resolution=32,
        source=_PAPER,
        parameters=38.6e6,
        parameters_rounding=5e4,
        top1=0.9540,
        dataset="cifar10",
        classes=10,
        departs="13 % fewer here, as in pytorchcv and pt.fractalnet: channels that double in a block's "
        "first convolutions make 33.7 M; 1x1 convolutions of their own in front of the blocks, which the "
        "paper does not describe, make 38.9 M",
    ),
)

NAMES = Names(prefix="fractalnet", config_class=FractalNetConfig, variants=VARIANTS)

FAMILY = Family(
    name="fractalnet",
    summary="self-similar network without residuals, with anytime sub-paths (arXiv 1605.07648)",
    example="fractalnet-cifar",
    pattern_help="fractalnet-cifar, fractalnet-cifar-column1 to 3, or fractalnet-KNOBVALUE...",
    knobs={
        "columns": "columns of each block, 1 to 8",
        "channels": "channels of each block, joined by +",
        "column": "the only column that is built, 1 the shallowest; 0 all",
        "dropout": "share of channels dropped in each block in training, joined by +",
        "local_drop": "probability that training drops a path into a join, 0 to 0.9",
        "global_share": "share of examples that train one column alone, 0 to 1",
    },
    parse=NAMES.parse,
    configure=FractalNetConfig,
    build=_build,
    format=NAMES.format,
    default_resolution=lambda config, native: max(native, config.stride),
    near=NAMES.near,
    systems=("fractalnet",),
    variants=VARIANTS,
    published=PUBLISHED,
    classes=SMALL_CLASSES,
)

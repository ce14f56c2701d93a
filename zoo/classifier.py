"""A network with its preprocessing: raw images in, logits out, one state dict for both."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from zoo.families.inner_ensemble import InnerEnsemble
from zoo.registry import ZooError, build, default_resolution


class Preprocess(nn.Module):
    """Resize to the network's resolution where it differs, then standardise each channel."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, *, native: int, resolution: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.native, self.resolution = native, resolution
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, native, native]`` in [0, 1] to the network's standardised input."""
        if self.resolution != self.native:
            # No antialiasing: ONNX Resize and every run-time then compute the same numbers.
            size = (self.resolution, self.resolution)
            images = F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=False)
        return (images - self.mean[:, None, None]) / self.std[:, None, None]


class Classifier(nn.Module):
    """``preprocess`` then ``net``: float32 images in [0, 1] at the data set's own size, to logits."""

    def __init__(self, preprocess: Preprocess, net: nn.Module) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.net = net

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, channel, height, width]`` to logits ``[example, class]``."""
        return self.net(self.preprocess(images))

    @property
    def members(self) -> int:
        """Networks inside this one; 1 for a plain network."""
        return self.net.members if isinstance(self.net, InnerEnsemble) else 1

    @property
    def independent_inputs(self) -> bool:
        """Whether the members inside see images of their own in training (MIMO, arXiv 2010.06610)."""
        return isinstance(self.net, InnerEnsemble) and self.net.independent_inputs

    def member_logits(self, images: torch.Tensor, orders: torch.Tensor | None = None) -> torch.Tensor:
        """Return the logits ``[member, example, class]`` of each network inside.

        Args:
            images: float32 ``[example, channel, height, width]`` in [0, 1].
            orders: which of the images each member sees, ``[member, example]``; None for all the same.

        Raises:
            ZooError: ``orders`` for a network whose members cannot see images of their own.
        """
        if orders is not None and not self.independent_inputs:
            raise ZooError("orders are for networks whose members see images of their own")
        if isinstance(self.net, InnerEnsemble):
            return self.net.member_logits(self.preprocess(images), orders)
        return self.net(self.preprocess(images))[None]


def build_classifier(
    name: str,
    *,
    channels: int,
    classes: int,
    native: int,
    resolution: int | None = None,
    mean: Sequence[float] | torch.Tensor | None = None,
    std: Sequence[float] | torch.Tensor | None = None,
) -> Classifier:
    """Build an untrained classifier.

    Args:
        name: variant name, e.g. ``wrn16-4``.
        channels: channels of the images.
        classes: logits per example.
        native: pixels a side of the data set's images.
        resolution: pixels a side the network sees; None takes the variant's own default.
        mean: of each channel over the training images in [0, 1]; None is 0, to be loaded with a state.
        std: likewise, the standard deviation; None is 1.

    Raises:
        ZooError: no such name, or mean and std that do not fit.
    """
    mean = [0.0] * channels if mean is None else [float(value) for value in mean]
    std = [1.0] * channels if std is None else [float(value) for value in std]
    if len(mean) != channels or len(std) != channels:
        raise ZooError(
            f"{name} for {channels} channels needs as many means and stds, got {len(mean)} and {len(std)}"
        )
    if min(std) <= 0:
        raise ZooError(f"std of every channel must be above 0, got {std}")
    resolution = default_resolution(name, native) if resolution is None else resolution
    net = build(name, in_channels=channels, num_classes=classes, resolution=resolution)
    return Classifier(Preprocess(native=native, resolution=resolution, mean=mean, std=std), net)

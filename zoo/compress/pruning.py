"""Structured pruning: whole channels cut out, with all that hangs on them (DepGraph, arXiv 2301.12900).

A share of the channels of every group of coupled layers goes, the same share in each, so a pruned
network's shape depends on the network and the share alone. Which channels go is decided by the weights:
those of least importance in their group. The classifier's outputs stay.
"""

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any, Protocol

import torch
from torch import nn

from zoo.classifier import Classifier
from zoo.registry import ZooError, build

LEAST_SHARE, MOST_SHARE = 0.01, 0.95
"""Of the channels of a group that may be cut."""

Importance = Callable[[Any], torch.Tensor]
"""From a group of coupled layers (torch-pruning's) to how much each channel counts, ``[channel]``."""


class Maker(Protocol):
    """``(classes)`` -> a fresh network with that many outputs, all else equal."""

    def __call__(self, classes: int, /) -> nn.Module:
        """Return the network."""


@functools.cache
def _library() -> ModuleType:
    import torch_pruning  # only where something is pruned

    return torch_pruning


def first_channels(group: Any) -> torch.Tensor:
    """Return importance that keeps the first channels of a group: for shapes, where weights say nothing."""
    channels = len(group[0].idxs)
    return -torch.arange(channels, dtype=torch.float32)


def by_magnitude() -> Importance:
    """Return the importance of a channel as the L2 norm of all weights that it touches in its group.

    Squares of the weights of every layer of the group are averaged over the layers (arXiv 2301.12900,
    section 3.3, without sparsity learning) and divided by their mean in the group.
    """
    importance: Importance = _library().importance.GroupMagnitudeImportance(p=2)
    return importance


def pruned(
    network: nn.Module,
    make: Maker,
    *,
    classes: int,
    ratio: float,
    shape: tuple[int, int, int],
    importance: Importance | None = None,
) -> nn.Module:
    """Cut the share ``ratio`` of the channels out of ``network``, which is changed and returned.

    Args:
        network: with ``classes`` outputs; may be on the meta device.
        make: makes networks like it: asked on the meta device, to tell its classifier.
        classes: logits an example, all of which stay.
        ratio: share of each group's channels, 0.01 to 0.95; what stays is rounded down, to 1 at least.
        shape: channel, height, width of an image, for a pass that shows what hangs on what.
        importance: which channels count; None keeps the first ones.

    Raises:
        ZooError: a ratio out of range, or a network that the library cannot prune.
    """
    ratio_or_raise(ratio)
    device = next(network.parameters()).device
    images = torch.zeros((1, *shape), device=device)
    outputs = _classifier_layers(network, make, classes)
    was_training = network.training
    network.eval()
    try:
        # Its pass is traced through autograd; it warns of parameters outside of layers, and prunes those.
        quiet = warnings.catch_warnings(action="ignore")
        with torch.inference_mode(False), torch.enable_grad(), quiet, _plain_torch():
            pruner = _library().pruner.BasePruner(
                network,
                images,
                importance=importance or first_channels,
                pruning_ratio=ratio,
                ignored_layers=outputs,
            )
            pruner.step()
            answers = network(images)
    except Exception as error:  # whatever the library raises on a network that it does not understand
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ZooError(f"torch-pruning cannot prune this network: {reason}") from error
    if tuple(answers.shape) != (1, classes):
        raise ZooError(f"pruned, the network answers {list(answers.shape)}; wanted [1, {classes}]")
    for parameter in network.parameters():
        parameter.grad = None
    return network.train(was_training)


def pruned_classifier(
    classifier: Classifier, name: str, *, ratio: float, channels: int, classes: int
) -> Classifier:
    """Cut the least important channels out of a trained classifier's network; it is changed and returned.

    Args:
        classifier: with trained weights, on the CPU.
        name: of its network.
        ratio: share of each group's channels.
        channels: of the images.
        classes: logits an example.

    Raises:
        ZooError: see `pruned`.
    """
    side = classifier.preprocess.resolution

    def make(outputs: int) -> nn.Module:
        return build(name, in_channels=channels, num_classes=outputs, resolution=side)

    shape = (channels, side, side)
    pruned(classifier.net, make, classes=classes, ratio=ratio, shape=shape, importance=by_magnitude())
    return classifier


def _plain_torch() -> AbstractContextManager[None]:
    """Return a context without what may be set about it: a default device, or operators that are skipped.

    Constructors may run where in-place operators on meta tensors do nothing; a residual sum in place would
    then be missing from the graph, and channels that hang together would be cut apart.
    """
    context: AbstractContextManager[None] = torch._C.DisableTorchFunction()
    return context


def ratio_or_raise(ratio: float) -> None:
    """Check a share of channels to cut.

    Raises:
        ZooError: out of range.
    """
    if not LEAST_SHARE <= ratio <= MOST_SHARE:
        raise ZooError(
            f"the share of channels to prune must be from {LEAST_SHARE} to {MOST_SHARE}, got {ratio:g}"
        )


def shapes(state: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of a state dict by its name."""
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _classifier_layers(network: nn.Module, make: Maker, classes: int) -> Sequence[nn.Module]:
    """Return the layers whose outputs are the classes: those another number of classes makes wider."""
    with torch.device("meta"):
        own, other = make(classes), make(classes + 1)
    wider = {
        name.rpartition(".")[0]
        for (name, one), (_, two) in zip(own.named_parameters(), other.named_parameters(), strict=True)
        if one.shape[:1] != two.shape[:1]
    }
    if not wider:
        raise ZooError("no layer of this network grows with the number of classes")
    return [network.get_submodule(name) for name in sorted(wider)]

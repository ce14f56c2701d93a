"""Several networks' weights made one: model soups and Git Re-Basin.

A soup (arXiv 2203.05482) is the plain average of weights, for networks that share much of their training.
Re-Basin (arXiv 2209.04836) first renames hidden channels of networks trained apart so that their weights
are alike, which changes nothing of what each computes. Either way the activations' statistics are those
of no network that was trained, so batch norms are measured anew on training images.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.arrays import images_or_raise
from zoo.classifier import Classifier
from zoo.determinism import generator
from zoo.families.wide_resnet import Block, WideResNet
from zoo.registry import ZooError

State = Mapping[str, torch.Tensor]
Axes = Mapping[str, tuple[str | None, ...]]
"""Tensor's name -> for each axis the renaming that acts on it, None where none does."""
_SAME = 1e-6
"""Relative gain of a round below which renaming has come to rest."""
MOST_ROUNDS = 100
TRIES = 5
"""Orders in which the sets of channels are matched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Networks whose channels were renamed to be alike."""

    states: tuple[dict[str, torch.Tensor], ...]
    before: float
    """Mean cosine between the weights of two networks, as they came; biases and statistics left out."""
    after: float
    """Likewise, renamed."""


def averaged(states: Sequence[State]) -> dict[str, torch.Tensor]:
    """Return the average of state dicts: of each number over the networks; counters are the first's.

    Raises:
        ZooError: fewer than 2, or of networks of different shapes.
    """
    if len(states) < 2:
        raise ZooError(f"merging needs at least 2 networks, got {len(states)}")
    first = states[0]
    for other in states[1:]:
        if {k: v.shape for k, v in other.items()} != {k: v.shape for k, v in first.items()}:
            raise ZooError("only networks of one shape can be merged")
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
        if value.is_floating_point()
        else value.clone()
        for name, value in first.items()
    }


def channel_axes(model: Classifier) -> dict[str, tuple[str | None, ...]]:
    """Return which hidden channels each axis of a wide ResNet's tensors runs over.

    Every group of the residual stream has one order of channels, the inside of every block another. Without a
    convolution on the shortcut, a block goes on in the stream's own order.

    Raises:
        ZooError: another network.
    """
    net = model.net
    if not isinstance(net, WideResNet):
        raise ZooError(
            f"re-basin knows the channels of wide ResNets (wrnDEPTH-WIDTH), not of a {type(net).__name__}"
        )
    axes: dict[str, tuple[str | None, ...]] = {}

    def norm(name: str, channels: str) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            axes[f"net.{name}.{part}"] = (channels,)

    def conv(name: str, inputs: str | None, outputs: str) -> None:
        axes[f"net.{name}.weight"] = (outputs, inputs, None, None)

    stream = "stem"
    conv("stem", None, stream)
    for name, block in net.named_modules():
        if not isinstance(block, Block):
            continue
        before, inside = stream, f"{name} inside"
        if block.shortcut is not None:
            stream = f"{name} out"
            conv(f"{name}.shortcut", before, stream)
        norm(f"{name}.norm1", before)
        conv(f"{name}.conv1", before, inside)
        norm(f"{name}.norm2", inside)
        conv(f"{name}.conv2", inside, stream)
    norm("norm", stream)
    axes["net.head.weight"] = (None, stream)
    return axes


def renamed(state: State, axes: Axes, orders: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Return the state with its channels in other orders: what it computes stays the same."""
    result = {name: value.clone() for name, value in state.items()}
    for name, along in axes.items():
        for axis, key in enumerate(along):
            if key is not None:
                result[name] = result[name].index_select(axis, torch.from_numpy(orders[key]))
    return result


def matched(states: Sequence[State], axes: Axes, *, seed: int = 0) -> Matched:
    """Return the networks, the first as it is, the others with channels renamed to be alike.

    Each network is matched to the first, then in turn to the mean of the others until the likeness stops
    growing (algorithm 3 of arXiv 2209.04836). A match solves one linear assignment for each set of
    channels, in a random order, until none gains (its algorithm 1); of several such orders the best match
    counts, as each ends in a local optimum. Norms' running statistics take no part.

    Args:
        states: of networks of one shape.
        axes: from `channel_axes`.
        seed: of the orders.

    Raises:
        ZooError: fewer than 2 networks.
    """
    if len(states) < 2:
        raise ZooError(f"merging needs at least 2 networks, got {len(states)}")
    stream = generator(seed, "re-basin")
    weights = [_learned(state, axes) for state in states]
    before, current, reached = _likeness(weights), list(states), -np.inf
    for number in range(MOST_ROUNDS):
        for index in range(1, len(states)):
            # At first to the first network alone: a mean of networks that are not alike yet is like none.
            others = [one for place, one in enumerate(weights) if place != index] if number else weights[:1]
            mean = {name: np.mean([one[name] for one in others], axis=0) for name in weights[index]}
            orders = _orders(mean, weights[index], axes, stream)
            current[index] = renamed(current[index], axes, orders)
            weights[index] = _learned(current[index], axes)
        now = _likeness(weights)
        if len(states) == 2 or now <= reached + _SAME:
            break
        reached = now
    return Matched(states=tuple(dict(state) for state in current), before=before, after=_likeness(weights))


def _learned(state: State, axes: Axes) -> dict[str, np.ndarray]:
    return {name: state[name].double().numpy() for name in axes if "running_" not in name}


def _likeness(weights: Sequence[Mapping[str, np.ndarray]]) -> float:
    flat = [np.concatenate([one[name].ravel() for name in one if one[name].ndim > 1]) for one in weights]
    unit = [one / np.linalg.norm(one) for one in flat]
    pairs = [(a, b) for place, a in enumerate(unit) for b in unit[place + 1 :]]
    return float(np.mean([a @ b for a, b in pairs]))


def _orders(
    target: Mapping[str, np.ndarray], moved: Mapping[str, np.ndarray], axes: Axes, stream: torch.Generator
) -> dict[str, np.ndarray]:
    """Return the orders of ``moved``'s channels that make it most like ``target``, set by set."""
    uses: dict[str, list[tuple[str, int]]] = {}
    for name in moved:
        for axis, key in enumerate(axes[name]):
            if key is not None:
                uses.setdefault(key, []).append((name, axis))
    tries = (_descended(target, moved, axes, uses, stream) for _ in range(TRIES))
    return max(tries, key=lambda tried: tried[1])[0]


def _descended(
    target: Mapping[str, np.ndarray],
    moved: Mapping[str, np.ndarray],
    axes: Axes,
    uses: Mapping[str, Sequence[tuple[str, int]]],
    stream: torch.Generator,
) -> tuple[dict[str, np.ndarray], float]:
    """Return orders that no change of one set of channels improves, and the product of all weights."""
    orders = {key: np.arange(moved[name].shape[axis]) for key, ((name, axis), *_) in uses.items()}
    keys = list(uses)
    for _ in range(MOST_ROUNDS):
        gained = False
        for place in torch.randperm(len(keys), generator=stream).tolist():
            key = keys[place]
            likeness = np.sum(
                [_likeness_matrix(target, moved, axes, orders, use) for use in uses[key]], axis=0
            )
            _, best = linear_sum_assignment(likeness, maximize=True)
            rows = np.arange(len(best))
            old, new = likeness[rows, orders[key]].sum(), likeness[rows, best].sum()
            if new > old + _SAME * max(1.0, abs(old)):
                orders[key], gained = best, True
        if not gained:
            break
    placed = {name: _taken(moved[name], axes[name], orders) for name in moved}
    return orders, float(sum(np.vdot(target[name], placed[name]) for name in moved))


def _taken(
    array: np.ndarray, along: Sequence[str | None], orders: Mapping[str, np.ndarray], but: int = -1
) -> np.ndarray:
    """Return ``array`` with the orders applied to every axis they act on, ``but`` one."""
    for axis, key in enumerate(along):
        if key is not None and axis != but:
            array = np.take(array, orders[key], axis=axis)
    return array


def _likeness_matrix(
    target: Mapping[str, np.ndarray],
    moved: Mapping[str, np.ndarray],
    axes: Axes,
    orders: Mapping[str, np.ndarray],
    use: tuple[str, int],
) -> np.ndarray:
    """Return ``[channel of target, channel of moved]``: products of their weights in one tensor."""
    name, axis = use
    there, here = target[name], _taken(moved[name], axes[name], orders, but=axis)
    one, two = (np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1) for array in (there, here))
    return one @ two.T


def measure_norms(
    model: nn.Module,
    images: np.ndarray,
    *,
    batch_size: int = 256,
    device: str = "cpu",
    told: Callable[[float], None] = lambda share: None,
) -> bool:
    """Measure batch norms' means and variances anew on ``images``, each batch counting alike.

    Args:
        model: from images in [0, 1] to logits; changed, and left in evaluation mode.
        images: uint8 ``[example, height, width, channel]``, not augmented; more than one.
        batch_size: examples at a time; a last batch of one is left out.
        device: where to run.
        told: called with the share done.

    Returns:
        Whether there was a batch norm to measure.

    Raises:
        ZooError: ``images`` is no such array.
    """
    images_or_raise(images)
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        model.eval()
        return False
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
    model.to(device).train()
    with torch.no_grad():
        for start in range(0, len(images), batch_size):
            part = torch.from_numpy(np.ascontiguousarray(images[start : start + batch_size])).to(device)
            if len(part) > 1:
                model(part.permute(0, 3, 1, 2).to(torch.float32).div_(255.0))
            told(min(1.0, (start + batch_size) / len(images)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
    return True

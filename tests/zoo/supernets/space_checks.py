"""What every search space must do: pieces sum to the built network, names come back, networks learn."""

import functools
import io
import random
from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import zoo
from explorer.accounting import count
from explorer.measure.trace import build_on_meta, trace_model
from zoo.registry import ZooError
from zoo.supernets import Choice, Piece, SearchSpace


def cost_of(make: Callable, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return ``(parameters, macs)`` of a module on one example of ``shape``."""
    model, _note = build_on_meta(make)
    cost = count(trace_model(model, (1, *shape)))
    assert not cost.uncounted, dict(cost.uncounted)
    return cost.parameters, cost.macs


_known: dict[tuple, tuple[int, int]] = {}


def cost_of_piece(piece: Piece) -> tuple[int, int]:
    """Return ``(parameters, macs)`` of a piece, counted once for each key."""
    if piece.key not in _known:
        (shape,) = piece.inputs
        _known[piece.key] = cost_of(piece.make, shape)
    return _known[piece.key]


def summed(space: SearchSpace, choice: Choice) -> tuple[int, int]:
    """Return ``(parameters, macs)`` of a sub-network as the sum over its pieces."""
    costs = [cost_of_piece(piece) for piece in space.pieces(choice)]
    return sum(parameters for parameters, _ in costs), sum(macs for _, macs in costs)


def whole(space: SearchSpace, choice: Choice) -> tuple[int, int]:
    """Return ``(parameters, macs)`` of the built sub-network."""
    side = space.resolution(choice)
    return cost_of(functools.partial(space.build, choice), (space.channels, side, side))


def check_sums(space: SearchSpace, draws: int = 3) -> None:
    """Assert that pieces sum to the whole for the smallest, the largest and a few others."""
    rng = random.Random(7)
    for choice in (space.smallest(), space.largest(), *(space.sample(rng) for _ in range(draws))):
        space.check(choice)
        assert summed(space, choice) == whole(space, choice), space.format(choice)
    assert summed(space, space.smallest())[1] < summed(space, space.largest())[1]


def check_names(space: SearchSpace, draws: int = 30) -> None:
    """Assert that names come back, near ones too, and that what is no name is refused in one line."""
    rng = random.Random(11)
    choices = [space.sample(rng) for _ in range(draws)]
    choices += [space.mutate(choice, rng, 0.3) for choice in choices]
    for choice in (*choices, space.smallest(), space.largest(), *space.published.values()):
        space.check(choice)
        assert space.parse(space.format(choice)) == choice
    for name, choice in space.published.items():
        assert space.parse(name) == choice
        assert zoo.canonical_name(name) == space.format(choice)
    assert space.parse("resnet50") is None
    for text in (space.name, f"{space.name}-no", f"{space.name}-no-x-y-z-u-v"):
        with pytest.raises(ZooError, match=space.name):
            space.parse(text)
    assert space.mutate(choices[0], rng, 0.0) == choices[0]


def check_network(model: nn.Module, shape: tuple[int, ...], *, classes: int = 5, export: bool = True) -> None:
    """Assert that a small network learns one batch, answers alike, and answers alike through ONNX."""
    images = torch.randn(8, *shape, generator=torch.Generator().manual_seed(3))
    labels = torch.arange(8) % classes
    optimizer = torch.optim.SGD(model.train().parameters(), lr=0.02)
    losses = []
    for _ in range(4):
        torch.manual_seed(1)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        gradients = {key: p.grad for key, p in model.named_parameters()}
        assert not [key for key, grad in gradients.items() if grad is None or not grad.isfinite().all()]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    model.eval()
    with torch.no_grad():
        logits = model(images[:3])
        assert logits.shape == (3, classes)
        assert torch.equal(logits, model(images[:3]))
        torch.testing.assert_close(model(images[1:2]), logits[1:2], rtol=1e-3, atol=1e-4)
    if export:
        _check_exported(model, images[:2], logits[:2].numpy())


def _check_exported(model: nn.Module, images: torch.Tensor, wanted: np.ndarray) -> None:
    program = torch.onnx.export(model, (images,), dynamo=True, verbose=False)
    assert program is not None
    file = io.BytesIO()
    program.save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    (answered,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    np.testing.assert_allclose(answered, wanted, rtol=1e-3, atol=1e-4 * max(1.0, float(np.abs(wanted).max())))

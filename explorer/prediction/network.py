"""A small network that corrects rates, fitted through the sum over kernels to measured times.

Nobody measured the kernels one by one: only the whole model's time is known. So the network's error is
that of the sum, and the gradient reaches every kernel through it. Fitting uses torch; predicting is a
few products in numpy.
"""

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from explorer.accounting.kernels import KINDS

if TYPE_CHECKING:
    import torch

HIDDEN = 16
EPOCHS = 40
BATCHES = 8
"""Parts that the models are dealt into, each epoch anew; one step of the optimiser each."""
LEARNING_RATE = 4e-3
PEAK = 5.0
"""The highest learning rate over the first, of the one-cycle schedule."""
WEIGHT_DECAY = 1e-3
HUBER = 0.1
"""Relative error beyond which a model's pull on the fit no longer grows: a few are far off, and stay so."""
_SHARES = (0.3, 0.6, 0.05)
"""Of the median model's time that each sort of work is given to begin with."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kernels:
    """The kernels of many models, end to end."""

    seen: np.ndarray
    """`explorer.prediction.features.describe`, float32 [kernel, feature]."""
    work: np.ndarray
    """`explorer.prediction.features.work` [kernel, sort of work]."""
    kind: np.ndarray
    """int [kernel]"""
    count: np.ndarray
    """Times that the kernel runs in its model [kernel]."""
    first: np.ndarray
    """Where each model's kernels begin, and the end: int [model + 1]."""

    @property
    def models(self) -> int:
        """How many models."""
        return len(self.first) - 1

    @property
    def owner(self) -> np.ndarray:
        """Model of each kernel: int [kernel]."""
        return np.repeat(np.arange(self.models), np.diff(self.first))

    def totals(self, values: np.ndarray) -> np.ndarray:
        """Return the sums over each model's kernels of values [kernel]."""
        return np.bincount(self.owner, values * self.count, self.models)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """Rates and the network that corrects them; what was fitted."""

    rates: np.ndarray
    """Logarithm of seconds for one unit of work: [sort of work, kind]."""
    weights: tuple[np.ndarray, ...]
    """Three layers: weight [out, in], bias [out], and so on."""

    def seconds(self, kernels: Kernels) -> np.ndarray:
        """Return the time of each kernel once, per example: [kernel]."""
        values = kernels.seen
        for layer in range(0, len(self.weights), 2):
            values = values @ self.weights[layer].T + self.weights[layer + 1]
            if layer < len(self.weights) - 2:
                values = values / (1 + np.exp(-values))
        plain = np.exp(self.rates)[:, kernels.kind].T * kernels.work
        return plain[:, :2].sum(axis=1) * np.exp(values[:, 0]) + plain[:, 2]

    def model_seconds(self, kernels: Kernels) -> np.ndarray:
        """Return the time of each model, per example: [model]."""
        return kernels.totals(self.seconds(kernels))


def fit_network(kernels: Kernels, seconds: np.ndarray, *, seed: int = 0, epochs: int = EPOCHS) -> Network:
    """Fit rates and network to the times of whole models.

    Args:
        kernels: of all models.
        seconds: measured, per example [model].
        seed: of the network's first weights and the order of the models.
        epochs: passes over the models.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    order = np.random.default_rng(seed)
    rates = torch.tensor(_first_rates(kernels, seconds), dtype=torch.float32, requires_grad=True)
    weights = [tensor.requires_grad_() for tensor in _first_weights(kernels.seen.shape[1], generator)]
    optimiser = torch.optim.AdamW(
        [
            {"params": weights, "weight_decay": WEIGHT_DECAY, "lr": LEARNING_RATE},
            {"params": [rates], "weight_decay": 0.0, "lr": 3 * LEARNING_RATE},
        ]
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        [LEARNING_RATE, PEAK * LEARNING_RATE],
        total_steps=epochs * BATCHES,
        pct_start=0.2,
    )
    seen, work, count = (
        torch.tensor(value, dtype=torch.float32) for value in (kernels.seen, kernels.work, kernels.count)
    )
    kind, target = torch.tensor(kernels.kind), torch.tensor(np.log(seconds), dtype=torch.float32)
    sizes = np.diff(kernels.first)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # layers of sixteen: two threads only wait for each other
    try:
        for _ in range(epochs):
            for part in np.array_split(order.permutation(kernels.models), min(BATCHES, kernels.models)):
                rows = np.concatenate([np.arange(kernels.first[m], kernels.first[m + 1]) for m in part])
                owner = torch.tensor(np.repeat(np.arange(len(part)), sizes[part]))
                picked = torch.tensor(rows)
                values = _forward(seen[picked], weights)
                plain = torch.exp(rates)[:, kind[picked]].T * work[picked]
                times = (plain[:, :2].sum(1) * torch.exp(values) + plain[:, 2]) * count[picked]
                total = torch.zeros(len(part)).index_add(0, owner, times)
                error = torch.log(total) - target[torch.tensor(part)]
                loss = torch.nn.functional.huber_loss(error, torch.zeros_like(error), delta=HUBER)
                optimiser.zero_grad()
                (10 * loss).backward()
                optimiser.step()
                schedule.step()
    finally:
        torch.set_num_threads(threads)
    return Network(
        rates=rates.detach().numpy().astype(float),
        weights=tuple(tensor.detach().numpy() for tensor in weights),
    )


def _first_rates(kernels: Kernels, seconds: np.ndarray) -> np.ndarray:
    """Return rates that give each sort of work its share of the median model: [sort of work, kind]."""
    totals = [kernels.totals(kernels.work[:, sort]) for sort in range(len(_SHARES))]
    rates = [
        np.log(share * np.median(seconds / np.maximum(total, 1e-30)))
        for share, total in zip(_SHARES, totals, strict=True)
    ]
    return np.repeat(np.array(rates)[:, None], len(KINDS), axis=1)


def _first_weights(inputs: int, generator: "torch.Generator") -> list["torch.Tensor"]:
    """Return torch's usual uniform first weights; the last layer's small, its bias 0: no correction."""
    import torch

    sizes = (inputs, HIDDEN, HIDDEN, 1)
    weights: list[torch.Tensor] = []
    for given, made in itertools.pairwise(sizes):
        bound = given**-0.5
        for shape in ((made, given), (made,)):
            weights.append((torch.rand(shape, generator=generator) * 2 - 1) * bound)
    weights[-2] = weights[-2] * 0.1
    weights[-1] = torch.zeros(1)
    return weights


def _forward(values: "torch.Tensor", weights: list["torch.Tensor"]) -> "torch.Tensor":
    import torch

    for layer in range(0, len(weights), 2):
        values = torch.nn.functional.linear(values, weights[layer], weights[layer + 1])
        if layer < len(weights) - 2:
            values = torch.nn.functional.silu(values)
    return values[:, 0]

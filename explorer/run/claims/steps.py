"""Training steps as networks: one call is forward, backward and nothing else, so that steps can be timed."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn


class TrainingStep(nn.Module):
    """Forward and backward of one batch; with ``attack`` on images that one gradient step made harder first.

    Args:
        make: makes the network.
        attack: empty for none; ``full`` where the attack's backward pass makes every gradient, as
            ``loss.backward()`` does; ``inputs`` where it makes those of the images alone.
    """

    def __init__(self, make: Callable[[], nn.Module], attack: str = "") -> None:
        super().__init__()
        self.network = make()
        self.attack = attack

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the loss, ``[1]``; gradients are left at the parameters."""
        with torch.inference_mode(False), torch.enable_grad():
            for parameter in self.network.parameters():
                parameter.requires_grad_(True)
                parameter.grad = None
            self.network.train()
            batch = images.clone()
            labels = torch.zeros(len(batch), dtype=torch.long, device=batch.device)
            if self.attack:
                batch = self._harder(batch, labels)
            loss = F.cross_entropy(self.network(batch), labels)
            loss.backward()
        return loss.detach().reshape(1)

    def _harder(self, batch: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        batch = batch.requires_grad_(True)
        loss = F.cross_entropy(self.network(batch), labels)
        if self.attack == "full":
            loss.backward()
            gradient = batch.grad
        else:
            (gradient,) = torch.autograd.grad(loss, batch)
        assert gradient is not None  # the batch requires one
        return (batch + 8 / 255 * gradient.sign()).detach()

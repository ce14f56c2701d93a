"""Probabilities of a trained network on stored images."""

import numpy as np
import torch
from torch import nn

from zoo.arrays import images_or_raise
from zoo.determinism import device_or_raise, float32_products
from zoo.registry import ZooError


def predict(
    model: nn.Module, images: np.ndarray, *, batch_size: int = 256, device: str = "cpu"
) -> np.ndarray:
    """Return softmax probabilities float32 ``[example, class]``, computed in float32 proper, not TF32.

    Args:
        model: from float32 images in [0, 1] to logits, e.g. a `Classifier`; comes back on ``device``,
            in the mode it was in.
        images: uint8 ``[example, height, width, channel]``.
        batch_size: examples at a time.
        device: where to run.

    Raises:
        ZooError: ``images`` is not such an array, ``batch_size`` is below 1, or no such device.
    """
    images_or_raise(images)
    device_or_raise(device)
    if batch_size < 1:
        raise ZooError(f"batch_size must be at least 1, got {batch_size}")
    was_training, answers = model.training, []
    model.to(device).eval()
    try:
        with torch.inference_mode(), float32_products():
            for start in range(0, len(images), batch_size):
                part = torch.from_numpy(np.ascontiguousarray(images[start : start + batch_size])).to(device)
                logits = model(part.permute(0, 3, 1, 2).to(torch.float32).div_(255.0))
                answers.append(torch.softmax(logits.float(), dim=1).cpu().numpy())
    finally:
        model.train(was_training)
    return np.concatenate(answers)

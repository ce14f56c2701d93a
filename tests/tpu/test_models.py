"""Whole networks through the operator table give torch's outputs, as built and in the deploy form."""

import numpy as np
import pytest
import torch

from explorer.measure.deploy import deploy_form

MODELS = {
    "resnet18": 64, "resnet50": 64, "efficientnet_b0": 64, "mobilenetv3_small_100": 64,
    "vit_small_patch16_224": 224,
    "convnext_tiny": 64, "regnety_004": 64, "swin_tiny_patch4_window7_224": 224, "mixer_s16_224": 224,
}  # fmt: skip


def random_weights(model: torch.nn.Module) -> torch.nn.Module:
    """Give norms statistics and scales that matter: untrained ones are 0 and 1."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            if tensor.is_floating_point() and tensor.dim() == 1:
                spread = torch.rand(tensor.shape, generator=generator)
                tensor.copy_(0.5 + spread if not name.endswith(("bias", "mean")) else 0.2 * (spread - 0.5))
    return model.eval()


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_torchs(through_jax, name: str) -> None:
    from zoo import build

    torch.manual_seed(1)
    size = MODELS[name]
    model = random_weights(build(f"timm:{name}", num_classes=17))
    wanted, found = through_jax(model, 2, 3, size, size)
    deployed = deploy_form(model, (2, 3, size, size))
    _, folded = through_jax(deployed, 2, 3, size, size)

    scale = np.abs(wanted).max()
    assert np.abs(found - wanted).max() <= 1e-4 * scale
    assert np.abs(folded - wanted).max() <= 1e-4 * scale


@pytest.mark.parametrize("name", ["wrn10-0.5", "mobile-x0.5", "mlp64x2"])
def test_the_zoos_own_families_are_covered(through_jax, name: str) -> None:
    from zoo import build

    model = random_weights(build(name, num_classes=7, resolution=16))
    wanted, found = through_jax(model, 2, 3, 16, 16)

    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


def test_a_classifier_with_its_resizing_is_covered(through_jax) -> None:
    from zoo.classifier import build_classifier

    model = build_classifier(
        "wrn10-0.25",
        channels=3,
        classes=5,
        native=16,
        resolution=12,
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.3, 0.1),
    )
    wanted, found = through_jax(random_weights(model), 2, 3, 16, 16)

    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())

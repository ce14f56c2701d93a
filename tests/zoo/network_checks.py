"""What every network of the zoo must do, and what published figures are held to."""

import io
import math

import numpy as np
import torch
import torch.nn.functional as F

import zoo
from explorer.accounting import count
from explorer.measure.trace import build_on_meta, trace_model
from zoo.published import Published


def counted(
    name: str, resolution: int | None = None, *, channels: int = 3, classes: int | None = None
) -> tuple[int, int]:
    """Return ``(parameters, macs)`` of one example through ``name``, without weights in memory."""
    side = resolution or zoo.default_resolution(name, 224)
    outputs = classes or zoo.family_of(name).classes
    model, _note = build_on_meta(
        lambda: zoo.build(name, in_channels=channels, num_classes=outputs, resolution=side)
    )
    cost = count(trace_model(model, (1, channels, side, side)))
    assert not cost.uncounted, f"{name}: {dict(cost.uncounted)} not counted"
    return cost.parameters, cost.macs


def departures(row: Published) -> dict[str, float]:
    """Return count over published minus 1 where it is beyond tolerance and rounding, by quantity."""
    return row.off(*counted(row.model, row.resolution, channels=row.channels, classes=row.classes))


def check_trains(
    name: str, resolution: int, *, classes: int = 5, channels: int = 3, rate: float = 0.02
) -> None:
    """Assert that steps on one batch lower its loss and that gradients reach every parameter."""
    torch.manual_seed(0)
    model = zoo.build(name, in_channels=channels, num_classes=classes, resolution=resolution).train()
    images = torch.randn(8, channels, resolution, resolution)
    labels = torch.arange(8) % classes
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    losses = []
    for step in range(5):
        torch.manual_seed(1)  # layers that drop at random drop the same each time, so that losses compare
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        if step == 0:
            named = [(key, p.grad) for key, p in model.named_parameters() if p.requires_grad]
            without = [key for key, grad in named if grad is None or not torch.isfinite(grad).all()]
            assert not without, f"{name}: no gradient in {without[:5]}"
        optimizer.step()
        losses.append(loss.item())
    assert math.isfinite(losses[-1])
    assert losses[-1] < losses[0], f"{name}: {losses}"


def check_deterministic(name: str, resolution: int, *, classes: int = 5, channels: int = 3) -> None:
    """Assert that in eval mode the same images give the same logits, of the right shape, batch by batch."""
    torch.manual_seed(0)
    model = zoo.build(name, in_channels=channels, num_classes=classes, resolution=resolution).eval()
    images = torch.randn(3, channels, resolution, resolution)
    with torch.no_grad():
        logits = model(images)
        assert logits.shape == (3, classes)
        assert torch.equal(logits, model(images))
        torch.testing.assert_close(model(images[1:2]), logits[1:2], rtol=1e-3, atol=1e-4)


def check_exports(name: str, resolution: int, *, classes: int = 5, channels: int = 3) -> None:
    """Assert that ONNX Runtime answers what the network answers."""
    import onnxruntime

    torch.manual_seed(0)
    model = zoo.build(name, in_channels=channels, num_classes=classes, resolution=resolution).eval()
    images = torch.randn(2, channels, resolution, resolution)
    program = torch.onnx.export(model, (images,), dynamo=True, verbose=False)
    assert program is not None
    file = io.BytesIO()
    program.save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    (answered,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    with torch.no_grad():
        wanted = model(images).numpy()
    np.testing.assert_allclose(answered, wanted, rtol=1e-3, atol=1e-4 * max(1.0, float(np.abs(wanted).max())))

"""On a CUDA device: every runtime gives the model's answers, times are the device's, memory comes back."""

import json
import math

import pytest
import torch
from torch import nn

from explorer.errors import UsageError
from explorer.measure import nvml
from explorer.measure.cuda_runtime import cache_bytes, event_timer
from explorer.measure.latency import Step
from explorer.measure.model_latency import measure_prepared
from explorer.measure.observe import observe
from explorer.measure.precision import measuring
from explorer.measure.runtime import OutOfMemory, Prepared, prepare
from explorer.workload import Workload

pytestmark = pytest.mark.gpu


def net() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 7),
    ).eval()


def ready(model: nn.Module, text: str, resolution: int = 32) -> Prepared:
    found = prepare(model, Workload.parse(text), channels=3, resolution=resolution, seed=4)
    assert isinstance(found, Prepared), found
    return found


def first_images(batch: int, resolution: int = 32) -> torch.Tensor:
    return torch.rand((batch, 3, resolution, resolution), generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize(
    ("text", "tolerance"),
    [
        ("cuda/b5", 1e-4),
        ("cuda/b5/nhwc", 1e-4),
        ("cuda/b5/deploy", 1e-4),
        ("cuda/b5/compiled", 1e-4),
        ("cuda/b5/tf32", 1e-2),
        ("cuda/b5/bf16", 5e-2),
        ("cuda/b5/fp16", 1e-2),
        ("cuda/b5/amp", 1e-2),
        ("cuda/b5/bf16/nhwc", 5e-2),
        ("cuda/b5/bf16/compiled", 5e-2),
    ],
)
def test_outputs_are_the_models(text: str, tolerance: float) -> None:
    model = net()
    one = ready(model, text)
    with measuring(one.workload):
        found = one.call().float().cpu()
    one.close()

    exact = model(first_images(5)).detach()
    assert (found - exact).abs().max() < tolerance * exact.abs().max()


@pytest.mark.parametrize("text", ["cuda/b5/graph", "cuda/b5/graph/bf16", "cuda/b5/graph/amp"])
def test_a_graph_answers_for_the_images_filled_in(text: str) -> None:
    written: list[torch.Tensor] = []

    class Writing(nn.Module):
        """Leaves its answer in memory of its own, since a replay returns nothing."""

        def __init__(self) -> None:
            super().__init__()
            self.net = net()
            self.register_buffer("answer", torch.zeros(5, 7))

        def forward(self, images):
            written.append(self.answer)
            return self.answer.copy_(self.net(images))

    model = net()
    one = ready(Writing(), text)
    generator = torch.Generator().manual_seed(4)
    with measuring(one.workload):
        for _ in range(4):
            one.before()
            one.call()
            one.wait()
            exact = model(torch.rand((5, 3, 32, 32), generator=generator))
            assert (written[-1].float().cpu() - exact).abs().max() < 5e-2 * exact.abs().max()
    assert one.memory_bytes > 0
    assert one.conditions.backend == "torch-cuda-graph"
    one.close()
    with pytest.raises(UsageError, match="was closed"):
        one.call()


def test_float32_is_not_tf32() -> None:
    """4096 products each: rounding inputs to 10 bits shows, float32 does not."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 40 * 40, 64, bias=False)).eval()
    exact = model.double()(first_images(64, 40).double()).detach()

    def error(text: str) -> float:
        one = ready(model.float(), text, resolution=40)
        with measuring(one.workload):
            return float((one.call().double().cpu() - exact).abs().max() / exact.abs().max())

    assert error("cuda/b64") < 1e-5
    if torch.cuda.get_device_capability() >= (8, 0):
        assert 1e-5 < error("cuda/b64/tf32") < 1e-2


def test_events_see_the_work_and_not_the_flush() -> None:
    device = torch.device("cuda", 0)
    timer, matrix = event_timer(device), torch.rand(4096, 4096, device=device)
    with measuring(Workload.parse("cuda")):
        for _ in range(3):
            small, large = timer.round([Step(lambda: matrix[:1] + 1.0), Step(lambda: matrix @ matrix)])

    assert timer is event_timer(device)  # one flush buffer
    assert 0.0 < small.seconds < large.seconds
    assert small.seconds < 1e-3
    assert large.seconds > 2 * 4096**3 / 2e15
    assert large.seconds <= large.host_s * 1.05
    assert large.issue_s < large.seconds
    assert cache_bytes(device) >= 2**20


@pytest.mark.parametrize("runtime", ["eager", "graph", "compiled"])
def test_a_measurement(runtime: str) -> None:
    one = ready(net(), f"cuda/b8/{runtime}")
    run = measure_prepared({"net": one}, max_seconds=0.3)["net"]

    assert run.conditions.device == "cuda:0"
    assert {"cuda", "cudnn", "driver", "torch"} <= set(run.conditions.versions)
    seen = json.loads(json.dumps(run.observations))
    assert seen["timing"].startswith("device events")
    assert isinstance(seen["launch_bound"], bool)
    assert math.isfinite(seen["reference_ratio"])
    assert seen["host_median_s"] >= run.median_s * 0.95
    weights = sum(p.nbytes for p in net().parameters())
    activations = 8 * 64 * 32 * 32 * 4
    assert weights + activations < one.memory_bytes < 2**30
    one.close()


def test_a_batch_that_does_not_fit_is_a_result_and_its_memory_comes_back() -> None:
    device = torch.device("cuda", 0)
    ready(net(), "cuda/b8").close()
    before = torch.cuda.memory_allocated(device)
    total = torch.cuda.get_device_properties(device).total_memory
    batch = total // (64 * 512 * 512 * 4) + 1  # the first layer's output alone is more than there is

    found = prepare(net(), Workload(device="cuda", batch=batch), channels=3, resolution=512)

    assert isinstance(found, OutOfMemory)
    assert found.reason.startswith("out of memory: ")
    assert torch.cuda.memory_allocated(device) == before
    ready(net(), "cuda/b8").close()


def test_close_returns_the_memory() -> None:
    device = torch.device("cuda", 0)
    ready(net(), "cuda/b8").close()
    before = torch.cuda.memory_allocated(device)
    for runtime in ("eager", "graph", "deploy"):
        ready(net(), f"cuda/b64/{runtime}").close()

    assert torch.cuda.memory_allocated(device) == before


def test_int8_is_refused_with_the_reason() -> None:
    with pytest.raises(UsageError, match="no int8 convolutions on CUDA"):
        ready(net(), "cuda/int8")


def test_the_card_tells_or_says_why_not() -> None:
    seen = observe("cuda:0")

    if nvml.library() is None:
        assert seen.missing
    else:
        assert seen.missing == ""
        assert seen.sm_clock_mhz > 0.0
        assert 0.0 < seen.temperature_c < 120.0

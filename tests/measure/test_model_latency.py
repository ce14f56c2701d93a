import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from explorer.errors import EnvironmentMissingError, UsageError
from explorer.measure.latency import latency_figure, normalised_samples_s
from explorer.measure.model_latency import measure_prepared, model_latency
from explorer.measure.runtime import OutOfMemory, Prepared, prepare
from explorer.workload import Workload


class Watch(nn.Module):
    """Keeps what it saw of the world while it ran."""

    seen: list[dict] = []  # noqa: RUF012 - shared by copies, that is its use

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))

    def forward(self, x):
        Watch.seen.append(
            {
                "threads": torch.get_num_threads(),
                "shape": tuple(x.shape),
                "dtype": x.dtype,
                "training": {m.training for m in self.modules()},
                "gradients": torch.is_grad_enabled(),
                "inference": torch.is_inference_mode_enabled(),
            }
        )
        return self.net(x)


def test_what_is_timed_and_under_what(monkeypatch) -> None:
    monkeypatch.setattr(Watch, "seen", [])
    model = Watch().to(torch.float64)

    run = model_latency(model, (7, 5), subject="watch", threads=2, max_seconds=0.05, min_seconds=0.0)

    assert len(Watch.seen) == len(run.samples_s) + len(run.warmup_s)
    assert all(
        seen == {
            "threads": 2, "shape": (7, 5), "dtype": torch.float64, "training": {False},
            "gradients": False, "inference": True,
        }
        for seen in Watch.seen
    )  # fmt: skip
    assert (run.conditions.batch, run.conditions.threads, run.conditions.dtype) == (7, 2, "float64")
    assert (run.conditions.device, run.conditions.backend) == ("cpu", "torch-eager")
    assert torch.get_num_threads() == 1


def test_model_and_process_stay_as_they_were() -> None:
    model = Watch().train()
    model.net[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    random_state = torch.get_rng_state()

    model_latency(model, (7, 5), subject="watch", max_seconds=0.02, min_seconds=0.0)

    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random_state)


def test_more_work_takes_longer() -> None:
    def median(width: int) -> float:
        model = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        run = model_latency(model, (1, width), subject=f"mlp{width}", min_seconds=0.05, max_seconds=0.3)
        return latency_figure(run).value

    assert median(1024) > 2 * median(16)


def test_threads_come_back_after_a_failure() -> None:
    with pytest.raises(RuntimeError):
        model_latency(nn.Linear(5, 3), (7, 4), subject="wrong shape", threads=2)

    assert torch.get_num_threads() == 1


def test_a_model_without_weights_is_refused() -> None:
    with pytest.raises(UsageError, match=r"net has no weights .* counted, not timed"):
        model_latency(nn.Linear(5, 3, device="meta"), (1, 5), subject="net")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_cuda_without_cuda_is_an_environment_error() -> None:
    with pytest.raises(EnvironmentMissingError, match=r"device 'cuda' is not here .*sees no CUDA device"):
        model_latency(nn.Linear(5, 3), (1, 5), subject="net", device="cuda")


@pytest.mark.gpu
def test_cuda_is_waited_for() -> None:
    """A product of 4096^3 multiply-accumulates takes over 0.1 ms; a call that only queues it does not."""
    run = model_latency(nn.Linear(4096, 4096), (4096, 4096), subject="net", device="cuda", max_seconds=0.5)

    assert run.conditions.device == "cuda:0"
    assert latency_figure(run).value > 1e-4


# ---- prepared models --------------------------------------------------------------------------


def small(width: int = 5) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(75, width), nn.Linear(width, 3))


def ready(model: nn.Module, text: str = "cpu/eager/b2") -> Prepared:
    found = prepare(model, Workload.parse(text), channels=3, resolution=5)
    assert isinstance(found, Prepared)
    return found


QUICK = {"min_seconds": 0.0, "max_seconds": 0.02}


def test_prepared_models_are_timed_under_their_workload() -> None:
    class Seeing(nn.Linear):
        seen: set = set()  # noqa: RUF012 - shared by copies, that is its use

        def forward(self, images):
            Seeing.seen.add((torch.get_num_threads(), torch.is_inference_mode_enabled()))
            return super().forward(images)

    model = nn.Sequential(nn.Flatten(), Seeing(75, 3))
    prepared = {"a": ready(model, "cpu/eager/b2/t2"), "b": ready(small(), "cpu/eager/b2/t2")}
    Seeing.seen.clear()

    runs = measure_prepared(prepared, **QUICK)

    assert Seeing.seen == {(2, True)}
    assert torch.get_num_threads() == 1
    assert list(runs) == ["a", "b"]
    assert runs["a"].conditions == prepared["a"].conditions
    seen = json.loads(json.dumps(runs["a"].observations))
    assert {
        "images", "image_batches", "timing", "prepare_s", "first_call_s", "memory_bytes", "before", "after",
        "doubtful", "interleaved", "reference", "reference_median_s", "reference_ratio",
        "reference_samples_s",
    } == set(seen)  # fmt: skip
    assert (seen["memory_bytes"], seen["interleaved"], seen["reference"]) == (None, 2, "reference-1")
    assert len(normalised_samples_s(runs["b"])) == len(runs["b"].samples_s)


def test_the_reference_may_be_left_out() -> None:
    run = measure_prepared({"a": ready(small())}, reference=False, **QUICK)["a"]

    assert "reference_samples_s" not in run.observations
    assert run.observations["before"]["device"] == "cpu"


def test_one_that_runs_out_of_memory_later_leaves_the_others() -> None:
    class Growing(nn.Module):
        calls = 0

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(5, 5)

        def forward(self, images):
            Growing.calls += 1
            if Growing.calls > 4:
                torch.empty(2**55)
            return self.layer(images)

    prepared = {"growing": ready(Growing()), "a": ready(small()), "b": ready(small(7))}

    results = measure_prepared(prepared, **QUICK)

    assert list(results) == ["growing", "a", "b"]
    assert isinstance(results["growing"], OutOfMemory)
    assert results["growing"].reason.startswith("out of memory: ")
    assert all(len(results[name].samples_s) >= 6 for name in "ab")
    with pytest.raises(UsageError, match="was closed"):
        prepared["growing"].call()
    assert prepared["a"].call() is not None


def test_other_failures_are_not_hidden() -> None:
    class Failing(nn.Module):
        calls = 0

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(5, 5)

        def forward(self, images):
            Failing.calls += 1
            if Failing.calls > 2:
                raise RuntimeError("a broken kernel")
            return self.layer(images)

    with pytest.raises(RuntimeError, match="a broken kernel"):
        measure_prepared({"a": ready(Failing())}, **QUICK)
    assert torch.get_num_threads() == 1


def test_the_device_is_kept_busy_before_it_is_looked_at(clock) -> None:
    one = ready(small())
    made = []
    slow = replace(one, call=lambda: made.append(clock.call(0.25)()))

    run = measure_prepared({"a": slow}, warm_seconds=1.0, reference=False, clock=clock, max_seconds=0.5)["a"]

    assert len(made) == 4 + len(run.warmup_s) + len(run.samples_s)


def test_workloads_are_not_mixed() -> None:
    with pytest.raises(UsageError, match=r"b was prepared for cpu/b3/eager, others for cpu/b2/eager"):
        measure_prepared({"a": ready(small()), "b": ready(small(), "cpu/eager/b3")})
    with pytest.raises(UsageError, match="no models were prepared"):
        measure_prepared({})

import pytest
import torch
from torch import nn

from explorer.errors import EnvironmentMissingError, UsageError
from explorer.measure.latency import latency_figure
from explorer.measure.model_latency import model_latency


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
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_is_waited_for() -> None:
    """A product of 4096^3 multiply-accumulates takes over 0.1 ms; a call that only queues it does not."""
    run = model_latency(nn.Linear(4096, 4096), (4096, 4096), subject="net", device="cuda", max_seconds=0.5)

    assert run.conditions.device == "cuda:0"
    assert latency_figure(run).value > 1e-4

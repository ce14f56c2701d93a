"""What a training may take for granted of torch and the machine, and what it leaves behind."""

import dataclasses
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import zoo
from zoo import determinism
from zoo.determinism import float32_products, machine

RECIPE = dataclasses.replace(zoo.recipe("standard"), epochs=1, batch_size=34, crop_padding=1)
JOB = zoo.TrainJob(name="wrn10-0.25", classes=3, recipe=RECIPE, seed=5)

Arrays = tuple[np.ndarray, np.ndarray]


def switches() -> tuple[object, ...]:
    """Return torch's older switches of TF32, which can be set without a device that has it."""
    return (
        torch.get_float32_matmul_precision(),
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
    )


PLAIN, TF32 = ("highest", False, False), ("high", True, True)


@pytest.fixture
def tf32() -> Iterator[None]:
    """Allow TF32 everywhere, as a caller may have."""
    before = switches()
    newer = [(one, one.fp32_precision) for one in _newer()]
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    yield
    torch.set_float32_matmul_precision(before[0])  # type: ignore[arg-type]  # torch spells its levels out
    torch.backends.cudnn.allow_tf32 = before[2]  # type: ignore[assignment]  # a property that is set
    for one, value in newer:
        one.fp32_precision = value


def _newer() -> tuple[Any, ...]:
    backends: Any = torch.backends
    return (backends.cuda.matmul, backends.mkldnn.matmul, backends.cudnn.conv, backends.cudnn.rnn)


class Watching(nn.Module):
    """Notes torch's switches whenever it runs."""

    def __init__(self, seen: set[object]) -> None:
        super().__init__()
        self.seen = seen

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.add(switches())
        return images

    def __deepcopy__(self, memo: object) -> "Watching":
        return self


def built_with(monkeypatch: pytest.MonkeyPatch, layer: nn.Module) -> None:
    def build(name: str, **arguments: Any) -> zoo.Classifier:
        plain = zoo.build_classifier(name, **arguments)
        return zoo.Classifier(plain.preprocess, nn.Sequential(layer, plain.net))

    monkeypatch.setattr(importlib.import_module("zoo.training_nets"), "build_classifier", build)


@pytest.mark.usefixtures("tf32")
def test_float32_is_float32_in_training_and_in_predictions(
    stripes: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[object] = set()
    built_with(monkeypatch, Watching(seen))
    job = dataclasses.replace(JOB, name="mlp13x2")
    zoo.train(job, *stripes)
    zoo.train_stacked([job, dataclasses.replace(job, seed=6)], *stripes)
    zoo.step_seconds(job, *stripes, seconds=0.01)
    assert seen == {PLAIN}
    assert switches() == TF32

    seen.clear()
    model = nn.Sequential(Watching(seen), nn.Flatten(), nn.Linear(128, 3))
    zoo.predict(model, stripes[0])
    assert seen == {PLAIN}
    assert switches() == TF32


@pytest.mark.usefixtures("tf32")
def test_the_callers_switches_come_back_after_an_error() -> None:
    newer = [one.fp32_precision for one in _newer()]
    with pytest.raises(ZeroDivisionError), float32_products():
        raise ZeroDivisionError
    assert switches() == TF32
    assert [one.fp32_precision for one in _newer()] == newer


class Refused(nn.Module):
    """Needs an operator that torch has in no deterministic form on any device."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        torch.zeros(3).put_(torch.tensor([0]), torch.ones(1))
        return images


def test_an_operator_without_deterministic_form_is_named(
    stripes: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    built_with(monkeypatch, Refused())
    message = r"^wrn10-0\.25 cannot be trained on cpu: torch has no implementation of put_ there"
    with pytest.raises(zoo.ZooError, match=message):
        zoo.train(JOB, *stripes)
    with pytest.raises(zoo.ZooError, match=message):
        zoo.step_seconds(JOB, *stripes, seconds=0.01)
    assert not torch.are_deterministic_algorithms_enabled()


class Broken(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("CUDA error: something else")


def test_other_failures_of_torch_stay_what_they_are(stripes: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    built_with(monkeypatch, Broken())
    with pytest.raises(RuntimeError, match=r"^CUDA error: something else$"):
        zoo.train(JOB, *stripes)


def test_a_machine_says_its_torch_and_its_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Made Up 3000\nprocessor\t: 1\nmodel name\t: Other\n")
    monkeypatch.setattr(determinism, "_CPU_INFO", info)
    vectors = torch.backends.cpu.get_cpu_capability()
    assert machine("cpu") == {"torch": str(torch.__version__), "device_name": f"Made Up 3000 ({vectors})"}
    monkeypatch.setattr(determinism, "_CPU_INFO", tmp_path / "absent")
    assert machine("cpu")["device_name"].endswith(f" ({vectors})")

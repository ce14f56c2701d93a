"""Records and stores that the store's tests share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from explorer.convention import Basis
from explorer.record import Conditions, CostFigure, CostRecord, MemberRecord, TrainingRecord
from explorer.spec import Member, ModelSpec
from explorer.store import Store

SPLIT_DIGEST = "5" * 64


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def training() -> TrainingRecord:
    return TrainingRecord(
        recipe_id="quick-0a1b2c3d",
        recipe={"epochs": 3, "flip": False, "rates": [0.1, 0.01]},
        epochs=3,
        examples_seen=2694,
        wall_s=1.25,
        device="cpu",
        macs=123_456_789,
        curve=({"epoch": 1.0, "loss": 2.3}, {"epoch": 2.0, "loss": 1.1}),
        versions={"torch": "2.13.0"},
    )


@pytest.fixture
def make_member(training: TrainingRecord) -> Callable[..., MemberRecord]:
    def make(
        seed: int = 0, name: str = "wrn10-1", dataset: str = "digits", **changes: object
    ) -> MemberRecord:
        values: dict[str, object] = {
            "member": Member(name, 8, seed, "quick-0a1b2c3d"),
            "dataset": dataset,
            "split_digest": SPLIT_DIGEST,
            "channels": 1,
            "classes": 3,
            "training": training,
            "weights_digest": "",
        }
        return MemberRecord(**{**values, **changes})

    return make


@pytest.fixture
def make_probabilities() -> Callable[..., np.ndarray]:
    def make(seed: int = 0, examples: int = 7, classes: int = 3) -> np.ndarray:
        return np.random.default_rng(seed).dirichlet(np.ones(classes), examples).astype(np.float32)

    return make


@pytest.fixture
def conditions() -> Conditions:
    return Conditions(
        device="cpu",
        device_name="A Processor",
        dtype="float32",
        batch=1,
        threads=1,
        backend="torch-eager",
        versions={"torch": "2.13.0"},
    )


@pytest.fixture
def make_cost() -> Callable[..., CostRecord]:
    def make(value: float = 1009, kind: str = "macs", **changes: object) -> CostRecord:
        values: dict[str, object] = {
            "model": ModelSpec("wrn10-1", 8),
            "channels": 1,
            "classes": 3,
            "kind": kind,
            "device": None,
            "figure": CostFigure(value=value, low=value, high=value, basis=Basis.COUNTED),
            "convention": "macs-v1",
            "source": "a test",
        }
        return CostRecord(**{**values, **changes})

    return make

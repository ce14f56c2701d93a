"""A small store of synthetic members: three models by three seeds that err in different places."""

from pathlib import Path

import numpy as np
import pytest

from explorer.convention import Basis
from explorer.record import Conditions, CostFigure, CostRecord, MemberRecord, TrainingRecord
from explorer.spec import Member, ModelSpec
from explorer.store import Store

MACS = {"wrn10-0.25": 71_300, "wrn10-0.5": 263_000, "wrn10-1": 1_010_000}
SHARPNESS = {"wrn10-0.25": 1.9, "wrn10-0.5": 2.6, "wrn10-1": 3.2}
LATENCY_S = {"wrn10-0.25": 0.00031, "wrn10-0.5": 0.00047, "wrn10-1": 0.00110}
CLASSES = 10
SIZES = {"select": 360, "report": 539}
DATASET = "digits"
RECIPE = "quick-1234abcd"
SPLIT_DIGEST = "5e" * 32


def _probabilities(labels: np.ndarray, hardness: np.ndarray, sharpness: float, seed: int) -> np.ndarray:
    """Softmax of noise plus evidence for the right class; hard examples get less of it."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(len(labels), CLASSES))
    logits[np.arange(len(labels)), labels] += sharpness * hardness
    exponent = np.exp(1.6 * logits)
    return exponent / exponent.sum(axis=1, keepdims=True)


def fill(store: Store) -> None:
    """Write members with predictions, counts and latencies."""
    random = np.random.default_rng(7)
    labels = {split: random.integers(0, CLASSES, size=n) for split, n in SIZES.items()}
    hardness = {split: random.uniform(0.4, 2.2, size=n) for split, n in SIZES.items()}
    names = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    for index, (name, macs) in enumerate(MACS.items()):
        for seed in range(3):
            predictions = {
                split: _probabilities(
                    labels[split], hardness[split], SHARPNESS[name], 100 * index + 10 * seed + k
                )
                for k, split in enumerate(SIZES)
            }
            store.commit_member(
                _member(name, seed, macs),
                f"weights of {name} {seed}".encode(),
                predictions,
                labels=labels,
                class_names=names,
            )
        _put_costs(store, name, macs)


def _member(name: str, seed: int, macs: int) -> MemberRecord:
    return MemberRecord(
        member=Member(name, 8, seed, RECIPE),
        dataset=DATASET,
        split_digest=SPLIT_DIGEST,
        channels=1,
        classes=CLASSES,
        training=TrainingRecord(
            recipe_id=RECIPE,
            recipe={"epochs": 20},
            epochs=20,
            examples_seen=17_960,
            wall_s=7.3,
            device="cpu",
            macs=3 * 17_960 * macs,
            curve=({"epoch": 19.0, "loss": 0.0812, "accuracy": 0.99, "wall_s": 7.3},),
            versions={"torch": "2.13.0"},
        ),
        weights_digest="",
    )


def _put_costs(store: Store, name: str, macs: int) -> None:
    model, latency = ModelSpec(name, 8), LATENCY_S[name]
    exact = CostFigure(value=macs, low=macs, high=macs, basis=Basis.COUNTED)
    timed = CostFigure(value=latency, low=0.98 * latency, high=1.03 * latency, basis=Basis.MEASURED)
    conditions = Conditions(
        device="cpu",
        device_name="Test CPU",
        dtype="float32",
        batch=1,
        threads=1,
        backend="onnxruntime",
        versions={"onnxruntime": "1.31.0"},
    )
    shared = {"model": model, "channels": 1, "classes": CLASSES, "source": "explorer 0.1.0"}
    store.put_cost(CostRecord(kind="macs", device=None, figure=exact, convention="macs-v1", **shared), None)
    store.put_cost(
        CostRecord(
            kind="latency",
            device="cpu",
            figure=timed,
            convention="single-stream-b1",
            conditions=conditions,
            **shared,
        ),
        [latency, 1.01 * latency, 0.99 * latency],
    )


@pytest.fixture(scope="session")
def store_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a filled store; tests read it and do not write."""
    root = tmp_path_factory.mktemp("filled") / "store"
    with Store.open(root) as store:
        fill(store)
    return root

"""Stores filled with everything a bundle carries, and views of them to compare."""

import hashlib
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from explorer.convention import Basis
from explorer.record import CostFigure, CostRecord, MemberRecord, TrainingRecord
from explorer.spec import Member, ModelSpec
from explorer.store import EvaluationRecord, Store

SPLIT = "5" * 64
LABELS = np.arange(7) % 3
NAMES = ("a", "b", "c")
RECIPE = "quick-0a1b2c3d"


def member_record(seed, name="wrn10-1", dataset="digits", recipe=RECIPE, wall_s=1.25):
    return MemberRecord(
        member=Member(name, 8, seed, recipe),
        dataset=dataset,
        split_digest=SPLIT,
        channels=1,
        classes=3,
        training=TrainingRecord(
            recipe_id=recipe,
            recipe={"epochs": 3, "flip": False, "rates": [0.1, 0.01]},
            epochs=3,
            examples_seen=2694,
            wall_s=wall_s,
            device="cpu",
            macs=123_456_789,
            curve=({"epoch": 1.0, "loss": 2.3}, {"epoch": 2.0, "loss": 1.1}),
            versions={"torch": "2.13.0"},
        ),
        weights_digest="",
    )


def probabilities(seed, split="select", examples=7, classes=3):
    return np.random.default_rng([seed, ord(split[0])]).dirichlet(np.ones(classes), examples)


def commit(store, seed, *, weights=None, version=0, **changes):
    record = member_record(seed, **changes)
    what = f"{record.dataset} {record.member} {version}".encode()
    store.commit_member(
        record,
        what if weights is None else weights,
        {split: probabilities(seed + 1000 * version, split) for split in ("select", "report")},
        labels={"select": LABELS, "report": LABELS},
        class_names=NAMES,
    )
    return record.member


def cost_record(conditions=None, name="wrn10-1", **changes):
    value = changes.pop("value", 1009.0)
    record = CostRecord(
        model=ModelSpec(name, 8),
        channels=1,
        classes=3,
        kind="macs",
        device=None,
        figure=CostFigure(value=value, low=value, high=value, basis=Basis.COUNTED),
        convention="macs-v1",
        source="a test",
        conditions=conditions,
    )
    return replace(record, **changes)


def latency_record(conditions):
    figure = CostFigure(value=2.0, low=1.0, high=3.0, basis=Basis.MEASURED)
    return cost_record(conditions, kind="latency", device="cpu", figure=figure, convention="single-stream-b1")


def fill(store, conditions, seeds=range(3)):
    """Two models on one data set, one on another, costs with and without samples, one design."""
    for seed in seeds:
        commit(store, seed)
        commit(store, seed, name="wrn10-2")
        commit(store, seed, dataset="fashion-mnist", recipe="long-00000000")
    store.put_cost(cost_record())
    store.put_cost(cost_record(name="wrn10-2", value=4000.0))
    store.put_cost(cost_record(name="never-trained", value=5.0))
    store.put_cost(latency_record(conditions), [2.0, 2.5, 1.5], warmup=[9.0], notes={"load": 0.5})
    document = {"accuracy": {"value": 0.5}, "é": [1, None]}
    for design in ("wrn10-1@8#0", f"mean(wrn10-1@8~{RECIPE}#0, wrn10-2@8~{RECIPE}#1)"):
        store.put_evaluation(
            EvaluationRecord(
                design=design, dataset="digits", split_digest=SPLIT, axis="macs", document=document
            )
        )
    store.put_predictions(Member("google", 0, 0, "imported"), "faces", "report", SPLIT, probabilities(77))


def content(store: Store):
    """Everything a bundle carries, as the store answers it, with each array and each file's bytes."""
    splits = ("select", "report")
    datasets = ("digits", "fashion-mnist", "faces")
    predictions = [r for d in datasets for s in splits for r in store.predictions(d, s)]
    return {
        "members": store.members(),
        "weights": [
            store.weights(r.weights_digest) if store.has_weights(r) else None for r in store.members()
        ],
        "predictions": predictions,
        "arrays": [store.probabilities(record).tobytes() for record in predictions],
        "labels": [
            (d, s, store.labels(d, s, SPLIT).tobytes(), store.class_names(d))
            for d in datasets[:2]
            for s in splits
            if d in store.datasets()
        ],
        "costs": sorted(map(str, store.costs())),
        "samples": [
            (store.samples(r.samples_digest).tolist(), store.sample_notes(r.samples_digest))
            for r in store.costs("latency")
        ],
        "evaluations": sorted(map(str, store.evaluations())),
    }


def rows_of(store):
    """Every row of the ledger: what must not change when a bundle is refused."""
    with store._engine.connect() as connection:
        tables = (
            connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars().all()
        )
        return {name: connection.exec_driver_sql(f"SELECT * FROM {name}").fetchall() for name in tables}


def tree(root: Path):
    """Every file below a folder, by content; SQLite's -wal and -shm come and go with readers."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def zipped(folder: Path, target: Path, names=None):
    """Zip a folder bundle by hand; ``names`` maps a name in the folder to that in the zip."""
    with zipfile.ZipFile(target, "w") as made:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                made.writestr((names or {}).get(name, name), path.read_bytes())
    return target


def copied(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target))

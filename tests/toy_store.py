"""A small made store, written row by row: members with random probabilities, and costs."""

import zlib
from dataclasses import replace

import numpy as np

from explorer.convention import Basis, CostAxis
from explorer.record import Conditions, CostFigure, CostRecord, MemberRecord, TrainingRecord
from explorer.spec import Member, ModelSpec
from explorer.store import Store

MACS, LATENCY = CostAxis.parse("macs"), CostAxis.parse("latency@cpu")
CLASSES = 3
CONDITIONS = Conditions(
    device="cpu",
    device_name="a cpu",
    dtype="float32",
    batch=1,
    threads=1,
    backend="torch-eager",
    versions={"torch": "2"},
)


def add_member(
    store: Store,
    text: str,
    seed: int,
    *,
    recipe: str = "quick-11111111",
    base: str = "",
    split: str = "a" * 64,
) -> Member:
    member = Member(text, 8, seed, recipe)
    rng = np.random.default_rng(zlib.crc32(f"{member}{split}".encode()))
    chance = {s: rng.dirichlet(np.ones(CLASSES), n) for s, n in (("select", 5), ("report", 7))}
    training = TrainingRecord(
        recipe_id=recipe,
        recipe={"base": base} if base else {},
        epochs=1,
        examples_seen=1,
        wall_s=1.0,
        device="cpu",
        macs=1,
        curve=(),
        versions={},
    )
    record = MemberRecord(
        member=member,
        dataset="toy",
        split_digest=split,
        channels=1,
        classes=CLASSES,
        training=training,
        weights_digest="",
    )
    labels = {"select": np.arange(5) % CLASSES, "report": np.arange(7) % CLASSES}
    names = [f"class {c}" for c in range(CLASSES)]
    store.commit_member(record, f"{member}{split}".encode(), chance, labels=labels, class_names=names)
    return member


def add_cost(store: Store, text: str, value: float, **changes: object) -> None:
    basis = changes.pop("basis", Basis.COUNTED)
    record = CostRecord(
        model=ModelSpec(text, 8),
        channels=1,
        classes=CLASSES,
        kind="macs",
        device=None,
        figure=CostFigure(
            value=value, low=value, high=value * (basis is Basis.MEASURED) * 0.5 + value, basis=basis
        ),
        convention="macs-v1",
        source="test",
    )
    store.put_cost(replace(record, **changes))

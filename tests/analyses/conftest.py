"""A made study: networks of growing size with shared mistakes, written to a store as a real one is."""

import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from explorer.convention import Basis
from explorer.record import Conditions, CostFigure, CostRecord, MemberRecord, TrainingRecord
from explorer.spec import Member, ModelSpec
from explorer.store import Store

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT, ROOT / "tests"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

BASE = "reference-2ba43935"
DATASET = "fashion-mnist"
CLASSES = 10
SPLIT = "c" * 64
SKILLS = {
    "wrn10-0.25": 2.2,
    "wrn10-0.5": 2.8,
    "wrn10-1": 3.2,
    "wrn10-2": 3.4,
    "mobile-x0.125": 1.8,
    "mobile-x0.25": 2.4,
    "mobile-x0.5": 2.9,
}
MACS = {
    name: (1e6 if "wrn" in name else 0.4e6) * 4 ** (place if place < 4 else place - 4)
    for place, name in enumerate(SKILLS)
}


class MadeStudy:
    """Writes members whose probabilities come from a shared difficulty and a noise of their own."""

    def __init__(self, store: Store, *, select: int, report: int) -> None:
        random = np.random.default_rng(5)
        self.store = store
        self.labels = {
            "select": random.integers(0, CLASSES, select),
            "report": random.integers(0, CLASSES, report),
        }
        self.hard = {name: random.normal(0, 1.6, (len(of), CLASSES)) for name, of in self.labels.items()}

    def member(
        self,
        name: str,
        seed: int,
        skill: float,
        *,
        recipe: str = BASE,
        noise: float = 1.2,
        **settings: object,
    ) -> Member:
        member = Member(name, 28, seed, recipe)
        random = np.random.default_rng(abs(hash_of(str(member))))
        answers = {}
        for split, labels in self.labels.items():
            logits = self.hard[split] + random.normal(0, noise, (len(labels), CLASSES))
            logits[np.arange(len(labels)), labels] += skill
            chance = np.exp(logits - logits.max(axis=1, keepdims=True))
            answers[split] = chance / chance.sum(axis=1, keepdims=True)
        base = {"base": BASE} if recipe != BASE else {}
        training = TrainingRecord(
            recipe_id=recipe,
            recipe={**base, **settings},
            epochs=1,
            examples_seen=1000,
            wall_s=1.0,
            device="cpu",
            macs=int(3 * 1000 * MACS.get(name.partition("+")[0], 1)),
            curve=(),
            versions={},
        )
        record = MemberRecord(
            member=member,
            dataset=DATASET,
            split_digest=SPLIT,
            channels=1,
            classes=CLASSES,
            training=training,
            weights_digest="",
        )
        names = [str(c) for c in range(CLASSES)]
        self.store.commit_member(record, f"{member}".encode(), answers, labels=self.labels, class_names=names)
        return member

    def cost(self, name: str, kind: str, value: float, *, device: str | None = None) -> None:
        measured = kind == "latency"
        conditions = Conditions(
            device="cpu",
            device_name="a cpu",
            dtype="float32",
            batch=1,
            threads=1,
            backend="torch-eager",
            versions={},
        )
        record = CostRecord(
            model=ModelSpec(name, 28),
            channels=1,
            classes=CLASSES,
            kind=kind,
            device=device,
            figure=CostFigure(
                value=value,
                low=value * (0.98 if measured else 1),
                high=value * (1.03 if measured else 1),
                basis=Basis.MEASURED if measured else Basis.COUNTED,
            ),
            convention="single-stream-b1" if measured else "macs-v1",
            source="test",
            conditions=conditions if measured else None,
        )
        self.store.put_cost(record)


def hash_of(text: str) -> int:
    return zlib.crc32(text.encode())


def make_study(
    folder: Path, *, seeds: int = 4, select: int = 400, report: int = 600, extras: bool = True
) -> Path:
    """Two families with costs; ``extras``: also latency, students, snapshots, inner ensembles."""
    with Store.open(folder) as store:
        study = MadeStudy(store, select=select, report=report)
        for name, skill in SKILLS.items():
            for seed in range(seeds):
                study.member(name, seed, skill)
            study.cost(name, "macs", MACS[name])
            study.cost(name, "parameters", MACS[name] / 100)
            if extras:
                slow = 2.5 if "mobile" in name else 1.0
                study.cost(name, "latency", slow * 1e-8 * MACS[name] ** 0.8, device="cpu")
        if extras:
            teacher = f"mean({', '.join(f'wrn10-1@28~{BASE}#{seed}' for seed in range(3))})"
            for seed in range(2):
                study.member("wrn10-0.5", seed, 3.1, recipe="distilled-aaaa1111", noise=1.0, teacher=teacher)
                study.member("wrn10-0.5+mimo2", seed, 3.0, noise=1.0)
                for cycle in (1, 2):
                    study.member("wrn10-0.5", seed, 2.7, recipe=f"snapshot{cycle}of2-0000000{cycle}")
            for kind, value in (("macs", 4.1e6), ("parameters", 4.1e4)):
                study.cost("wrn10-0.5+mimo2", kind, value)
    return folder


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two families of seven scales, four seeds, students, snapshots and MIMO, measured."""
    return make_study(tmp_path_factory.mktemp("study") / "store")


@pytest.fixture(scope="session")
def plain_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with nothing but singles, three seeds, not measured."""
    return make_study(tmp_path_factory.mktemp("plain") / "store", seeds=3, extras=False)


@pytest.fixture(scope="session")
def make() -> Callable[..., Path]:
    return make_study

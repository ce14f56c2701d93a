"""Stored predictions of real networks: figures published with them, and the fast search on them."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from strategies import make_pool

from explorer.analysis.advice.advise import advise
from explorer.analysis.pool import Pool
from explorer.analysis.scoring.combine import combine
from explorer.analysis.search.exact import search
from explorer.analysis.search.plan import Space
from explorer.convention import CostAxis
from explorer.question import Budget
from explorer.spec import Averaging, CandidateKind
from tests.plain_scoring import check_reported


@pytest.fixture(scope="module")
def resnets(shared_dir: Path) -> dict[str, np.ndarray]:
    path = shared_dir / "data" / "predictions" / "cifar10_train_resnet50_cv_13members.npz"
    if not path.is_file():
        pytest.skip(f"no stored predictions at {path}")
    with np.load(path) as held:
        return {name: held[name] for name in ("probs", "labels")}


def pool_of(probs: np.ndarray, labels: np.ndarray, costs: list[float], select: int, report: int) -> Pool:
    return make_pool(
        probs[:, :select],
        labels[:select],
        probs[:, select : select + report],
        labels[select : select + report],
        costs,
    )


def test_thirteen_resnets_average_to_the_published_accuracy(resnets: dict[str, np.ndarray]) -> None:
    probs, labels = resnets["probs"], resnets["labels"]
    alone = [np.mean(row.argmax(axis=1) == labels) for row in probs]
    assert (round(min(alone), 3), round(max(alone), 3)) == (0.334, 0.858)
    assert round(float(np.mean(combine(probs)[0] == labels)), 3) == 0.873


def test_two_networks_of_which_the_mean_loses(shared_dir: Path) -> None:
    path = shared_dir / "data" / "predictions" / "cifar10_netcal_2models.npz"
    if not path.is_file():
        pytest.skip(f"no stored predictions at {path}")
    with np.load(path) as held:
        probs, labels = held["probs"].astype(np.float16), held["labels"]
    pool = pool_of(probs, labels, [651_000.0, 250_000_000.0], 5000, 5000)
    front = search(pool, pool.axis)
    kinds = {point.kind for point in front.points}
    assert kinds == {CandidateKind.SINGLE, CandidateKind.CASCADE}, "averaging a weak network in loses"
    assert all(point.accuracy.low < 0.93 for point in front.points)


def test_fast_counts_on_real_predictions(resnets: dict[str, np.ndarray]) -> None:
    probs, labels = resnets["probs"][:6], resnets["labels"]
    pool = pool_of(probs, labels, [float(7 + 3 * k) for k in range(6)], 1000, 1000)
    front = search(pool, pool.axis, Space(max_members=3))
    best = max(
        np.mean(pool.select[list(s)].astype(np.float64).mean(axis=0).argmax(axis=1) == labels[:1000])
        for n in (2, 3)
        for s in itertools.combinations(range(6), n)
    )
    assert front.fronts_by_kind[CandidateKind.ENSEMBLE][-1].select_accuracy == best


def test_front_of_thirteen_resnets_is_recomputable(resnets: dict[str, np.ndarray]) -> None:
    pool = pool_of(resnets["probs"], resnets["labels"], [float(9 + k % 5) for k in range(13)], 5000, 20_000)
    # weak members (33 % right) and strong ones (86 %): what is on the front is still as plain numpy says
    front = search(pool, pool.axis, Space(max_members=3, first_members=2))
    assert {CandidateKind.SINGLE, CandidateKind.CASCADE} <= {point.kind for point in front.points}
    check_reported(pool, front)


def test_a_majority_of_weak_members_is_not_recommended() -> None:
    # Condorcet 1785: members right less than half of the time are wrong together more often than alone
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 12_000)
    right = rng.random((9, 12_000)) < 0.44
    tops = np.where(right, labels, 1 - labels)
    probs = np.where(np.arange(2) == tops[..., None], 0.8, 0.2)
    pool = pool_of(probs, labels, [1.0] * 9, 4000, 8000)
    front = search(pool, pool.axis, Space(max_members=5, averaging=Averaging.VOTE, cascades=False))
    advice = advise(pool, front, Budget(CostAxis.parse("macs"), 100.0))
    assert advice.answer is not None
    assert advice.answer.kind is CandidateKind.SINGLE
    votes = combine(pool.report[:5], Averaging.VOTE)[0]
    assert np.mean(votes == pool.report_labels) < advice.answer.accuracy.low

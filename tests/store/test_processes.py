"""The store under real processes: killed in the middle, side by side, forked.

The processes are forked, so that they start at once instead of each importing everything first.
"""

import collections
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from explorer.convention import Basis
from explorer.record import CostFigure, CostRecord, MemberRecord, TrainingRecord
from explorer.spec import Member
from explorer.store import Store

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
FORK = multiprocessing.get_context("fork") if hasattr(os, "fork") else None
LABELS = np.arange(13) % 5
TRAINING = TrainingRecord(
    recipe_id="quick",
    recipe={},
    epochs=1,
    examples_seen=1,
    wall_s=1.0,
    device="cpu",
    macs=1,
    curve=(),
    versions={},
)


def probabilities(seed, split):
    return np.random.default_rng([seed, ord(split[0])]).dirichlet(np.ones(5), 13)


def write_members(root, seeds, acknowledge=None):
    """Commit a member and a cost for every seed, and write the seed to the file ``acknowledge`` after it."""
    with Store.open(root) as store:
        for seed in seeds:
            record = MemberRecord(
                member=Member("net", 8, seed, "quick"),
                dataset="made-up",
                split_digest="a" * 64,
                channels=1,
                classes=5,
                training=TRAINING,
                weights_digest="",
            )
            store.commit_member(
                record,
                b"weights %d" % seed,
                {split: probabilities(seed, split) for split in ("select", "report")},
                labels={"select": LABELS, "report": LABELS},
                class_names="abcde",
            )
            store.put_cost(
                CostRecord(
                    model=record.member.model,
                    channels=1,
                    classes=5,
                    kind="macs",
                    device=None,
                    figure=CostFigure(value=seed, low=seed, high=seed, basis=Basis.COUNTED),
                    convention="macs-v1",
                    source="x",
                )
            )
            if acknowledge is not None:
                os.write(acknowledge, b"%d\n" % seed)


def started(root, seeds, acknowledge=None):
    process = FORK.Process(target=write_members, args=(root, seeds, acknowledge))
    process.start()
    return process


def join_all(processes):
    for process in processes:
        process.join(120)
        assert process.exitcode == 0


def require_whole(store, seeds):
    """Every member of ``seeds`` is there with both predictions, as written; nothing is half there."""
    members = {record.member.seed: record for record in store.members("made-up")}
    assert seeds <= set(members)
    for split in ("select", "report"):
        found = {record.member.seed: record for record in store.predictions("made-up", split)}
        assert set(found) == set(members)
        for seed in members:
            wanted = probabilities(seed, split).astype(np.float16)
            np.testing.assert_array_equal(store.probabilities(found[seed]), wanted)
    for seed, record in members.items():
        assert store.weights(record.weights_digest) == b"weights %d" % seed


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path):
    rng = np.random.default_rng(11)
    acknowledged: set[int] = set()
    for start in range(0, 50_000, 10_000):
        inlet, outlet = os.pipe()
        process = started(tmp_path, range(start, start + 10_000), outlet)
        os.close(outlet)
        with os.fdopen(inlet) as lines:
            assert int(lines.readline()) == start  # it is in its loop
            time.sleep(float(rng.uniform(0.1, 0.5)))
            os.kill(process.pid, signal.SIGKILL)
            acknowledged |= {start, *(int(line) for line in lines)}
        process.join()
        assert process.exitcode == -signal.SIGKILL

        with Store.open(tmp_path) as store:
            require_whole(store, acknowledged)
            assert store.check().problems == ()
            assert len(store.costs()) == 1
    assert len(acknowledged) > 10  # the loop ran: otherwise nothing was tried


@pytest.mark.parametrize("delay_s", [0.0, 0.01, 0.02, 0.03, 0.05, 0.08])
def test_a_new_store_killed_while_it_is_made_can_be_made_again(tmp_path, delay_s):
    process = started(tmp_path, range(1))
    time.sleep(delay_s)
    process.kill()
    process.join()

    with Store.open(tmp_path) as store:
        require_whole(store, set())
        assert store.check().problems == ()


def test_eight_writers_on_a_store_that_is_not_there_yet(tmp_path):
    count = 7
    join_all([started(tmp_path, range(count * k, count * (k + 1))) for k in range(8)])

    with Store.open(tmp_path) as store:
        require_whole(store, set(range(8 * count)))
        info = store.info()
        assert info.counts["members"] == 8 * count
        assert info.counts["labels"] == 2
        assert info.counts["models"] == 1
        assert info.counts["costs"] == 1  # the model's one figure, superseded by every other writer
        assert info.superseded == 8 * count - 1
        assert info.orphans == 0
        assert store.check().problems == ()
        with store._engine.connect() as connection:
            ids = connection.exec_driver_sql("SELECT id FROM costs ORDER BY id").scalars().all()
            targets = connection.exec_driver_sql("SELECT superseded_by FROM costs").scalars().all()
    assert ids == list(range(1, 8 * count + 1))
    assert all(times == 1 for times in collections.Counter(targets).values())  # one chain, no fork


def test_eight_writers_of_the_same_members_keep_each_once(tmp_path):
    join_all([started(tmp_path, range(5)) for _ in range(8)])

    with Store.open(tmp_path) as store:
        require_whole(store, set(range(5)))
        with store._engine.connect() as connection:
            for table, rows in (("members", 5), ("predictions", 10), ("labels", 2)):
                assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == rows
        assert store.info().files == 5 + 10 + 1
        assert store.check().problems == ()


def _write_in_child(store, seed):
    store.put_predictions(
        Member("net", 8, seed, "quick"), "made-up", "select", "a" * 64, np.full((3, 5), 0.2)
    )


def test_a_store_that_was_used_before_a_fork_works_in_parent_and_children(store):
    store.put_weights(b"x")
    assert store.members() == ()
    children = [FORK.Process(target=_write_in_child, args=(store, seed)) for seed in range(1, 5)]
    for child in children:
        child.start()
    _write_in_child(store, 0)
    for child in children:
        child.join(60)
        assert child.exitcode == 0

    assert [record.member.seed for record in store.predictions("made-up", "select")] == [0, 1, 2, 3, 4]
    assert store.check().problems == ()

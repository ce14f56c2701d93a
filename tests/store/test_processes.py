"""The store under real processes: killed in the middle, side by side, forked."""

import collections
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from explorer.spec import Member
from explorer.store import Store

WRITER = """
import sys, dataclasses
import numpy as np
from explorer.record import *
from explorer.spec import Member
from explorer.convention import Basis
from explorer.store import Store

root, first, last, acknowledge = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
training = TrainingRecord(recipe_id="quick", recipe={}, epochs=1, examples_seen=1, wall_s=1.0,
                          device="cpu", macs=1, curve=(), versions={})
labels = np.arange(13) % 5

def probabilities(seed):
    return np.random.default_rng(seed).dirichlet(np.ones(5), 13)

with Store.open(root) as store:
    for seed in range(first, last):
        record = MemberRecord(member=Member("net", 8, seed, "quick"), dataset="made-up",
                              split_digest="a" * 64, channels=1, classes=5, training=training, weights_digest="")
        store.commit_member(record, b"weights %d" % seed,
                            {"select": probabilities(seed), "report": probabilities(-seed - 1 + 2**31)},
                            labels={"select": labels, "report": labels}, class_names=list("abcde"))
        figure = CostFigure(value=seed, low=seed, high=seed, basis=Basis.COUNTED)
        store.put_cost(CostRecord(model=record.member.model, channels=1, classes=5, kind="macs", device=None,
                                  figure=figure, convention="macs-v1", source="x"))
        if acknowledge == "yes":
            print(seed, flush=True)
"""


def writer(root, first, last, acknowledge="no"):
    arguments = [sys.executable, "-c", WRITER, str(root), str(first), str(last), acknowledge]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def require_whole(store, seeds):
    """Every member of ``seeds`` is there with both predictions, as written; nothing is half there."""
    members = {record.member.seed: record for record in store.members("made-up")}
    assert seeds <= set(members)
    for split, offset in (("select", 0), ("report", None)):
        found = {record.member.seed: record for record in store.predictions("made-up", split)}
        assert set(found) == set(members)
        for seed in members:
            wanted = np.random.default_rng(seed if offset == 0 else -seed - 1 + 2**31).dirichlet(
                np.ones(5), 13
            )
            np.testing.assert_array_equal(store.probabilities(found[seed]), wanted.astype(np.float16))
    for seed, record in members.items():
        assert store.weights(record.weights_digest) == b"weights %d" % seed


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path):
    rng = np.random.default_rng(11)
    acknowledged: set[int] = set()
    for start in range(0, 50_000, 10_000):
        process = writer(tmp_path, start, start + 10_000, "yes")
        assert process.stdout.readline().strip() == str(start)  # it is in its loop
        time.sleep(float(rng.uniform(0.1, 0.6)))
        process.send_signal(signal.SIGKILL)
        lines = process.stdout.read().split()
        process.communicate()
        acknowledged |= {start, *(int(line) for line in lines)}

        with Store.open(tmp_path) as store:
            require_whole(store, acknowledged)
            assert store.check().problems == ()
            assert len(store.costs()) == 1
    assert len(acknowledged) > 5  # the loop ran: otherwise nothing was tried


def test_a_new_store_killed_while_it_is_made_can_be_made_again(tmp_path):
    for delay in (0.2, 0.3, 0.4, 0.5, 0.6):
        root = tmp_path / str(delay)
        process = writer(root, 0, 1)
        time.sleep(delay)
        process.kill()
        process.communicate()
        with Store.open(root) as store:
            assert store.check().problems == ()


def test_eight_writers_on_a_store_that_is_not_there_yet(tmp_path):
    count = 7
    processes = [writer(tmp_path, count * k, count * (k + 1)) for k in range(8)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")

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
    processes = [writer(tmp_path, 0, 3) for _ in range(8)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")

    with Store.open(tmp_path) as store:
        require_whole(store, set(range(3)))
        with store._engine.connect() as connection:
            for table, rows in (("members", 3), ("predictions", 6), ("labels", 2)):
                assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == rows
        assert store.info().files == 3 + 6 + 1
        assert store.check().problems == ()


def _write_in_child(store, seed):
    store.put_predictions(
        Member("net", 8, seed, "quick"), "made-up", "select", "a" * 64, np.full((3, 5), 0.2)
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_store_that_was_used_before_a_fork_works_in_parent_and_children(store):
    store.put_weights(b"x")
    assert store.members() == ()
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_write_in_child, args=(store, seed)) for seed in range(1, 5)]
    for child in children:
        child.start()
    _write_in_child(store, 0)
    for child in children:
        child.join(60)
        assert child.exitcode == 0

    assert [record.member.seed for record in store.predictions("made-up", "select")] == [0, 1, 2, 3, 4]
    assert store.check().problems == ()

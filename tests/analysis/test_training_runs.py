"""Trainings read from a small ledger: ranges over seeds, teachers, snapshots of one run."""

import numpy as np
import pytest

from explorer.analysis.training_runs import read_trainings, stored_name, wall_seconds
from explorer.record import MemberRecord, TrainingRecord
from explorer.spec import Member
from explorer.store import Store
from tests.strategies import simulated_pool

CHANCE = np.full((4, 2), 0.5)


def commit(store, name, seed, recipe, wall_s, *, teacher="", device="cpu", **settings):
    member = Member(name, 8, seed, recipe)
    training = TrainingRecord(
        recipe_id=recipe,
        recipe={"epochs": 3, "name": recipe, **settings},
        epochs=3,
        examples_seen=12,
        wall_s=wall_s,
        device=device,
        macs=5,
        curve=(),
        versions={},
        teacher=teacher,
    )
    record = MemberRecord(
        member=member,
        dataset="toy",
        split_digest="a" * 64,
        channels=1,
        classes=2,
        training=training,
        weights_digest="",
    )
    labels = {"select": np.arange(4) % 2, "report": np.arange(4) % 2}
    store.commit_member(
        record, str(member).encode(), dict.fromkeys(labels, CHANCE), labels=labels, class_names=["a", "b"]
    )
    return member


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "store") as opened:
        yield opened


def test_range_is_over_seeds_of_one_network_recipe_and_kind_of_device(store):
    first = commit(store, "net", 0, "quick-1", 7.0)
    second = commit(store, "net", 1, "quick-1", 11.0)
    other_device = commit(store, "net", 2, "quick-1", 2.0, device="cuda:1")
    other_recipe = commit(store, "net", 0, "quick-2", 3.0)
    found = read_trainings(store, "toy")
    assert set(found) == {first, second, other_device, other_recipe}
    for member, value in ((first, 7.0), (second, 11.0)):
        seconds = found[member].seconds
        assert (seconds.low, seconds.value, seconds.high) == (7.0, value, 11.0)
        assert found[member].alike == 2
    assert (found[other_device].seconds.high, found[other_device].device) == (2.0, "cuda")
    assert found[other_recipe].alike == 1
    assert read_trainings(store, "another") == {}


def test_students_name_their_teachers_and_the_recipe_they_derive_from(store):
    teachers = [commit(store, "net", seed, "quick-1", 7.0) for seed in (0, 1)]
    text = f"mean({teachers[0]}, {teachers[1]})"
    student = commit(store, "net", 0, "distilled-9", 5.0, teacher=text, base="quick-1")
    found = read_trainings(store, "toy")
    assert found[student].teachers == tuple(teachers)
    assert (found[student].base_recipe, found[teachers[0]].base_recipe) == ("quick-1", "quick-1")
    assert found[teachers[0]].teachers == ()


def test_snapshots_go_on_from_those_before_them_of_their_own_run(store):
    def cycle(number, seed, **changes):
        settings = {"base": "quick-1", "cycles": 3, "snapshot": number, **changes}
        name = f"snapshot{number}of3-{number}{settings.get('epochs', '')}"
        return commit(store, "net", seed, name, 5.0, **settings)

    one, two, three = (cycle(number, 0) for number in (1, 2, 3))
    late = cycle(3, 1)
    cycle(1, 1, epochs=60)
    cycle(2, 0, epochs=60)
    found = read_trainings(store, "toy")
    assert found[one].goes_on_from == ()
    assert found[two].goes_on_from == (one,)
    assert (found[three].goes_on_from, found[three].missing_cycles) == ((one, two), ())
    assert (found[late].goes_on_from, found[late].missing_cycles) == ((), (1, 2)), "of another run or seed"


def test_members_of_a_pool_are_found_by_the_recipe_that_goes_without_saying(store):
    pool = simulated_pool(models=1, seeds=3, select=5, report=5)
    assert stored_name(pool, pool.members[0]) == Member("net0", 8, 0, "quick-00000000")
    named = Member("net0", 8, 0, "other-1")
    assert stored_name(pool, named) == named
    commit(store, "net0", 0, "quick-00000000", 7.0)
    commit(store, "net0", 1, "quick-00000000", 0.0)
    commit(store, "net0", 2, "other-1", 3.0)
    assert wall_seconds(pool, read_trainings(store, "toy")) == {Member("net0", 8, 0): 7.0}

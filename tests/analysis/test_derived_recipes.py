"""Students and snapshots stand on the front of the recipe they derive from, under names that tell them."""

import pytest
from toy_store import MACS, add_cost, add_member

from explorer.analysis.advice.advise import advise
from explorer.analysis.loading import base_recipes
from explorer.analysis.pool import load_pool
from explorer.analysis.scoring.score import evaluate
from explorer.analysis.search.exact import search
from explorer.errors import UsageError
from explorer.question import Budget
from explorer.spec import CandidateKind, Ensemble, Member, Single, ensemble, parse_design
from explorer.store import Store

BASE, STUDENT, SNAPSHOT = "quick-11111111", "distilled-22222222", "snapshot1of2-33333333"


@pytest.fixture
def store(tmp_path) -> Store:
    with Store.open(tmp_path / "store") as opened:
        for seed in (0, 1):
            add_member(opened, "wrn10-1", seed)
        add_member(opened, "wrn10-1", 0, recipe=STUDENT, base=BASE)
        add_member(opened, "wrn10-1", 0, recipe=SNAPSHOT, base=BASE)
        add_member(opened, "wrn10-1", 0, recipe="long-44444444")
        add_cost(opened, "wrn10-1", 13.0)
        yield opened


def test_derived_recipes_join_their_base_and_others_stay_out(store: Store) -> None:
    pool, notes = load_pool(store, "toy", MACS)
    assert pool.summary.recipe_id == BASE
    assert pool.summary.members == (
        "wrn10-1@8#0",
        f"wrn10-1@8~{STUDENT}#0",
        f"wrn10-1@8~{SNAPSHOT}#0",
        "wrn10-1@8#1",
    )
    assert "left out: members of other recipes: 1 of long-44444444" in notes
    assert f"with members of recipes that derive from {BASE}: 1 of {STUDENT}, 1 of {SNAPSHOT}" in notes
    assert base_recipes(store, "toy")[SNAPSHOT] == BASE


def test_each_member_brings_its_own_predictions(store: Store) -> None:
    pool, _ = load_pool(store, "toy", MACS)
    by_digest = {str(r.member): store.probabilities(r) for r in store.predictions("toy", "report")}
    for row, member in enumerate(pool.members):
        full = str(member) if member.recipe else str(member).replace("#", f"~{BASE}#")
        assert (pool.report[row] == by_digest[full]).all()


def test_a_derived_recipe_can_be_asked_for_alone(store: Store) -> None:
    pool, _ = load_pool(store, "toy", MACS, recipe="snapshot1of2")
    assert pool.summary.members == ("wrn10-1@8#0",)
    # a student keeps its recipe: it is what makes it one
    pool, _ = load_pool(store, "toy", MACS, recipe="distilled")
    assert pool.summary.members == (f"wrn10-1@8~{STUDENT}#0",)
    assert search(pool, MACS).points[0].kind is CandidateKind.DISTILLED
    with pytest.raises(UsageError, match="unknown recipe 'student'"):
        load_pool(store, "toy", MACS, recipe="student")


def test_search_and_advice_tell_students_from_singles(store: Store) -> None:
    pool, notes = load_pool(store, "toy", MACS)
    front = search(pool, MACS, notes=notes)
    assert front.searched[CandidateKind.SINGLE] == 3
    assert front.searched[CandidateKind.DISTILLED] == 1
    (student,) = front.fronts_by_kind[CandidateKind.DISTILLED]
    assert str(student.design) == f"wrn10-1@8~{STUDENT}#0"
    assert student.cost.basis is pool.basis  # one network: counted as it is, nothing is composed
    answer = advise(pool, front, Budget(MACS, 13.0))
    assert {CandidateKind.SINGLE, CandidateKind.DISTILLED} <= answer.best_of_kind.keys()
    assert all(point.design.kind is kind for kind, point in answer.best_of_kind.items())
    # curves are of one recipe
    (curve,) = front.curves
    assert curve.sizes == (1, 2)


def test_full_names_and_short_names_are_one_member(store: Store) -> None:
    pool, _ = load_pool(store, "toy", MACS)
    short = parse_design(f"mean(wrn10-1@8#0, wrn10-1@8~{STUDENT}#0)")
    full = parse_design(f"mean(wrn10-1@8~{BASE}#0, wrn10-1@8~{STUDENT}#0)")
    assert isinstance(short, Ensemble)
    assert evaluate(pool, short, MACS).accuracy == evaluate(pool, full, MACS).accuracy
    with pytest.raises(UsageError, match="unknown member"):
        evaluate(pool, Single(Member("wrn10-1", 8, 0, "long-44444444")), MACS)


def test_a_name_without_recipe_means_the_plain_one(store: Store) -> None:
    # quick and long are both plain, and quick has more members: it is what a front takes
    assert store.find_member("toy", Member("wrn10-1", 8, 0)).member.recipe == BASE
    add_member(store, "wrn10-2", 5)
    add_member(store, "wrn10-2", 5, recipe=STUDENT, base=BASE)
    found = store.find_member("toy", Member("wrn10-2", 8, 5))
    assert found is not None
    assert found.member.recipe == BASE


def test_only_one_distilled_network_is_of_that_kind() -> None:
    student, plain = Member("a", 8, 0, STUDENT), Member("a", 8, 0)
    assert Single(student).kind is CandidateKind.DISTILLED
    assert Single(plain).kind is CandidateKind.SINGLE
    assert Single(Member("a", 8, 0, "distilledish-1")).kind is CandidateKind.SINGLE
    assert ensemble([student, plain]).kind is CandidateKind.ENSEMBLE

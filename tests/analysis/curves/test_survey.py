"""The assembled survey: every section against what its part says of plainly recomputed figures."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from explorer.analysis.curves.member_law import Loss
from explorer.analysis.curves.overtaking import Crossing
from explorer.analysis.curves.power_law import CurveOf, FitPoints, choose_power_law
from explorer.analysis.curves.scale_survey import Missing, Seeds, SurveyedLaw, largest_ensemble
from explorer.analysis.curves.screening import Worth
from explorer.analysis.curves.survey import CurvesQuestion, DesignEquivalent, Survey, survey
from explorer.analysis.pool import Pool, load_pool
from explorer.analysis.statistics.seeds import grouped
from explorer.convention import CostAxis
from explorer.errors import UsageError
from explorer.store import Store
from tests.analyses.conftest import BASE, make_study

MACS, PARAMETERS = CostAxis.parse("macs"), CostAxis.parse("parameters")
QUESTION = CurvesQuestion(at=(3e6, 4e8), members=(3, 20), asked=0.002, budgets=(2e5,))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(tmp_path_factory.mktemp("study") / "store", select=150, report=300)


def pool_of(folder: Path, axis: CostAxis = MACS, **options: bool) -> Pool:
    with Store.open(folder, create=False) as store:
        return load_pool(store, "fashion-mnist", axis, **options)[0]


def surveyed(pool: Pool, folder: Path, question: CurvesQuestion = QUESTION) -> Survey:
    sizes = {scale.key: scale.cost for scale in grouped(pool_of(folder, PARAMETERS))}
    return survey(pool, sizes, question, lambda share, text: None)


@pytest.fixture(scope="module")
def pool(folder: Path) -> Pool:
    return pool_of(folder)


@pytest.fixture(scope="module")
def found(pool: Pool, folder: Path) -> Survey:
    return surveyed(pool, folder)


def plain_error(pool: Pool, rows: tuple[int, ...], size: int) -> float:
    wrong = []
    for chosen in itertools.combinations(rows, size):
        mean = np.mean([np.asarray(pool.report[row], dtype=np.float64) for row in chosen], axis=0)
        wrong.append((mean.argmax(axis=1) != pool.report_labels).mean())
    return float(np.mean(wrong))


def plain_brier(pool: Pool, rows: tuple[int, ...], size: int) -> float:
    losses = []
    truth = np.eye(10)[pool.report_labels]
    for chosen in itertools.combinations(rows, size):
        mean = np.mean([np.asarray(pool.report[row], dtype=np.float64) for row in chosen], axis=0)
        losses.append(((mean - truth) ** 2).sum(axis=1).mean())
    return float(np.mean(losses))


def test_families_and_scales_are_the_plain_ones(found: Survey) -> None:
    assert [one.family for one in found.families] == ["mobile", "wrn"]
    assert [str(one.scale.model) for one in found.families[1].scales] == [
        "wrn10-0.25@28",
        "wrn10-0.5@28",
        "wrn10-1@28",
        "wrn10-2@28",
    ]


def test_the_cost_law_is_fitted_to_the_mean_error_of_one_seed(found: Survey, pool: Pool) -> None:
    law = found.families[1].cost_law
    assert not isinstance(law, Missing)
    errors = [plain_error(pool, scale.rows, 1) for scale in law.scales]
    assert [one.value for one in law.errors] == pytest.approx(errors)
    of = CurveOf(recipe=BASE, dataset="fashion-mnist", figure="top-1 error", quantity="macs")
    points = FitPoints(
        of=of,
        x=tuple(scale.cost for scale in law.scales),
        y=tuple(errors),
        draws=np.stack([one.draws for one in law.errors], axis=1),
    )
    assert law.chosen.law.exponent == pytest.approx(choose_power_law(points).law.exponent, rel=1e-6)
    inside, outside = law.predictions
    assert (inside.x, inside.extrapolated) == (3e6, False)
    assert (outside.x, outside.extrapolated) == (4e8, True)
    assert outside.factor == pytest.approx(4e8 / 64e6)


def test_errors_by_members_are_means_over_all_sets(found: Survey, pool: Pool) -> None:
    scale = found.families[0].scales[1]
    law = scale.laws[Loss.ERROR]
    assert isinstance(law, SurveyedLaw)
    plain = {size: plain_error(pool, scale.scale.rows, size) for size in (1, 2, 3, 4)}
    assert {size: one.value for size, one in law.measured.items()} == pytest.approx(plain)
    assert [(n, one.extrapolated) for n, one in law.predictions.items()] == [(3, False), (20, True)]
    assert law.predictions[20].factor == 5


def test_brier_of_every_size_follows_exactly_and_is_not_called_extrapolated(
    found: Survey, pool: Pool
) -> None:
    for family in found.families:
        for scale in family.scales:
            law = scale.laws[Loss.SQUARED]
            assert isinstance(law, SurveyedLaw)
            assert law.law.law.exponent == 1
            assert law.predictions[3].value == pytest.approx(plain_brier(pool, scale.scale.rows, 3), rel=1e-5)
            assert not law.predictions[3].extrapolated
            assert law.predictions[20].extrapolated


def test_another_seed_follows_the_gain_that_is_asked(found: Survey, pool: Pool, folder: Path) -> None:
    scale = found.families[1].scales[0]
    assert isinstance(scale.seeds, Seeds)
    single, pair, three = (plain_error(pool, scale.scale.rows, size) for size in (1, 2, 3))
    assert scale.seeds.third.third.value == pytest.approx((single - pair) / 3)
    assert scale.seeds.third_measured is not None
    assert scale.seeds.third_measured.value == pytest.approx(pair - three)
    hopeless = (
        surveyed(pool, folder, replace(QUESTION, asked=0.5, families=("wrn",))).families[0].scales[0].seeds
    )
    assert isinstance(hopeless, Seeds)
    assert hopeless.third.verdict is Worth.NO
    assert not isinstance(hopeless.another, Missing)
    assert (hopeless.another.members, hopeless.another.verdict) == (5, Worth.NO)


def test_designs_inside_one_network_are_set_against_their_own_base(found: Survey) -> None:
    mobile, wrn = (one.equivalents for one in found.families)
    assert isinstance(mobile, Missing)
    assert not isinstance(wrn, Missing)
    base = found.families[1].scales[1]
    for one in wrn:
        assert isinstance(one, DesignEquivalent)
        assert one.base_cost == base.scale.cost
        assert one.equivalent.most == 4
        assert one.equivalent.worse_than_one == (one.loss.value > base.calibrated[1].value)


def test_a_budget_is_split_into_no_more_than_were_trained(found: Survey) -> None:
    splits = found.families[1].splits
    assert not isinstance(splits, Missing)
    (split,) = splits
    assert (split.budget, split.quantity) == (2e5, "parameters")
    assert [one.members for one in split.splits] == [1, 2, 3, 4]
    losses = [one.loss.value for one in split.splits]
    assert split.best == 1 + int(np.argmin(losses))


def test_the_crossover_is_within_what_both_cover(found: Survey) -> None:
    crossing = found.families[1].crossing
    assert isinstance(crossing, Crossing)
    assert (crossing.start, crossing.end) == (2e6, 64e6)


def test_what_does_not_apply_says_why(folder: Path, tmp_path: Path) -> None:
    only = CurvesQuestion(families=("wrn",))
    mixed = surveyed(pool_of(folder, mix_recipes=True), folder, only).families[0]
    for section in (mixed.cost_law, mixed.crossing, mixed.splits, mixed.equivalents):
        assert isinstance(section, Missing)
        assert "valid inside one" in section.reason
    one_seed = make_study(tmp_path / "store", seeds=1, select=60, report=70, extras=False)
    alone = surveyed(pool_of(one_seed), one_seed, CurvesQuestion()).families[0]
    assert not isinstance(alone.cost_law, Missing)
    assert [one.x for one in alone.cost_law.predictions] == [2 * alone.scales[-1].scale.cost]
    for part in (alone.crossing, alone.splits, alone.scales[0].seeds, alone.scales[0].laws[Loss.NLL]):
        assert isinstance(part, Missing)
    why = Missing(reason="no member was counted")
    unknown = survey(pool_of(one_seed), why, CurvesQuestion(), lambda share, text: None).families[0]
    assert unknown.splits == why


def test_an_unknown_family_names_those_there_are(pool: Pool, folder: Path) -> None:
    with pytest.raises(UsageError, match="did you mean wrn"):
        surveyed(pool, folder, CurvesQuestion(families=("wnr",)))


@pytest.mark.parametrize(("seeds", "largest"), [(1, 1), (2, 2), (5, 5), (12, 5), (20, 3), (100, 2)])
def test_of_many_seeds_only_small_ensembles_are_looked_at(seeds: int, largest: int) -> None:
    assert largest_ensemble(seeds) == largest

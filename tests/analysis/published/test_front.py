"""The front over published models against plain definitions, on a small folder and on the real one."""

import itertools

import pytest

from explorer.analysis.bootstrap import wilson
from explorer.analysis.curves.published_gain import predict_ensemble_accuracy
from explorer.analysis.published.ensembles import DATA, PredictedEnsemble
from explorer.analysis.published.front import PublishedFront, PublishedQuestion, published_front
from explorer.analysis.published.joining import JoinedBy, NotJoined
from explorer.convention import Basis
from explorer.errors import UsageError
from explorer.run.importing_timm import read_timm, store_timm
from explorer.store import Store
from tests.timm_folder import COMPILED, CPU, EAGER, write_timm


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    with Store.open(folder / "store") as opened:
        store_timm(opened, read_timm(write_timm(folder / "timm")))
        yield opened


@pytest.fixture(scope="module")
def real_store(tmp_path_factory, shared_dir):
    folder = shared_dir / "data" / "timm"
    if not folder.is_dir():
        pytest.skip(f"no published tables: {folder} is not there")
    with Store.open(tmp_path_factory.mktemp("real") / "store") as opened:
        store_timm(opened, read_timm(folder))
        yield opened


def ask(store: Store, *costs: str, **more) -> PublishedFront:
    return published_front(store, PublishedQuestion(dataset="imagenet", costs=costs, **more))


def names(front: PublishedFront) -> list[str]:
    return [f"{point.row.model}@{point.row.resolution}" for point in front.points]


def beaten(one, others) -> bool:
    """The definition: another is no worse in everything and better in something."""
    mine = [*(cost.value for cost in one.costs), -one.accuracy.value]
    for other in others:
        its = [*(cost.value for cost in other.costs), -other.accuracy.value]
        if all(a <= b for a, b in zip(its, mine, strict=True)) and its != mine:
            return True
    return False


def test_the_front_and_its_figures(store) -> None:
    front = ask(store, "latency@rtx4090")

    assert names(front) == ["elm_tiny.in1k@160", "larch50.ig1b_ft_in1k@224", "oak_big.in22k_ft_in1k@224"]
    assert [point.costs[0].value for point in front.points] == pytest.approx([16e-6, 250e-6, 10e-3])
    assert {point.costs[0].basis for point in front.points} == {Basis.PUBLISHED}
    first = front.points[0]
    assert (first.accuracy.value, first.accuracy.n) == (0.6001, 50_000)
    assert (first.accuracy.low, first.accuracy.high) == wilson(30_005, 50_000)
    assert (front.scored, len(front.models)) == (9, 6)
    (found,) = front.joins
    assert found.joined == {JoinedBy.NAME: 0, JoinedBy.ARCHITECTURE: 6}
    assert set(found.left_out) == {NotJoined.SIZE, NotJoined.PARAMETERS, NotJoined.ARCHITECTURE}


def test_a_device_means_its_plainest_table_and_what_else_there_is_is_said(store) -> None:
    front = ask(store, "latency@rtx4090")
    (cost,) = front.costs
    assert (cost.table.name, str(cost.axis), cost.batch) == (EAGER, "latency@rtx4090/amp", None)
    assert "also here for rtx4090: rtx4090/amp/compiled" in front.notes
    assert any("calls of the largest batch that fits, 64 to 1,024 examples" in note for note in front.notes)

    (compiled,) = ask(store, "latency@rtx4090/compiled").costs
    assert (compiled.table.name, str(compiled.axis)) == (COMPILED, "latency@rtx4090/amp/compiled")
    (cpu,) = ask(store, "latency@i9-10940x").costs
    assert cpu.table.name == CPU


def test_a_batch_that_is_named_takes_calls_of_that_size_alone(store) -> None:
    front = ask(store, "latency@rtx4090/b64")
    assert names(front) == ["oak_big.in22k_ft_in1k@224"]
    assert front.points[0].costs[0].value == pytest.approx(0.640)
    assert len(front.joins[0].left_out[NotJoined.BATCH]) == 5
    per_example = ask(store, "time_per_example@rtx4090/b64")
    assert per_example.points[0].costs[0].value == pytest.approx(0.010)


def test_parameters_and_macs_carry_what_their_rounding_leaves_open(store) -> None:
    by_size = ask(store, "parameters")
    assert len(by_size.models) == 9
    cost = next(point for point in by_size.models if point.row.architecture == "larch50").costs[0]
    assert (cost.low, cost.value, cost.high) == pytest.approx((25.555e6, 25.56e6, 25.565e6))
    assert by_size.joins[0].joined == {}

    macs, flops = ask(store, "macs"), ask(store, "flops")
    cost = macs.points[0].costs[0]
    assert (cost.low, cost.value, cost.high) == pytest.approx((35e6, 40e6, 45e6))
    assert flops.points[0].costs[0].value == pytest.approx(80e6)
    assert any("macs by fvcore, norms counted too" in note for note in macs.notes)


def test_money_is_time_by_the_price_of_the_device(store) -> None:
    time, money = ask(store, "latency@rtx4090"), ask(store, "money@rtx4090")
    ratios = {
        paid.costs[0].value / timed.costs[0].value
        for timed, paid in zip(time.models, money.models, strict=True)
    }
    assert max(ratios) == pytest.approx(min(ratios))
    assert any("USD an hour" in note for note in money.notes)


def test_another_test_set_decides_and_the_others_stand_beside(store) -> None:
    front = ask(store, "latency@rtx4090", test_set="imagenet-a")
    assert (front.table.test_set, front.scored) == ("imagenet-a", 5)
    assert names(front) == ["larch50.ig1b_ft_in1k@224", "oak_big.in22k_ft_in1k@224"]
    assert front.points[-1].accuracy.n == 7_500
    assert front.points[-1].others["imagenet"].value == 0.8601
    assert ask(store, "macs", test_set="results-imagenet-a").table is not None
    main = ask(store, "latency@rtx4090")
    assert "imagenet-a" not in main.points[0].others
    assert main.points[-1].others["imagenet-a"].value == pytest.approx(0.26)


@pytest.mark.parametrize(
    "costs",
    [("latency@rtx4090",), ("macs", "parameters"), ("latency@rtx4090/compiled", "macs", "parameters")],
)
def test_the_front_is_what_the_definition_says(real_store, costs) -> None:
    front = ask(real_store, *costs)
    assert len(front.models) > 1_400
    on_front = set(names(front))
    for model in front.models:
        assert beaten(model, front.models) is (f"{model.row.model}@{model.row.resolution}" not in on_front)


def test_over_1400_models_of_a_real_card_join_with_every_further_test_set(real_store) -> None:
    front = ask(real_store, "latency@rtx4090")
    (found,) = front.joins
    assert found.joined[JoinedBy.ARCHITECTURE] == len(front.models) == 1447
    assert {why: len(models) for why, models in found.left_out.items()} == {
        NotJoined.ARCHITECTURE: 95,
        NotJoined.SIZE: 7,
        NotJoined.PARAMETERS: 7,
    }
    for name in ("imagenet-a", "imagenet-r", "imagenet-real", "imagenet-sketch", "imagenet-v2"):
        assert len(ask(real_store, "latency@rtx4090", test_set=name).models) > 1_400
        assert sum(name in model.others for model in front.models) >= len(front.models) - 1


def test_the_arrow_of_resnet50(real_store) -> None:
    """What the table itself has: 76.156 % as torchvision first trained it, 80.846 % as it did later."""
    front = ask(real_store, "latency@rtx4090", only=("resnet50",))
    arrow = next(one for one in front.recipes if one.after.row.resolution == 224 and one.data == ())
    assert arrow.before.costs == arrow.after.costs
    assert (arrow.before.row.tag, arrow.after.row.tag) == ("tv_in1k", "tv2_in1k")
    assert (arrow.before.accuracy.value, arrow.after.accuracy.value) == (0.76156, 0.80846)
    assert {model.row.architecture for model in front.models} == {"resnet50"}


def test_only_and_exclude_take_names_and_patterns(store) -> None:
    assert len(ask(store, "parameters", only=("larch*",)).models) == 5
    assert len(ask(store, "parameters", only=("larch50.a1_in1k",)).models) == 2
    assert len(ask(store, "parameters", only=("timm:larch50.a1_in1k@288",)).models) == 1
    assert len(ask(store, "parameters", exclude=("*.*in22k*", "larch50")).models) == 3


def test_predicted_ensembles_stand_apart_and_follow_the_published_gains(store) -> None:
    plain, front = ask(store, "latency@rtx4090"), ask(store, "latency@rtx4090", members=3)
    assert front.points == plain.points
    found = front.predicted
    assert (plain.predicted, found.predicted) == (None, 2 * len(front.points))
    for one in found.ensembles:
        expected = predict_ensemble_accuracy(one.base.accuracy.value, one.members, outside=True)
        assert one.accuracy.value == expected.accuracy
        assert one.accuracy.low <= expected.low
        assert one.accuracy.high >= expected.high
        assert one.costs[0].value == pytest.approx(one.members * one.base.costs[0].value)
        assert one.costs[0].basis is Basis.COMPOSED
        assert (DATA in one.beyond) is (one.base.row.architecture != "elm_tiny")
        assert one.rival.costs[0].value <= one.costs[0].value
        assert one.better is not True or one.low > 0
    assert not any(beaten(one, found.points) for one in found.points)


def test_no_ensemble_of_a_beaten_model_would_be_on_the_front(real_store) -> None:
    """What spares predicting thousands: every ensemble of every model, by the definition."""
    front = ask(real_store, "latency@rtx4090", members=3, only=("*.*in1k",))
    everything = {(m.costs[0].value, m.accuracy.value) for m in front.models}
    factors = {n: 1 - predict_ensemble_accuracy(0.75, n).accuracy for n in (2, 3)}
    for model, members in itertools.product(front.models, (2, 3)):
        left = (1 - model.accuracy.value) * factors[members] / 0.25
        everything.add((model.costs[0].value * members, 1 - left))
    kept, best = set(), -1.0
    for cost, accuracy in sorted(everything, key=lambda one: (one[0], -one[1])):
        if accuracy > best + 1e-12:
            kept.add((round(cost, 12), round(accuracy, 9)))
            best = accuracy
    assert {
        (round(one.costs[0].value, 12), round(one.accuracy.value, 9)) for one in front.predicted.points
    } == kept
    assert any(isinstance(one, PredictedEnsemble) for one in front.predicted.points)


def test_members_side_by_side_cost_the_time_of_one(store) -> None:
    found = ask(store, "parallel_latency@rtx4090", members=2).predicted
    assert all(one.costs[0].value == one.base.costs[0].value for one in found.ensembles)
    assert len(found.points) == len(found.ensembles) == 3


@pytest.mark.parametrize(
    ("costs", "more", "wanted"),
    [
        (
            ("latency@cpu",),
            {},
            "no published figures of imagenet for 'latency@cpu'; there are: parameters, macs",
        ),
        (("latency@rtx4090/fp32",), {}, "for 'latency@rtx4090/fp32'"),
        (("latency@rtx4090/nhwc",), {}, "for 'latency@rtx4090/nhwc'"),
        (("latency@rtx4090/t2",), {}, "do not say their number of threads"),
        (("energy@rtx4090",), {}, "for 'energy@rtx4090'"),
        (("param_bytes",), {}, "for 'param_bytes'"),
        (("latency@rtx4090/b2",), {}, "none of 9 models of imagenet has latency@rtx4090/b2/amp"),
        (("latency@rtx4090", "latency@rtx4090/amp"), {}, "latency@rtx4090/amp was given twice"),
        (("macs", "flops", "parameters", "latency@rtx4090"), {}, "one to 3 costs, got 4"),
        (("macs",), {"test_set": "imagenet-b"}, "unknown test set 'imagenet-b'; did you mean imagenet-a"),
        (("macs",), {"only": ("larch5",)}, "unknown published model 'larch5'; did you mean larch50"),
        (("macs",), {"only": ("larch50",), "exclude": ("larch*",)}, "leaves none"),
        (("macs",), {"members": 11}, "of 2 to 10 members, got 11"),
        (("macs",), {"members": 2, "test_set": "imagenet-a"}, "cannot be predicted on imagenet-a"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_there_is(store, costs, more, wanted) -> None:
    with pytest.raises(UsageError, match=wanted):
        ask(store, *costs, **more)


def test_a_data_set_without_published_figures_says_how_to_get_them(store) -> None:
    with pytest.raises(UsageError, match=r"no published accuracies of 'digits' .*imagenet.*import timm DIR"):
        published_front(store, PublishedQuestion(dataset="digits", costs=("macs",)))

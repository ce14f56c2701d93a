"""Groups of published models: catalogue and timm side by side, against plain definitions."""

import pytest

from explorer.analysis.curves.published_gain import predict_ensemble_accuracy
from explorer.analysis.published.ensembles import UNKNOWN, PredictedEnsemble
from explorer.analysis.published.front import PublishedFront, PublishedQuestion, published_front
from explorer.analysis.published.groups import (
    NETWORKS,
    SUBNETWORKS,
    TIMM_ALONE,
    TIMM_MORE,
    Grouping,
    family_of_name,
    kind_of,
)
from explorer.analysis.published.joining import NotJoined
from explorer.convention import Basis
from explorer.errors import UsageError
from explorer.run.importing_catalogue import import_catalogue
from explorer.run.importing_timm import read_timm, store_timm
from explorer.store import Store
from tests.catalogue_families import MLP_MACS, MLP_PARAMETERS, ROWS, SUPERNETS, families, row
from tests.timm_folder import write_timm


def bring(store: Store, rows=ROWS) -> None:
    import_catalogue(store, families(rows), supernets=SUPERNETS, update=lambda share, text: None)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("both")
    with Store.open(folder / "store") as opened:
        store_timm(opened, read_timm(write_timm(folder / "timm")))
        bring(opened, (*ROWS, row("mlp256x2", 0.8201, "timm, results/results-imagenet.csv")))
        yield opened


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    with Store.open(tmp_path_factory.mktemp("alone") / "store") as opened:
        bring(opened)
        yield opened


def ask(store: Store, *costs: str, dataset: str = "imagenet", **more) -> PublishedFront:
    return published_front(store, PublishedQuestion(dataset=dataset, costs=costs or ("macs",), **more))


def named(front: PublishedFront, design: str):
    return next(model for model in front.models if model.design == design)


def test_catalogue_and_timm_stand_on_one_front_each_with_its_own_figures(both) -> None:
    front = ask(both)
    assert front.origins == ("catalogue", "timm")
    mlp = named(front, "mlp64x2@8 (arXiv 1)")
    assert (mlp.costs[0].value, mlp.costs[0].low, mlp.costs[0].high) == (MLP_MACS,) * 3
    assert (mlp.costs[0].basis, mlp.accuracy.n) == (Basis.COUNTED, 50_000)
    assert named(front, "timm:larch50.a1_in1k@224").costs[0].basis is Basis.PUBLISHED
    (found,) = front.joins
    assert found.beside == 6
    assert found.beside + sum(found.joined.values()) == len(front.models)
    assert len(front.models) + sum(map(len, found.left_out.values())) == front.scored == 15
    assert any("macs of the catalogue: counted here" in note for note in front.notes)


def test_designs_are_told_apart_and_a_row_copied_from_timms_table_stands_once(both) -> None:
    front = ask(both, "parameters")
    designs = [model.design for model in front.models]
    assert len(set(designs)) == len(designs) == 15
    assert not any("mlp256x2" in design for design in designs)
    assert named(front, "mlp64x2@8 (else/where)").costs[0].value == MLP_PARAMETERS


def test_times_of_the_catalogue_are_not_known(both) -> None:
    front = ask(both, "latency@rtx4090")
    assert front.origins == ("timm",)
    assert len(front.joins[0].left_out[NotJoined.CATALOGUE]) == 6


def test_the_catalogue_alone_has_its_front(alone) -> None:
    front = ask(alone)
    assert (front.origins, front.table.name) == (("catalogue",), "catalogue")
    assert front.library.axes() == ("parameters", "macs", "flops")
    assert ask(alone, "flops").points[0].costs[0].value == 2 * front.points[0].costs[0].value
    assert not any("fvcore" in note for note in front.notes)
    (cifar,) = ask(alone, dataset="cifar10").points
    assert (cifar.name, cifar.accuracy.n) == ("mlp128x2@8", 10_000)


@pytest.mark.parametrize(
    ("only", "count"),
    [("mlp64x2", 2), ("mlp", 3), ("catalogue:*", 6), ("timm:*", 6), ("elastic_best", 1), ("mlp64x2@8", 2)],
)
def test_only_takes_families_and_where_models_are_from(both, only, count) -> None:
    assert len(ask(both, only=(only,)).models) == count


def test_each_group_has_its_own_front(both) -> None:
    front = ask(both, grouping=Grouping.KIND)
    groups = {group.name: group for group in front.groups}
    assert list(groups) == sorted((NETWORKS, SUBNETWORKS, TIMM_ALONE, TIMM_MORE))
    assert sum(group.models for group in front.groups) == len(front.models)
    assert [point.design for point in groups[SUBNETWORKS].points] == [
        "mlp32x2@8",
        "mlp48x2@8",
        "mlp96x2@8",
    ]
    assert [point.row.tag for point in groups[TIMM_ALONE].points] == ["in1k", "a1_in1k"]
    assert all(group.ensembles == () for group in front.groups)
    by_family = ask(both, grouping=Grouping.FAMILY)
    assert [group.name for group in by_family.groups] == sorted(
        ("elastic_best", "mlp", "mlp32x2", "mlp48x2", "timm:elm", "timm:larch", "timm:oak")
    )


def test_families_of_timm_are_what_their_names_begin_with(both) -> None:
    found = {
        "resnet50": "resnet",
        "tf_efficientnetv2_s": "efficientnetv2",
        "mobilenetv3_large_100": "mobilenetv3",
        "vit_base_patch16_224": "vit",
        "eva02_large_patch14_448": "eva",
    }
    assert {name: family_of_name(name) for name in found} == found


def test_what_reaches_an_accuracy_is_the_cheapest_that_does(both) -> None:
    levels = (0.70, 0.78, 0.81, 0.99)
    front = ask(both, grouping=Grouping.KIND, members=3, reach=levels)
    for level in levels:
        for group in front.groups:
            for points in (group.points, group.ensembles):
                reaching = [p.costs[0].value for p in points if p.accuracy.value >= level]
                found = [
                    one
                    for one in front.reached
                    if (one.level, one.group) == (level, group.name)
                    and isinstance(one.point, PredictedEnsemble) is (points is group.ensembles)
                ]
                assert [one.cost for one in found] == ([min(reaching)] if reaching else [])
                assert all(one.surely is (one.point.accuracy.low >= level) for one in found)
    order = [(one.level, one.cost) for one in front.reached]
    assert order == sorted(order)
    assert {one.surely for one in front.reached} == {True, False}


def test_usual_levels(both, alone) -> None:
    assert sorted({one.level for one in ask(both, grouping=Grouping.KIND).reached}) == [
        0.76,
        0.78,
        0.80,
        0.82,
    ]
    front = ask(both, grouping=Grouping.KIND, test_set="imagenet-a")
    assert all(0 < one.level < 0.26 for one in front.reached)
    assert [one.level for one in ask(alone, dataset="cifar10", grouping=Grouping.KIND).reached] == [0.91]


def test_ensembles_of_a_group_are_of_its_own_models(both) -> None:
    """By the definition: every ensemble of every model of the group, those that none of them beats."""
    front = ask(both, grouping=Grouping.KIND, members=3)
    for group in front.groups:
        assert group.ensembles
        own = {point.design for point in group.points}
        assert {one.base.design for one in group.ensembles} <= own
        everything = [
            (
                n * model.costs[0].value,
                predict_ensemble_accuracy(model.accuracy.value, n, outside=True).accuracy,
            )
            for model in front.models
            if kind_of(model) == group.name
            for n in (2, 3)
        ]
        best = {
            (cost, accuracy)
            for cost, accuracy in everything
            if not any(c <= cost and a >= accuracy and (c, a) != (cost, accuracy) for c, a in everything)
        }
        assert {(one.costs[0].value, one.accuracy.value) for one in group.ensembles} == best
        for one in group.ensembles:
            assert (UNKNOWN in one.beyond) is one.base.of_catalogue
            assert one.rival is None or one.rival.costs[0].value <= one.costs[0].value


def test_groups_take_one_cost(both) -> None:
    with pytest.raises(UsageError, match="over one cost, got 2: macs, parameters"):
        ask(both, "macs", "parameters", grouping=Grouping.KIND)


def test_a_published_count_is_0_to_4_percent_higher_than_ours(shared_dir) -> None:
    """What the note says of timm's figures, on networks that both have."""
    import zoo
    from explorer.data.timm_tables import read_benchmark_table
    from explorer.measure.trace import count_model
    from explorer.run.countable import countable
    from explorer.spec import parse_model

    path = shared_dir / "data" / "timm" / "benchmark-infer-amp-nchw-pt240-cu124-rtx4090.csv"
    if not path.is_file():
        pytest.skip(f"no published tables: {path} is not there")
    theirs = {(row.model, row.resolution): row.gmacs for row in read_benchmark_table(path).rows}
    for own, name in (
        ("dpn-68@224", "dpn68"),
        ("efficientnet-b0@224", "tf_efficientnet_b0"),
        ("regnety-3.2gf@224", "regnety_032"),
        ("resmlp-12@224", "resmlp_12_224"),
    ):
        spec = parse_model(own)
        built = countable(spec, classes=zoo.family_of(spec.name).classes)
        macs = count_model(built.network, built.input_shape(), own=True).macs
        assert -0.005e9 <= theirs[name, spec.resolution] * 1e9 - macs <= 0.04 * macs + 0.005e9

import re
import tomllib
from pathlib import Path

import pytest

import zoo
from tests.zoo.network_checks import counted
from zoo.catalogue import Role, families_of, systems
from zoo.catalogue.cited import (
    SAME_NETWORK,
    Arrow,
    Figures,
    Kind,
    Point,
    arrows,
    cited_counts,
    cited_points,
    every_arrow,
    every_point,
    no_points_because,
    read_cited,
)
from zoo.published import Status
from zoo.registry import ZooError

DATA = Path(zoo.__file__).parent / "catalogue" / "cited_data"
POINT = '[[point]]\nsystem = "taps"\nnetwork = "a net"\nsource = "a table"\ntop1 = 0.5\n'
ARROW = (
    '[[arrow]]\nsystem = "taps"\nkind = "prune"\nnetwork = "a net"\nsource = "a table"\n'
    "before = { macs = 4, top1 = 0.5 }\nafter = { macs = 2, top1 = 0.4 }\n"
)


def refusal(folder: Path, text: str) -> str:
    (folder / "some.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ZooError) as caught:
        read_cited(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("role", [Role.NAS, Role.TRAIN, Role.COMPRESS])
def test_every_search_recipe_and_compression_is_cited_or_says_why_not(role: Role) -> None:
    counts = cited_counts()
    for key, system in systems().items():
        if role in system.roles:
            has = any(counts[key])
            assert has != bool(no_points_because(key)), key


def test_as_many_searches_as_are_listed_have_a_point_or_a_reason() -> None:
    searches = [key for key, system in systems().items() if Role.NAS in system.roles]
    main = [key for key in searches if systems()[key].roles[0] is Role.NAS]
    with_point = [key for key in main if cited_points(key)]
    with_reason = [key for key in main if no_points_because(key)]

    assert len(searches) == 53
    assert len(main) == len(with_point) + len(with_reason) == 45
    assert len(with_point) >= 19
    for key in with_point:
        for point in cited_points(key):
            told = (point.parameters, point.macs, point.top1, point.search_cost)
            assert any(figure is not None for figure in told), point.label


def test_every_figure_has_a_source_without_an_address() -> None:
    for item in (*every_point(), *every_arrow()):
        assert item.source, item.label
        for text in (item.source, item.note):
            assert "://" not in text, item.label
    for item in every_point():
        assert item.parameters is None or 1e5 < item.parameters < 1e9, item.label
        assert item.macs is None or 1e7 < item.macs < 1e11, item.label


def test_points_with_a_model_take_what_its_family_published() -> None:
    (small, large) = cited_points("pc-darts")
    (first, *_others) = cited_points("hardcore-nas")

    assert (small.parameters, small.top1, small.search_cost) == (3_600_000, 0.9743, 0.1)
    assert (large.macs, large.top1, large.search_cost) == (597_000_000, 0.758, 3.8)
    assert small.source.startswith("arXiv 1907.05737, abstract; ")
    assert (first.top1, first.parameters, first.macs) == (0.75926, 5_260_000, 230_000_000)
    assert "results-imagenet.csv; " in first.source
    for point in every_point():
        assert not point.model or zoo.canonical_name(point.model)


def test_what_was_counted_for_a_point_is_what_the_zoo_counts() -> None:
    derived = [p for p in every_point() if p.status is Status.DERIVED]

    assert [p.model for p in derived] == ["darts.dropnas"]
    assert counted("darts.dropnas", 32) == (derived[0].parameters, derived[0].macs)


def test_free_arrows_leave_the_cost_as_it_is() -> None:
    for arrow in every_arrow():
        if arrow.free:
            assert arrow.kind in SAME_NETWORK
            assert arrow.before.macs in (None, arrow.after.macs)
        else:
            assert arrow.kind not in SAME_NETWORK, arrow.label
    (eighteen, *_others) = arrows("meal-v2")
    assert (eighteen.free, eighteen.network) == (True, "ResNet-18")
    assert eighteen.difference == pytest.approx(0.0343)
    (by_gain,) = arrows("dropblock")
    assert (by_gain.difference, by_gain.after.top1, by_gain.before) == (0.016, 0.7813, Figures())
    assert arrows("swav")[0].difference is None
    pruned = arrows("knapsack-pruning")[-1]
    assert (pruned.free, pruned.before.macs, pruned.after.macs) == (False, 8_080_000_000, 3_480_000_000)


def test_the_arrows_known_from_the_abstracts_are_there() -> None:
    found = {(a.system, a.network, a.setting): a for a in every_arrow()}

    assert found["resnet-strikes-back", "ResNet-50", "A1"].after.top1 == 0.80382
    assert found["advprop", "EfficientNet-B7", ""].difference == pytest.approx(0.007, abs=2e-4)
    assert found["pareto-optimal-quantized-resnet", "ResNet-50", "4 bits"].after.top1 == 0.7709
    assert found["growing-efficient-networks", "ResNet-50", ""].macs_ratio == 0.503
    assert found["ssl-structured-sparsity", "ResNet, 20 layers", "to 18 layers"].after.top1 == 0.926
    assert found["sat-smooth-adversarial-training", "ResNet-50, adversarially trained", ""].gain == 0.009
    assert found["rded-dataset-distillation", "ResNet-18", "10 images a class"].after.top1 == 0.42


def test_arrows_of_the_weights_of_timm_cost_the_same_before_and_after() -> None:
    for arrow in arrows("advprop") + arrows("resnet-strikes-back"):
        assert arrow.free
        assert arrow.before.macs == arrow.after.macs is not None
        assert arrow.before.parameters == arrow.after.parameters is not None


def test_unknown_systems_are_refused_with_those_like_them() -> None:
    for function in (cited_points, arrows, no_points_because):
        with pytest.raises(ZooError, match="unknown system 'pc-dart'; did you mean pc-darts"):
            function("pc-dart")
    assert no_points_because("wide-resnet") is None
    assert cited_points("wide-resnet") == arrows("wide-resnet") == ()


def test_a_model_of_which_nothing_is_published_fills_no_point(monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    from zoo.catalogue import cited

    point = Point(system="taps", network="a net", model="mlp8x1", resolution=8)
    written = dataclasses.replace(cited._WRITTEN, points=(point,))
    monkeypatch.setattr(cited, "_WRITTEN", written)
    assert families_of("taps") == ()
    with pytest.raises(ZooError, match="of the model 'mlp8x1' nothing is published at 8"):
        cited_points("taps")


def test_tables_are_read(tmp_path: Path) -> None:
    none = '[[none]]\nsystem = "lit"\nreason = "a survey"\n'
    (tmp_path / "a.toml").write_text(POINT.replace("top1 = 0.5", "error = 0.0257") + none, encoding="utf-8")
    (tmp_path / "b.toml").write_text(ARROW, encoding="utf-8")

    found = read_cited(tmp_path)

    assert found.points == (Point(system="taps", network="a net", source="a table", top1=0.9743),)
    assert found.arrows == (
        Arrow(
            system="taps",
            kind=Kind.PRUNE,
            network="a net",
            source="a table",
            before=Figures(macs=4, top1=0.5),
            after=Figures(macs=2, top1=0.4),
        ),
    )
    assert dict(found.reasons) == {"lit": "a survey"}
    assert not found.arrows[0].free


def changed(text: str, **changes: str | None) -> str:
    """Return a table with fields put in, changed or, with None, taken out."""
    for name, value in changes.items():
        text = re.sub(rf"^{name} = .*\n", "", text, flags=re.MULTILINE)
        text += f"{name} = {value}\n" if value is not None else ""
    return text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (changed(POINT, system='"tapps"'), "unknown system 'tapps'; did you mean taps"),
        (POINT + POINT, "cited point taps, a net: there are two on imagenet at None"),
        (changed(POINT, top1="76.2"), "top1 = 76.2 is no share between 0 and 1"),
        (changed(POINT, top1=None, error="1.2"), "top1 = -0.2 is no share"),
        (changed(POINT, error="0.5"), "has both top1 and error"),
        (changed(POINT, top1=None, error='"low"'), "error = 'low' is of the wrong type"),
        (changed(POINT, macs="0"), "macs = 0 is not above 0"),
        (changed(POINT, top1=None), "has neither a cost nor an accuracy, nor a model of the zoo"),
        (changed(POINT, source=None), "cited point taps, a net has no source"),
        (changed(POINT, network=None), "some.toml: 'taps' lacks network"),
        (changed(POINT, colour='"red"'), "unknown field colour; known: parameters, macs, top1"),
        (changed(POINT, status='"heard"'), "unknown status 'heard'; known: seen, derived"),
        (changed(POINT, resolution="true"), "resolution = True is of the wrong type"),
        (changed(POINT, note="3"), "note = 3 is of the wrong type"),
        (changed(POINT, parameters='"5M"'), "parameters = '5M' is of the wrong type"),
        (changed(POINT, search_cost="-1"), "search_cost = -1 is not above 0"),
        (changed(ARROW, system='"tapps"'), "unknown system 'tapps'"),
        (ARROW + ARROW, "arrow taps, a net: there are two on imagenet at None"),
        (changed(ARROW, kind='"shrink"'), "unknown kind 'shrink'; known: recipe, distil, prune"),
        (changed(ARROW, after=None), "lacks after"),
        (changed(ARROW, after="{ macs = 2 }"), "has neither the accuracy after nor a gain"),
        (changed(ARROW, after="{ top1 = 0.4, colour = 1 }"), "after: 'figures' has the unknown field colour"),
        (changed(ARROW, after="0.4"), "after = 0.4 is no table of figures"),
        (changed(ARROW, before="{ top1 = 1.5 }"), "before: top1 = 1.5 is no share"),
        (changed(ARROW, gain="0.01"), "has both a gain and the accuracy before"),
        (changed(ARROW, before=None, gain="1.6"), "gain = 1.6 is no share"),
        (changed(ARROW, macs_ratio="2.13"), "macs_ratio = 2.13 is not above 0 and at most 1"),
        (POINT + '[[none]]\nsystem = "taps"\nreason = "x"\n', "also has a reason to have neither"),
        (2 * '[[none]]\nsystem = "taps"\nreason = "x"\n', "a second reason for the system 'taps'"),
        ('[[none]]\nsystem = "taps"\nreason = ""\n', "a [[none]] table has a system and a reason"),
        ('[[none]]\nsystem = "tapps"\nreason = "x"\n', "unknown system 'tapps'"),
        ("[paper]\na = 1\n", "holds paper; wanted [[point]], [[arrow]], [[none]] tables"),
        ("[[point]", "some.toml is no TOML"),
    ],
)
def test_damaged_tables_are_refused(tmp_path: Path, text: str, wanted: str) -> None:
    assert wanted in refusal(tmp_path, text)


def test_a_folder_without_figures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="no TOML file of cited figures"):
        read_cited(tmp_path)


def test_the_data_are_the_three_files() -> None:
    tables = {path.name: tomllib.loads(path.read_text(encoding="utf-8")) for path in DATA.glob("*.toml")}

    assert {name: set(table) for name, table in tables.items()} == {
        "nas.toml": {"point", "none"},
        "train.toml": {"arrow", "none"},
        "compress.toml": {"arrow", "none"},
    }

import re

import pytest

import zoo
from zoo.registry import register


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("wrn16-4", "wrn16-4"),
        ("wrn16-4.0", "wrn16-4"),
        ("WRN-16-4", "wrn16-4"),
        ("wrn10-0.50", "wrn10-0.5"),
        ("mlp064x2", "mlp64x2"),
        ("mobile-x0.5", "mobile-x0.5"),
        ("mobile-x2.00", "mobile-x2"),
        ("timm:resnet50", "timm:resnet50"),
        ("WRN-10-1.0+MIMO2", "wrn10-1+mimo2"),
        ("wrn10-0.50+batch04", "wrn10-0.5+batch4"),
        ("wrn10-1+packed4a2.0", "wrn10-1+packed4"),
        ("wrn10-1+packed4a1.50", "wrn10-1+packed4a1.5"),
        ("wrn16-2+trunk3", "wrn16-2+trunk3"),
    ],
)
def test_one_variant_has_one_spelling(text: str, canonical: str) -> None:
    assert zoo.canonical_name(text) == canonical
    assert zoo.canonical_name(canonical) == canonical


def test_family_name_with_knobs_is_the_variant() -> None:
    assert zoo.canonical_name("wide_resnet", depth=16, width=4) == "wrn16-4"
    assert zoo.canonical_name("mlp", hidden=64, layers=2) == "mlp64x2"
    assert zoo.canonical_name("mobile", size=0.5) == "mobile-x0.5"
    assert zoo.canonical_name("timm", model="resnet50") == "timm:resnet50"


def test_every_family_documents_an_example_that_builds_from_its_knobs() -> None:
    assert {"wide_resnet", "mimo", "batch_ensemble", "packed", "mlp", "mobile", "timm"} <= set(
        zoo.registered_families()
    )
    for family in zoo.registered_families().values():
        config = family.parse(family.example)
        assert family.format(config) == family.example
        knobs = {knob: getattr(config, knob) for knob in family.knobs}
        assert family.configure(**knobs) == config
        assert zoo.family_of(family.example) is family is zoo.family_of(family.name)
        assert zoo.default_resolution(family.example, 32) >= 4


def test_second_registration_is_refused() -> None:
    family = zoo.registered_families()["mlp"]
    with pytest.raises(zoo.ZooError, match="family 'mlp' is registered already, as: multilayer perceptron"):
        register(family)


def test_registry_is_read_only() -> None:
    with pytest.raises(TypeError):
        zoo.registered_families()["mine"] = zoo.registered_families()["mlp"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrn16-0", "width of a wide ResNet must be a number from 0.125 to 100, got 0.0"),
        ("wrn16-0.1", "width of a wide ResNet must be a number from 0.125 to 100, got 0.1"),
        ("wrn15-4", r"depth of a wide ResNet must be 6n \+ 4, got 15; try 10 or 16"),
        ("wrn4-4", "depth of a wide ResNet must be an integer from 10 to 1000, got 4"),
        ("mlp0x2", "hidden units of an MLP must be an integer from 1 to 65536, got 0"),
        ("mlp64x0", "hidden layers of an MLP must be an integer from 1 to 64, got 0"),
        ("mobile-x0", "size of a mobile network must be a number from 0.015625 to 64, got 0.0"),
        ("timm:resnet5o", "unknown timm model 'resnet5o'; did you mean timm:resnet50"),
        ("timm:", "unknown timm model ''"),
        ("timm:resnet18.nonsense", "unknown timm model 'resnet18.nonsense': Invalid pretrained tag"),
        (
            "wnr28-10",
            r"unknown model 'wnr28-10'; did you mean wrn28-10\? there are [0-9]+ families: explorer zoo list",
        ),
        ("wnr28-10+mimo3", r"over a wide ResNet \(wrnDEPTH-WIDTH\), got 'wnr28-10'"),
        ("moblie-x2", r"unknown model 'moblie-x2'; did you mean mobile-x2"),
        ("resnet50", r"unknown model 'resnet50'; did you mean timm:resnet50, "),
        ("zzz", "unknown model 'zzz'; there are [0-9]+ families"),
        ("", "unknown model ''; there are"),
        ("wrn16-4 ", "unknown model 'wrn16-4 '; did you mean"),
        ("wrn16--4", "unknown model"),
        ("wrn16-nan", "unknown model"),
    ],
)
def test_bad_names_are_refused_in_one_line(name: str, message: str) -> None:
    with pytest.raises(zoo.ZooError, match=message) as caught:
        zoo.build(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "knobs", "message"),
    [
        ("wide_resnet", {}, "takes the knobs depth, width; got none"),
        ("wide_resnet", {"depth": 16}, "takes the knobs depth, width; got depth"),
        (
            "wide_resnet",
            {"depth": 16, "width": 4, "drop": 0.1},
            "takes the knobs depth, width; got depth, drop",
        ),
        ("wide_resnet", {"depth": 16, "width": True}, "width .* got True"),
        ("wide_resnet", {"depth": 16.0, "width": 4}, "depth .* must be an integer .* got 16.0"),
        ("wide_resnet", {"depth": 16, "width": float("nan")}, "width .* got nan"),
        ("wrn16-4", {"width": 2}, "'wrn16-4' already says its knobs; give width with the family name"),
    ],
)
def test_bad_knobs_are_refused(name: str, knobs: dict[str, object], message: str) -> None:
    with pytest.raises(zoo.ZooError, match=message):
        zoo.build(name, **knobs)


@pytest.mark.parametrize("argument", ["in_channels", "num_classes", "resolution"])
def test_sizes_below_one_are_refused(argument: str) -> None:
    with pytest.raises(zoo.ZooError, match=re.escape(f"{argument} of wrn10-1 must be at least 1")):
        zoo.build("wrn10-1", **{argument: 0})
    with pytest.raises(zoo.ZooError, match="at least 1 pixel a side, got 0"):
        zoo.default_resolution("wrn10-1", 0)

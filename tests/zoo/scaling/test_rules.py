import pytest

import zoo
from tests.zoo.network_checks import counted
from zoo.registry import ZooError
from zoo.scaling.rules import RULES, Network, knobs_of, rules_for, scalable, scalable_families

EVERY = ("efficientnet", "tinynet", "resnet-rs", "regnet", "wide_resnet", "mobile", "efficientnetv2")


def test_families_by_name_key_and_variant() -> None:
    assert scalable("resnet-rs") == scalable("resnet_rs")
    assert scalable("efficientnet").base == Network(model="efficientnet-b0", resolution=224)
    assert scalable("efficientnet-b3").base == Network(model="efficientnet-b3", resolution=300)
    assert scalable("wrn28-10").base == Network(model="wrn28-10", resolution=32)
    assert set(EVERY) - {"resnet-rs"} <= set(scalable_families())


@pytest.mark.parametrize("name", EVERY)
def test_size_one_is_the_base(name: str) -> None:
    found = scalable(name)
    for rule in rules_for(found):
        if rule.name != "tiny":
            assert rule.network(found, 1.0) == found.base, rule.name


@pytest.mark.parametrize("name", EVERY)
def test_rules_give_names_that_parse_back(name: str) -> None:
    found = scalable(name)
    for rule in rules_for(found):
        for size in (0.4, 1.7, 3.1):
            if rule.low <= size <= rule.high:
                network = rule.network(found, size)
                assert zoo.canonical_name(network.model) == network.model
                assert knobs_of(network.model)


@pytest.mark.parametrize(
    ("name", "rule", "size"),
    [
        ("resnet-rs", "width", 4.0),
        ("resnet-rs", "depth", 4.0),
        ("resnet-rs", "resolution", 4.0),
        ("resnet-rs", "compound", 4.0),
        ("resnet-rs", "fast", 4.0),
        ("resnet-rs", "resnet-rs-width", 4.0),
        ("regnet", "depth", 2.0),
        ("regnet", "width", 4.0),
        ("wide_resnet", "width", 4.0),
        ("efficientnet", "resolution", 2.0),
        ("efficientnet", "width", 4.0),
    ],
)
def test_closed_form_of_the_macs(name: str, rule: str, size: float) -> None:
    """What a rule aims at is met within a fifth, as stems, heads and rounding allow."""
    found = scalable(name)
    network = RULES[rule].network(found, size)
    base = counted(found.base.model, found.base.resolution)[1]
    assert counted(network.model, network.resolution)[1] / base == pytest.approx(size, rel=0.2)


def test_regnet_keeps_its_stages() -> None:
    found = scalable("regnetx-400mf")
    for size in (0.3, 0.6, 1.3, 2.2, 5.0, 9.0):
        knobs = knobs_of(RULES["fast"].network(found, size).model)
        stages = zoo.registered_families()["regnet"].configure(**knobs).stages
        assert len(stages.widths) == 4


def test_rules_know_whom_they_are_for() -> None:
    assert [rule.name for rule in rules_for(scalable("mobile"))] == ["compound"]
    assert "resnet-rs" not in [rule.name for rule in rules_for(scalable("regnet"))]
    assert {"resnet-rs", "resnet-rs-width"} <= {rule.name for rule in rules_for(scalable("resnet-rs"))}
    for rule in RULES.values():
        assert rule.summary
        assert rule.source


def test_names_without_knobs() -> None:
    with pytest.raises(ZooError, match=r"timm has no scaling knobs; these have: .*efficientnet"):
        scalable("timm:resnet50")
    with pytest.raises(ZooError, match="unknown model 'effnet'"):
        scalable("effnet")

import itertools

import pytest
import torch
from torch import nn

import zoo
from explorer.accounting import count
from explorer.errors import UsageError
from explorer.measure.deploy import deploy
from explorer.measure.trace import build_on_meta, trace_model
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, counted, departures
from zoo.families.vanillanet import NAMES, PUBLISHED, VARIANTS, Pair, VanillaNetConfig, set_slope
from zoo.published import Published
from zoo.registry import ZooError

TINY = "vanillanet-depth7-width0.015625"


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row.model)
def test_published(row: Published) -> None:
    assert departures(row) == {}


def test_parameters_of_the_merged_form_by_formula() -> None:
    channels, classes, side = (512, 1024, 2048, 4096), 1000, 7
    stem = 3 * 16 * 512 + 512
    layers = sum((a + 1) * b for a, b in itertools.pairwise(channels))
    activations = sum((side * side + 1) * c for c in channels)
    head = (channels[-1] + 1) * classes
    assert counted("vanillanet-5-deploy")[0] == stem + layers + activations + head


def test_what_is_trained_costs_more_than_what_is_shipped() -> None:
    trained, shipped = counted("vanillanet-6"), counted("vanillanet-6-deploy")
    assert trained[0] > 1.5 * shipped[0]
    assert trained[1] > 1.5 * shipped[1]


def _with_statistics(network: nn.Module) -> nn.Module:
    """Give the norms statistics: without, the answers of an untrained network are next to nothing."""
    torch.manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.get_buffer("running_mean"))
            nn.init.uniform_(module.get_buffer("running_var"), 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return network.eval()


@pytest.mark.parametrize("name", [TINY, TINY.replace("7", "5") + "-series1"])
def test_the_explorers_deploy_step_gives_the_deploy_form(name: str) -> None:
    network = _with_statistics(zoo.build(name, num_classes=5))
    images = torch.randn(2, 3, 64, 64)
    deployed = deploy(network, tuple(images.shape))
    depth = VanillaNetConfig().depth if "5" in name.split("-")[1] else 7
    assert deployed.reparameterised == depth  # stem, blocks, head
    assert deployed.left == ()
    with torch.no_grad():
        torch.testing.assert_close(deployed.model(images), network(images), rtol=1e-3, atol=1e-4)
    merged = zoo.build(f"{name}-deploy1", num_classes=5)
    assert {tuple(p.shape) for p in merged.parameters()} == {
        tuple(p.shape) for p in deployed.model.parameters()
    }
    one, other = (count(trace_model(net, (1, 3, 64, 64))) for net in (merged, deployed.model))
    assert (one.parameters, one.macs) == (other.parameters, other.macs)


def test_the_deploy_step_of_a_published_one_costs_what_was_published() -> None:
    network, _ = build_on_meta(lambda: zoo.build("vanillanet-5", num_classes=1000))
    cost = count(trace_model(deploy(network, (1, 3, 224, 224)).model, (1, 3, 224, 224)))
    assert (cost.parameters, cost.macs) == counted("vanillanet-5-deploy")


def test_the_slope_fades_the_activation_away_and_holds_the_merging_back() -> None:
    network = _with_statistics(zoo.build(TINY, num_classes=5))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        linear = network(images)
        set_slope(network, 0.0)
        cut = network(images)
        set_slope(network, 1.0)
        assert torch.equal(network(images), linear)
    assert not torch.allclose(cut, linear)
    set_slope(network, 0.5)
    with pytest.raises(UsageError, match=r"slope 1 only, got 0\.5"):
        deploy(network, (1, 3, 64, 64))
    with pytest.raises(ZooError, match="slope of a VanillaNet"):
        set_slope(network, 1.5)


def test_a_pair_merges_into_one_convolution() -> None:
    pair = _with_statistics(Pair(3, 5, 7, kernel=4))
    images = torch.randn(2, 3, 8, 8)
    assert isinstance(pair, Pair)
    merged = pair.switch_to_deploy()
    assert merged.weight.shape == (7, 3, 4, 4)
    with torch.no_grad():
        torch.testing.assert_close(merged(images), pair(images), rtol=1e-4, atol=1e-5)


def test_depth_is_what_the_paper_counts() -> None:
    for depth in range(5, 14):
        network, _ = build_on_meta(lambda depth=depth: zoo.build(f"vanillanet-{depth}", num_classes=10))
        rectifiers = sum(isinstance(module, nn.ReLU) for module in network.modules())
        assert rectifiers + 1 == depth  # and the classifier
    assert VanillaNetConfig(depth=9).blocks == (
        (512, 1), (1024, 2), (2048, 2), (2048, 1), (2048, 1), (4096, 2), (4096, 1),
    )  # fmt: skip


def test_trains_and_answers() -> None:
    check_trains(TINY, 32)
    check_deterministic(TINY, 32)
    check_deterministic(TINY + "-deploy1", 40)


@pytest.mark.parametrize("merge", [False, True])
def test_exports(merge: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    network = _with_statistics(zoo.build(TINY.replace("7", "5"), num_classes=5))
    shipped = deploy(network, (1, 3, 32, 32)).model if merge else network
    with torch.no_grad():
        assert shipped(torch.randn(2, 3, 32, 32)).abs().max() > 0.01
    monkeypatch.setattr(zoo, "build", lambda *_arguments, **_more: shipped)
    check_exports(TINY, 32)


def test_names_round_trip() -> None:
    assert all(NAMES.format(config) == name for name, config in VARIANTS.items())
    for config in (
        VanillaNetConfig(depth=20, width=0.3, series=2),
        VanillaNetConfig(depth=7, adaptive=True, width=0.5, deploy=True),
    ):
        assert NAMES.parse(NAMES.format(config)) == config
    assert NAMES.parse("vanillanet-13-X1.5") == VanillaNetConfig(depth=13, width=1.5)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("vanillanet-depth4", "depth of a VanillaNet must be an integer from 5"),
        ("vanillanet-width0", "width of a VanillaNet"),
        ("vanillanet-adaptive1", "7 deep at least"),
        ("vanillanet-series9", "series"),
    ],
)
def test_refused_knobs(name: str, said: str) -> None:
    with pytest.raises(ZooError, match=said):
        zoo.build(name)


@pytest.mark.parametrize(("name", "least"), [("vanillanet-6", 32), ("vanillanet-13-x1.5-ada", 160)])
def test_refused_images(name: str, least: int) -> None:
    assert zoo.default_resolution(name, 8) == 224 >= least
    with pytest.raises(ZooError, match=f"at least {least} pixels a side"):
        zoo.build(name, resolution=least - 1)

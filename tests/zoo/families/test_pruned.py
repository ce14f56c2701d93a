"""Networks with a share of their channels cut: what is left, what the name says, what is refused."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, counted, departures
from zoo.compress import pruning
from zoo.families.pruned import FAMILIES, PUBLISHED


def test_the_published_half_of_a_resnet18() -> None:
    (row,) = PUBLISHED
    assert departures(row) == {}
    assert counted(row.model, 224)[0] == 3_055_880, "to the last parameter"


def test_half_of_resnet50_is_what_the_library_leaves_of_it() -> None:
    # torch-pruning 1.6.1, BasePruner at 0.5 with the classifier ignored, run by itself.
    assert counted("timm:resnet50+pruned0.5", 224)[0] == 6_917_640


def test_a_wide_resnet_keeps_the_rounded_down_share_of_every_group() -> None:
    # WRN-16-1: stem and groups of 16, 16, 32, 64 channels; 0.3 leaves 11, 11, 22, 44.
    network = zoo.build("wrn16-1+pruned0.3", in_channels=1, num_classes=7, resolution=8)
    assert network.stem.weight.shape == (11, 1, 3, 3)
    widths = [[tuple(block.conv1.weight.shape[:2]) for block in group] for group in network.groups]
    assert widths == [[(11, 11), (11, 11)], [(22, 11), (22, 22)], [(44, 22), (44, 44)]]
    assert network.head.weight.shape == (7, 44)
    assert network.groups[1][0].shortcut.weight.shape == (22, 11, 1, 1)
    assert network.norm.num_features == 44


@pytest.mark.parametrize(
    "base", ["mobile-x0.5", "mlp17x2", "wrn10-1+mimo2", "wrn10-1+packed2", "timm:mobilenetv3_small_050"]
)
def test_every_kind_of_layer_is_cut(base: str) -> None:
    side = 32 if base.startswith("timm") else 8
    whole, half = counted(base, side, classes=5), counted(f"{base}+pruned0.5", side, classes=5)
    assert half[0] < 0.6 * whole[0]
    assert half[1] < 0.6 * whole[1]
    network = zoo.build(f"{base}+pruned0.5", num_classes=5, resolution=side).eval()
    assert network(torch.rand(2, 3, side, side)).shape == (2, 5)


def test_names_that_another_family_would_refuse() -> None:
    assert zoo.canonical_name("HarDNet-68+pruned0.30") == "hardnet-68+pruned0.3"
    assert zoo.canonical_name("wrn10-1.0+PRUNED.5") == "wrn10-1+pruned0.5"
    assert zoo.canonical_name("wrn10-1+pruned0.5+pruned0.5") == "wrn10-1+pruned0.5+pruned0.5"
    assert zoo.canonical_name("pruned", base="wrn10-1", ratio=0.25) == "wrn10-1+pruned0.25"


def test_a_pruned_network_is_of_its_bases_kind() -> None:
    assert [family.classes for family in FAMILIES] == [10, 1000]
    assert zoo.family_of("wrn10-1+pruned0.5").classes == 10
    assert zoo.family_of("timm:resnet18+pruned0.5").classes == 1000
    assert zoo.default_resolution("timm:resnet18+pruned0.5", 32) == 224
    assert zoo.default_resolution("mobile-x4+pruned0.5", 32) == zoo.default_resolution("mobile-x4", 32)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["wrn10-1", "mobile-x0.5", "timm:resnet18"]), st.floats(0.01, 0.95))
def test_names_read_back(base: str, ratio: float) -> None:
    family = zoo.registered_families()["pruned_imagenet" if base.startswith("timm") else "pruned"]
    config = family.configure(base=base, ratio=ratio)
    assert family.parse(family.format(config)) == config


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrn10-1+pruned0", "share of channels to prune must be from 0.01 to 0.95, got 0"),
        ("wrn10-1+pruned1", "must be from 0.01 to 0.95, got 1"),
        ("wrn11-1+pruned0.5", "depth of a wide ResNet must be 6n"),
        ("nothing+pruned0.5", "unknown model 'nothing'"),
    ],
)
def test_impossible_names(name: str, message: str) -> None:
    with pytest.raises(zoo.ZooError, match=message):
        zoo.build(name)


def test_a_pruned_network_trains_answers_and_exports() -> None:
    check_trains("wrn10-1+pruned0.5", 8)
    check_deterministic("wrn10-1+pruned0.5", 8)
    check_exports("wrn10-1+pruned0.5", 8)


def test_meta_and_cpu_build_the_same_shapes() -> None:
    for name in ("wrn10-1+pruned0.4", "mobile-x0.5+pruned0.4"):
        with torch.device("meta"):
            on_meta = zoo.build(name, resolution=8)
        assert pruning.shapes(on_meta.state_dict()) == pruning.shapes(
            zoo.build(name, resolution=8).state_dict()
        )


def test_the_channels_that_weigh_most_stay() -> None:
    """Channels of the first hidden layer are scaled, so that their order is known."""

    def make(classes: int) -> torch.nn.Module:
        return zoo.build("mlp8x1", in_channels=1, num_classes=classes, resolution=3)

    torch.manual_seed(0)
    network = make(5)
    wide = [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear)]
    scales = torch.tensor([3.0, 0.1, 5.0, 0.2, 7.0, 0.3, 2.0, 0.4])
    with torch.no_grad():
        wide[0].weight.copy_(scales[:, None].expand(-1, 9))
        wide[1].weight.copy_(scales.expand(5, -1))
    pruning.pruned(network, make, classes=5, ratio=0.5, shape=(1, 3, 3), importance=pruning.by_magnitude())
    assert wide[0].weight[:, 0].tolist() == [3.0, 5.0, 7.0, 2.0]
    assert wide[1].weight[0].tolist() == [3.0, 5.0, 7.0, 2.0]


def test_what_the_library_cannot_prune_is_refused_in_one_line() -> None:
    class Fixed(torch.nn.Module):
        def __init__(self, classes: int) -> None:
            super().__init__()
            self.conv, self.head = torch.nn.Conv2d(1, 4, 1), torch.nn.Linear(4, classes)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.head(self.conv(images).mean(dim=(2, 3)).reshape(-1, 4))

    with pytest.raises(zoo.ZooError, match="torch-pruning cannot prune this network: ") as caught:
        pruning.pruned(Fixed(3), Fixed, classes=3, ratio=0.5, shape=(1, 2, 2))
    assert "\n" not in str(caught.value)
    with pytest.raises(zoo.ZooError, match="no layer of this network grows with the number of classes"):
        pruning.pruned(Fixed(3), lambda _: Fixed(3), classes=3, ratio=0.5, shape=(1, 2, 2))

"""Families that change one thing of a residual network: what the change costs, and that it works."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, counted, departures
from zoo.families import (
    _resnet,
    bnet_resnet,
    checkered_resnet,
    constant_group,
    elan,
    ge_resnet,
    ibn_resnet,
    laurel_resnet,
    preact_cifar,
    rezero_resnet,
    spd_resnet,
)

MODULES = (
    *(bnet_resnet, checkered_resnet, constant_group, elan, ge_resnet, ibn_resnet, laurel_resnet),
    *(preact_cifar, rezero_resnet, spd_resnet),
)
RESNET50 = (25_557_032, 4_089_184_256)
"""Parameters and MACs of torchvision's ResNet-50, seen in many tables (25.6 M, 4.09 G)."""
OUTPUTS = [(256, 3), (512, 4), (1024, 6), (2048, 3)]
"""Channels and blocks of ResNet-50's stages."""


@pytest.mark.parametrize(
    "row", [row for module in MODULES for row in module.FAMILY.published], ids=lambda row: row.model
)
def test_agrees_with_what_was_published(row) -> None:
    assert departures(row) == {}


def test_instance_norms_cost_no_parameters_and_no_products() -> None:
    assert counted("ibn-resnet50-a") == RESNET50
    parameters, macs = counted("ibn-resnet50-b")
    assert macs == RESNET50[1]
    assert parameters == RESNET50[0] + 2 * (256 + 512)


def test_gather_excite_without_parameters() -> None:
    assert counted("ge_resnet50") == RESNET50
    # a depthwise convolution as large as the map and its norm, on every block
    sides = (56, 28, 14, 7)
    more = sum(n * c * (side**2 + 2) for (c, n), side in zip(OUTPUTS, sides, strict=True))
    parameters, macs = counted("ge_resnet50-plain")
    assert parameters == RESNET50[0] + more
    assert macs == RESNET50[1] + sum(n * c * s**2 for (c, n), s in zip(OUTPUTS, sides, strict=True))


def test_excitation_of_a_whole_map_is_one_gate_a_channel() -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 8, 6, 6)
    gate = ge_resnet.GatherExcite(8, 6, ge_resnet.GeResNetConfig())
    wanted = images * torch.sigmoid(images.mean(dim=(2, 3), keepdim=True))
    torch.testing.assert_close(gate(images), wanted)


def test_learned_joins_cost_what_they_say() -> None:
    blocks = sum(n for _, n in OUTPUTS)
    assert counted("laurel_resnet50-rw") == (RESNET50[0] + 2 * blocks, RESNET50[1])
    low_rank = sum(n * 2 * 16 * c for c, n in OUTPUTS)
    assert counted("laurel_resnet50-rw-lr")[0] == RESNET50[0] + 2 * blocks + low_rank
    # blocks at positions 2, 3, ... of a stage have 1, 2, 2, ... earlier outputs beside their shortcut
    earlier = sum(min(2, max(0, position - 1)) for _, n in OUTPUTS for position in range(n))
    assert counted("laurel_resnet50-rw-lr-pa")[0] == RESNET50[0] + 2 * blocks + low_rank + earlier
    assert counted("rezero_resnet50") == (RESNET50[0] + blocks, RESNET50[1])


def test_rezero_is_the_identity_at_first() -> None:
    torch.manual_seed(0)
    stage = zoo.build("rezero_resnet-depth34-width0.125", num_classes=3, resolution=32).stages[0]
    images = torch.rand(2, 8, 9, 9)
    torch.testing.assert_close(stage(images), images)


def test_laurel_of_ones_is_the_plain_sum() -> None:
    join = laurel_resnet.LearnedJoin(4, 3, laurel_resnet.LaurelResNetConfig(previous=2))
    shortcut, residual = torch.randn(1, 4, 2, 2), torch.randn(1, 4, 2, 2)
    earlier = [torch.randn(1, 4, 2, 2) for _ in range(3)]
    torch.testing.assert_close(join(shortcut, residual, earlier), shortcut + residual)
    with torch.no_grad():
        join.gamma.copy_(torch.tensor([2.0, 3.0]))
    wanted = shortcut + residual + 2 * earlier[-2] + 3 * earlier[-3]
    torch.testing.assert_close(join(shortcut, residual, earlier), wanted)


@pytest.mark.parametrize("kernel", [1, 3, 7])
def test_neighbour_norms_add_a_depthwise_convolution(kernel: int) -> None:
    inner = [(c // 4, n) for c, n in OUTPUTS]
    # weights k^2 and a bias a channel, in place of scale and shift
    more = sum(n * c * (kernel**2 - 1) for c, n in inner)
    name = f"bnet_resnet-kernel{kernel}"
    assert counted(name)[0] == RESNET50[0] + more


def test_folding_keeps_every_pixel() -> None:
    images = torch.arange(2 * 3 * 6 * 4.0).reshape(2, 3, 6, 4)
    folded = spd_resnet.Fold()(images)
    assert folded.shape == (2, 12, 3, 2)
    assert torch.equal(folded.flatten().sort().values, images.flatten().sort().values)
    assert spd_resnet.Fold()(torch.rand(1, 3, 5, 7)).shape == (1, 12, 3, 4)


def test_checkered_network_has_a_resnets_parameters_and_more_products() -> None:
    parameters, macs = counted("checkered_resnet50")
    assert parameters == RESNET50[0]
    assert counted("checkered_resnet-layers0") == RESNET50
    one = counted("checkered_resnet-layers1")[1]
    two = counted("checkered_resnet-layers2")[1]
    assert RESNET50[1] < one < two < macs


def test_checkered_with_no_layers_answers_as_the_resnet() -> None:
    torch.manual_seed(0)
    network = zoo.build("checkered_resnet-depth10-width0.125-layers0", num_classes=3, resolution=16).eval()
    images = torch.rand(2, 3, 16, 16)
    features = network.stages(network.stem(images)).mean(dim=(2, 3))
    torch.testing.assert_close(network(images), network.head(features))


def test_groups_of_constant_size() -> None:
    network = zoo.build("e2gc-resnext50-g16")
    convs = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d) and m.groups > 1]
    assert len(convs) == 16
    assert {conv.in_channels // conv.groups for conv in convs} == {16}
    # groups of one channel are MobileNetV1: 4.23 M parameters (arXiv 1704.04861, Table 8: 4.2 M)
    assert counted("e2gc-mobilenetv1-g1")[0] == pytest.approx(4.23e6, rel=0.002)
    assert counted("e2gc-mobilenetv1-g1")[1] == pytest.approx(569e6, rel=0.01)
    # each group of 32 channels at width 1 of ResNeXt-50 32x4d's last stage: its own variant
    assert counted("e2gc-resnext50-g4")[1] < counted("timm:resnext50_32x4d", 224)[1]


def test_aggregation_by_hand() -> None:
    width, stacks = 1.0, 2

    def layer(inputs: int, outputs: int, kernel: int) -> int:
        return kernel**2 * inputs * outputs + 2 * outputs

    total = layer(3, 32, 3) + layer(32, 64, 3) + layer(64, 64, 3) + layer(64, 128, 3)
    inputs = 128
    for number, (inner, outer) in enumerate(elan.STAGES):
        if number:
            half = inputs // 2
            total += 2 * layer(inputs, half, 1) + layer(half, half, 3)
        total += 2 * layer(inputs, inner, 1) + 2 * stacks * layer(inner, inner, 3)
        total += layer((2 + stacks) * inner, outer, 1)
        inputs = outer
    assert width == elan.ElanConfig().width
    assert counted("elan-base")[0] == total + 1000 * 1024 + 1000


SMALL = (
    "ibn_resnet-depth10-width0.125",
    "ibn_resnet-depth26-width0.125-kind_b",
    "ge_resnet-depth10-width0.125",
    "ge_resnet-depth26-width0.125-gather_plain",
    "ge_resnet-depth10-width0.125-gather_plus",
    "ge_resnet-depth10-width0.125-gather_plain-extent2",
    "ge_resnet-depth10-width0.125-extent4",
    "laurel_resnet-depth34-width0.125-rank3-previous2",
    "rezero_resnet-depth10-width0.125",
    "bnet_resnet-depth10-width0.125",
    "bnet_resnet-depth26-width0.125-kernel5",
    "spd_resnet-depth26-width0.125",
    "spd_resnet-depth26-width0.125-shortcut_fold",
    "checkered_resnet-depth10-width0.125",
    "preact_cifar-depth11",
    "e2gc-group4-width0.25",
    "e2gc-base_resnext50-group2-width0.0625",
    "elan-stacks1-width0.0625",
)


@pytest.mark.parametrize("name", SMALL)
def test_trains(name: str) -> None:
    # five halvings leave one pixel of 32, and norms of 8 numbers: those networks see larger images
    check_trains(name, 96 if name.startswith(("e2gc", "elan")) else 32)


@pytest.mark.parametrize("name", SMALL)
def test_answers_the_same_again(name: str) -> None:
    check_deterministic(name, 33)


@pytest.mark.parametrize(
    "name",
    [
        "ibn_resnet-depth10-width0.125",
        "ge_resnet-depth10-width0.125-extent4",
        "laurel_resnet-depth10-width0.125-rank2-previous1",
        "spd_resnet-depth26-width0.125",
        "bnet_resnet-depth10-width0.125",
        "checkered_resnet-depth10-width0.125",
        "rezero_resnet-depth10-width0.125",
        "preact_cifar-depth11",
        "e2gc-group4-width0.25",
        "elan-stacks1-width0.0625",
    ],
)
def test_exports(name: str) -> None:
    check_exports(name, 32)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ibn_resnet-depth20", "depth of an IBN-ResNet must be one of 10, 18, 26, 34, 50, 101, 152, got 20"),
        ("ibn_resnet-width0", "width of an IBN-ResNet must be a number from 0.015625 to 16, got 0.0"),
        ("ibn_resnet-kind_c", "kind of an IBN-ResNet must be a or b, got 'c'"),
        ("ge_resnet-gather_all", "gather of a Gather-Excite ResNet must be minus, plain, plus, got 'all'"),
        ("ge_resnet-extent3", r"extent of a Gather-Excite ResNet must be 0 \(global\), 2, 4 or 8, got 3"),
        ("ge_resnet-gather_plus-extent2", "gather plus has a global extent, 0, got 2"),
        ("laurel_resnet-weights0", "a LAuReL ResNet needs weights, a rank or previous blocks"),
        ("bnet_resnet-kernel4", "kernel of a BNET ResNet must be odd, got 4"),
        ("spd_resnet-depth18", "depth of an SPD-Conv ResNet must be 26, 50, 101 or 152, got 18"),
        ("checkered_resnet-layers4", "checkered layers of a ResNet must be an integer from 0 to 3, got 4"),
        ("preact_cifar-depth100", r"must be 9n \+ 2, got 100; try 92 or 101"),
        ("e2gc-base_vgg", "base of a constant-group network must be mobilenetv1 or resnext50, got 'vgg'"),
        ("elan-stacks0", "stacks of an ELAN must be an integer from 1 to 16, got 0"),
        ("ibn_resnet-colour3", "starts with none of its knobs depth, width, kind"),
        ("ibn_resnet-depth50-depth101", "gives the knob 'depth' twice"),
        ("ibn_resnet-depthdeep", "is no value of the knob 'depth': wanted a whole number"),
    ],
)
def test_refuses(name: str, message: str) -> None:
    with pytest.raises(zoo.ZooError, match=message):
        zoo.build(name)


@settings(max_examples=50, deadline=None)
@given(
    depth=st.sampled_from(sorted(_resnet.DEPTHS)),
    width=st.floats(0.02, 16).map(lambda x: round(x, 3)),
    weights=st.booleans(),
    rank=st.integers(1, 99),
    previous=st.integers(0, 5),
)
def test_names_read_back(depth: int, width: float, weights: bool, rank: int, previous: int) -> None:
    config = laurel_resnet.LaurelResNetConfig(
        depth=depth, width=width, weights=weights, rank=rank, previous=previous
    )
    family = laurel_resnet.FAMILY
    assert family.parse(family.format(config)) == config

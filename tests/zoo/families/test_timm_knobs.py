"""Knobs of the families built through timm scale costs as the papers say."""

import functools
import itertools

import pytest
import torch
from torch import nn

import zoo
from tests.zoo.network_checks import counted

cost = functools.cache(counted)


def parameters(name: str, resolution: int | None = None) -> int:
    with torch.device("meta"):
        model = zoo.build(name, num_classes=1000, resolution=resolution)
    return sum(tensor.numel() for tensor in model.parameters())


def bottlenecks(
    depths: tuple[int, ...], inner: int, cardinality: int, expansion: int = 256, classes: int = 1000
) -> int:
    """Count a bottleneck ResNet's parameters; ``inner`` and ``expansion`` are of the first stage."""
    total, inputs = 3 * 64 * 49 + 2 * 64, 64
    for stage, depth in enumerate(depths):
        width, outputs = inner * 2**stage, expansion * 2**stage
        for block in range(depth):
            total += inputs * width + 9 * width * width // cardinality + width * outputs
            total += 2 * (2 * width + outputs)
            if block == 0:
                total += inputs * outputs + 2 * outputs
            inputs = outputs
    return total + inputs * classes + classes


@pytest.mark.parametrize(
    ("depths", "cardinality", "width"), [((3, 4, 6, 3), 32, 4), ((1, 2, 3, 5), 7, 11), ((2, 1, 1, 3), 1, 40)]
)
def test_resnext_follows_its_closed_form(depths: tuple[int, ...], cardinality: int, width: int) -> None:
    name = zoo.canonical_name("resnext", depths=depths, cardinality=cardinality, width=width)
    assert parameters(name) == bottlenecks(depths, cardinality * width, cardinality)


def test_one_complexity_at_all_cardinalities() -> None:
    """Table 2 of the paper: 1x64d to 32x4d cost about the same, parameters and multiply-adds."""
    base = cost("resnext-50-1x64d", 224)
    for form in ("2x40d", "4x24d", "8x14d", "32x4d"):
        for here, there in zip(cost(f"resnext-50-{form}", 224), base, strict=True):
            assert here == pytest.approx(there, rel=0.05)
    assert base == cost("timm:resnet50", 224)


@pytest.mark.parametrize(("depths", "width"), [((3, 4, 6, 3), 2.0), ((1, 1, 2, 1), 1.5), ((2, 1, 1, 1), 1.0)])
def test_wide_resnet_follows_its_closed_form(depths: tuple[int, ...], width: float) -> None:
    name = zoo.canonical_name("imagenet_wide_resnet", depths=depths, width=width)
    assert parameters(name) == bottlenecks(depths, int(64 * width), 1)


def test_blur_has_no_parameters_and_costs_multiply_adds() -> None:
    plain, blurred = cost("resnetblur-50-off", 224), cost("resnetblur-50", 224)
    assert plain == cost("timm:resnet50", 224)
    assert blurred[0] == plain[0]
    # The 3x3 convolutions that strode run at full resolution: three of them, as dear as at half again three.
    strode = sum(9 * (128 * 2**i) ** 2 * (28 // 2**i) ** 2 for i in range(3))
    filters = 9 * (64 * 56**2 + sum(128 * 2**i * (28 // 2**i) ** 2 for i in range(3)))
    assert blurred[1] == plain[1] + 3 * strode + filters
    assert cost("resnetblur-50-bin5", 224)[1] == blurred[1] + filters * 25 // 9 - filters


def test_res2net_trades_width_for_scale() -> None:
    def block(scale: int, width: int) -> int:
        return 9 * width**2 * (scale - 1)

    for scale, width in ((2, 48), (4, 26), (8, 14), (3, 13)):
        one = parameters(f"res2net-depths1+1+1+1-width{width}-scale{scale}")
        two = parameters(f"res2net-depths1+1+1+2-width{width}-scale{scale}")
        inner = 8 * width
        pointwise = 2 * 2048 * inner * scale + 2 * (inner * scale + inner * (scale - 1) + 2048)
        assert two - one == block(scale, inner) + pointwise


def test_radix_costs_no_convolution_and_next_to_no_multiply_adds() -> None:
    """Section 3.1 of the paper: the splits see a radix-th of the channels each."""
    one, two, four = (cost(f"resnest-50d-{radix}s1x64d", 224) for radix in (1, 2, 4))
    assert one[0] < two[0] < four[0]
    assert four[1] == pytest.approx(one[1], rel=0.01)


def test_pre_activation_moves_norms_and_no_convolution() -> None:
    preact, plain = cost("preact-resnet-50", 224), cost("timm:resnet50", 224)
    assert preact[1] == plain[1]
    # A block's last norm, of its outputs, becomes its first, of its inputs; that of a stage's first block
    # is of fewer. No norm is left in the stem (64) and in the four shortcuts; the end has one (2048).
    outputs, inputs = (256, 512, 1024, 2048), (64, 256, 512, 1024)
    assert plain[0] - preact[0] == 2 * (64 + sum(outputs) - 2048 + sum(outputs) - sum(inputs))


@pytest.mark.parametrize("family", ["preact_resnet", "evonorm", "nf_resnet"])
def test_twice_the_width_is_about_four_times_the_multiply_adds(family: str) -> None:
    half, one = cost(f"{family}-width0.5", 224), cost(zoo.family_of(family).example, 224)
    assert one[1] / half[1] == pytest.approx(4.0, rel=0.06)


def test_a_norm_costs_no_multiply_add() -> None:
    norms = ("s0", "b0", "frn", "groupnorm", "batchnorm")
    assert len({cost(f"evonorm-50d-{norm}", 64)[1] for norm in norms}) == 1


def test_normaliser_free_costs_what_resnet_costs() -> None:
    assert cost("nf-resnet-50", 224)[1] == pytest.approx(cost("timm:resnet50", 224)[1], rel=0.02)


def test_dpn_98_against_resnext_101_64x4d() -> None:
    """Abstract of the paper: 26 % smaller and 25 % less computation."""
    dpn, resnext = cost("dpn-98", 224), cost("resnext-101-64x4d", 224)
    assert 1 - dpn[0] / resnext[0] == pytest.approx(0.26, abs=0.005)
    assert 1 - dpn[1] / resnext[1] == pytest.approx(0.25, abs=0.01)


def test_csp_saves_a_fifth_and_more() -> None:
    """Abstract and Table of the paper's repository: -30 % of DarkNet-53, -22 % of its ResNeXt-50."""
    assert 1 - cost("cspdarknet-53", 256)[1] / cost("darknet-53", 256)[1] == pytest.approx(0.30, abs=0.01)
    assert 1 - cost("cspresnext-50", 256)[1] / cost("resnext-50-32x4d", 256)[1] > 0.2


def test_a_narrower_cross_stage_costs_less() -> None:
    names = ("cspnet-ratio0.25", "cspnet-ratio0.5", "cspdarknet-53", "cspnet-ratio2")
    costs = [cost(name, 64) for name in names]
    assert costs == sorted(costs)
    assert costs[0][1] < costs[1][1] < costs[2][1] < costs[3][1]
    assert cost("cspnet-width0.5", 64)[1] < 0.3 * cost("cspdarknet-53", 64)[1]


def test_aggregation_of_vovnet_by_hand() -> None:
    shallow, deep = (parameters(f"vovnet-depths1+1+1+1-layers{layers}") for layers in (4, 5))
    added = sum(9 * c * c + 2 * c + c * out for c, out in ((128, 256), (160, 512), (192, 768), (224, 1024)))
    assert deep - shallow == added


def test_starnet_block_by_hand() -> None:
    for width, expansion in ((24, 4), (10, 3)):
        one, two = (parameters(f"starnet-width{width}-depths1+1+1+{n}-expansion{expansion}") for n in (1, 2))
        c = 8 * width
        hidden = expansion * c
        depthwise = (49 * c + c) * 2
        assert two - one == depthwise + 2 * (c * hidden + hidden) + (hidden * c + c) + 2 * 2 * c


def test_tresnet_width_rounds_the_first_stage_down() -> None:
    stem = zoo.build("tresnet-depths1+1+1+1-width0.2").get_submodule("body.conv1.conv")
    assert isinstance(stem, nn.Conv2d)
    assert (stem.in_channels, stem.out_channels) == (48, 12)


def test_hrnet_width_is_of_the_widest_stream() -> None:
    widths = [cost(f"hrnet-width{width}-modules1+1+1-blocks1-first_blocks1", 64)[1] for width in (8, 16, 32)]
    assert widths == sorted(widths)
    more = parameters("hrnet-width7-modules1+1+1-blocks2-first_blocks1")
    fewer = parameters("hrnet-width7-modules1+1+1-blocks1-first_blocks1")
    basic = [2 * 9 * (7 * 2**i) ** 2 + 4 * 7 * 2**i for i in range(4)]
    assert more - fewer == sum(sum(basic[:streams]) for streams in (2, 3, 4))


def test_resmlp_by_hand() -> None:
    for depth, width, patch, side in ((12, 384, 16, 224), (3, 40, 8, 32)):
        name = zoo.canonical_name("resmlp", depth=depth, width=width, patch=patch, expansion=4)
        patches = (side // patch) ** 2
        block = patches**2 + patches + 8 * width**2 + 5 * width + 2 * 2 * width + 2 * width
        outside = 3 * patch**2 * width + width + 2 * width + width * 1000 + 1000
        assert parameters(name, side) == depth * block + outside
        assert (
            cost(name, side)[1]
            == patches * (depth * (patches * width + 8 * width**2) + 3 * patch**2 * width) + width * 1000
        )


def test_rdnet_grows_by_its_growth() -> None:
    costs = [cost(f"rdnet-growth{growth}-halve1+2", 64) for growth in ("16+16+16", "16+16+32", "32+32+32")]
    assert costs == sorted(costs)
    assert costs[0] < costs[2]
    network = zoo.build("rdnet-growth16+24+32-halve1+2-stem16-blocks2")
    # 16 + 2 x 16 = 48 -> 24 (half) + 2 x 24 = 72 -> 32 (half, in multiples of 8) + 2 x 32 = 96.
    assert network.num_features == 96


@pytest.mark.parametrize("name", ["mobilenetv4", "hardcorenas", "spnasnet"])
def test_a_mobile_width_multiplies_channels(name: str) -> None:
    base = zoo.family_of(name).example
    costs = [cost(one, 224) for one in (f"{name}-width0.5", f"{name}-width0.75", base, f"{name}-width2")]
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(costs))
    assert costs[3][1] / costs[2][1] == pytest.approx(4.0, rel=0.15)


def test_dla_trees_double_their_blocks() -> None:
    # A tree of depth n has 2^n blocks; a block of the last stage adds its bottleneck and its part of a root.
    one = zoo.build("dla-levels1+1+1+1+1+1-channels4+8+8+8+16+16")
    two = zoo.build("dla-levels1+1+1+1+1+2-channels4+8+8+8+16+16")

    def blocks(model: nn.Module) -> int:
        return sum(type(module).__name__ == "DlaBottleneck" for module in model.modules())

    assert blocks(one) == 4 * 2
    assert blocks(two) == 3 * 2 + 4

"""Families built through timm: variants are timm's networks, and cost what was published."""

import functools
import importlib
from collections.abc import Mapping
from types import ModuleType

import pytest
import torch
from torch import nn

import zoo
from tests.zoo.network_checks import counted
from zoo.families.timm_bridge import declare_torchvision_ops
from zoo.published import Published
from zoo.registry import Family, ZooError
from zoo.timm_models import create

ROOM = (
    "blurpool",
    "cspnet",
    "dla",
    "dpn",
    "hardcorenas",
    "hrnet",
    "imagenet_wide_resnet",
    "inception",
    "mobilenetv4",
    "nf_resnet",
    "preact_resnet",
    "rdnet",
    "repvgg",
    "res2net",
    "resmlp",
    "resnest",
    "resnext",
    "single_path_nas",
    "starnet",
    "tresnet",
    "vovnet",
)
MODULES: Mapping[str, ModuleType] = {name: importlib.import_module(f"zoo.families.{name}") for name in ROOM}
FAMILIES: tuple[Family, ...] = tuple(
    family for module in MODULES.values() for family in getattr(module, "FAMILIES", None) or (module.FAMILY,)
)
PAIRS = tuple(pair for module in MODULES.values() for pair in module.TIMM_NAMES.items())
ROWS = tuple(row for family in FAMILIES for row in family.published)
COSTED = tuple(row for row in ROWS if row.parameters is not None or row.macs is not None)

SYSTEMS = {
    "resnext", "res2net", "resnest", "pre-activation-resnet", "nf-resnets", "evonorm", "rdnet",
    "inception-v4", "cspnet", "blurpool", "dpn", "vovnet", "starnet", "tresnet", "dla", "repvgg",
    "hardcore-nas", "resmlp", "hrnet", "mobilenetv4", "single-path-nas", "wide-resnet",
}  # fmt: skip

QUICK = {
    "cspdarknet-53", "darknet-53", "cspresnext-50", "cs3darknet-s", "dla-34", "dla-60x-c", "dla-60-res2net",
    "dpn-68", "dpn-98", "dpn-92", "evonorm-50d-s0", "hardcorenas-a", "hardcorenas-f", "hrnet-w18-small",
    "inception-v4", "mobilenetv4-conv-small", "mobilenetv4-hybrid-medium", "nf-resnet-50", "nf-regnet-b0",
    "preact-resnet-18", "preact-resnet-50", "preact-resnet-50x1-bit", "rdnet-tiny", "repvgg-a0",
    "repvgg-a0-deploy", "repvgg-b1g4", "repvgg-b1g4-deploy", "res2net-50-26w-4s", "res2next-50", "resmlp-12",
    "resmlp-36", "resnest-50d", "resnest-50d-4s2x40d", "resnest-50d-1s2x40d", "resnetblur-18",
    "resnext-50-32x4d", "resnext-101-64x4d", "spnasnet-100", "starnet-s1", "starnet-s4", "tresnet-m",
    "wide-resnet-50-2", "ese-vovnet-19b-slim-dw", "ese-vovnet-39b",
}  # fmt: skip
"""A spread over all families; the rest is counted where slow tests run."""

# Our counts where they depart from what was published, by hand of the reasons in the rows.
PINNED = {
    ("preact-resnet-50x1-bit", 224): (25_549_352, 4_089_184_256),
    ("nf-regnet-b0", 192): (8_764_288, 351_345_536),
    ("nf-regnet-b2", 240): (14_314_608, 933_524_352),
    ("rdnet-tiny", 224): (23_863_008, 5_032_673_424),
    ("dpn-68", 224): (12_611_602, 2_326_163_456),
    ("tresnet-m", 224): (31_389_032, 5_736_545_792),
    ("dla-60-res2net", 224): (20_848_072, 4_122_681_344),
    ("dla-60-res2next", 224): (17_032_984, 3_458_752_512),
    ("spnasnet-100", 224): (4_421_616, 333_467_072),
    ("resmlp-36", 224): (44_690_488, 8_912_845_824),
    ("hrnet-w18", 224): (21_299_004, 4_283_537_072),
    ("hrnet-w30", 224): (37_712_220, 8_105_781_680),
    ("hrnet-w32", 224): (41_232_680, 8_921_133_056),
    ("hrnet-w40", 224): (57_557_160, 12_691_997_440),
    ("hrnet-w44", 224): (67_064_984, 14_883_104_960),
    ("hrnet-w48", 224): (77_469_864, 17_277_996_032),
}

cost = functools.cache(counted)


def split(models: list[str]) -> list[object]:
    """Mark what is no part of the quick spread as slow."""
    return [model if model in QUICK else pytest.param(model, marks=pytest.mark.slow) for model in models]


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


@functools.cache
def published_of(model: str) -> tuple[Published, ...]:
    return tuple(row for row in COSTED if row.model == model)


@pytest.mark.parametrize("model", split(list(dict.fromkeys(row.model for row in COSTED))))
def test_published_costs(model: str) -> None:
    for row in published_of(model):
        parameters, macs = cost(row.model, row.resolution)
        departs = bool(row.off(parameters, macs))
        assert departs == bool(row.departs), (row.model, row.source, parameters, macs)
        if departs:
            assert (parameters, macs) == PINNED[row.model, row.resolution]


def test_every_departure_is_pinned_and_every_pin_is_of_a_departure() -> None:
    assert {(row.model, row.resolution) for row in ROWS if row.departs} == set(PINNED)


@pytest.mark.parametrize("ours", split([ours for ours, _theirs in PAIRS]))
def test_a_variant_is_timms_network_tensor_by_tensor(ours: str) -> None:
    declare_torchvision_ops()
    import timm

    with torch.device("meta"):
        theirs = timm.create_model(dict(PAIRS)[ours], num_classes=1000)
        assert shapes(zoo.build(ours, num_classes=1000)) == shapes(theirs)


def test_every_system_has_a_family() -> None:
    assert {system for family in FAMILIES for system in family.systems} == SYSTEMS


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_variants_rows_and_names_belong_together(family: Family) -> None:
    variants = set(family.variants)
    assert family.example in variants
    assert {row.model for row in family.published} <= variants
    assert variants & QUICK
    for name, config in family.variants.items():
        assert family.parse(name) == config
        assert family.format(config) == name  # no two names of one network
        assert family.parse(family.name) == family.configure()
        assert 32 <= family.default_resolution(config, 32) <= 416
    assert family.near("".join(reversed("zzz"))) == ()


@pytest.mark.parametrize(("bad", "message"), [
    ("resnext-cardinality0", "cardinality of ResNeXt must be an integer from 1 to 256, got 0"),
    ("resnext-depths3+4+6", "depths of ResNeXt must be a tuple of 4 whole numbers"),
    ("resnext-50-32x5d", "did you mean resnext-50-32x4d"),
    ("dpn-width97", "width of DPN must be a multiple of its groups, got 97 and 32"),
    ("repvgg-groups3", "channels of RepVGG must be multiples of its groups"),
    ("evonorm-norm_evonormz", "norm of an EvoNorm ResNet must be one of batchnorm"),
    ("rdnet-halve7", "halve of RDNet names stages 1 to 6 of 7"),
    ("cspnet-backbone_resnet50-cross0", "CSPNet without cross stages is DarkNet-53"),
    ("mobilenetv4-form_conv_tiny", "form of MobileNetV4 must be one of conv_small"),
    ("starnet-widthx", "no value of the knob 'width'"),
    ("tresnet-width9", "width of TResNet must be a number from 0.125 to 8"),
    ("hrnet-modules1+4", "modules of HRNet must be a tuple of 3 whole numbers"),
])  # fmt: skip
def test_bad_knobs_are_refused_in_one_line(bad: str, message: str) -> None:
    with pytest.raises(ZooError) as caught:
        zoo.build(bad)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_only_timm_can_refuse_is_refused_in_one_line() -> None:
    with pytest.raises(ZooError, match=r"ratio of CSPNet must make both paths of 64 channels alike"):
        zoo.build("cspnet-ratio0.3")
    with pytest.raises(ZooError, match=r"resolution of ResMLP must be a multiple of its patch 16, got 100"):
        zoo.build("resmlp-12", resolution=100)
    with pytest.raises(ZooError, match=r"^timm cannot build vovnet39a with .*attn=nope"):
        create("vovnet39a", 3, 10, attn="nope")


@pytest.mark.parametrize(("model", "resolution"), [
    ("resnext-depths1+1+1+1-cardinality2-width3", 64),
    ("repvgg-depths1+1+1+1-a0.125-b0.125", 64),
    ("starnet-width4-depths1+1+1+1", 64),
    ("nf_resnet-depths1+1+1+1-width0.125", 64),
    ("evonorm-depths1+1+1+1-width0.125", 64),
    ("resmlp-depth2-width16-patch8", 32),
    ("dla-levels1+1+1+1+1+1-channels4+8+8+8+16+16", 64),
    ("spnasnet-width0.1", 64),
])  # fmt: skip
def test_tiny_ones_run_at_other_channels_and_classes(model: str, resolution: int) -> None:
    network = zoo.build(model, in_channels=2, num_classes=5, resolution=resolution).eval()
    with torch.no_grad():
        assert network(torch.rand(3, 2, resolution, resolution)).shape == (3, 5)

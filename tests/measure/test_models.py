"""Whole networks against hand counts, published tables, another counter, and themselves."""

import csv
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import zoo
from explorer.measure.trace import count_model
from tests import oracles


def on_meta(name: str, *, classes: int, **knobs) -> nn.Module:
    with torch.device("meta"):
        return zoo.build(name, num_classes=classes, **knobs)


@pytest.fixture(scope="module")
def imagenet():
    """Costs at 224 pixels of models built on meta, each counted once."""
    known = {}

    def cost(name: str):
        if name not in known:
            known[name] = count_model(on_meta(f"timm:{name}", classes=1000), (1, 3, 224, 224), strict=True)
        return known[name]

    return cost


# ---- to the last multiply-accumulate ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "by_hand", "golden"),
    [
        ("resnet50", oracles.resnet50_macs, 4_089_184_256),
        ("vit_small_patch16_224", oracles.vit_macs, 4_598_882_304),
        ("efficientnet_b0", oracles.efficientnet_b0_macs, 385_814_752),
    ],
)
def test_equals_the_papers_layer_tables(imagenet, name: str, by_hand, golden: int) -> None:
    assert imagenet(name).macs == by_hand() == golden
    assert imagenet(name).uncounted == {}


def test_real_and_meta_weights_give_the_same(imagenet) -> None:
    assert count_model(zoo.build("timm:resnet50", num_classes=1000), (1, 3, 224, 224)) == imagenet("resnet50")


def test_the_attention_that_other_counters_drop(imagenet) -> None:
    """357,663,744: 12 layers x 2 N^2 D, N = 197 tokens, D = 384; missing from most counters on CPU."""
    by_op = imagenet("vit_small_patch16_224").macs_by_op

    assert by_op["scaled_dot_product_attention"] == 12 * oracles.vit_attention_macs(197, 384) == 357_663_744


def test_one_encoder_block_by_module(imagenet) -> None:
    by_module = imagenet("vit_small_patch16_224").macs_by_module
    block = {path: macs for path, macs in by_module.items() if path.startswith("blocks.3.")}

    assert sum(block.values()) == oracles.vit_layer_macs(197, 384)
    assert block["blocks.3.mlp.fc1"] == 197 * 384 * 4 * 384


@pytest.mark.parametrize("name", ["resnet50", "vit_small_patch16_224", "efficientnet_b0", "convnext_tiny"])
def test_maps_add_up(imagenet, name: str) -> None:
    cost = imagenet(name)

    assert sum(cost.macs_by_op.values()) == sum(cost.macs_by_module.values()) == cost.macs


def test_the_memory_of_resnet50_is_that_of_its_widest_block(imagenet) -> None:
    """First stage: shortcut, convolution and norm of 256 x 56 x 56 float32 at once."""
    assert imagenet("resnet50").activation_peak_bytes == 3 * 256 * 56 * 56 * 4


@pytest.mark.parametrize(
    ("depth", "width"), [(10, 1), (16, 2), (16, 4), (16, 10), (22, 3), (28, 10), (40, 8)]
)
@pytest.mark.parametrize(("resolution", "channels", "classes"), [(32, 3, 10), (28, 1, 7), (8, 1, 10)])
def test_wide_resnets_equal_their_closed_form(
    depth: int, width: int, resolution: int, channels: int, classes: int
) -> None:
    model = on_meta(f"wrn{depth}-{width}", classes=classes, in_channels=channels)

    cost = count_model(model, (1, channels, resolution, resolution), strict=True)

    expected = oracles.wide_resnet(depth, width, resolution=resolution, channels=channels, classes=classes)
    assert (cost.macs, cost.elementwise_ops, cost.parameters) == (
        expected.macs, expected.elementwise_ops, expected.parameters
    )  # fmt: skip


def test_wide_resnets_equal_the_reference_table(shared_dir: Path) -> None:
    checked = 0
    with (shared_dir / "reference" / "reference_costs.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            exact = re.search(r"exact params (\d+), MACs (\d+)", row["note"])
            name = re.fullmatch(r"WRN-(\d+)-(\d+)", row["model"])
            if exact is None or name is None:
                continue
            cost = count_model(on_meta(f"wrn{name[1]}-{name[2]}", classes=10), (1, 3, 32, 32), strict=True)
            assert (cost.parameters, cost.macs) == (int(exact[1]), int(exact[2])), row["model"]
            checked += 1

    assert checked >= 15


def test_other_architectures_equal_the_reference_table(shared_dir: Path) -> None:
    """Convolutional, attention, mixer, depthwise, standardised-weight and multi-resolution networks."""
    wanted = {
        "mobilenetv3_large_100", "regnety_032", "convnext_tiny", "swin_tiny_patch4_window7_224",
        "resmlp_24_224", "densenet121", "dm_nfnet_f0", "xcit_tiny_12_p16_224", "lambda_resnet26t",
        "mobilenetv4_hybrid_medium",
    }  # fmt: skip
    with (shared_dir / "reference" / "counter_macs.csv").open(newline="") as table:
        rows = {row["model"]: row for row in csv.DictReader(table) if row["model"] in wanted}

    assert set(rows) == wanted
    for name, row in rows.items():
        model = on_meta(f"timm:{name}", classes=1000)
        cost = count_model(model, (1, 3, int(row["res"]), int(row["res"])), strict=True)
        assert (cost.macs, cost.parameters) == (float(row["ref_meta_macs"]), int(row["params"])), name


# ---- against another counter -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "classes", "resolution"),
    [("wrn10-1", 10, 16), ("mobile-x1", 10, 32), ("mlp32x3", 10, 8), ("timm:resnet18", 1000, 64),
     ("timm:efficientnet_b0", 1000, 64), ("timm:convnext_atto", 1000, 64)],
)  # fmt: skip
def test_fvcore_agrees_on_convolutions_and_linear_layers(name: str, classes: int, resolution: int) -> None:
    from fvcore.nn import FlopCountAnalysis

    model = zoo.build(name, num_classes=classes, resolution=resolution).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(model, torch.rand(1, 3, resolution, resolution))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        theirs = analysis.by_operator()

    ours = count_model(model, (1, 3, resolution, resolution), strict=True)

    # fvcore calls a multiply-accumulate one flop; its other operators are norms and pooling.
    products = sum(theirs.get(op, 0) for op in ("conv", "linear", "addmm", "matmul", "bmm"))
    assert ours.macs == products


# ---- against themselves -----------------------------------------------------------------------------------


SMALL = ("wrn10-0.5", "mobile-x0.5", "mlp16x2")


@pytest.fixture(scope="module")
def small() -> dict[str, nn.Module]:
    return {name: on_meta(name, classes=10, resolution=16) for name in SMALL}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("batch", [2, 7, 61])
def test_every_count_is_linear_in_the_batch(small, name: str, batch: int) -> None:
    one = count_model(small[name], (1, 3, 16, 16), strict=True)

    many = count_model(small[name], (batch, 3, 16, 16), strict=True)

    assert many.macs == batch * one.macs
    assert many.elementwise_ops == batch * one.elementwise_ops
    assert many.activation_peak_bytes == batch * one.activation_peak_bytes
    assert many.macs_by_module == {path: batch * macs for path, macs in one.macs_by_module.items()}
    assert (many.parameters, many.batch) == (one.parameters, batch)


class Mean(nn.Module):
    """An ensemble as one module."""

    def __init__(self, *members: nn.Module) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images):
        return torch.stack([member(images).softmax(-1) for member in self.members]).mean(0)


def test_an_ensemble_costs_what_its_members_cost(small) -> None:
    members = list(small.values())
    costs = [count_model(member, (3, 3, 16, 16), strict=True) for member in members]

    whole = count_model(Mean(*members), (3, 3, 16, 16), strict=True)

    n = 3 * 10  # examples x classes: a softmax a member, then the mean
    assert whole.macs == sum(cost.macs for cost in costs)
    assert whole.elementwise_ops == sum(cost.elementwise_ops for cost in costs) + 3 * 3 * n + 3 * n
    assert whole.parameters == sum(cost.parameters for cost in costs)
    assert whole.param_bytes == sum(cost.param_bytes for cost in costs)
    assert whole.macs_by_module == {
        f"members.{i}.{path}".rstrip("."): macs
        for i, cost in enumerate(costs)
        for path, macs in cost.macs_by_module.items()
    }
    # Members run one after the other: the largest peak, and the small answers kept beside it.
    peak = max(cost.activation_peak_bytes for cost in costs)
    assert peak <= whole.activation_peak_bytes <= peak + 3 * n * 4


def test_one_member_twice_pays_twice_and_is_held_once(small) -> None:
    member = small["wrn10-0.5"]
    alone = count_model(member, (1, 3, 16, 16))

    twice = count_model(Mean(member, member), (1, 3, 16, 16))

    assert (twice.macs, twice.parameters) == (2 * alone.macs, alone.parameters)


def test_every_zoo_family_is_counted_whole() -> None:
    for family in zoo.registered_families().values():
        side = zoo.default_resolution(family.example, 32)
        model = on_meta(family.example, classes=7, resolution=side, in_channels=family.channels)
        assert count_model(model, (1, family.channels, side, side), strict=True).macs > 0, family.name


def test_measuring_imports_no_zoo() -> None:
    program = (
        "import sys, explorer.measure.trace, explorer.measure.model_latency;"
        "print(sorted({'zoo', 'timm', 'torchvision'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"

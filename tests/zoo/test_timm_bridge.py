import subprocess
import sys

import pytest
import torch

import zoo
from zoo.families.timm_bridge import declare_torchvision_ops


def test_resnet50_has_its_published_parameters() -> None:
    # 25,557,032: torchvision's and timm's resnet50 at 1,000 classes.
    with torch.device("meta"):
        model = zoo.build("timm:resnet50", num_classes=1_000)
    assert sum(p.numel() for p in model.parameters()) == 25_557_032


@pytest.mark.parametrize(
    ("name", "side"),
    [("timm:resnet18", 40), ("timm:vit_tiny_patch16_224", 64), ("timm:vit_tiny_patch16_224", None)],
)
def test_builds_for_channels_classes_and_resolution(name: str, side: int | None) -> None:
    model = zoo.build(name, in_channels=1, num_classes=7, resolution=side).eval()
    side = side or zoo.default_resolution(name, 8)
    with torch.inference_mode():
        assert model(torch.rand(2, 1, side, side)).shape == (2, 7)


def test_default_resolution_is_timms_own_whatever_the_images() -> None:
    assert zoo.default_resolution("timm:resnet18", 8) == 224
    assert zoo.default_resolution("timm:tf_efficientnet_b3", 32) == 300


def test_what_timm_cannot_build_is_a_zoo_error() -> None:
    with pytest.raises(
        zoo.ZooError, match="timm cannot build xcit_tiny_12_p16_224 for 3 channels, 10 classes and 8 pixels: "
    ):
        zoo.build("timm:xcit_tiny_12_p16_224", resolution=8)


def test_declaring_operators_twice_changes_nothing() -> None:
    declare_torchvision_ops()
    before = torch.ops.torchvision.nms
    declare_torchvision_ops()
    assert torch.ops.torchvision.nms is before


def test_neither_zoo_nor_its_own_families_import_timm_or_torchvision() -> None:
    program = (
        "import sys, zoo\n"
        "zoo.build('wrn10-1'); zoo.canonical_name('mobile-x2')\n"
        "print([m for m in ('timm', 'torchvision', 'explorer') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

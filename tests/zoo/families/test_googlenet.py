import pytest

import zoo
from tests.zoo.network_checks import check_deterministic, check_trains, counted, departures
from zoo.families.googlenet import NAMES, PUBLISHED, VARIANTS, GoogLeNetConfig
from zoo.families.timm_bridge import declare_torchvision_ops
from zoo.registry import ZooError


def test_published() -> None:
    (row,) = PUBLISHED
    assert departures(row) == {}
    assert counted(row.model, 224)[0] == row.parameters


def test_the_published_figures_are_those_of_the_installed_torchvision() -> None:
    declare_torchvision_ops()
    from torchvision.models import GoogLeNet_Weights

    (row,) = PUBLISHED
    meta = GoogLeNet_Weights.IMAGENET1K_V1.meta
    assert row.parameters == meta["num_params"]
    assert row.macs == meta["_ops"] * 1e9
    assert row.top1 == pytest.approx(meta["_metrics"]["ImageNet-1K"]["acc@1"] / 100)


def test_trains_and_answers() -> None:
    check_trains("googlenet", 48, channels=2)
    check_deterministic("googlenet", 32)


def test_names_round_trip() -> None:
    assert all(NAMES.format(config) == name for name, config in VARIANTS.items())
    config = GoogLeNetConfig(dropout=0.4)
    assert NAMES.parse(NAMES.format(config)) == config == zoo.family_of("googlenet").configure(dropout=0.4)


def test_refused() -> None:
    with pytest.raises(ZooError, match="dropout of a GoogLeNet"):
        zoo.build("googlenet-dropout1")
    with pytest.raises(ZooError, match="at least 15 pixels"):
        zoo.build("googlenet", resolution=14)

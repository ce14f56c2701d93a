import pytest
import torch

import zoo
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, counted, departures
from zoo.families.fractalnet import NAMES, PUBLISHED, VARIANTS, Block, FractalNet, FractalNetConfig
from zoo.published import Published
from zoo.registry import ZooError

TINY = "fractalnet-channels6+8-dropout0+0.1"


@pytest.mark.parametrize(
    "row", [row for row in PUBLISHED if not row.departs], ids=lambda row: str(row.classes)
)
def test_published(row: Published) -> None:
    assert departures(row) == {}
    assert counted(row.model, 32, classes=row.classes)[0] == row.parameters


def test_the_papers_count_departs() -> None:
    (row,) = [row for row in PUBLISHED if row.departs]
    assert departures(row) == {"parameters": pytest.approx(-0.1263, abs=1e-4)}


def test_macs_are_those_of_pytorchcv() -> None:
    assert counted("fractalnet-cifar", 32)[1] == PUBLISHED[0].macs


@pytest.mark.parametrize("column", [1, 2, 3])
def test_a_column_alone_costs_its_convolutions(column: int) -> None:
    channels, convs = (64, 128, 256, 512, 512), 2 ** (column - 1)
    inputs, weights, macs, side = 3, 0, 0, 32
    for outputs in channels:
        convolutions = 9 * (inputs + (convs - 1) * outputs) * outputs
        weights += convolutions + 2 * outputs * convs
        macs += convolutions * side * side
        inputs, side = outputs, side // 2
    assert counted(f"fractalnet-cifar-column{column}", 32) == (weights + 513 * 10, macs + 512 * 10)


def test_columns_add_up_to_the_whole() -> None:
    parts = [counted(f"fractalnet-cifar-column{k}", 32) for k in (1, 2, 3)]
    whole = counted("fractalnet-cifar", 32)
    assert whole[0] == sum(p for p, _ in parts) - 2 * 513 * 10
    assert whole[1] == sum(m for _, m in parts) - 2 * 512 * 10


@pytest.mark.parametrize("column", [1, 2, 3])
def test_a_column_loads_the_whole_networks_weights_and_is_what_training_leaves_alone(column: int) -> None:
    torch.manual_seed(0)
    whole = zoo.build(TINY, num_classes=5).eval()
    part = zoo.build(f"{TINY}-column{column}", num_classes=5).eval()
    found = part.load_state_dict(whole.state_dict(), strict=False)
    assert found.missing_keys == []
    assert isinstance(whole, FractalNet)
    images = torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        features = images
        for block in whole.blocks:
            features = whole.pool(block(features, torch.full((4,), column)))
        torch.testing.assert_close(whole.head(features.mean(dim=(2, 3))), part(images))
        assert not torch.allclose(part(images), whole(images))


def test_every_join_keeps_a_path_of_every_example() -> None:
    torch.manual_seed(0)
    block = Block(FractalNetConfig(local_drop=0.9), 3, 4, 0.0)
    alone = torch.tensor([1, 2, 3] * 20)
    kept = block._kept([3, 2], alone, 600)
    assert kept.shape == (2, 600)
    assert (kept.sum(dim=0) >= 1).all()
    assert torch.equal(kept[:, 1], torch.tensor([0.0, 1.0]))  # column 2 alone
    assert torch.equal(kept[:, 2], torch.tensor([1.0, 0.0]))  # column 3 alone
    assert 0.0 < kept[:, 60:].mean() < 0.65  # dropped often, though never both


def test_trains_and_answers() -> None:
    check_trains(TINY, 8)
    check_deterministic(TINY, 8)
    check_deterministic(TINY + "-column2", 8)


def test_exports() -> None:
    check_exports(TINY, 8)


def test_names_round_trip() -> None:
    assert all(NAMES.format(config) == name for name, config in VARIANTS.items())
    config = FractalNetConfig(columns=4, column=3, local_drop=0.2, global_share=0.25)
    assert NAMES.parse(NAMES.format(config)) == config


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fractalnet-columns9", "columns of a FractalNet"),
        ("fractalnet-column4", "column of a FractalNet must be an integer from 0 to 3"),
        ("fractalnet-channels4+8", "of one length"),
        ("fractalnet-local_drop1", "local_drop"),
    ],
)
def test_refused_knobs(name: str, said: str) -> None:
    with pytest.raises(ZooError, match=said):
        zoo.build(name)


def test_refused_images() -> None:
    assert zoo.default_resolution("fractalnet-cifar", 8) == 32
    with pytest.raises(ZooError, match="at least 32 pixels a side, got 31"):
        zoo.build("fractalnet-cifar", resolution=31)

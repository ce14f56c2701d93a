import csv
import hashlib
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo

# Parameters at 10 classes and 3 channels: imgclsmob's tables (WRN-16-10, 28-10, 40-8) and arithmetic from
# the block definition that reproduces those three (WRN-16-4).
GOLDEN = {"wrn16-4": 2_748_890, "wrn16-10": 17_116_634, "wrn28-10": 36_479_194, "wrn40-8": 35_748_314}


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


# Of wrn10-0.5 at 10 classes after torch.manual_seed(0), before its blocks could be made of other layers:
# members that were trained then must still load, and must train again to the same bits.
INITIAL = {
    3: "9f2f8a9ddbba12b465d333bd27913a4c39bf405b5a1dbc28f7827f9b7cf2915f",
    1: "c89502a5ff62e29701789e1794c657e07f53b9ad9f2e1f8db701b4857518a329",
}


@pytest.mark.parametrize("channels", sorted(INITIAL))
def test_names_and_initial_numbers_of_the_state_stay_as_they_were(channels: int) -> None:
    torch.manual_seed(0)
    digest = hashlib.sha256()
    names = []
    for name, tensor in zoo.build("wrn10-0.5", in_channels=channels).state_dict().items():
        names.append(name)
        digest.update(name.encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())

    def norm(path: str) -> list[str]:
        parts = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        return [f"{path}.{part}" for part in parts]

    blocks = []
    for group in range(3):
        path = f"groups.{group}.0"
        blocks += [*norm(f"{path}.norm1"), f"{path}.conv1.weight", *norm(f"{path}.norm2")]
        blocks += [f"{path}.conv2.weight", f"{path}.shortcut.weight"]
    assert names == ["stem.weight", *blocks, *norm("norm"), "head.weight", "head.bias"]
    assert digest.hexdigest() == INITIAL[channels]


def closed_form(blocks: int, widths: tuple[int, int, int], channels: int, classes: int) -> int:
    """Count the parameters from arXiv 1605.07146 Table 1, block by block."""
    total, inputs = 3 * 3 * channels * 16, 16
    for group, width in enumerate(widths):
        for block in range(blocks):
            total += 2 * inputs + 9 * inputs * width + 2 * width + 9 * width * width
            if inputs != width or (group > 0 and block == 0):
                total += inputs * width
            inputs = width
    return total + 2 * inputs + inputs * classes + classes


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_published_parameter_counts(name: str) -> None:
    with torch.device("meta"):
        assert parameters(zoo.build(name)) == GOLDEN[name]


def test_reference_table_agrees(shared_dir: Path) -> None:
    with open(shared_dir / "reference" / "reference_costs.csv", newline="") as file:
        rows = [row for row in csv.reader(file) if re.fullmatch(r"WRN-[0-9]+-[0-9]+", row[0])]
    counted = [
        (row[0], int(match[1])) for row in rows if (match := re.search(r"exact params ([0-9]+)", row[8]))
    ]
    assert len(counted) >= 10
    for name, expected in counted:
        with torch.device("meta"):
            assert parameters(zoo.build(name)) == expected, name


@settings(max_examples=25, deadline=None)
@given(
    blocks=st.integers(1, 4),
    width=st.integers(4, 120).map(lambda n: n / 32),
    channels=st.integers(1, 5),
    classes=st.integers(2, 101),
)
def test_parameters_follow_the_closed_form(blocks: int, width: float, channels: int, classes: int) -> None:
    widths = tuple(max(1, int(base * width + 0.5)) for base in (16, 32, 64))
    model = zoo.build(
        "wide_resnet", depth=6 * blocks + 4, width=width, in_channels=channels, num_classes=classes
    )
    assert parameters(model) == closed_form(blocks, widths, channels, classes)  # type: ignore[arg-type]


@settings(max_examples=50, deadline=None)
@given(depth=st.integers(1, 100).map(lambda n: 6 * n + 4), width=st.floats(0.125, 100.0))
def test_names_read_back(depth: int, width: float) -> None:
    name = zoo.canonical_name("wide_resnet", depth=depth, width=width)
    config = zoo.registered_families()["wide_resnet"].parse(name)
    assert (config.depth, config.width) == (depth, width)  # type: ignore[union-attr]


@pytest.mark.parametrize(("side", "channels"), [(8, 1), (11, 2), (28, 1), (32, 3)])
def test_any_size_and_channel_number(side: int, channels: int) -> None:
    model = zoo.build("wrn10-0.125", in_channels=channels, num_classes=7).eval()
    assert model(torch.rand(5, channels, side, side)).shape == (5, 7)


def test_a_stem_of_16_at_every_width_and_groups_at_full_half_quarter_resolution() -> None:
    model = zoo.build("wrn10-0.125", in_channels=1).eval()
    shapes = []
    for module in [model.stem, *model.groups]:
        module.register_forward_hook(lambda _m, _i, output: shapes.append(tuple(output.shape)))
    model(torch.rand(1, 1, 32, 32))
    assert shapes == [(1, 16, 32, 32), (1, 2, 32, 32), (1, 4, 16, 16), (1, 8, 8, 8)]


def test_a_block_with_silent_convolutions_is_the_identity() -> None:
    model = zoo.build("wrn16-1").eval()
    block = model.groups[0][0]
    torch.nn.init.zeros_(block.conv2.weight)
    images = torch.randn(2, 16, 5, 5)
    assert torch.equal(block(images), images)


def test_convolutions_have_no_bias() -> None:
    assert all(m.bias is None for m in zoo.build("wrn16-2").modules() if isinstance(m, torch.nn.Conv2d))

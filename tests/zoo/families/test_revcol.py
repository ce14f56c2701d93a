import itertools

import pytest
import torch

import zoo
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, counted, departures
from zoo.families.revcol import NAMES, PUBLISHED, VARIANTS, RevColConfig
from zoo.published import Published
from zoo.registry import ZooError

TINY = "revcol-columns3-channels6+8+10+12-layers1+2+1+1"


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row.model}-{row.resolution}")
def test_published(row: Published) -> None:
    assert departures(row) == {}


def test_every_further_column_costs_the_same() -> None:
    costs = [counted(f"revcol-columns{n}") for n in (1, 2, 3, 4, 9)]
    (p1, m1), (p2, m2), (p3, m3), (p4, m4), (p9, m9) = costs
    assert (p4 - p3, m4 - m3) == (p3 - p2, m3 - m2)
    assert (p9 - p2, m9 - m2) == (7 * (p3 - p2), 7 * (m3 - m2))
    # The first has no connections to a column before it: three ups with their norms, four alphas.
    channels = (64, 128, 256, 512)
    ups = sum((upper + 1) * lower + 2 * lower for lower, upper in itertools.pairwise(channels))
    assert (p3 - p2) - ups - sum(channels) == p1 - (
        3 * 16 * 64 + 64 + 2 * 64 + 2 * 512 + 513 * 1000  # stem with norm, last norm, head
    )
    assert m1 < m2


def test_columns_are_reversible_in_exact_arithmetic() -> None:
    """Level l of the column before follows from both columns' other levels."""
    torch.manual_seed(0)
    network = zoo.build(TINY, num_classes=5).eval().double()
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        stem = network.get_submodule("stem")(images)
        before: list[torch.Tensor | None] = [None] * 4
        made: list[list[torch.Tensor]] = []
        for column in network.get_submodule("columns").children():
            features, levels = stem, []
            for index, level in enumerate(column.children()):
                features = level(features, before[index + 1] if index < 3 else None, before[index])
                levels.append(features)
            before = [*levels]
            made.append(levels)
        earlier, later = made[1], made[2]
        last = list(network.get_submodule("columns").children())[2]
        back: list[torch.Tensor] = [torch.empty(0)] * 4
        for index in (3, 2, 1, 0):
            level = list(last.children())[index]
            below = stem if index == 0 else later[index - 1]
            above = back[index + 1] if index < 3 else None
            added = level(below, above, torch.zeros_like(later[index]))
            back[index] = (later[index] - added) / level.get_parameter("alpha")
    for found, true in zip(back, earlier, strict=True):
        torch.testing.assert_close(found, true)


def test_drop_path_rises_to_its_rate() -> None:
    network = zoo.build(TINY + "-drop_path0.3", num_classes=5)
    rates = [
        block.drop
        for level in list(network.get_submodule("columns").children())[2].children()
        for block in level.get_submodule("blocks").children()
    ]
    assert rates[0] == 0.0
    assert rates[-1] == pytest.approx(0.3)
    assert rates == sorted(rates)


def test_trains_and_answers() -> None:
    check_trains(TINY + "-drop_path0", 64)
    check_deterministic(TINY, 32)


def test_exports() -> None:
    check_exports(TINY, 32)


def test_names_round_trip() -> None:
    assert all(NAMES.format(config) == name for name, config in VARIANTS.items())
    config = RevColConfig(columns=5, kernel=7, drop_path=0.25, layers=(1, 1, 1, 1))
    assert NAMES.parse(NAMES.format(config)) == config


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("revcol-columns0", "columns of a RevCol"),
        ("revcol-kernel4", "must be odd"),
        ("revcol-channels64+128", "4 numbers, one a level"),
        ("revcol-drop_path1", "drop_path"),
    ],
)
def test_refused_knobs(name: str, said: str) -> None:
    with pytest.raises(ZooError, match=said):
        zoo.build(name)


def test_refused_images() -> None:
    assert zoo.default_resolution("revcol-tiny", 8) == 224
    with pytest.raises(ZooError, match=r"multiple of 32 pixels a side.*got 240"):
        zoo.build("revcol-tiny", resolution=240)

"""SpineNet classifiers against the authors' table; the graph; any image size."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import zoo
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, counted, departures
from zoo import ZooError
from zoo.families import spinenet
from zoo.families.spinenet import NAMES, NODES, PUBLISHED, SpineNetConfig
from zoo.families.spinenet_graph import Feature, Node, idle_parents, sized

TINY = "spinenet-width0.125-endpoints16"


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda r: r.model)
def test_published_rows_are_met(row) -> None:
    assert departures(row) == {}


def test_only_the_head_knows_the_classes() -> None:
    """Read in the same table: 23.1, 37.6, 61.6 and 129.2 million with iNaturalist's 5,089 classes."""
    for name, published in (("49", 23.1e6), ("96", 37.6e6), ("143", 61.6e6), ("190", 129.2e6)):
        parameters, _macs = counted(f"spinenet-{name}", 224, classes=5089)
        assert parameters == pytest.approx(published, rel=0.01)


def test_every_block_is_used_and_every_level_comes_out_once() -> None:
    assert sorted(node.level for node in NODES if node.output) == [3, 4, 5, 6, 7]
    stems = [Feature(2, "bottleneck", 256)] * 2
    features = [*stems, *(Feature(n.level, n.kind, 1024 if n.level > 3 else n.level) for n in NODES)]
    idle = idle_parents(NODES, features)
    used = {parent for node in NODES for parent in node.parents} | {i for found in idle for i in found}
    outputs = {2 + index for index, node in enumerate(NODES) if node.output}
    assert used | outputs == set(range(len(features)))


def test_idle_blocks_of_the_same_shape_join_outputs_once() -> None:
    nodes = [Node(3, "a", (0, 1)), Node(3, "a", (0, 1), True), Node(3, "a", (0, 3), True)]
    features = [Feature(2, "a", 8), Feature(2, "a", 8), *[Feature(3, "a", 8)] * 3]
    assert idle_parents(nodes, features) == [(), (2,), ()]


@pytest.mark.parametrize("side", [32, 37, 64])
def test_any_image_size_works(side) -> None:
    model = zoo.build(TINY, num_classes=3).eval()
    with torch.no_grad():
        assert model(torch.zeros(1, 3, side, side + 5)).shape == (1, 3)


@given(st.integers(1, 2000), st.integers(0, 7))
def test_levels_are_halvings_rounded_up(side, level) -> None:
    wanted = side
    for _ in range(level):
        wanted = (wanted + 1) // 2
    assert sized(side, level) == wanted


def test_bad_knobs_are_refused() -> None:
    with pytest.raises(ZooError, match="repeats of SpineNet must be an integer from 1 to 100, got 0"):
        SpineNetConfig(repeats=0)
    with pytest.raises(ZooError, match=r"width of SpineNet must be a number from 0\.1 to 10, got 11"):
        SpineNetConfig(width=11)


@given(st.floats(0.1, 10), st.integers(1, 100), st.floats(0.1, 4), st.integers(1, 10_000))
def test_names_read_back(width, repeats, alpha, endpoints) -> None:
    config = SpineNetConfig(width=width, repeats=repeats, alpha=alpha, endpoints=endpoints)
    assert NAMES.parse(NAMES.format(config)) == config


def test_it_trains_and_answers_the_same() -> None:
    check_trains(TINY, 128, rate=0.01)  # smaller images leave batch norm one pixel at level 7
    check_deterministic(TINY, 64)


def test_it_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = tuple(
        Node(level, "bottleneck" if level % 2 else "residual", (level - 3, level - 2), True)
        for level in (3, 4, 5, 6, 7)
    )
    monkeypatch.setattr(spinenet, "NODES", nodes)  # a short graph: exports take long
    check_exports(TINY, 32)

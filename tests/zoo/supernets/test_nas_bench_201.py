"""NAS-Bench-201: 15,625 cells, costs as its API tells them, and a closed form."""

import dataclasses
import random

from tests.zoo.network_checks import check_trains, departures
from tests.zoo.supernets.space_checks import check_names, check_network, check_sums, summed
from zoo.supernets.nas_bench_201 import OPERATIONS, SPACES, arch_string, from_arch_string

(SPACE,) = SPACES
MIXED = "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|nor_conv_3x3~1|none~2|"


def test_pieces_sum_to_the_whole() -> None:
    check_sums(SPACE)


def test_names() -> None:
    check_names(SPACE)


def test_size() -> None:
    assert SPACE.size == 15_625


def test_published_costs() -> None:
    for row in SPACE.figures:
        assert departures(row) == {}


def test_text_of_the_benchmark_comes_back() -> None:
    rng = random.Random(5)
    for _ in range(20):
        choice = SPACE.sample(rng)
        assert from_arch_string(arch_string(choice)) == choice


def test_each_operation_adds_what_it_has() -> None:
    """Five cells a stage: a 3x3 convolution adds 5 x (9 c^2 + 2c) parameters at each of three widths."""
    nothing = (("none",) * 6,)
    base = summed(SPACE, nothing)
    kernels = {"none": 0, "skip_connect": 0, "avg_pool_3x3": 0, "nor_conv_1x1": 1, "nor_conv_3x3": 9}
    for name in OPERATIONS:
        one = summed(SPACE, ((name, *("none",) * 5),))
        weights = kernels[name]
        norms = 2 if weights else 0
        assert one[0] - base[0] == 5 * sum(weights * c * c + norms * c for c in (16, 32, 64))
        assert one[1] - base[1] == 5 * sum(weights * (16 * 32) ** 2 for _ in range(3))


def test_trains_answers_alike_and_exports() -> None:
    toy = dataclasses.replace(SPACE, cells=1)
    check_network(toy.build(from_arch_string(MIXED), num_classes=5), (3, 8, 8))
    check_trains(SPACE.format(SPACE.largest()), 8)

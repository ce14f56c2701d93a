"""Once-for-all, ProxylessNAS, AttentiveNAS with AlphaNet, BigNAS, SpaceEvo: sizes, costs, names."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from explorer.measure.trace import build_on_meta, count_model
from explorer.run.subnets import SubnetCosts
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains
from zoo.registry import ZooError
from zoo.supernets import Choice, SearchSpace, spaces
from zoo.supernets.attentive import ATTENTIVENAS
from zoo.supernets.bignas import BIGNAS
from zoo.supernets.ofa import MOBILENETV3, MOBILENETV3_WIDE, PROXYLESS
from zoo.supernets.ofa_resnet import RESNET50
from zoo.supernets.proxyless import SPACE
from zoo.supernets.spaceevo import PIXEL4, VNNI

OURS = (MOBILENETV3, MOBILENETV3_WIDE, PROXYLESS, RESNET50, ATTENTIVENAS, BIGNAS, SPACE, PIXEL4, VNNI)
counted = {space.name: SubnetCosts(space) for space in OURS}
every_space = pytest.mark.parametrize("space", OURS, ids=lambda space: space.name)


def whole(space: SearchSpace, choice: Choice) -> tuple[int, int, int]:
    """MACs, parameters and element-wise operations of the network built in one."""
    side = space.resolution(choice)
    network, _note = build_on_meta(lambda: space.build(choice))
    cost = count_model(network, (1, 3, side, side), strict=True, own=True)
    return cost.macs, cost.parameters, cost.elementwise_ops


@every_space
def test_pieces_sum_to_the_network(space: SearchSpace) -> None:
    costs = counted[space.name]
    ends = costs.of(space.smallest()), costs.of(space.largest())
    for choice in (space.smallest(), space.largest(), space.sample(random.Random(3))):
        cost = costs.of(choice)
        assert (cost.macs, cost.parameters, cost.elementwise_ops) == whole(space, choice)
        assert ends[0].macs <= cost.macs <= ends[1].macs
        assert ends[0].parameters <= cost.parameters <= ends[1].parameters


def test_sizes_are_exact() -> None:
    stage = 9**2 + 9**3 + 9**4
    assert MOBILENETV3.architectures == stage**5 == 21_758_655_492_572_485_851
    assert MOBILENETV3.size == 25 * stage**5
    assert MOBILENETV3.architectures > 10**19  # what the paper claims
    assert PROXYLESS.architectures == 9 * stage**5
    assert SPACE.size == 6**6 * 7**15
    blocks = (3**2 + 3**3 + 3**4) ** 3 * (3**4 + 3**5 + 3**6)
    assert RESNET50.architectures == 2 * 3**6 * blocks
    # widths x depths x kernels x expansions of the seven stages, and of stem and last convolution
    assert ATTENTIVENAS.architectures == 2 * 8 * 36 * 48 * 48 * 108 * 48 * 8 * 2
    assert BIGNAS.architectures == 2 * 4 * 4 * 8 * 12 * 30 * 40 * 8 * 2


@every_space
def test_drawing_reaches_every_option_and_only_those(space: SearchSpace) -> None:
    rng = random.Random(11)
    drawn = [space.sample(rng) for _ in range(150)]
    for choice in drawn:
        space.check(choice)
        space.check(space.mutate(choice, rng, 0.5))
    for index, dimension in enumerate(space.dimensions):  # type: ignore[attr-defined]  # of elastic spaces
        assert {len(choice[index]) for choice in drawn} == set(dimension.depths)
    assert space.sample(random.Random(1)) == space.sample(random.Random(1))


def test_skipping_is_drawn_as_often_as_each_operator() -> None:
    rng = random.Random(0)
    skips = sum(not blocks for _ in range(300) for blocks in SPACE.sample(rng)[1:])
    assert 0.8 < skips / (300 * 15 / 7) < 1.2


@every_space
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_names_round_trip(space: SearchSpace, seed: int) -> None:
    choice = space.sample(random.Random(seed))
    name = space.format(choice)
    assert space.parse(name) == choice
    assert zoo.canonical_name(name) == name
    assert zoo.default_resolution(name, 32) == space.resolution(choice)


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        # PyPI ofa 0.1.0: set_active_subnet, get_active_subnet, counted at the resolution of the name
        (
            "ofa_mobilenetv3-r144-k3e3+k7e3+k5e6-k7e3+k3e3-k3e3+k3e6+k5e3-k3e3+k7e6+k7e3+k7e6-k3e3+k7e3+k5e4",
            4_802_648,
            116_139_064,
        ),
        (
            "ofa_mobilenetv3_w1.2-r172-k7e6+k3e3+k7e6-k5e3+k7e6+k3e6-k3e4+k7e6-k5e4+k7e4+k5e4-k3e6+k3e3",
            5_750_256,
            270_800_944,
        ),
        (
            "ofa_proxylessnas-r192-k5e6+k5e4+k7e3-k5e3+k5e3-k5e3+k7e3+k7e6+k5e4-k7e4+k7e4+k3e3+k5e4"
            "-k3e3+k7e6+k5e6+k7e6-k5e6",
            6_934_752,
            441_184_256,
        ),
        (
            "ofa_resnet50-r212-d1i0.8o0.65-w0.8-e0.25+e0.2-w0.8-e0.25+e0.2+e0.2-w1-e0.2+e0.25+e0.35+e0.25"
            "-w0.8-e0.25+e0.2+e0.2+e0.2",
            17_905_296,
            2_439_314_016,
        ),
        (RESNET50.format(RESNET50.smallest()), 6_539_280, 315_079_552),
        (RESNET50.format(RESNET50.largest()), 48_105_992, 7_491_643_904),
        (MOBILENETV3.format(MOBILENETV3.largest()), 7_664_760, 566_170_656),
        (PROXYLESS.format(PROXYLESS.smallest()), 3_718_832, 87_823_104),
    ],
)
def test_counts_equal_those_of_the_reference_code(name: str, parameters: int, macs: int) -> None:
    space = next(space for space in OURS if name.startswith(f"{space.name}-"))
    choice = space.parse(name)
    assert choice is not None
    assert whole(space, choice)[:2] == (macs, parameters)


@every_space
def test_published_costs_are_met(space: SearchSpace) -> None:
    costs = counted[space.name]
    for row in space.figures:
        assert not row.departs
        choice = space.published[row.model]
        assert space.resolution(choice) == row.resolution
        cost = costs.of(choice)
        for ours, theirs, rounding, tolerance in (
            (cost.macs, row.macs, row.macs_rounding, 0.03),
            (cost.parameters, row.parameters, row.parameters_rounding, 0.01),
        ):
            assert theirs is None or abs(ours - theirs) <= tolerance * theirs + rounding, row


def test_every_published_alphanet_is_there() -> None:
    assert {row.model for row in ATTENTIVENAS.figures} == set(ATTENTIVENAS.published)
    assert len(ATTENTIVENAS.figures) == 7 + 8
    assert ATTENTIVENAS.published["alphanet-a0"] == ATTENTIVENAS.smallest()
    assert zoo.canonical_name("alphanet-a0") == "attentivenas-a0"


def test_bignas_reaches_its_children() -> None:
    # 242, 418, 586 and 1,040 million multiply-adds: arXiv 2003.11142, abstract and results
    costs = counted["bignas"]
    assert costs.of(BIGNAS.smallest()).macs <= 242e6
    assert costs.of(BIGNAS.largest()).macs >= 1040e6


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ofa_mobilenetv3-r128-k3e3", "wanted 6 decisions after the name, got 2"),
        ("ofa_mobilenetv3-r130-" + "-".join(["k3e3+k3e3"] * 5), "pixels a side of resolution"),
        ("ofa_mobilenetv3-r128-" + "-".join(["k3e3"] * 5), "stage 1 has 2, 3 or 4 blocks, got 1"),
        ("ofa_mobilenetv3-r128-" + "-".join(["k3e5+k3e3"] * 5), "expansion of stage 1 is 3, 4 or 6, got 5"),
        ("ofa_mobilenetv3-r128-" + "-".join(["e3k3"] * 5), "'e3k3' is no stage 1; wanted e.g. k3e3+k3e3"),
        ("attentivenas-a9", "did you mean attentivenas-a"),
    ],
)
def test_wrong_names_are_told_in_one_line(text: str, says: str) -> None:
    with pytest.raises(ZooError) as caught:
        zoo.build(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_name_of_a_space_names_no_sub_network() -> None:
    with pytest.raises(ZooError, match="is a space of 543966387314312146275 sub-networks: name one"):
        MOBILENETV3.parse("ofa_mobilenetv3")


def test_unlike_names_are_not_of_a_space() -> None:
    for space in OURS:
        assert space.parse("wrn16-4") is None
        assert space.parse(f"{space.name}x-r128") is None
    with pytest.raises(ZooError, match="has 6 decisions, got 1"):
        MOBILENETV3.check((((128,),),))
    with pytest.raises(ZooError, match="is written"):
        MOBILENETV3.check((((128,),), 3, 3, 3, 3, 3))


@every_space
def test_smallest_networks_train(space: SearchSpace) -> None:
    check_trains(space.format(space.smallest()), 32)


@pytest.mark.parametrize("space", [MOBILENETV3, RESNET50, BIGNAS, VNNI], ids=lambda space: space.name)
def test_smallest_networks_are_deterministic(space: SearchSpace) -> None:
    check_deterministic(space.format(space.smallest()), 64)


def test_smallest_network_exports() -> None:
    check_exports("attentivenas-a0", 32)


def test_spaces_are_registered_with_their_systems() -> None:
    systems = {key for space in OURS for key in space.systems}
    assert systems >= {"once-for-all", "bignas", "attentivenas", "alphanet", "proxylessnas", "spaceevo"}
    for space in OURS:
        assert spaces()[space.name] is space
        assert zoo.registered_families()[space.name].systems == space.systems
        assert len({space, spaces()[space.name]}) == 1

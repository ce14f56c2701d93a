import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import zoo
from zoo.families.packed import Packed, PackedConfig, PackedLinear
from zoo.families.wide_resnet import Layers, WideResNet


def build(members: int, *, width: float = 0.7, alpha: float = 2.0, depth: int = 10) -> Packed:
    torch.manual_seed(0)
    config = PackedConfig(depth=depth, width=width, members=members, alpha=alpha)
    return Packed(config, in_channels=2, num_classes=5)


def narrow(config: PackedConfig) -> WideResNet:
    """One member as a network of its own."""
    layers = Layers(channels=lambda planned: math.ceil(config.alpha * planned / config.members))
    return WideResNet(config.network, 2, 5, layers).eval()


@pytest.mark.parametrize(("members", "width"), [(2, 1.0), (3, 0.7), (4, 0.25)])
def test_a_member_is_a_narrow_network_of_its_own(members: int, width: float) -> None:
    model = build(members, width=width)
    config = PackedConfig(depth=10, width=width, members=members)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter)
    for _ in range(5):
        model(torch.rand(16, 2, 8, 8))
    model.eval()
    images = torch.rand(4, 2, 9, 9)

    with torch.no_grad():
        each = model.member_logits(images)
        for number in range(members):
            alone = narrow(config)
            state = {
                name: value if value.ndim == 0 else value.chunk(members)[number]
                for name, value in model.net.state_dict().items()
            }
            alone.load_state_dict(state)
            torch.testing.assert_close(each[number], alone(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["wrn10-1", "wrn16-0.5", "wrn10-0.3"])
def test_one_member_with_alpha_one_has_the_plain_networks_shapes_and_numbers(name: str) -> None:
    plain = zoo.build(name, in_channels=2, num_classes=5).eval()
    one = zoo.build(f"{name}+packed1a1", in_channels=2, num_classes=5).eval()
    shapes = {key: value.shape for key, value in one.net.state_dict().items()}

    assert shapes == {key: value.shape for key, value in plain.state_dict().items()}
    one.net.load_state_dict(plain.state_dict())
    images = torch.rand(3, 2, 8, 8)
    torch.testing.assert_close(one.member_logits(images)[0], plain(images))


@settings(max_examples=20, deadline=None)
@given(
    members=st.integers(1, 7),
    width=st.floats(0.125, 2.0),
    alpha=st.floats(0.25, 4.0),
    blocks=st.integers(1, 2),
)
def test_channels_are_rounded_up_to_whole_groups(
    members: int, width: float, alpha: float, blocks: int
) -> None:
    depth = 6 * blocks + 4
    with torch.device("meta"):
        model = build(members, width=width, alpha=alpha, depth=depth)
    planned = [16, *(max(1, int(base * width + 0.5)) for base in (16, 32, 64))]

    built = [model.net.stem.out_channels, *(group[-1].conv2.out_channels for group in model.net.groups)]

    for channels, plan in zip(built, planned, strict=True):
        assert channels % members == 0
        assert alpha * plan <= channels < alpha * plan + members
    inside = [m for m in model.net.groups.modules() if isinstance(m, nn.Conv2d)]
    assert {conv.groups for conv in inside} == {members}
    assert model.net.stem.groups == 1


def test_weights_start_as_in_the_members_own_networks() -> None:
    """He's standard deviation by a member's fan-out: sqrt(2 / (9 x channels of a member))."""
    model = build(4, width=8.0)
    for conv in (model.net.stem, model.net.groups[2][0].conv2):
        wanted = math.sqrt(2 / (9 * conv.out_channels / 4))
        sampling = 4 / math.sqrt(2 * conv.weight.numel())  # four standard errors, relative
        assert float(conv.weight.detach().std()) == pytest.approx(wanted, rel=sampling)
    head = model.net.head
    assert isinstance(head, PackedLinear)
    bound = 1 / math.sqrt(head.weight.shape[1])
    assert 0.95 * bound < float(head.weight.detach().abs().max()) <= bound
    assert not head.bias.any()

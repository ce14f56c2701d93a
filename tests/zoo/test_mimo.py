import pytest
import torch

import zoo
from zoo.families.mimo import Mimo, MimoConfig


@pytest.fixture
def model() -> Mimo:
    torch.manual_seed(0)
    return Mimo(MimoConfig(depth=10, width=0.25, members=3), in_channels=2, num_classes=5).eval()


def test_only_the_stem_and_the_head_are_wider(model: Mimo) -> None:
    plain = zoo.build("wrn10-0.25", in_channels=2, num_classes=5).state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in model.net.state_dict().items()}

    differ = {name: shape for name, shape in shapes.items() if shape != tuple(plain[name].shape)}

    assert shapes.keys() == plain.keys()
    assert differ == {"stem.weight": (16, 6, 3, 3), "head.weight": (15, 16), "head.bias": (15,)}


def test_each_member_reads_its_own_channels_and_has_its_own_head(model: Mimo) -> None:
    images = torch.rand(4, 2, 8, 8)
    orders = torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2]])

    with torch.no_grad():
        each = model.member_logits(images, orders)
        for example in range(4):
            stacked = torch.cat([images[orders[m, example]] for m in range(3)])
            by_hand = model.net(stacked[None])[0].reshape(3, 5)
            torch.testing.assert_close(each[:, example], by_hand)


def test_without_orders_everybody_sees_the_same_image(model: Mimo) -> None:
    images = torch.rand(4, 2, 8, 8)
    with torch.no_grad():
        same = model.member_logits(images, torch.arange(4).repeat(3, 1))
        torch.testing.assert_close(model.member_logits(images), same)
    assert model.independent_inputs


def test_one_member_is_the_plain_network() -> None:
    torch.manual_seed(4)
    one = Mimo(MimoConfig(depth=10, width=0.5, members=1), in_channels=1, num_classes=5).eval()
    torch.manual_seed(4)
    plain = zoo.build("wrn10-0.5", in_channels=1, num_classes=5).eval()
    images = torch.rand(3, 1, 8, 8)

    assert torch.equal(one.member_logits(images)[0], plain(images))
    torch.testing.assert_close(one(images), plain(images).log_softmax(1))

import torch
from torch import nn

import zoo
from zoo.families.shared_trunk import SharedTrunk, SharedTrunkConfig


def build(members: int, *, seed: int = 0) -> SharedTrunk:
    torch.manual_seed(seed)
    return SharedTrunk(SharedTrunkConfig(depth=16, width=0.5, members=members), 2, 5)


def test_members_are_plain_networks_with_one_trunk() -> None:
    model = build(3)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter)
    for _ in range(5):
        model(torch.rand(16, 2, 8, 8))
    model.eval()
    images = torch.rand(4, 2, 9, 9)

    with torch.no_grad():
        each = model.member_logits(images)
        for number, branch in enumerate(model.branches):
            plain = zoo.build("wrn16-0.5", in_channels=2, num_classes=5).eval()
            plain.stem.load_state_dict(model.stem.state_dict())
            for index in (0, 1):
                plain.groups[index].load_state_dict(model.groups[index].state_dict())
            plain.groups[2].load_state_dict(branch.group.state_dict())
            plain.norm.load_state_dict(branch.norm.state_dict())
            plain.head.load_state_dict(branch.head.state_dict())
            torch.testing.assert_close(each[number], plain(images))
    assert len(model.groups) == 2


def test_branches_start_apart() -> None:
    heads = [branch.head.weight for branch in build(3).branches]
    last = [branch.group[0].conv1.weight for branch in build(3).branches]

    for weights in (heads, last):
        assert not torch.equal(weights[0], weights[1])
        assert not torch.equal(weights[1], weights[2])


def test_the_trunk_runs_once() -> None:
    model, calls = build(4).eval(), []
    model.stem.register_forward_hook(lambda *_: calls.append("stem"))
    for branch in model.branches:
        branch.register_forward_hook(lambda *_: calls.append("branch"))

    model(torch.rand(2, 2, 8, 8))

    assert calls == ["stem"] + ["branch"] * 4


def test_every_member_moves_the_trunk() -> None:
    model, images = build(3), torch.rand(8, 2, 8, 8)
    for number in range(3):
        model.zero_grad()
        model.member_logits(images)[number].square().sum().backward()
        assert model.stem.weight.grad is not None
        assert model.stem.weight.grad.any()
        moved = [any(p.grad is not None and p.grad.any() for p in b.parameters()) for b in model.branches]
        assert moved == [branch == number for branch in range(3)]

import pytest
import torch
from torch import nn

import zoo
from zoo.families.batch_ensemble import BatchEnsemble, BatchEnsembleConfig, RankOneConv2d, RankOneLinear
from zoo.families.wide_resnet import WideResNet

MEMBERS = 3


def build(members: int, *, seed: int = 0) -> BatchEnsemble:
    torch.manual_seed(seed)
    return BatchEnsemble(BatchEnsembleConfig(depth=16, width=0.25, members=members), 2, 5)


@pytest.fixture
def model() -> BatchEnsemble:
    """Vectors, biases and running statistics unlike those of the beginning."""
    built = build(MEMBERS)
    for parameter in built.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter)
    for _ in range(5):
        built(torch.rand(16, 2, 8, 8))
    return built.eval()


def member_of(model: BatchEnsemble, number: int) -> WideResNet:
    """The plain network with the member's weights W * (s r^T), written out."""
    state = model.net.state_dict()
    plain = {}
    for name in list(state):
        path, _, part = name.rpartition(".")
        if part in ("r", "s"):
            continue
        value = state[name]
        if f"{path}.r" in state and part == "weight":
            r, s = (state[f"{path}.{v}"].view(MEMBERS, -1)[number] for v in "rs")
            value = value * torch.outer(s, r).reshape(len(s), len(r), *[1] * (value.ndim - 2))
        if f"{path}.r" in state and part == "bias":
            value = value.view(MEMBERS, -1)[number]
        plain[name] = value
    network = zoo.build("wrn16-0.25", in_channels=2, num_classes=5).eval()
    network.load_state_dict(plain)
    assert isinstance(network, WideResNet)
    return network


def test_a_member_is_the_plain_network_with_its_rank_one_weights(model: BatchEnsemble) -> None:
    images = torch.rand(4, 2, 9, 9)
    with torch.no_grad():
        each = model.member_logits(images)
        for number in range(MEMBERS):
            by_hand = member_of(model, number)(images)
            torch.testing.assert_close(each[number], by_hand, rtol=1e-4, atol=1e-4)


def test_with_all_vectors_one_every_member_is_the_plain_network() -> None:
    model = build(MEMBERS).eval()
    torch.manual_seed(0)
    plain = zoo.build("wrn16-0.25", in_channels=2, num_classes=5).eval()
    shared = {name: value for name, value in plain.state_dict().items() if name != "head.bias"}
    assert model.net.load_state_dict(shared, strict=False).unexpected_keys == []
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, RankOneConv2d | RankOneLinear):
                module.r.fill_(1.0)
                module.s.fill_(1.0)
        images = torch.rand(4, 2, 8, 8)

        each = model.member_logits(images)

        for member in each:
            torch.testing.assert_close(member, plain(images), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(model(images).softmax(1), plain(images).softmax(1))


def test_every_convolution_and_the_head_have_vectors_of_random_signs() -> None:
    model = build(5)
    plain = zoo.build("wrn16-0.25", in_channels=2, num_classes=5)
    layers = [name for name, m in plain.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    found = {n: m for n, m in model.net.named_modules() if isinstance(m, RankOneConv2d | RankOneLinear)}

    assert list(found) == layers
    signs = []
    for name, module in found.items():
        outputs, inputs = module.weight.shape[:2]
        assert (module.r.shape, module.s.shape) == ((5 * inputs,), (5 * outputs,)), name
        signs += [module.r.detach(), module.s.detach()]
    every = torch.cat(signs)
    assert set(every.tolist()) == {-1.0, 1.0}
    assert abs(float(every.mean())) < 4 / len(every) ** 0.5  # four standard errors


def test_weight_decay_by_axes_leaves_the_vectors_alone() -> None:
    for name, parameter in build(2).named_parameters():
        vector = name.endswith((".r", ".s", "bias")) or "norm" in name
        assert (parameter.ndim == 1) == vector, name


def test_vectors_keep_the_precision_of_autocast(model: BatchEnsemble) -> None:
    images, seen = torch.rand(4, 2, 8, 8), []
    model.net.groups[0].register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0].dtype))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        narrow = model(images)

    assert seen == [torch.bfloat16]
    assert narrow.dtype == torch.float32  # sums of exponentials are not left to bfloat16
    assert (narrow.argmax(1) == model(images).argmax(1)).any()


def test_batch_norms_are_shared() -> None:
    plain = zoo.build("wrn16-0.25", in_channels=2, num_classes=5)
    wanted = {n: m.num_features for n, m in plain.named_modules() if isinstance(m, nn.BatchNorm2d)}
    found = {n: m.num_features for n, m in build(4).net.named_modules() if isinstance(m, nn.BatchNorm2d)}

    assert found == wanted

import re

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import zoo
from explorer.spec import parse_design, parse_member, parse_model
from zoo.families.inner_ensemble import METHODS, InnerEnsemble

NAMES = ("wrn10-0.25+mimo3", "wrn10-0.25+batch3", "wrn10-0.5+packed3", "wrn10-0.25+trunk3")
FAMILIES = {"mimo": "mimo", "batch": "batch_ensemble", "packed": "packed", "trunk": "shared_trunk"}


def network(name: str, *, seed: int = 0, channels: int = 2, classes: int = 5) -> InnerEnsemble:
    """A network whose running statistics and answers are not those of the beginning."""
    torch.manual_seed(seed)
    model = zoo.build(name, in_channels=channels, num_classes=classes)
    assert isinstance(model, InnerEnsemble)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter, mean=0.5)
    for _ in range(8):
        model(torch.rand(16, channels, 8, 8))
    return model.eval()


def members_loss(model: InnerEnsemble, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean over the members of the cross entropy, as a training has it."""
    orders = None
    if model.independent_inputs:
        orders = torch.stack([torch.randperm(len(images)) for _ in range(model.members)])
    logits = model.member_logits(images, orders)
    wanted = labels.repeat(model.members, 1) if orders is None else labels[orders]
    return F.cross_entropy(logits.flatten(0, 1), wanted.flatten())


# ---- answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("examples", [1, 7])
def test_the_answer_is_the_mean_of_the_members_probabilities(name: str, examples: int) -> None:
    model, images = network(name), torch.rand(examples, 2, 9, 9)

    with torch.no_grad():
        each, whole = model.member_logits(images), model(images)

    assert each.shape == (3, examples, 5)
    assert whole.shape == (examples, 5)
    mean = each.softmax(2).mean(0)
    torch.testing.assert_close(whole.softmax(1), mean)
    torch.testing.assert_close(whole, mean.log(), rtol=1e-4, atol=1e-5)
    assert (each.softmax(2) - mean).abs().max() > 1e-3  # they are not all one


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_is_deterministic_and_the_batch_does_not_matter(name: str) -> None:
    model, images = network(name), torch.rand(6, 2, 8, 8)

    with torch.no_grad():
        first, again = model(images), model(images)
        alone = torch.cat([model(image[None]) for image in images])

    assert torch.equal(first, again)
    torch.testing.assert_close(first, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_certain_members_give_no_infinities(name: str) -> None:
    model = network(name)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                module.weight.mul_(1e4)

        assert torch.isfinite(model(torch.rand(4, 2, 8, 8))).all()


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_network(name: str) -> None:
    first, same, other = (network(name, seed=seed).state_dict() for seed in (0, 0, 1))

    assert all(torch.equal(first[key], same[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", NAMES)
def test_a_state_loads_into_a_network_built_without_memory(name: str) -> None:
    with torch.device("meta"):
        empty = zoo.build(name, in_channels=2, num_classes=5)
    assert all(parameter.is_meta for parameter in empty.parameters())
    model, images = network(name), torch.rand(3, 2, 8, 8)

    empty.load_state_dict(model.state_dict(), assign=True)

    assert torch.equal(empty.eval()(images), model(images))


# ---- training ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_step_lowers_the_loss_and_every_parameter_has_a_gradient(name: str) -> None:
    torch.manual_seed(1)
    model = zoo.build(name, in_channels=1, num_classes=5)
    images, labels = torch.rand(32, 1, 8, 8), torch.arange(32) % 5
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)

    def loss() -> torch.Tensor:
        torch.manual_seed(2)  # the same orders before and after
        return members_loss(model, images, labels)

    before = loss()
    before.backward()
    for path, parameter in model.named_parameters():
        assert parameter.grad is not None, path
        assert torch.isfinite(parameter.grad).all(), path
        assert parameter.grad.any(), path
    optimizer.step()

    assert loss() < before


@pytest.mark.parametrize("name", NAMES)
def test_networks_of_several_seeds_train_side_by_side(name: str) -> None:
    """One step of two networks by `torch.func`, as the stacked trainer takes it, and one by one."""
    torch.manual_seed(4)
    nets = [zoo.build(name, in_channels=1, num_classes=5) for _ in range(2)]
    images, labels = torch.rand(2, 6, 1, 8, 8), torch.arange(6) % 5
    orders = torch.stack([torch.stack([torch.randperm(6) for _ in range(3)]) for _ in nets])
    shared = not nets[0].independent_inputs

    class Loss(nn.Module):
        def __init__(self, net: nn.Module) -> None:
            super().__init__()
            self.net = net

        def forward(self, images: torch.Tensor, orders: torch.Tensor) -> torch.Tensor:
            logits = self.net.member_logits(images, None if shared else orders)
            wanted = labels.repeat(3, 1) if shared else labels[orders]
            return F.cross_entropy(logits.flatten(0, 1), wanted.flatten())

    losses = [Loss(net) for net in nets]
    parameters, buffers = torch.func.stack_module_state(losses)

    def one(parameters: dict, buffers: dict, images: torch.Tensor, orders: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(losses[0], (parameters, buffers), (images, orders))

    stacked = torch.func.vmap(torch.func.grad(one), randomness="different")(
        parameters, buffers, images, orders
    )

    for number, loss in enumerate(losses):
        loss(images[number], orders[number]).backward()
        for path, parameter in loss.named_parameters():
            torch.testing.assert_close(stacked[path][number], parameter.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_classifier_in_channels_last_answers_the_same(name: str) -> None:
    torch.manual_seed(3)
    model = zoo.build_classifier(name, channels=2, classes=5, native=8, mean=[0.4, 0.5], std=[0.2, 0.3])
    images = torch.rand(4, 2, 8, 8)
    plain = model.eval()(images)

    last = model.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))

    torch.testing.assert_close(last, plain, rtol=1e-4, atol=1e-5)


# ---- orders ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in NAMES if "mimo" not in name])
def test_members_that_share_their_inputs_take_no_orders(name: str) -> None:
    model = network(name)
    assert not model.independent_inputs
    with pytest.raises(zoo.ZooError, match=r"answer the same images; orders must be None, got \[3, 4\]"):
        model.member_logits(torch.rand(4, 2, 8, 8), torch.arange(4).repeat(3, 1))


@pytest.mark.parametrize("shape", [(2, 4), (3, 5), (12,), (4, 3)])
def test_orders_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    message = re.escape(f"orders must be [member, example] = [3, 4], got {list(shape)}")
    with pytest.raises(zoo.ZooError, match=message):
        network(NAMES[0]).member_logits(torch.rand(4, 2, 8, 8), torch.zeros(shape, dtype=torch.int64))


# ---- names -------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    method=st.sampled_from(sorted(METHODS)),
    depth=st.integers(1, 20).map(lambda n: 6 * n + 4),
    width=st.floats(0.125, 100.0),
    members=st.integers(1, 64),
)
def test_names_read_back(method: str, depth: int, width: float, members: int) -> None:
    knobs = {"depth": depth, "width": width, "members": members}
    if method == "packed":
        knobs["alpha"] = 2.0
    name = zoo.canonical_name(FAMILIES[method], **knobs)

    config = zoo.family_of(name).parse(name)

    assert zoo.family_of(name).name == FAMILIES[method]
    assert name.endswith(f"+{method}{members}")
    assert {knob: getattr(config, knob) for knob in knobs} == knobs
    assert zoo.canonical_name(name) == name


@settings(max_examples=30, deadline=None)
@given(members=st.integers(1, 64), alpha=st.floats(0.125, 64.0))
def test_packed_names_say_an_unusual_alpha(members: int, alpha: float) -> None:
    name = zoo.canonical_name("packed", depth=10, width=1, members=members, alpha=alpha)

    config = zoo.registered_families()["packed"].parse(name)

    assert config.alpha == alpha
    assert ("a" in name.partition("+packed")[2]) == (alpha != 2.0)


@pytest.mark.parametrize(
    "name", ["wrn10-1+mimo2", "wrn10-0.5+batch4", "wrn10-1+packed4a1.5", "wrn28-10+trunk3"]
)
def test_names_are_names_of_members_and_designs(name: str) -> None:
    assert parse_model(f"{name}@28").name == name
    member = parse_member(f"{name}@28~reference-2ba43935#3")
    assert (member.name, member.seed) == (name, 3)
    design = f"wrn10-1@28#0 -> [p>=0.9] mean({name}@28#0, {name}@28#1)"
    assert str(parse_design(design)) == design


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "wrn10-1+foo4",
            r"'wrn10-1\+foo4': no ensemble inside one network is written '\+foo4'; there are \+mimoM, "
            r"\+batchM, \+packedM, \+trunkM for M members, e\.g\. wrn10-1\+mimo2",
        ),
        ("wrn10-1+", r"is written '\+'; there are \+mimoM"),
        ("wrn10-1+4", r"is written '\+4'; there are \+mimoM"),
        ("wrn10-1+mimos2", r"is written '\+mimos2'; there are \+mimoM"),
        ("wrn10-1+mimo", r"\+mimo wants the number of members and no more, got ''; e\.g\. wrn10-1\+mimo2"),
        ("wrn10-1+batch2.5", r"\+batch wants the number of members and no more, got '2\.5'"),
        ("wrn10-1+mimo2+batch4", r"\+mimo wants the number of members and no more, got '2\+batch4'"),
        ("wrn10-1+packed4a", r"\+packed wants the number of members and no more, got '4a'"),
        ("wrn10-1+packeda2", r"is written '\+packeda2'; there are \+mimoM"),
        (
            "wrn10-1+trunk0",
            "members of an ensemble inside one network must be an integer from 1 to 64, got 0",
        ),
        ("wrn10-1+mimo65", "members .* must be an integer from 1 to 64, got 65"),
        ("wrn10-1+packed4a0", "alpha of a packed ensemble must be a number from 0.125 to 64, got 0.0"),
        ("wrn11-1+mimo2", r"depth of a wide ResNet must be 6n \+ 4, got 11; try 10 or 16"),
        ("wrn10-0+batch2", "width of a wide ResNet must be a number from 0.125 to 100, got 0.0"),
        ("mobile-x1+mimo2", r"is built over a wide ResNet \(wrnDEPTH-WIDTH\), got 'mobile-x1'"),
        ("+trunk2", r"is built over a wide ResNet \(wrnDEPTH-WIDTH\), got ''"),
        ("mobile-x1+foo2", r"unknown model 'mobile-x1\+foo2'"),
    ],
)
def test_bad_names_are_refused_in_one_line(name: str, message: str) -> None:
    with pytest.raises(zoo.ZooError, match=message) as caught:
        zoo.build(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_members_must_be_a_whole_number(method: str) -> None:
    knobs = {"alpha": 2.0} if method == "packed" else {}
    with pytest.raises(zoo.ZooError, match=r"members of an ensemble .* got 2\.0"):
        zoo.build(FAMILIES[method], depth=10, width=1.0, members=2.0, **knobs)
    with pytest.raises(zoo.ZooError, match="takes the knobs depth, width, members"):
        zoo.build(FAMILIES[method], depth=10, width=1.0)

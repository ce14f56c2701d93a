"""RepVGG in both forms: as trained, and as shipped."""

import pytest
import torch

import zoo
from explorer.accounting import count
from explorer.measure.deploy import deploy
from explorer.measure.trace import build_on_meta, trace_model
from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, counted
from zoo.families.repvgg import RepVGGConfig

TINY = "repvgg-depths1+2+1+1-a0.125-b0.25-groups2"


def convolutions(config: RepVGGConfig, side: int) -> tuple[int, int, int]:
    """Return weights of 3x3 kernels, their multiply-adds at ``side``, and all outputs, by hand."""
    weights = macs = outputs = 0
    plan = [(min(64, int(64 * config.a)), 1), *zip(config.channels, config.depths, strict=True)]
    inputs = 3
    for stage, (channels, depth) in enumerate(plan):
        side = -(-side // 2)
        for index in range(depth):
            groups = config.groups if stage and index % 2 else 1
            kernel = 9 * inputs * channels // groups
            weights, macs, outputs = weights + kernel, macs + kernel * side**2, outputs + channels
            inputs = channels
    return weights, macs, outputs


NAMED = ("repvgg-a0", "repvgg-a2", "repvgg-b1g4")


@pytest.mark.parametrize("name", [*NAMED, TINY])
def test_shipped_form_by_hand(name: str) -> None:
    config = zoo.registered_families()["repvgg"].parse(name)
    assert isinstance(config, RepVGGConfig)
    weights, macs, outputs = convolutions(config, 224)
    head = config.channels[-1] * 1000
    assert counted(f"{name}-deploy" if name in NAMED else f"{name}-deploy1", 224) == (
        weights + outputs + head + 1000,
        macs + head,
    )


@pytest.mark.parametrize("name", NAMED)
def test_deploying_the_trained_form_gives_the_shipped_one(name: str) -> None:
    trained, _note = build_on_meta(lambda: zoo.build(name, num_classes=1000))
    made = deploy(trained, (1, 3, 224, 224))
    blocks = zoo.registered_families()["repvgg"].parse(name).depths  # type: ignore[union-attr]  # a variant
    assert made.reparameterised == 1 + sum(blocks)
    cost = count(trace_model(made.model, (1, 3, 224, 224)))
    assert (cost.parameters, cost.macs) == counted(f"{name}-deploy", 224)
    parameters, macs = counted(name, 224)
    # A 1x1 branch beside each 3x3 one: a ninth more multiply-adds, all of them gone when shipped.
    config = zoo.registered_families()["repvgg"].parse(name)
    head = config.channels[-1] * 1000  # type: ignore[union-attr]  # a variant
    assert 9 * (macs - head) == 10 * (cost.macs - head)
    assert parameters > cost.parameters


def test_outputs_stay() -> None:
    torch.manual_seed(0)
    model = zoo.build(TINY, num_classes=7).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            torch.nn.init.uniform_(module.running_mean, -0.3, 0.3)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            deploy(model, (1, 3, 64, 64)).model(images), model(images), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("form", ["", "-deploy1"])
def test_trains_and_is_deterministic_and_exports(form: str) -> None:
    check_trains(TINY + form, 64)
    check_deterministic(TINY + form, 64)
    check_exports(TINY + form, 64)

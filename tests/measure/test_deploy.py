"""The deploy form: the same outputs, fewer operations, and the model given stays as it was."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.errors import UsageError
from explorer.measure.deploy import deploy, deploy_form
from explorer.measure.trace import count_model
from zoo import build, default_resolution


def with_statistics(model: nn.Module) -> nn.Module:
    """Give every batch norm statistics and weights that matter: fresh ones are almost the identity."""
    generator = torch.Generator().manual_seed(0)

    def near(shape: torch.Size, centre: float, spread: float) -> Tensor:
        return centre + spread * (2 * torch.rand(shape, generator=generator) - 1)

    with torch.no_grad():
        for norm in model.modules():
            if isinstance(norm, nn.modules.batchnorm._BatchNorm):
                norm.running_mean.copy_(near(norm.running_mean.shape, 0.1, 0.2))
                norm.running_var.copy_(near(norm.running_var.shape, 1.0, 0.3))
                norm.weight.copy_(near(norm.weight.shape, 1.0, 0.3))
                norm.bias.copy_(near(norm.bias.shape, -0.1, 0.2))
    return model.eval()


def relative_difference(first: nn.Module, second: nn.Module, shape: tuple[int, ...]) -> float:
    images = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, got = first(images), second(images)
    assert expected.std() > 0
    return float((got - expected).abs().max() / expected.abs().max())


TIMM = {
    # name -> batch norms that remain
    "resnet18": 0,
    "efficientnet_b0": 0,
    "tf_mobilenetv3_small_minimal_100": 0,
    "repvgg_a0": 0,
    "mobileone_s0": 0,
    "fastvit_t8": 0,
    "repvit_m0_9": 0,
    "ghostnetv3_050": 0,
    "repghostnet_050": 0,
    "levit_128s": 0,
    "efficientformer_l1": 0,
    "shvit_s1": 0,
    "efficientvim_m1": 0,
    "resnetv2_50": None,  # normalises before it convolves: most of its norms have nothing to go into
    "densenet121": None,
}


@pytest.mark.parametrize("name", TIMM)
def test_timm_models_give_the_same_outputs(name: str) -> None:
    name, norms = f"timm:{name}", TIMM[name]
    side = default_resolution(name, 32)
    model = with_statistics(build(name, in_channels=3, num_classes=10))
    before = {key: value.clone() for key, value in model.state_dict().items()}

    deployed = deploy(model, (1, 3, side, side))

    assert relative_difference(model, deployed.model, (1, 3, side, side)) < 1e-5
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    if norms is not None:
        assert len(deployed.left) == norms
    whole = count_model(model, (1, 3, side, side))
    shipped = count_model(deployed.model, (1, 3, side, side))
    assert shipped.elementwise_ops < whole.elementwise_ops
    assert shipped.macs <= whole.macs

    with torch.device("meta"):
        blank = build(name, in_channels=3, num_classes=10)
    on_meta = deploy_form(blank, (1, 3, side, side))
    assert all(parameter.is_meta for parameter in on_meta.parameters())
    assert count_model(on_meta, (1, 3, side, side)) == shipped


def test_published_speed_up_of_repvgg_appears_only_in_the_deploy_form() -> None:
    """RepVGG-A0 at 224: its authors give 1.4 GMACs for what is shipped; the branches make it 1.51."""
    with torch.device("meta"):
        model = build("timm:repvgg_a0", in_channels=3, num_classes=1000)

    trained = count_model(model, (1, 3, 224, 224)).macs
    shipped = count_model(deploy_form(model, (1, 3, 224, 224)), (1, 3, 224, 224)).macs

    assert round(trained / 1e9, 3) == 1.513
    assert round(shipped / 1e9, 3) == 1.361


class Net(nn.Module):
    """Convolution and norm, with what lies between them given by the test."""

    def __init__(self, conv: nn.Module, norm: nn.Module, forward) -> None:
        super().__init__()
        self.conv, self.norm = conv, norm
        self._forward = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self, x)


def conv_norm(forward, conv: nn.Module | None = None) -> nn.Module:
    return with_statistics(Net(conv or nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), forward))


def other_reader(net, x):
    y = net.conv(x)
    return net.norm(y) + y


def read_through_a_view(net, x):
    y = net.conv(x)
    return net.norm(y) + y.flatten(2).sum()


def changed_in_place(net, x):
    y = net.conv(x)
    y.relu_()
    return net.norm(y)


def used_twice(net, x):
    return net.norm(net.conv(x)) + net.norm(net.conv(x + 1))


def weight_read_elsewhere(net, x):
    return net.norm(net.conv(x)) * net.conv.weight.sum()


def norm_read_elsewhere(net, x):
    return net.norm(net.conv(x)) * net.norm.running_mean.sum()


def something_between(net, x):
    return net.norm(F.relu(net.conv(x)))


@pytest.mark.parametrize(
    "forward",
    [
        other_reader,
        read_through_a_view,
        changed_in_place,
        used_twice,
        weight_read_elsewhere,
        norm_read_elsewhere,
        something_between,
    ],
)
def test_what_is_not_provably_consecutive_stays(forward) -> None:
    model = conv_norm(forward)

    deployed = deploy(model, (2, 3, 11, 13))

    assert deployed.folded == ()
    assert deployed.left == ("norm",)
    assert relative_difference(model, deployed.model, (2, 3, 11, 13)) == 0


def returned_too(net, x):
    y = net.conv(x)
    return net.norm(y), y


def test_an_output_that_is_returned_as_well_stays() -> None:
    assert deploy(conv_norm(returned_too), (2, 3, 11, 13)).folded == ()


class Standardised(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, (self.weight - self.weight.mean()) / self.weight.std(), self.bias)


def plainly(net, x):
    return net.norm(net.conv(x))


@pytest.mark.parametrize(
    "conv",
    [
        Standardised(3, 5, 3),
        nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 5, 3)),
        nn.utils.weight_norm(nn.Conv2d(3, 5, 3)),
    ],
)
def test_a_weight_worked_out_on_every_use_is_left(conv: nn.Module) -> None:
    model = conv_norm(plainly, conv)

    deployed = deploy(model, (2, 3, 11, 13))

    assert deployed.left == ("norm",)
    assert relative_difference(model, deployed.model, (2, 3, 11, 13)) == 0


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Sequential(nn.Conv2d(6, 10, 3, groups=2), nn.BatchNorm2d(10)), (2, 6, 7, 5)),
        (nn.Sequential(nn.Conv1d(6, 10, 3, bias=False), nn.BatchNorm1d(10)), (2, 6, 7)),
        (nn.Sequential(nn.Conv3d(2, 5, 3), nn.BatchNorm3d(5)), (2, 2, 5, 7, 3)),
        (nn.Sequential(nn.ConvTranspose2d(6, 10, 3), nn.BatchNorm2d(10)), (2, 6, 7, 5)),
        (nn.Sequential(nn.Linear(7, 11), nn.BatchNorm1d(11)), (3, 7)),
        (nn.Sequential(nn.BatchNorm1d(7), nn.Linear(7, 11, bias=False)), (3, 7)),
        (nn.Sequential(nn.BatchNorm2d(6), nn.Conv2d(6, 10, 3, groups=2)), (2, 6, 7, 5)),
        (nn.Sequential(nn.BatchNorm2d(6), nn.Conv2d(6, 10, 1), nn.BatchNorm2d(10)), (2, 6, 7, 5)),
        (nn.Sequential(nn.Conv2d(3, 5, 3), nn.Dropout(), nn.BatchNorm2d(5)), (2, 3, 7, 5)),
    ],
)
def test_every_kind_of_layer(model: nn.Module, shape: tuple[int, ...]) -> None:
    with_statistics(model)

    deployed = deploy(model, shape)

    assert deployed.left == ()
    assert relative_difference(model, deployed.model, shape) < 1e-5
    assert all(op not in str(deployed.model) for op in ("BatchNorm",))


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        # the zeros around the image would be shifted too
        (nn.Sequential(nn.BatchNorm2d(6), nn.Conv2d(6, 10, 3, padding=1)), (2, 6, 7, 5)),
        (nn.Sequential(nn.ConvTranspose2d(6, 10, 3, groups=2), nn.BatchNorm2d(10)), (2, 6, 7, 5)),
        # channels are the second axis, the layer's outputs the last
        (nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5)), (3, 5, 7)),
    ],
)
def test_layers_that_cannot_take_the_norm_stay(model: nn.Module, shape: tuple[int, ...]) -> None:
    with_statistics(model)

    deployed = deploy(model, shape)

    assert deployed.folded == ()
    assert relative_difference(model, deployed.model, shape) == 0


def test_batch_statistics_are_not_folded() -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5, track_running_stats=False)).eval()

    assert deploy(model, (2, 3, 7, 5)).folded == ()


class Branches(nn.Module):
    def __init__(self, returns: bool) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 5, bias=False), nn.Linear(3, 5, bias=False)
        self.returns = returns

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x) + self.b(x) if self.b is not None else self.a(x)

    def fuse(self) -> nn.Module | None:
        with torch.no_grad():
            self.a.weight += self.b.weight
        self.b = None
        return self.a if self.returns else None


@pytest.mark.parametrize("returns", [True, False])
@pytest.mark.parametrize("inside", [True, False])
def test_own_methods_in_place_and_returning(returns: bool, inside: bool) -> None:
    model = nn.Sequential(Branches(returns)) if inside else Branches(returns)
    original = copy.deepcopy(model)

    deployed = deploy(model, (2, 3))

    assert deployed.reparameterised == 1
    assert count_model(deployed.model, (2, 3)).macs == 2 * 3 * 5
    assert relative_difference(original, deployed.model, (2, 3)) < 1e-6
    assert count_model(model, (2, 3)).macs == 2 * 2 * 3 * 5


class Needing(nn.Linear):
    def fuse(self, other: nn.Module) -> nn.Module:
        raise AssertionError("asked without what it needs")


class Failing(nn.Linear):
    def fuse(self) -> nn.Module:
        raise ValueError("already fused")


def test_a_method_that_needs_arguments_is_not_called() -> None:
    assert deploy(nn.Sequential(Needing(3, 5)), (2, 3)).reparameterised == 0


def test_a_method_that_fails_is_named() -> None:
    with pytest.raises(UsageError, match=r"Failing\.fuse\(\) failed: already fused"):
        deploy(nn.Sequential(Failing(3, 5)), (2, 3))


def test_a_shape_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="does not run"):
        deploy(nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5)), (2, 4, 7, 5))

"""Counting leaves the model, and the process, exactly as they were - also when it fails."""

import gc

import pytest
import torch
from torch import nn

from explorer.errors import UsageError
from explorer.measure.meta_copy import meta_copy
from explorer.measure.trace import count_model, trace_model


class Net(nn.Module):
    """Everything a model may carry: hooks, mixed modes, frozen and shared tensors, plain attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, padding=1)
        self.norm = nn.BatchNorm2d(5)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(5, 5)
        self.tied = nn.Linear(5, 5, bias=False)
        self.tied.weight = self.head.weight
        self.register_buffer("scale", torch.ones(1), persistent=False)
        self.plain = torch.full((5,), 2.0)
        self.nested = {"list": [torch.ones(5)], "name": "x"}
        self.fail = False

    def forward(self, x):
        x = self.dropout(self.norm(self.conv(x))).relu_().mean((2, 3)) * self.scale
        if self.fail and x.sum() > 0:
            return x
        return self.tied(self.head(x)) + self.plain + self.nested["list"][0]


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    model = Net().train()
    model.norm.eval()
    model.conv.requires_grad_(False)
    model(torch.rand(2, 3, 4, 4)).sum().backward()
    model.head.register_forward_hook(lambda module, inputs, output: None)
    model.conv.register_forward_pre_hook(lambda module, inputs: None)
    return model


def snapshot(model: nn.Module) -> dict:
    """Return everything there is to see of a model, by value and by identity."""
    tensors = {**dict(model.named_parameters(remove_duplicate=False)), **dict(model.named_buffers())}
    return {
        "identities": {name: (id(t), t.data_ptr(), t._version) for name, t in tensors.items()},
        "values": {name: t.detach().clone().numpy().tobytes() for name, t in tensors.items()},
        "keys": list(model.state_dict()),
        "places": {name: (t.device, t.dtype, t.requires_grad, t.stride()) for name, t in tensors.items()},
        "gradients": {
            n: None if p.grad is None else p.grad.numpy().tobytes() for n, p in model.named_parameters()
        },
        "modes": {name: m.training for name, m in model.named_modules()},
        "attributes": {name: sorted(vars(m)) for name, m in model.named_modules()},
        "hooks": {
            name: [dict(vars(m)[kind]) for kind in sorted(vars(m)) if kind.endswith("_hooks")]
            for name, m in model.named_modules()
        },
        "plain": (id(model.plain), model.plain.device, model.nested["list"][0].device),
    }


@pytest.mark.parametrize("fail", [False, True])
def test_the_model_is_left_as_it_was(model: nn.Module, fail: bool) -> None:
    model.fail = fail
    before = snapshot(model)

    if fail:
        with pytest.raises(UsageError, match="depends on the values"):
            count_model(model, (2, 3, 8, 8))
    else:
        count_model(model, (2, 3, 8, 8), strict=True)

    assert snapshot(model) == before


@pytest.mark.parametrize("fail", [False, True])
def test_a_step_of_training_leaves_the_model_as_it_was(model: nn.Module, fail: bool) -> None:
    model.fail = fail
    before = snapshot(model), torch.get_rng_state().numpy().tobytes()

    if fail:
        with pytest.raises(UsageError, match="depends on the values"):
            trace_model(model, (2, 3, 8, 8), backward=True)
    else:
        assert trace_model(model, (2, 3, 8, 8), backward=True).backward_ops

    assert (snapshot(model), torch.get_rng_state().numpy().tobytes()) == before
    assert torch.is_grad_enabled()


def test_the_process_is_left_as_it_was(model: nn.Module) -> None:
    before = (
        torch.get_rng_state().numpy().tobytes(), torch.get_num_threads(), torch.is_grad_enabled(),
        torch.get_default_dtype(), torch.get_default_device(),
    )  # fmt: skip

    count_model(model, (2, 3, 8, 8))

    assert before == (
        torch.get_rng_state().numpy().tobytes(), torch.get_num_threads(), torch.is_grad_enabled(),
        torch.get_default_dtype(), torch.get_default_device(),
    )  # fmt: skip


def test_counting_twice_gives_the_same(model: nn.Module) -> None:
    assert count_model(model, (2, 3, 8, 8)) == count_model(model, (2, 3, 8, 8))


def test_weights_mode_and_gradients_do_not_matter(model: nn.Module) -> None:
    first = count_model(model, (2, 3, 8, 8))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(float("nan"))

    assert count_model(model.eval().requires_grad_(False), (2, 3, 8, 8)) == first
    with torch.inference_mode():
        assert count_model(model, (2, 3, 8, 8)) == first


def test_a_model_built_on_meta_is_counted_alike(model: nn.Module) -> None:
    with torch.device("meta"):
        empty = Net()

    assert count_model(empty, (2, 3, 8, 8)) == count_model(model, (2, 3, 8, 8))
    assert all(p.is_meta for p in empty.parameters())


def test_shared_parameters_stay_shared_in_the_copy(model: nn.Module) -> None:
    twin = meta_copy(model)

    assert twin.head.weight is twin.tied.weight
    assert twin.head.weight is not model.head.weight
    assert count_model(model, (1, 3, 8, 8)).parameters == sum(p.numel() for p in model.parameters())


def test_the_copy_holds_no_numbers(model: nn.Module) -> None:
    twin = meta_copy(model)

    assert all(t.is_meta for t in (*twin.parameters(), *twin.buffers(), twin.plain, *twin.nested["list"]))
    assert not any(m.training for m in twin.modules())
    assert not any(p.requires_grad for p in twin.parameters())


def test_a_model_larger_than_memory_can_be_counted() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(10**6, 10**6, bias=False), nn.Linear(10**6, 7, bias=False))

    cost = count_model(model, (2, 10**6))

    assert cost.macs == 2 * (10**12 + 7 * 10**6)
    assert cost.param_bytes == 4 * (10**12 + 7 * 10**6)


def test_tensors_with_a_history_can_be_copied() -> None:
    """A weight computed at construction (old weight norm) is no leaf; deepcopy alone refuses it."""
    model = nn.Linear(5, 3)
    model.table = model.weight * 2

    assert count_model(model, (2, 5)).macs == 30


def test_a_part_that_cannot_be_copied_is_named() -> None:
    model = nn.Linear(5, 3)
    model.stream = (i for i in range(3))

    with pytest.raises(UsageError, match=r"Linear cannot be copied for counting: .*generator"):
        count_model(model, (2, 5))


def test_nothing_is_kept_after_counting(model: nn.Module) -> None:
    def metas() -> int:
        gc.collect()
        return sum(issubclass(type(o), torch.Tensor) and o.is_meta for o in gc.get_objects())

    before = metas()
    cost = count_model(model, (2, 3, 8, 8))

    assert metas() == before
    assert cost.macs > 0

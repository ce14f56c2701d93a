"""What training has to keep, against what autograd really saves."""

import pytest
import torch
from torch import nn

from explorer.accounting.training import training_cost
from explorer.accounting.views import Totals, by_module, by_operator, total
from explorer.measure.trace import trace_model
from zoo import build


def saved_bytes(model: nn.Module, images: torch.Tensor) -> int:
    """Return the bytes of the storages that autograd keeps, beside parameters, buffers and images."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers(), images)}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(images)
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_100", "convnext_atto"])
def test_equals_what_autograd_keeps(name: str) -> None:
    model = build(f"timm:{name}", in_channels=3, num_classes=10, resolution=96).train()
    trace = trace_model(model, (2, 3, 96, 96), backward=True)

    assert training_cost(trace).saved_activation_bytes == saved_bytes(model, torch.randn(2, 3, 96, 96))


def test_views_of_a_real_model_add_up() -> None:
    with torch.device("meta"):
        model = build("timm:resnet18", in_channels=3, num_classes=10, resolution=96)
    trace = trace_model(model, (2, 3, 96, 96))

    for depth in (None, 0, 1, 2):
        assert sum(by_module(trace, depth).values(), Totals()) == total(trace)
    assert sum(by_operator(trace).values(), Totals()) == total(trace)
    stem, *_ = (module for module in by_module(trace) if module)
    assert stem == "conv1"

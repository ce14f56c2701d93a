"""Storages as the program holds them: numbered once, and let go when the last reference is."""

import torch
from torch import Tensor, nn

from explorer.accounting.memory import activation_peak_bytes, eager_peak_bytes
from explorer.measure.lifetimes import Storages, layout
from explorer.measure.trace import trace_model


def test_a_storage_is_let_go_with_its_last_tensor() -> None:
    now = 0
    storages = Storages(clock=lambda: now)
    whole = torch.empty(3, device="meta")
    number = storages.number(whole)
    part = whole[1:]

    now = 5
    del whole
    assert storages.freed == {}
    assert storages.number(part) == number
    now = 7
    del part
    assert storages.freed == {number: 7}


def test_no_number_is_used_twice() -> None:
    storages = Storages(clock=lambda: 0)
    numbers = [storages.number(torch.empty(3, device="meta")) for _ in range(100)]  # addresses are

    assert len(set(numbers)) == 100


def test_autograd_holds_what_it_saved() -> None:
    storages = Storages(clock=lambda: 0)
    weight = torch.empty(3, device="meta", requires_grad=True)
    saved = weight * 2
    number = storages.number(saved)
    loss = (saved * saved).sum()
    del saved

    assert number not in storages.freed
    loss.backward()
    assert number in storages.freed


class Chain(nn.Module):
    """Three elementwise steps; the first one's result is named by the caller for as long as asked."""

    def __init__(self, *, keep: bool) -> None:
        super().__init__()
        self.keep = keep

    def forward(self, x: Tensor) -> Tensor:
        first = x.exp()
        second = first.sin()
        if not self.keep:
            del first
        third = second.cos()
        del second
        return third.neg()


def test_names_lengthen_lives() -> None:
    n = 7 * 4

    assert eager_peak_bytes(trace_model(Chain(keep=False), (1, 7))) == 2 * n
    assert eager_peak_bytes(trace_model(Chain(keep=True), (1, 7))) == 3 * n
    assert activation_peak_bytes(trace_model(Chain(keep=True), (1, 7))) == 2 * n


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        parts = [x.exp(), x.sin(), x.cos()]
        return torch.stack([part.sum() for part in parts]).sum()


def test_a_list_holds_all_of_its_branches() -> None:
    assert eager_peak_bytes(trace_model(Branches(), (1, 1009))) >= 3 * 1009 * 4


class Caching(nn.Module):
    cache: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.cache is None:
            self.cache = torch.zeros(1000, device=x.device)
        return x + self.cache.sum()


def test_a_cache_is_left_out() -> None:
    assert eager_peak_bytes(trace_model(Caching(), (1, 3))) < 100


def test_layouts() -> None:
    images = torch.empty(2, 3, 5, 7)

    assert layout(images) == "contiguous"
    assert layout(images.to(memory_format=torch.channels_last)) == "channels_last"
    assert layout(images.transpose(2, 3)) == "strided"
    assert layout(torch.empty(3, 5).t()) == "strided"
    assert layout(torch.empty(2, 3, 1, 1)) == "contiguous"


def test_tokens_seen_as_an_image_are_not_channels_last_for_one_example() -> None:
    """Torch goes by the batch stride, which a transposed view of one example does not have right."""
    tokens = torch.empty(1, 35, 3)
    image = tokens.transpose(1, 2).view(1, 3, 5, 7)

    assert image.is_contiguous(memory_format=torch.channels_last)
    assert layout(image) == "strided"

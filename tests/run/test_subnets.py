"""Costs of sub-networks from pieces: memo, budgets, predictions of latency."""

import random
import time

import pytest
import torch
from torch import nn

from explorer.convention import CostAxis
from explorer.errors import UncountedError, UsageError
from explorer.run.subnets import (
    FRUGAL,
    Effort,
    SubnetCosts,
    SubnetLatencies,
    is_measured,
    published_subnets,
    within,
)
from zoo.supernets import Choice, Piece
from zoo.supernets.attentive import ATTENTIVENAS
from zoo.supernets.ofa import MOBILENETV3
from zoo.supernets.space import SearchSpace

COSTS = SubnetCosts(ATTENTIVENAS)
"""Shared by the tests that do not look at the memo."""


def test_each_distinct_piece_is_counted_once() -> None:
    costs, rng = SubnetCosts(ATTENTIVENAS), random.Random(0)
    drawn = [ATTENTIVENAS.sample(rng) for _ in range(4)]
    first = [costs.of(choice) for choice in drawn]
    counted = costs.counted
    assert counted == len({piece.key for choice in drawn for piece in ATTENTIVENAS.pieces(choice)})
    assert [costs.of(choice) for choice in drawn] == first
    assert costs.counted == counted


def test_sub_networks_within_a_budget_are_spread_up_to_it() -> None:
    costs, limit = COSTS, 260e6
    effort = Effort(random=4, mutated=40, pool=2)
    found = within(ATTENTIVENAS, lambda c: costs.of(c).macs, limit, 4, random.Random(1), effort)
    amounts = [one.amount for one in found.subnets]

    assert len(set(found.subnets)) == 4
    assert amounts == sorted(amounts)
    assert all(amount <= limit for amount in amounts)
    assert amounts[-1] > 0.9 * limit  # few drawn at random are so cheap: changed decisions lead there
    assert found.mutated > 0
    assert found.drawn >= found.fitting >= 4
    for one in found.subnets:
        assert ATTENTIVENAS.parse(one.name) == one.choice
        assert costs.of(one.choice).macs == one.amount
    again = within(ATTENTIVENAS, lambda c: costs.of(c).macs, limit, 4, random.Random(1), effort)
    assert again == found


def test_a_budget_that_all_fit_changes_nothing() -> None:
    found = within(MOBILENETV3, lambda choice: len(choice[1]), 4, 3, random.Random(0))
    assert found.mutated == 0


def test_no_sub_network_fits() -> None:
    with pytest.raises(UsageError, match="the smallest costs 2, the budget is 1"):
        within(MOBILENETV3, lambda choice: len(choice[1]), 1, 3, random.Random(0))
    with pytest.raises(UsageError, match="at least 1"):
        within(MOBILENETV3, lambda choice: len(choice[1]), 4, 0, random.Random(0))


def test_only_the_smallest_fits() -> None:
    costs = COSTS
    least = costs.of(ATTENTIVENAS.smallest()).macs
    found = within(ATTENTIVENAS, lambda c: costs.of(c).macs, least, 2, random.Random(0), FRUGAL)
    assert [one.choice for one in found.subnets] == [ATTENTIVENAS.smallest()]


def test_a_latency_is_the_sum_of_pieces_measured_once() -> None:
    timed: list[str] = []

    def clock(network: nn.Module, shape: tuple[int, ...], subject: str) -> float:
        timed.append(subject)
        assert shape[0] == 1
        return 0.25

    latencies, choice = SubnetLatencies(ATTENTIVENAS, clock), ATTENTIVENAS.smallest()
    pieces = ATTENTIVENAS.pieces(choice)
    assert latencies.of(choice) == 0.25 * len(pieces)
    assert latencies.of(choice) == 0.25 * len(pieces)
    assert len(timed) == latencies.measured == len({piece.key for piece in pieces}) < len(pieces)


def test_a_whole_network_is_measured_without_touching_random_state() -> None:
    seen: list[tuple[int, ...]] = []

    def clock(network: nn.Module, shape: tuple[int, ...], subject: str) -> float:
        seen.append(shape)
        started = time.perf_counter()
        with torch.inference_mode():
            network.eval()(torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
        return time.perf_counter() - started

    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    assert SubnetLatencies(MOBILENETV3, clock).whole(MOBILENETV3.smallest()) > 0.0
    assert seen == [(1, 3, 128, 128)]
    assert torch.equal(state, torch.random.get_rng_state())


def test_axes() -> None:
    assert not is_measured(CostAxis.parse("macs"))
    assert not is_measured(CostAxis.parse("parameters"))
    assert is_measured(CostAxis.parse("latency@cpu"))
    for axis in ("latency@cuda", "activation_peak_bytes", "latency@cpu/b8"):
        with pytest.raises(UsageError, match="is no sum of pieces"):
            is_measured(CostAxis.parse(axis))


def test_published_sub_networks_and_their_front() -> None:
    subnets = published_subnets(COSTS)
    assert [one.cost.macs for one in subnets] == sorted(one.cost.macs for one in subnets)
    front = {one.name for one in subnets if one.on_front}
    # AlphaNet trains the same architectures to higher accuracy; AttentiveNAS has an A5 of its own
    assert front == {f"alphanet-a{n}" for n in ("0", "1", "2", "3", "4", "5", "5.1", "6")} | {
        "attentivenas-a5"
    }


class _Odd(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.special.airy_ai(images)


def test_pieces_that_cannot_be_counted_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def pieces(self: SearchSpace, choice: Choice) -> tuple[Piece, ...]:
        return (Piece(key=("odd",), make=_Odd, inputs=((3, 8, 8),)),)

    monkeypatch.setattr(type(ATTENTIVENAS), "pieces", pieces)
    with pytest.raises(UncountedError, match=r"no formula for .*airy"):
        SubnetCosts(ATTENTIVENAS).of(ATTENTIVENAS.smallest())

    def two(self: SearchSpace, choice: Choice) -> tuple[Piece, ...]:
        return (Piece(key=("two",), make=_Odd, inputs=((3, 8, 8), (3, 8, 8))),)

    monkeypatch.setattr(type(ATTENTIVENAS), "pieces", two)
    with pytest.raises(UsageError, match="takes 2 inputs"):
        SubnetCosts(ATTENTIVENAS).of(ATTENTIVENAS.smallest())

"""Cost of sub-networks of a search space, summed from pieces that are counted, or timed, once each.

A space has more sub-networks than anyone can build; their pieces are few. Sums of counts are exact
(`zoo.supernets` says why, the tests show it for each space). Sums of times are predictions: a network runs
its pieces back to back, with caches that one piece alone does not meet.
"""

import heapq
import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from explorer.convention import CostAxis
from explorer.errors import UncountedError, UsageError
from explorer.measure.model_latency import model_latency
from explorer.measure.trace import build_on_meta, count_model

if TYPE_CHECKING:
    from zoo.supernets import Choice, Piece, SearchSpace

PREDICTED = "predicted from measured pieces"
"""What a sum of measured pieces is, wherever it is shown."""
COUNTED_KINDS = ("macs", "parameters", "elementwise_ops")
_FAR = 0.5
"""Those below this share of a budget are shown only where nothing nearer was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How many sub-networks are looked at for each one wanted."""

    random: int
    """Drawn as the space draws them, at most."""
    mutated: int
    """Made by changing decisions, at most."""
    pool: int
    """Enough are found when so many are in the upper half of the budget."""


THOROUGH = Effort(random=40, mutated=80, pool=4)
FRUGAL = Effort(random=3, mutated=6, pool=1)
"""Where each new piece has to be measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetCost:
    """What one example costs, in the units of `explorer.convention`'s kinds of these names."""

    macs: int
    parameters: int
    elementwise_ops: int

    def of(self, kind: str) -> int:
        """Return the cost of a kind: one of `COUNTED_KINDS`."""
        return {"macs": self.macs, "parameters": self.parameters, "elementwise_ops": self.elementwise_ops}[
            kind
        ]


class SubnetCosts:
    """Counts each distinct piece of a space once, and sums."""

    def __init__(self, space: "SearchSpace") -> None:
        self.space = space
        self._pieces: dict[Hashable, tuple[int, int, int]] = {}

    @property
    def counted(self) -> int:
        """How many distinct pieces have been counted so far."""
        return len(self._pieces)

    def of(self, choice: "Choice") -> SubnetCost:
        """Return the cost of a sub-network of the space.

        Raises:
            UncountedError: a piece runs an operator without a formula, so that no sum would be whole.
        """
        macs = parameters = elementwise = 0
        known = self._pieces
        for piece in self.space.pieces(choice):
            figures = known.get(piece.key)
            if figures is None:
                figures = known[piece.key] = _counted(piece)
            macs += figures[0]
            parameters += figures[1]
            elementwise += figures[2]
        return SubnetCost(macs=macs, parameters=parameters, elementwise_ops=elementwise)


def _counted(piece: "Piece") -> tuple[int, int, int]:
    network, _note = build_on_meta(piece.make)
    cost = count_model(network, _only_input(piece), own=True)
    if cost.uncounted:
        raise UncountedError(f"no formula for {', '.join(sorted(cost.uncounted))} in piece {piece.key!r}")
    return cost.macs, cost.parameters, cost.elementwise_ops


def _only_input(piece: "Piece") -> tuple[int, ...]:
    """Return the input of a piece with one example.

    Raises:
        UsageError: it takes more than one tensor.
    """
    if len(piece.inputs) != 1:
        raise UsageError(
            f"piece {piece.key!r} takes {len(piece.inputs)} inputs; only those of one are counted"
        )
    return (1, *piece.inputs[0])


Timer = Callable[[nn.Module, tuple[int, ...], str], float]
"""Module, input shape, subject -> seconds a call."""


def median_seconds(network: nn.Module, shape: tuple[int, ...], subject: str) -> float:
    """Return the median time of a forward pass on the CPU, one thread, in at most a tenth of a second."""
    run = model_latency(network, shape, subject=subject, min_seconds=0.02, max_seconds=0.1, warmup=2)
    return run.median_s


class SubnetLatencies:
    """Times each distinct piece of a space once on this machine's CPU, and sums: a prediction."""

    def __init__(self, space: "SearchSpace", timer: Timer = median_seconds) -> None:
        self.space, self._timer = space, timer
        self._pieces: dict[Hashable, float] = {}

    @property
    def measured(self) -> int:
        """How many distinct pieces have been timed so far."""
        return len(self._pieces)

    def of(self, choice: "Choice") -> float:
        """Return seconds an example, predicted from measured pieces."""
        total = 0.0
        for piece in self.space.pieces(choice):
            if piece.key not in self._pieces:
                # batch norm and weights as made: what they hold does not change how long they take
                self._pieces[piece.key] = self._timer(piece.make(), _only_input(piece), str(piece.key))
            total += self._pieces[piece.key]
        return total

    def whole(self, choice: "Choice") -> float:
        """Measure a whole sub-network: seconds an example."""
        side = self.space.resolution(choice)
        with torch.random.fork_rng(()):
            network = self.space.build(choice)
        return self._timer(network, (1, self.space.channels, side, side), self.space.format(choice))


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A sub-network with its cost on the axis of a question."""

    choice: "Choice"
    name: str
    amount: float
    """On the axis, in its unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Sub-networks within a budget."""

    subnets: tuple[Subnet, ...]
    """Dearest last, all different."""
    drawn: int
    """Sub-networks looked at: drawn at random, then made from those within by changing decisions."""
    mutated: int
    """How many of them were made by changing decisions."""
    fitting: int
    """How many different ones of them were within the budget."""


def is_measured(axis: CostAxis) -> bool:
    """Tell whether costs on ``axis`` are sums of measured pieces, else of counted ones.

    Raises:
        UsageError: no sub-network can be put on that axis from its pieces.
    """
    if axis.kind.name in COUNTED_KINDS:
        return False
    if str(axis) == "latency@cpu":
        return True
    raise UsageError(
        f"sub-networks are found within {', '.join(COUNTED_KINDS)} or latency@cpu; {axis} is no sum of pieces"
    )


def within(
    space: "SearchSpace",
    cost: Callable[["Choice"], float],
    limit: float,
    n: int,
    rng: random.Random,
    effort: Effort = THOROUGH,
) -> Found:
    """Find up to ``n`` different sub-networks that cost ``limit`` at most, spread over its upper half.

    Sub-networks are drawn as the space draws them; where too few fit, decisions of those that do are drawn
    anew, from the smallest on. Of what fits, those are taken whose costs lie nearest to even steps from
    half of the budget to all of it.

    Args:
        space: where they are drawn from.
        cost: of a sub-network, in the budget's unit; a count or a sum of times.
        limit: the budget.
        n: how many are wanted.
        rng: of the draws.
        effort: how many are looked at.

    Raises:
        UsageError: not even the smallest sub-network is within the budget, or ``n`` is below 1.
    """
    if n < 1:
        raise UsageError(f"at least 1 sub-network must be wanted, got {n}")
    least = cost(space.smallest())
    if least > limit:
        raise UsageError(
            f"no sub-network of {space.name} is within the budget: the smallest costs {least:,.10g}, "
            f"the budget is {limit:,.10g}"
        )
    pool = _Pool(cost, limit)
    pool.look_at(space.smallest())
    for _ in range(effort.random * n):
        if pool.near >= effort.pool * n:
            break
        pool.look_at(space.sample(rng))
    drawn = pool.seen
    for _ in range(effort.mutated * n if _mutates(space) else 0):
        if pool.near >= effort.pool * n:
            break
        # the dearest that fit lead to the budget; now and then any, so that it is not all one kin
        parents = pool.dearest(2 * n) if rng.random() < 0.8 else [*pool.fitting]
        pool.look_at(space.mutate(rng.choice(parents), rng, rng.choice((0.05, 0.1, 0.3))))
    chosen = _spread(pool.fitting, limit, n)
    subnets = tuple(Subnet(choice=c, name=space.format(c), amount=pool.fitting[c]) for c in chosen)
    return Found(subnets=subnets, drawn=pool.seen, mutated=pool.seen - drawn, fitting=len(pool.fitting))


class _Pool:
    """Sub-networks looked at that are within a budget."""

    def __init__(self, cost: Callable[["Choice"], float], limit: float) -> None:
        self._cost, self._limit = cost, limit
        self.fitting: dict[Choice, float] = {}
        self.seen = self.near = 0

    def look_at(self, choice: "Choice") -> None:
        """Keep ``choice`` where it fits and is new."""
        self.seen += 1
        if choice in self.fitting:
            return
        amount = self._cost(choice)
        if amount <= self._limit:
            self.fitting[choice] = amount
            self.near += amount >= _FAR * self._limit

    def dearest(self, n: int) -> list["Choice"]:
        """Return the ``n`` that cost most."""
        return heapq.nlargest(n, self.fitting, key=self.fitting.__getitem__)


def _mutates(space: "SearchSpace") -> bool:
    """Tell whether the space has a way of its own to change a sub-network a little."""
    from zoo.supernets import SearchSpace

    return type(space).mutate is not SearchSpace.mutate


def _spread(fitting: dict["Choice", float], limit: float, n: int) -> list["Choice"]:
    """Return up to ``n`` keys whose values lie nearest to even steps up to ``limit``, cheapest first."""
    left, chosen = dict(fitting), []
    for step in range(n, 0, -1):
        if not left:
            break
        aim = limit * (_FAR + (1.0 - _FAR) * step / n)
        best = min(left, key=lambda choice: (abs(left[choice] - aim), repr(choice)))
        chosen.append(best)
        del left[best]
    return sorted(chosen, key=fitting.__getitem__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSubnet:
    """A published sub-network: what was published beside what is counted here."""

    name: str
    resolution: int
    cost: SubnetCost
    macs: float | None
    """As published."""
    parameters: float | None
    """As published."""
    top1: float | None
    """Published accuracy, a share."""
    source: str
    on_front: bool
    """Whether no other published sub-network of the space costs at most as many MACs and is as accurate."""


def published_subnets(costs: SubnetCosts) -> tuple[PublishedSubnet, ...]:
    """Return the published sub-networks of a space, cheapest first, counted at their resolution."""
    space = costs.space
    rows = {row.model: row for row in reversed(space.figures)}
    found = [
        (name, space.resolution(choice), costs.of(choice), rows.get(name))
        for name, choice in space.published.items()
    ]
    points = [(cost.macs, row.top1) for _, _, cost, row in found if row and row.top1 is not None]
    subnets = [
        PublishedSubnet(
            name=name,
            resolution=side,
            cost=cost,
            macs=row.macs if row else None,
            parameters=row.parameters if row else None,
            top1=row.top1 if row else None,
            source=row.source if row else space.source,
            on_front=row is not None and row.top1 is not None and _on_front((cost.macs, row.top1), points),
        )
        for name, side, cost, row in found
    ]
    return tuple(sorted(subnets, key=lambda one: (one.cost.macs, one.name)))


def _on_front(point: tuple[float, float], points: Sequence[tuple[float, float]]) -> bool:
    """Tell whether no other point is as cheap and as accurate, and better in one of them."""
    macs, top1 = point
    return not any(m <= macs and t >= top1 and (m, t) != point for m, t in points)

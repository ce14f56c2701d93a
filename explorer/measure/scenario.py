"""Answer the three questions of use, after MLPerf inference: single-stream, offline, server.

Single-stream (one call after the other: the 90th percentile) and offline (all examples at hand: the
best batch's throughput) are read off what was measured. Server (independent users: the highest Poisson
rate whose 99th percentile stays below a bound) is simulated from the measured times of every batch size:
it was not run, and its basis says so.

Source: V. J. Reddi et al., MLPerf Inference Benchmark, arXiv 1911.02549, section III.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from explorer.convention import Basis
from explorer.errors import UsageError
from explorer.measure.tail import CONFIDENCE, passes
from explorer.record import CostFigure

SERVER_QUANTILE = 0.99
QUERIES = 20_000
"""Of one simulated run: p99 then rests on 200 queries."""
SEEDS = 5
"""Runs of the simulation, each with its own arrivals."""
_RATE_TOLERANCE = 0.005
"""Relative width at which the search for the highest rate ends."""

ServiceTimes = Mapping[int, Sequence[float]]
"""Examples a call -> seconds of one call, as measured: the simulation draws from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAnswer:
    """The highest rate that a bound on latency allows, by simulation."""

    rate: float
    """Examples a second; median over seeds."""
    low: float
    """Smallest over seeds: scatter of the simulation, not of the measurement."""
    high: float
    """Largest over seeds."""
    max_batch: int
    """Largest batch the server forms; the choice that gave the highest rate."""
    bound_s: float
    quantile: float
    queries: int
    """Of each run."""
    seeds: tuple[int, ...]
    offered_share: float
    """Rate over the throughput of ``max_batch``, the most this server can do."""
    basis: Basis = Basis.COMPOSED


def offline(figures: Mapping[int, CostFigure]) -> tuple[int, CostFigure]:
    """Return the batch with the highest throughput and that, in examples a second.

    Args:
        figures: examples a call -> seconds of one call.

    Raises:
        UsageError: no batch was measured, or a time is 0.
    """
    if not figures or any(figure.value <= 0.0 or figure.low <= 0.0 for figure in figures.values()):
        raise UsageError("the offline scenario needs at least one measured batch, and times above 0")
    batch = max(figures, key=lambda size: (size / figures[size].value, -size))
    best = figures[batch]
    return batch, CostFigure(
        value=batch / best.value, low=batch / best.high, high=batch / best.low, basis=best.basis
    )


def simulate_server(
    service: ServiceTimes,
    rate: float,
    *,
    max_batch: int | None = None,
    queries: int = QUERIES,
    seed: int = 0,
) -> np.ndarray:
    """Run one server with a queue and dynamic batching; return each query's latency in seconds, ``[query]``.

    Queries arrive by a Poisson process. A free server takes at once what waits, at most ``max_batch``
    in order of arrival, and runs it at the smallest measured batch that holds it (the rest is padding);
    all of a batch are answered together. Times are drawn from those measured.

    Args:
        service: measured times by batch.
        rate: queries a second.
        max_batch: a measured batch; the largest unless said otherwise.
        queries: how many arrive, the first into an empty system.
        seed: of arrivals and drawn times.

    Raises:
        UsageError: nothing measured, a batch that was not, or a rate or number of queries below 0.
    """
    _require_service(service)
    sizes = sorted(service)
    cap = sizes[-1] if max_batch is None else max_batch
    if cap not in service:
        raise UsageError(f"max_batch {cap} was not measured; measured: {', '.join(map(str, sizes))}")
    if not (0.0 < rate < inf and queries >= 1):
        raise UsageError(f"a simulation needs a rate and queries above 0, got {rate!r} and {queries!r}")
    random = np.random.default_rng(seed)
    arrivals = np.cumsum(random.standard_exponential(queries)) / rate
    chance = random.random(queries)
    if cap == 1:
        return _one_at_a_time(arrivals, _drawn(service[1], chance))
    return _batched(arrivals, chance, service, [size for size in sizes if size <= cap])


def server_rate(
    service: ServiceTimes,
    bound_s: float,
    *,
    quantile: float = SERVER_QUANTILE,
    queries: int = QUERIES,
    seed: int = 0,
) -> ServerAnswer | None:
    """Return the highest Poisson rate whose latency quantile stays below ``bound_s``.

    "Stays below" is LoadGen's rule: so few of the simulated queries are over the bound that the true
    quantile is below it with 99 % confidence. The largest batch the server forms is chosen too.

    Returns:
        the answer, or None where even an idle server misses the bound.

    Raises:
        UsageError: nothing measured, or a bound that is not above 0.
    """
    _require_service(service)
    if not 0.0 < bound_s < inf:
        raise UsageError(f"the server scenario needs a bound on latency above 0 s, got {bound_s!r}")

    def highest(cap: int, run: int) -> float:
        def holds(rate: float) -> bool:
            latency = simulate_server(service, rate, max_batch=cap, queries=queries, seed=run)
            return passes(queries, int((latency > bound_s).sum()), quantile, CONFIDENCE)

        return _largest_passing(holds, cap / float(np.mean(service[cap])))

    best, cap = max((highest(cap, seed), cap) for cap in service)
    if best == 0.0:
        return None
    seeds = tuple(range(seed, seed + SEEDS))
    rates = np.array([best, *(highest(cap, run) for run in seeds[1:])])
    rate = float(np.median(rates))
    return ServerAnswer(
        rate=rate,
        low=float(rates.min()),
        high=float(rates.max()),
        max_batch=cap,
        bound_s=bound_s,
        quantile=quantile,
        queries=queries,
        seeds=seeds,
        offered_share=rate * float(np.mean(service[cap])) / cap,
    )


def _largest_passing(holds: Callable[[float], bool], capacity: float) -> float:
    """Return the highest rate below ``capacity`` that holds, by halving; 0.0 where none does."""
    if holds(capacity * (1.0 - _RATE_TOLERANCE)):
        return capacity * (1.0 - _RATE_TOLERANCE)
    idle = capacity * 1e-3
    if not holds(idle):
        return 0.0
    low, high = idle, capacity
    while high - low > _RATE_TOLERANCE * high:
        middle = (low * high) ** 0.5 if high > 2.0 * low else (low + high) / 2.0
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _one_at_a_time(arrivals: np.ndarray, service: np.ndarray) -> np.ndarray:
    """Return latencies of a first-come-first-served queue.

    Departure n is max over k <= n of (arrival k + service k ... service n): Lindley's recursion unrolled.
    """
    done = np.cumsum(service)
    departures = done + np.maximum.accumulate(arrivals - (done - service))
    return np.asarray(departures - arrivals)


def _batched(arrivals: np.ndarray, chance: np.ndarray, service: ServiceTimes, sizes: list[int]) -> np.ndarray:
    cap = sizes[-1]
    holder = [next(size for size in sizes if size >= waiting) for waiting in range(1, cap + 1)]
    times = {size: np.sort(np.asarray(service[size], dtype=np.float64)).tolist() for size in sizes}
    came, chances = arrivals.tolist(), chance.tolist()
    answered = np.empty(len(came))
    first, clock, calls = 0, 0.0, 0
    while first < len(came):
        start = max(clock, came[first])
        last = first + 1
        limit = min(first + cap, len(came))
        while last < limit and came[last] <= start:
            last += 1
        measured = times[holder[last - first - 1]]
        clock = start + measured[int(chances[calls] * len(measured))]
        answered[first:last] = clock
        first, calls = last, calls + 1
    return answered - arrivals


def _drawn(samples: Sequence[float], chance: np.ndarray) -> np.ndarray:
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    return np.asarray(ordered[(chance * len(ordered)).astype(np.int64)])


def _require_service(service: ServiceTimes) -> None:
    if not service:
        raise UsageError("the server scenario needs measured times of at least one batch, got none")
    for batch, samples in service.items():
        values = np.asarray(samples, dtype=np.float64)
        if batch < 1 or len(values) == 0 or not np.isfinite(values).all() or values.min() <= 0.0:
            raise UsageError(f"times of batch {batch} must be there, finite and above 0")

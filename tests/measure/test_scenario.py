import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.convention import Basis
from explorer.errors import UsageError
from explorer.measure.scenario import offline, server_rate, simulate_server
from explorer.record import CostFigure


def figure(value, low=None, high=None):
    return CostFigure(value=value, low=low or value, high=high or value, basis=Basis.MEASURED)


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_mean_wait_with_equal_service_times_is_the_closed_form(share):
    """M/D/1: mean wait = share x service / (2 (1 - share))."""
    service = 0.003
    waits = [
        (simulate_server({1: [service]}, share / service, queries=200_000, seed=seed) - service).mean()
        for seed in range(5)
    ]
    assert np.mean(waits) == pytest.approx(share * service / (2 * (1 - share)), rel=0.02)


def test_mean_wait_with_unequal_service_times_is_the_closed_form():
    """M/G/1, Pollaczek-Khinchine: mean wait = rate x E[service^2] / (2 (1 - share))."""
    times = np.array([0.001, 0.002, 0.007])
    rate = 0.6 / times.mean()
    waits = [
        simulate_server({1: times}, rate, queries=200_000, seed=seed).mean() - times.mean()
        for seed in range(8)
    ]
    assert np.mean(waits) == pytest.approx(rate * (times**2).mean() / (2 * (1 - 0.6)), rel=0.03)


def event_loop(arrivals, service, cap):
    """The same server by a list of events, with equal times: another program for the same rule."""
    events = [(at, 1, number) for number, at in enumerate(arrivals)]
    heapq.heapify(events)
    waiting, busy, answered = [], False, {}
    while events:
        at, kind, number = heapq.heappop(events)
        if kind == 1:
            waiting.append(number)
        else:
            busy = False
        if events and events[0][0] == at:
            continue
        if not busy and waiting:
            batch, waiting = waiting[:cap], waiting[cap:]
            took = service[min(size for size in service if size >= len(batch))]
            busy = True
            heapq.heappush(events, (at + took, 0, -1))
            answered |= dict.fromkeys(batch, at + took)
    return np.array([answered[number] - at for number, at in enumerate(arrivals)])


@settings(max_examples=25, deadline=None)
@given(
    rate=st.floats(10.0, 5000.0),
    seed=st.integers(0, 10_000),
    sizes=st.sets(st.sampled_from([1, 2, 3, 5, 8]), min_size=1),
)
def test_dynamic_batching_is_what_an_event_loop_gives(rate, seed, sizes):
    service = {size: [0.0007 + 0.0003 * size] for size in sizes}
    queries = 150
    arrivals = np.cumsum(np.random.default_rng(seed).standard_exponential(queries)) / rate

    latency = simulate_server(service, rate, queries=queries, seed=seed)

    expected = event_loop(arrivals.tolist(), {size: t[0] for size, t in service.items()}, max(sizes))
    np.testing.assert_allclose(latency, expected, rtol=1e-9, atol=1e-12)


def test_one_at_a_time_agrees_with_the_batching_server_that_forms_batches_of_one():
    alone = simulate_server({1: [0.001, 0.002]}, 400.0, queries=500, seed=7)
    capped = simulate_server({1: [0.001, 0.002], 4: [1.0]}, 400.0, max_batch=1, queries=500, seed=7)
    np.testing.assert_array_equal(alone, capped)


def test_the_highest_rate_keeps_the_bound_on_other_arrivals_and_little_more_breaks_it():
    service = {1: [0.001], 4: [0.002], 16: [0.006]}
    bound = 0.02
    answer = server_rate(service, bound)

    def p99(rate):
        latencies = [
            simulate_server(service, rate, max_batch=answer.max_batch, queries=40_000, seed=seed)
            for seed in (101, 102, 103)
        ]
        return np.quantile(np.concatenate(latencies), 0.99)

    assert answer.low <= answer.rate <= answer.high
    assert p99(0.95 * answer.rate) < bound
    assert p99(1.10 * answer.rate) > bound
    assert answer.basis is Basis.COMPOSED
    assert answer.seeds == (0, 1, 2, 3, 4)
    # batching pays here: one at a time could do no more than 1,000 a second
    assert answer.max_batch > 1
    assert answer.rate > 1000


def test_a_looser_bound_allows_a_higher_rate_and_the_same_seed_the_same_answer():
    service = {1: [0.001], 8: [0.004]}
    rates = [server_rate(service, bound, queries=5000).rate for bound in (0.005, 0.01, 0.05)]
    assert rates == sorted(rates)
    assert server_rate(service, 0.01, queries=5000) == server_rate(service, 0.01, queries=5000)


def test_no_rate_where_an_idle_server_misses_the_bound():
    assert server_rate({1: [0.02]}, 0.015) is None
    # one in twenty calls is too slow, which is more than p99 allows at any rate
    assert server_rate({1: [0.001] * 19 + [0.5]}, 0.1) is None


def test_offline_takes_the_batch_of_highest_throughput():
    batch, best = offline({1: figure(0.010), 8: figure(0.020, 0.019, 0.025), 64: figure(0.200)})

    assert batch == 8
    assert best == CostFigure(value=8 / 0.020, low=8 / 0.025, high=8 / 0.019, basis=Basis.MEASURED)


def test_impossible_questions_are_refused():
    for wrong in (
        lambda: offline({}),
        lambda: offline({1: figure(0.0)}),
        lambda: simulate_server({}, 1.0),
        lambda: simulate_server({1: [0.1]}, 0.0),
        lambda: simulate_server({1: [0.1]}, 1.0, max_batch=2),
        lambda: simulate_server({1: [float("nan")]}, 1.0),
        lambda: server_rate({1: [0.1]}, 0.0),
        lambda: server_rate({1: []}, 0.1),
    ):
        with pytest.raises(UsageError):
            wrong()

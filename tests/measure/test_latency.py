"""The timing loop on a clock of our own: when it stops, what it keeps, in which order it calls."""

import gc

import pytest

from explorer.convention import Basis
from explorer.errors import ConventionError, UsageError
from explorer.measure.latency import (
    Step,
    Timing,
    latency_figure,
    measure_interleaved,
    measure_latency,
    normalised_samples_s,
)
from explorer.record import LatencyRun


def test_a_steady_call_stops_at_the_shortest_time(clock, conditions) -> None:
    run = measure_latency(
        clock.call(0.01),
        subject="a",
        conditions=conditions,
        clock=clock,
        min_seconds=0.2,
        max_seconds=2.0,
        warmup=3,
    )

    assert run.stop_reason == "steady"
    assert 0.2 <= sum(run.samples_s) <= 0.2 * 1.1 + 0.011
    assert all(s == pytest.approx(0.01) for s in run.samples_s)


def test_an_unsteady_call_stops_at_the_time_limit(clock, conditions) -> None:
    run = measure_latency(
        clock.call(0.01, 0.03),
        subject="a",
        conditions=conditions,
        clock=clock,
        min_seconds=0.2,
        max_seconds=2.0,
    )

    assert run.stop_reason == "time"
    assert 2.0 <= sum(run.samples_s) <= 2.0 + 0.031
    assert run.doubtful


def test_a_slow_call_still_gets_an_interval(clock, conditions) -> None:
    run = measure_latency(
        clock.call(10.0, 11.0), subject="a", conditions=conditions, clock=clock, max_seconds=2.0
    )

    assert len(run.samples_s) == 6
    assert run.stop_reason == "time"
    figure = latency_figure(run)
    assert (figure.low, figure.value, figure.high, figure.basis) == (10.0, 10.5, 11.0, Basis.MEASURED)


def test_the_longest_time_wins_over_the_shortest(clock, conditions) -> None:
    run = measure_latency(
        clock.call(0.01), subject="a", conditions=conditions, clock=clock, min_seconds=5.0, max_seconds=0.1
    )

    assert sum(run.samples_s) <= 0.1 + 0.011


def test_a_wider_target_stops_earlier(clock, conditions) -> None:
    durations = (0.95, 1.0, 1.05, 0.97, 1.03)
    counts = {
        target: len(
            measure_latency(
                clock.call(*durations), subject="a", conditions=conditions, clock=clock, min_seconds=0.0,
                max_seconds=10_000.0, target_half_width=target,
            ).samples_s
        )
        for target in (0.005, 0.02, 0.06)
    }  # fmt: skip

    assert counts[0.06] == 6
    assert counts[0.06] < counts[0.02] < counts[0.005]


def test_warm_up_is_kept_and_not_counted(clock, conditions) -> None:
    run = measure_latency(
        clock.call(9.0, 8.0, *[0.1] * 10_000), subject="a", conditions=conditions, clock=clock, warmup=2
    )

    assert run.warmup_s == (9.0, 8.0)
    assert max(run.samples_s) < 0.2
    assert latency_figure(run).value == pytest.approx(0.1)


def test_warm_up_does_not_use_up_the_time_limit(clock, conditions) -> None:
    run = measure_latency(
        clock.call(99.0, *[0.1, 0.3] * 100),
        subject="a",
        conditions=conditions,
        clock=clock,
        warmup=1,
        max_seconds=2.0,
    )

    assert sum(run.samples_s) >= 2.0


def test_waiting_for_the_device_is_inside_the_timed_span(clock, conditions) -> None:
    run = measure_latency(
        clock.call(0.1),
        subject="a",
        conditions=conditions,
        clock=clock,
        synchronise=clock.call(0.7, name="wait"),
    )

    assert all(s == pytest.approx(0.8) for s in (*run.samples_s, *run.warmup_s))
    assert clock.log[:5] == ["wait", "call", "wait", "call", "wait"]  # queued work is waited for first


def test_each_round_calls_everything_once_in_changing_order(clock, conditions) -> None:
    names = ["a", "b", "c", "d"]
    calls = {name: clock.call(0.01, name=name) for name in names}

    runs = measure_interleaved(calls, conditions=conditions, clock=clock, warmup=2)

    rounds = [clock.log[i : i + 4] for i in range(0, len(clock.log), 4)]
    assert all(sorted(one) == names for one in rounds)
    assert len({tuple(one) for one in rounds}) > 4
    first = [sum(one[0] == name for one in rounds) for name in names]
    assert min(first) > 0
    assert list(runs) == names
    assert {len(run.samples_s) for run in runs.values()} == {len(rounds) - 2}
    assert {len(run.warmup_s) for run in runs.values()} == {2}


def test_order_follows_from_the_seed(conditions, clock) -> None:
    def order(seed: int) -> list[str]:
        clock.log.clear()
        calls = {name: clock.call(0.01, name=name) for name in "abc"}
        measure_interleaved(calls, conditions=conditions, clock=clock, seed=seed)
        return list(clock.log)

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_samples_belong_to_their_subject(clock, conditions) -> None:
    calls = {"a": clock.call(0.01), "b": clock.call(0.02), "c": clock.call(0.05)}

    runs = measure_interleaved(calls, conditions=conditions, clock=clock)

    assert {s: round(run.median_s, 9) for s, run in runs.items()} == {"a": 0.01, "b": 0.02, "c": 0.05}
    assert all(run.subject == subject for subject, run in runs.items())


def test_all_go_on_until_the_last_is_steady(clock, conditions) -> None:
    calls = {"steady": clock.call(0.01), "noisy": clock.call(0.01, 0.03)}

    runs = measure_interleaved(calls, conditions=conditions, clock=clock, max_seconds=1.0)

    assert runs["steady"].stop_reason == "steady"
    assert runs["noisy"].stop_reason == "time"
    assert sum(sum(run.samples_s) for run in runs.values()) == pytest.approx(2.0, abs=0.05)


def test_a_slow_spell_falls_on_all_alike(clock, conditions) -> None:
    """The machine is three times slower for the second half: the ratio of medians does not notice."""
    half = 100
    calls = {
        "a": clock.call(*[0.01] * half, *[0.03] * half),
        "b": clock.call(*[0.02] * half, *[0.06] * half),
    }

    runs = measure_interleaved(calls, conditions=conditions, clock=clock, warmup=0, max_seconds=6.0)

    assert runs["b"].median_s / runs["a"].median_s == pytest.approx(2.0)


def test_nothing_to_measure_is_refused(conditions) -> None:
    with pytest.raises(UsageError, match="no calls were given"):
        measure_interleaved({}, conditions=conditions)


def test_a_call_that_fails_is_not_hidden_and_the_collector_comes_back(conditions) -> None:
    def broken() -> None:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        measure_latency(broken, subject="a", conditions=conditions)

    assert gc.isenabled()


def test_the_collector_is_off_while_sampling_and_stays_off_where_it_was(clock, conditions) -> None:
    seen = []
    gc.disable()
    try:
        measure_latency(
            lambda: seen.append(gc.isenabled()), subject="a", conditions=conditions, max_seconds=0.01
        )
        assert not gc.isenabled()
    finally:
        gc.enable()
    measure_latency(lambda: seen.append(gc.isenabled()), subject="a", conditions=conditions, max_seconds=0.01)

    assert not any(seen)
    assert gc.isenabled()


def test_a_figure_needs_enough_samples(conditions) -> None:
    run = LatencyRun(
        subject="a", samples_s=(1.0,) * 5, warmup_s=(), conditions=conditions, stop_reason="time"
    )

    with pytest.raises(UsageError, match="needs 6 samples or more"):
        latency_figure(run)


def test_spread_is_the_interquartile_range_over_the_median(conditions) -> None:
    run = LatencyRun(
        subject="a", samples_s=(2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0), warmup_s=(), conditions=conditions,
        stop_reason="time",
    )  # fmt: skip

    assert run.spread == (13.0 - 3.0) / 7.0


def test_runs_under_other_conditions_are_not_pooled(clock, conditions) -> None:
    def measure(subject: str, threads: int) -> LatencyRun:
        fields = {name: getattr(conditions, name) for name in type(conditions).__dataclass_fields__}
        there = type(conditions)(**{**fields, "threads": threads})
        return measure_latency(clock.call(0.01), subject=subject, conditions=there, clock=clock)

    one, two, other = measure("a", 1), measure("a", 2), measure("b", 1)

    pooled = one.pooled(measure("a", 1))
    assert len(pooled.samples_s) == 2 * len(one.samples_s)
    with pytest.raises(ConventionError, match="threads: 1 against 2"):
        one.pooled(two)
    with pytest.raises(ConventionError, match="subject: 'a' against 'b'"):
        one.pooled(other)


# ---- timers -----------------------------------------------------------------------------------


def test_what_precedes_a_call_is_not_timed(clock, conditions) -> None:
    step = Step(clock.call(0.01), before=clock.call(5.0, name="before"))

    run = measure_interleaved(
        {"a": step}, conditions=conditions, clock=clock, synchronise=clock.call(0.1, name="wait"),
        max_seconds=100.0,
    )["a"]  # fmt: skip

    assert all(s == pytest.approx(0.11) for s in (*run.samples_s, *run.warmup_s))
    assert clock.log[1:5] == ["before", "wait", "call", "wait"]  # nothing of it is still under way


class FakeTimer:
    """A device's timer: calls take 2 s on the device; the host spent what it is told to."""

    def __init__(self, issue_s: float) -> None:
        self.issue_s = issue_s
        self.rounds: list[int] = []

    def round(self, steps):
        self.rounds.append(len(steps))
        return [Timing(2.0, host_s=2.5, issue_s=self.issue_s) for step in steps if step.call() is None]


@pytest.mark.parametrize(("issue_s", "bound"), [(0.5, False), (1.59, False), (1.6, True), (2.0, True)])
def test_a_timer_of_the_devices_own(clock, conditions, issue_s, bound) -> None:
    timer = FakeTimer(issue_s)
    calls = {name: clock.call(0.1) for name in "abc"}

    runs = measure_interleaved(calls, conditions=conditions, clock=clock, timer=timer)

    assert set(timer.rounds) == {3}
    assert all(set(run.samples_s) == {2.0} for run in runs.values())
    assert runs["b"].observations == {
        "interleaved": 3, "host_median_s": 2.5, "issue_median_s": issue_s, "launch_bound": bound,
    }  # fmt: skip


def test_a_run_alone_by_the_hosts_clock_observes_nothing(clock, conditions) -> None:
    run = measure_latency(clock.call(0.01), subject="a", conditions=conditions, clock=clock)

    assert run.observations == {}


# ---- the reference workload -------------------------------------------------------------------


def test_the_reference_runs_in_every_round_and_is_no_result(clock, conditions) -> None:
    calls = {"a": clock.call(0.01, name="a"), "b": clock.call(0.02, name="b")}

    runs = measure_interleaved(
        calls, conditions=conditions, clock=clock, reference=clock.call(0.005, name="reference"), warmup=2
    )

    assert list(runs) == ["a", "b"]
    rounds = [clock.log[i : i + 3] for i in range(0, len(clock.log), 3)]
    assert all(sorted(one) == ["a", "b", "reference"] for one in rounds)
    assert {one.index("reference") for one in rounds} == {0, 1, 2}
    seen = runs["a"].observations
    assert len(seen["reference_samples_s"]) == len(runs["a"].samples_s)
    assert seen["reference_median_s"] == pytest.approx(0.005)
    assert seen["reference_ratio"] == pytest.approx(1.0)
    assert normalised_samples_s(runs["b"]) == pytest.approx(runs["b"].samples_s)


def test_the_reference_takes_out_what_the_machine_did(clock, conditions) -> None:
    """Rounds 40 to 79 of 100 are three times slower, for the model and the reference alike."""
    factors = [1.0] * 40 + [3.0] * 40 + [1.0] * 20
    model, reference = [0.01 * f for f in factors], [0.005 * f for f in factors]

    run = measure_interleaved(
        {"a": clock.call(*model)}, conditions=conditions, clock=clock, reference=clock.call(*reference),
        warmup=0, min_seconds=5.0, max_seconds=(sum(model) + sum(reference)) / 2 - 1e-6,
    )["a"]  # fmt: skip

    assert len(run.samples_s) == 100
    assert max(run.samples_s) == pytest.approx(0.03)
    assert normalised_samples_s(run) == pytest.approx([0.01] * 100)
    assert run.observations["reference_ratio"] == pytest.approx(1.0)


def test_a_reference_that_is_not_steady_does_not_hold_up(clock, conditions) -> None:
    run = measure_interleaved(
        {"a": clock.call(0.01)}, conditions=conditions, clock=clock, reference=clock.call(0.01, 0.03)
    )["a"]

    assert run.stop_reason == "steady"
    assert sum(run.samples_s) < 0.3


def test_pooled_runs_keep_their_references(clock, conditions) -> None:
    def measure(slow: float) -> LatencyRun:
        return measure_interleaved(
            {"a": clock.call(0.01 * slow)}, conditions=conditions, clock=clock,
            reference=clock.call(0.005 * slow),
        )["a"]  # fmt: skip

    pooled = measure(1.0).pooled(measure(3.0)).pooled(measure(1.0))

    assert normalised_samples_s(pooled) == pytest.approx([0.01] * len(pooled.samples_s), rel=1e-6)


def test_normalising_needs_a_reference(clock, conditions) -> None:
    run = measure_latency(clock.call(0.01), subject="a", conditions=conditions, clock=clock)

    with pytest.raises(UsageError, match="0 of the reference workload"):
        normalised_samples_s(run)


def test_no_model_has_the_references_name(clock, conditions) -> None:
    with pytest.raises(UsageError, match="is the reference workload's name"):
        measure_interleaved(
            {"reference-1": clock.call(1.0)}, conditions=conditions, reference=clock.call(1.0)
        )

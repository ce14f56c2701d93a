"""CUDA's part, on a CUDA of our own: in which order what is queued, waited for and read."""

import itertools
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from explorer.measure import cuda_runtime, runtime_making
from explorer.measure.cuda_runtime import EventTimer, cache_bytes, captured, peak_bytes
from explorer.measure.latency import Step, measure_interleaved
from explorer.measure.runtime_making import Request, torch_running
from explorer.workload import Workload

DEVICE = torch.device("cuda", 1)


class FakeCuda:
    """A device whose clock is its own: work queued runs when it is waited for."""

    def __init__(self, clock) -> None:
        self.clock, self.log = clock, clock.log
        self.queue: list = []
        self.device_now = 0.0
        cuda = self

        class Event:
            def __init__(self, enable_timing: bool) -> None:
                assert enable_timing
                self.at: float | None = None

            def record(self) -> None:
                cuda.log.append("record")
                cuda.queue.append(self)

            def elapsed_time(self, end) -> float:
                assert not cuda.queue, "read before the device was waited for"
                return (end.at - self.at) * 1e3

        self.Event = Event

    def work(self, seconds: float, launch_s: float = 0.0, name: str = "work"):
        def call() -> None:
            self.clock.now += launch_s
            self.log.append(name)
            self.queue.append(seconds)

        return call

    def synchronize(self, device: torch.device) -> None:
        assert device == DEVICE
        self.log.append("wait")
        self.device_now = max(self.device_now, self.clock.now)
        for item in self.queue:
            if isinstance(item, float):
                self.device_now += item
            else:
                item.at = self.device_now
        self.queue.clear()
        self.clock.now = max(self.clock.now, self.device_now)


@pytest.fixture
def cuda(clock) -> FakeCuda:
    return FakeCuda(clock)


def test_events_hold_the_call_and_nothing_else(cuda, clock) -> None:
    timer = EventTimer(DEVICE, cuda=cuda, flush=cuda.work(3.0, name="flush"), clock=clock)
    steps = [
        Step(cuda.work(0.25, launch_s=0.125, name="a"), before=cuda.work(7.0, name="fill")),
        Step(cuda.work(0.5, name="b")),
    ]

    first, second = timer.round(steps)

    assert cuda.log == [
        "fill", "flush", "wait", "record", "a", "record", "wait",
        "flush", "wait", "record", "b", "record", "wait",
        "wait",
    ]  # fmt: skip
    assert (first.seconds, first.issue_s) == pytest.approx((0.25, 0.125))
    assert first.host_s >= first.seconds
    assert (second.seconds, second.host_s, second.issue_s) == pytest.approx((0.5, 0.5, 0.0))


def test_the_timing_loop_takes_the_devices_times(cuda, clock, conditions) -> None:
    timer = EventTimer(DEVICE, cuda=cuda, flush=cuda.work(1.0), clock=clock)
    calls = {"launch": cuda.work(0.01, launch_s=0.009), "device": cuda.work(0.02, launch_s=0.001)}

    runs = measure_interleaved(
        calls, conditions=conditions, clock=clock, timer=timer, reference=cuda.work(0.005), max_seconds=50.0
    )

    assert runs["launch"].median_s == pytest.approx(0.01)
    assert runs["device"].median_s == pytest.approx(0.02)
    assert runs["launch"].observations["launch_bound"] is True
    assert runs["device"].observations["launch_bound"] is False
    assert runs["device"].observations["reference_median_s"] == pytest.approx(0.005)


@pytest.mark.parametrize(("told", "taken"), [(50 * 2**20, 50 * 2**20), (0, 128 * 2**20), (None, 128 * 2**20)])
def test_a_cache_of_unknown_size_is_taken_for_a_large_one(monkeypatch, told, taken) -> None:
    properties = SimpleNamespace() if told is None else SimpleNamespace(L2_cache_size=told)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)

    assert cache_bytes(DEVICE) == taken


class FakeGraphs:
    """What `captured` needs of torch.cuda; logs where each call runs."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.where = "default"
        graphs = self

        class Stream:
            def __init__(self, device=None, name="side") -> None:
                self.name = name

            def wait_stream(self, other) -> None:
                graphs.log.append(f"{self.name} waits for {other.name}")

        class CUDAGraph:
            def replay(self) -> None:
                graphs.log.append("replay")

            def reset(self) -> None:
                graphs.log.append("reset")

        self.Stream, self.CUDAGraph = Stream, CUDAGraph

    def current_stream(self, device):
        return self.Stream(name="default")

    @contextmanager
    def _in(self, where: str):
        before, self.where = self.where, where
        yield
        self.where = before

    def stream(self, stream):
        return self._in(stream.name)

    def graph(self, graph, stream):
        return self._in(f"{stream.name}, captured")

    def synchronize(self, device) -> None:
        self.log.append("wait")


def test_a_graph_is_warmed_up_aside_captured_once_and_replayed(monkeypatch) -> None:
    graphs = FakeGraphs()
    monkeypatch.setattr(cuda_runtime, "_side_stream", graphs.Stream)
    monkeypatch.setattr(cuda_runtime.torch, "cuda", graphs)

    replay, free = captured(lambda: graphs.log.append(f"call on {graphs.where}"), DEVICE)

    assert graphs.log == [
        "side waits for default", "call on side", "call on side", "call on side",
        "default waits for side", "wait", "call on side, captured",
    ]  # fmt: skip
    graphs.log.clear()
    replay()
    free()
    assert graphs.log == ["replay", "reset"]


def test_peak_memory_is_above_what_was_there(monkeypatch) -> None:
    allocated = {"peak": 900}
    fake = SimpleNamespace(
        synchronize=lambda device: None,
        reset_peak_memory_stats=lambda device: allocated.update(peak=300),
        max_memory_allocated=lambda device: allocated["peak"],
    )
    monkeypatch.setattr(cuda_runtime.torch, "cuda", fake)

    assert peak_bytes(lambda: allocated.update(peak=700), DEVICE, 250) == 450


def test_a_graphs_images_are_filled_in_before_each_call(monkeypatch) -> None:
    """On the CPU, with a capture that only remembers: what is read is one place, filled outside the call."""
    calls = []

    def remembering(call, device):
        def replay() -> None:
            calls.append(call())

        return replay, lambda: calls.append("freed")

    monkeypatch.setattr(runtime_making, "captured", remembering)
    monkeypatch.setattr(runtime_making, "peak_bytes", lambda work, device, before: work() or 77 + before)
    request = Request(Workload.parse("cuda/graph/b2"), torch.device("cpu"), (2, 3, 5, 5), 4)

    running = torch_running(nn.Flatten(), request, 11, {})
    images = [torch.full((2, 3, 5, 5), float(n)) for n in range(3)]
    running.inputs = itertools.cycle(images)
    for _ in range(4):
        running.before()()
        running()

    assert running.memory_bytes == 88
    assert [float(out[0, 0]) for out in calls] != [0.0, 1.0, 2.0, 0.0]  # views of the one place ...
    assert {out.data_ptr() for out in calls} == {running.static.data_ptr()}
    assert float(running.static[0, 0, 0, 0]) == 0.0  # ... which holds the fourth call's: the first again
    running.close()
    assert calls[-1] == "freed"

"""Placements on this CPU, and streams and graphs on an accelerator that only writes down what is asked."""

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from explorer.accounting.interference import Placement, Reference
from explorer.convention import Basis
from explorer.errors import EnvironmentMissingError, UsageError
from explorer.measure.placement.calls import Ensemble, combine, prepare_here, stream_outputs
from explorer.measure.placement.compare import PlacementRun, measure_placements
from explorer.measure.placement.ready import ready_ensemble
from explorer.measure.placement.workers import MemberProcesses, prepare_processes
from explorer.record import LatencyRun
from explorer.workload import Workload

EAGER = Workload.parse("cpu/eager")
SHAPE = (3, 2, 8, 8)
STOP = {"min_seconds": 0.0, "max_seconds": 0.02, "warmup": 1}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network(seed: int, *, width: int = 5, stride: int = 1, classes: int = 7) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = nn.Sequential(
            nn.Conv2d(2, width, 3, stride=stride, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes),
        )  # fmt: skip
        made[1].running_mean.uniform_(-1, 1)
    return made.eval()


def three() -> list[nn.Module]:
    return [network(seed) for seed in (11, 13, 17)]


def expected(members: list[nn.Module], images: Tensor) -> Tensor:
    """The answer, written the slow way."""
    total = torch.zeros(images.shape[0], 7, dtype=torch.float64)
    with torch.no_grad():
        for member in members:
            logits = member(images).double()
            powers = (logits - logits.amax(1, keepdim=True)).exp()
            total += powers / powers.sum(1, keepdim=True)
    return total / len(members)


def ready(members, *placements: str, workload: Workload = EAGER, **more):
    return ready_ensemble(members, workload, shape=SHAPE, placements=placements, **more)


@pytest.mark.parametrize("placement", ["sequential", "batched", "parallel:2"])
def test_every_call_answers_for_the_ensemble_and_rotates_inputs(placement: str) -> None:
    members = three()
    with ready(members, placement) as found:
        (one,) = found.placements
        assert one.refused == ""
        assert one.placed is not None
        inputs = found.ensemble.inputs
        answers = [one.placed.call().clone() for _ in range(2 * len(inputs))]

    for number, answer in enumerate(answers):
        right = expected(members, inputs[number % len(inputs)])
        assert torch.allclose(answer.double(), right, atol=1e-6)
    assert not torch.allclose(answers[0], answers[1], atol=1e-7)
    assert one.difference is not None
    assert one.difference < 1e-5


def test_the_caller_is_left_as_it_was() -> None:
    members = three()
    members[1].train()
    before = [{name: value.clone() for name, value in m.state_dict().items()} for m in members]
    pointers = [parameter.data_ptr() for m in members for parameter in m.parameters()]
    state = torch.random.get_rng_state()

    measure_placements(
        members, EAGER, channels=2, resolution=8, placements=("sequential", "batched", "parallel:2"), **STOP
    )

    assert [m.training for m in members] == [False, True, False]
    for member, old in zip(members, before, strict=True):
        assert all(torch.equal(value, old[name]) for name, value in member.state_dict().items())
        assert all(parameter.requires_grad for parameter in member.parameters())
    assert pointers == [parameter.data_ptr() for m in members for parameter in m.parameters()]
    assert torch.equal(state, torch.random.get_rng_state())
    assert not torch.is_inference_mode_enabled()
    assert multiprocessing.active_children() == []


def test_times_ratios_and_refusals_come_back_in_order() -> None:
    runs = measure_placements(
        three(), EAGER, channels=2, resolution=8, names=["a", "b", "c"],
        placements=("batched", "streams", "sequential", "graph"), **STOP,
    )  # fmt: skip

    assert [str(run.placement) for run in runs] == ["batched", "streams", "sequential", "graph"]
    batched, streams, sequential, graph = runs
    assert streams.run is None
    assert streams.refused == "placement streams needs a CUDA device; this is cpu"
    assert graph.run is None
    for run in (batched, sequential):
        assert run.run is not None
        assert len(run.run.samples_s) == len(run.members[0].samples_s) == len(run.combination.samples_s) >= 6
        assert run.prepare_s is not None
        assert run.memory_bytes is None
        assert run.interference().basis is Basis.MEASURED
    assert [member.subject for member in sequential.members] == ["member 0: a", "member 1: b", "member 2: c"]
    assert 0.3 < sequential.interference().factor < 3.0  # a millisecond on a busy machine: a sanity check
    with pytest.raises(UsageError, match="placement streams was not timed: placement streams needs a CUDA"):
        streams.interference()


def test_a_single_member_is_an_ensemble_too() -> None:
    (run,) = measure_placements(
        [network(3)], EAGER, channels=2, resolution=8, placements=("sequential",), **STOP
    )

    assert run.run is not None


# ---- ratios -------------------------------------------------------------------------------------


def run_of(conditions, subject: str, samples: list[float]) -> LatencyRun:
    return LatencyRun(
        subject=subject, samples_s=tuple(samples), warmup_s=(), conditions=conditions, stop_reason="time"
    )


def test_ratios_are_taken_within_rounds(conditions) -> None:
    slow = [1.0, 10.0, 1.0, 10.0, 1.0, 10.0, 1.0]  # a machine that is slow every second round
    members = tuple(
        run_of(conditions, n, [v * s for s in slow]) for n, v in (("a", 2.0), ("b", 3.0), ("c", 5.0))
    )
    found = PlacementRun(
        placement=Placement.parse("parallel:2"),
        run=run_of(conditions, "whole", [12.0 * s for s in slow]),
        members=members,
        combination=run_of(conditions, "combination", [1.0 * s for s in slow]),
        assignment=((0, 1), (2,)),
    )

    for against, factor in (
        (Reference.IDEAL, 12 / 6),
        (Reference.SUM, 12 / 10),
        (Reference.SLOWEST, 12 / 5),
    ):
        interference = found.interference(against)
        assert interference.factor == pytest.approx(factor)
        assert interference.high - interference.low == pytest.approx(0.0, abs=1e-9)
        assert interference.against is against


# ---- refusals -----------------------------------------------------------------------------------


def refusal(members, placement: str, **more) -> str:
    with ready(members, placement, **more) as found:
        assert found.placements[0].placed is None
        return found.placements[0].refused


def test_batched_refuses_other_shapes() -> None:
    assert "one architecture; member 1 differs" in refusal([network(1), network(2, width=6)], "batched")


def test_batched_refuses_what_only_the_answers_show() -> None:
    unlike = [network(1), network(2, stride=2)]  # the same shapes of weights, another function

    assert "batched answers otherwise than sequential" in refusal(unlike, "batched")


class Branching(nn.Module):
    """Asks for a value of its input, which no stacked pass can tell."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(128, 7)

    def forward(self, images: Tensor) -> Tensor:
        out = self.layer(images.flatten(1))
        return out if float(out.sum()) > 0 else -out


def test_batched_refuses_what_cannot_be_stacked_in_one_line() -> None:
    reason = refusal([Branching().eval(), Branching().eval()], "batched")

    assert reason.startswith("batched does not run: ")
    assert "\n" not in reason


def test_parallel_refuses_what_cannot_be_sent() -> None:
    class Local(nn.Linear):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images.flatten(1))

    assert "cannot be sent to another process" in refusal([Local(128, 7)], "parallel:1")


@pytest.mark.parametrize(
    ("members", "workload", "message"),
    [
        ([], "cpu/eager", "1 member or more"),
        ([nn.Linear(3, 7)], "cpu/eager", "does not run on"),
        ([network(1), network(2, classes=8)], "cpu/eager", "different numbers of classes"),
        ([nn.Identity()], "cpu/eager", r"must return \[example, class\]"),
        ([network(1).to("meta")], "cpu/eager", "built on meta"),
        ([network(1)], "cpu", "write cpu/eager"),
        ([network(1)], "cpu/eager/int8", "not int8"),
        ([network(1)], "cpu/compiled", "eager or deploy, not compiled"),
    ],
)
def test_what_cannot_be_an_ensemble_is_refused(members, workload: str, message: str) -> None:
    with (
        pytest.raises(UsageError, match=message),
        ready(members, "sequential", workload=Workload.parse(workload)),
    ):
        pass


def test_members_that_answer_nan_are_refused() -> None:
    broken = network(1)
    with torch.no_grad():
        broken[-1].bias[3] = torch.nan
    with pytest.raises(UsageError, match="not finite"), ready([broken], "sequential"):
        pass


def test_unknown_or_doubled_placements_and_names_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown placement 'vmap'"), ready(three(), "vmap"):
        pass
    with pytest.raises(UsageError, match="named twice"), ready(three(), "batched", " BATCHED"):
        pass
    with pytest.raises(UsageError, match="as many names"), ready(three(), "batched", names=["a"]):
        pass


def test_a_device_that_is_not_here_is_missing() -> None:
    with (
        pytest.raises(EnvironmentMissingError),
        ready(three(), "streams", workload=Workload.parse("cuda:99")),
    ):
        pass


@pytest.mark.parametrize("text", ["cpu/eager/bf16", "cpu/eager/amp", "cpu/deploy", "cpu/eager/nhwc"])
def test_precision_form_and_memory_format_hold_in_every_placement(text: str) -> None:
    with ready(three(), "sequential", "batched", workload=Workload.parse(text)) as found:
        assert [one.refused for one in found.placements] == ["", ""]


# ---- worker processes ---------------------------------------------------------------------------


def ensemble_of(members: list[nn.Module]) -> Ensemble:
    inputs = tuple(torch.rand(SHAPE, generator=torch.Generator().manual_seed(n)) for n in range(2))
    return Ensemble(
        members=tuple(members), inputs=inputs, device=torch.device("cpu"), names=("a",) * len(members)
    )


def test_a_worker_that_dies_is_told_and_all_are_gone_after() -> None:
    workers = MemberProcesses(ensemble_of(three()), ((0, 2), (1,)))
    try:
        workers.outputs()
        os.kill(workers._processes[1].pid, signal.SIGKILL)
        with pytest.raises(UsageError, match="ended with exit code -9"):
            workers.outputs()
    finally:
        workers.close()
    assert multiprocessing.active_children() == []


def test_a_worker_that_cannot_start_says_why() -> None:
    reason = refusal(three(), "parallel:1", worker_setup=torch.cuda.default_stream)  # there is no CUDA here

    assert reason.startswith("a worker process of placement parallel failed")
    assert multiprocessing.active_children() == []


def test_members_keep_to_the_worker_that_has_least() -> None:
    placed = prepare_processes(Placement.parse("parallel:2"), ensemble_of(three()), (7.0, 5.0, 3.0))
    try:
        assert placed.assignment == ((0,), (1, 2))
        assert placed.prepare_s > 0
    finally:
        placed.close()


# ---- an accelerator that writes down ------------------------------------------------------------


class FakeStream:
    def __init__(self, log: list[tuple[str, ...]], name: str) -> None:
        self.log, self.name = log, name

    def wait_stream(self, other: "FakeStream") -> None:
        self.log.append(("wait", self.name, other.name))


class FakeAccelerator:
    """Runs everything at once, and notes the order that a device would be told."""

    def __init__(self) -> None:
        self.log: list[tuple[str, ...]] = []
        self.now = FakeStream(self.log, "main")
        self.made = self.captures = self.frees = 0

    def new_stream(self) -> FakeStream:
        self.made += 1
        return FakeStream(self.log, f"s{self.made}")

    def current_stream(self) -> FakeStream:
        return self.now

    @contextlib.contextmanager
    def on(self, stream: FakeStream) -> Iterator[None]:
        before, self.now = self.now, stream
        yield
        self.now = before

    def capture(self, body: Callable[[], object]) -> tuple[Callable[[], object], Callable[[], object]]:
        body()
        self.captures += 1
        self.log.clear()

        def free() -> None:
            self.frees += 1

        # A replay writes to the memory of the captured run: same storage, as the buffers stay.
        return body, free

    def allocated_bytes(self) -> int:
        return 1000

    def peak_bytes(self, work: Callable[[], object], before: int) -> int:
        assert before == 1000
        work()
        return 17


def test_each_stream_forks_from_the_current_one_and_is_joined_to_it() -> None:
    accelerator, members = FakeAccelerator(), three()
    ran: list[str] = []
    for member in members:
        member.register_forward_hook(lambda *_: ran.append(accelerator.now.name))
    images = torch.rand(SHAPE)
    outputs = stream_outputs(ensemble_of(members), lambda: images, accelerator)
    ran.clear()

    with torch.no_grad():
        answer = combine(outputs())

    assert ran == ["s1", "s2", "s3"]
    forks = [("wait", f"s{n}", "main") for n in (1, 2, 3)]
    joins = [("wait", "main", f"s{n}") for n in (1, 2, 3)]
    assert accelerator.log == forks + joins
    assert torch.allclose(answer.double(), expected(members, images), atol=1e-6)


@pytest.mark.parametrize("placement", ["streams", "graph", "graph+streams"])
def test_streams_and_graphs_answer_for_the_ensemble(placement: str) -> None:
    accelerator, members = FakeAccelerator(), three()
    with ready(members, placement, accelerator=accelerator) as found:
        (one,) = found.placements
        assert one.refused == ""
        assert one.placed is not None
        for images in found.ensemble.inputs:
            answer = one.placed.call()
            assert torch.allclose(answer.double(), expected(members, images), atol=1e-6)
        weights = sum(t.nbytes for m in members for t in (*m.parameters(), *m.buffers()))
        assert one.memory_bytes == 17 + weights

    assert accelerator.captures == accelerator.frees == (0 if placement == "streams" else 1)
    assert accelerator.made == (0 if placement == "graph" else 3)


def test_a_capture_that_fails_is_a_reason() -> None:
    class Refusing(FakeAccelerator):
        def capture(self, body: Callable[[], object]) -> tuple[Callable[[], object], Callable[[], object]]:
            raise RuntimeError("operation not permitted when stream is capturing\nlong tale")

    assert (
        refusal(three(), "graph", accelerator=Refusing())
        == "graph does not run: operation not permitted when stream is capturing"
    )


def test_a_graph_that_replays_something_else_is_refused() -> None:
    class Stale(FakeAccelerator):
        def capture(self, body: Callable[[], object]) -> tuple[Callable[[], object], Callable[[], object]]:
            body()
            return lambda: None, lambda: None  # never runs again: right for the first input alone

    assert "graph answers otherwise" in refusal(three(), "graph", accelerator=Stale())


def test_batched_memory_has_the_stacked_weights_alone() -> None:
    with ready(three(), "batched", accelerator=FakeAccelerator()) as found:
        assert found.placements[0].memory_bytes == 17


def test_parallel_on_one_gpu_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)

    assert refusal(three(), "parallel:2", accelerator=FakeAccelerator()) == (
        "placement parallel:2 needs 2 CUDA devices; here: 1"
    )


def test_streams_need_an_accelerator() -> None:
    with pytest.raises(UsageError, match="needs a CUDA device"):
        prepare_here(Placement.parse("graph+streams"), ensemble_of(three()), None)


@pytest.mark.gpu
@pytest.mark.parametrize("text", ["cuda", "cuda/b8/bf16", "cuda/b8/amp/nhwc"])
def test_every_placement_on_a_gpu(text: str) -> None:
    begin = time.perf_counter()
    runs = measure_placements(
        three(), Workload.parse(text), channels=2, resolution=8,
        placements=("sequential", "streams", "graph", "graph+streams", "batched"),
        max_seconds=0.3,
    )  # fmt: skip

    for run in runs:
        assert run.refused == ""
        assert run.memory_bytes is not None
        assert run.memory_bytes > 0
        assert 0.0 < run.interference(Reference.SUM).factor < 10.0
    by_name = {str(run.placement): run.run.median_s for run in runs if run.run is not None}
    assert by_name["graph"] < by_name["sequential"]  # 18 launches of tiny kernels against one
    assert time.perf_counter() - begin < 60

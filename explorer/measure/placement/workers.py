"""Run members of an ensemble on several workers at once: processes on a CPU, or one device each.

Processes are started once (``spawn``), hold their members, and run on one thread. Inputs and outputs lie
in shared memory that all map; a call costs two semaphores a worker, besides the members' own time.
"""

import copy
import io
import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import Tensor, nn

from explorer.accounting.interference import Placement, assign
from explorer.errors import EnvironmentMissingError, UsageError
from explorer.measure.placement.calls import Ensemble, Placed, combine

START_LIMIT_S = 120.0
"""Longest wait for a worker to import torch and load its members."""
_LOOK_EVERY_S = 1.0
"""How often a waiting process looks whether the other side still lives."""


def prepare_processes(placement: Placement, ensemble: Ensemble, times: Sequence[float]) -> Placed:
    """Return ``ensemble`` ready to run on worker processes of one thread each; CPU only.

    Args:
        placement: ``parallel:W``.
        ensemble: members and inputs on the CPU.
        times: of the members alone, to deal them by.

    Raises:
        UsageError: a member cannot be sent to another process.
        EnvironmentMissingError: a worker did not start.
    """
    begin = time.perf_counter()
    assignment = assign(times, placement.workers)
    workers = MemberProcesses(ensemble, assignment)
    return Placed(
        placement=placement,
        call=lambda: combine(workers.outputs()),
        member_outputs=workers.outputs,
        prepare_s=time.perf_counter() - begin,
        assignment=assignment,
        own_weights=True,
        close=workers.close,
    )


class MemberProcesses:
    """Processes that hold the members of one ensemble and run them when asked; `close` ends them."""

    def __init__(self, ensemble: Ensemble, assignment: Sequence[Sequence[int]]) -> None:
        with torch.no_grad():
            first = ensemble.members[0](ensemble.inputs[0])
        payloads = [_packed([ensemble.members[m] for m in part]) for part in assignment]
        context = multiprocessing.get_context("spawn")
        inputs = torch.stack(ensemble.inputs)
        shape = (len(ensemble.members), *first.shape)
        self._turn, self._rotation = 0, len(ensemble.inputs)
        self._shared = _Shared(
            inputs=context.RawArray("b", inputs.nbytes),
            input_shape=tuple(inputs.shape),
            input_dtype=inputs.dtype,
            outputs=context.RawArray("b", max(1, first.nbytes * len(ensemble.members))),
            output_shape=shape,
            output_dtype=first.dtype,
            which=context.RawValue("i", 0),
        )
        self._shared.input_tensor().copy_(inputs)
        self._outputs = self._shared.output_tensor()
        self._done = context.Semaphore(0)
        self._go: list[Any] = []
        self._pipes: list[Connection] = []
        far_ends: list[Connection] = []
        self._processes: list[Any] = []
        for part, payload in zip(assignment, payloads, strict=True):
            here, there = context.Pipe()
            far_ends.append(there)
            go = context.Semaphore(0)
            process = context.Process(
                target=_work,
                args=(payload, tuple(part), self._shared, (go, self._done), there, ensemble.worker_setup),
                daemon=True,
            )
            self._go.append(go)
            self._pipes.append(here)
            self._processes.append(process)
        try:
            for process, there in zip(self._processes, far_ends, strict=True):
                process.start()
                there.close()  # or a worker's death would not close the pipe
            self._await_start()
        except BaseException:
            self.close()
            raise

    def _await_start(self) -> None:
        limit = time.monotonic() + START_LIMIT_S
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            while not pipe.poll(_LOOK_EVERY_S):
                if time.monotonic() > limit:
                    raise EnvironmentMissingError(
                        f"a worker process of placement parallel did not start in {START_LIMIT_S:g} s"
                    )
            self._raise_report(pipe, process)

    def _raise_report(self, pipe: Connection, process: Any) -> None:
        """Read one report of a worker and raise what it says went wrong."""
        try:
            report = pipe.recv()
        except EOFError:  # it was killed: its end of the pipe closed without a word
            process.join(_LOOK_EVERY_S)
            report = f"it ended with exit code {process.exitcode}"
        if report:
            raise UsageError(f"a worker process of placement parallel failed: {report}")

    def outputs(self) -> Tensor:
        """Run all members on the next input and return ``[member, example, class]``, in shared memory."""
        self._shared.which.value = self._turn
        self._turn = (self._turn + 1) % self._rotation
        for go in self._go:
            go.release()
        for _ in self._go:
            while not self._done.acquire(timeout=_LOOK_EVERY_S):
                self._look()
        return self._outputs

    def _look(self) -> None:
        """Raise what a worker reported, or that it is gone."""
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            if pipe.poll():
                self._raise_report(pipe, process)

    def close(self) -> None:
        """End the processes; they are gone when this returns."""
        for process in self._processes:
            if process.pid is not None:
                process.terminate()
        for process in self._processes:
            if process.pid is not None:
                process.join()
        for pipe in self._pipes:
            pipe.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """Memory that parent and workers map alike."""

    inputs: Any
    input_shape: tuple[int, ...]
    """``[input, example, channel, height, width]``"""
    input_dtype: torch.dtype
    outputs: Any
    output_shape: tuple[int, ...]
    """``[member, example, class]``"""
    output_dtype: torch.dtype
    which: Any
    """Number of the input that is asked now."""

    def input_tensor(self) -> Tensor:
        return torch.frombuffer(self.inputs, dtype=self.input_dtype).view(self.input_shape)

    def output_tensor(self) -> Tensor:
        return torch.frombuffer(self.outputs, dtype=self.output_dtype).view(self.output_shape)


def _packed(members: Sequence[nn.Module]) -> bytes:
    """Return members as bytes: unlike tensors sent as such, these leave the caller's storage as it is."""
    packed = io.BytesIO()
    try:
        torch.save(list(members), packed)
    except Exception as error:
        # Pickling runs the members' own code: whatever it raises is the caller's to know.
        raise UsageError(f"a member cannot be sent to another process: {error}") from error
    return packed.getvalue()


def _work(
    payload: bytes,
    part: tuple[int, ...],
    shared: _Shared,
    signals: tuple[Any, Any],
    pipe: Connection,
    setup: Callable[[], object] | None,
) -> None:
    """Load members, report, and run them whenever ``go`` says so: the body of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent answers it
    torch.set_num_threads(1)
    go, done = signals
    try:
        if setup is not None:
            setup()
        members = torch.load(io.BytesIO(payload), weights_only=False)
        inputs, outputs = shared.input_tensor(), shared.output_tensor()
        with torch.inference_mode():
            for member in members:
                member(inputs[0])
            pipe.send("")
            while _told(go):
                images = inputs[shared.which.value]
                for place, member in zip(part, members, strict=True):
                    outputs[place].copy_(member(images))
                done.release()
    except Exception as error:
        # The parent raises it: a worker has nobody to tell.
        pipe.send(f"{type(error).__name__}: {error}")


def _told(go: Any) -> bool:
    """Wait to be told to run; False when the parent is gone."""
    parent = multiprocessing.parent_process()
    while not go.acquire(timeout=_LOOK_EVERY_S):
        if parent is None or not parent.is_alive():
            return False
    return True


def prepare_devices(placement: Placement, ensemble: Ensemble, times: Sequence[float]) -> Placed:
    """Return ``ensemble`` ready to run on several CUDA devices, inputs and outputs sent within the call.

    Raises:
        EnvironmentMissingError: fewer devices are here than workers.
    """
    begin = time.perf_counter()
    count = torch.cuda.device_count()
    if count < placement.workers:
        raise EnvironmentMissingError(
            f"placement {placement} needs {placement.workers} CUDA devices; here: {count}"
        )
    assignment = assign(times, placement.workers)
    others = [number for number in range(count) if number != ensemble.device.index]
    devices = [ensemble.device, *(torch.device("cuda", number) for number in others)]
    parts = [
        (device, [(m, _on(ensemble.members[m], device)) for m in part])
        for device, part in zip(devices, assignment, strict=False)
    ]
    next_input = ensemble.rotation()

    def outputs() -> Tensor:
        images = next_input()
        answers: dict[int, Tensor] = {}
        for device, part in parts:
            sent = images.to(device, non_blocking=True)
            for number, member in part:
                answers[number] = member(sent)
        # Queued only after all devices have their work: a copy waits for its source.
        gathered = [answers[number].to(ensemble.device, non_blocking=True) for number in sorted(answers)]
        return torch.stack(gathered)

    return Placed(
        placement=placement,
        call=lambda: combine(outputs()),
        member_outputs=outputs,
        prepare_s=time.perf_counter() - begin,
        assignment=assignment,
    )


def _on(member: nn.Module, device: torch.device) -> nn.Module:
    """Return the member, or a copy of it on another device."""
    first = next(iter((*member.parameters(), *member.buffers())), None)
    return member if first is None or first.device == device else copy.deepcopy(member).to(device)

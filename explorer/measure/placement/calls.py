"""Make the call of each placement that runs in this process: the whole ensemble, answer included.

Every placement gives its members' outputs as one tensor ``[member, example, class]`` and combines them
with the same function, so what differs between two placements is the placement alone.
"""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from explorer.accounting.interference import Placement, Placing
from explorer.errors import UsageError
from explorer.measure.placement.accelerator import Accelerator

Outputs = Callable[[], Tensor]
"""Runs all members on the next input; returns ``[member, example, class]``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An ensemble ready to run in one placement."""

    placement: Placement
    call: Callable[[], Tensor]
    """The whole: next input, members, combination; returns ``[example, class]``."""
    member_outputs: Outputs
    """Run once more for the check; returns ``[member, example, class]``."""
    prepare_s: float
    """Time of stacking, capturing or starting workers."""
    assignment: tuple[tuple[int, ...], ...] = ()
    """Members of each worker; empty where there are no workers."""
    own_weights: bool = False
    """Whether it holds a copy of the weights that could replace the members'."""
    close: Callable[[], None] = lambda: None
    """Ends workers and lets go of memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """The members as they are on the device, and what they are fed."""

    members: tuple[nn.Module, ...]
    inputs: tuple[Tensor, ...]
    """Different random images, used in turn: ``[example, channel, height, width]`` each."""
    device: torch.device
    names: tuple[str, ...]
    worker_setup: Callable[[], object] | None = None
    """Called in a worker process before it loads its members; a function that can be sent there."""

    def rotation(self) -> Callable[[], Tensor]:
        """Return what hands out the inputs in turn, beginning with the first."""
        turn = cycle(self.inputs)
        return lambda: next(turn)


def combine(outputs: Tensor) -> Tensor:
    """Return the mean of the members' softmax: ``[member, example, class]`` to ``[example, class]``."""
    return outputs.softmax(-1).mean(0)


def prepare_here(placement: Placement, ensemble: Ensemble, accelerator: Accelerator | None) -> Placed:
    """Return ``ensemble`` ready to run in a placement that needs no other process or device.

    Args:
        placement: any kind but ``parallel``.
        ensemble: members and inputs.
        accelerator: streams and graphs of the device; None on a CPU.

    Raises:
        UsageError: the placement needs a CUDA device, or the members are not of one architecture.
    """
    begin = time.perf_counter()
    kind = placement.kind
    if kind is Placing.SEQUENTIAL:
        outputs = sequential_outputs(ensemble.members, ensemble.rotation())
    elif kind is Placing.BATCHED:
        outputs = batched_outputs(ensemble.members, ensemble.rotation())
    elif accelerator is None:
        raise UsageError(f"placement {placement} needs a CUDA device; this is {ensemble.device}")
    elif kind is Placing.STREAMS:
        outputs = stream_outputs(ensemble, ensemble.rotation(), accelerator)
    else:
        return _captured(placement, ensemble, accelerator, begin)
    return Placed(
        placement=placement,
        call=lambda: combine(outputs()),
        member_outputs=outputs,
        prepare_s=time.perf_counter() - begin,
        own_weights=kind is Placing.BATCHED,
    )


def sequential_outputs(members: Sequence[nn.Module], next_input: Callable[[], Tensor]) -> Outputs:
    """Return what runs members one after the other on one stream."""

    def outputs() -> Tensor:
        images = next_input()
        return torch.stack([member(images) for member in members])

    return outputs


def batched_outputs(members: Sequence[nn.Module], next_input: Callable[[], Tensor]) -> Outputs:
    """Return what runs members as one pass with stacked weights: convolutions become grouped ones.

    Raises:
        UsageError: the members differ in architecture.
    """
    signatures = [_signature(member) for member in members]
    for number, signature in enumerate(signatures[1:], start=1):
        if signature != signatures[0]:
            raise UsageError(
                f"batched needs members of one architecture; member {number} differs from member 0"
            )
    parameters, buffers = stack_module_state(list(members))
    parameters = {name: value.detach() for name, value in parameters.items()}
    # Shapes only: the stacked weights are put in on every call.
    skeleton = copy.deepcopy(members[0]).to("meta")

    def one(weights: dict[str, Tensor], state: dict[str, Tensor], images: Tensor) -> Tensor:
        return functional_call(skeleton, (weights, state), (images,))

    stacked = vmap(one, in_dims=(0, 0, None))
    return lambda: stacked(parameters, buffers, next_input())


def _signature(member: nn.Module) -> list[object]:
    """Return what members of one architecture share: classes of modules, shapes of what they hold.

    Two networks may still differ in what no tensor shows, a stride; the check of outputs finds that.
    """
    modules: list[object] = [(name, type(module)) for name, module in member.named_modules()]
    tensors = [(name, tuple(tensor.shape), tensor.dtype) for name, tensor in member.state_dict().items()]
    return [*modules, *tensors]


def stream_outputs(ensemble: Ensemble, next_input: Callable[[], Tensor], accelerator: Accelerator) -> Outputs:
    """Return what runs each member on a stream of its own, forked from and joined to the current one.

    Each member copies its output into a slice of one buffer within its stream, so no tensor passes from
    stream to stream and the allocator has nothing to be told. A call overwrites the buffer only after
    the streams have waited for the one before.
    """
    members = ensemble.members
    with torch.no_grad():
        first = members[0](ensemble.inputs[0])
    buffer = torch.empty((len(members), *first.shape), dtype=first.dtype, device=first.device)
    streams = [accelerator.new_stream() for _ in members]

    def outputs() -> Tensor:
        images = next_input()
        current = accelerator.current_stream()
        for stream, member, place in zip(streams, members, buffer, strict=True):
            stream.wait_stream(current)
            with accelerator.on(stream):
                place.copy_(member(images))
        for stream in streams:
            current.wait_stream(stream)
        return buffer

    return outputs


def _captured(placement: Placement, ensemble: Ensemble, accelerator: Accelerator, begin: float) -> Placed:
    """Capture the whole ensemble in one graph that reads a fixed input; a call copies the next one in."""
    fixed = ensemble.inputs[0].clone()
    if placement.kind is Placing.GRAPH_STREAMS:
        outputs = stream_outputs(ensemble, lambda: fixed, accelerator)
    else:
        outputs = sequential_outputs(ensemble.members, lambda: fixed)
    held: dict[str, Tensor] = {}

    def whole() -> None:
        held["outputs"] = outputs()
        held["answer"] = combine(held["outputs"])

    replay, free = accelerator.capture(whole)
    next_input = ensemble.rotation()

    def call() -> Tensor:
        fixed.copy_(next_input())
        replay()
        return held["answer"]

    def member_outputs() -> Tensor:
        call()
        return held["outputs"]

    def close() -> None:
        held.clear()
        free()

    return Placed(
        placement=placement,
        call=call,
        member_outputs=member_outputs,
        prepare_s=time.perf_counter() - begin,
        close=close,
    )

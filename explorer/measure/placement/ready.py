"""Make the placements of one ensemble ready to be called, checked against the members one after the other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from explorer.accounting.interference import Placement, Placing
from explorer.errors import ExplorerError, UsageError
from explorer.measure.cuda_runtime import event_timer
from explorer.measure.environment import find_device
from explorer.measure.latency import Call, Step, Timer
from explorer.measure.placement.accelerator import Accelerator, Cuda
from explorer.measure.placement.calls import Ensemble, Placed, combine, prepare_here
from explorer.measure.placement.members import Autocast, answers, made_ready, quick_times
from explorer.measure.placement.workers import prepare_devices, prepare_processes
from explorer.measure.precision import measuring, one_line
from explorer.workload import Workload

DEFAULT_PLACEMENTS = ("sequential", "streams", "graph", "batched", "parallel:2")
COMBINATION = "combination"

_TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""Largest difference of a member's output from sequential's, over the largest output. Another order of
additions is allowed for, another member is not; TF32 and mixed precision count as float16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyPlacement:
    """A placement that runs and answers as sequential does, or the reason why not."""

    placement: Placement
    placed: Placed | None
    refused: str = ""
    difference: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyEnsemble:
    """Members, their combination, and placements, each a call; closed when the context ends."""

    ensemble: Ensemble
    placements: tuple[ReadyPlacement, ...]
    member_calls: Mapping[str, Step]
    combination: Step
    answers: Tensor
    """Of the members on the first input, ``[member, example, class]``."""

    def steps(self) -> dict[str, Step]:
        """Return all that is timed: members, combination, and the placements that run."""
        before = list(self.member_calls.values())[-1].call
        ready = [one for one in self.placements if one.placed is not None]
        return {
            **self.member_calls,
            COMBINATION: self.combination,
            **{str(one.placement): Step(one.placed.call, before) for one in ready if one.placed},
        }

    def timer(self) -> Timer | None:
        """Return what times calls on the device; None where the host's clock does."""
        device = self.ensemble.device
        return event_timer(device) if device.type == "cuda" else None

    def combination_of(self, members: int) -> Call:
        """Return what combines the outputs of as many members, whichever they are."""
        outputs = self.answers.repeat(-(-members // len(self.answers)), 1, 1)[:members].contiguous()
        return partial(combine, outputs)


@contextmanager
def ready_ensemble(
    members: Sequence[nn.Module],
    workload: Workload,
    *,
    shape: tuple[int, int, int, int],
    placements: Sequence[str] = DEFAULT_PLACEMENTS,
    names: Sequence[str] | None = None,
    seed: int = 0,
    worker_setup: Callable[[], object] | None = None,
    accelerator: Accelerator | None = None,
) -> Iterator[ReadyEnsemble]:
    """Make every placement of an ensemble ready inside, checked against sequential; see `measure_placements`.

    For whoever measures something else than time, energy say: each ready placement is one call.

    Args:
        members: as for `measure_placements`, like all others below.
        workload: precision, threads and memory format hold inside.
        shape: ``[example, channel, height, width]``.
        placements: their texts.
        names: of the members.
        seed: of the images.
        worker_setup: called in each worker process before it loads its members.
        accelerator: streams and graphs; the device's own where None. For tests.
    """
    wanted = [Placement.parse(text) for text in placements]
    if len(set(wanted)) < len(wanted):
        raise UsageError(f"a placement is named twice: {', '.join(map(str, wanted))}")
    device = find_device(workload.device)
    ensemble = made_ready(members, workload, shape=shape, names=names, seed=seed)
    ensemble = replace(ensemble, worker_setup=worker_setup)
    if accelerator is None and device.type == "cuda":
        accelerator = Cuda(device)
    with measuring(workload), ExitStack() as opened:
        truth = [answers(ensemble, image) for image in ensemble.inputs]
        times = quick_times(ensemble)
        ready = []
        for placement in wanted:
            one = _prepare(placement, ensemble, truth, times, accelerator)
            if one.placed is not None:
                opened.callback(one.placed.close)
            ready.append(one)
        calls = [partial(_run, member, ensemble.rotation()) for member in ensemble.members]
        yield ReadyEnsemble(
            ensemble=ensemble,
            placements=tuple(ready),
            member_calls={
                name: Step(call, before=calls[number - 1])
                for number, (name, call) in enumerate(zip(ensemble.names, calls, strict=True))
            },
            combination=Step(partial(combine, truth[0]), before=calls[-1]),
            answers=truth[0],
        )


def _run(member: nn.Module, next_input: Callable[[], Tensor]) -> object:
    return member(next_input())


# ---- the placements -----------------------------------------------------------------------------


def _prepare(
    placement: Placement,
    ensemble: Ensemble,
    truth: Sequence[Tensor],
    times: Sequence[float],
    accelerator: Accelerator | None,
) -> ReadyPlacement:
    """Return a placement that runs and answers right, or the reason why not."""
    found: list[ReadyPlacement] = []

    def work() -> None:
        found.append(_checked(placement, ensemble, truth, times, accelerator))

    if accelerator is None:
        work()
        return found[0]
    before = accelerator.allocated_bytes()
    above = accelerator.peak_bytes(work, before)
    one = found[0]
    if one.placed is None or placement.kind is Placing.PARALLEL:
        return one  # of several devices only one was watched
    weights = 0 if one.placed.own_weights else sum(map(_held_bytes, ensemble.members))
    return replace(one, memory_bytes=above + weights)


def _checked(
    placement: Placement,
    ensemble: Ensemble,
    truth: Sequence[Tensor],
    times: Sequence[float],
    accelerator: Accelerator | None,
) -> ReadyPlacement:
    try:
        if placement.kind is not Placing.PARALLEL:
            placed = prepare_here(placement, ensemble, accelerator)
        elif accelerator is None:
            placed = prepare_processes(placement, ensemble, times)
        else:
            placed = prepare_devices(placement, ensemble, times)
    except ExplorerError as error:
        return ReadyPlacement(placement=placement, placed=None, refused=str(error))
    except Exception as error:
        # Stacking and capturing run the members' own code in ways it may not be made for.
        return ReadyPlacement(placement=placement, placed=None, refused=_cannot(placement, error))
    try:
        difference = max(_difference(placed.member_outputs(), right) for right in truth)
        refused = ""
    except Exception as error:
        difference, refused = None, _cannot(placement, error)
    allowed = _tolerance(ensemble)
    if difference is not None and not difference <= allowed:
        refused = (
            f"{placement} answers otherwise than sequential: outputs differ by {difference:.2g} "
            f"of the largest, allowed {allowed:.2g}"
        )
    if refused:
        placed.close()
        return ReadyPlacement(placement=placement, placed=None, refused=refused, difference=difference)
    return ReadyPlacement(placement=placement, placed=placed, difference=difference)


def _cannot(placement: Placement, error: Exception) -> str:
    return f"{placement} does not run: {one_line(error)}"


def _difference(outputs: Tensor, right: Tensor) -> float:
    """Return the largest difference over the largest right value, each member by itself; NaN if any is."""
    away = (outputs.float() - right.float()).abs().flatten(1).amax(1)
    size = right.float().abs().flatten(1).amax(1)
    return float((away / size.clamp_min(torch.finfo(torch.float32).tiny)).max())


def _tolerance(ensemble: Ensemble) -> float:
    if isinstance(ensemble.members[0], Autocast):
        return _TOLERANCE[torch.bfloat16 if ensemble.device.type == "cpu" else torch.float16]
    if torch.backends.cudnn.allow_tf32 and ensemble.device.type == "cuda":
        return max(_TOLERANCE[torch.float16], _TOLERANCE[ensemble.inputs[0].dtype])
    return _TOLERANCE[ensemble.inputs[0].dtype]


def _held_bytes(member: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*member.parameters(), *member.buffers()))

"""Put the members of an ensemble on their device, in the form and precision a workload asks for."""

import copy
import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from explorer.errors import UsageError
from explorer.measure.deploy import deploy_form
from explorer.measure.environment import find_device
from explorer.measure.placement.calls import Ensemble, sequential_outputs
from explorer.measure.precision import autocasting, one_line, storage_dtype
from explorer.workload import Precision, Runtime, Workload

_INPUTS = 4
"""Different random images in turn: no call finds its own input in the cache from the last one."""


def made_ready(
    members: Sequence[nn.Module],
    workload: Workload,
    *,
    shape: tuple[int, ...],
    names: Sequence[str] | None,
    seed: int,
) -> Ensemble:
    """Return copies of the members on the workload's device, and random images of ``shape``.

    Raises:
        UsageError: no members, one without weights, or a workload that placements do not have.
        EnvironmentMissingError: the device is not here.
    """
    device = find_device(workload.device)
    copies = _copies(members, workload, shape, device)
    return Ensemble(
        members=copies,
        inputs=_images(shape, workload, device, seed),
        device=device,
        names=_names(members, names),
    )


class Autocast(nn.Module):
    """A member under automatic mixed precision, as a module: placements stack and send modules."""

    def __init__(self, member: nn.Module, device: torch.device) -> None:
        super().__init__()
        self.member = member
        self.device = device

    def forward(self, images: Tensor) -> object:
        """Run the member under autocast."""
        # Without the cache of cast weights, which a captured graph must not hold.
        return autocasting(self.member, self.device, cache=False)(images)


def _copies(
    members: Sequence[nn.Module], workload: Workload, shape: tuple[int, ...], device: torch.device
) -> tuple[nn.Module, ...]:
    """Return copies of the members in the workload's precision and form on the device."""
    if not members:
        raise UsageError("an ensemble needs 1 member or more, got none")
    if workload.runtime not in (Runtime.EAGER, Runtime.DEPLOY):
        raise UsageError(
            f"placements are timed in torch, eager or deploy, not {workload.runtime}: "
            f"write {workload.device}/{Runtime.EAGER}"
        )
    if workload.precision is Precision.INT8:
        raise UsageError("placements are timed in floating point, not int8")
    made = []
    for number, member in enumerate(members):
        if any(tensor.is_meta for tensor in (*member.parameters(), *member.buffers())):
            raise UsageError(f"member {number} has no weights (it was built on meta): it cannot be timed")
        if workload.runtime is Runtime.DEPLOY:
            twin = deploy_form(member, shape)
        else:
            try:
                twin = copy.deepcopy(member)
            except (TypeError, RuntimeError) as error:
                raise UsageError(f"member {number} cannot be copied for timing: {one_line(error)}") from error
        twin = twin.eval().requires_grad_(False).to(device, storage_dtype(workload.precision))
        if workload.channels_last:
            twin = twin.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        made.append(Autocast(twin, device) if workload.precision is Precision.AMP else twin)
    return tuple(made)


def _images(
    shape: tuple[int, ...], workload: Workload, device: torch.device, seed: int
) -> tuple[Tensor, ...]:
    """Return uniform noise: time depends on the bits, zeros are faster."""
    generator = torch.Generator().manual_seed(seed)
    layout = torch.channels_last if workload.channels_last else torch.contiguous_format
    dtype = storage_dtype(workload.precision)
    return tuple(
        torch.rand(shape, generator=generator).to(device, dtype).contiguous(memory_format=layout)
        for _ in range(_INPUTS)
    )


def _names(members: Sequence[nn.Module], names: Sequence[str] | None) -> tuple[str, ...]:
    given = [type(member).__name__ for member in members] if names is None else list(names)
    if len(given) != len(members):
        raise UsageError(f"{len(members)} members need as many names, got {len(given)}")
    return tuple(f"member {number}: {name}" for number, name in enumerate(given))


def answers(ensemble: Ensemble, image: Tensor) -> Tensor:
    """Return what the members say, one after the other: ``[member, example, class]``."""
    shapes = set()
    for name, member in zip(ensemble.names, ensemble.members, strict=True):
        try:
            output = member(image)
        except Exception as error:
            # A model's own code may raise anything: it is the caller's to know.
            raise UsageError(f"{name} does not run on {tuple(image.shape)}: {one_line(error)}") from error
        if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != len(image):
            raise UsageError(f"{name} must return [example, class] for an ensemble to be combined")
        if not bool(output.isfinite().all()):
            raise UsageError(f"{name} returns values that are not finite: its answers cannot be compared")
        shapes.add(tuple(output.shape))
    if len(shapes) > 1:
        raise UsageError(f"members answer for different numbers of classes: {sorted(shapes)}")
    return sequential_outputs(ensemble.members, lambda: image)()


def quick_times(ensemble: Ensemble) -> tuple[float, ...]:
    """Return about how long each member takes, to deal them to workers: the fastest of three calls."""

    def once(member: nn.Module) -> float:
        begin = time.perf_counter()
        member(ensemble.inputs[0])
        if ensemble.device.type == "cuda":
            torch.cuda.synchronize(ensemble.device)
        return time.perf_counter() - begin

    return tuple(min(once(member) for _ in range(3)) for member in ensemble.members)

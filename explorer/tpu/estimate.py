"""What a model would take on a TPU, estimated by XLA's own compiler: an interval, not a measurement.

The compiler's cycles over the clock are the figure; its roofline and the error seen against published
measurements make the interval (`interval` says how). Two bounds that the compiler leaves out are put back:
weights have to be read once a call, which its asynchronous copies count as nothing, and each custom call
is booked as -1 second in its roofline. Host, input pipeline and dispatch are in no figure.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.convention import Basis
from explorer.data.devices import Status
from explorer.errors import EnvironmentMissingError, UsageError
from explorer.record import CostFigure
from explorer.tpu import cache
from explorer.tpu.chips import Chip, find_chip
from explorer.tpu.compiling import CompileError, Limits, Progress, compile_in_process, missing_extra
from explorer.workload import Precision

if TYPE_CHECKING:
    from torch import nn

ARRANGEMENTS = ("loop", "stacked")
"""How an ensemble is one program: members one after the other, or one network with stacked weights."""

FASTEST_SEEN = 0.70
"""Published time over cycles / clock, smallest: ResNet-50 inference, v3, were its batch 64 (docs/tpu.md)."""
SLOWEST_SEEN = 1.02
"""The largest in inference was 0.985 (a matrix product, v2); the rest is the clocks' own rounding."""
SLOWEST_UNVALIDATED = 1.36
"""The largest in any case, end-to-end training on v2: allowed for where nothing was compared."""
UNVALIDATED = "no estimate of this generation was ever compared with a measurement"


@dataclass(frozen=True, slots=True, kw_only=True)
class TpuRequest:
    """What is asked: a model, how it is run, and on which TPU."""

    model: str
    """A name that says all that shapes the model, e.g. ``timm:resnet50/1000``: answers are kept under it."""
    input_shape: tuple[int, ...]
    """[example, channel, height, width]"""
    device: str
    """``tpu-v5e`` and the like, see `explorer.tpu.chips`."""
    precision: Precision = Precision.BF16
    """bf16, or fp32 with every product in full float32."""
    deploy: bool = True
    """Whether batch norms are folded and branches merged first."""
    channels_last: bool = False
    """Whether images come as ``[example, height, width, channel]``; inside, XLA chooses its own layouts."""
    members: int = 1
    """Networks of this architecture, each with its own weights, their softmax averaged in the program."""
    arrangement: str = "loop"
    """One of `ARRANGEMENTS`; without effect on a single network."""

    def __post_init__(self) -> None:
        find_chip(self.device)
        if self.precision not in (Precision.BF16, Precision.FP32):
            raise UsageError(f"a TPU program is compiled in bf16 or fp32, not {self.precision}")
        if self.arrangement not in ARRANGEMENTS:
            raise UsageError(f"unknown arrangement {self.arrangement!r}; known: {', '.join(ARRANGEMENTS)}")
        if self.members < 1 or not self.input_shape or min(self.input_shape) < 1:
            raise UsageError(
                f"{self.members} members on inputs {self.input_shape}: every number must be positive"
            )

    def document(self) -> dict[str, object]:
        """Return the request as plain JSON values."""
        return {
            "model": self.model,
            "input_shape": list(self.input_shape),
            "device": self.device,
            "precision": str(self.precision),
            "deploy": self.deploy,
            "channels_last": self.channels_last,
            "members": self.members,
            "arrangement": self.arrangement if self.members > 1 else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TpuMemory:
    """The compiler's memory plan for one device, in bytes."""

    argument_bytes: int
    """Weights and input, as the device pads them."""
    output_bytes: int
    temp_bytes: int
    code_bytes: int
    peak_bytes: int
    device_bytes: int
    """What the device has."""

    @property
    def fits(self) -> bool:
        """Whether the plan stays within the device; the compiler refuses most programs that do not."""
        return self.peak_bytes <= self.device_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TpuEstimate:
    """The compiler's estimate of one call, and what it rests on."""

    request: TpuRequest
    chip: Chip
    seconds: float
    """Of one call of the batch: cycles over clock, or reading the weights where that takes longer."""
    seconds_low: float
    seconds_high: float
    """Infinite where a loop's turns are unknown."""
    cycles: int
    roofline_s: float | None
    """The compiler's own roofline, custom calls put right; None where it cannot be."""
    weight_read_s: float
    """Reading every weight once at the device's bandwidth: nothing is faster."""
    memory: TpuMemory
    custom_calls: int
    unknown_loops: int
    flops: float
    lower_s: float
    compile_s: float
    """What compiling took when it was done."""
    from_cache: bool
    versions: Mapping[str, str]
    notes: tuple[str, ...]
    """What to say beside the figure."""

    @property
    def figure(self) -> CostFigure:
        """The seconds of one call with their interval."""
        return CostFigure(
            value=self.seconds, low=self.seconds_low, high=self.seconds_high, basis=Basis.COMPILED
        )

    @property
    def per_second_and_chip(self) -> float:
        """Examples a second of a whole chip, all of its cores doing such programs side by side."""
        return self.request.input_shape[0] / self.seconds * self.chip.devices_per_chip


def tpu_estimate(
    make: "Callable[[], nn.Module]",
    request: TpuRequest,
    *,
    cache_folder: Path | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> TpuEstimate:
    """Return what XLA's compiler expects of a model on a TPU that need not be here.

    A question asked before, with the same versions, is answered from the cache without tracing anything.

    Args:
        make: builds the model that ``request.model`` names; a fresh one, as it is changed. With weights or
            on the meta device: only shapes are looked at.
        request: what is asked.
        cache_folder: where answers are kept; `explorer.tpu.cache.default_folder` unless named.
        limits: of the compiling process.
        progress: told stage and seconds, about once a second.

    Raises:
        EnvironmentMissingError: jax or libtpu is not installed.
        CompileError: the program does not fit the device, the limits, or the compiler refuses it.
        UsageError: torch cannot export the model, or one of its operators has no JAX form.
    """
    reason = missing_extra()
    if reason is not None:
        raise EnvironmentMissingError(reason)
    folder = cache_folder if cache_folder is not None else cache.default_folder()
    versions = cache.versions()
    key = cache.key_of({**request.document(), "versions": versions, "code": cache.code_digest()})
    kept = cache.read(folder, "asked", key)
    if kept is None:
        try:
            kept = _compile(make, request, folder=folder, limits=limits or Limits(), progress=progress)
        except CompileError as error:
            # That it does not fit the device stays true; limits and crashes may be otherwise next time.
            if error.kind == "memory":
                cache.write(folder, "asked", key, {"refused": [error.kind, str(error)]})
            raise
        from_cache = bool(kept.pop("kept", False))
        kept["versions"] = versions
        cache.write(folder, "asked", key, kept)
        return estimate_from(request, kept, from_cache=from_cache)
    if "refused" in kept:
        raise CompileError(*kept["refused"])
    return estimate_from(request, kept, from_cache=True)


def _compile(
    make: "Callable[[], nn.Module]",
    request: TpuRequest,
    *,
    folder: Path,
    limits: Limits,
    progress: Progress | None,
) -> dict[str, Any]:
    """Trace the model here, and have it lowered and compiled in a process of its own."""
    import torch

    from explorer.tpu.torch_export import export, program_of

    if progress is not None:
        progress("tracing", 0.0)
    model = make()
    if request.deploy:
        from explorer.measure.deploy import deploy_form

        model = deploy_form(model, request.input_shape)
    dtype = torch.bfloat16 if request.precision is Precision.BF16 else torch.float32
    program = program_of(export(model, request.input_shape, dtype))
    chip = find_chip(request.device)
    document = {
        **request.document(),
        "program": program.document(),
        "topology": chip.topology,
        "cache": str(folder.resolve()),
    }
    return compile_in_process(document, work=folder / "work", limits=limits, progress=progress)


# ---- from the compiler's figures to an interval ---------------------------------------------------


def estimate_from(request: TpuRequest, facts: Mapping[str, Any], *, from_cache: bool) -> TpuEstimate:
    """Return the estimate that the compiler's figures amount to.

    Args:
        request: what was asked.
        facts: as `explorer.tpu.worker` writes them, with ``versions``.
        from_cache: whether they were kept from an earlier run.

    Raises:
        CompileError: they are for another device than asked.
    """
    chip = find_chip(request.device)
    if facts["device_kind"] != chip.kind:
        raise CompileError("compiler", f"compiled for {facts['device_kind']!r}, wanted {chip.kind!r}")
    cycles_s = facts["cycles"] / chip.clock_hz
    read_s = facts["weight_bytes"] / chip.bandwidth
    roofline = corrected_roofline(facts["optimal_seconds"], facts["custom_calls"], cycles_s)
    low, high = interval(cycles_s, read_s, roofline, chip.validated)
    notes = [] if chip.validated else [f"{chip.key}: {UNVALIDATED}"]
    if chip.devices_per_chip > 1:
        notes.append(f"one of the chip's {chip.devices_per_chip} cores")
    if (clock := chip.chip.status["clock"]) is not Status.SEEN:
        notes.append(f"the clock of {chip.clock_hz / 1e9:g} GHz is {clock}")
    if read_s > cycles_s:
        notes.append("reading the weights takes longer than the compiler's cycles")
    if facts["unknown_loops"]:
        notes.append(f"{facts['unknown_loops']} loops of unknown length counted as one turn: a lower bound")
        high = math.inf
    if roofline is None:
        notes.append("the compiler's roofline could not be put right and is left out")
    sizes = {name: facts[name] for name in TpuMemory.__dataclass_fields__ if name != "device_bytes"}
    return TpuEstimate(
        request=request,
        chip=chip,
        seconds=max(cycles_s, read_s),
        seconds_low=low,
        seconds_high=high,
        cycles=facts["cycles"],
        roofline_s=roofline,
        weight_read_s=read_s,
        memory=TpuMemory(**sizes, device_bytes=chip.memory_bytes),
        custom_calls=facts["custom_calls"],
        unknown_loops=facts["unknown_loops"],
        flops=facts["flops"],
        lower_s=facts["lower_s"],
        compile_s=facts["compile_s"],
        from_cache=from_cache,
        versions=facts["versions"],
        notes=tuple(notes),
    )


def corrected_roofline(optimal_s: float, custom_calls: int, cycles_s: float) -> float | None:
    """Return the compiler's roofline with the -1 second of each custom call put back.

    None where the result cannot be a roofline: negative, or beyond ten times the cycles, as when calls
    were booked another way.
    """
    roofline = optimal_s + custom_calls
    return roofline if 0 < roofline <= 10 * cycles_s else None


def interval(
    cycles_s: float, read_s: float, roofline_s: float | None, validated: bool
) -> tuple[float, float]:
    """Return between which seconds the truth is expected.

    From the roofline, or `FASTEST_SEEN` x cycles where that is less, never below reading the weights; to
    `SLOWEST_SEEN` x cycles, or `SLOWEST_UNVALIDATED` for generations that nothing was compared on.
    """
    low = FASTEST_SEEN * cycles_s
    if roofline_s is not None:
        low = min(low, roofline_s)
    low = max(low, read_s)
    slowest = SLOWEST_SEEN if validated else SLOWEST_UNVALIDATED
    return low, max(slowest * max(cycles_s, read_s), roofline_s or 0.0)

"""What programs write: frozen records that carry units, conditions and where they come from."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from explorer.convention import Basis
from explorer.errors import ConventionError
from explorer.spec import Member, ModelSpec

# ---- counting ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRecord:
    """One tensor as an operator saw it."""

    storage: int
    """Which memory it lives in: views of one tensor share the number, within one trace."""
    shape: tuple[int, ...]
    dtype: str
    """Without prefix, e.g. ``float32``."""
    itemsize: int
    """Bytes of one element."""
    storage_bytes: int
    """Bytes of the whole storage, at least those of the view."""
    persistent: bool
    """Parameter, buffer or model input: not an activation that the run allocates."""
    layout: str = "contiguous"
    """``contiguous`` (last axis nearest), ``channels_last`` (four axes, channels nearest) or ``strided``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpRecord:
    """One operator call of a traced forward pass, at the ATen level."""

    op: str
    """Name without overload, e.g. ``convolution``, ``addmm``."""
    module: str
    """Dotted path of the module it ran in; empty for the model itself."""
    inputs: tuple[TensorRecord, ...]
    outputs: tuple[TensorRecord, ...]
    attributes: Mapping[str, object] = field(default_factory=dict)
    """Non-tensor arguments by schema name (``groups``, ``transposed``, ``stride``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """All operator calls of one forward pass of one model."""

    ops: tuple[OpRecord, ...]
    input_shape: tuple[int, ...]
    """[example, channel, height, width]"""
    parameters: int
    """Learned numbers, shared ones once."""
    param_bytes: int
    buffer_bytes: int
    result_storages: tuple[int, ...] = ()
    """Storages of what the model returned: they live to the end of the pass."""
    input_storage: int = 0
    """Storage of the images: what is worked out from it is worked out anew for every example."""
    freed: Mapping[int, int] | None = None
    """Storage -> operators (backward ones included) that had run when the program let go of it; those
    held to the end are missing. None where this was not watched."""
    backward_ops: tuple[OpRecord, ...] = ()
    """Operator calls of the backward pass, where one was traced; ``ops`` is then the forward pass in
    training mode. Storages are numbered through both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one forward pass costs, counted, and what was not counted."""

    macs: int
    elementwise_ops: int
    parameters: int
    param_bytes: int
    buffer_bytes: int
    activation_peak_bytes: int
    batch: int
    """Examples in the pass the figures are for."""
    macs_by_op: Mapping[str, int] = field(default_factory=dict)
    macs_by_module: Mapping[str, int] = field(default_factory=dict)
    uncounted: Mapping[str, int] = field(default_factory=dict)
    """Operators without a formula, and how often they ran. Empty means: nothing was left out."""

    @property
    def flops(self) -> int:
        """2 x macs."""
        return 2 * self.macs


# ---- measuring --------------------------------------------------------------------------------

DOUBTFUL_SPREAD = 0.2
"""A measurement whose interquartile range exceeds this share of its median says so.

On two shared cores a quiet run shows 5 to 15 % (accounting background, section 5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Under what a figure was measured; runs that differ here are never pooled."""

    device: str
    """``cpu``, ``cuda:0``, ..."""
    device_name: str
    """What the hardware calls itself."""
    dtype: str
    batch: int
    threads: int
    backend: str
    """``torch-eager``, ``onnxruntime``, ..."""
    versions: Mapping[str, str]
    """Package -> version, for those that can change the figure."""
    power_state: str = "unknown"
    memory_format: str = "contiguous"
    """Of images and weights: ``contiguous`` (channels before height) or ``channels_last``."""
    form: str = "as-built"
    """``as-built``, or ``deploy``: batch norms folded, parallel branches merged."""

    def difference(self, other: "Conditions") -> str:
        """Name the fields in which ``other`` differs, or return an empty string."""
        found = [
            f"{name}: {getattr(self, name)!r} against {getattr(other, name)!r}"
            for name in Conditions.__dataclass_fields__
            if getattr(self, name) != getattr(other, name)
        ]
        return "; ".join(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyRun:
    """Raw times of one model or design under one set of conditions."""

    subject: str
    """Canonical text of the model or design."""
    samples_s: tuple[float, ...]
    """Time of one call each, in the order taken."""
    warmup_s: tuple[float, ...]
    """Discarded first calls, kept for inspection."""
    conditions: Conditions
    stop_reason: str
    """``steady``: the median's interval was narrow enough; ``time``: the time limit came first."""
    observations: Mapping[str, object] = field(default_factory=dict)
    """What was seen beside the samples: clocks, temperature, throttle reasons, load. JSON values."""

    @property
    def median_s(self) -> float:
        """Median time of one call."""
        return statistics.median(self.samples_s)

    @property
    def spread(self) -> float:
        """Interquartile range over the median."""
        if len(self.samples_s) < 4:
            return float("inf")
        low, _, high = statistics.quantiles(self.samples_s, n=4)
        return (high - low) / self.median_s

    @property
    def doubtful(self) -> bool:
        """Whether the samples scatter too much to be quoted without a warning."""
        return self.spread > DOUBTFUL_SPREAD

    def pooled(self, other: "LatencyRun") -> "LatencyRun":
        """Return both runs' samples as one run; an observation on which they differ becomes the pair.

        Raises:
            ConventionError: subjects or conditions differ.
        """
        difference = self.conditions.difference(other.conditions)
        if self.subject != other.subject:
            difference = f"subject: {self.subject!r} against {other.subject!r}; {difference}"
        if difference:
            raise ConventionError(f"these runs cannot be pooled, they differ in {difference}")
        return LatencyRun(
            subject=self.subject,
            samples_s=self.samples_s + other.samples_s,
            warmup_s=self.warmup_s + other.warmup_s,
            conditions=self.conditions,
            stop_reason=self.stop_reason,
            observations=_both(self.observations, other.observations),
        )


def _both(first: Mapping[str, object], second: Mapping[str, object]) -> dict[str, object]:
    """Join what two runs saw: one value where they agree, the pair (None: not seen) where they do not."""
    pairs = {name: (first.get(name), second.get(name)) for name in (*first, *second)}
    return {name: one if one == other else (one, other) for name, (one, other) in pairs.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class CostFigure:
    """One number with its interval and what it stands on; the unit is that of the cost kind."""

    value: float
    low: float
    high: float
    basis: Basis

    def per_example(self, batch: int) -> "CostFigure":
        """Return one example's share of a figure of a call of ``batch``."""
        return CostFigure(
            value=self.value / batch, low=self.low / batch, high=self.high / batch, basis=self.basis
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRecord:
    """A cost figure of one model, as the store keeps it."""

    model: ModelSpec
    """Resolution always set, but for published figures of what was imported."""
    channels: int
    classes: int
    kind: str
    """Name of a stored (not derived) cost kind."""
    device: str | None
    figure: CostFigure
    convention: str
    """For counts ``macs-v1`` and the like; for measurements the scenario, ``single-stream-b1``."""
    source: str
    """What produced it: program and version, or the publication."""
    conditions: Conditions | None = None
    samples_digest: str | None = None
    """SHA-256 of the stored raw samples, where it was measured."""


# ---- members ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """What making one member cost, and how it went."""

    recipe_id: str
    recipe: Mapping[str, object]
    """Every setting that shapes the weights, as written by the trainer."""
    epochs: int
    examples_seen: int
    wall_s: float
    """Time spent training, interruptions left out."""
    device: str
    macs: int
    """Forward and backward of all examples seen, backward counted as 2 x forward (other recipes: their
    ``training_passes``); of a distilled member
    also its teacher's forward passes. Snapshots share one run: each has its own cycle's part of epochs,
    examples, time and MACs, so that the run's are their sums."""
    curve: tuple[Mapping[str, float], ...]
    """One entry an epoch: ``epoch``, ``loss``, ``accuracy`` on the training examples, ``wall_s``."""
    versions: Mapping[str, str]
    precision: str = "float32"
    """Of the forward pass in training: ``float32``, or ``bfloat16`` under autocast."""
    stacked: int = 1
    """Members that were trained side by side in one process, this one included."""
    teacher: str = ""
    """Canonical text of the design whose probabilities it learned; empty: it learned the labels."""
    compiled: bool = False
    """Whether the network ran through ``torch.compile``."""
    device_name: str = ""
    """What the maker calls the device; empty in records older than this field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRecord:
    """One trained network as the store knows it."""

    member: Member
    """``recipe`` always set here."""
    dataset: str
    split_digest: str
    """Of the split it was trained under; see `explorer.data.splits`."""
    channels: int
    classes: int
    training: TrainingRecord
    weights_digest: str
    """SHA-256 of the stored safetensors file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionsRecord:
    """Where one member's class probabilities on one split are."""

    member: Member
    dataset: str
    split: str
    """``select`` or ``report``."""
    split_digest: str
    digest: str
    """SHA-256 of the stored .npy, float16 ``[example, class]``."""
    examples: int
    classes: int

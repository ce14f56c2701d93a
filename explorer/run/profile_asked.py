"""What is asked of `explorer profile`, and what comes back wherever figures come from; needs no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from explorer.errors import UsageError
from explorer.profile_record import ProfileRow
from explorer.spec import Averaging, Cascade, Ensemble, ModelSpec, Single, parse_design, parse_model
from explorer.workload import Precision, Runtime, Workload

CHANNELS, CLASSES = 3, 10
"""Of the images and of the answers, where neither an option nor a data set says them."""
PlannedRow = tuple[str, Workload, float]
"""Model or design, workload, estimated seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a person named: models, and ensembles as designs."""

    models: tuple[ModelSpec, ...] = ()
    designs: tuple[Ensemble, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be profiled, where, and for how long; the command's options, read."""

    named: Named
    device: str
    """A device, or a whole workload's text."""
    dataset: str | None = None
    channels: int | None = None
    classes: int | None = None
    resolutions: tuple[int, ...] = ()
    batches: tuple[int, ...] = ()
    precisions: tuple[Precision, ...] = ()
    runtimes: tuple[Runtime, ...] = ()
    threads: tuple[int, ...] = ()
    channels_last: bool = False
    placements: tuple[str, ...] = ()
    """Empty: the device's usual ones."""
    scenarios: tuple[str, ...] = ()
    energy: bool = False
    seconds: float = 2.0
    repeat: int = 1
    minutes: float | None = None
    max_age_days: float = 7.0
    again: bool = False
    plan_only: bool = False

    @property
    def says_runtime(self) -> bool:
        """Whether a runtime was chosen, by an option or in the workload's text."""
        return bool(self.runtimes) or _says(self.device, Runtime)

    @property
    def says_precision(self) -> bool:
        """Whether a precision was chosen, by an option or in the workload's text."""
        return bool(self.precisions) or _says(self.device, Precision)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """What a profile will do, for people and programs."""

    planned: tuple[PlannedRow, ...]
    left_out: tuple[PlannedRow, ...] = ()
    """Did not fit in the time given."""
    stored: int = 0
    """Rows that are there already."""
    refused: tuple[ProfileRow, ...] = ()
    """Cannot be: each with its reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a profile gave; no rows where only its plan was asked for."""

    planning: Planning
    rows: tuple[ProfileRow, ...] = ()
    left_out: tuple[tuple[str, Workload], ...] = ()
    """Not done for lack of time."""


def read_named(texts: Sequence[str]) -> Named:
    """Tell models from designs; a design of one member is its model: time does not depend on the seed.

    Raises:
        UsageError: neither a model nor a design, or a design that is not profiled, with what to do.
    """
    models, designs = [], []
    for text in texts:
        if not set("(#>") & set(text):
            models.append(parse_model(text))
            continue
        design = parse_design(text)
        if isinstance(design, Cascade):
            raise UsageError(
                f"a cascade is not timed in placements: {design}; `explorer build` it, and "
                "`explorer verify` times the file on the data"
            )
        if isinstance(design, Single):
            models.append(design.member.model)
            continue
        if design.averaging is not Averaging.MEAN:
            raise UsageError(
                f"ensembles are timed with the mean of their members' probabilities, not {design.averaging}: "
                f"write mean({', '.join(map(str, design.members))})"
            )
        if not all(member.resolution for member in design.members):
            raise UsageError(f"{design} needs the resolution of every member: NAME@RESOLUTION#SEED")
        designs.append(design)
    return Named(models=tuple(dict.fromkeys(models)), designs=tuple(dict.fromkeys(designs)))


def is_design(text: str) -> bool:
    """Tell whether a row's subject is an ensemble: its text has members in parentheses."""
    return "(" in text


def _says(workload: str, kind: type[Precision] | type[Runtime]) -> bool:
    return any(part.strip() in list(kind) for part in workload.lower().split("/")[1:])

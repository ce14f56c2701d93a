"""What can be shipped, as values with one canonical text form.

    wrn16-4@32                                              a model at a resolution
    wrn16-4@32#0                                            a member: that model, trained with seed 0
    mean(wrn16-4@32#0, wrn16-4@32#1)                        an ensemble
    wrn16-2@32#0 -> [p>=0.83] mean(wrn16-4@32#0, wrn16-4@32#1)   a cascade
    wrn16-2@32#0 -> [entropy<=0.35] + wrn16-4@32#0          a cascade that averages what ran so far

The text parses back to an equal value (``parse_design(str(design)) == design``), so a person can
type one, a URL can carry one and a file name can hold one. A member may name its recipe,
``wrn16-4@32~long#0``; without one, the recipe is that of the context (a store and a data set). A member
whose answers came from elsewhere may have no resolution: nobody here knows it. ``google~imported#0``
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from explorer.errors import UsageError

DISTILLED_RECIPE = "distilled"
"""Name of every recipe with a teacher; its id is that name, a dash and a hash."""

_NAME = r"[A-Za-z][A-Za-z0-9_.:+]*(?:-[A-Za-z0-9_.:+]+)*"
_MODEL = re.compile(rf"(?P<name>{_NAME})(?:@(?P<resolution>[0-9]+))?")
_MEMBER = re.compile(
    rf"(?P<name>{_NAME})(?:@(?P<resolution>[0-9]+))?(?:~(?P<recipe>[A-Za-z0-9_.-]+))?#(?P<seed>[0-9]+)"
)
NAME_RULE = "letters, digits and _ . : + with single dashes between them, a letter first"
"""What a model may be called, in words."""
_CALL = re.compile(r"(?P<rule>[a-z]+)\((?P<inside>[^()]*)\)")
_EXIT = re.compile(
    r"\[(?P<signal>[a-z]+)(?P<relation>[<>]=)(?P<threshold>[^\]]+)\]\s*(?P<plus>\+)?(?P<stage>.+)", re.DOTALL
)
_MOST_NATS = 100.0
"""No classifier has e^100 classes, so no entropy is above it."""


class Averaging(StrEnum):
    """How an ensemble turns its members' answers into one."""

    MEAN = "mean"
    """Arithmetic mean of probabilities."""
    GEOMETRIC = "geometric"
    """Mean of log-probabilities, renormalised."""
    LOGIT = "logit"
    """Mean of logits, then softmax; equal to ``geometric`` in exact arithmetic, cheaper to run."""
    VOTE = "vote"
    """Share of members whose top class it is; ties go to the lowest class index."""


class PlacementKind(StrEnum):
    """How a candidate's members meet the hardware."""

    SEQUENTIAL = "sequential"
    """One after the other."""
    PARALLEL = "parallel"
    """On a number of workers that do not slow each other down; that is an assumption until measured."""
    BATCHED = "batched"
    """Stacked into one forward pass."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A placement; ``workers`` only means something where the kind is parallel.

    >>> str(Placement.parse("parallel(2)")), str(Placement())
    ('parallel(2)', 'sequential')
    """

    kind: PlacementKind = PlacementKind.SEQUENTIAL
    workers: int = 1

    def __post_init__(self) -> None:
        if self.workers < 1 or (self.kind is not PlacementKind.PARALLEL and self.workers != 1):
            raise UsageError(f"a {self.kind} placement cannot have {self.workers} workers")

    @staticmethod
    def parse(text: str) -> "Placement":
        """Read ``sequential``, ``batched`` or ``parallel(W)``.

        Raises:
            UsageError: not of that form, or fewer than 1 worker.
        """
        match = re.fullmatch(r"(sequential|batched)|parallel\(([0-9]+)\)", text.strip())
        if match is None:
            raise UsageError(f"unknown placement {text!r}; known: sequential, batched, parallel(WORKERS)")
        if match[1]:
            return Placement(PlacementKind(match[1]))
        return Placement(PlacementKind.PARALLEL, int(match[2]))

    def __str__(self) -> str:
        parallel = self.kind is PlacementKind.PARALLEL
        return f"{self.kind}({self.workers})" if parallel else str(self.kind)


class CandidateKind(StrEnum):
    """The answers to the question this project asks."""

    SINGLE = "single"
    ENSEMBLE = "ensemble"
    CASCADE = "cascade"
    DISTILLED = "distilled"


@dataclass(frozen=True, slots=True, order=True)
class ModelSpec:
    """A network at an input resolution, trained or not.

    Args:
        name: family with knobs, e.g. ``wrn16-4``, or a bridged name, ``timm:convnext_tiny``.
        resolution: input height and width in pixels; None means the model's own default.
    """

    name: str
    resolution: int | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(_NAME, self.name):
            raise UsageError(f"not a model name: {self.name!r}; wanted e.g. wrn16-4 or timm:resnet50")
        if self.resolution is not None and self.resolution < 1:
            raise UsageError(f"resolution of {self.name} must be at least 1 pixel, got {self.resolution}")

    def __str__(self) -> str:
        return self.name if self.resolution is None else f"{self.name}@{self.resolution}"


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """One trained network of a data set: model, resolution, recipe, seed."""

    name: str
    resolution: int
    """Pixels; 0 where it is not known: predictions that were made elsewhere."""
    seed: int
    recipe: str = ""
    """Recipe id; empty means the context's recipe."""

    def __post_init__(self) -> None:
        ModelSpec(self.name, self.resolution or None)
        if self.seed < 0:
            raise UsageError(f"seed of {self.name} must be 0 or more, got {self.seed}")

    @property
    def distilled(self) -> bool:
        """Whether it learned from an ensemble's answers: its recipe is called `DISTILLED_RECIPE`."""
        return self.recipe.rpartition("-")[0] == DISTILLED_RECIPE

    @property
    def model(self) -> ModelSpec:
        """The network without its seed and recipe."""
        return ModelSpec(self.name, self.resolution or None)

    def __str__(self) -> str:
        recipe = f"~{self.recipe}" if self.recipe else ""
        at = f"@{self.resolution}" if self.resolution else ""
        return f"{self.name}{at}{recipe}#{self.seed}"


@dataclass(frozen=True, slots=True)
class Single:
    """One member, shipped alone."""

    member: Member

    @property
    def kind(self) -> CandidateKind:
        """`DISTILLED` where the member is, else `SINGLE`."""
        return CandidateKind.DISTILLED if self.member.distilled else CandidateKind.SINGLE

    @property
    def members(self) -> tuple[Member, ...]:
        """The one member, as a tuple, so that every candidate can be asked the same."""
        return (self.member,)

    def __str__(self) -> str:
        return str(self.member)


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Two or more members that all answer, combined by a rule. Make one with `ensemble`.

    A member may occur more than once: that is an integer weight.
    """

    members: tuple[Member, ...]
    """Sorted; the order carries no meaning."""
    averaging: Averaging = Averaging.MEAN

    kind = CandidateKind.ENSEMBLE

    def __post_init__(self) -> None:
        if len(self.members) < 2:
            raise UsageError(f"an ensemble needs at least 2 members, got {len(self.members)}")
        if list(self.members) != sorted(self.members):
            raise UsageError("ensemble members must be sorted; use explorer.spec.ensemble()")

    def __str__(self) -> str:
        return f"{self.averaging}({', '.join(map(str, self.members))})"


class Signal(StrEnum):
    """What tells how sure a stage's (combined) answer is."""

    P = "p"
    """Largest class probability."""
    MARGIN = "margin"
    """Largest minus second largest class probability."""
    ENTROPY = "entropy"
    """Of the class probabilities, in nats; the only one that falls as certainty grows."""
    AGREEMENT = "agreement"
    """Share of the members, repeats counted, whose own top class is the answer."""

    @property
    def relation(self) -> str:
        """How a value that is sure enough stands to the threshold: ``>=``, for entropy ``<=``."""
        return "<=" if self is Signal.ENTROPY else ">="


@dataclass(frozen=True, slots=True)
class Exit:
    """When a cascade stops after a stage: the signal reaches the threshold from its unsure side."""

    threshold: float
    """In [0, 1]; of ``entropy`` in nats, 0 to 100."""
    signal: Signal = Signal.P

    def __post_init__(self) -> None:
        if self.signal not in Signal.__members__.values():
            raise UsageError(f"unknown exit signal {self.signal!r}; known: {', '.join(Signal)}")
        object.__setattr__(self, "signal", Signal(self.signal))
        most, unit = (_MOST_NATS, " nats") if self.signal is Signal.ENTROPY else (1.0, "")
        if not 0.0 <= self.threshold <= most:
            raise UsageError(f"exit threshold must be in [0, {most:g}]{unit}, got {self.threshold!r}")

    def __str__(self) -> str:
        return f"[{self.signal}{self.signal.relation}{self.threshold!r}]"


Stage = Single | Ensemble


def averaging_of(stage: Stage) -> Averaging:
    """Return a stage's averaging rule; a single member's is the mean of one."""
    return stage.averaging if isinstance(stage, Ensemble) else Averaging.MEAN


@dataclass(frozen=True, slots=True)
class Cascade:
    """Stages in order of execution: an input leaves at the first stage that is sure enough.

    The answer is that of the last stage reached (``replace``), unless that stage is joined to the ones
    before it: then it is the average over all their members, every occurrence with equal weight (the
    running prediction of arXiv 2012.01988, introduction).
    """

    stages: tuple[Stage, ...]
    exits: tuple[Exit, ...]
    """One fewer than stages: the last stage always answers."""
    joined: tuple[bool, ...] = ()
    """One an exit: whether the next stage is averaged with what ran, back to the last that is not joined."""

    kind = CandidateKind.CASCADE

    def __post_init__(self) -> None:
        if len(self.stages) < 2:
            raise UsageError(f"a cascade needs at least 2 stages, got {len(self.stages)}")
        later = len(self.stages) - 1
        object.__setattr__(self, "joined", tuple(map(bool, self.joined)) or (False,) * later)
        for what, given in (("exit thresholds", self.exits), ("marks of joined stages", self.joined)):
            if len(given) != later:
                raise UsageError(f"a cascade of {later + 1} stages needs {later} {what}, got {len(given)}")
        rules = [averaging_of(stage) for stage in self.stages]
        for joined, before, rule in zip(self.joined, rules, rules[1:], strict=False):
            if joined and before is not rule:
                raise UsageError(
                    f"stages joined by + must average alike, got {before} and {rule} (a single is a mean)"
                )
        for leave, stage in zip(self.exits, self.combined, strict=False):
            if leave.signal is Signal.AGREEMENT and len(set(stage.members)) < 2:
                raise UsageError(f"agreement needs at least 2 different members, {stage} has 1")

    @property
    def members(self) -> tuple[Member, ...]:
        """Members of all stages, in order of execution, repeats kept."""
        return tuple(m for stage in self.stages for m in stage.members)

    @property
    def combined(self) -> tuple[Stage, ...]:
        """What answers at each stage: the stage, with those before it that it is joined to."""
        found = [self.stages[0]]
        for joined, stage in zip(self.joined, self.stages[1:], strict=True):
            both = (*found[-1].members, *stage.members)
            found.append(ensemble(both, averaging_of(stage)) if joined else stage)
        return tuple(found)

    def __str__(self) -> str:
        text = str(self.stages[0])
        for leave, joined, stage in zip(self.exits, self.joined, self.stages[1:], strict=True):
            text += f" -> {leave} {'+ ' if joined else ''}{stage}"
        return text


Candidate = Single | Ensemble | Cascade


def ensemble(members: "list[Member] | tuple[Member, ...]", averaging: Averaging = Averaging.MEAN) -> Stage:
    """Return the ensemble of ``members`` in canonical order; one member is a `Single`."""
    return Single(members[0]) if len(members) == 1 else Ensemble(tuple(sorted(members)), averaging)


def with_members(candidate: Candidate, names: Mapping[Member, Member]) -> Candidate:
    """Return the design with each member replaced by what ``names`` calls it."""
    if isinstance(candidate, Cascade):
        stages = tuple(_stage_with_members(stage, names) for stage in candidate.stages)
        return Cascade(stages, candidate.exits, candidate.joined)
    return _stage_with_members(candidate, names)


def _stage_with_members(stage: Stage, names: Mapping[Member, Member]) -> Stage:
    return ensemble([names[member] for member in stage.members], averaging_of(stage))


def design_id(candidate: Candidate) -> str:
    """Return 12 hexadecimal digits that name the candidate: SHA-256 of its canonical text."""
    return hashlib.sha256(str(candidate).encode()).hexdigest()[:12]


def parse_model(text: str) -> ModelSpec:
    """Read ``NAME`` or ``NAME@RESOLUTION``.

    Raises:
        UsageError: the text is not of that form.
    """
    match = _MODEL.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"not a model: {text!r}; wanted NAME or NAME@RESOLUTION, e.g. wrn16-4@32")
    resolution = match["resolution"]
    return ModelSpec(match["name"], int(resolution) if resolution else None)


def parse_member(text: str) -> Member:
    """Read ``NAME[@RESOLUTION][~RECIPE]#SEED``; without a resolution it is not known.

    Raises:
        UsageError: the text is not of that form.
    """
    match = _MEMBER.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"not a member: {text.strip()!r}; wanted NAME@RESOLUTION#SEED, e.g. wrn16-4@32#0")
    resolution = match["resolution"]
    model = ModelSpec(match["name"], int(resolution) if resolution else None)  # written out, 0 is refused
    return Member(model.name, model.resolution or 0, int(match["seed"]), match["recipe"] or "")


def parse_design(text: str) -> Candidate:
    """Read the canonical text form of a candidate; inverse of ``str``.

    Raises:
        UsageError: the text is not a design, or the design is not a possible one.
    """
    first, *rest = text.strip().split("->")
    if not rest:
        return _parse_stage(first)
    stages, exits, joined = [_parse_stage(first)], [], []
    for part in rest:
        match = _EXIT.fullmatch(part.strip())
        if match is None:
            raise UsageError(f"not a cascade stage: {part.strip()!r}; wanted e.g. [p>=0.83] wrn16-4@32#0")
        leave = Exit(_number(match["threshold"]), match["signal"])  # type: ignore[arg-type]  # it checks
        if match["relation"] != leave.signal.relation:
            raise UsageError(f"{leave.signal} must be {leave.signal.relation} a threshold; wanted {leave}")
        exits.append(leave)
        joined.append(match["plus"] is not None)
        stages.append(_parse_stage(match["stage"]))
    return Cascade(tuple(stages), tuple(exits), tuple(joined))


def _parse_stage(text: str) -> Stage:
    match = _CALL.fullmatch(text.strip())
    if match is None:
        return Single(parse_member(text))
    if match["rule"] not in Averaging.__members__.values():
        known = ", ".join(Averaging)
        raise UsageError(f"unknown averaging rule {match['rule']!r}; known: {known}")
    members = [parse_member(part) for part in match["inside"].split(",")]
    if len(members) < 2:
        raise UsageError(f"an ensemble needs at least 2 members, got {len(members)} in {text.strip()!r}")
    return ensemble(members, Averaging(match["rule"]))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"exit threshold must be a number, got {text!r}") from None

"""What the analysis answers with: frozen values that report, command line and app only format."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from explorer.convention import CostAxis
from explorer.prediction.decision import Verdict as CostVerdict
from explorer.question import Budget, Target
from explorer.record import CostFigure
from explorer.spec import Candidate, CandidateKind, ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate with its 95 % interval and how that was made."""

    value: float
    low: float
    high: float
    n: int
    """Examples the estimate rests on."""
    method: str
    """``bootstrap`` over examples; ``wilson`` where every resample is alike (all right or all wrong)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One candidate, chosen on ``select`` and reported on ``report``."""

    design: Candidate
    select_accuracy: float
    """On the examples it was chosen on: optimistic."""
    select_cost: float
    """Cost used for choosing; a cascade's depends on the share that exits on ``select``."""
    accuracy: Interval
    """On ``report``: the figure to quote."""
    cost: CostFigure
    """On ``report``: mean over examples; the interval holds exit-share and measurement noise."""
    worst_cost: float
    """Cost of an input that runs every stage."""
    reached: tuple[float, ...]
    """Share of ``report`` examples that reaches each stage; ``(1.0,)`` unless a cascade."""

    @property
    def kind(self) -> CandidateKind:
        """Single, ensemble or cascade."""
        return self.design.kind

    @property
    def regret(self) -> float:
        """Chosen-on minus reported-on accuracy: the optimism of choosing."""
        return self.select_accuracy - self.accuracy.value


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSummary:
    """Which members the designs were made of, so that a result can be traced."""

    dataset: str
    split_digest: str
    recipe_id: str
    members: tuple[str, ...]
    """Canonical texts."""
    select_examples: int
    report_examples: int
    classes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchedDesign:
    """A lighter point of the searched cloud: figures on ``select`` only, never to be quoted."""

    design: str
    kind: CandidateKind
    cost: float
    accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleCurve:
    """One model, answered by 1, 2, ... n of its seeds: the founding paper's figure."""

    model: ModelSpec
    sizes: tuple[int, ...]
    costs: tuple[float, ...]
    """Cost of each size, in the axis's unit."""
    accuracies: tuple[float, ...]
    """Mean over all subsets of that size, on ``report``."""
    lows: tuple[float, ...]
    """Lowest subset."""
    highs: tuple[float, ...]
    """Highest subset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """The exact Pareto front of everything searched, cheapest first."""

    pool: PoolSummary
    axis: CostAxis
    points: tuple[Point, ...]
    searched: Mapping[CandidateKind, int]
    """Designs scored, by kind; a cascade counts once per threshold."""
    cloud: tuple[SearchedDesign, ...]
    """A sample of the dominated designs for drawing, at most about 3,000."""
    curves: tuple[ScaleCurve, ...]
    notes: tuple[str, ...]
    """What was left out and why (other recipes, missing costs, limits on the search)."""
    fronts_by_kind: Mapping[CandidateKind, tuple[Point, ...]] = field(default_factory=dict)
    """The exact front of each kind alone, cheapest first: what `advice.advise` chooses from."""


class Verdict(StrEnum):
    """What a paired comparison allows to be said."""

    BETTER = "better"
    WORSE = "worse"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Accuracy of ``first`` minus ``second`` on the same ``report`` examples."""

    first: Candidate
    second: Candidate
    difference: Interval
    verdict: Verdict
    """``cannot tell`` when the interval holds zero."""
    only_first_right: int
    only_second_right: int
    examples_to_tell: int | None
    """Report examples at which a difference of this size would show; None when it is zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossover:
    """A budget at which the kind of the best design on the front changes."""

    cost: float
    before: CandidateKind
    after: CandidateKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The answer to a budget or a target, and how sure it is."""

    question: Budget | Target
    axis: CostAxis
    pool: PoolSummary
    answer: Point | None
    """Chosen on ``select``; None when nothing fits the question."""
    runner_up: Point | None
    """Best candidate of any other kind that fits."""
    best_of_kind: Mapping[CandidateKind, Point]
    """Best fitting candidate of each kind, the answer included."""
    comparisons: tuple[Comparison, ...]
    """The answer against the best of every other kind, paired."""
    cannot_tell: bool
    """Whether the answer and the runner-up cannot be told apart on ``report``."""
    cheaper: Point | None
    """Of the answer and those it cannot be told from, the one that costs least."""
    cost_verdict: CostVerdict | None
    """The answer's cost against that one's, or where it is the answer, against the runner-up's: `too close
    to call` where the ratio does not clear the pair's interval. None: there is no other."""
    crossovers: tuple[Crossover, ...]
    next_up: Point | None
    """The next dearer point of the front: what a little more budget would buy."""
    notes: tuple[str, ...]

"""Choose a weighted ensemble on ``select`` by greedy or beam search, and quote it on ``report``.

What was found is put beside the best single member within the same limits and beside the plain mean of its
own distinct members: a weighting that does not beat the second is not worth its name.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from explorer.analysis.advice.scores import Difference, Scored, score_designs
from explorer.analysis.pool import Pool
from explorer.analysis.result import Interval, Point, PoolSummary, Verdict
from explorer.analysis.scoring.combine import ZERO_PROBABILITY
from explorer.analysis.scoring.losses import prepare
from explorer.analysis.scoring.score import Memo, evaluate
from explorer.analysis.scoring.score_parts import TOP, ScoreName
from explorer.analysis.search.beam import Asked, BeamSelection, beam
from explorer.analysis.search.greedy import Selection, greedy
from explorer.analysis.search.greedy_limits import Bound, Limits
from explorer.analysis.search.greedy_objectives import Objective, Rule
from explorer.convention import Composition, CostAxis
from explorer.errors import UsageError, unknown_name
from explorer.prediction.families import family
from explorer.spec import Candidate, Member, Single, ensemble, parse_member

RULE = Rule(normalise=False, floor=ZERO_PROBABILITY)
"""Log losses as reports show them; and no member is added for less than half a millionth of error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to select from a pool, within which limits, and how hard to look."""

    objective: Objective = Objective.ACCURACY
    rounds: int = 25
    width: int = 1
    """Multisets kept a round; 1 is greedy."""
    seed: int | None = None
    """Greedy only: ties are drawn by chance."""
    max_distinct: int | None = None
    max_cost: float | None = None
    """In the unit of the pool's axis."""
    cost_penalty: float = 0.0
    """Error that a unit of cost counts as."""
    max_parameters: float | None = None
    include: tuple[str, ...] = ()
    """Members, in their text form."""
    exclude: tuple[str, ...] = ()
    """Members, models or families."""
    family_limits: Mapping[str, int] = field(default_factory=dict)
    """Most distinct members of a model or family."""


class Reference(StrEnum):
    """What a selection is compared with."""

    SINGLE = "best single"
    """The best single member that the limits allow, whatever must be included; chosen on ``select`` too."""
    EQUAL = "equal weights"
    """The plain mean of the selection's distinct members."""
    GREEDY = "greedy"
    """What greedy selection finds, where a beam found something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """One design by the metric that was selected for."""

    point: Point
    chosen_on: float
    """The metric on ``select``: optimistic."""
    score: Interval
    """The metric on ``report``: the figure to quote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """The selection against another design, on the same ``report`` examples."""

    what: Reference
    quoted: Quoted
    by_metric: Difference
    """The selection's metric minus the other's; the verdict is on the selection."""
    by_accuracy: Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class PathStep:
    """One pick: all figures are of the multiset up to it, on ``select``."""

    member: Member
    score: float
    cost: float
    tied: int
    """Multisets as good as equal to it before ties were broken."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weighted:
    """A weighted ensemble, chosen on ``select`` and quoted on ``report``."""

    pool: PoolSummary
    axis: CostAxis
    wanted: Wanted
    selection: Selection
    path: tuple[PathStep, ...]
    weights: Mapping[Member, int]
    """Of each distinct member, largest first, without a common divisor."""
    answer: Quoted
    optimism: float
    """How much better the metric looks on ``select`` than on ``report``, in the metric's unit."""
    members_optimism: float
    """The same, mean over all members: they were not chosen, so this is what the splits differ."""
    against: tuple[Against, ...]
    notes: tuple[str, ...]

    @property
    def design(self) -> Candidate:
        """Return what was selected."""
        return self.answer.point.design


def search_weighted(
    pools: Sequence[Pool],
    wanted: Wanted,
    *,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> BeamSelection:
    """Look for the weighted ensemble that is best on ``select`` within the limits.

    Log losses are those of `explorer.analysis.scoring.metrics`; errors are compared to six decimals, so that
    no member is added for less.

    Args:
        pools: the members with their costs on the axis; where parameters are bounded, a second pool of the
            same members with their parameters.
        wanted: what, within which limits.
        should_stop: see `explorer.analysis.search.greedy.greedy`.
        on_progress: told the share of the work done.

    Raises:
        UsageError: an unknown member or family, limits or rounds that cannot be met, a metric that tells
            nothing here.
        InputDataError: probabilities that are not what they should be.
    """
    pool = pools[0]
    if wanted.objective is Objective.TOP5 and pool.summary.classes <= TOP:
        raise UsageError(f"{wanted.objective} of {pool.summary.classes} classes is always right")
    limits = limits_of(pools, wanted)
    if len(limits.must_include) > wanted.rounds:
        raise UsageError(f"{len(limits.must_include)} members must be in it, but only {wanted.rounds} rounds")
    rule = replace(RULE, seed=wanted.seed)
    if wanted.width > 1:
        asked = Asked(
            objective=wanted.objective, width=wanted.width, rounds=wanted.rounds, limits=limits, rule=rule
        )
        return beam(pool.select, pool.select_labels, asked, should_stop=should_stop, on_progress=on_progress)
    found = greedy(
        pool.select,
        pool.select_labels,
        objective=wanted.objective,
        rounds=wanted.rounds,
        limits=limits,
        rule=rule,
        should_stop=should_stop,
        on_progress=on_progress,
    )
    return BeamSelection(found=found, greedy=found)


def quote_weighted(
    pools: Sequence[Pool], wanted: Wanted, found: BeamSelection, *, notes: tuple[str, ...] = ()
) -> Weighted:
    """Quote a selection on ``report``, beside the best single member and its own plain mean.

    Args:
        pools: as given to `search_weighted`.
        wanted: the same.
        found: what it found.
        notes: what the result has to say besides.

    Raises:
        UsageError: nothing was selected before the search was stopped.
    """
    pool, picked = pools[0], found.found
    if not picked.rounds:
        raise UsageError("nothing was selected: the search was stopped before its first whole round")
    designs = _designs(pools, wanted, found)
    answer, *others = designs.values()
    scored = score_designs(pool, list(dict.fromkeys(designs.values()))).designs
    by_design = {one.design: one for one in scored}
    metric = ScoreName(wanted.objective.metric.value)
    chosen, of_members = _chosen_on(pool, wanted.objective, designs.values())
    memo: Memo = {}
    quoted = {
        design: Quoted(
            point=evaluate(pool, design, pool.axis, memo=memo),
            chosen_on=value,
            score=by_design[design].scores[metric],
        )
        for design, value in zip(designs.values(), chosen, strict=True)
    }
    sign = 1.0 if metric.higher_is_better else -1.0
    references = [what for what in designs if what is not None]
    return Weighted(
        pool=pool.summary,
        axis=pool.axis,
        wanted=wanted,
        selection=picked,
        path=_path(pool, picked),
        weights=_weights(pool, picked),
        answer=quoted[answer],
        optimism=sign * (quoted[answer].chosen_on - quoted[answer].score.value),
        members_optimism=sign * of_members,
        against=tuple(
            _against(what, quoted[other], by_design[other], metric)
            for what, other in zip(references, others, strict=True)
            if other != answer
        ),
        notes=(*notes, *_notes(wanted, found)),
    )


def members_named(pool: Pool, name: str) -> list[int]:
    """Return the members that a name means: one member, all seeds of a model, or a family.

    Raises:
        UsageError: it means none.
    """
    if "#" in name:
        return pool.rows((parse_member(name),))
    called = [(family(m.name), m.name, str(m.model)) for m in pool.members]
    rows = [row for row, names in enumerate(called) if name in names]
    if not rows:
        known = {names[0] for names in called} | {names[2] for names in called}
        raise unknown_name("model or family", name, known)
    return rows


def limits_of(pools: Sequence[Pool], wanted: Wanted) -> Limits:
    """Return what was asked for as limits on member numbers.

    Raises:
        UsageError: an unknown member, model or family.
    """
    pool = pools[0]
    bounds = []
    for name, most in wanted.family_limits.items():
        amounts = np.zeros(len(pool.members))
        amounts[members_named(pool, name)] = 1.0
        bounds.append(Bound(name=f"the limit of {name}", amounts=amounts, most=most))
    if wanted.max_parameters is not None:
        bounds.append(Bound(name="max_parameters", amounts=pools[1].costs, most=wanted.max_parameters))
    excluded = dict.fromkeys(row for name in wanted.exclude for row in members_named(pool, name))
    return Limits(
        max_distinct=wanted.max_distinct,
        costs=pool.costs,
        largest_cost=pool.axis.kind.composition is Composition.MAX or pool.axis.kind.members_at_once,
        max_cost=wanted.max_cost,
        cost_penalty=wanted.cost_penalty,
        must_include=tuple(dict.fromkeys(pool.rows(tuple(parse_member(text) for text in wanted.include)))),
        exclude=tuple(excluded),
        bounds=tuple(bounds),
    )


def _designs(
    pools: Sequence[Pool], wanted: Wanted, found: BeamSelection
) -> dict[Reference | None, Candidate]:
    """Return the selection (None), and what it is compared with."""
    pool = pools[0]

    def weighted(picked: Selection) -> Candidate:
        weights = _weights(pool, picked)
        return ensemble([member for member, times in weights.items() for _ in range(times)])

    designs: dict[Reference | None, Candidate] = {None: weighted(found.found)}
    single = _best_single(pools, wanted)
    designs[Reference.SINGLE] = Single(pool.members[single])
    designs[Reference.EQUAL] = ensemble([pool.members[row] for row in found.found.members])
    if found.greedy.rounds:
        designs[Reference.GREEDY] = weighted(found.greedy)
    return designs


def _best_single(pools: Sequence[Pool], wanted: Wanted) -> int:
    """Return the member that the same rule picks first where nothing must be included."""
    pool = pools[0]
    limits = replace(limits_of(pools, wanted), must_include=())
    alone = greedy(
        pool.select,
        pool.select_labels,
        objective=wanted.objective,
        rounds=1,
        limits=limits,
        rule=replace(RULE, seed=wanted.seed),
    )
    return int(alone.picks[0])


def _weights(pool: Pool, picked: Selection) -> dict[Member, int]:
    times = {int(row): int(picked.weights[row]) for row in picked.members}
    common = math.gcd(*times.values())
    order = sorted(times, key=lambda row: (-times[row], row))
    return {pool.members[row]: times[row] // common for row in order}


def _path(pool: Pool, picked: Selection) -> tuple[PathStep, ...]:
    figures = zip(picked.picks, picked.scores, picked.costs, picked.tied, strict=True)
    return tuple(
        PathStep(member=pool.members[int(row)], score=float(score), cost=float(cost), tied=int(tied))
        for row, score, cost, tied in figures
    )


def _chosen_on(pool: Pool, objective: Objective, designs: Iterable[Candidate]) -> tuple[list[float], float]:
    """Return the metric of designs on ``select``, and the members' mean there minus that on ``report``."""
    every = np.eye(len(pool.members))
    weights = [np.bincount(pool.rows(design.members), minlength=len(every)) for design in designs]
    chosen = prepare(pool.select, pool.select_labels, objective.metric)
    values = chosen.score(np.concatenate([np.array(weights, dtype=np.float64), every]))
    reported = prepare(pool.report, pool.report_labels, objective.metric).score(every)
    gap = float(values[len(weights) :].mean() - reported.mean())
    return [float(value) for value in values[: len(weights)]], gap


def _against(what: Reference, quoted: Quoted, scored: Scored, metric: ScoreName) -> Against:
    return Against(
        what=what,
        quoted=quoted,
        by_metric=_turned(scored.differences[metric]),
        by_accuracy=_turned(scored.differences[ScoreName.ACCURACY]),
    )


def _turned(difference: Difference) -> Difference:
    """Return the selection minus another design, of that design minus the selection."""
    of = difference.interval
    other_way = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}
    return Difference(
        # 0.0 - x: no minus zero
        interval=Interval(
            value=0.0 - of.value, low=0.0 - of.high, high=0.0 - of.low, n=of.n, method=of.method
        ),
        verdict=other_way.get(difference.verdict, difference.verdict),
    )


def _notes(wanted: Wanted, found: BeamSelection) -> tuple[str, ...]:
    notes = []
    if wanted.objective is Objective.ECE:
        notes.append(
            "a small calibration error says nothing of how often answers are right: look at the accuracy too"
        )
    if not wanted.objective.own_table:
        notes.append(
            f"{wanted.objective} has no table of its own: ensembles were scored one by one, the slower way"
        )
    if wanted.width > 1 and np.array_equal(found.found.weights, found.greedy.weights):
        notes.append("the beam found nothing better than greedy selection")
    return tuple(notes)

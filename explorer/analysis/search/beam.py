"""Beam search over multisets of members: greedy selection that keeps several of them a round.

Greedy forward selection (`explorer.analysis.search.greedy`) keeps one multiset and never looks back. A beam
of width B keeps the B best of each size: every one of them with every member that may be added, each multiset
once however it was come by. A wider beam may end worse than a narrow one (Lemons, Linares Lopez, Holte and
Ruml, "Beam Search: Faster and Monotonic", ICAPS 2022): what the narrow one keeps may have to go early. Hence
greedy's own multiset always stays, as one more where it is not among the B best, and at every round the best
multiset is no worse than greedy's, by the rule that both compare by. A beam that is never full has looked at
every multiset.

Multisets are ordered by the error compared, then fewer distinct members, then log loss where the objective
is a share, then the members' numbers, sorted. Of one multiset's successors that is greedy's order, so width 1
is greedy.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from explorer.analysis.blocks import Members, check_members
from explorer.analysis.search.greedy import Round, Selection, check_rounds, errors_of, selection
from explorer.analysis.search.greedy_limits import Allowed, Limits
from explorer.analysis.search.greedy_objectives import (
    ROUNDED_ABOVE,
    SAME,
    LogLossTable,
    Objective,
    Rule,
    Table,
    objective_tables,
)
from explorer.analysis.search.greedy_tables import threads
from explorer.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """What to select, and how hard to look."""

    objective: Objective
    width: int = 1
    """Multisets kept a round."""
    rounds: int = 25
    """Most picks, 1 to 127."""
    limits: Limits = field(default_factory=Limits)
    rule: Rule = field(default_factory=Rule)
    """Ties are never drawn by chance: a beam keeps them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BeamSelection:
    """The best multiset a beam found, and the one that greedy selection finds."""

    found: Selection
    """Its picks end with the best multiset, and say one order in which a beam may come by it."""
    greedy: Selection
    """All rounds of greedy selection under the same rule and limits."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _State:
    """A multiset of members."""

    picks: tuple[int, ...]
    """Sorted."""
    before: "_State | None"
    done: Round
    """The pick that made it of the one before."""

    def weights(self, members: int) -> np.ndarray:
        """Return how often each member is in it, int64 ``[member]``."""
        return np.bincount(self.picks, minlength=members)

    def rounds(self) -> list[Round]:
        """Return how it was come by, from the first pick on."""
        found: list[Round] = []
        state: _State | None = self
        while state is not None:
            found.append(state.done)
            state = state.before
        return found[::-1]


def beam(
    members: Members,
    labels: np.ndarray,
    asked: Asked,
    *,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> BeamSelection:
    """Look for the multiset of members whose average is best, keeping several of each size.

    Args:
        members: probabilities to choose by, of one split (not the one that is reported on).
        labels: true classes int ``[example]``.
        asked: what for, and how hard to look.
        should_stop: asked between blocks and between the multisets of a round; True ends the search with the
            rounds that are whole.
        on_progress: told the share of the work done.

    Raises:
        UsageError: a width, rounds, rule or limits that cannot be met.
        InputDataError: members, labels or costs of the wrong shape or range.
    """
    check_members(members)
    check_rounds(asked.rounds)
    if asked.width < 1:
        raise UsageError(f"a beam must be at least 1 wide, got {asked.width}")
    if asked.rule.seed is not None:
        raise UsageError("a beam breaks no tie by chance; leave out the seed, or search greedily")
    allowed = Allowed(asked.limits, len(members))
    tables = objective_tables(members, labels, asked.objective, asked.rule, should_stop)
    if tables is None:
        nothing = selection(asked.objective, [], allowed, searched=0, scored=0, stopped=True)
        return BeamSelection(found=nothing, greedy=nothing)
    rounds = asked.rounds if len(members) > 1 else 1
    with ThreadPoolExecutor(threads()) as pool:
        search = _Search(tables, asked, allowed, pool)
        stopped = not search.run(rounds, should_stop, on_progress)
    return search.result(stopped=stopped)


@dataclass(slots=True)
class _Next:
    """A multiset of the next round, before it is known whether it stays."""

    picks: tuple[int, ...]
    before: int
    """Number of the multiset it comes from."""
    pick: int
    distinct: int
    error: float
    compared: float
    cost: float
    tied: int = 0
    """How many of the round are as good as equal to it."""


class _Search:
    """The multisets kept of the last size, and those of the next."""

    def __init__(
        self,
        tables: tuple[Table, LogLossTable | None],
        asked: Asked,
        allowed: Allowed,
        pool: ThreadPoolExecutor,
    ) -> None:
        self.first, self.second = tables
        self.asked, self.allowed, self.pool = asked, allowed, pool
        self.members = len(allowed.must)
        self.kept: list[_State | None] = [None]
        """None is the empty multiset."""
        self.greedy = 0
        """Which of those kept is greedy selection's own."""
        self.greedy_rounds: list[Round] = []
        self.best: list[_State] = []
        """Of each size the best one."""
        self.decimals: int | None = None
        self.scored = self.scored_greedily = 0

    def run(
        self,
        rounds: int,
        should_stop: Callable[[], bool] | None,
        on_progress: Callable[[float], None] | None,
    ) -> bool:
        """Do the rounds; return whether all were done."""
        for done in range(rounds):
            found: dict[tuple[int, ...], _Next] = {}
            for number in range(len(self.kept)):
                if should_stop is not None and should_stop():
                    return False
                of_greedy = self._extend(number, found)
                if number == self.greedy:
                    greedily = of_greedy
                if on_progress is not None:
                    on_progress((done + (number + 1) / len(self.kept)) / rounds)
            self.scored += len(found)
            self.scored_greedily += len(greedily)
            self._keep(list(found.values()), [found[picks] for picks in greedily])
        return True

    def result(self, *, stopped: bool) -> BeamSelection:
        """Return the best multiset of all sizes, and greedy selection's."""

        def over(rounds: list[Round], scored: int) -> Selection:
            searched = len(self.best)
            objective = self.asked.objective
            return selection(
                objective, rounds, self.allowed, searched=searched, scored=scored, stopped=stopped
            )

        greedily = over(self.greedy_rounds, self.scored_greedily)
        sizes = over([state.done for state in self.best], self.scored)
        weights = self.best[sizes.rounds - 1].weights(self.members) if sizes.rounds else sizes.weights
        if np.array_equal(weights, greedily.weights):
            return BeamSelection(found=replace(greedily, scored=self.scored), greedy=greedily)
        path = over(self.best[sizes.rounds - 1].rounds(), self.scored)
        # of equals the path may pass one earlier that a smaller size's best one is as good as
        found = replace(path, rounds=sizes.rounds, weights=weights)
        return BeamSelection(found=found, greedy=greedily)

    def _extend(self, number: int, found: dict[tuple[int, ...], _Next]) -> list[tuple[int, ...]]:
        """Score what one multiset can become and is not yet known; return all that it can become."""
        state = self.kept[number]
        picks = () if state is None else state.picks
        used = np.zeros(self.members, bool)
        used[list(picks)] = True
        candidates = self.allowed.candidates(used)
        becomes = [tuple(sorted((*picks, int(m)))) for m in candidates]
        new = np.array([multiset not in found for multiset in becomes])
        fresh = candidates[new]
        if len(fresh):
            errors = self._errors(self.first, picks, fresh)
            costs = self.allowed.cost_after(used, fresh)
            compared = errors if self.decimals is None else errors.round(self.decimals)
            penalty = self.allowed.limits.cost_penalty
            compared = compared + penalty * costs if penalty else compared
            whole = [multiset for multiset, is_new in zip(becomes, new, strict=True) if is_new]
            for place, multiset in enumerate(whole):
                found[multiset] = _Next(
                    picks=multiset,
                    before=number,
                    pick=int(fresh[place]),
                    distinct=int(used.sum()) + (not used[fresh[place]]),
                    error=float(errors[place]),
                    compared=float(compared[place]),
                    cost=float(costs[place]),
                )
        return becomes

    def _errors(self, table: Table, picks: tuple[int, ...], candidates: np.ndarray) -> np.ndarray:
        sums = table.start()
        members, times = np.unique(np.array(picks, dtype=np.int64), return_counts=True)
        # summed again, in member order: then a multiset's score hangs on nothing but the multiset
        for member, count in zip(members.tolist(), times.tolist(), strict=True):
            table.add(sums, member, count)
        return errors_of(table, sums, len(picks), candidates, self.pool)

    def _keep(self, found: list[_Next], of_greedy: list[_Next]) -> None:
        """Let the best ones of a round stay, and greedy's."""
        greedily = self._ranked(of_greedy, 1)[0]
        tied_greedily = greedily.tied
        best = self._ranked(found, self.asked.width)
        kept = best if any(one is greedily for one in best) else [*best, greedily]
        penalty = self.allowed.limits.cost_penalty
        if not self.best and self.asked.rule.decimals is not None and abs(best[0].error) > ROUNDED_ABOVE:
            self.decimals = self.asked.rule.decimals
            for one in kept:
                one.compared = float(np.round(one.error, self.decimals)) + penalty * one.cost
        last = self.kept[self.greedy]
        added = Counter(greedily.picks) - Counter(() if last is None else last.picks)
        pick = next(iter(added))
        self.greedy_rounds.append(_round(greedily, pick=pick, tied=tied_greedily))
        states = [
            _State(picks=one.picks, before=self.kept[one.before], done=_round(one, one.pick, one.tied))
            for one in kept
        ]
        self.greedy = next(place for place, one in enumerate(kept) if one is greedily)
        self.best.append(states[0])
        self.kept = list(states)

    def _ranked(self, found: Sequence[_Next], many: int) -> list[_Next]:
        """Return the best ones, best first, and note of each how many are as good as equal to it."""
        ranked: list[_Next] = []
        for group in _ties(found, [one.compared for one in found]):
            for one in group:
                one.tied = len(group)
            ranked += self._by_second(group)
            if len(ranked) >= many:
                break
        return ranked[:many]

    def _by_second(self, group: list[_Next]) -> list[_Next]:
        """Order equals: fewer distinct members, then log loss, then members' numbers."""
        if len(group) == 1:
            return group
        ranked: list[_Next] = []
        for distinct in sorted({one.distinct for one in group}):
            alike = [one for one in group if one.distinct == distinct]
            if self.second is None or len(alike) == 1:
                ranked += sorted(alike, key=lambda one: one.picks)
                continue
            for ties in _ties(alike, self._second_errors(alike, self.second)):
                ranked += sorted(ties, key=lambda one: one.picks)
        return ranked

    def _second_errors(self, alike: list[_Next], table: LogLossTable) -> list[float]:
        errors = np.empty(len(alike))
        origin = np.array([one.before for one in alike])
        for number in np.unique(origin).tolist():
            rows = np.flatnonzero(origin == number)
            state = self.kept[number]
            picks = () if state is None else state.picks
            errors[rows] = self._errors(table, picks, np.array([alike[row].pick for row in rows]))
        return [float(error) for error in errors]


def _round(one: _Next, pick: int, tied: int) -> Round:
    return Round(pick=pick, error=one.error, compared=one.compared, cost=one.cost, tied=tied)


def _ties(found: Sequence[_Next], values: Sequence[float]) -> list[list[_Next]]:
    """Return the multisets in groups of as good as equal values, least first."""
    order = np.argsort(np.array(values), kind="stable").tolist()
    groups: list[list[_Next]] = []
    least = 0.0
    for place in order:
        if groups and abs(values[place] - least) <= SAME * abs(least):
            groups[-1].append(found[place])
        else:
            groups.append([found[place]])
            least = values[place]
    return groups

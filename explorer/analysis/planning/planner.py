"""Which runs to make in the minutes at hand, so that the answer (or the front) becomes surest.

Value of information by simulation (Raiffa and Schlaifer 1961, preposterior analysis): draw a truth from what
is known, draw what the runs would show of it, decide with what would then be known, and see how often that
differs from the decision that the truth asks for. Runs are chosen greedily by value a minute.

What it assumes, all of it first order:
- Errors are normal; costs and accuracies err apart, and so do models. n alike runs err by noise / sqrt(n): a
  mean over s seeds is off by the deviation over seeds / sqrt(s).
- The question is about designs of models, seeds being repeats: that a new seed may itself be a lucky one
  worth shipping is not counted.
- The examples stay the same: what another draw of them would show is not in here, for no run can tell.
- A decision takes what is known at its mean.
- The plan is made beforehand: nothing is learned from a run before the next one is chosen. Greedy choice with
  a look at 1, 2, 4 and 8 repeats of a run can miss what only pays in company with another run.

`planner_inputs` makes the inputs from a pool and says what it assumes in turn.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from explorer.errors import UsageError, unknown_name
from explorer.question import Budget, Target

DRAWS = 4_000
_SEED = 20005
_REPEATS = (1, 2, 4, 8)


class Goal(StrEnum):
    """What is to become smaller."""

    WRONG = "wrong"
    """Chance of not choosing the design that the truth asks for; of a front, the expected share of designs
    that are wrongly on it or off it."""
    REGRET = "regret"
    """Expected loss by the choice: accuracy under a budget (a choice beyond it is worth 0), cost under a
    target (a choice that misses it costs as much as the dearest design). Not for a front."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """One figure that is known with an error, and that several designs may hang on."""

    name: str
    error: float
    """Standard deviation of what is known now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One design among those that could be the answer."""

    name: str
    accuracy: float
    """As it is known now."""
    cost: float
    """As it is known now, in the unit of the question's axis."""
    accuracy_on: Mapping[str, float]
    """Unknown -> how far the accuracy is off for each 1 that the unknown is."""
    cost_on: Mapping[str, float]
    """The same of the cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One run that could be made, any number of times."""

    name: str
    minutes: float
    shows: Mapping[str, float]
    """Unknown -> its share in what the run shows: 1 of a model's accuracy; of each model's latency as often
    as the design runs it."""
    noise: float
    """Standard deviation of one run; 0: it shows the truth."""

    def __post_init__(self) -> None:
        if not 0 < self.minutes < math.inf:
            raise UsageError(f"{self.name} must take more than 0 minutes, got {self.minutes}")
        if not (0 <= self.noise < math.inf and self.shows):
            raise UsageError(f"{self.name} must show something, with a noise of 0 or more, got {self.noise}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Everything that the plan is made from."""

    options: tuple[Option, ...]
    unknowns: tuple[Unknown, ...]
    actions: tuple[Action, ...]
    question: Budget | Target | None
    """None: the front of all options."""

    def __post_init__(self) -> None:
        names = [unknown.name for unknown in self.unknowns]
        if not self.options:
            raise UsageError("no designs to choose from, so nothing to plan")
        if len(set(names)) < len(names):
            raise UsageError(f"unknowns must have names of their own, got {', '.join(sorted(names))}")
        used = [name for o in self.options for name in (*o.accuracy_on, *o.cost_on)]
        for name in (*used, *(name for action in self.actions for name in action.shows)):
            if name not in names:
                raise unknown_name("unknown figure", name, names)
        for unknown in self.unknowns:
            if not 0 <= unknown.error < math.inf:
                raise UsageError(f"{unknown.name} must have an error of 0 or more, got {unknown.error}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One step of the plan: an action, some times, and what it is expected to bring."""

    action: Action
    times: int
    before: float
    """The goal's figure with all steps before this one."""
    after: float
    """With this one too."""
    error: float
    """Standard error of the difference, from the simulation alone."""

    @property
    def minutes(self) -> float:
        """Of all its runs together."""
        return self.times * self.action.minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementPlan:
    """What to run in the minutes at hand, in the order of choice."""

    goal: Goal
    minutes: float
    """At hand."""
    runs: tuple[PlannedRun, ...]
    now: float
    """The goal's figure as things stand."""
    then: float
    """Expected when all of it was run."""
    at_best: float
    """What is left when every action was run without end: no minutes buy more than that."""
    spent: float
    """Minutes of the plan."""
    stopped: str
    """Why it ends: ``sure``, ``minutes``, or ``no gain`` that the simulation can tell from none."""


def plan_runs(
    known: Known,
    minutes: float,
    *,
    goal: Goal = Goal.WRONG,
    draws: int = DRAWS,
    seed: int = _SEED,
    update: Callable[[float, str], None] = lambda share, text: None,
) -> MeasurementPlan:
    """Choose the runs that make the answer surest in some minutes, greedily by value a minute.

    All candidates are judged on the same draws of truth and noise, so that their differences are much surer
    than their figures. A step is taken only where the gain is above two of its standard errors.

    Args:
        known: designs, what they hang on, and what could be run.
        minutes: at hand.
        goal: what is to become smaller.
        draws: of truth and noise.
        seed: of the draws; the same seed gives the same plan.
        update: told which share of the minutes is planned.

    Raises:
        UsageError: minutes (or draws) that are not above 0 and finite, or the regret of a front.
    """
    if not (0 < minutes < math.inf and draws > 0):
        raise UsageError(f"a plan needs minutes and draws above 0, got {minutes} and {draws}")
    if goal is Goal.REGRET and known.question is None:
        raise UsageError("a front has no regret; ask for a budget or a target, or for the goal 'wrong'")
    return _chosen_runs(_Simulation(known, goal, draws, seed), float(minutes), update)


def _chosen_runs(
    simulation: "_Simulation", minutes: float, update: Callable[[float, str], None]
) -> MeasurementPlan:
    """Choose step after step until the minutes are spent, nothing is in doubt, or nothing gains."""
    actions = simulation.known.actions
    times = np.zeros(len(actions))
    losses = simulation.losses(times)
    now, left, stopped = float(losses.mean()), minutes, "minutes"
    runs: list[PlannedRun] = []
    while True:
        if not losses.any():
            stopped = "sure"
            break
        affordable = [
            (index, repeats)
            for index, action in enumerate(actions)
            for repeats in _REPEATS
            if repeats * action.minutes <= left
        ]
        if not affordable:
            break
        update(1 - left / minutes, f"step {len(runs) + 1}: {len(affordable)} runs to choose from")
        step = _best_step(simulation, times, losses, affordable)
        if step is None:
            stopped = "no gain"
            break
        runs.append(step[0])
        times, losses = step[1], step[2]
        left -= runs[-1].minutes
    return MeasurementPlan(
        goal=simulation.goal,
        minutes=minutes,
        runs=tuple(runs),
        now=now,
        then=float(losses.mean()),
        at_best=float(simulation.losses(np.full(len(actions), np.inf)).mean()),
        spent=minutes - left,
        stopped=stopped,
    )


def _best_step(
    simulation: "_Simulation",
    times: np.ndarray,
    losses: np.ndarray,
    affordable: Sequence[tuple[int, int]],
) -> tuple[PlannedRun, np.ndarray, np.ndarray] | None:
    """Return the step of most value a minute with the times and losses after it; None where none gains."""
    best, best_rate = None, 0.0
    for index, repeats in affordable:
        after = times.copy()
        after[index] += repeats
        losses_after = simulation.losses(after)
        gains = losses - losses_after
        gain, error = float(gains.mean()), float(gains.std() / math.sqrt(len(gains)))
        action = simulation.known.actions[index]
        rate = gain / (repeats * action.minutes)
        if gain > 2 * error and rate > best_rate:
            best_rate = rate
            run = PlannedRun(
                action=action,
                times=repeats,
                before=float(losses.mean()),
                after=float(losses_after.mean()),
                error=error,
            )
            best = run, after, losses_after
    return best


class _Simulation:
    """Draws of the truth and of every action's noise, shared by all plans that are compared."""

    def __init__(self, known: Known, goal: Goal, draws: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        names = [unknown.name for unknown in known.unknowns]
        self.known, self.goal = known, goal
        self._error = np.array([unknown.error for unknown in known.unknowns])
        self._shows = np.array([[a.shows.get(n, 0.0) for n in names] for a in known.actions])
        self._shows = self._shows.reshape(len(known.actions), len(names))
        self._noise = np.array([action.noise for action in known.actions])
        self._off = random.standard_normal((draws, len(names))) * self._error
        self._noises = random.standard_normal((draws, len(known.actions)))
        self._on = [
            np.array([[getattr(o, on).get(n, 0.0) for n in names] for o in known.options]).reshape(
                -1, len(names)
            )
            for on in ("accuracy_on", "cost_on")
        ]
        self._truth = self._figures(self._off)
        self._right = self._chosen(*self._truth)

    def losses(self, times: np.ndarray) -> np.ndarray:
        """Return the loss by deciding after each action was run ``times`` ``[action]``: ``[draw]``."""
        chosen = self._chosen(*self._figures(self._learned(times)))
        if self.known.question is None:
            return np.asarray((chosen != self._right).mean(axis=1))
        if self.goal is Goal.WRONG:
            return np.asarray((chosen != self._right).any(axis=1).astype(np.float64))
        utility = self._utility(*self._truth)
        return np.asarray((utility * self._right).sum(axis=1) - (utility * chosen).sum(axis=1))

    def _learned(self, times: np.ndarray) -> np.ndarray:
        """Return what would then be known of how far each unknown is off, ``[draw, unknown]``.

        The mean of normal unknowns given normal observations: ``K y`` with ``K = P H' (H P H' + R)^-1``.
        """
        run = np.flatnonzero(times > 0)
        shows, prior = self._shows[run], np.diag(self._error**2)
        spread = self._noise[run] / np.sqrt(times[run])
        seen = self._off @ shows.T + self._noises[:, run] * spread
        covariance = shows @ prior @ shows.T + np.diag(spread**2)
        # two runs may show the same without noise: then any one of them will do
        gain = prior @ shows.T @ np.linalg.pinv(covariance, rcond=1e-12, hermitian=True)
        return np.asarray(seen @ gain.T)

    def _figures(self, off: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return each option's accuracy and cost where unknowns are off by so much, ``[draw, option]``."""
        options = self.known.options
        accuracy = np.array([option.accuracy for option in options]) + off @ self._on[0].T
        cost = np.array([option.cost for option in options]) + off @ self._on[1].T
        return accuracy, cost

    def _chosen(self, accuracy: np.ndarray, cost: np.ndarray) -> np.ndarray:
        """Return which options are chosen (or on the front), bool ``[draw, option]``; ties: the first."""
        question = self.known.question
        if question is None:
            return _on_front(accuracy, cost)
        if isinstance(question, Budget):
            wanted = np.where(cost <= question.limit, accuracy, -np.inf)
        else:
            wanted = np.where(accuracy >= question.accuracy, -cost, -np.inf)
        best = wanted.argmax(axis=1)[:, None] == np.arange(wanted.shape[1])
        # where nothing fits nothing is chosen
        return np.asarray(best & np.isfinite(wanted.max(axis=1))[:, None])

    def _utility(self, accuracy: np.ndarray, cost: np.ndarray) -> np.ndarray:
        """Return what each option is worth if it is chosen, ``[draw, option]``; choosing nothing: 0."""
        question = self.known.question
        if isinstance(question, Budget):
            return np.where(cost <= question.limit, accuracy, 0.0)
        assert isinstance(question, Target)
        # counted from the dearest option down, so that what misses the target, or nothing, is worth 0
        return np.where(accuracy >= question.accuracy, cost.max(axis=1, keepdims=True) - cost, 0.0)


def _on_front(accuracy: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Return which options no other one beats, of equal ones the first: bool ``[draw, option]``."""
    kept = np.ones(cost.shape, bool)
    for option in range(cost.shape[1]):
        mine = accuracy[:, option, None], cost[:, option, None]
        equal = (accuracy == mine[0]) & (cost == mine[1])
        later = np.arange(cost.shape[1]) > option
        kept &= ~((accuracy <= mine[0]) & (cost >= mine[1]) & (~equal | later))
    return kept

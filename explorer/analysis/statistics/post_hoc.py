"""A fitted deferral rule for a two-stage cascade, against the best plain signal at the same cost.

A plain signal asks how sure the first stage is. What matters is whether the second stage mends more than it
breaks (Jitkrittum et al., NeurIPS 2023, arXiv 2307.02764: a small model fitted to the first stage's answer
may do better). Of each example there are three outcomes, only the second stage right, only the first, and
both alike; a logistic regression (softmax over the three, L2 penalty) on a few features of the first stage's
answer gives their chances, and an example goes on by

    chance that only the second stage is right - chance that only the first is.

Fitted on one half of ``select`` (every second example), looked at on the other, and the other way round. The
plain signal, and how many it lets go on (at most as many as the cascade), are what does best on the half
the rule was fitted on: where going on does harm, that is nobody, and sending the harmless ones is no merit.
On the half it has not seen the rule lets as many go on as the plain signal, or fewer (those it expects no
gain of stay): it costs no more, and no label is used for that. For ``report`` the two fits' scores are
averaged. This is analysis only: a rule like this is not an exit that a design can have, and no artefact is
built with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from explorer.analysis.bootstrap import paired_interval, share_interval
from explorer.analysis.pool import Pool
from explorer.analysis.result import Interval
from explorer.analysis.scoring.cascade import cuts
from explorer.analysis.scoring.score import Memo, candidate_decisions
from explorer.analysis.scoring.signals import leaves, signal_values
from explorer.errors import InputDataError, UsageError
from explorer.spec import Candidate, Cascade, Signal, Stage, averaging_of

PENALTY = 1.0
"""Half of this times the sum of squared weights is added to the log loss summed over the examples."""
_FEWEST = 4
_OUTCOMES = 3
"""Both alike, only the second stage right, only the first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeferralRule:
    """A fitted rule: the higher the score of an example, the more it gains by going on."""

    centre: np.ndarray
    """float64 ``[feature]``: mean where it was fitted."""
    spread: np.ndarray
    """float64 ``[feature]``: standard deviation there; 1 where the feature never changes."""
    weights: np.ndarray
    """float64 ``[1 + feature, outcome]``, the first row the bias."""

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return the expected gain in right answers of going on, in [-1, 1], float64 ``[example]``.

        Args:
            features: float64 ``[example, feature]``.
        """
        chance = special.softmax(_design(features, self.centre, self.spread) @ self.weights, axis=1)
        return np.asarray(chance[:, 1] - chance[:, 2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferral:
    """The fitted rule against the best plain signal of the same cascade, at the same cost."""

    features: tuple[str, ...]
    recommended: bool
    """Whether it is surely better than the plain signal, held out on ``select``."""
    held_out: Interval
    """Right answers of the rule minus the plain signal's, paired, both halves of ``select``."""
    on_report: Interval
    """The same on ``report``."""
    plain: Signal
    """Best on all of ``select``; on each half its own best is met."""
    plain_accuracy: Interval
    """On ``report``, as all below."""
    rule_accuracy: Interval
    oracle_accuracy: Interval
    """With the same share going on, who goes on chosen by the labels: no rule can do better."""
    goes_on: float
    """Share of ``report`` that goes on by the plain signal: at most the cascade's own, 0 where that harms."""
    rule_goes_on: float
    """By the rule: never more."""


def post_hoc(
    pool: Pool, cascade: Candidate, *, class_bias: bool = False, memo: Memo | None = None
) -> Deferral:
    """Fit a deferral rule to a two-stage cascade and compare it with plain signals at the same cost.

    Args:
        pool: the members' probabilities and labels.
        cascade: two stages; its exit says how many go on.
        class_bias: whether each class that the first stage may answer has a bias of its own.
        memo: remembered answers of stages, see `explorer.analysis.scoring.score.candidate_decisions`.

    Raises:
        UsageError: not a cascade of two stages, a member is not in the pool, or ``select`` is too small.
    """
    if not isinstance(cascade, Cascade) or len(cascade.stages) != 2:
        raise UsageError(f"a deferral rule needs a cascade of two stages, got {cascade}")
    if len(pool.select_labels) < _FEWEST:
        raise UsageError(f"fitting on half of select needs {_FEWEST} examples, got {len(pool.select_labels)}")
    memo = {} if memo is None else memo
    select = _side(pool, cascade, "select", class_bias, memo)
    report = _side(pool, cascade, "report", class_bias, memo)
    halves = [select.part(slice(start, None, 2)) for start in (0, 1)]
    rules, won, lost = [], 0, 0
    for fitted_on, other in (halves, halves[::-1]):
        rule = fit_rule(fitted_on.features, fitted_on.second_right, fitted_on.first_right)
        goes_plain = other.by_signal(*fitted_on.best_signal())
        goes = _by_rule(rule.scores(other.features), int(goes_plain.sum()))
        only = other.only_one_right(goes, goes_plain)
        won, lost = won + only[0], lost + only[1]
        rules.append(rule)
    plain, kept = select.best_signal()
    goes_plain = report.by_signal(plain, kept)
    scores = np.mean([rule.scores(report.features) for rule in rules], axis=0)
    goes = _by_rule(scores, int(goes_plain.sum()))
    held_out, n = paired_interval(won, lost, len(select.first_right)), len(report.first_right)
    return Deferral(
        features=feature_names(cascade.combined[0], class_bias=class_bias),
        recommended=held_out.low > 0,
        held_out=held_out,
        on_report=paired_interval(*report.only_one_right(goes, goes_plain), n),
        plain=plain,
        plain_accuracy=share_interval(int(report.right(goes_plain).sum()), n),
        rule_accuracy=share_interval(int(report.right(goes).sum()), n),
        oracle_accuracy=share_interval(report.oracle(int(goes_plain.sum())), n),
        goes_on=int(goes_plain.sum()) / n,
        rule_goes_on=int(goes.sum()) / n,
    )


def fit_rule(
    features: np.ndarray, second_right: np.ndarray, first_right: np.ndarray, *, penalty: float = PENALTY
) -> DeferralRule:
    """Fit the chances of the three outcomes by penalised maximum likelihood; the loss is convex.

    Args:
        features: float64 ``[example, feature]``; scaled to mean 0 and deviation 1 inside.
        second_right: bool ``[example]``.
        first_right: bool ``[example]``.
        penalty: see `PENALTY`; above 0, so that there is one best fit. The bias is not penalised.

    Raises:
        InputDataError: shapes do not fit, or a feature is not finite.
        UsageError: the penalty is not above 0.
    """
    if not penalty > 0:
        raise UsageError(f"the penalty must be above 0, got {penalty!r}")
    shapes = features.shape[:1], second_right.shape, first_right.shape
    if features.ndim != 2 or len(set(shapes)) != 1 or not len(features):
        raise InputDataError(f"wanted features [example, feature] and answers [example], got {shapes}")
    if not np.isfinite(features).all():
        raise InputDataError("a feature is not a finite number")
    centre, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    given = _design(features, centre, spread)
    outcome = np.where(second_right == first_right, 0, np.where(second_right, 1, 2))
    wanted = np.eye(_OUTCOMES)[outcome]
    penalised = np.ones((given.shape[1], 1))
    # the biases' common level would drift: a trace of penalty holds it and moves nothing else
    penalised[0] = 1e-6

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(given.shape[1], _OUTCOMES)
        log_chance = special.log_softmax(given @ weights, axis=1)
        value = -(wanted * log_chance).sum() + penalty / 2 * (penalised * weights**2).sum()
        slope = given.T @ (np.exp(log_chance) - wanted) + penalty * penalised * weights
        return float(value), slope.ravel()

    start = np.zeros(given.shape[1] * _OUTCOMES)
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return DeferralRule(centre=centre, spread=spread, weights=found.x.reshape(given.shape[1], _OUTCOMES))


def answer_features(probabilities: np.ndarray, stage: Stage, classes: np.ndarray | None) -> np.ndarray:
    """Return a first stage's features, float64 ``[example, feature]``; see `feature_names`.

    Args:
        probabilities: float16 ``[member, example, class]``.
        stage: whose members these are.
        classes: what the stage answers, int ``[example]``, where each class has a bias; else None.
    """
    columns = [signal_values(signal, probabilities, averaging_of(stage)) for signal in plain_signals(stage)]
    if classes is not None:
        columns += list(np.eye(probabilities.shape[2])[classes].T)
    return np.stack(columns, axis=1)


def feature_names(stage: Stage, *, class_bias: bool) -> tuple[str, ...]:
    """Name what `answer_features` returns, the classes in one word."""
    return (*map(str, plain_signals(stage)), *(("class",) if class_bias else ()))


def plain_signals(stage: Stage) -> tuple[Signal, ...]:
    """Return the signals a stage has: agreement only with two different members or more."""
    return tuple(s for s in Signal if s is not Signal.AGREEMENT or len(set(stage.members)) > 1)


def goes_on_by(scores: np.ndarray, most: int) -> np.ndarray:
    """Return who goes on, bool ``[example]``: the highest scores, ``most`` at most, never part of a tie."""
    n = len(scores)
    goes = np.zeros(n, bool)
    if most >= n:
        goes[:] = True
        return goes
    found = cuts(scores)
    fitting = np.flatnonzero(found.leavers <= most)
    if len(fitting):
        goes[found.order[: found.leavers[fitting[-1]]]] = True
    return goes


def _by_rule(scores: np.ndarray, most: int) -> np.ndarray:
    return goes_on_by(scores, most) & (scores > 0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Side:
    """Examples of a split: the first stage's signals and features, both stages' answers, who goes on."""

    values: dict[Signal, np.ndarray]
    """Higher where less sure, ``[example]``."""
    features: np.ndarray
    first_right: np.ndarray
    second_right: np.ndarray
    goes: np.ndarray
    """By the cascade's own exit, bool ``[example]``."""

    def part(self, which: slice) -> "_Side":
        return _Side(
            values={signal: value[which] for signal, value in self.values.items()},
            features=self.features[which],
            first_right=self.first_right[which],
            second_right=self.second_right[which],
            goes=self.goes[which],
        )

    def right(self, goes: np.ndarray) -> np.ndarray:
        return np.where(goes, self.second_right, self.first_right)

    def by_signal(self, signal: Signal, kept: float) -> np.ndarray:
        """Return who goes on by a signal, at most ``kept`` times as many as by the cascade's own exit."""
        return goes_on_by(self.values[signal], round(kept * int(self.goes.sum())))

    def best_signal(self) -> tuple[Signal, float]:
        """Return the signal, and the part of the cascade's share going on, that answer most right."""
        most = int(self.goes.sum())
        best, chosen = int(self.first_right.sum()), (next(iter(self.values)), 0.0)
        for signal, value in self.values.items():
            found = cuts(value)
            gained = self.second_right[found.order].astype(np.int64) - self.first_right[found.order]
            counts = np.append(found.leavers, len(value))
            counts = counts[counts <= most][::-1]
            if not len(counts):
                continue
            right = int(self.first_right.sum()) + np.cumsum(gained)[counts - 1]
            # of equals the first signal, and the most that go on
            place = int(right.argmax())
            if right[place] > best:
                best, chosen = int(right[place]), (signal, float(counts[place]) / most)
        return chosen

    def only_one_right(self, goes: np.ndarray, plain: np.ndarray) -> tuple[int, int]:
        ours, theirs = self.right(goes), self.right(plain)
        return int((ours & ~theirs).sum()), int((theirs & ~ours).sum())

    def oracle(self, most: int) -> int:
        mended = int((self.second_right & ~self.first_right).sum())
        return int(self.first_right.sum()) + min(mended, most)


def _side(pool: Pool, cascade: Cascade, split: str, class_bias: bool, memo: Memo) -> _Side:
    first, second = cascade.combined
    probabilities, labels = pool.arrays(split)
    chance = np.asarray(probabilities[pool.rows(first.members)])
    answers = candidate_decisions(pool, first, split, memo=memo)[0]
    values = {s: signal_values(s, chance, averaging_of(first)) for s in plain_signals(first)}
    (leave,) = cascade.exits
    return _Side(
        values={s: value if s is Signal.ENTROPY else -value for s, value in values.items()},
        features=answer_features(chance, first, answers if class_bias else None),
        first_right=answers == labels,
        second_right=candidate_decisions(pool, second, split, memo=memo)[0] == labels,
        goes=~leaves(values[leave.signal], leave),
    )


def _design(features: np.ndarray, centre: Sequence[float] | np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return scaled features behind a column of ones, float64 ``[example, 1 + feature]``."""
    return np.concatenate([np.ones((len(features), 1)), (features - centre) / spread], axis=1)

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import probability_arrays, simulated_pool

from explorer.analysis.scoring.combine import ZERO_PROBABILITY, average, combine, member_values
from explorer.analysis.scoring.metrics import accuracy, brier, calibration_error, negative_log_likelihood
from explorer.analysis.search.greedy import Selection, greedy
from explorer.analysis.search.greedy_kernels import add_gram, class_totals, fixed_point, log_losses
from explorer.analysis.search.greedy_limits import Bound, Limits
from explorer.analysis.search.greedy_objectives import Objective, Rule
from explorer.analysis.search.greedy_tables import Wanted, read_tables
from explorer.errors import InputDataError, UsageError
from explorer.spec import Averaging

PLAIN = Rule(normalise=False, floor=ZERO_PROBABILITY)
SCORES: dict[Objective, Callable[[np.ndarray, np.ndarray], float]] = {
    Objective.ACCURACY: lambda array, labels: accuracy(combine(array)[0], labels),
    Objective.LOG_LOSS: lambda array, labels: negative_log_likelihood(average(array), labels),
    Objective.BRIER: lambda array, labels: brier(average(array), labels),
    Objective.TOP5: lambda array, labels: top5(average(array), labels),
    Objective.ECE: lambda array, labels: calibration_error(*combine(array)[::-1], labels),
    Objective.WORST_CLASS: lambda array, labels: worst_class(combine(array)[0] == labels, labels),
}


def top5(probabilities: np.ndarray, labels: np.ndarray) -> float:
    # a stable sort: of equals the lower index first, as in numpy.argmax
    largest = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    return float((largest == labels[:, None]).any(axis=1).mean())


def worst_class(right: np.ndarray, labels: np.ndarray) -> float:
    return min(float(right[labels == c].mean()) for c in set(labels.tolist()))


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    members, examples, classes = (draw(st.integers(1, high)) for high in (5, 7, 7))
    array = draw(probability_arrays(members=members, examples=examples, classes=classes))
    labels = st.lists(st.integers(0, classes - 1), min_size=examples, max_size=examples)
    return array, np.array(draw(labels))


def peers_definition(
    members: np.ndarray, labels: np.ndarray, objective: Objective, rounds: int, *, second: bool, seed: int
) -> tuple[list[int], list[float]]:
    """Return AutoGluon 1.6's picks and errors, its steps one by one, on sums that are exact."""

    def error(total: np.ndarray, *, metric: Objective = objective, normalise: bool = True) -> float:
        mean = total / total.sum(axis=1, keepdims=True) if normalise else total / count
        if metric is Objective.ACCURACY:
            return float(1.0 - (total.argmax(axis=1) == labels).mean())
        clipped = np.clip(mean[np.arange(len(labels)), labels], 2.0**-52, 1 - 2.0**-52)
        return float(-np.log(clipped).mean())

    def least(values: list[float]) -> np.ndarray:
        return np.flatnonzero(np.isclose(values, np.min(values), atol=0, rtol=1e-12))

    random = np.random.RandomState(seed)
    wide, total = members.astype(np.float64), np.zeros(members.shape[1:])
    picks: list[int] = []
    trajectory: list[float] = []
    rounded = False
    for count in range(1, rounds + 1):
        errors = [error(total + row) for row in wide]
        errors = [round(e, 6) for e in errors] if rounded else errors
        best = least(errors).tolist()
        best = ([b for b in best if b in picks] or best) if len(best) > 1 else best
        if len(best) > 1 and second:
            again = [error(total + wide[b], metric=Objective.LOG_LOSS, normalise=False) for b in best]
            best = [best[place] for place in least(again)]
        pick = int(random.choice(best))
        if count == 1 and errors[pick] > 1e-4:
            rounded = True
        picks.append(pick)
        trajectory.append(round(errors[pick], 6) if rounded else errors[pick])
        total += wide[pick]
    return picks, trajectory


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("second", [True, False])
@pytest.mark.parametrize("objective", [Objective.ACCURACY, Objective.LOG_LOSS])
def test_picks_are_those_of_the_peers_published_steps(objective: Objective, second: bool, seed: int) -> None:
    pool = simulated_pool(models=3, seeds=3, select=150, report=1, classes=4, seed=seed)
    found = greedy(
        pool.select,
        pool.select_labels,
        objective=objective,
        rounds=15,
        rule=Rule(second_metric=second, seed=seed),
    )
    picks, errors = peers_definition(pool.select, pool.select_labels, objective, 15, second=second, seed=seed)
    assert found.picks.tolist() == picks
    assert found.compared == pytest.approx(errors, abs=1e-12)
    assert found.rounds == int(np.argmin(errors)) + 1


@settings(deadline=None, max_examples=60)
@given(problems(), st.sampled_from(list(Objective)))
def test_every_round_takes_a_best_member_as_plainly_defined(
    problem: tuple[np.ndarray, np.ndarray], objective: Objective
) -> None:
    array, labels = problem
    rule = Rule(normalise=False, floor=ZERO_PROBABILITY, decimals=None)
    found = greedy(array, labels, objective=objective, rounds=6, rule=rule)
    sign = 1 if objective.metric.higher_is_better else -1
    score = SCORES[objective]
    assert len(found.picks) == (6 if len(array) > 1 else 1)
    for done, pick in enumerate(found.picks.tolist()):
        before = found.picks[:done].tolist()
        plain = [sign * score(array[[*before, m]], labels) for m in range(len(array))]
        assert found.scores[done] == pytest.approx(sign * plain[pick], rel=1e-9, abs=1e-12)
        assert plain[pick] >= max(plain) - 1e-9
    assert found.weights.tolist() == np.bincount(found.picks[: found.rounds], minlength=len(array)).tolist()
    assert found.compared[found.rounds - 1] == found.compared.min()


@settings(deadline=None, max_examples=60)
@given(problems())
def test_accuracy_counts_every_weighting_as_exact_averages_do(problem: tuple[np.ndarray, np.ndarray]) -> None:
    array, labels = problem
    tables = read_tables(array, labels, Wanted(accuracy=True))
    assert tables is not None
    assert tables.accuracy is not None
    table = tables.accuracy
    rng = np.random.default_rng(0)
    for _ in range(5):
        picks = rng.integers(0, len(array), rng.integers(0, 5)).tolist()
        running = table.start()
        for pick in picks:
            table.add(running, pick)
        errors = table.errors(running, len(picks), np.arange(len(array)))
        for m, error in enumerate(errors):
            assert error == 1.0 - (combine(array[[*picks, m]])[0] == labels).mean()


def test_kernels_are_their_plain_definitions() -> None:
    rng = np.random.default_rng(1)
    array = (rng.random((5, 130, 70)) ** 9).astype(np.float16)
    array[0, :, :3] = [0.0, 2.0**-24, 1.0]
    labels = rng.integers(0, 70, 130)
    bits, whole = array.view(np.uint16), member_values(array, Averaging.MEAN)
    assert np.array_equal(fixed_point(bits[:, np.arange(130), labels]), whole[:, np.arange(130), labels])
    totals = np.empty((5, 130))
    class_totals(bits, totals)
    assert np.array_equal(totals, whole.sum(axis=2, dtype=np.int64))
    gram = np.zeros((5, 5))
    add_gram(bits, labels, gram)
    apart = (array.astype(np.float64) - np.eye(70)[labels]).reshape(5, -1)
    assert np.tril(gram) == pytest.approx(np.tril(apart @ apart.T), rel=1e-12)
    true = whole[:, np.arange(130), labels]
    running = np.stack([true[1], totals[1]]).astype(np.float64)
    losses = np.empty(3)
    log_losses(running, true, totals, 1e-3, np.array([4, 1, 0]), losses)
    ratios = (true[1] + true[[4, 1, 0]]) / (totals[1] + totals[[4, 1, 0]])
    assert losses == pytest.approx(-np.log(np.clip(ratios, 1e-3, 1 - 2.0**-52)).mean(axis=1), rel=1e-13)


def test_wide_examples_with_many_rivals_are_counted_in_every_chunk() -> None:
    # more open examples than a chunk holds, with different numbers of rivals
    pool = simulated_pool(models=2, seeds=3, select=2500, report=1, classes=12, seed=3)
    found = greedy(pool.select, pool.select_labels, objective=Objective.ACCURACY, rounds=4)
    for done in range(4):
        decisions = combine(pool.select[found.picks[: done + 1]])[0]
        assert found.scores[done] == pytest.approx(accuracy(decisions, pool.select_labels), abs=1e-15)


@pytest.mark.parametrize("objective", list(Objective))
def test_memory_maps_and_arrays_give_the_same(tmp_path: Path, objective: Objective) -> None:
    pool = simulated_pool(models=2, seeds=2, select=3000, report=1, classes=20)
    for m, row in enumerate(pool.select):
        np.save(tmp_path / f"{m}.npy", row)
    maps = [np.load(tmp_path / f"{m}.npy", mmap_mode="r") for m in range(4)]
    one = greedy(pool.select, pool.select_labels, objective=objective, rounds=5)
    two = greedy(maps, pool.select_labels, objective=objective, rounds=5)
    assert one.picks.tolist() == two.picks.tolist()
    assert one.scores.tolist() == two.scores.tolist()


def test_identical_members_are_not_both_taken_and_the_first_one_stays() -> None:
    pool = simulated_pool(models=2, seeds=1, select=60, report=1)
    array = np.stack([pool.select[1], pool.select[1], pool.select[1]])
    for objective in Objective:
        found = greedy(array, pool.select_labels, objective=objective, rounds=4)
        assert found.picks.tolist() == [0, 0, 0, 0]
        assert found.rounds == 1
        assert found.tied.tolist() == [3, 3, 3, 3]


def test_a_tie_in_accuracy_goes_to_the_lower_log_loss_unless_told_otherwise() -> None:
    array = np.array([[[0.6, 0.4]], [[0.9, 0.1]], [[0.7, 0.3]]], np.float16)
    labels = np.array([0])
    assert greedy(array, labels, objective=Objective.ACCURACY, rounds=1).picks.tolist() == [1]
    first = Rule(second_metric=False)
    assert greedy(array, labels, objective=Objective.ACCURACY, rounds=1, rule=first).picks.tolist() == [0]
    drawn = {
        int(greedy(array, labels, objective=Objective.ACCURACY, rounds=1, rule=rule).picks[0])
        for rule in (Rule(second_metric=False, seed=seed) for seed in range(20))
    }
    assert drawn == {0, 1, 2}


def test_an_exact_tie_of_classes_goes_to_the_lowest_index() -> None:
    # 0.1 + 0.7 against 0.7 + 0.1: rounded float averages need not see a tie
    array = np.array([[[0.1, 0.7]], [[0.7, 0.1]]], np.float16)
    limits = Limits(must_include=(0, 1))
    right, wrong = (
        greedy(array, np.array([label]), objective=Objective.ACCURACY, rounds=2, limits=limits)
        for label in (0, 1)
    )
    assert right.scores[1] == 1.0
    assert wrong.scores[1] == 0.0


def test_one_class_is_always_right() -> None:
    array = np.ones((2, 3, 1), np.float16)
    found = greedy(array, np.zeros(3, np.int64), objective=Objective.ACCURACY, rounds=2)
    assert found.scores.tolist() == [1.0, 1.0]


def simulated() -> tuple[np.ndarray, np.ndarray]:
    pool = simulated_pool(models=3, seeds=3, select=300, report=1, classes=5, seed=2)
    return pool.select, pool.select_labels


def limited(rounds: int = 12, **limits: object) -> Selection:
    return greedy(*simulated(), objective=Objective.LOG_LOSS, rounds=rounds, limits=Limits(**limits))  # type: ignore[arg-type]


def test_limits_of_distinct_members_cost_and_families_hold() -> None:
    costs = np.array([1.0, 1, 1, 3, 3, 3, 9, 9, 9])
    free = limited()
    assert len(free.members) == 3
    assert len(set(limited(max_distinct=2).picks.tolist())) == 2
    dear = limited(costs=costs, max_cost=13.0)
    assert costs[dear.members].sum() <= 13.0
    assert dear.costs.tolist() == [costs[np.unique(dear.picks[: n + 1])].sum() for n in range(12)]
    few = limited(bounds=(of_model(2, 1), of_model(1, 0)))
    assert np.sum(np.unique(few.picks) >= 6) == 1
    assert not np.isin(few.picks, [3, 4, 5]).any()
    best = int(free.picks[0])
    assert best not in limited(exclude=(best,)).picks


def of_model(model: int, most: float) -> Bound:
    return Bound(name=f"net{model}", amounts=np.where(np.arange(9) // 3 == model, 1.0, 0.0), most=most)


def test_the_largest_cost_counts_where_memory_is_used_again() -> None:
    costs = np.array([1.0, 1, 1, 3, 3, 3, 9, 9, 9])
    found = limited(costs=costs, largest_cost=True, max_cost=3.0)
    assert found.picks.max() < 6
    assert len(found.members) > 1
    assert found.costs.tolist() == [costs[found.picks[: n + 1]].max() for n in range(12)]
    bound = Bound(name="peak", amounts=costs, most=3.0, largest=True)
    assert limited(bounds=(bound,)).picks.tolist() == found.picks.tolist()


def test_must_include_comes_first_and_is_in_every_answer() -> None:
    found = limited(must_include=(0, 1, 2))
    assert sorted(found.picks[:3].tolist()) == [0, 1, 2]
    assert found.rounds >= 3
    assert (found.weights[:3] > 0).all()
    assert limited(rounds=2, must_include=(0, 1, 2)).rounds == 0


def test_a_cost_penalty_is_added_to_the_error_and_can_decide() -> None:
    costs = np.array([1.0, 1, 1, 3, 3, 3, 9, 9, 9])
    found = limited(costs=costs, cost_penalty=0.01)
    rounded = found.scores.round(6)
    assert found.compared == pytest.approx(rounded + 0.01 * found.costs, abs=1e-12)
    assert limited(costs=costs, cost_penalty=1e6).costs.max() == 1.0


def test_told_to_stop_it_keeps_what_it_has() -> None:
    answers = iter([False] * 1000)
    array, labels = simulated()
    whole = greedy(array, labels, objective=Objective.BRIER, rounds=8, should_stop=lambda: next(answers))
    asked = 1000 - len(list(answers))
    late = iter([False] * (asked - 3) + [True])
    found = greedy(array, labels, objective=Objective.BRIER, rounds=8, should_stop=lambda: next(late))
    assert not whole.stopped
    assert found.stopped
    assert found.picks.tolist() == whole.picks[:5].tolist()
    at_once = greedy(array, labels, objective=Objective.BRIER, should_stop=lambda: True)
    assert at_once.stopped
    assert (at_once.rounds, len(at_once.picks), at_once.weights.sum()) == (0, 0, 0)


@pytest.mark.parametrize(
    ("limits", "error", "says"),
    [
        ({"must_include": (9,)}, UsageError, "must_include must hold member indices 0 to 8, got 9"),
        ({"must_include": (1,), "exclude": (1,)}, UsageError, "both"),
        ({"must_include": (1, 2), "max_distinct": 1}, UsageError, "fit max_distinct: 2, at most 1"),
        ({"exclude": tuple(range(9))}, UsageError, "no member"),
        ({"max_cost": 1.0}, UsageError, "need the members' costs"),
        ({"costs": np.ones(9), "max_cost": 0.5}, UsageError, "max_cost is 0.5, the least of any member 1"),
        ({"costs": np.ones(8)}, InputDataError, "9 finite numbers"),
        ({"bounds": (Bound(name="peak", amounts=np.ones(8), most=1.0),)}, InputDataError, "peak must be 9"),
        ({"bounds": (of_model(0, 1),), "must_include": (0, 1)}, UsageError, "do not fit net0: 2, at most 1"),
    ],
)
def test_limits_that_cannot_be_met_are_refused(
    limits: dict[str, object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        limited(**limits)  # type: ignore[arg-type]


def test_wrong_input_is_refused() -> None:
    array, labels = simulated()
    with pytest.raises(UsageError, match="1 to 127, got 128"):
        greedy(array, labels, objective=Objective.BRIER, rounds=128)
    with pytest.raises(InputDataError, match=r"must be 0 to 4.*got 1 to 5"):
        greedy(array, labels % 1 + np.arange(300) % 5 + 1, objective=Objective.BRIER)
    with pytest.raises(InputDataError, match="300 integers"):
        greedy(array, labels[:-1], objective=Objective.BRIER)
    for wrong in (np.nan, -0.5, 1.5):
        spoiled = array.copy()
        spoiled[3, 7, 1] = wrong
        with pytest.raises(InputDataError, match=r"in \[0, 1\]"):
            greedy(spoiled, labels, objective=Objective.ACCURACY)
    signed = np.where(array == array.min(), np.float16(-0.0), array)
    assert greedy(signed, labels, objective=Objective.ACCURACY, rounds=3).picks.shape == (3,)


def test_log_loss_can_be_the_one_that_reports_show() -> None:
    array, labels = simulated()
    array = np.where(array < 0.02, np.float16(0), array)
    found = greedy(array, labels, objective=Objective.LOG_LOSS, rounds=4, rule=PLAIN)
    plain = negative_log_likelihood(average(array[found.picks]), labels)
    assert found.scores[-1] == pytest.approx(plain, rel=1e-12)

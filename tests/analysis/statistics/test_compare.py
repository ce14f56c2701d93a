import numpy as np
import pytest
from scipy import stats
from strategies import make_pool, simulated_pool

from explorer.analysis.result import Comparison, Verdict
from explorer.analysis.statistics.compare import compare
from explorer.spec import Single, parse_design


def two_singles(only_first: int, only_second: int, both: int) -> Comparison:
    """Compare two members with chosen numbers of right answers, on two classes."""
    n = only_first + only_second + both
    first = np.arange(n) < only_first + both
    second = (np.arange(n) >= only_first) | (np.arange(n) >= only_first + both)
    chance = np.stack([np.stack([r * 0.8 + 0.1, 0.9 - r * 0.8], axis=1) for r in (first, second)])
    pool = make_pool(chance, np.zeros(n), chance, np.zeros(n))
    return compare(pool, *(Single(member) for member in pool.members))


@pytest.mark.parametrize(
    ("only_first", "only_second", "both", "verdict"),
    [
        (30, 5, 100, Verdict.BETTER),
        (5, 30, 100, Verdict.WORSE),
        (12, 10, 100, Verdict.CANNOT_TELL),
        (5, 0, 100, Verdict.CANNOT_TELL),
        (6, 0, 100, Verdict.BETTER),
        (0, 0, 100, Verdict.CANNOT_TELL),
    ],
)
def test_verdicts(only_first: int, only_second: int, both: int, verdict: Verdict) -> None:
    found = two_singles(only_first, only_second, both)
    n = only_first + only_second + both
    assert (found.only_first_right, found.only_second_right) == (only_first, only_second)
    assert found.difference.value == (only_first - only_second) / n
    assert found.verdict is verdict
    assert (found.verdict is Verdict.CANNOT_TELL) == (found.difference.low <= 0 <= found.difference.high)
    if only_first + only_second:
        exact = stats.binomtest(only_first, only_first + only_second).pvalue
        assert (exact < 0.05) == (verdict is not Verdict.CANNOT_TELL)


def test_comparing_with_itself_and_turned_round() -> None:
    pool = simulated_pool(models=2, seeds=2, select=11, report=503)
    small, big = parse_design("net0@8#0"), parse_design("mean(net1@8#0, net1@8#1)")
    same = compare(pool, small, small)
    assert (same.verdict, same.examples_to_tell) == (Verdict.CANNOT_TELL, None)
    there, back = compare(pool, big, small), compare(pool, small, big)
    assert (there.verdict, back.verdict) == (Verdict.BETTER, Verdict.WORSE)
    assert there.difference.value == -back.difference.value
    assert there.examples_to_tell == back.examples_to_tell < 503


def test_pairing_tells_what_separate_intervals_cannot() -> None:
    """Nine examples of 1,000 differ, all one way: separate intervals overlap, the paired one does not."""
    found = two_singles(9, 0, 900)
    assert found.verdict is Verdict.BETTER


def test_false_alarms_are_as_rare_as_promised() -> None:
    """Two members of equal skill: a difference may be claimed in at most 5 % of draws."""
    rng, claimed = np.random.default_rng(17), 0
    for _ in range(400):
        right = rng.random((2, 211)) < 0.9
        chance = np.stack([right * 0.8 + 0.1, 0.9 - right * 0.8], axis=2)
        pool = make_pool(chance, np.zeros(211), chance, np.zeros(211))
        claimed += compare(pool, *(Single(m) for m in pool.members)).verdict is not Verdict.CANNOT_TELL
    assert claimed / 400 <= 0.07

"""Screening against counts by hand and simulated members."""

import numpy as np
import pytest

from explorer.analysis.curves.screening import Worth, next_member, screen
from explorer.errors import InputDataError, UsageError

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
FIRST = np.array([0, 0, 0, 1, 1, 1, 1, 0, 2, 0])
SECOND = np.array([0, 0, 1, 2, 1, 1, 1, 0, 2, 2])


def test_ratios_against_counts_by_hand() -> None:
    """Three wrong each; they differ on three examples, on one of them both are wrong."""
    found = screen(np.stack([FIRST, SECOND]), LABELS, 3)
    assert found.error.value == pytest.approx(0.3)
    assert found.disagreement.value == pytest.approx(0.3)
    assert found.der.value == pytest.approx(1.0)
    assert found.eir_high == 1.0
    assert found.eir_low == pytest.approx(2 * 2 / 3 - 5 / 3)
    assert found.eir is None
    combined = screen(np.stack([FIRST, SECOND]), LABELS, 3, combined=np.where(FIRST == LABELS, FIRST, SECOND))
    assert combined.eir is not None
    assert combined.eir.value == pytest.approx((0.3 - 0.2) / 0.3)


def test_the_bound_for_two_and_ten_classes() -> None:
    two = screen(np.stack([FIRST % 2, SECOND % 2]), LABELS % 2, 2)
    assert two.eir_low == pytest.approx(two.der.value - 1)
    ten = screen(np.stack([FIRST, SECOND]), LABELS, 10)
    assert ten.eir_low == pytest.approx(1.8 * ten.der.value - 2.6)


def test_more_members_are_taken_pair_by_pair() -> None:
    found = screen(np.stack([FIRST, SECOND, LABELS]), LABELS, 3)
    assert found.error.value == pytest.approx(0.2)
    assert found.disagreement.value == pytest.approx((0.3 + 0.3 + 0.3) / 3)


def test_identical_members_do_not_disagree() -> None:
    found = screen(np.stack([FIRST, FIRST]), LABELS, 3)
    assert (found.der.value, found.der.low, found.der.high) == (0, 0, 0)
    right = np.stack([FIRST, FIRST]) == LABELS
    gain = next_member(right, right[:1])
    assert gain.third.value == 0
    assert gain.verdict is Worth.NO


def test_no_mistakes_and_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="no mistake"):
        screen(np.stack([LABELS, LABELS]), LABELS, 3)
    with pytest.raises(InputDataError, match="two members or more"):
        screen(FIRST[None], LABELS, 3)
    with pytest.raises(InputDataError, match="combined"):
        screen(np.stack([FIRST, SECOND]), LABELS, 3, combined=LABELS[:-1])
    with pytest.raises(InputDataError, match="every pair"):
        next_member(np.ones((3, 5), dtype=bool), np.ones((1, 5), dtype=bool))
    with pytest.raises(InputDataError, match="got 1"):
        next_member(np.ones((1, 5), dtype=bool), np.ones((0, 5), dtype=bool))


def right_answers(random: np.random.Generator, examples: int, spread: float) -> list[np.ndarray]:
    """Right answers of three members and of their averages: a shared margin and each member's own noise."""
    margin = random.normal(1, 1, examples)
    own = random.normal(0, spread, (3, examples))
    pairs = [(own[i] + own[j]) / 2 for i, j in ((0, 1), (0, 2), (1, 2))]
    return [margin + own > 0, margin + np.stack(pairs) > 0, margin + own.mean(axis=0) > 0]


def test_the_gain_of_a_third_member_is_foretold() -> None:
    """Mean over 60 made-up trainings; the law 1 / n is a default for errors, so within a third."""
    random = np.random.default_rng(5)
    foretold, seen = [], []
    for _ in range(60):
        alone, pairs, three = right_answers(random, 4_000, 1.0)
        foretold.append(next_member(alone[:2], pairs[:1]).third.value)
        seen.append(three.mean() - pairs.mean())
    assert np.mean(foretold) == pytest.approx(np.mean(seen), rel=0.33)
    assert np.mean(seen) > 0.01


def test_the_verdict_follows_the_interval() -> None:
    alone, pairs, _ = right_answers(np.random.default_rng(8), 20_000, 1.0)
    found = next_member(alone[:2], pairs[:1])
    assert found.verdict is Worth.YES
    assert found.second.value == pytest.approx(3 * found.third.value)
    assert next_member(alone[:2], pairs[:1], asked=found.third.value).verdict is Worth.CANNOT_TELL
    assert next_member(alone[:2], pairs[:1], asked=0.5).verdict is Worth.NO


def test_intervals_cover_the_disagreement_ratio() -> None:
    """Nominal 95 %; 80 repeats: Monte Carlo error 2.5 points (one sigma). Truth: 200,000 examples."""
    random = np.random.default_rng(13)

    def drawn(examples: int) -> tuple[np.ndarray, np.ndarray]:
        alone, _, _ = right_answers(random, examples, 0.7)
        return np.where(alone[:2], 1, 0), np.ones(examples, dtype=np.int64)

    truth = screen(*drawn(200_000), 2).der.value
    found = [screen(*drawn(500), 2).der for _ in range(80)]
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.88

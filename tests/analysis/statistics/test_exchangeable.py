"""A p-value is uniform or above where nothing differs, and small where something does."""

import numpy as np
import pytest

from explorer.analysis.statistics.exchangeable import exchangeable_p_value
from explorer.errors import InputDataError


def draw(random: np.random.Generator, n: int, shift: float, accuracy: float):
    # few levels, so that ties abound as they do with float16
    return np.round(random.random(n) ** (1 + shift), 2), random.random(n) < accuracy


def p_value(random: np.random.Generator, shift: float, accuracy: float) -> float:
    first, second = draw(random, 300, 0.0, 0.9), draw(random, 500, shift, accuracy)
    return exchangeable_p_value((first[0], second[0]), (first[1], second[1]))


def test_one_source_is_seldom_doubted() -> None:
    random = np.random.default_rng(1)
    found = [p_value(random, 0.0, 0.9) for _ in range(300)]

    assert np.mean(np.array(found) <= 0.05) <= 0.08
    assert max(found) == 1.0


@pytest.mark.parametrize(("shift", "accuracy"), [(0.6, 0.9), (0.0, 0.75)])
def test_another_confidence_or_accuracy_is_seen(shift: float, accuracy: float) -> None:
    random = np.random.default_rng(2)
    found = [p_value(random, shift, accuracy) for _ in range(40)]

    assert np.mean(np.array(found) <= 0.05) > 0.9


def test_an_empty_set_is_refused() -> None:
    some, none = np.array([0.5]), np.array([])
    with pytest.raises(InputDataError, match="at least 1"):
        exchangeable_p_value((some, none), (some > 0, none > 0))

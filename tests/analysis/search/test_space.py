"""The order of sets by text, without writing the texts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import make_pool

from explorer.analysis.search.space import stage_sets
from explorer.spec import Averaging, Member

NAMES = ("a", "geo", "geometric", "mean", "mean-x", "mean.x", "net1", "net1+a", "vote", "z")
MEMBERS = st.builds(
    Member,
    st.sampled_from(NAMES),
    st.sampled_from([0, 8, 16]),
    st.integers(0, 12),
    st.sampled_from(["", "l"]),
)


@given(st.lists(MEMBERS, min_size=1, max_size=6, unique=True), st.integers(1, 4), st.sampled_from(Averaging))
def test_sets_are_ranked_as_their_texts_sort(members: list[Member], largest: int, rule: Averaging) -> None:
    members = sorted(members)
    answers = np.full((len(members), 1, 2), 0.5)
    pool = make_pool(answers, [0], answers, [0], members=members)
    sets = stage_sets(pool, min(largest, len(members)), rule)
    texts = [str(sets.stage(index)) for index in range(len(sets.rows))]
    assert [texts[index] for index in np.argsort(sets.text_rank)] == sorted(texts)
    assert sorted(sets.text_rank) == list(range(len(texts)))


def test_ranks_of_more_sets_than_a_key_holds_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    members = sorted(Member("n", 8, seed) for seed in range(12))
    answers = np.full((12, 1, 2), 0.5)
    pool = make_pool(answers, [0], answers, [0], members=members)
    ranks = stage_sets(pool, 4, Averaging.MEAN).text_rank
    monkeypatch.setattr("explorer.analysis.search.space._LARGEST_KEY", 1000)
    np.testing.assert_array_equal(stage_sets(pool, 4, Averaging.MEAN).text_rank, ranks)

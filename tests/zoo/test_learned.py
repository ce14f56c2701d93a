"""What a recipe with a share of the training examples learns from."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.arrays import learned, learned_positions

RECIPE = dataclasses.replace(zoo.recipe("quick"), epochs=2, batch_size=16, train_share=0.4)


@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=200).map(np.array),
    small=st.floats(0.001, 1.0),
    large=st.floats(0.001, 1.0),
)
def test_of_each_class_the_share_rounded_and_the_smaller_within_the_larger(labels, small, large) -> None:
    small, large = sorted((small, large))
    chosen = learned_positions(labels, small)
    assert chosen.dtype == np.int64
    assert (np.diff(chosen) > 0).all()
    for label in np.unique(labels):
        there = int((labels == label).sum())
        assert (labels[chosen] == label).sum() == max(1, round(small * there))
    assert set(chosen) <= set(learned_positions(labels, large))


def test_the_choice_never_changes() -> None:
    # Members in stores were trained on these: another order would be another recipe under the same id.
    labels = np.arange(40) % 2
    assert learned_positions(labels, 0.2).tolist() == [4, 6, 8, 21, 27, 33, 36, 39]
    assert learned_positions(labels, 1).tolist() == list(range(40))


def test_the_whole_is_not_copied(stripes) -> None:
    images, labels = stripes
    assert learned(images, labels, 1.0)[0] is images


@pytest.mark.parametrize("seeds", [(3,), (3, 4)], ids=["alone", "side by side"])
def test_training_on_a_share_is_training_on_those_examples(stripes, seeds) -> None:
    images, labels = stripes
    share = [zoo.TrainJob(name="wrn10-0.25", classes=3, recipe=RECIPE, seed=seed) for seed in seeds]
    whole = [dataclasses.replace(job, recipe=dataclasses.replace(RECIPE, train_share=1.0)) for job in share]
    positions = learned_positions(labels, 0.4)
    of_share = zoo.train_stacked(share, images, labels)
    of_those = zoo.train_stacked(whole, images[positions], labels[positions])
    for first, second in zip(of_share, of_those, strict=True):
        assert first.examples_seen == 2 * len(positions) < 2 * len(labels)
        assert all(torch.equal(first.state[key], second.state[key]) for key in second.state)

"""Families of models, and folds that never split one."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.prediction.families import FOLDS, family, folds


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("resnet50", "resnet"),
        ("resnet50.a1_in1k", "resnet"),
        ("timm:resnet50", "resnet"),
        ("gluon_resnet50_v1b", "resnet"),
        ("skresnet18", "resnet"),
        ("legacy_seresnet18", "seresnet"),
        ("tf_efficientnet_b0", "efficientnet"),
        ("tf_efficientnetv2_s", "efficientnetv"),
        ("ese_vovnet19b_dw", "vovnet"),
        ("cs3darknet_l", "darknet"),
        ("eca_nfnet_l0", "nfnet"),
        ("ecaresnet50d", "ecaresnet"),
        ("test_vit", "vit"),
        ("vit_base_patch16_224", "vit"),
        ("wrn16-4", "wrn"),
        ("2stage", "2stage"),
        ("cs", "cs"),
    ],
)
def test_families_are_leading_letters_without_prefix(model: str, name: str) -> None:
    assert family(model) == name


rows = st.lists(st.sampled_from([f"family{n}" for n in range(40)]), min_size=1, max_size=300).filter(
    lambda names: len(set(names)) >= FOLDS
)


@given(names=rows)
def test_a_family_is_in_one_fold_and_no_fold_is_empty(names: list[str]) -> None:
    fold = folds(names)

    for name in set(names):
        assert len({int(number) for number, row in zip(fold, names, strict=True) if row == name}) == 1
    assert set(fold.tolist()) == set(range(FOLDS))


@given(names=rows, seed=st.integers(0, 99))
def test_the_order_of_rows_does_not_matter(names: list[str], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(names))

    assert (folds([names[place] for place in order]) == folds(names)[order]).all()


@given(names=rows)
def test_folds_differ_by_no_more_than_the_largest_family(names: list[str]) -> None:
    sizes = np.bincount(folds(names), minlength=FOLDS)

    assert sizes.max() - sizes.min() <= max(names.count(name) for name in set(names))


def test_the_same_on_every_machine() -> None:
    code = (
        "from explorer.prediction.families import folds; "
        "print(folds(['resnet', 'vit', 'vgg', 'mixer', 'dla', 'vit', 'xcit']).tolist())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(said) == 1


def test_too_few_families_are_refused() -> None:
    with pytest.raises(ValueError, match="2 families do not fill 5 folds: a, b"):
        folds(["a", "b", "a"])

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.recipes import RECIPES, learning_rate


def test_the_three_recipes() -> None:
    assert set(RECIPES) == {"standard", "plain", "quick"}
    assert RECIPES["standard"].flip
    assert not RECIPES["plain"].flip
    assert not RECIPES["quick"].flip, "digits must not be mirrored"
    for name in RECIPES:
        assert zoo.recipe(name).name == name


def test_unknown_recipe_lists_the_known() -> None:
    with pytest.raises(zoo.ZooError, match="unknown recipe 'fast'; known: standard, plain, quick"):
        zoo.recipe("fast")


def test_every_setting_changes_the_id() -> None:
    base = zoo.recipe("standard")
    other = {
        "name": "other",
        "epochs": 31,
        "batch_size": 127,
        "learning_rate": 0.11,
        "momentum": 0.89,
        "nesterov": False,
        "weight_decay": 4e-4,
        "schedule": "onecycle",
        "warmup_epochs": 2.0,
        "label_smoothing": 0.1,
        "crop_padding": 3,
        "flip": False,
        "cutout": 1,
    }
    assert other.keys() == base.settings().keys()
    ids = {dataclasses.replace(base, **{key: value}).id for key, value in other.items()}
    assert len(ids | {base.id}) == len(other) + 1
    assert dataclasses.replace(base).id == base.id
    assert base.id.startswith("standard-")


def test_with_epochs_is_another_recipe() -> None:
    short = zoo.recipe("quick").with_epochs(3)
    assert (short.name, short.epochs) == ("quick", 3)
    assert short.id != zoo.recipe("quick").id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "recipe 'standard': epochs must be at least 1, got 0"),
        ({"batch_size": 1}, "batch_size must be at least 2"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\)"),
        ({"momentum": 0.0}, "nesterov needs momentum above 0"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0"),
        ({"schedule": "step"}, "unknown schedule 'step'; known: cosine, onecycle"),
        ({"warmup_epochs": -1.0}, "warmup_epochs must be at least 0"),
        ({"label_smoothing": 1.0}, r"label_smoothing must be in \[0, 1\)"),
        ({"crop_padding": -1}, "crop_padding must be at least 0"),
        ({"cutout": -1}, "cutout must be at least 0"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(zoo.ZooError, match=message):
        dataclasses.replace(zoo.recipe("standard"), **change)


@given(st.sampled_from(["cosine", "onecycle"]), st.floats(0.0, 50.0), st.floats(0.0, 1.0, exclude_max=True))
def test_rate_stays_between_nought_and_its_peak(schedule: str, warmup: float, progress: float) -> None:
    chosen = dataclasses.replace(zoo.recipe("standard"), schedule=schedule, warmup_epochs=warmup)
    assert 0.0 <= learning_rate(chosen, progress) <= chosen.learning_rate * (1 + 1e-12)


def test_cosine_by_hand() -> None:
    # 20 epochs, 2 of warm-up: the peak at 0.1, a half at the middle of the rest, at 0.55.
    chosen = dataclasses.replace(
        zoo.recipe("standard"), epochs=20, warmup_epochs=2.0, learning_rate=0.4, schedule="cosine"
    )
    shares = [learning_rate(chosen, p) for p in (0.0, 0.05, 0.1, 0.55)]
    assert shares == pytest.approx([0.0, 0.2, 0.4, 0.2])
    assert learning_rate(chosen, 1 - 1e-9) < 1e-12


def test_onecycle_by_hand() -> None:
    # From a tenth up to the peak at a quarter, then straight down to nought.
    chosen = dataclasses.replace(zoo.recipe("quick"), learning_rate=0.4)
    rates = [learning_rate(chosen, p) for p in (0.0, 0.125, 0.25, 0.625)]
    assert rates == pytest.approx([0.04, 0.22, 0.4, 0.2])
    assert learning_rate(chosen, 1 - 1e-9) < 1e-8

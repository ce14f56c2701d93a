import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.recipes import RECIPES, VARIANTS, Recipe, learning_rate


def test_the_recipes() -> None:
    assert set(RECIPES) == {"standard", "plain", "quick", "reference", "tenth", "fortieth", "cifar10"}
    assert RECIPES["standard"].flip
    assert not RECIPES["plain"].flip
    assert not RECIPES["quick"].flip, "digits must not be mirrored"
    for name in RECIPES:
        assert zoo.recipe(name).name == name


def test_unknown_recipe_lists_the_known() -> None:
    with pytest.raises(
        zoo.ZooError,
        match="unknown recipe 'fast'; known: standard, plain, quick, reference, tenth, fortieth, cifar10; "
        "variants",
    ):
        zoo.recipe("fast")
    for name in ("standard+", "standard+fast", "fast+sam", "sam+mixup", "+sam", ""):
        with pytest.raises(zoo.ZooError, match="unknown recipe"):
            zoo.recipe(name)


def test_a_variant_changes_one_thing_of_its_base() -> None:
    for name, changes in VARIANTS.items():
        for base in ("standard", "quick"):
            found = zoo.recipe(f"{base}+{name}")
            own = {"name": name, "base": zoo.recipe(base).id}
            assert found.settings() == zoo.recipe(base).settings() | dict(changes) | own
            assert found == zoo.recipe(name, default=base)
            assert found.base_id == zoo.recipe(base).id
    assert zoo.recipe("sam").base == zoo.recipe("standard").id
    with pytest.raises(zoo.ZooError, match="unknown variant 'fast' of recipe 'quick'; known: batchnorm-only"):
        zoo.recipe("quick").variant("fast")


def test_a_step_costs_as_many_forward_passes_as_it_needs() -> None:
    passes = {name: zoo.recipe(name).training_passes for name in VARIANTS}
    assert passes == {"batchnorm-only": 2, "sam": 6, "mixup": 3, "dropblock": 3, "label-smoothing": 3}
    assert zoo.recipe("quick").training_passes == 3
    assert zoo.recipe("sam").variant("batchnorm-only").training_passes == 4, "SAM on norms alone"


def test_a_recipe_that_starts_from_weights() -> None:
    taught = zoo.recipe("quick").distilled("wrn10-1@8~quick-1#0")
    found = taught.started("finetuned", "wrn10-1@8~distilled-1#0", epochs=2)
    assert (found.name, found.epochs, found.teacher) == ("finetuned", 2, "")
    assert found.base_id == zoo.recipe("quick").id
    assert found.alone
    assert not zoo.recipe("quick").alone
    with pytest.raises(zoo.ZooError, match="recipe 'quick': starting from weights needs a design"):
        zoo.recipe("quick").started("finetuned", "")


REQUIRED = {
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
OPTIONAL = {"precision": "bfloat16", "base": "standard-1", "teacher": "wrn10-1#0@standard-1", "cycles": 2}
VARIED = {
    "trained": "norms",
    "sharpness": 0.05,
    "mixup": 0.2,
    "drop_block": 0.1,
    "train_share": 0.5,
    "start": "wrn10-1@8~quick-1#0",
}


def test_every_setting_changes_the_id() -> None:
    base = dataclasses.replace(zoo.recipe("standard"), warmup_epochs=0.0)
    assert REQUIRED.keys() == base.settings().keys()
    fields = {field.name for field in dataclasses.fields(base)}
    assert REQUIRED.keys() | OPTIONAL.keys() | VARIED.keys() | {"snapshot"} == fields
    changes = REQUIRED | OPTIONAL | VARIED
    ids = {dataclasses.replace(base, **{key: value}).id for key, value in changes.items()}
    cyclic = dataclasses.replace(base, cycles=2)
    ids |= {dataclasses.replace(cyclic, snapshot=number).id for number in (1, 2)}
    assert len(ids | {base.id}) == len(changes) + 3
    assert dataclasses.replace(base).id == base.id
    assert base.id.startswith("standard-")


def test_ids_of_stored_members_stay() -> None:
    assert zoo.recipe("reference").id == "reference-2ba43935"
    assert {name: recipe.id for name, recipe in RECIPES.items() if name != "cifar10"} == {
        "standard": "standard-93d34e0b",
        "plain": "plain-1db396c7",
        "quick": "quick-7e9611d0",
        "reference": "reference-2ba43935",
        "tenth": "tenth-76d403e6",
        "fortieth": "fortieth-59f1384e",
    }


@pytest.mark.parametrize(("name", "share", "longer"), [("tenth", 0.1, 4), ("fortieth", 0.025, 8)])
def test_recipes_of_fewer_examples_are_the_reference_seen_more_often(name, share, longer) -> None:
    found, reference = zoo.recipe(name).settings(), zoo.recipe("reference").settings()
    epochs = longer * reference["epochs"]
    assert found == {**reference, "name": name, "epochs": epochs, "train_share": share}


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, float("nan")])
def test_a_share_that_cannot_be_is_refused(share: float) -> None:
    with pytest.raises(zoo.ZooError, match=r"recipe 'quick': train_share must be in \(0, 1\], got"):
        dataclasses.replace(zoo.recipe("quick"), train_share=share)


@pytest.mark.parametrize(
    "recipe",
    [*RECIPES.values(), *map(zoo.recipe, VARIANTS), *zoo.recipe("quick").snapshots()],
    ids=lambda r: r.name,
)
def test_settings_and_fields_both_give_the_recipe_back(recipe: Recipe) -> None:
    for stored in (recipe.settings(), dataclasses.asdict(recipe)):
        assert Recipe(**json.loads(json.dumps(stored))) == recipe


def test_the_cifar10_recipe_is_the_published_protocol_but_for_its_length_and_schedule() -> None:
    # arXiv 1605.07146, section 3: SGD with Nesterov 0.9, rate 0.1, decay 5e-4, batch 128, crop and flip.
    found = zoo.recipe("cifar10").settings()
    published = {
        "batch_size": 128,
        "learning_rate": 0.1,
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 5e-4,
        "crop_padding": 4,
        "flip": True,
        "cutout": 0,
        "label_smoothing": 0.0,
    }
    ours = {
        "name": "cifar10",
        "schedule": "cosine",
        "warmup_epochs": 1.0,
        "epochs": 60,
        "precision": "bfloat16",
    }
    assert found == published | ours


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
        ({"precision": "float16"}, "unknown precision 'float16'; known: float32, bfloat16"),
        ({"cycles": 0}, "cycles must be at least 1, got 0"),
        ({"cycles": 3}, "3 cycles take no warm-up, got 1.0 epochs"),
        (
            {"cycles": 3, "schedule": "onecycle", "warmup_epochs": 0.0},
            "3 cycles need the schedule cosine, got onecycle",
        ),
        ({"cycles": 4, "warmup_epochs": 0.0}, "epochs must be a multiple of the 4 cycles, got 30"),
        ({"trained": "head"}, "unknown trained 'head'; known: all, norms"),
        ({"sharpness": -0.1}, "sharpness must be at least 0, got -0.1"),
        ({"mixup": float("nan")}, "mixup must be at least 0, got nan"),
        ({"drop_block": 1.0}, r"drop_block must be in \[0, 1\), got 1.0"),
        ({"snapshot": 1}, "snapshot 1 needs at least 2 cycles, got 1"),
        ({"snapshot": 4, "cycles": 3, "warmup_epochs": 0.0}, "snapshot must be from 0 to 3, .* got 4"),
        ({"snapshot": -1, "cycles": 3, "warmup_epochs": 0.0}, "snapshot must be from 0 to 3, .* got -1"),
        (
            {"teacher": "wrn10-1#0", "cycles": 3, "warmup_epochs": 0.0},
            "a teacher and 3 cycles of snapshots exclude each other",
        ),
        ({"teacher": "wrn10-1#0", "label_smoothing": 0.1}, "label_smoothing must be 0, got 0.1"),
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


@given(st.sampled_from([1, 2, 3, 5]), st.integers(0, 29))
def test_each_cycle_is_the_whole_schedule_again(cycles: int, epoch: int) -> None:
    # arXiv 1704.00109, equation 2, at the middle of an epoch: t of T epochs in cycles of T / M.
    chosen = dataclasses.replace(zoo.recipe("standard"), warmup_epochs=0.0, cycles=cycles)
    length = chosen.epochs / cycles
    expected = chosen.learning_rate / 2 * (math.cos(math.pi * ((epoch + 0.5) % length) / length) + 1)
    assert learning_rate(chosen, (epoch + 0.5) / chosen.epochs) == pytest.approx(expected, rel=1e-9)


def test_a_distilled_recipe() -> None:
    base = dataclasses.replace(zoo.recipe("quick"), label_smoothing=0.1)
    distilled = base.distilled("ensemble(wrn10-1#0@quick-1, wrn10-1#1@quick-1)")
    assert distilled.id.startswith("distilled-")
    assert distilled.base_id == base.id == base.base_id
    assert distilled.label_smoothing == 0.0
    assert distilled.distilled("wrn10-2#0").base_id == base.id
    assert distilled.id != base.distilled("wrn10-2#0").id
    assert distilled.run == distilled
    with pytest.raises(zoo.ZooError, match="recipe 'quick': distilling needs a teacher's design"):
        base.distilled("")
    with pytest.raises(zoo.ZooError, match="'distilled': a teacher and 4 cycles of snapshots exclude"):
        base.snapshots()[1].distilled("wrn10-1#0")
    with pytest.raises(zoo.ZooError, match="a teacher and 2 cycles of snapshots exclude"):
        distilled.snapshots(2)


def test_snapshot_recipes_share_one_run() -> None:
    base = zoo.recipe("quick")
    parts = base.snapshots()
    assert [part.name for part in parts] == [f"snapshot{number}of4" for number in (1, 2, 3, 4)]
    assert [part.snapshot for part in parts] == [1, 2, 3, 4]
    assert len({part.id for part in parts}) == 4
    assert {part.base_id for part in parts} == {base.id}
    (run,) = {part.run for part in parts}
    assert (run.name, run.snapshot, run.cycles, run.epochs) == ("snapshots4", 0, 4, 20)
    assert run.run == run
    assert {part.epochs for part in base.snapshots(3)} == {21}, "twice 10, rounded up to whole cycles"
    assert {part.epochs for part in base.snapshots(3, 9)} == {9}
    with pytest.raises(zoo.ZooError, match="epochs must be a multiple of the 3 cycles, got 10"):
        base.snapshots(3, 10)
    with pytest.raises(zoo.ZooError, match="snapshots need at least 2 cycles, got 1"):
        base.snapshots(1)

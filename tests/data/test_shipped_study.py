"""The reference study that ships: whole, small enough, recomputable, and made as its manifest says."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from explorer.record import MemberRecord
from explorer.spec import CandidateKind, Cascade, parse_design
from explorer.store import Store
from explorer.store.reference import SHIPPED, shipped_bundle
from tests.plain_scoring import plain_decisions

DATASET = "fashion-mnist"
MOST_BYTES, MOST_WEIGHT_BYTES = 60e6, 15e6
"""What a clone of the repository should cost at most."""
SMALLEST = "wrn10-0.125"
SEEDS = 5
"""Seeds of every scale."""
EXAMPLES = {"reference": 55_000, "tenth": 5_499, "fortieth": 1_375}
"""What the members of a recipe learn from."""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    assert shipped_bundle() is not None, f"no bundle in {SHIPPED}"
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        with Store.open("reference", create=False) as store:
            yield store


def plain(store: Store, recipe: str = "reference") -> tuple[MemberRecord, ...]:
    """Return the members of a recipe that hold no ensemble inside."""
    own = (record for record in store.members(DATASET) if record.training.recipe["name"] == recipe)
    return tuple(record for record in own if "+" not in record.member.name)


def test_it_is_whole_and_small(study: Store) -> None:
    assert study.check().problems == ()
    # of members on fewer examples nothing is built
    fewer = len(plain(study, "tenth")) + len(plain(study, "fortieth"))
    assert study.info().without_weights == fewer == 2 * 5 * SEEDS
    files = [path for path in SHIPPED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    weights = sum(path.stat().st_size for path in files if path.suffix == ".safetensors")
    assert 0 < weights <= MOST_WEIGHT_BYTES


def test_every_scale_has_its_seeds_and_a_ledger_of_its_training(study: Store) -> None:
    for recipe, mobile in (("reference", 4), ("tenth", 0), ("fortieth", 0)):
        seeds = Counter(str(record.member.model) for record in plain(study, recipe))
        assert set(seeds.values()) == {SEEDS}
        assert sum(model.startswith("wrn") for model in seeds) == 5
        assert sum(model.startswith("mobile") for model in seeds) == mobile
    for record in study.members(DATASET):
        training = record.training
        assert training.recipe_id == record.member.recipe
        assert len(training.curve) == training.epochs
        assert training.wall_s == pytest.approx(sum(entry["wall_s"] for entry in training.curve))
        name = str(training.recipe["name"])
        assert training.examples_seen == EXAMPLES.get(name, EXAMPLES["reference"]) * training.epochs
        assert training.macs > 0
        assert {"torch", "numpy"} <= training.versions.keys()


def test_cheaper_ensembles_and_students_stand_beside_the_scales(study: Store) -> None:
    scales = {record.member for recipe in EXAMPLES for record in plain(study, recipe)}
    arms = [record.member for record in study.members(DATASET) if record.member not in scales]
    inner = {member.name for member in arms if "+" in member.name}
    assert inner == {f"wrn10-0.5+{kind}" for kind in ("mimo2", "batch4", "packed4", "trunk4")}
    assert {member.name for member in arms if member.distilled} == {"wrn10-0.25", "wrn10-0.5"}
    snapshots = [member for member in arms if member.recipe.startswith("snapshot")]
    assert len({member.recipe for member in snapshots}) == 4
    counted = {record.model for record in study.costs("macs")}
    timed = {record.model for record in study.costs("latency")}
    assert {member.model for member in arms} <= counted & timed


@pytest.mark.parametrize(
    ("family", "recipe"),
    [("wrn", "reference"), ("mobile", "reference"), ("wrn", "tenth"), ("wrn", "fortieth")],
)
def test_accuracy_grows_with_size(study: Store, family: str, recipe: str) -> None:
    """Each scale's mean over seeds is above the next smaller one's: else a training went wrong."""
    macs = {record.model: record.figure.value for record in study.costs("macs")}
    means: dict[float, list[float]] = {}
    for record in plain(study, recipe):
        if record.member.name.startswith(family):
            means.setdefault(macs[record.member.model], []).append(accuracy(study, record))
    accuracies = [np.mean(means[cost]) for cost in sorted(means)]
    assert accuracies == sorted(accuracies)
    assert accuracies[0] > 0.75


def test_every_figure_of_the_front_follows_from_the_arrays(study: Store, explorer) -> None:
    document = json.loads(
        explorer("front", "--dataset", DATASET, "--cost", "macs", "--json", "--store", study.root).out
    )
    points = document["points"]
    assert {CandidateKind.SINGLE, CandidateKind.ENSEMBLE, CandidateKind.CASCADE} <= {
        CandidateKind(kind) for kind in document["searched"]
    }
    macs = {str(record.model): record.figure.value for record in study.costs("macs")}
    base = plain(study)[0].member.recipe
    arrays, labels = {}, {}
    for split in ("select", "report"):
        rows = study.predictions(DATASET, split)
        arrays[split] = {
            str(replace(r.member, recipe="") if r.member.recipe == base else r.member): np.array(
                study.probabilities(r), dtype=np.float64
            )
            for r in rows
        }
        labels[split] = np.array(study.labels(DATASET, split, rows[0].split_digest))
    # Costs rise along a front; every tenth point and both ends are recomputed.
    assert [p["select_cost"] for p in points] == sorted(p["select_cost"] for p in points)
    for point in (*points[::10], points[-1]):
        design = parse_design(point["design"])
        for split, found in (("select", point["select_accuracy"]), ("report", point["accuracy"]["value"])):
            assert (plain_decisions(design, arrays[split])[0] == labels[split]).mean() == found
        if isinstance(design, Cascade):
            first, second = (
                sum(macs[str(member.model)] for member in set(stage.members)) for stage in design.stages
            )
            confidence = plain_decisions(design.stages[0], arrays["report"])[1]
            share = float((confidence < design.exits[0].threshold).mean())
            assert point["cost"]["value"] == pytest.approx(first + share * second, rel=1e-12)
        else:
            assert point["cost"]["value"] == sum(macs[str(member.model)] for member in set(design.members))


def test_its_smallest_member_comes_out_again(study: Store, unpacked_data, tmp_path, explorer) -> None:
    """Train one from what its row says. Other machines round otherwise, so seeds' luck is what is allowed."""
    record = min(
        (r for r in plain(study) if r.member.name == SMALLEST), key=lambda record: record.member.seed
    )
    explorer(
        *("train", str(record.member.model), "--dataset", DATASET, "--data-dir", unpacked_data),
        *("--seeds", record.member.seed, "--recipe", record.member.recipe.rpartition("-")[0]),
        *("--workers", 1, "--store", tmp_path / "again"),
    )
    with Store.open(tmp_path / "again", create=False) as again:
        (made,) = again.members(DATASET)
        assert made.member == record.member  # the recipe's id too: every setting is the same
        assert made.split_digest == record.split_digest
        assert made.training.macs == record.training.macs
        found = accuracy(again, made)
    spread = [accuracy(study, r) for r in plain(study) if r.member.model == record.member.model]
    # Seeds of this scale scatter by about half a point; with one seed shipped that is all that is known.
    room = max(0.005, 2 * float(np.std(spread)))
    assert min(spread) - room <= found <= max(spread) + room


def accuracy(store: Store, record: MemberRecord) -> float:
    (found,) = store.predictions(DATASET, "report", member=record.member)
    labels = store.labels(DATASET, "report", record.split_digest)
    return float((store.probabilities(found).argmax(1) == labels).mean())

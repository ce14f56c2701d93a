"""Build a design from the store, verify it against the store, and record both there."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

from explorer.analysis.loading import base_recipes
from explorer.analysis.pool import Pool, load_pool
from explorer.analysis.result import Point
from explorer.analysis.scoring.score import evaluate
from explorer.build.artefact import Artefact, build_artefact, stored_member, stored_predictions
from explorer.build.verify import Verification, verify_artefact
from explorer.convention import CostAxis
from explorer.data import load_images
from explorer.errors import InputDataError, UsageError
from explorer.report.documents import point_document, verification_document
from explorer.spec import Candidate, Member, with_members
from explorer.store import EvaluationRecord, Store
from explorer.store.members import recipe_id

MACS = CostAxis.parse("macs")
LATENCY = CostAxis.parse("latency@cpu")
"""What a built file's measured time is put beside."""


def only_dataset(store: Store, name: str | None) -> str:
    """Return ``name``, or the one data set the store holds.

    Raises:
        UsageError: no name and not exactly one data set, or a name the store does not hold.
    """
    known = store.datasets()
    listed = ", ".join(known) or "none"
    if name is None and len(known) != 1:
        raise UsageError(f"say which data set with --dataset; the store has members of: {listed}")
    if name is not None and name not in known:
        raise UsageError(f"the store has no members of data set {name!r}; it has: {listed}")
    return name or known[0]


def build_design(
    store: Store,
    dataset: str,
    design: Candidate,
    out: Path,
    *,
    recipe: str | None = None,
    overwrite: bool = False,
) -> Artefact:
    """Write ``design`` to ``out``, and record what it scores and where it is.

    Raises:
        UsageError: a member is not in the store, or ``out`` is taken.
    """
    recipe = recipe_id(recipe, base_recipes(store, dataset))
    named = {member: stored_member(store, dataset, member, recipe).member for member in design.members}
    # First: what cannot be scored leaves no file behind.
    point, pool = _scored(store, dataset, design, MACS, named)
    artefact = build_artefact(store, dataset, design, out, overwrite=overwrite, recipe=recipe)
    store.put_evaluation(
        EvaluationRecord(
            design=str(design),
            dataset=dataset,
            split_digest=pool.summary.split_digest,
            axis=str(MACS),
            document=point_document(point),
        )
    )
    store.put_export(str(design), dataset, out.resolve(), digest=artefact.digest, format="onnx")
    return artefact


def verify_directory(
    store: Store, artefact: Artefact, *, data_dir: Path | None = None, download: bool = False
) -> Verification:
    """Run an artefact over the whole ``report`` split against the stored predictions, and record it.

    The predicted latency is composed from the members' measured ones, where the store has them all.

    Raises:
        InputDataError: the artefact was built for another split than the data here give.
        StoreError: the members it was built from are not in this store.
    """
    directory, dataset = artefact.path, str(artefact.document["dataset"])
    images = load_images(dataset, data_dir=data_dir, download=download)
    if images.split_digest != artefact.document["split_digest"]:
        raise InputDataError(
            f"{directory} was built for split {str(artefact.document['split_digest'])[:12]} of {dataset}, "
            f"the data here give {images.split_digest[:12]}"
        )
    verification = verify_artefact(
        directory,
        images.report.images,
        stored_predictions(store, artefact),
        labels=images.report.labels,
        latency_predicted_s=_predicted_latency(store, artefact),
    )
    document = verification_document(str(verification.design), **verification_parts(verification))
    for export in store.exports(dataset):
        if export.digest == artefact.digest and Path(export.path) == directory.resolve():
            store.put_verification(export.id, verification.passed, document)
    return verification


class VerificationParts(TypedDict):
    """What a conformance run is shown by, on the terminal and as a document."""

    routes: list[tuple[str, int, int, int]]
    """Name, examples, mismatches, ties."""
    predicted_s: float | None
    measured_s: float | None
    passed: bool


def verification_parts(verification: Verification) -> VerificationParts:
    """Take a conformance run apart for `explorer.report`, which does not know this room."""
    return {
        "routes": [(r.name, r.examples, r.mismatches, r.ties) for r in verification.routes],
        "predicted_s": verification.latency_predicted_s,
        "measured_s": verification.latency_measured_s,
        "passed": verification.passed,
    }


def _predicted_latency(store: Store, artefact: Artefact) -> float | None:
    """Compose the design's latency from its members' measured ones; None where one was never measured."""
    models = {member.model for member in artefact.design.members}
    timed = {record.model for record in store.costs(kind="latency", device="cpu")}
    if not models <= timed:
        return None
    point, _ = _scored(store, artefact.dataset, artefact.design, LATENCY, artefact.members)
    return point.cost.value


def _scored(
    store: Store, dataset: str, design: Candidate, axis: CostAxis, named: Mapping[Member, Member]
) -> tuple[Point, Pool]:
    """Score a design, whatever recipes its members have.

    Args:
        store: holds the members.
        dataset: which they were trained on.
        design: its members may leave their recipes out.
        axis: of the cost.
        named: member as the design names it -> member with its recipe.
    """
    bases = base_recipes(store, dataset)
    recipes = {bases.get(member.recipe, member.recipe) for member in named.values()}
    mixed = len(recipes) > 1
    pool, _ = load_pool(
        store, dataset, axis, recipe=None if mixed else next(iter(recipes)), mix_recipes=mixed
    )
    point = evaluate(pool, with_members(design, named), axis)
    return replace(point, design=design), pool

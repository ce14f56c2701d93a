"""The main job, end to end, on data that ships: from nothing to an answer, a report and a file.

The question it asks is the founding one (arXiv 2005.00570): given what the dearest single model of the
family costs, is there something better for the money: an ensemble of smaller ones, a cascade?
"""

from dataclasses import dataclass
from pathlib import Path

from explorer.analysis.advice.advise import advise
from explorer.analysis.pool import Pool
from explorer.analysis.result import Advice, Front, Point
from explorer.analysis.search.exact import search
from explorer.build.artefact import Artefact
from explorer.build.verify import Verification
from explorer.convention import CostAxis
from explorer.data import load_images
from explorer.question import Budget
from explorer.run.artefacts import build_design, verify_directory
from explorer.run.profiling import profile_models, subjects
from explorer.run.progress import Update, progress, say
from explorer.run.training import chosen_recipe, plan_members, resolved_models, train_members
from explorer.spec import ModelSpec
from explorer.store import Store

DATASET = "digits"
MODELS = ("wrn10-0.25", "wrn10-0.5", "wrn10-1", "wrn10-2")
"""Four scales, each about 3 to 4 times the MACs of the one before."""
SEEDS = tuple(range(5))
PROFILE_SECONDS = 2.0
"""Time limit for one model on one backend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quickstart:
    """What the quickstart found and made."""

    front: Front
    advice: Advice
    latency_advice: Advice
    """The same question asked of time on this machine."""
    shipped: Point
    """What was built: the answer."""
    report: Path
    artefact: Artefact
    verification: Verification


def run_quickstart(store: Store, out: Path, *, workers: int | None = None) -> Quickstart:
    """Train, profile, search, report, build and verify; what is in the store already is not done again.

    Raises:
        ExplorerError: a step refused; what was done before it is kept.
    """
    from explorer.report import write_report

    out.mkdir(parents=True, exist_ok=True)
    _train(store, workers)
    with progress("profile") as update:
        _profile(store, update)
    say("search: every single, ensemble of up to 4 and two-stage cascade, every threshold")
    front, advice = _ask(store, CostAxis.parse("macs"))
    latency_front, latency_advice = _ask(store, CostAxis.parse("latency@cpu"))
    say(f"searched {sum(front.searched.values()):,} designs")
    for suffix in ("html", "md"):
        write_report(
            out / f"report.{suffix}", store=store, front=front, advice=advice, command="explorer quickstart"
        )
        write_report(
            out / f"report-latency.{suffix}",
            store=store,
            front=latency_front,
            advice=latency_advice,
            command="explorer quickstart",
        )
    shipped = advice.answer
    if shipped is None:
        # The dearest single model costs exactly the budget, so at least that fits.
        raise AssertionError("the quickstart's budget fits no design")
    say(f"build: {shipped.design}")
    artefact = build_design(store, DATASET, shipped.design, out / "artefact", overwrite=True)
    verification = verify_directory(store, artefact)
    return Quickstart(
        front=front,
        advice=advice,
        latency_advice=latency_advice,
        shipped=shipped,
        report=out / "report.html",
        artefact=artefact,
        verification=verification,
    )


def _train(store: Store, workers: int | None) -> None:
    images = load_images(DATASET)
    recipe = chosen_recipe(DATASET, None, None)
    models = resolved_models([ModelSpec(name) for name in MODELS], images)
    jobs, there = plan_members(store, images, models, SEEDS, recipe=recipe, data_dir=None)
    say(
        f"data: {images.source}; {len(images.train)} to train, {len(images.select)} to select, "
        f"{len(images.report)} to report"
    )
    say(f"train: {len(jobs)} members to do, {len(there)} there already; recipe {recipe.id}")
    with progress("train") as update:
        trained = train_members(jobs, workers=workers, update=update)
    if trained:
        say(f"trained {len(trained)} members in {sum(r.training.wall_s for r in trained):.0f} core seconds")


def _profile(store: Store, update: Update) -> None:
    chosen = subjects(store, [ModelSpec(name) for name in MODELS], dataset=DATASET, channels=1, classes=10)
    rows = profile_models(store, chosen, seconds=PROFILE_SECONDS, reuse=True, update=update)
    doubtful = sum(run.doubtful for run, _ in rows)
    if doubtful:
        say(f"profile: {doubtful} of {len(rows)} timings scatter too much: this machine is busy")


def _ask(store: Store, axis: CostAxis) -> tuple[Front, Advice]:
    """Ask for the best design that costs no more than the dearest single model."""
    pool, notes = _pool(store, axis)
    front = search(pool, axis, notes=notes)
    return front, advise(pool, front, Budget(axis, float(pool.costs.max())))


def _pool(store: Store, axis: CostAxis) -> tuple[Pool, tuple[str, ...]]:
    from explorer.analysis.pool import load_pool

    recipe = chosen_recipe(DATASET, None, None)
    return load_pool(store, DATASET, axis, recipe=recipe.id)

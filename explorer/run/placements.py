"""Build ensembles of zoo models and time them in several placements; the table that follows from it.

Weights are random, of a different seed for each member: time does not depend on them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack

from explorer.accounting.interference import Interference, Reference, pool_interference
from explorer.errors import UsageError
from explorer.measure.environment import conditions
from explorer.measure.latency import latency_figure, measure_interleaved
from explorer.measure.placement.compare import PlacementRun, measure_placements
from explorer.measure.placement.ready import COMBINATION, DEFAULT_PLACEMENTS, ready_ensemble
from explorer.measure.stopping import StopOptions
from explorer.record import CostFigure
from explorer.spec import ModelSpec
from explorer.workload import Workload

if TYPE_CHECKING:
    from zoo import Classifier


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageShape:
    """What all members of an ensemble are fed and asked for."""

    native: int = 32
    """Pixels a side of the images; each member resizes to its own resolution."""
    channels: int = 3
    classes: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleTimes:
    """One ensemble in several placements."""

    members: tuple[ModelSpec, ...]
    """Resolution set."""
    workload: Workload
    runs: tuple[PlacementRun, ...]


def profile_placements(
    ensembles: Sequence[Sequence[ModelSpec]],
    workload: Workload,
    *,
    shape: ImageShape,
    placements: Sequence[str] = DEFAULT_PLACEMENTS,
    update: Callable[[float, str], None] = lambda share, text: None,
    seed: int = 0,
    **stop: Unpack[StopOptions],
) -> tuple[EnsembleTimes, ...]:
    """Time each ensemble in each placement, beside its members alone.

    Args:
        ensembles: models of the members; the same one several times for an ensemble of one architecture.
        workload: device, batch, precision, threads; runtime eager or deploy.
        shape: of images and answers.
        placements: see `explorer.accounting.interference`.
        update: called with the share done and what is going on.
        seed: of weights, images and order.
        stop: see `StopRule`.

    Raises:
        UsageError: an unknown placement, or a model that does not run.
        EnvironmentMissingError: the device is not here.
        ZooError: unknown model.
    """
    from zoo.families.timm_bridge import declare_torchvision_ops

    found = []
    for number, models in enumerate(ensembles):
        resolved = tuple(with_resolution(model, shape.native) for model in models)
        update(number / len(ensembles), f"timing {ensemble_text(resolved)}")
        runs = measure_placements(
            [random_classifier(model, shape, seed + index) for index, model in enumerate(resolved)],
            workload,
            channels=shape.channels,
            resolution=shape.native,
            placements=placements,
            names=[str(model) for model in resolved],
            seed=seed,
            worker_setup=declare_torchvision_ops,
            **stop,
        )
        found.append(EnsembleTimes(members=resolved, workload=workload, runs=runs))
    return tuple(found)


def time_members(
    models: Sequence[ModelSpec],
    workload: Workload,
    *,
    shape: ImageShape,
    sizes: Sequence[int] = (),
    seed: int = 0,
    **stop: Unpack[StopOptions],
) -> tuple[dict[ModelSpec, CostFigure], dict[int, CostFigure]]:
    """Time each model alone, all interleaved, as `explorer profile` does: what ensembles are composed of.

    Args:
        models: each once.
        workload: as for `profile_placements`.
        shape: of images and answers.
        sizes: numbers of members whose combination is timed beside them.
        seed: of weights, images and order.
        stop: see `StopRule`.

    Returns:
        Time of a call by model (resolution set), and of the combination by number of members.
    """
    resolved = [with_resolution(model, shape.native) for model in models]
    images = (workload.batch, shape.channels, shape.native, shape.native)
    networks = [random_classifier(model, shape, seed) for model in resolved]
    with ready_ensemble(
        networks, workload, shape=images, placements=(), names=list(map(str, resolved)), seed=seed
    ) as ready:
        calls = {name: step.call for name, step in ready.member_calls.items()}
        calls |= {f"{COMBINATION} {size}": ready.combination_of(size) for size in sizes}
        runs = measure_interleaved(
            calls,
            conditions=conditions(workload.device, batch=workload.batch, threads=workload.threads),
            seed=seed,
            timer=ready.timer(),
            **stop,
        )
    figures = [latency_figure(runs[name]) for name in ready.member_calls]
    return (
        dict(zip(resolved, figures, strict=True)),
        {size: latency_figure(runs[f"{COMBINATION} {size}"]) for size in sizes},
    )


def pooled_factors(
    found: Sequence[EnsembleTimes], *, left_out: Callable[[EnsembleTimes], bool] = lambda one: False
) -> dict[str, Interference]:
    """Return one interference factor a placement, pooled over ensembles; where two or more ran in it.

    Args:
        found: ensembles that were timed.
        left_out: ensembles to pool without: those that the factor is to be tried on.
    """
    factors: dict[str, list[Interference]] = {}
    for one in found:
        if left_out(one):
            continue
        for run in one.runs:
            if run.run is not None:
                factors.setdefault(str(run.placement), []).append(run.interference())
    return {text: pool_interference(some) for text, some in factors.items() if len(some) > 1}


def placement_rows(found: Sequence[EnsembleTimes]) -> list[dict[str, object]]:
    """Return one flat row an ensemble and placement, for a table; None where a figure is unknown."""
    return [_row(one, run) for one in found for run in one.runs]


def _row(one: EnsembleTimes, run: PlacementRun) -> dict[str, object]:
    alone = [member.median_s for member in run.members]
    row: dict[str, object] = {
        "ensemble": ensemble_text(one.members),
        "members": len(one.members),
        "workload": str(one.workload),
        "placement": str(run.placement),
        "latency_s": None,
        "sum_s": sum(alone),
        "slowest_s": max(alone),
        "combination_s": run.combination.median_s,
        "samples": len(run.combination.samples_s),
        "spread": None,
        "difference": run.difference,
        "prepare_s": run.prepare_s,
        "memory_bytes": run.memory_bytes,
        "refused": run.refused or None,
    }
    for against in Reference:
        named = run.interference(against) if run.run is not None else None
        for end in ("factor", "low", "high"):
            key = f"over_{against}" if end == "factor" else f"over_{against}_{end}"
            row[key] = getattr(named, end) if named is not None else None
    if run.run is not None:
        row |= {"latency_s": run.run.median_s, "spread": run.run.spread}
    return row


def ensemble_text(models: Sequence[ModelSpec]) -> str:
    """Return ``4 x wrn10-1@32``, or the models joined by ``+`` where they differ."""
    if len(set(models)) == 1:
        return f"{len(models)} x {models[0]}"
    return " + ".join(map(str, models))


def with_resolution(model: ModelSpec, native: int) -> ModelSpec:
    """Return the model under its canonical name, with a resolution."""
    from zoo import canonical_name, default_resolution

    return ModelSpec(canonical_name(model.name), model.resolution or default_resolution(model.name, native))


def random_classifier(model: ModelSpec, shape: ImageShape, seed: int) -> "Classifier":
    """Return the model as it would ship, preprocessing included, with random weights.

    Raises:
        UsageError: the model names no resolution.
        ZooError: unknown model.
    """
    import torch

    from zoo import build_classifier

    if model.resolution is None:
        raise UsageError(f"model {model} needs a resolution, e.g. {model}@32")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_classifier(
            model.name,
            channels=shape.channels,
            classes=shape.classes,
            native=shape.native,
            resolution=model.resolution,
            mean=torch.full((shape.channels,), 0.5),
            std=torch.full((shape.channels,), 0.25),
        ).eval()

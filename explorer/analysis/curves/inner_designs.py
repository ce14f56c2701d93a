"""Ensembles that are cheaper than separate networks: inside one network, or snapshots of one run."""

import re
from dataclasses import dataclass

import numpy as np

from explorer.analysis.pool import Pool
from explorer.analysis.scoring.combine import combine
from explorer.analysis.statistics.seeds import Scale, SeedValues, grouped, seed_sets
from explorer.spec import ModelSpec

_SNAPSHOT = re.compile(r"snapshot([0-9]+)of([0-9]+)-.+")
_METHODS = {"mimo": "MIMO", "batch": "BatchEnsemble", "packed": "Packed", "trunk": "shared trunk"}
_SNAPSHOTS = "snapshots of one run"


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerDesign:
    """One such ensemble and its seeds."""

    method: str
    """``MIMO``, ``snapshots of one run``, ..."""
    label: str
    base: ModelSpec
    """The plain network that it was made of."""
    family: str
    cost: float
    """Of one answer, in the unit of the pool's axis."""
    key: str
    """Names it: see `explorer.analysis.statistics.seeds.SeedValues`."""
    groups: tuple[tuple[int, ...], ...]
    """Of each seed the rows of the pool that are averaged."""


def inner_designs(pool: Pool) -> tuple[InnerDesign, ...]:
    """Return the ensembles inside one network, and of one run's snapshots, that a pool of one recipe has."""
    found: list[InnerDesign] = []
    runs: dict[tuple[ModelSpec, int], dict[int, list[Scale]]] = {}
    for scale in grouped(pool):
        name, plus, variant = scale.model.name.partition("+")
        snapshot = _SNAPSHOT.fullmatch(scale.recipe)
        if plus and not scale.recipe:
            method = re.sub("[0-9.]+$", "", variant)
            found.append(
                InnerDesign(
                    method=_METHODS.get(method, variant),
                    label=f"{name}, {variant}",
                    base=ModelSpec(name, scale.model.resolution),
                    family=scale.family,
                    cost=scale.cost,
                    key=scale.key,
                    groups=tuple((row,) for row in scale.rows),
                )
            )
        elif snapshot and not plus:
            runs.setdefault((scale.model, int(snapshot[2])), {}).setdefault(int(snapshot[1]), []).append(
                scale
            )
    for (model, cycles), by_cycle in runs.items():
        if all(len(by_cycle.get(cycle, [])) == 1 for cycle in range(1, cycles + 1)):
            found.append(_snapshots(pool, model, [by_cycle[cycle][0] for cycle in range(1, cycles + 1)]))
    # parts of a run that share no seed were never one ensemble
    kept = [design for design in found if design.groups]
    return tuple(sorted(kept, key=lambda design: (design.method, design.cost)))


def inner_errors(pool: Pool, design: InnerDesign) -> SeedValues:
    """Return which ``report`` examples each seed of a design answers wrong."""
    decided = [combine(np.asarray(pool.report[list(rows)]))[0] for rows in design.groups]
    wrong = np.array([answers != pool.report_labels for answers in decided], np.float32)
    seeds = len(design.groups)
    return SeedValues(key=design.key, seeds=seeds, sets=seed_sets(seeds, 1), values=wrong)


def _snapshots(pool: Pool, model: ModelSpec, parts: list[Scale]) -> InnerDesign:
    by_seed = [{pool.members[row].seed: row for row in part.rows} for part in parts]
    shared = sorted(set.intersection(*(set(rows) for rows in by_seed)))
    return InnerDesign(
        method=_SNAPSHOTS,
        label=f"{model.name}, {len(parts)} snapshots",
        base=model,
        family=parts[0].family,
        cost=sum(part.cost for part in parts),
        key=f"{model} snapshots",
        groups=tuple(tuple(rows[seed] for rows in by_seed) for seed in shared),
    )

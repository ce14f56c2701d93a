"""What a study has brought so far: accuracy over seeds, cost, and what is missing."""

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from explorer.record import MemberRecord
from explorer.run.study.definitions import Distilled, InnerEnsembles, Published, Snapshots, Study
from explorer.run.training.jobs import chosen_recipe
from explorer.spec import Member, ModelSpec, parse_design
from explorer.store import Store

if TYPE_CHECKING:
    from zoo import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryRow:
    """The members of one model and one way of training."""

    arm: str
    """``scale``, ``distilled``, ``snapshot 1 of 4``, ``inner ensemble``."""
    model: str
    macs: int | None
    """Of one example's forward pass; None while nothing is counted."""
    accuracies: tuple[float, ...]
    """Of each member on ``report``, in [0, 1], by seed."""
    seeds: tuple[int, ...]
    missing: tuple[int, ...]
    """Seeds of the study that are not there yet."""
    wall_s: float
    """Time that training took, all members."""
    training_macs: int
    """Likewise."""
    devices: tuple[str, ...]
    """What the members were trained on."""
    published: tuple[Published, ...] = ()

    @property
    def mean(self) -> float | None:
        """Mean accuracy over the seeds; None without members."""
        return statistics.fmean(self.accuracies) if self.accuracies else None

    @property
    def spread(self) -> float | None:
        """Standard deviation of one member's accuracy over the seeds; None with fewer than two."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySummary:
    """A study's table."""

    study: Study
    recipe_id: str
    split_digest: str
    """Of the members shown; empty without any."""
    rows: tuple[SummaryRow, ...]
    notes: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not any(row.missing for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    arm: str
    model: str
    seeds: tuple[int, ...]
    matches: "Callable[[MemberRecord], bool]"


def summarise(store: Store, study: Study, *, epochs: int | None = None) -> StudySummary:
    """Return a study's table from the store alone.

    Args:
        store: where its members are.
        study: which.
        epochs: as the study was run with, where that was not the recipe's own.

    Raises:
        ZooError: a model or recipe that does not exist.
    """
    recipe = chosen_recipe(study.dataset, study.recipe, epochs)
    records = store.members(study.dataset)
    wanted = _wanted(study, recipe)
    found = [record for record in records if any(one.matches(record) for one in wanted)]
    splits = Counter(record.split_digest for record in found)
    digest = max(splits, key=lambda key: (splits[key], key)) if splits else ""
    notes = [
        f"left out: {number} members trained under another split ({other[:12]})"
        for other, number in splits.items()
        if other != digest
    ]
    records = tuple(record for record in found if record.split_digest == digest)
    accuracy = _accuracies(store, study.dataset, digest) if digest else {}
    macs = {(c.model, c.channels, c.classes): int(c.figure.value) for c in store.costs("macs")}
    rows = [
        _row(one, [r for r in records if one.matches(r)], accuracy, macs, study.published) for one in wanted
    ]
    return StudySummary(
        study=study, recipe_id=recipe.id, split_digest=digest, rows=tuple(rows), notes=tuple(notes)
    )


def _row(
    one: _Wanted,
    records: Sequence[MemberRecord],
    accuracy: dict[str, float],
    macs: dict[tuple[ModelSpec, int, int], int],
    published: Sequence[Published],
) -> SummaryRow:
    records = sorted(records, key=lambda record: record.member.seed)
    networks = [(record.member.model, record.channels, record.classes) for record in records]
    seeds = tuple(record.member.seed for record in records)
    return SummaryRow(
        arm=one.arm,
        model=one.model,
        macs=next((macs[network] for network in networks if network in macs), None),
        accuracies=tuple(accuracy[str(r.member)] for r in records if str(r.member) in accuracy),
        seeds=seeds,
        missing=tuple(seed for seed in one.seeds if seed not in seeds),
        wall_s=sum(record.training.wall_s for record in records),
        training_macs=sum(record.training.macs for record in records),
        devices=tuple(sorted({r.training.device_name or r.training.device for r in records})),
        published=tuple(p for p in published if p.model == one.model and one.arm == "scale"),
    )


def _accuracies(store: Store, dataset: str, digest: str) -> dict[str, float]:
    """Return each member's accuracy on ``report``, by its text."""
    labels = np.asarray(store.labels(dataset, "report", digest))
    return {
        str(stored.member): float((store.probabilities(stored).argmax(axis=1) == labels).mean())
        for stored in store.predictions(dataset, "report")
        if stored.split_digest == digest
    }


def _wanted(study: Study, recipe: "Recipe") -> list[_Wanted]:
    wanted = [_plain("scale", model, study.seeds, recipe) for model in study.models]
    for arm in study.arms:
        if isinstance(arm, Distilled):
            wanted += [_distilled(model, arm, recipe) for model in arm.students]
        elif isinstance(arm, Snapshots):
            wanted += [
                _Wanted(
                    arm=f"snapshot {made.snapshot} of {arm.cycles}",
                    model=model,
                    seeds=arm.seeds,
                    matches=_matching(model, made.id),
                )
                for model in arm.models
                for made in recipe.snapshots(cycles=arm.cycles)
            ]
        elif isinstance(arm, InnerEnsembles):
            wanted += [_plain("inner ensemble", model, arm.seeds, recipe) for model in arm.models]
    return wanted


def _plain(arm: str, model: str, seeds: tuple[int, ...], recipe: "Recipe") -> _Wanted:
    return _Wanted(arm=arm, model=model, seeds=seeds, matches=_matching(model, recipe.id))


def _distilled(model: str, arm: Distilled, recipe: "Recipe") -> _Wanted:
    from zoo import canonical_name

    name, teacher = canonical_name(model), canonical_name(arm.teacher)
    # Not those that a person trained with another mean of the same networks.
    wanted = sorted((teacher, seed, recipe.id) for seed in arm.teacher_seeds)

    def matches(record: MemberRecord) -> bool:
        return (
            record.member.name == name
            and record.member.distilled
            and record.training.recipe.get("base") == recipe.id
            and sorted((m.name, m.seed, m.recipe) for m in _teacher(record)) == wanted
        )

    return _Wanted(arm="distilled", model=model, seeds=arm.seeds, matches=matches)


def _teacher(record: MemberRecord) -> tuple[Member, ...]:
    return parse_design(record.training.teacher).members


def _matching(model: str, recipe_id: str) -> Callable[[MemberRecord], bool]:
    from zoo import canonical_name

    name = canonical_name(model)
    return lambda record: record.member.name == name and record.member.recipe == recipe_id

"""A stored member with channels cut by importance, trained on for some epochs, and stored."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.data import ImageSet
from explorer.errors import UsageError
from explorer.record import MemberRecord
from explorer.report.compressing import Judged, Pruned
from explorer.run.compressing.judging import judged, size_of, stored_probabilities
from explorer.run.training import plan_members, train_members
from explorer.run.training.pool import Update
from explorer.run.training.starting import cut_weights, kept_member, weights_of
from explorer.spec import Member, ModelSpec
from explorer.store import Store

if TYPE_CHECKING:
    from zoo import Recipe

FINETUNED = "finetuned"
"""Name of the recipe that goes on from a member's weights."""
RATE_SHARE = 0.5
"""Of the member's peak learning rate, for training on: half its channels gone, a network is far from any
optimum; on digits two epochs at a tenth regained less than at a half, and at the full rate less again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneAsked:
    """What the options of `explorer compress prune` were set to."""

    member: Member
    ratio: float
    epochs: int
    rate: float | None = None
    """Peak learning rate; None: half the member's."""
    device: str = "cpu"
    data_dir: Path | None = None


def prune_member(
    store: Store, images: ImageSet, asked: PruneAsked, *, update: Update = lambda share, text: None
) -> Pruned:
    """Cut the least important channels of a member, train what is left on, store it, compare.

    The new member has the source's seed and, as recipe, the source's own with another length, a lower rate
    and the source's text as ``start``. A member that is there already is not made again.

    Raises:
        UsageError: no such member of these images, or one whose recipe is not the zoo's.
        StoreError: its weights are not kept here.
        ZooError: a ratio out of range, or a network that cannot be pruned.
    """
    from zoo.families.pruned import pruned_name

    name = pruned_name(asked.member.name, asked.ratio)
    source = kept_member(store, images, asked.member)
    recipe = finetuning(source, asked)
    model = ModelSpec(name, source.member.resolution)
    cut = cut_weights(name, source, weights_of(store, source), images)
    jobs, there = plan_members(
        store,
        images,
        [model],
        [source.member.seed],
        recipe=recipe,
        data_dir=asked.data_dir,
        device=asked.device,
    )
    (made,) = there or train_members(jobs, workers=1, update=update)
    return Pruned(
        source=source,
        made=made,
        there=bool(there),
        before=size_of(source),
        after=size_of(made),
        results=_results(store, images, source, made, cut),
    )


def finetuning(source: MemberRecord, asked: PruneAsked) -> "Recipe":
    """Return the recipe that trains on from ``source``: its own, shorter, at a lower rate, on labels.

    Raises:
        UsageError: its recipe is not one of the zoo's.
        ZooError: settings that cannot be.
    """
    own = own_recipe(source)
    rate = own.learning_rate * RATE_SHARE if asked.rate is None else asked.rate
    return own.started(FINETUNED, str(source.member), epochs=asked.epochs, learning_rate=rate)


def own_recipe(record: MemberRecord) -> "Recipe":
    """Return the recipe that a member was trained with.

    Raises:
        UsageError: it is not one of the zoo's: imported, or with settings of a later version.
    """
    from zoo import Recipe

    known = {field.name for field in dataclasses.fields(Recipe)}
    settings = dict(record.training.recipe)
    required = {field.name for field in dataclasses.fields(Recipe) if field.default is dataclasses.MISSING}
    if not required <= settings.keys() <= known:
        raise UsageError(f"the recipe of {record.member} is not one that this version trains with")
    return Recipe(**settings)  # type: ignore[arg-type]  # as the trainer wrote them


def _results(
    store: Store, images: ImageSet, source: MemberRecord, made: MemberRecord, cut: object
) -> tuple[Judged, ...]:
    from explorer.run.training import rebuilt
    from zoo import predict

    model = rebuilt(made.member.model, cut, images=images)  # type: ignore[arg-type]  # a state dict
    return judged(
        images,
        str(made.member),
        stored_probabilities(store, made),
        [
            (str(source.member), stored_probabilities(store, source)),
            ("right after the cut", predict(model, images.report.images)),
        ],
    )

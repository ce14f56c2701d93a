"""Several stored members' weights made one network, stored as a member, beside them and their ensemble."""

import hashlib
import importlib.metadata
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from explorer.data import ImageSet
from explorer.errors import UsageError
from explorer.record import MemberRecord, TrainingRecord
from explorer.report.compressing import How, Merged
from explorer.run.compressing.judging import judged, size_of, stored_probabilities
from explorer.run.compressing.pruning import own_recipe
from explorer.run.training import rebuilt
from explorer.run.training.jobs import counted_macs, examples_learned
from explorer.run.training.pool import Update
from explorer.run.training.starting import kept_member, weights_of
from explorer.spec import Member, ensemble
from explorer.store import Store

HOWS: tuple[How, ...] = ("soup", "rebasin")


def merge_members(
    store: Store,
    images: ImageSet,
    members: Sequence[Member],
    how: How,
    *,
    device: str = "cpu",
    update: Update = lambda share, text: None,
) -> Merged:
    """Average members' weights, measure batch norms anew on training images, store, compare.

    Raises:
        UsageError: fewer than 2 different members, of different networks, or not in the store.
        StoreError: a member's weights are not kept here.
        ZooError: re-basin of a network that is no wide ResNet.
    """
    sources = _sources(store, images, members)
    first = sources[0]
    text = str(ensemble([record.member for record in sources]))
    recipe = own_recipe(first).started(how, text)
    member = Member(first.member.name, first.member.resolution, first.member.seed, recipe.id)
    states = [weights_of(store, record) for record in sources]
    started = time.perf_counter()
    update(0.0, f"{how} of {len(sources)} networks")
    states, likeness = _alike(first, states, images) if how == "rebasin" else (states, None)
    made = store.find_member(images.name, member)
    there = made is not None and made.split_digest == images.split_digest
    if made is None or not there:
        state = _merged(first, states, images, device, update)
        training = _training(store, images, first, recipe, device, time.perf_counter() - started)
        made = _commit(store, images, member, state, training, device)
    update(1.0, "comparing")
    own = [stored_probabilities(store, record) for record in sources]
    others = [(str(record.member), one) for record, one in zip(sources, own, strict=True)]
    return Merged(
        how=how,
        sources=sources,
        made=made,
        there=there,
        size=size_of(made),
        likeness=likeness,
        results=judged(
            images,
            str(made.member),
            stored_probabilities(store, made),
            [*others, (text, np.mean(own, axis=0))],
        ),
    )


def _sources(store: Store, images: ImageSet, members: Sequence[Member]) -> tuple[MemberRecord, ...]:
    found = {}
    for member in members:
        record = kept_member(store, images, member)
        found[record.member] = record
    records = tuple(found[member] for member in sorted(found))
    if len(records) < 2:
        raise UsageError(f"merging needs at least 2 different members, got {', '.join(map(str, found))}")
    first = records[0].member
    for record in records[1:]:
        if record.member.model != first.model:
            raise UsageError(
                f"only members of one network can be merged, got {first.model} and {record.member.model}"
            )
    return records


def _alike(
    first: MemberRecord, states: Sequence[Mapping[str, Any]], images: ImageSet
) -> tuple[list[Mapping[str, Any]], tuple[float, float]]:
    from zoo.compress.merging import channel_axes, matched

    axes = channel_axes(rebuilt(first.member.model, states[0], images=images))
    found = matched(states, axes)
    return list(found.states), (found.before, found.after)


def _merged(
    first: MemberRecord, states: Sequence[Mapping[str, Any]], images: ImageSet, device: str, update: Update
) -> dict[str, Any]:
    """Return the averaged state with batch norms measured on the training images, on the CPU."""
    from zoo.arrays import learned
    from zoo.compress.merging import averaged, measure_norms

    model = rebuilt(first.member.model, averaged(states), images=images)
    measure_norms(
        model,
        learned(images.train.images, images.train.labels, own_recipe(first).train_share)[0],
        device=device,
        told=lambda share: update(0.1 + 0.8 * share, "measuring batch norms on training images"),
    )
    return {name: value.cpu() for name, value in model.state_dict().items()}


def _training(
    store: Store, images: ImageSet, first: MemberRecord, recipe: Any, device: str, wall_s: float
) -> TrainingRecord:
    """Return what merging cost: one forward pass of every training image; no epoch was trained."""
    from explorer.measure.environment import conditions

    examples = examples_learned(recipe, images)
    return TrainingRecord(
        recipe_id=recipe.id,
        recipe=recipe.settings(),
        epochs=0,
        examples_seen=examples,
        wall_s=wall_s,
        device=device,
        macs=counted_macs(store, first.member.model, images) * examples,
        curve=(),
        versions={name: importlib.metadata.version(name) for name in ("torch", "numpy")},
        device_name=conditions(device).device_name,
    )


def _commit(
    store: Store,
    images: ImageSet,
    member: Member,
    state: dict[str, Any],
    training: TrainingRecord,
    device: str,
) -> MemberRecord:
    import safetensors.torch

    from zoo import predict

    weights = safetensors.torch.save({name: value.contiguous() for name, value in state.items()})
    record = MemberRecord(
        member=member,
        dataset=images.name,
        split_digest=images.split_digest,
        channels=images.channels,
        classes=len(images.classes),
        training=training,
        weights_digest=hashlib.sha256(weights).hexdigest(),
    )
    model = rebuilt(member.model, state, images=images)
    splits = {"select": images.select, "report": images.report}
    store.commit_member(
        record,
        weights,
        {name: predict(model, split.images, device=device) for name, split in splits.items()},
        labels={name: split.labels for name, split in splits.items()},
        class_names=images.classes,
    )
    return record

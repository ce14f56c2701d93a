"""What a training goes on from: a stored member's weights, with channels cut where there are fewer now."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from explorer.data import ImageSet
from explorer.errors import UsageError
from explorer.record import MemberRecord
from explorer.spec import Member, parse_member
from explorer.store import Store

if TYPE_CHECKING:
    from explorer.run.training.jobs import MemberJob


def kept_member(store: Store, images: ImageSet, member: Member) -> MemberRecord:
    """Return a member's record, whose weights are here and whose split is that of ``images``.

    Raises:
        UsageError: the store has no such member of this data set, or it is of another split.
        StoreError: its weights are not kept here.
    """
    alike = [one for one in store.members(images.name) if _alike(one.member, member)]
    # what was made of a member is asked for by its full name alone
    trained = [one for one in alike if not one.training.recipe.get("start")]
    if len(trained) > 1 and not member.recipe:
        raise UsageError(f"{member} may be any of {_listed(trained)}: say which")
    record = trained[0] if trained and not member.recipe else store.find_member(images.name, member)
    if record is None:
        there = f"it has {_listed(alike)}" if alike else "train it first"
        raise UsageError(f"the store has no member {member} of {images.name}; {there}")
    if record.split_digest != images.split_digest:
        raise UsageError(
            f"{record.member} was trained under another split of {images.name} "
            f"({record.split_digest[:12]}, these images have {images.split_digest[:12]})"
        )
    store.weights(record.weights_digest)  # refuses weights that are not kept here
    return record


def _listed(records: Sequence[MemberRecord]) -> str:
    return ", ".join(str(record.member) for record in records)


def _alike(stored: Member, asked: Member) -> bool:
    """Tell whether both are of one network and seed, whatever the recipe."""
    return (stored.name, stored.seed) == (asked.name, asked.seed) and (
        asked.model.resolution in (None, stored.model.resolution)
    )


def weights_of(store: Store, record: MemberRecord) -> Mapping[str, Any]:
    """Return the state dict of a member, hash checked.

    Raises:
        StoreError: its weights are not kept here.
    """
    import safetensors.torch

    return safetensors.torch.load(store.weights(record.weights_digest))


def initial_weights(store: Store, images: ImageSet, job: "MemberJob") -> Mapping[str, Any]:
    """Return the state dict that a job starts from: the member's, or what pruning it leaves.

    Raises:
        UsageError: the member is not in the store.
        StoreError: its weights are not kept here.
        ZooError: the job's network is neither the member's nor a pruned form of it.
    """
    record = kept_member(store, images, parse_member(job.recipe.start))
    return cut_weights(job.model.name, record, weights_of(store, record), images)


def cut_weights(
    name: str, record: MemberRecord, state: Mapping[str, Any], images: ImageSet
) -> Mapping[str, Any]:
    """Return the weights that a network called ``name`` keeps of a member's: the important ones, or all.

    Raises:
        ZooError: the network is neither the member's nor a pruned form of it.
    """
    from explorer.run.training.worker import rebuilt
    from zoo import ZooError
    from zoo.compress.pruning import pruned_classifier, shapes
    from zoo.families.pruned import pruned_ratio

    if name == record.member.name:
        return state
    ratio = pruned_ratio(name, record.member.name)
    if ratio is None:
        raise ZooError(f"{name} cannot start from {record.member}: it is no pruned form of that network")
    model = pruned_classifier(
        rebuilt(record.member.model, state, images=images),
        record.member.name,
        ratio=ratio,
        channels=images.channels,
        classes=len(images.classes),
    )
    cut: Mapping[str, Any] = model.state_dict()
    anew = _shape_by_name(name, record, state, images)
    if shapes(cut) != anew:
        raise ZooError(f"{name} built from its name has other shapes than pruning {record.member} leaves")
    return cut


def _shape_by_name(
    name: str, record: MemberRecord, state: Mapping[str, Any], images: ImageSet
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the classifier that ``name`` builds: a stored member must be rebuilt from it."""
    from zoo import build_classifier
    from zoo.compress.pruning import shapes

    classifier = build_classifier(
        name,
        channels=images.channels,
        classes=len(images.classes),
        native=images.native,
        resolution=record.member.model.resolution or images.native,
        mean=state["preprocess.mean"],
        std=state["preprocess.std"],
    )
    return shapes(classifier.state_dict())

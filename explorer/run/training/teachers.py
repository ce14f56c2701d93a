"""What a student learns from: the mean of stored members' probabilities (MEAL V2, arXiv 2009.08453).

Only soft labels: the student sees the teacher's probabilities for the same augmented images, no true
labels. A teacher is one member or ``mean(...)`` of several, whose weights are in the store.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from explorer.data import ImageSet
from explorer.errors import UsageError
from explorer.record import MemberRecord
from explorer.run.costs import counted_costs
from explorer.spec import Averaging, Cascade, Member, ModelSpec, Stage, ensemble, parse_design
from explorer.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """A design that can teach: its members are in the store, with weights."""

    design: Stage
    """Canonical; every member names its recipe."""
    records: tuple[tuple[MemberRecord, int], ...]
    """Each different member with its weight in the mean."""
    macs: int
    """MACs of one example's forward pass through all of them."""

    def __str__(self) -> str:
        return str(self.design)


def teacher_of(store: Store, images: ImageSet, text: str) -> Teacher:
    """Return the teacher that ``text`` names, with its members' recipes filled in.

    Raises:
        UsageError: not a member or a mean of members, or one that is not in the store, of another data
            set, or of another split.
        StoreError: a member's weights are not kept here.
    """
    design = parse_design(text)
    if isinstance(design, Cascade) or getattr(design, "averaging", Averaging.MEAN) is not Averaging.MEAN:
        raise UsageError(f"a teacher is one member or mean(MEMBER, ...), not {design}")
    found = {member: _record(store, images, member) for member in dict.fromkeys(design.members)}
    for record in found.values():
        store.weights(record.weights_digest)  # refuses weights that are not kept here
    named = ensemble([found[member].member for member in design.members])
    times = Counter(named.members)
    records = {record.member: record for record in found.values()}
    macs = sum(_macs(record) for record in records.values())
    return Teacher(
        design=named, records=tuple((records[member], times[member]) for member in times), macs=macs
    )


def teaching(store: Store, images: ImageSet, teacher: Teacher, *, device: str) -> Callable[[Any], Any]:
    """Return the function that answers for the teacher.

    It maps float images ``[example, channel, height, width]`` in [0, 1] to the mean of the members'
    probabilities ``[example, class]``, float32, without gradients. On a CPU onnxruntime runs the members
    that can be written as ONNX: a teacher of five took a third of torch's time so, and its logits differ
    by rounding alone.

    Raises:
        StoreError: a member's weights are not kept here.
    """
    import safetensors.torch
    import torch

    from explorer.run.training.worker import rebuilt

    total = sum(times for _, times in teacher.records)
    members = []
    for record, times in teacher.records:
        state = safetensors.torch.load(store.weights(record.weights_digest))
        model = rebuilt(record.member.model, state, images=images)
        logits = _by_onnxruntime(model, images, record.member.model) if device == "cpu" else None
        # As the student's batches lie in memory.
        members.append((logits or model.to(device, memory_format=torch.channels_last), times / total))

    def probabilities(batch: Any) -> Any:
        with torch.no_grad():
            return sum(share * torch.softmax(logits(batch).float(), dim=1) for logits, share in members)

    return probabilities


def _by_onnxruntime(model: Any, images: ImageSet, architecture: ModelSpec) -> Callable[[Any], Any] | None:
    """Return ``model`` as a function of torch tensors that onnxruntime runs; None: ONNX cannot express it."""
    import torch

    from explorer.build.onnx_export import INPUT, export_member
    from explorer.build.session import open_session

    shape = (images.channels, images.native, images.native)
    try:
        graph = export_member(model, shape, architecture=architecture)
    except UsageError:
        return None  # torch answers the same, more slowly
    session = open_session(graph.SerializeToString(), threads=torch.get_num_threads())

    def logits(batch: Any) -> Any:
        return torch.from_numpy(session.run(None, {INPUT: batch.contiguous().numpy()})[0])

    return logits


def _record(store: Store, images: ImageSet, member: Member) -> MemberRecord:
    record = store.find_member(images.name, member)
    if record is None:
        elsewhere = [name for name in store.datasets() if _known(store, name, member)]
        reason = (
            f"it is a member of {', '.join(elsewhere)}; a teacher must know the same data set"
            if elsewhere
            else f"the store has no such member of {images.name}; train it first"
        )
        raise UsageError(f"{member} cannot teach {images.name}: {reason}")
    if record.split_digest != images.split_digest:
        raise UsageError(
            f"{member} cannot teach {images.name}: it was trained under another split "
            f"({record.split_digest[:12]}, these images have {images.split_digest[:12]}), so it may have "
            "learned from examples that the student is judged on"
        )
    return record


def _known(store: Store, dataset: str, member: Member) -> bool:
    return any(replace(r.member, recipe=member.recipe) == member for r in store.members(dataset))


def _macs(record: MemberRecord) -> int:
    costs = counted_costs(record.member.model, channels=record.channels, classes=record.classes)
    return next(int(cost.figure.value) for cost in costs if cost.kind == "macs")

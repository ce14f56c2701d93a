"""Compressed networks beside what they were made of: values, documents, text."""

from dataclasses import dataclass
from typing import Literal

from explorer.analysis.bootstrap import tells
from explorer.analysis.result import Interval, Verdict
from explorer.record import MemberRecord
from explorer.report.documents import Document, interval_document
from explorer.report.text import (
    format_accuracy,
    format_bytes,
    format_count,
    format_difference,
    format_macs,
    format_ratio,
    format_seconds,
)

SCHEMA_VERSION = 1
How = Literal["soup", "rebasin"]
_HOWS = {
    "soup": "plain average of the weights (model soup, arXiv 2203.05482)",
    "rebasin": "average after renaming channels to be alike (Git Re-Basin, arXiv 2209.04836)",
}
_VERDICTS = {
    Verdict.BETTER: "more accurate than it",
    Verdict.WORSE: "less accurate than it",
    Verdict.CANNOT_TELL: "cannot tell",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One network on the `report` split."""

    name: str
    """A member's canonical text, or what else answered."""
    accuracy: Interval
    difference: Interval | None = None
    """Accuracy of the compressed network minus this one's, paired; None for the compressed one itself."""

    @property
    def verdict(self) -> Verdict | None:
        """Whether the compressed network is more accurate than this one; None for itself."""
        if self.difference is None:
            return None
        if not tells(self.difference):
            return Verdict.CANNOT_TELL
        return Verdict.BETTER if self.difference.value > 0 else Verdict.WORSE


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What one network costs, counted for one example."""

    macs: int
    parameters: int
    param_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """A pruned member beside the one it was cut from."""

    source: MemberRecord
    made: MemberRecord
    there: bool
    """Whether the store had it already, so that nothing was trained."""
    before: Size
    after: Size
    results: tuple[Judged, ...]
    """The made member; then the source, and the network as it was right after the cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A merged member beside those it was made of."""

    how: How
    sources: tuple[MemberRecord, ...]
    made: MemberRecord
    there: bool
    """Whether the store had it already, so that nothing was made."""
    size: Size
    """Of one network: of each member and of the merged one."""
    likeness: tuple[float, float] | None
    """Re-basin: mean cosine of two members' weights as they came, and with their channels renamed."""
    results: tuple[Judged, ...]
    """The merged member; then each source, and their ensemble."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """A member in int8 beside itself in float32, both run by onnxruntime."""

    source: MemberRecord
    calibrated_on: int
    """Training images that the ranges of activations come from."""
    float_bytes: int
    """Of the ONNX file."""
    int8_bytes: int
    results: tuple[Judged, ...]
    """In int8; then in float32."""


def prune_document(found: Pruned) -> Document:
    """Lay out a pruned member."""
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": found.made.dataset,
        "source": _member_document(found.source),
        "made": _member_document(found.made),
        "there_already": found.there,
        "before": _size_document(found.before),
        "after": _size_document(found.after),
        "results": [_result_document(one) for one in found.results],
    }


def merge_document(found: Merged) -> Document:
    """Lay out a merged member."""
    likeness = found.likeness
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": found.made.dataset,
        "how": found.how,
        "sources": [_member_document(source) for source in found.sources],
        "made": _member_document(found.made),
        "there_already": found.there,
        "size": _size_document(found.size),
        "likeness": None if likeness is None else {"before": likeness[0], "after": likeness[1]},
        "results": [_result_document(one) for one in found.results],
    }


def quantise_document(found: Quantised) -> Document:
    """Lay out a quantised member."""
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": found.source.dataset,
        "source": _member_document(found.source),
        "calibrated_on": found.calibrated_on,
        "float_bytes": found.float_bytes,
        "int8_bytes": found.int8_bytes,
        "results": [_result_document(one) for one in found.results],
    }


def prune_text(found: Pruned) -> str:
    """Write what pruning saved and what it cost."""
    before, after = found.before, found.after
    costs = [
        f"{what}: {write(old)} -> {write(new)}, {format_ratio(old, new)} less"
        for what, write, old, new in (
            ("MACs", format_macs, before.macs, after.macs),
            ("parameters", format_count, before.parameters, after.parameters),
        )
    ]
    made, source = found.made.training, found.source.training
    trained = (
        f"training: {_spent(found.made)} to train on for {made.epochs} epochs; before that "
        f"{_spent(found.source)} of {source.epochs} epochs for {found.source.member}"
    )
    return "\n".join([_stored(found.made, found.there), *costs, trained, *_compared(found.results)])


def merge_text(found: Merged) -> str:
    """Write how accurate one network made of several is, for the cost of one."""
    lines = [
        _stored(found.made, found.there),
        f"made by: {_HOWS[found.how]}; batch norms measured anew on "
        f"{format_count(found.made.training.examples_seen)} training images",
        f"cost: {format_macs(found.size.macs)} as one network; their ensemble takes "
        f"{format_macs(found.size.macs * len(found.sources))}",
    ]
    if found.likeness is not None:
        lines.append(
            f"likeness of the weights (mean cosine): {found.likeness[0]:.3f} as they came, "
            f"{found.likeness[1]:.3f} renamed"
        )
    return "\n".join([*lines, *_compared(found.results)])


def quantise_text(found: Quantised) -> str:
    """Write what int8 saves in bytes and what it costs in accuracy."""
    return "\n".join(
        [
            f"file: {format_bytes(found.float_bytes)} in float32 -> {format_bytes(found.int8_bytes)} in "
            f"int8, {format_ratio(found.float_bytes, found.int8_bytes)} less; ranges from "
            f"{format_count(found.calibrated_on)} training images",
            *_compared(found.results),
            "judged, not stored; time it with explorer profile",
        ]
    )


def _stored(made: MemberRecord, there: bool) -> str:
    return f"{'there already' if there else 'stored'}: {made.member}"


def _spent(record: MemberRecord) -> str:
    return f"{format_macs(record.training.macs)} in {format_seconds(record.training.wall_s)}"


def _compared(results: tuple[Judged, ...]) -> list[str]:
    own, *others = results
    lines = [f"accuracy: {format_accuracy(own.accuracy)}"]
    for other in others:
        assert other.difference is not None  # all but the first are compared
        assert other.verdict is not None
        lines.append(
            f"  against {other.name}, {format_accuracy(other.accuracy)}: "
            f"{format_difference(other.difference)}, paired: {_VERDICTS[other.verdict]}"
        )
    return lines


def _member_document(record: MemberRecord) -> Document:
    return {
        "member": str(record.member),
        "recipe": record.training.recipe_id,
        "epochs": record.training.epochs,
        "examples_seen": record.training.examples_seen,
        "training_macs": record.training.macs,
        "wall_s": record.training.wall_s,
        "device": record.training.device,
    }


def _size_document(size: Size) -> Document:
    return {"macs": size.macs, "parameters": size.parameters, "param_bytes": size.param_bytes}


def _result_document(one: Judged) -> Document:
    return {
        "name": one.name,
        "accuracy": interval_document(one.accuracy),
        "difference": None if one.difference is None else interval_document(one.difference),
        "verdict": None if one.verdict is None else str(one.verdict),
    }

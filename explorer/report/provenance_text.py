"""Say where the numbers come from, and what they leave out."""

from collections.abc import Iterable, Mapping

from explorer.analysis.result import Advice, Front
from explorer.convention import CostAxis
from explorer.record import CostRecord
from explorer.report.evidence import Evidence
from explorer.report.text import format_count, format_pool, kind_name


def searched_text(front: Front) -> str:
    """Say how many designs were scored: ``4 single models, 120 ensembles, 32,000 cascades``."""
    parts = [
        f"{format_count(count)} {kind_name(kind)}{'' if count == 1 else 's'}"
        for kind, count in front.searched.items()
        if count
    ]
    return ", ".join(parts) or "none"


def facts(front: Front, advice: Advice, evidence: Evidence) -> tuple[tuple[str, str], ...]:
    """Return provenance and conditions as names and values."""
    pool, source = front.pool, evidence.provenance
    found = [
        ("Question", str(advice.question)),
        ("Data set", f"{pool.dataset}, {format_count(pool.classes)} classes"),
        ("Made of", format_pool(pool)),
        ("Split", f"sha256 {pool.split_digest[:16]}"),
        ("Designs scored", searched_text(front)),
        ("Cost axis", f"{front.axis}, {_bases(evidence.costs) or 'no cost record'}"),
    ]
    conditions = evidence.conditions
    if conditions is not None:
        found += [
            ("Measured on", f"{conditions.device_name} ({conditions.device}, {conditions.threads} threads)"),
            ("Run as", f"{conditions.backend}, {conditions.dtype}, batch {conditions.batch}"),
            ("Power state", conditions.power_state),
            ("With", _versions(conditions.versions)),
        ]
    trained = {f"{k} {v}" for record in evidence.members for k, v in record.training.versions.items()}
    if trained:
        found.append(("Trained with", ", ".join(sorted(trained))))
    found += [
        ("Report made by", source.product),
        ("Report made", source.made),
        ("Machine of the report", source.platform),
        ("Packages of the report", _versions(source.versions)),
        ("Store revision", source.store_revision),
    ]
    if source.command:
        found.append(("Command", source.command))
    return tuple(found)


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def _bases(costs: Iterable[CostRecord]) -> str:
    found = sorted({(str(r.figure.basis), r.convention, r.source) for r in costs})
    return "; ".join(f"{basis} ({convention}, by {source})" for basis, convention, source in found)


def not_counted(axis: CostAxis, evidence: Evidence) -> tuple[str, ...]:
    """Say what the figures leave out: it is part of the answer."""
    said = []
    if axis.kind.unit in ("MAC", "FLOP"):
        said.append(
            "Activations, norms, pooling and softmax are not in this axis: they are counted apart, as "
            "elementwise_ops, because one of them is not worth one multiply-accumulate on any device."
        )
        said.append(
            "Moving data is not in this axis: a design with fewer operations can still be slower. Ask again "
            "on the axis latency@DEVICE before shipping for speed."
        )
    if axis.kind.name == "price":
        said.append(
            "Prices are those that were given when the predictions were imported; sellers change them. "
            "Sending inputs to several sellers, and waiting for the answers, is not in them."
        )
    if axis.kind.name == "latency":
        said.append(
            "Latency of an ensemble or a cascade is composed from its members' measured medians, one after "
            "the other; reading input, queueing and batching of requests are not in it."
        )
    said.append(
        "Averaging the members' answers and testing the exit threshold are not counted: a handful of "
        "operations a class."
    )
    said.append("Training is not in the cost per example; it is listed with the members.")
    for model, operators in sorted(evidence.uncounted.items()):
        listed = ", ".join(
            f"{name} ({format_count(times)} times)" for name, times in sorted(operators.items())
        )
        said.append(f"Operators of {model} without a formula, so not counted: {listed}.")
    counted = [record for record in evidence.costs if str(record.figure.basis) == "counted"]
    if counted and not evidence.uncounted:
        said.append("Every operator of the counted models has a formula: none was left out.")
    return tuple(said)

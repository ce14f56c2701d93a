"""Write the manifest: what is needed to work every number out again, and the numbers, as JSON.

Format history: 1, the first.
"""

import json

from explorer.analysis.result import Advice, Front, Point
from explorer.record import CostRecord
from explorer.report.documents import advice_document, front_document, point_document
from explorer.report.evidence import Evidence

MANIFEST_VERSION = 1
EMBEDDED_POINTS = 200
"""Points of the front in the manifest a page carries, for the same reason; a .json file has all."""


def manifest(front: Front, advice: Advice, evidence: Evidence, *, most_points: int | None = None) -> str:
    """Write, as JSON, what is needed to work every number out again, and the numbers.

    With ``most_points`` the front is cut to that many, evenly spaced, and says how many it had.
    """
    source = evidence.provenance
    front_part = front_document(front)
    if most_points is not None:
        del front_part["points_by_kind"]
        front_part["points"] = [point_document(point) for point in _evenly(front.points, most_points)]
        front_part["points_of_the_front"] = len(front.points)
    document = {
        "schema_version": MANIFEST_VERSION,
        "product": source.product,
        "made": source.made,
        "command": source.command,
        "platform": source.platform,
        "versions": dict(source.versions),
        "store_revision": source.store_revision,
        "members": [
            {
                "member": str(record.member),
                "weights": record.weights_digest,
                "split_digest": record.split_digest,
                "training": {"macs": record.training.macs, "wall_s": record.training.wall_s},
            }
            for record in evidence.members
        ],
        "costs": [_cost_record(record) for record in evidence.costs],
        "front": front_part,
        "advice": advice_document(advice),
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _evenly(points: tuple[Point, ...], most: int) -> tuple[Point, ...]:
    """Return at most ``most`` of the points, evenly spaced, both ends kept."""
    if len(points) <= most:
        return points
    return tuple(points[round(i * (len(points) - 1) / (most - 1))] for i in range(most))


def _cost_record(record: CostRecord) -> dict[str, object]:
    return {
        "model": str(record.model),
        "kind": record.kind,
        "device": record.device,
        "value": record.figure.value,
        "low": record.figure.low,
        "high": record.figure.high,
        "basis": str(record.figure.basis),
        "convention": record.convention,
        "samples": record.samples_digest,
    }

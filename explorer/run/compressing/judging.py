"""How accurate a compressed network is beside what it was made of, on the same examples."""

from collections.abc import Sequence

import numpy as np

from explorer.analysis.bootstrap import paired_interval, share_interval
from explorer.data import ImageSet
from explorer.errors import StoreError
from explorer.record import MemberRecord
from explorer.report.compressing import Judged, Size
from explorer.run.costs import counted_costs
from explorer.store import Store

SPLIT = "report"
"""Nothing is chosen here, so that the examples that designs are reported on may judge."""


def size_of(record: MemberRecord) -> Size:
    """Count a member's network.

    Raises:
        UncountedError: an operator without formula.
    """
    costs = counted_costs(record.member.model, channels=record.channels, classes=record.classes)
    found = {cost.kind: int(cost.figure.value) for cost in costs}
    return Size(macs=found["macs"], parameters=found["parameters"], param_bytes=found["param_bytes"])


def stored_probabilities(store: Store, record: MemberRecord) -> np.ndarray:
    """Return a member's probabilities ``[example, class]`` on the `report` split, float32.

    Raises:
        StoreError: there are none of its current weights.
    """
    for found in store.predictions(record.dataset, SPLIT, member=record.member):
        if found.split_digest == record.split_digest:
            return store.probabilities(found).astype(np.float32)
    raise StoreError(f"the store has no predictions of {record.member} on the {SPLIT} split")


def judged(
    images: ImageSet, name: str, probabilities: np.ndarray, others: Sequence[tuple[str, np.ndarray]]
) -> tuple[Judged, ...]:
    """Return the compressed network's accuracy, and each other's with the paired difference.

    Args:
        images: whose `report` split the probabilities ``[example, class]`` are of.
        name: of the compressed network.
        probabilities: its own.
        others: names and probabilities of what it is compared with.
    """
    labels = images.report.labels
    own = probabilities.argmax(1) == labels
    found = [Judged(name=name, accuracy=share_interval(int(own.sum()), len(own)))]
    for other, answers in others:
        right = answers.argmax(1) == labels
        found.append(
            Judged(
                name=other,
                accuracy=share_interval(int(right.sum()), len(right)),
                difference=paired_interval(int((own & ~right).sum()), int((right & ~own).sum()), len(own)),
            )
        )
    return tuple(found)

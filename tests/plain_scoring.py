"""Scoring as the definition says, in plain numpy: the oracle of every fast path. No code is shared."""

import numpy as np
import pytest

from explorer.spec import Cascade, Single


def plain_decisions(design, arrays):
    """Decide as the definition says: average, argmax, exit at the threshold. No fast path.

    Only designs of ``mean`` whose examples leave by the largest probability.
    """
    if not isinstance(design, Cascade):
        members = [design.member] if isinstance(design, Single) else design.members
        mean = np.mean([arrays[str(m)] for m in members], axis=0)
        return mean.argmax(1), mean.max(1)
    answering = list(design.stages[0].members)
    mean = np.mean([arrays[str(m)] for m in answering], axis=0)
    answer, confidence = mean.argmax(1), mean.max(1)
    left = np.zeros(len(answer), bool)
    for leave, joined, stage in zip(design.exits, design.joined, design.stages[1:], strict=True):
        assert leave.signal == "p"
        left |= confidence >= leave.threshold
        answering = [*answering, *stage.members] if joined else list(stage.members)
        mean = np.mean([arrays[str(m)] for m in answering], axis=0)
        answer = np.where(left, answer, mean.argmax(1))
        confidence = np.where(left, confidence, mean.max(1))
    return answer, confidence


def check_reported(pool, front):
    """Recompute accuracy and mean cost of every point on ``report``: two stages at most, left by ``p``."""
    arrays = {str(m): np.asarray(pool.report[row], np.float64) for row, m in enumerate(pool.members)}
    costs = dict(zip(map(str, pool.members), pool.costs, strict=True))
    assert len(front.points) > 3
    for point in front.points:
        answer, _ = plain_decisions(point.design, arrays)
        assert point.accuracy.value == np.mean(answer == pool.report_labels)
        first, *later = getattr(point.design, "stages", (point.design,))
        cost = sum(costs[str(m)] for m in first.members)
        if later:
            sure = plain_decisions(first, arrays)[1] >= point.design.exits[0].threshold
            cost += np.mean(~sure) * sum(costs[str(m)] for m in later[0].members)
        assert point.cost.value == pytest.approx(cost, rel=1e-12)

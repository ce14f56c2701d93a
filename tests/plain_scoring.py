"""Scoring as the definition says, in plain numpy: the oracle of every fast path. No code is shared."""

import numpy as np

from explorer.spec import Cascade, Ensemble, Single


def plain_decisions(design, arrays):
    """Decide as the definition says: average, argmax, exit at the threshold. No fast path."""
    if isinstance(design, Single):
        return arrays[str(design.member)].argmax(1), arrays[str(design.member)].max(1)
    if isinstance(design, Ensemble):
        mean = np.mean([arrays[str(m)] for m in design.members], axis=0)
        return mean.argmax(1), mean.max(1)
    assert isinstance(design, Cascade)
    answer, confidence = plain_decisions(design.stages[0], arrays)
    for leave, stage in zip(design.exits, design.stages[1:], strict=True):
        later, later_confidence = plain_decisions(stage, arrays)
        stays = confidence >= leave.threshold
        answer, confidence = np.where(stays, answer, later), np.where(stays, confidence, later_confidence)
    return answer, confidence

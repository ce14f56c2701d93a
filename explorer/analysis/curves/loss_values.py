"""Losses of every set of one model's seeds on every example: what curves over members are made of."""

from collections.abc import Sequence

import numpy as np

from explorer.analysis.pool import Pool
from explorer.analysis.scoring.combine import ZERO_PROBABILITY, average
from explorer.analysis.scoring.temperature import fit_temperature, tempered_losses
from explorer.analysis.statistics.seeds import LARGEST, Scale, SeedValues, seed_sets


def log_losses(pool: Pool, scale: Scale, *, largest: int = LARGEST) -> SeedValues:
    """Return the negative log-likelihood on ``report`` of every set of a scale's seeds, averaged as ``mean``.

    The average's probability of the true class is all it needs; zero counts as 2^-25.
    """
    sets = seed_sets(len(scale.rows), largest)
    examples = np.arange(len(pool.report_labels))
    true = np.stack([pool.report[row][examples, pool.report_labels] for row in scale.rows])
    holds = (sets[:, :, None] == np.arange(len(scale.rows))).any(axis=1)
    averaged = (holds / holds.sum(axis=1, keepdims=True)) @ true.astype(np.float64)
    values = -np.log(np.maximum(averaged, ZERO_PROBABILITY)).astype(np.float32)
    return SeedValues(key=scale.key, seeds=len(scale.rows), sets=sets, values=values)


def calibrated_losses(pool: Pool, scale: Scale, *, largest: int = LARGEST) -> tuple[SeedValues, SeedValues]:
    """Return the calibrated losses of every set of a scale's seeds on ``select`` and on ``report``.

    Members are averaged, then one temperature is fitted on ``select``: arXiv 2002.06470, section 4.
    """
    sets = seed_sets(len(scale.rows), largest)
    rows = np.array(scale.rows)
    select, report = (
        SeedValues(key=scale.key, seeds=len(rows), sets=sets, values=values)
        for values in _tempered(pool, [rows[chosen[chosen >= 0]] for chosen in sets])
    )
    return select, report


def calibrated_losses_of(pool: Pool, groups: Sequence[Sequence[int]], key: str) -> SeedValues:
    """Return the calibrated losses on ``report`` of a design, one group of averaged rows a seed.

    Args:
        pool: with the members.
        groups: of each seed the rows that are averaged.
        key: names the design, see `SeedValues`.
    """
    _, values = _tempered(pool, [np.array(rows) for rows in groups])
    return SeedValues(key=key, seeds=len(groups), sets=seed_sets(len(groups), 1), values=values)


def _tempered(pool: Pool, groups: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return each group's tempered losses on both splits, float32 ``[group, example]``."""
    values: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for members in groups:
        averaged = average(np.asarray(pool.select[members]))
        temperature = fit_temperature(averaged, pool.select_labels)
        values[0].append(tempered_losses(averaged, pool.select_labels, temperature).astype(np.float32))
        reported = average(np.asarray(pool.report[members]))
        values[1].append(tempered_losses(reported, pool.report_labels, temperature).astype(np.float32))
    return np.array(values[0]), np.array(values[1])

"""Do two sets of examples look drawn from one source? Every promise found on one set supposes it."""

import numpy as np
from scipy import stats

from explorer.errors import InputDataError


def exchangeable_p_value(
    confidence: tuple[np.ndarray, np.ndarray], right: tuple[np.ndarray, np.ndarray]
) -> float:
    """Return a p-value of "both sets of examples are draws from one source".

    Two tests, and twice the smaller p-value (Bonferroni): Kolmogorov and Smirnov's of the confidences
    (conservative where there are ties) and Fisher's exact test of the right answers. A small one says
    that the sets differ; a large one does not say that they are alike.

    Args:
        confidence: of the first and the second set, ``[example]`` each.
        right: bool, the same.

    Raises:
        InputDataError: an empty set.
    """
    if any(len(part) == 0 for part in (*confidence, *right)):
        raise InputDataError("wanted two sets of at least 1 example each, got an empty one")
    hits = [(int(part.sum()), int((~part).sum())) for part in right]
    smaller = min(stats.ks_2samp(*confidence).pvalue, stats.fisher_exact(hits)[1])
    return float(min(1.0, 2 * smaller))
